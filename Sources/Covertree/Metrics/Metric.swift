/// What the tree asks of a metric over a fixed set of points, known by their numbers.
///
/// Distances come squared and in float64; that is how levels and ties are decided. One point is compared with a *block*: points that were
/// gathered once into whatever form the metric compares fastest, because many points meet the same block.
protocol Metric: Sendable {
  /// Gathered points; scratch of one thread, filled again and again.
  associatedtype Block: AnyObject

  var pointCount: Int { get }
  func makeBlock() throws(CoverTreeError) -> Block
  func fill(_ block: Block, with points: UnsafeBufferPointer<Int32>) throws(CoverTreeError)

  /// Squared distances from a point to every point of a block, eight to a vector, in the block's order. Lanes beyond the
  /// last point are NaN, which no comparison lets through.
  func squaredDistances(from point: Int32, to block: Block, into output: UnsafeMutablePointer<SIMD8<Double>>)

  /// The same value, bit for bit, for one pair.
  func squaredDistance(_ a: Int32, _ b: Int32) -> Double

  /// Whether the two points are one: at a true distance of zero, not one that rounding made so.
  func identical(_ a: Int32, _ b: Int32) -> Bool
}

/// Vectors of eight that hold `count` values.
@inline(__always)
func vectorCount(_ count: Int) -> Int { (count &+ 7) >> 3 }
