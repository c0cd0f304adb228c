/// A batch of queries that are compared with every point by bounds below its distance: what is kept of each, and the decision.
///
/// Points that come below the limit wait until there are some; then their distances are computed in the coordinates' own
/// type, and the k-th smallest, with what rounding may add, is the new limit. In the end the few points that are left are decided by
/// the distance that every other search decides by.
final class DenseBatch<Points: DensePoints>: QueryBatch {
  typealias S = Points.S

  let points: Points
  private let labels: Buffer<Int32>
  private let k: Int
  private var queries: [BatchQuery<S>] = []
  var rows: [UnsafePointer<S>] { queries.map(\.query.coordinates) }
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
  /// All points with a smaller square are candidates: squares below this have lost digits.
  private let resolution: Double
  /// Of each query: what a rounding may be a share of beside the score itself, where scores cancel.
  private let scales: Buffer<Double>

  init(_ points: Points, k: Int) throws(CoverTreeError) {
    self.points = points
    self.k = k
    labels = points.labels
    patience = max(32, k)
    let dim = Double(points.dim)
    slack = (dim + 8) * Double(S.ulpOfOne)
    underflow = (dim + 8) * Double(S.leastNormalMagnitude)
    resolution = S.self == Double.self && !points.products ? Score.leastSquare : -.infinity
    var candidates: [Stack<DenseCandidate>] = []
    var rooms: [NearestCollector.Room] = []
    for _ in 0..<Self.size {
      candidates.append(try Stack())
      rooms.append(try NearestCollector.Room(k: k))
    }
    (self.candidates, self.rooms) = (candidates, rooms)
    decision = try NearestCollector.Room(k: k)
    computed = try Buffer(count: Self.size)
    scales = try Buffer(count: Self.size, filledWith: 0)
    uppers = .allocate(capacity: Self.size)
    for i in 0..<Self.size { (uppers + i).initialize(to: NearestCollector(rooms[i], bound: .infinity)) }
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
      uppers[i] = NearestCollector(rooms[i], bound: query.bound)
      if points.products { scales[i] = points.longest * lengthOf(query.query.coordinates, points.dim) }
    }
  }

  @inline(__always)
  func limit(_ i: Int) -> Double { max(uppers[i].worst, resolution) }

  @inline(__always)
  func keep(_ i: Int, place: Int, lower: Double, upper: Double) throws(CoverTreeError) {
    guard place < labels.count else { return }
    guard queries[i].eligible.admits(labels.base[place]) else { return }
    let place = Int32(truncatingIfNeeded: place)
    points.prefetch(place)
    let list = candidates[i]
    try list.append(DenseCandidate(lower: lower, place: place))
    if list.count &- computed.base[i] >= patience { try computeDistances(i, list) }
  }

  /// Computes the distances of the points that wait, in the coordinates' own type; those beyond the limit are dropped.
  private func computeDistances(_ i: Int, _ list: Stack<DenseCandidate>) throws(CoverTreeError) {
    let query = queries[i].query.coordinates
    var kept = computed[i]
    for slot in kept..<list.count where list[slot].lower <= limit(i) {
      let place = list[slot].place
      let score = Double(points.quick(query, place))
      // What overflows is at least as large as the largest number.
      let least = min(score, Double(S.greatestFiniteMagnitude))
      let hidden = (points.products ? scales[i] : least) * slack + underflow
      list[kept] = DenseCandidate(lower: least - hidden, place: place)
      if score.isFinite { uppers[i].offer(score + hidden, labels[place]) }
      kept += 1
    }
    try list.resize(to: kept)
    computed[i] = kept
  }

  /// The nearest points of a query, when all have been offered.
  func decided(_ i: Int) throws(CoverTreeError) -> SortedNeighbors {
    let list = candidates[i]
    try computeDistances(i, list)
    let worst = limit(i)
    var left = 0
    for slot in 0..<list.count where list[slot].lower <= worst {
      list[left] = list[slot]
      left += 1
    }
    var nearest = NearestCollector(decision, bound: queries[i].bound)
    let query = queries[i].query.coordinates
    // Four at a time: each sum is a chain of additions.
    for first in stride(from: 0, to: left, by: 4) {
      let places = SIMD4<Int32>(
        list[first].place, list[min(first + 1, left - 1)].place, list[min(first + 2, left - 1)].place,
        list[min(first + 3, left - 1)].place)
      let scores = points.decided(query, places)
      for lane in 0..<min(4, left - first) { nearest.offer(scores[lane], labels[places[lane]]) }
    }
    return nearest.finished()
  }
}

/// The length of a vector.
func lengthOf<S: Scalar>(_ row: UnsafePointer<S>, _ dim: Int) -> Double {
  var sum = 0.0
  for d in 0..<dim { sum += Double(row[d]) * Double(row[d]) }
  return sum.squareRoot()
}

/// Points that queries are compared with one after the other. They are known by their places.
///
/// Scores are squared distances or, where `products`, negative inner products.
protocol ScannedPoints<S>: AnyObject, Sendable {
  associatedtype S: Scalar

  var count: Int { get }
  var dim: Int { get }
  var products: Bool { get }

  func copy(_ place: Int, into target: UnsafeMutablePointer<S>)
  /// One vector a coordinate of as many points as lanes: where they are, or put into the scratch. Lanes behind the last point
  /// have any numbers.
  func lanes(ofGroup group: Int, _ scratch: UnsafeMutablePointer<S.Lanes>) -> UnsafePointer<S.Lanes>
}

/// The same where single points are decided about.
protocol DensePoints<S>: ScannedPoints {
  /// By place; `noLabel` for points that do not count.
  var labels: Buffer<Int32> { get }
  /// The length of the longest point, where products are compared.
  var longest: Double { get }

  /// Begins to fetch the coordinates of a point that will be decided about.
  func prefetch(_ place: Int32)
  /// The score of a point in the coordinates' own type, or better.
  func quick(_ query: UnsafePointer<S>, _ place: Int32) -> S
  /// The scores that decide, of four points.
  func decided(_ query: UnsafePointer<S>, _ places: SIMD4<Int32>) -> SIMD4<Double>
}

extension ScannedPoints {
  /// The least and the greatest coordinate of all points in each dimension.
  func extents(_ context: CallContext) throws(CoverTreeError) -> (low: Buffer<S>, high: Buffer<S>) {
    let dim = dim
    let (low, high) = (
      try Buffer<S>(count: context.threads * dim, filledWith: .infinity),
      try Buffer<S>(count: context.threads * dim, filledWith: -.infinity)
    )
    let rows = try Buffer<S>(count: context.threads * dim)
    try context.forEach(count, grain: 1024) { (range, slot) throws(CoverTreeError) in
      let (row, low, high) = (rows.base + slot * dim, low.base + slot * dim, high.base + slot * dim)
      for place in range {
        copy(place, into: row)
        for d in 0..<dim {
          low[d] = row[d] < low[d] ? row[d] : low[d]
          high[d] = row[d] > high[d] ? row[d] : high[d]
        }
      }
    }
    for slot in 1..<max(1, context.threads) {
      for d in 0..<dim {
        low[d] = min(low[d], low[slot * dim + d])
        high[d] = max(high[d], high[slot * dim + d])
      }
    }
    return (low, high)
  }
}

/// Queries that a scan compares with every point, and what is wanted of them.
protocol QueryBatch: AnyObject {
  associatedtype Points: ScannedPoints

  var points: Points { get }
  /// The coordinates of the queries, at most `size` of them.
  var rows: [UnsafePointer<Points.S>] { get }
  /// The score beyond which nothing is wanted for a query any more.
  func limit(_ i: Int) -> Double
  /// Keeps the point at a place if it counts for the query, with bounds of its score.
  func keep(_ i: Int, place: Int, lower: Double, upper: Double) throws(CoverTreeError)
}

extension QueryBatch {
  /// Queries that are compared together: they stay in the second cache.
  static var size: Int { 64 }
}

/// What one query of a batch asks for: nothing with a score beyond `bound`.
struct BatchQuery<S: Scalar> {
  let query: QuerySet<S>.Query
  let eligible: Eligibility
  let bound: Double
}

/// A way to compare a batch with every point. To be known by its type where it is used: a scan that is called through the
/// protocol is not specialised.
protocol BatchScan: AnyObject {
  /// Offers the batch every point that can be among the nearest of one of its queries.
  func run() throws(CoverTreeError)
}

/// A point that can be among the nearest: a bound below its score, and its place.
struct DenseCandidate: BitwiseCopyable {
  var lower: Double
  var place: Int32
}
