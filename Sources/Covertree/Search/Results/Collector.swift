import CovertreeBase

/// What a search does with the points it finds: one traversal serves nearest neighbours, radius search and counting.
protocol Collector {
  associatedtype S: Scalar
  /// Points and boxes that show more than this in the filter are of no use any more.
  func threshold(_ rounding: RoundingBound<S>) -> S
  /// Points of a group that showed at most the threshold. Some may turn out to be of no use.
  mutating func collect<D: Dimension>(_ hits: Hits<S, D>) throws(CoverTreeError)
}

/// A collector that decides about each point as it comes.
protocol DecidingCollector: Collector {
  /// Points of a larger score are of no use any more.
  var worst: Double { get }
  /// A point with a score of at most `worst`, and its label.
  mutating func insert(_ squared: Double, _ label: Int32) throws(CoverTreeError)
}

extension DecidingCollector {
  @inline(__always)
  func threshold(_ rounding: RoundingBound<S>) -> S { rounding.upperBound(of: worst) }

  @inline(__always)
  mutating func collect<D: Dimension>(_ hits: Hits<S, D>) throws(CoverTreeError) {
    let near = hits.near
    if near != 0 { try collect(near, of: hits) }
    var lanes = hits.lanes & ~near
    while lanes != 0 {
      let lane = lanes.trailingZeroBitCount
      lanes &= lanes &- 1
      let squared = hits.squared(lane)
      if squared <= worst { try insert(squared, hits.label(lane)) }
    }
  }

  /// Points whose squares have lost digits.
  @inline(never)
  private mutating func collect<D: Dimension>(_ near: UInt32, of hits: Hits<S, D>) throws(CoverTreeError) {
    var lanes = near
    while lanes != 0 {
      let lane = lanes.trailingZeroBitCount
      lanes &= lanes &- 1
      let score = hits.scoreOfNear(lane)
      if score <= worst { try insert(score, hits.label(lane)) }
    }
  }
}
