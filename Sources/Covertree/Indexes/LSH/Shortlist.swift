import CovertreeBase

/// One query's candidates, and the best of them.
final class Shortlist {
  let ranking: Ranking
  private let query: RowQuery
  let slots: GrowableBuffer<Int32>
  private let scores: GrowableBuffer<Float>
  /// Positions among the slots, the best first.
  private let keys: GrowableBuffer<Int32>
  private let isSmall: Bool

  init(_ table: VectorTable) throws(CoverTreeError) {
    ranking = try Ranking(table)
    query = try RowQuery(table)
    (slots, scores, keys) = (try GrowableBuffer(), try GrowableBuffer(), try GrowableBuffer())
    isSmall = table.small != nil && table.exact != nil
  }

  var count: Int { slots.count }

  func begin(_ row: UnsafePointer<Float>) {
    query.load(row)
    slots.removeAll()
  }

  @inline(__always)
  func add(_ slot: Int32) throws(CoverTreeError) {
    query.scores.prefetch(slot)
    try slots.append(slot)
  }

  /// Ranks the vectors that can be among the first `k`: first by scores of the smaller rows, if there are any.
  func rank(_ k: Int) throws(CoverTreeError) {
    ranking.removeAll()
    guard isSmall else {
      for slot in slots.elements { try ranking.add(slot, query.scores.decided(slot), first: k) }
      return
    }
    let enough = min(2 * k + 12, slots.count)
    try scores.resize(to: slots.count)
    try keys.resize(to: enough)
    query.scores.score(slots.base, slots.count, into: scores.base)
    // The best, sorted by insertion: most come after the last.
    var (kept, last) = (0, Float.infinity)
    for position in 0..<slots.count where scores[position] < last || kept < enough {
      var at = kept < enough ? kept : enough - 1
      if kept < enough { kept += 1 }
      while at > 0 && scores[Int(keys[at - 1])] > scores[position] {
        keys[at] = keys[at - 1]
        at -= 1
      }
      keys[at] = Int32(position)
      last = kept < enough ? .infinity : scores[Int(keys[enough - 1])]
    }
    for position in 0..<min(Ranking.ahead, kept) { query.scores.prefetchDecisive(slots[Int(keys[position])]) }
    try ranking.add(kept, query.scores, k, { (slots[Int(keys[$0])], scores[Int(keys[$0])]) }) {
      (slot, decided) throws(CoverTreeError) in try ranking.add(slot, decided)
    }
  }

  func collect(within score: Double, into found: GrowableBuffer<Candidate>) throws(CoverTreeError) {
    for slot in slots.elements {
      let decided = query.scores.decided(slot)
      if decided <= score { try found.append(Candidate(squared: decided, index: slot)) }
    }
    ranking.order(found.all)
  }
}
