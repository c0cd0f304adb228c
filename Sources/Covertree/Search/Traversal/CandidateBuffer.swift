import CNumerics
import CovertreeBase

/// The `k` nearest points of a query, for `k` up to `TopK.sortedLimit`.
///
/// During a search a point becomes a candidate, and its distance in the filter is inserted into the sorted list of the `k` smallest. The
/// list is in vectors, and three instructions per vector shift the larger distances. At the end the candidates within the threshold are
/// decided by float64 distances and then by indices.
struct CandidateBuffer<S: Scalar>: ResultHandler {
  /// Scratch for candidates of `k`, one query after the other.
  final class Scratch {
    /// A whole vector may be written behind the last candidate.
    private static var margin: Int { 16 }

    let k: Int
    fileprivate let vectors: Int
    /// The number of new candidates whose distances are inserted together.
    fileprivate let patience: Int
    /// The `k` smallest distances in the filter, then infinity.
    fileprivate let smallest: UnsafeMutablePointer<S.Lanes>
    private let capacity: Int
    /// By candidate: its distance in the filter, and its position.
    fileprivate let filtered: UnsafeMutablePointer<S>
    fileprivate let positions: UnsafeMutablePointer<Int32>
    private let arena: Arena

    init(k: Int) throws(CoverTreeError) {
      self.k = k
      let vectors = (k + S.width - 1) / S.width
      self.vectors = vectors == 3 ? 4 : vectors
      patience = max(4, k / 2)
      capacity = 16 * S.width + 4 * k
      limit = capacity
      let all = capacity + Self.margin
      arena = try Arena(
        Arena.size(self.vectors, of: S.Lanes.self), Arena.size(all, of: S.self), Arena.size(all, of: Int32.self))
      smallest = arena.allocate(self.vectors)
      filtered = arena.allocate(all)
      positions = arena.allocate(all)
    }

    /// The number of candidates from which those beyond the threshold are dropped.
    fileprivate private(set) var limit: Int

    /// Whether the last query was crowded, so the next one probably is, too, and should notice soon.
    var expectsCrowd = false {
      didSet { limit = expectsCrowd ? min(capacity, k + patience + 3 * S.width) : capacity }
    }
  }

  /// Unowned, because counting references per query would make a thread wait until the last query's row is written. The caller keeps it
  /// alive.
  private unowned(unsafe) let scratch: Scratch
  private let smallest: UnsafeMutablePointer<S.Lanes>
  private let filtered: UnsafeMutablePointer<S>
  private let positions: UnsafeMutablePointer<Int32>
  private let vectors: Int
  private let rounding: RoundingBound<S>
  private var count = 0
  /// The number of candidates whose distances were inserted, and the number at which the next ones are.
  private var inserted = 0
  private var due: Int
  private var threshold: S
  /// Whether the search stopped without an answer because too many points are about as near as the k-th.
  private(set) var isCrowded = false

  /// - Parameter bound: the largest distance in the filter that is of use.
  @inline(__always)
  init(_ scratch: Scratch, bound: S, rounding: RoundingBound<S>) {
    self.scratch = scratch
    self.rounding = rounding
    smallest = scratch.smallest
    vectors = scratch.vectors
    filtered = scratch.filtered
    positions = scratch.positions
    threshold = bound
    due = scratch.k &+ scratch.patience
    smallest.update(repeating: S.Lanes(repeating: .infinity), count: vectors)
  }

  @inline(__always)
  func threshold(_ rounding: RoundingBound<S>) -> S { threshold }

  @inline(__always)
  mutating func collect<D: MetricSpace>(_ hits: Hits<S, D>) {
    if count &+ S.width > scratch.limit { dropFarCandidates() }
    S.store(hits.filtered, hits.lanes, packedTo: filtered + count)
    let lanes = SIMD16<Int32>(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
    cn_i32x16_store_packed(positions + count, lanes &+ Int32(truncatingIfNeeded: hits.position), hits.lanes)
    count &+= hits.lanes.nonzeroBitCount
    if count >= due { tighten() }
  }

  /// Inserts the distances of the latest candidates. The k-th smallest is the threshold.
  @inline(__always)
  private mutating func tighten() {
    switch vectors {
    case 1: insertDistances(Vectors<1>())
    case 2: insertDistances(Vectors<2>())
    case 4: insertDistances(Vectors<4>())
    default: for candidate in inserted..<count { insert(filtered[candidate]) }
    }
    inserted = count
    due = count &+ scratch.patience
    let kth = smallest.scalars[scratch.k &- 1]
    threshold = min(threshold, rounding.upperBound(ofFiltered: kth))
  }

  private struct Vectors<let count: Int> {}

  /// Keeps the smallest distances in registers.
  @inline(__always)
  private func insertDistances<let length: Int>(_: Vectors<length>) {
    var kept = InlineArray<length, S.Lanes> { smallest[$0] }
    for candidate in inserted..<count {
      let x = S.Lanes(repeating: filtered[candidate])
      var vector = length &- 1
      while vector > 0 {
        kept[vector] = S.minimum(kept[vector], S.maximum(x, S.up(kept[vector &- 1], kept[vector])))
        vector &-= 1
      }
      kept[0] = S.minimum(kept[0], S.maximum(x, S.up(S.Lanes(repeating: -.infinity), kept[0])))
    }
    for vector in 0..<length { smallest[vector] = kept[vector] }
  }

  /// Each position gets the larger of the new distance and the one before it, unless its own is smaller.
  @inline(__always)
  private func insert(_ distance: S) {
    let x = S.Lanes(repeating: distance)
    var vector = vectors &- 1
    while vector > 0 {
      let own = smallest[vector]
      smallest[vector] = S.minimum(own, S.maximum(x, S.up(smallest[vector &- 1], own)))
      vector &-= 1
    }
    smallest[0] = S.minimum(smallest[0], S.maximum(x, S.up(S.Lanes(repeating: -.infinity), smallest[0])))
  }

  /// Drops candidates beyond the threshold. If nearly all of them stay, as equally distant points do, the search stops: to go through all
  /// of them for each query would take quadratic time.
  @inline(never)
  private mutating func dropFarCandidates() {
    tighten()
    var kept = 0
    for candidate in 0..<count where filtered[candidate] <= threshold {
      filtered[kept] = filtered[candidate]
      positions[kept] = positions[candidate]
      kept &+= 1
    }
    (count, inserted, due) = (kept, kept, kept &+ scratch.patience)
    guard kept &+ 2 &* S.width > scratch.limit else { return }
    (count, inserted, due) = (0, 0, Int.max)
    (threshold, isCrowded) = (-.infinity, true)
  }

  /// Sorts the candidates within the threshold by float64 distance and then by index. Keeps the first `k` that are within the bound; the
  /// reranker records them.
  @inline(__always)
  mutating func decided<D: MetricSpace>(
    _ search: borrowing KDTreeSearch<S, D>, _ row: UnsafePointer<S>, bound: Double, into reranker: ExactReranker<S>
  ) throws(CoverTreeError) -> SortedNeighbors {
    if count > scratch.k { tighten() }
    reranker.removeAll()
    for first in stride(from: 0, to: count, by: S.width) {
      let lanes = UnsafeRawPointer(filtered + first).load(as: S.Lanes.self)
      var near = S.maskLessOrEqual(lanes, S.Lanes(repeating: threshold))
      if count &- first < S.width { near &= (1 &<< UInt32(truncatingIfNeeded: count &- first)) &- 1 }
      for lane in SetBits(near) {
        let point = search.point(at: Int(positions[first &+ lane]))
        guard
          reranker.append(
            point.coordinates, stride: S.width, point.index, filtered: filtered[first &+ lane], search.dimension)
        else {
          return try reranker.sorted(decidedOneByOne(search, row, bound: bound))
        }
      }
    }
    return reranker.sorted(from: row, search.dimension, within: bound)
  }

  /// For more candidates than a reranker has room for, for example many equally distant points.
  @inline(never)
  private func decidedOneByOne<D: MetricSpace>(
    _ search: borrowing KDTreeSearch<S, D>, _ row: UnsafePointer<S>, bound: Double
  ) throws(CoverTreeError) -> TopK {
    var nearest = TopK(try TopK.Scratch(k: scratch.k), bound: bound)
    for candidate in 0..<count where filtered[candidate] <= threshold {
      let point = search.point(at: Int(positions[candidate]))
      let squared = search.dimension.score(row, point.coordinates, stride: S.width)
      nearest.insert(squared, point.index)
    }
    return nearest
  }
}
