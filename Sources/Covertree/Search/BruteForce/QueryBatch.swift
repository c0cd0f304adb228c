import CovertreeBase

/// Queries that a scan compares with every point, and their limits.
protocol QueryBatch: AnyObject {
  associatedtype Points: ScannedPoints

  var points: Points { get }
  /// The coordinates of the queries, at most `size` of them.
  var rows: [UnsafePointer<Points.S>] { get }
  /// The score beyond which a point is of no use to a query.
  func limit(_ i: Int) -> Double
  /// Keeps the point at a position, with bounds of its score, if it counts for the query.
  func keep(_ i: Int, position: Int, lower: Double, upper: Double) throws(CoverTreeError)
}

extension QueryBatch {
  /// Queries that are compared together: they fit the second-level cache.
  static var size: Int { 64 }
}

/// One query of a batch, and the largest score of use to it.
struct BatchQuery<S: Scalar> {
  let query: QuerySet<S>.Query
  let eligible: IndexFilter
  let bound: Double
}

/// A way to compare a batch with every point. Call it through the concrete type: calls through the protocol are not specialised.
protocol BatchScan: AnyObject {
  associatedtype Batch: QueryBatch

  var batch: Batch { get }
  /// Passes the batch every point that can be among the nearest of any of its queries.
  func run() throws(CoverTreeError)
}
