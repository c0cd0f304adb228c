import CovertreeBase

/// Queries that a scan compares with every point, and what is wanted of them.
protocol QueryBatch: AnyObject {
  associatedtype Points: ScannedPoints

  var points: Points { get }
  /// The coordinates of the queries, at most `size` of them.
  var rows: [UnsafePointer<Points.S>] { get }
  /// The score beyond which nothing is wanted for a query any more.
  func limit(_ i: Int) -> Double
  /// Keeps the point at a position if it counts for the query, with bounds of its score.
  func keep(_ i: Int, position: Int, lower: Double, upper: Double) throws(CoverTreeError)
}

extension QueryBatch {
  /// Queries that are compared together: they stay in the second cache.
  static var size: Int { 64 }
}

/// What one query of a batch asks for: nothing with a score beyond `bound`.
struct BatchQuery<S: Scalar> {
  let query: QuerySet<S>.Query
  let eligible: IndexFilter
  let bound: Double
}

/// A way to compare a batch with every point. To be known by its type where it is used: a scan that is called through the
/// protocol is not specialised.
protocol BatchScan: AnyObject {
  /// Offers the batch every point that can be among the nearest of one of its queries.
  func run() throws(CoverTreeError)
}
