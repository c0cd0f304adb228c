import CovertreeBase

/// Candidates of a query, sorted by the exact scores; ties go to the vector that was added first.
final class Ranking {
  private let found: GrowableBuffer<Candidate>
  private let serials: UnsafePointer<Int32>
  /// Candidates with larger scores cannot be among the first `k`.
  private var limit = Double.infinity

  /// The most candidates that are sorted by insertion.
  private static var few: Int { 64 }
  /// The fewest candidates for an estimate of the difference of scores.
  private static var fewest: Int { 8 }
  /// Rows that are prefetched.
  static var ahead: Int { 3 }

  init(_ table: VectorTable) throws(CoverTreeError) {
    serials = UnsafePointer(table.serials.base)
    found = try GrowableBuffer()
  }

  var count: Int { found.count }

  @inline(__always)
  func removeAll() {
    found.removeAll()
    limit = .infinity
  }

  @inline(__always)
  func add(_ slot: Int32, _ score: Double) throws(CoverTreeError) {
    try found.append(Candidate(squared: score, index: slot))
  }

  /// Adds a candidate if it can be among the first `k`. From time to time the others are dropped: O(log k) for each one added.
  @inline(__always)
  func add(_ slot: Int32, _ score: Double, first k: Int) throws(CoverTreeError) {
    guard score <= limit else { return }
    try add(slot, score)
    guard found.count >= 2 * k + Self.few else { return }
    order(found.all)
    try found.resize(to: k)
    limit = found[k - 1].squared
  }

  /// Adds candidates in the order of approximate scores, as long as they can matter. Approximate and exact scores differ by nearly the
  /// same number for all candidates, and the differences so far bound what the next ones can be.
  ///
  /// - Parameter put: adds a candidate, or the equal vectors that it represents, with the exact score.
  @inline(__always)
  func add(
    _ count: Int, _ scores: RowScores, _ k: Int, _ candidate: (Int) -> (slot: Int32, score: Float),
    put: (Int32, Double) throws(CoverTreeError) -> Void
  ) throws(CoverTreeError) {
    var (least, most, farthest) = (Double.infinity, -Double.infinity, -Double.infinity)
    for position in 0..<count {
      if position + Self.ahead < count { scores.prefetchDecisive(candidate(position + Self.ahead).slot) }
      let (slot, score) = candidate(position)
      let estimate = Double(score)
      if position >= Self.fewest, found.count >= k, estimate + least - (most - least) > farthest { break }
      let decided = scores.decided(slot)
      if found.count < k { farthest = max(farthest, decided) }
      try put(slot, decided)
      (least, most) = (min(least, decided - estimate), max(most, decided - estimate))
    }
  }

  func write(_ row: Int, into rows: ResultRows) {
    order(found.all)
    let count = min(rows.k, found.count)
    for rank in 0..<count { rows.write(row, rank, slot: Int(found[rank].index), score: found[rank].squared) }
    rows.end(row, count)
  }

  func order(_ candidates: UnsafeMutableBufferPointer<Candidate>) {
    guard candidates.count <= Self.few else {
      var unsorted = candidates
      return unsorted.sort(by: precedes)
    }
    for next in 1..<max(1, candidates.count) {
      let candidate = candidates[next]
      var position = next
      while position > 0 && precedes(candidate, candidates[position &- 1]) {
        candidates[position] = candidates[position &- 1]
        position &-= 1
      }
      candidates[position] = candidate
    }
  }

  @inline(__always)
  private func precedes(_ a: Candidate, _ b: Candidate) -> Bool {
    a.squared < b.squared || (a.squared == b.squared && serials[Int(a.index)] < serials[Int(b.index)])
  }
}
