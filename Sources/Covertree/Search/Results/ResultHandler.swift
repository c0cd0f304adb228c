import CovertreeBase

/// Handles the points that a search finds: one traversal serves nearest neighbours, radius search and counting.
protocol ResultHandler {
  associatedtype S: Scalar
  /// Points and boxes with a larger distance in the filter are of no use any more.
  func threshold(_ rounding: RoundingBound<S>) -> S
  /// Points of a group with at most the threshold in the filter. Some may be of no use.
  mutating func collect<D: MetricSpace>(_ hits: Hits<S, D>) throws(CoverTreeError)
}

/// A handler that decides each point at once, by its score.
protocol ExactHandler: ResultHandler {
  /// Points with a larger score are of no use any more.
  var worst: Double { get }
  /// A point with a score of at most `worst`, and its index.
  mutating func insert(_ squared: Double, _ index: Int32) throws(CoverTreeError)
}

extension ExactHandler {
  @inline(__always)
  func threshold(_ rounding: RoundingBound<S>) -> S { rounding.upperBound(of: worst) }

  @inline(__always)
  mutating func collect<D: MetricSpace>(_ hits: Hits<S, D>) throws(CoverTreeError) {
    let near = hits.near
    if near != 0 { try collect(near, of: hits) }
    for lane in SetBits(hits.lanes & ~near) {
      let squared = hits.squared(lane)
      if squared <= worst { try insert(squared, hits.index(lane)) }
    }
  }

  /// Points whose squares have lost digits.
  @inline(never)
  private mutating func collect<D: MetricSpace>(_ near: UInt32, of hits: Hits<S, D>) throws(CoverTreeError) {
    for lane in SetBits(near) {
      let score = hits.scoreOfNear(lane)
      if score <= worst { try insert(score, hits.index(lane)) }
    }
  }
}
