import CovertreeBase

/// Queries in float64 among points in float32, and the same queries rounded to float32.
///
/// A point's distances from a query and from the rounded query differ by at most the distance between these two. So a search around the
/// rounded query with a radius larger by that much finds all points that can matter. Scores with the query itself decide.
final class RoundedQueries: @unchecked Sendable {
  let queries: PointsView<Double>
  private let rows: Buffer<Float>
  /// For each query an upper bound of its distance from the rounded query; 0 if the two are equal.
  private let errors: Buffer<Double>
  /// The factor by which rounding may make a score larger.
  private let slack: Double
  /// nil for Euclidean distance.
  private let metric: TreeMetric?
  /// Whether none of the queries was changed.
  let areExact: Bool

  /// - Parameter queries: finite.
  init(_ queries: PointsView<Double>, _ metric: TreeMetric?, context: CallContext) throws(CoverTreeError) {
    (self.queries, self.metric) = (queries, metric)
    let dim = queries.dim
    rows = try Buffer(count: queries.count * dim)
    errors = try Buffer(count: queries.count)
    // Powers and their roots lose a few digits more.
    slack = 1 + Double(4 * dim + 32) * Double.ulpOfOne + (metric == nil ? 0 : 0x1p-30)
    let (rows, errors, slack) = (rows, errors, slack)
    try context.forEach(queries.count, grain: 1 << 12) { (range, _) throws(CoverTreeError) in
      for index in range {
        let (row, target) = (queries.row(index), rows.base + index * dim)
        var (square, isExact) = (0.0, true)
        for d in 0..<dim {
          let nearest = Float(row[d])
          target[d] = nearest.isFinite ? nearest : (nearest < 0 ? -1 : 1) * Float.greatestFiniteMagnitude
          let difference = row[d] - Double(target[d])
          isExact = isExact && difference == 0
          square += difference * difference
        }
        // The square of a difference below 2^-500 may underflow.
        let distance = metric?.bound { row[$0] - Double(target[$0]) } ?? square.squareRoot()
        errors[index] = isExact ? 0 : (distance + 0x1p-500) * slack
      }
    }
    areExact = errors.elements.allSatisfy { $0 == 0 }
  }

  var view: PointsView<Float> { PointsView(rows, count: queries.count, dim: queries.dim) }

  /// An upper bound of the score with the rounded query of a point whose score with the query itself is at most `score`.
  @inline(__always)
  func reach(_ score: Double, _ row: Int) -> Double {
    if let metric { return metric.score(ofDistance: metric.distance(score) * slack + errors[row]) * slack }
    let distance = Score.distance(score) + errors[row]
    return distance * distance * slack + Score.leastSquare
  }
}

extension KDTreeSearch {
  /// All points within the limits of a rounded query.
  @inline(never)
  mutating func findPrecisely(
    _ query: QuerySet<S>.Query, _ locator: PointLocator<S>, _ rounded: RoundedQueries, _ options: SearchOptions,
    into found: GrowableBuffer<Candidate>
  ) throws(CoverTreeError) {
    var handler = PreciseWithin<S, D>(
      dimension: dimension, locator: locator, rounded: rounded, query: query,
      limit: options.farthestScore(query.row, Double.self),
      found: found
    )
    try run(query.coordinates, options.eligible(query), into: &handler)
  }
}

/// All points whose score with the query itself is at most `limit`.
private struct PreciseWithin<S: Scalar, D: MetricSpace>: ExactHandler {
  private let dimension: D
  private let locator: PointLocator<S>
  private let rounded: RoundedQueries
  private let query: UnsafePointer<Double>
  private let limit: Double
  private let found: GrowableBuffer<Candidate>
  let worst: Double

  init(
    dimension: D, locator: PointLocator<S>, rounded: RoundedQueries, query: QuerySet<S>.Query, limit: Double,
    found: GrowableBuffer<Candidate>
  ) {
    self.dimension = dimension
    (self.locator, self.rounded, self.limit, self.found) = (locator, rounded, limit, found)
    self.query = rounded.queries.row(query.row)
    worst = rounded.reach(limit, query.row)
  }

  mutating func insert(_ squared: Double, _ index: Int32) throws(CoverTreeError) {
    let score = dimension.score(query, locator.coordinates(index), stride: S.width)
    if score <= limit { try found.append(Candidate(squared: score, index: index)) }
  }
}

/// The `k` nearest points of rounded queries.
///
/// `k + 2` neighbours of the rounded query are sorted by their scores with the query itself. If the last one shows that no farther point
/// can be among the `k` nearest, the first `k` are the answer. The few other queries are searched again, with the rounding allowed for.
struct PreciseNearestTask: DimensionTask {
  let set: QuerySet<Float>
  let points: SearchPoints<Float>
  let k: Int
  /// The options of the call.
  let options: SearchOptions
  let context: CallContext
  let counters: SearchCounters
  let rounded: RoundedQueries
  /// nil for Euclidean distance.
  var metric: TreeMetric?
  let indices: UnsafeMutablePointer<Int64>
  let distances: UnsafeMutablePointer<Double>?

  /// Neighbours beyond the k-th that a search asks for.
  private static var more: Int { 2 }

  func run<D: MetricSpace>(_ dimension: D) throws(CoverTreeError) {
    let wanted = rounded.areExact ? k : k + Self.more
    let limits = try Buffer<Double>(count: rounded.areExact ? 0 : set.count)
    for row in 0..<limits.count { limits[row] = rounded.reach(options.farthestScore(row, Double.self), row) }
    let around = rounded.areExact ? try options.amongFloat32() : options.limited(to: limits.elements)
    let locator = try PointLocator(points)
    let incomplete = try Buffer<Bool>(count: set.count, filledWith: false)
    try NearestTask(
      set: set, points: points, k: wanted, options: around, context: context, counters: counters,
      rows: PreciseRows(task: self, dimension: dimension, locator: locator, wanted: wanted, incomplete: incomplete)
    ).run(dimension)
    withExtendedLifetime(limits) {}
    let queries = try set.queries(0..<set.count)
    defer { withExtendedLifetime(queries) {} }
    let again = try context.collect(set.count) { incomplete[queries[$0].row] ? Int32($0) : nil }
    try context.forEach(again.count, grain: points.queriesPerChunk) { (range, _) throws(CoverTreeError) in
      var search = try ExactSearch(points, k: min(k, points.positionCount), dimension: dimension)
      for position in range {
        let query = queries[Int(again[position])]
        let found = try search.nearest(
          to: rounded.queries.row(query.row), options.eligible(query),
          bound: options.farthestScore(query.row, Double.self))
        write(query.row, found.count) { Candidate(squared: found.squares[$0], index: Int32(found.indices[$0])) }
      }
      counters.add(queries: 0, points: search.pointsCompared, boxes: search.boxesCompared)
    }
  }

  @inline(__always)
  fileprivate func write(_ row: Int, _ count: Int, _ neighbor: (Int) -> Candidate) {
    let (indices, distances) = (indices + row &* k, distances.map { $0 + row &* k })
    let scores = options.scores.map { $0 + row &* k }
    for rank in 0..<count {
      let neighbor = neighbor(rank)
      indices[rank] = Int64(neighbor.index)
      distances?[rank] = metric?.distance(neighbor.squared) ?? Score.distance(neighbor.squared)
      scores?[rank] = Score.reported(neighbor.squared)
    }
    for rank in count..<k {
      indices[rank] = -1
      distances?[rank] = .infinity
      scores?[rank] = .infinity
    }
  }
}

/// Sorts neighbours of rounded queries by their scores with the queries themselves.
private struct PreciseRows<D: MetricSpace>: NeighborRows {
  typealias S = Float

  let task: PreciseNearestTask
  let dimension: D
  let locator: PointLocator<Float>
  /// The number of neighbours that the caller asked for.
  let wanted: Int
  /// By row: whether other points may be among the nearest.
  let incomplete: Buffer<Bool>

  func write(_ found: SortedNeighbors, _ query: QuerySet<Float>.Query) throws(CoverTreeError) {
    if task.rounded.areExact {
      return task.write(query.row, found.count) {
        Candidate(squared: found.squares[$0], index: Int32(truncatingIfNeeded: found.indices[$0]))
      }
    }
    let limit = task.options.farthestScore(query.row, Double.self)
    let row = task.rounded.queries.row(query.row)
    let arena = try Arena(Arena.size(found.count, of: Candidate.self))
    let sorted = arena.allocate(found.count, of: Candidate.self)
    var count = 0
    for rank in 0..<found.count {
      let index = Int32(truncatingIfNeeded: found.indices[rank])
      let score = dimension.score(row, locator.coordinates(index), stride: Float.width)
      guard score <= limit else { continue }
      sorted[count] = Candidate(squared: score, index: index)
      count &+= 1
    }
    sort(UnsafeMutableBufferPointer(start: sorted, count: count))
    count = min(count, task.k)
    let farthest = count == task.k ? sorted[count &- 1].squared : limit
    if found.count == wanted,
      found.squares[found.count &- 1] <= task.rounded.reach(farthest, query.row)
    {
      incomplete[query.row] = true
    }
    task.write(query.row, count) { sorted[$0] }
    withExtendedLifetime(arena) {}
  }

  /// The most neighbours that are sorted by insertion: they are nearly in order.
  private static var few: Int { 64 }

  private func sort(_ candidates: UnsafeMutableBufferPointer<Candidate>) {
    guard candidates.count <= Self.few else {
      var unsorted = candidates
      return unsorted.sort { $0 < $1 }
    }
    insertionSort(candidates)
  }
}
