import CovertreeBase

/// The length of a vector.
func lengthOf<S: Scalar>(_ row: UnsafePointer<S>, _ dim: Int) -> Double {
  var sum = 0.0
  for d in 0..<dim { sum += Double(row[d]) * Double(row[d]) }
  return sum.squareRoot()
}

/// Points that queries are compared with one after the other, by position.
///
/// Scores are squared distances or, if `products`, negative inner products.
protocol ScannedPoints<S>: AnyObject, Sendable {
  associatedtype S: Scalar

  var count: Int { get }
  var dim: Int { get }
  var products: Bool { get }

  func copy(_ position: Int, into target: UnsafeMutablePointer<S>)
  /// One vector per coordinate, each with as many points as lanes: in the points' own memory, or in the scratch. Lanes after the last
  /// point have any numbers.
  func lanes(ofGroup group: Int, _ scratch: UnsafeMutablePointer<S.Lanes>) -> UnsafePointer<S.Lanes>
}

/// Points that are also decided one by one.
protocol BruteForcePoints<S>: ScannedPoints {
  /// By position; `noIndex` for points that do not count.
  var indices: Buffer<Int32> { get }
  /// The length of the longest point, if products are compared.
  var longest: Double { get }

  /// Prefetches the coordinates of a point that will be decided.
  func prefetch(_ position: Int32)
  /// The score of a point in the coordinates' own type, or better.
  func quick(_ query: UnsafePointer<S>, _ position: Int32) -> S
  /// The scores that decide, of four points.
  func decided(_ query: UnsafePointer<S>, _ positions: SIMD4<Int32>) -> SIMD4<Double>
}

extension ScannedPoints {
  /// The least and the greatest coordinate of all points in each dimension.
  func extents(_ context: CallContext) throws(CoverTreeError) -> (low: Buffer<S>, high: Buffer<S>) {
    let dim = dim
    let rows = try Buffer<S>(count: context.threads * dim)
    return try Covertree.extents(of: count, dim: dim, context) { (position, slot) in
      let row = rows.base + slot * dim
      copy(position, into: row)
      return UnsafePointer(row)
    }
  }
}
