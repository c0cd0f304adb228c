import CovertreeBase

/// Radius search and counting by comparing queries with all points in batches (`BruteForceScan`, `QuantizedScan`).
///
/// The radius is the limit from the start. A scan keeps every point whose bound is within it; the few that rounding leaves open are
/// decided by the score that every search decides by.
struct BruteForceRadius<Points: BruteForcePoints> {
  typealias S = Points.S
  typealias Query = QuerySet<S>.Query

  let points: Points
  let set: QuerySet<S>
  let options: SearchOptions
  let reach: QueryReach<S>
  /// Whether neighbours are listed, or only counted.
  let lists: Bool
  let context: CallContext
  let counters: SearchCounters

  /// Passes on the result of each query. One thread passes on the results of a batch, one after the other.
  func run<B: BatchScan>(
    _ positions: Range<Int>, _ make: (RadiusBatch<Points>) throws(CoverTreeError) -> B,
    keep: (Query, FoundWithin) throws(CoverTreeError) -> Void
  ) throws(CoverTreeError) where B.Batch == RadiusBatch<Points> {
    let size = RadiusBatch<Points>.size
    let scans = PerThread<B>(count: context.threads)
    try context.forEach((positions.count + size - 1) / size, grain: 1) { (range, slot) throws(CoverTreeError) in
      let scan = try scans.value(slot) { () throws(CoverTreeError) in
        try make(RadiusBatch(points, reach: reach, lists: lists))
      }
      for chunk in range {
        let first = positions.lowerBound + chunk * size
        let numbers = first..<min(positions.upperBound, first + size)
        let rows = try set.queries(numbers)
        defer { withExtendedLifetime(rows) {} }
        let queries = numbers.map { position in
          let query = rows[position]
          return BatchQuery(query: query, eligible: options.eligible(query), bound: reach.bound(query))
        }
        scan.batch.begin(queries)
        try scan.run()
        for (i, query) in queries.enumerated() {
          let (neighbors, count) = try scan.batch.decided(i)
          try keep(query.query, FoundWithin(neighbors: neighbors, count: count, batch: chunk, slot: slot))
        }
        counters.add(queries: queries.count, points: queries.count * points.count, boxes: 0)
      }
    }
  }

  /// Whether the rounding to bytes is small compared with the radii of a call's first queries.
  func suits(_ bytes: QuantizedPoints<S>) throws(CoverTreeError) -> Bool {
    let sample = min(set.count, BruteForceChoice.pilots)
    let rows = try set.queries(0..<sample)
    defer { withExtendedLifetime(rows) {} }
    let sizes = (0..<sample).reduce(0.0) {
      $0 + (points.products ? points.longest : Score.distance(reach.bound(rows[$1])))
    }
    return bytes.suit(sample, distances: sizes)
  }
}

extension BruteForceRadius {
  /// As above, by the product that the processor and the points allow. Returns false if no product is possible; nothing was passed on.
  func run<T>(
    _ positions: Range<Int>, keep: (Query, FoundWithin) throws(CoverTreeError) -> Void
  ) throws(CoverTreeError) -> Bool where Points == FlatPoints<T> {
    if let bytes = try points.quantizedPoints(context), try suits(bytes) {
      try run(positions, { (batch) throws(CoverTreeError) in try QuantizedScan(bytes, batch) }, keep: keep)
    } else if let norms = try points.bruteForceNorms(context) {
      try run(positions, { (batch) throws(CoverTreeError) in try BruteForceScan(norms, batch) }, keep: keep)
    } else {
      return false
    }
    return true
  }

  /// The number of neighbours of each query, by row. Returns false if no product is possible; nothing was counted.
  func count<T>(
    _ positions: Range<Int>, into counts: UnsafeMutablePointer<Int64>
  ) throws(CoverTreeError) -> Bool where Points == FlatPoints<T> {
    try run(positions) { (query, found) throws(CoverTreeError) in counts[query.row] = Int64(found.count) }
  }
}

/// The neighbours of a query.
struct FoundWithin {
  /// Unordered, and valid until the next batch; empty if neighbours are only counted.
  let neighbors: UnsafeMutableBufferPointer<Candidate>
  let count: Int
  /// The number of the batch, and the slot of its thread.
  let batch: Int
  let slot: Int
}

/// The limit of each query, and the scores that decide.
struct QueryReach<S: Scalar> {
  /// An upper bound of a neighbour's score by the points' own coordinates.
  let bound: (QuerySet<S>.Query) -> Double
  /// The largest score of a neighbour, and the scores of points at four positions; nil if the points' own scores decide.
  let decision: (limit: (QuerySet<S>.Query) -> Double, scores: (QuerySet<S>.Query, SIMD4<Int32>) -> SIMD4<Double>)?
}

extension QueryReach {
  /// For a radius search in a tree.
  init(_ options: SearchOptions, _ points: SearchPoints<S>, _ rounded: RoundedQueries?) {
    guard S.self == Float.self, let rounded else {
      self.init(bound: { options.farthestScore($0.row, S.self) }, decision: nil)
      return
    }
    self.init(
      bound: { rounded.reach(options.farthestScore($0.row, Double.self), $0.row) },
      decision: (
        limit: { options.farthestScore($0.row, Double.self) },
        scores: { query, positions in
          let row = rounded.queries.row(query.row)
          var scores = SIMD4<Double>()
          for lane in 0..<4 {
            let point = points.coordinates(at: Int(positions[lane]))
            scores[lane] = euclideanScore(row, point, stride: S.width, dim: points.dim)
          }
          return scores
        }
      ))
  }
}

/// A batch of queries whose limits do not change. Points within them wait until there are `patience` of them, and are decided together.
final class RadiusBatch<Points: BruteForcePoints>: QueryBatch {
  typealias S = Points.S

  let points: Points
  private let indices: Buffer<Int32>
  private let reach: QueryReach<S>
  private let lists: Bool
  private var queries: [BatchQuery<S>] = []
  var rows: [UnsafePointer<S>] { queries.map(\.query.coordinates) }
  private let limits: Buffer<Double>
  /// By query: a point whose upper bound is at most this is a neighbour without a decision.
  private let certain: Buffer<Double>
  private let waiting: [GrowableBuffer<Int32>]
  private let neighbors: [GrowableBuffer<Candidate>]
  private let counts: Buffer<Int>
  /// All points with a smaller square are candidates: squares below this have lost digits.
  private let resolution: Double

  /// Points that wait before they are decided.
  private static var patience: Int { 64 }
  /// Points whose coordinates are prefetched while others are decided.
  private static var ahead: Int { 8 }

  init(_ points: Points, reach: QueryReach<S>, lists: Bool) throws(CoverTreeError) {
    (self.points, self.reach, self.lists) = (points, reach, lists)
    indices = points.indices
    resolution = S.self == Double.self && !points.products ? Score.leastSquare : -.infinity
    limits = try Buffer(count: Self.size)
    certain = try Buffer(count: Self.size)
    counts = try Buffer(count: Self.size)
    waiting = try (0..<Self.size).map { (_) throws(CoverTreeError) in try GrowableBuffer() }
    neighbors = try (0..<Self.size).map { (_) throws(CoverTreeError) in try GrowableBuffer() }
  }

  func begin(_ queries: [BatchQuery<S>]) {
    self.queries = queries
    for (i, query) in queries.enumerated() {
      waiting[i].removeAll()
      neighbors[i].removeAll()
      counts[i] = 0
      // The sums that decide are rounded, too.
      let rounding = query.bound < .infinity ? abs(query.bound) * Double(points.dim + 4) * Double.ulpOfOne : 0
      limits[i] = max(query.bound + rounding, resolution)
      certain[i] = lists || reach.decision != nil || query.bound < resolution ? -.infinity : query.bound - rounding
    }
  }

  @inline(__always)
  func limit(_ i: Int) -> Double { limits.base[i] }

  @inline(__always)
  func keep(_ i: Int, position: Int, lower: Double, upper: Double) throws(CoverTreeError) {
    guard position < indices.count else { return }
    guard queries[i].eligible.admits(indices.base[position]) else { return }
    guard upper > certain.base[i] else {
      counts.base[i] &+= 1
      return
    }
    let list = waiting[i]
    try list.append(Int32(truncatingIfNeeded: position))
    if list.count >= Self.patience { try decide(i, list) }
  }

  /// The neighbours of a query after all points were inserted, or only their number.
  func decided(_ i: Int) throws(CoverTreeError) -> (neighbors: UnsafeMutableBufferPointer<Candidate>, count: Int) {
    try decide(i, waiting[i])
    return (neighbors[i].all, counts[i])
  }

  /// Decides the waiting points, four at a time, because each sum is a chain of additions.
  private func decide(_ i: Int, _ list: GrowableBuffer<Int32>) throws(CoverTreeError) {
    let (query, neighbors, last) = (queries[i].query, neighbors[i], list.count - 1)
    let limit = reach.decision?.limit(query) ?? queries[i].bound
    var count = 0
    for slot in 0..<min(Self.ahead, list.count) { points.prefetch(list[slot]) }
    for first in stride(from: 0, to: list.count, by: 4) {
      let next = first + Self.ahead
      for slot in next..<max(next, min(next + 4, list.count)) { points.prefetch(list[slot]) }
      let positions = SIMD4<Int32>(
        list[first], list[min(first + 1, last)], list[min(first + 2, last)], list[min(first + 3, last)])
      let scores = reach.decision?.scores(query, positions) ?? points.decided(query.coordinates, positions)
      for lane in 0...min(3, last - first) where scores[lane] <= limit {
        count += 1
        if lists { try neighbors.append(Candidate(squared: scores[lane], index: indices[positions[lane]])) }
      }
    }
    counts[i] += count
    list.removeAll()
  }
}
