import CNumerics

/// Euclidean distance between the rows of a dense array, evaluated in float64 whatever the rows are stored in.
///
/// Differences are taken directly (the form `|x|^2 + |y|^2 - 2xy` cancels) and summed over coordinates in order with one
/// rounding each, so that every kernel gives the same bits for the same pair.
struct Euclidean<S: Scalar, D: Dimension>: Metric, @unchecked Sendable {
  /// Gathered points, eight to a group; in a group one vector a coordinate.
  final class Block {
    fileprivate let lanes: Stack<SIMD8<Double>>
    fileprivate var groups = 0

    init() throws(CoverTreeError) { lanes = try Stack() }
  }

  private let points: UnsafePointer<S>
  private let dimension: D
  let pointCount: Int

  /// - Parameter points: row-major without gaps; they outlive the metric.
  init(points: UnsafePointer<S>, count: Int, dimension: D) {
    self.points = points
    self.dimension = dimension
    self.pointCount = count
  }

  @inline(__always)
  private func row(_ point: Int32) -> UnsafePointer<S> { points + Int(point) &* dimension.count }

  func makeBlock() throws(CoverTreeError) -> Block { try Block() }

  func fill(_ block: Block, with points: UnsafeBufferPointer<Int32>) throws(CoverTreeError) {
    let dim = dimension.count
    block.groups = vectorCount(points.count)
    try block.lanes.resize(to: block.groups * dim)
    let lanes = block.lanes.base
    if block.groups > 0 {
      for d in 0..<dim { lanes[(block.groups - 1) * dim + d] = SIMD8(repeating: .nan) }
    }
    let scalars = UnsafeMutableRawPointer(lanes).assumingMemoryBound(to: Double.self)
    for index in 0..<points.count {
      let row = row(points[index])
      let first = scalars + ((index >> 3) &* dim &* 8 &+ (index & 7))
      for d in 0..<dim { first[d &* 8] = Double(row[d]) }
    }
  }

  func squaredDistances(from point: Int32, to block: Block, into output: UnsafeMutablePointer<SIMD8<Double>>) {
    let row = row(point)
    let lanes = block.lanes.base
    let dim = dimension.count
    for group in 0..<block.groups {
      var sum = SIMD8<Double>(repeating: 0)
      for d in 0..<dim {
        let difference = lanes[group &* dim &+ d] - Double(row[d])
        sum = cn_f64x8_fma(difference, difference, sum)
      }
      output[group] = sum
    }
  }

  func squaredDistance(_ a: Int32, _ b: Int32) -> Double {
    squaredEuclidean(row(a), row(b), dim: dimension.count)
  }

  func identical(_ a: Int32, _ b: Int32) -> Bool {
    let x = row(a)
    let y = row(b)
    for d in 0..<dimension.count where x[d] != y[d] { return false }
    return true
  }
}

/// Squared Euclidean distance in float64: the value that every decision about a pair is made by.
@inline(__always)
func squaredEuclidean<S: Scalar>(_ x: UnsafePointer<S>, _ y: UnsafePointer<S>, dim: Int) -> Double {
  var sum = 0.0
  for d in 0..<dim {
    let difference = Double(x[d]) - Double(y[d])
    sum = cn_f64_fma(difference, difference, sum)
  }
  return sum
}
