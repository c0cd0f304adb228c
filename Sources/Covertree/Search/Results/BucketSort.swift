import CovertreeBase

/// A bucket sort of candidates by score and then by index, for the nearly uniform squared distances of a radius search. After the
/// distribution to buckets an insertion sort moves each candidate only a little. O(n) expected; if distances cluster, O(n log n) by a
/// comparison sort.
final class BucketSort {
  /// Fewer candidates are sorted by insertion alone.
  private static let few = 24
  /// With more candidates in one bucket, insertion would take too long.
  private static let many = 48

  private let distributed: GrowableBuffer<Candidate>
  private let ends: GrowableBuffer<Int32>

  init() throws(CoverTreeError) {
    distributed = try GrowableBuffer()
    ends = try GrowableBuffer()
  }

  func sort(_ candidates: UnsafeMutableBufferPointer<Candidate>) throws(CoverTreeError) {
    guard candidates.count > Self.few else { return insertionSort(candidates) }
    guard try distribute(candidates) else {
      var unsorted = candidates
      unsorted.sort { $0 < $1 }
      return
    }
    candidates.baseAddress!.update(from: distributed.base, count: candidates.count)
    insertionSort(candidates)
  }

  /// Distributes the candidates to buckets, the nearest first. There are as many buckets as candidates. Returns false if a bucket would be
  /// large.
  private func distribute(_ candidates: UnsafeMutableBufferPointer<Candidate>) throws(CoverTreeError) -> Bool {
    let count = candidates.count
    var (nearest, farthest) = (0.0, 0.0)
    for candidate in candidates {
      nearest = nearest < candidate.squared ? nearest : candidate.squared
      farthest = farthest > candidate.squared ? farthest : candidate.squared
    }
    let scale = Double(count - 1) / farthest
    // A negative score is not a square.
    guard scale.isFinite, nearest >= 0 else { return false }
    try distributed.resize(to: count)
    try ends.resize(to: count)
    ends.base.update(repeating: 0, count: count)
    for candidate in candidates { ends.base[Int(candidate.squared * scale)] &+= 1 }
    var (end, largest): (Int32, Int32) = (0, 0)
    for bucket in 0..<count {
      largest = max(largest, ends.base[bucket])
      end &+= ends.base[bucket]
      ends.base[bucket] = end
    }
    guard largest <= Self.many else { return false }
    for candidate in candidates {
      let bucket = Int(candidate.squared * scale)
      ends.base[bucket] &-= 1
      distributed.base[Int(ends.base[bucket])] = candidate
    }
    return true
  }
}

/// Sorts a few candidates, or nearly sorted ones.
func insertionSort(_ candidates: UnsafeMutableBufferPointer<Candidate>) {
  guard let base = candidates.baseAddress else { return }
  for next in 0..<candidates.count {
    let candidate = base[next]
    var position = next
    while position > 0 && candidate < base[position &- 1] {
      base[position] = base[position &- 1]
      position &-= 1
    }
    base[position] = candidate
  }
}
