import CovertreeBase

/// A batch of queries that are compared with every point: the points kept for each query, and the decision between them.
///
/// Points whose lower bound is below the limit wait until there are `patience` of them. Then their distances are computed in the
/// coordinates' own type, and the k-th smallest, plus its rounding, is the new limit. At the end the few points that are left are decided
/// by the score that every search decides by.
final class BruteForceBatch<Points: BruteForcePoints>: QueryBatch {
  typealias S = Points.S

  let points: Points
  private let indices: Buffer<Int32>
  private let k: Int
  private var queries: [BatchQuery<S>] = []
  var rows: [UnsafePointer<S>] { queries.map(\.query.coordinates) }
  private let candidates: [GrowableBuffer<BruteForceCandidate>]
  private let scratches: [TopK.Scratch]
  /// By query: the smallest upper bounds of the distances computed so far.
  private let uppers: UnsafeMutablePointer<TopK>
  private let computed: Buffer<Int>
  private let decision: TopK.Scratch
  /// Points that wait before their distances are computed together.
  private let patience: Int
  /// Bound on the rounding of a distance in the coordinates' own type: each difference, square and sum rounds by at most half an ulp.
  private let slack: Double
  private let underflow: Double
  /// All points with a smaller square are candidates: squares below this have lost digits.
  private let resolution: Double
  /// By query: the magnitude that rounding is relative to, in addition to the score, if scores cancel.
  private let scales: Buffer<Double>

  init(_ points: Points, k: Int) throws(CoverTreeError) {
    self.points = points
    self.k = k
    indices = points.indices
    patience = max(32, k)
    let dim = Double(points.dim)
    slack = (dim + 8) * Double(S.ulpOfOne)
    underflow = (dim + 8) * Double(S.leastNormalMagnitude)
    resolution = S.self == Double.self && !points.products ? Score.leastSquare : -.infinity
    candidates = try (0..<Self.size).map { (_) throws(CoverTreeError) in try GrowableBuffer() }
    scratches = try (0..<Self.size).map { (_) throws(CoverTreeError) in try TopK.Scratch(k: k) }
    decision = try TopK.Scratch(k: k)
    computed = try Buffer(count: Self.size)
    scales = try Buffer(count: Self.size, filledWith: 0)
    uppers = .allocate(capacity: Self.size)
    for i in 0..<Self.size { (uppers + i).initialize(to: TopK(scratches[i], bound: .infinity)) }
  }

  deinit {
    uppers.deinitialize(count: Self.size)
    uppers.deallocate()
  }

  func begin(_ queries: [BatchQuery<S>]) {
    self.queries = queries
    for (i, query) in queries.enumerated() {
      candidates[i].removeAll()
      computed[i] = 0
      uppers[i] = TopK(scratches[i], bound: query.bound)
      if points.products { scales[i] = points.longest * lengthOf(query.query.coordinates, points.dim) }
    }
  }

  @inline(__always)
  func limit(_ i: Int) -> Double { max(uppers[i].worst, resolution) }

  @inline(__always)
  func keep(_ i: Int, position: Int, lower: Double, upper: Double) throws(CoverTreeError) {
    guard position < indices.count else { return }
    guard queries[i].eligible.admits(indices.base[position]) else { return }
    let position = Int32(truncatingIfNeeded: position)
    points.prefetch(position)
    let list = candidates[i]
    try list.append(BruteForceCandidate(lower: lower, position: position))
    if list.count &- computed.base[i] >= patience { try computeDistances(i, list) }
  }

  /// Computes the distances of the waiting points in the coordinates' own type, and drops those beyond the limit.
  private func computeDistances(_ i: Int, _ list: GrowableBuffer<BruteForceCandidate>) throws(CoverTreeError) {
    let query = queries[i].query.coordinates
    var kept = computed[i]
    for slot in kept..<list.count where list[slot].lower <= limit(i) {
      let position = list[slot].position
      let score = Double(points.quick(query, position))
      // An overflowed score is at least the largest number.
      let least = min(score, Double(S.greatestFiniteMagnitude))
      let hidden = (points.products ? scales[i] : least) * slack + underflow
      list[kept] = BruteForceCandidate(lower: least - hidden, position: position)
      if score.isFinite { uppers[i].insert(score + hidden, indices[position]) }
      kept += 1
    }
    try list.resize(to: kept)
    computed[i] = kept
  }

  /// The nearest points of a query, when all points have been inserted.
  func decided(_ i: Int) throws(CoverTreeError) -> SortedNeighbors {
    let list = candidates[i]
    try computeDistances(i, list)
    let worst = limit(i)
    var left = 0
    for slot in 0..<list.count where list[slot].lower <= worst {
      list[left] = list[slot]
      left += 1
    }
    var nearest = TopK(decision, bound: queries[i].bound)
    let query = queries[i].query.coordinates
    // Four at a time, because each sum is a chain of additions.
    for first in stride(from: 0, to: left, by: 4) {
      let positions = SIMD4<Int32>(
        list[first].position, list[min(first + 1, left - 1)].position, list[min(first + 2, left - 1)].position,
        list[min(first + 3, left - 1)].position)
      let scores = points.decided(query, positions)
      for lane in 0..<min(4, left - first) { nearest.insert(scores[lane], indices[positions[lane]]) }
    }
    return nearest.finished()
  }
}

/// A point that can be among the nearest.
struct BruteForceCandidate: BitwiseCopyable {
  var lower: Double
  var position: Int32
}
