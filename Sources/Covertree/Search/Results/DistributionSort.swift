/// Sorts candidates by score and then by label: they are dealt out evenly by their squared distances, which radius searches
/// find nearly uniform, and what is out of order then is not far from its place. O(n) expected; where the distances
/// cluster, the O(n log n) of a comparison sort.
final class DistributionSort {
  /// Fewer are inserted one by one; more in one heap are too many to insert.
  private static let few = 24
  private static let many = 48

  private let dealt: GrowableBuffer<Candidate>
  private let ends: GrowableBuffer<Int32>

  init() throws(CoverTreeError) {
    dealt = try GrowableBuffer()
    ends = try GrowableBuffer()
  }

  func sort(_ candidates: UnsafeMutableBufferPointer<Candidate>) throws(CoverTreeError) {
    guard candidates.count > Self.few else { return insertionSort(candidates) }
    guard try deal(candidates) else {
      var unsorted = candidates
      unsorted.sort { $0 < $1 }
      return
    }
    candidates.baseAddress!.update(from: dealt.base, count: candidates.count)
    insertionSort(candidates)
  }

  /// Deals the candidates out to as many heaps as there are of them, the nearest first.
  ///
  /// - Returns: false where one of the heaps would be large.
  private func deal(_ candidates: UnsafeMutableBufferPointer<Candidate>) throws(CoverTreeError) -> Bool {
    let count = candidates.count
    var (nearest, farthest) = (0.0, 0.0)
    for candidate in candidates {
      nearest = nearest < candidate.squared ? nearest : candidate.squared
      farthest = farthest > candidate.squared ? farthest : candidate.squared
    }
    let scale = Double(count - 1) / farthest
    // A negative score is not a square.
    guard scale.isFinite, nearest >= 0 else { return false }
    try dealt.resize(to: count)
    try ends.resize(to: count)
    ends.base.update(repeating: 0, count: count)
    for candidate in candidates { ends.base[Int(candidate.squared * scale)] &+= 1 }
    var (end, largest): (Int32, Int32) = (0, 0)
    for heap in 0..<count {
      largest = max(largest, ends.base[heap])
      end &+= ends.base[heap]
      ends.base[heap] = end
    }
    guard largest <= Self.many else { return false }
    for candidate in candidates {
      let heap = Int(candidate.squared * scale)
      ends.base[heap] &-= 1
      dealt.base[Int(ends.base[heap])] = candidate
    }
    return true
  }

  private func insertionSort(_ candidates: UnsafeMutableBufferPointer<Candidate>) {
    guard let base = candidates.baseAddress else { return }
    for next in 0..<candidates.count {
      let candidate = base[next]
      var place = next
      while place > 0 && candidate < base[place &- 1] {
        base[place] = base[place &- 1]
        place &-= 1
      }
      base[place] = candidate
    }
  }
}
