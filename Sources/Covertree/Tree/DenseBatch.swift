/// A batch of queries that are compared with every point by bounds below its distance: what is kept of each, and the decision.
///
/// Points that come below the limit wait until there are some; then their distances are computed in the coordinates' own
/// type, and the k-th smallest, with what rounding may add, is the new limit. In the end the few points that are left are decided by
/// the distance that every other search decides by.
final class DenseBatch<S: Scalar> {
  /// Queries that are compared together: they stay in the second cache.
  static var size: Int { 64 }

  /// What one query asks for: nothing beyond `bound`, squared.
  struct Query {
    let query: QuerySet<S>.Query
    let eligible: Eligibility
    let bound: Double
  }

  private let snapshot: TreeSnapshot<S>
  private let labels: Buffer<Int32>
  private let k: Int
  private(set) var queries: [Query] = []
  private let candidates: [Stack<DenseCandidate>]
  private let rooms: [NearestCollector.Room]
  /// Of each query: the smallest upper bounds of the distances that were computed, and of how many that was.
  private let uppers: UnsafeMutablePointer<NearestCollector>
  private let computed: Buffer<Int>
  private let decision: NearestCollector.Room
  /// Points that wait before their distances are computed together.
  private let patience: Int
  /// What rounding may hide of a distance in the coordinates' own type: every difference, square and sum rounds by half an
  /// ulp at most.
  private let slack: Double
  private let underflow: Double

  init(_ snapshot: TreeSnapshot<S>, k: Int) throws(CoverTreeError) {
    self.snapshot = snapshot
    self.k = k
    labels = snapshot.searchLabels
    patience = max(32, k)
    let dim = Double(snapshot.layout.dim)
    slack = (dim + 8) * Double(S.ulpOfOne)
    underflow = (dim + 8) * Double(S.leastNormalMagnitude)
    var candidates: [Stack<DenseCandidate>] = []
    var rooms: [NearestCollector.Room] = []
    for _ in 0..<Self.size {
      candidates.append(try Stack())
      rooms.append(try NearestCollector.Room(k: k))
    }
    (self.candidates, self.rooms) = (candidates, rooms)
    decision = try NearestCollector.Room(k: k)
    computed = try Buffer(count: Self.size)
    uppers = .allocate(capacity: Self.size)
    for i in 0..<Self.size { (uppers + i).initialize(to: NearestCollector(rooms[i], bound: .infinity)) }
  }

  deinit {
    uppers.deinitialize(count: Self.size)
    uppers.deallocate()
  }

  func begin(_ queries: [Query]) {
    self.queries = queries
    for (i, query) in queries.enumerated() {
      candidates[i].removeAll()
      computed[i] = 0
      uppers[i] = NearestCollector(rooms[i], bound: query.bound)
    }
  }

  /// The squared distance beyond which nothing is wanted for a query any more.
  @inline(__always)
  func limit(_ i: Int) -> Double { uppers[i].worst }

  /// Keeps the point at a place if it counts for the query, with a bound below its squared distance.
  @inline(__always)
  func keep(_ i: Int, place: Int, lower: Double) throws(CoverTreeError) {
    guard place < labels.count else { return }
    let label = labels.base[place]
    guard queries[i].eligible.admits(label) else { return }
    let list = candidates[i]
    try list.append(DenseCandidate(lower: lower, label: label))
    if list.count &- computed.base[i] >= patience { try computeDistances(i, list) }
  }

  /// Computes the distances of the points that wait, in the coordinates' own type; those beyond the limit are dropped.
  private func computeDistances(_ i: Int, _ list: Stack<DenseCandidate>) throws(CoverTreeError) {
    let query = queries[i].query.coordinates
    var kept = computed[i]
    for slot in kept..<list.count where list[slot].lower <= uppers[i].worst {
      let label = list[slot].label
      let squared = Double(inLanes(query, row(label), snapshot.layout.dim))
      // What overflows is at least as large as the largest number.
      let least = min(squared, Double(S.greatestFiniteMagnitude))
      list[kept] = DenseCandidate(lower: least * (1 - slack) - underflow, label: label)
      if squared.isFinite { uppers[i].offer(squared * (1 + slack) + underflow, label) }
      kept += 1
    }
    try list.resize(to: kept)
    computed[i] = kept
  }

  /// The nearest points of a query, when all have been offered.
  func decided(_ i: Int) throws(CoverTreeError) -> SortedNeighbors {
    let list = candidates[i]
    try computeDistances(i, list)
    let worst = uppers[i].worst
    var left = 0
    for slot in 0..<list.count where list[slot].lower <= worst {
      list[left] = list[slot]
      left += 1
    }
    var nearest = NearestCollector(decision, bound: queries[i].bound)
    let query = queries[i].query.coordinates
    // Four at a time: each sum is a chain of additions.
    for first in stride(from: 0, to: left, by: 4) {
      let labels = SIMD4<Int32>(
        list[first].label, list[min(first + 1, left - 1)].label, list[min(first + 2, left - 1)].label,
        list[min(first + 3, left - 1)].label)
      let squares = squaredEuclidean(
        query, row(labels[0]), row(labels[1]), row(labels[2]), row(labels[3]), dim: snapshot.layout.dim)
      for lane in 0..<min(4, left - first) { nearest.offer(squares[lane], labels[lane]) }
    }
    return nearest.finished()
  }

  private func row(_ label: Int32) -> UnsafePointer<S> {
    UnsafePointer(snapshot.layout.points.base) + Int(snapshot.positions[label]) &* snapshot.layout.dim
  }

  /// The squared distance, summed lane by lane.
  private func inLanes(_ x: UnsafePointer<S>, _ y: UnsafePointer<S>, _ dim: Int) -> S {
    var sums = S.Lanes(repeating: 0)
    let whole = dim / S.width &* S.width
    for d in stride(from: 0, to: whole, by: S.width) {
      let a = UnsafeRawPointer(x + d).loadUnaligned(as: S.Lanes.self)
      let difference = a - UnsafeRawPointer(y + d).loadUnaligned(as: S.Lanes.self)
      sums = S.multiplyAdd(difference, difference, sums)
    }
    var sum: S = 0
    for lane in 0..<S.width { sum += sums[lane] }
    for d in whole..<dim { sum += (x[d] - y[d]) * (x[d] - y[d]) }
    return sum
  }
}

/// A way to compare a batch with every point. To be known by its type where it is used: a scan that is called through the
/// protocol is not specialised.
protocol BatchScan: AnyObject {
  /// Offers the batch every point that can be among the nearest of one of its queries.
  func run() throws(CoverTreeError)
}

/// A point that can be among the nearest: a bound below its squared distance, and its dataset index.
struct DenseCandidate: BitwiseCopyable {
  var lower: Double
  var label: Int32
}
