import CovertreeBase

/// An edge of a spanning tree. Edges are ordered by score, then by their lower row, then by the other one. No two edges are equal, so there
/// is one least spanning tree.
struct TreeEdge: BitwiseCopyable {
  var score: Double
  var low: Int32
  var high: Int32

  static let none = TreeEdge(score: .infinity, low: .max, high: .max)

  init(score: Double, low: Int32, high: Int32) { (self.score, self.low, self.high) = (score, low, high) }

  init(score: Double, between a: Int32, and b: Int32) { self.init(score: score, low: min(a, b), high: max(a, b)) }

  @inline(__always)
  static func < (a: TreeEdge, b: TreeEdge) -> Bool {
    guard a.score == b.score else { return a.score < b.score }
    return (a.low, a.high) < (b.low, b.high)
  }
}

extension GrowableBuffer where Element == TreeEdge {
  /// The edges in their order.
  func sorted(_ context: CallContext) throws(CoverTreeError) -> Buffer<TreeEdge> {
    let keys = try Buffer<UInt64>(count: count)
    for slot in 0..<count { keys[slot] = UInt64(self[slot].low) << 32 | UInt64(self[slot].high) }
    let byRows = try sortedOrder(ofKeys: keys, context: context)
    for rank in 0..<count {
      // Negative numbers ascend as their bits descend.
      let bits = self[byRows[rank]].score.bitPattern
      keys[rank] = bits >> 63 == 1 ? ~bits : bits | 1 << 63
    }
    let byScore = try sortedOrder(ofKeys: keys, context: context)
    let sorted = try Buffer<TreeEdge>(count: count)
    for rank in 0..<count { sorted[rank] = self[byRows[byScore[rank]]] }
    return sorted
  }
}
