import CovertreeBase

/// The search of a model without features whose kernel is one of the library. Its residual correlation is the kernel's own, which falls
/// with distance, so neighbours are sorted by their distances in space, over the lengthscales.
///
/// Far away a correlation is so small that `sqrt(1 - rho)` rounds to 1 for all points, or that it underflows, but distances in space
/// still differ. The search walks boxes and compares points by these distances, which are its scores.
///
/// **Limits.** The kernel is rounded, so a farther point can have a residual-correlation distance that is smaller by an ulp; it gets that of
/// the point before it. So distances ascend, and a limit ends a list before the first point that is beyond it.
final class SpatialSearch: @unchecked Sendable {
  private let model: ResidualModel
  private let points: SearchPoints<Double>
  private let counters = SearchCounters()

  init(_ model: ResidualModel, without removed: RemovedPoints?, context: CallContext) throws(CoverTreeError) {
    self.model = model
    let view = PointsView(model.coordinates, count: model.count, dim: model.dim)
    let boxes = try KDTree(view, indices: model.order.base, leafSize: KDTree<Double>.defaultLeafSize, context: context)
    var indices = boxes.indices
    if let removed {
      indices = try Buffer(count: boxes.indices.count)
      for (position, index) in boxes.indices.elements.enumerated() {
        indices[position] = removed.has(index) ? KDTree<Double>.noIndex : index
      }
    }
    points = SearchPoints(
      boxes, indices: indices, rows: RowsElsewhere(rows: view, positionOfIndex: model.positionOfIndex, owner: model))
  }

  var byteCount: Int { points.byteCount }

  func nearest(
    to queries: ResidualQueryRows, k: Int, options: SearchOptions, context: CallContext, into rows: CorrelationRows
  ) throws(CoverTreeError) {
    try withSet(queries, options, context) { (set, points, options) throws(CoverTreeError) in
      try specialized(
        model.dim,
        NearestTask(set: set, points: points, k: k, options: options, context: context, counters: counters, rows: rows))
    }
  }

  /// Finds all points within the largest distances of the options.
  func withinLimit(
    of queries: ResidualQueryRows, options: SearchOptions, context: CallContext, into results: RadiusResults
  ) throws(CoverTreeError) {
    let limits = options
    try withSet(queries, options, context) { (set, points, options) throws(CoverTreeError) in
      try specialized(
        model.dim,
        SpatialRadiusTask(
          set: set, points: points, options: options, context: context, counters: counters, model: model,
          limits: limits, results: results))
    }
  }

  /// Calls `body` with queries, with the points that the filter of the call admits, and with options whose largest distances are those in
  /// space.
  private func withSet(
    _ queries: ResidualQueryRows, _ given: SearchOptions, _ context: CallContext,
    _ body: (QuerySet<Double>, SearchPoints<Double>, SearchOptions) throws(CoverTreeError) -> Void
  ) throws(CoverTreeError) {
    var options = given
    options.maximumDistance = farthestInSpace(within: given.maximumDistance)
    let distances = try Buffer<Double>(count: given.maximumDistances?.count ?? 0)
    if given.maximumDistances != nil {
      try context.forEach(distances.count, grain: 64) { (range, _) throws(CoverTreeError) in
        for row in range { distances[row] = farthestInSpace(within: given.maximumDistance(ofRow: row)) }
      }
      options.maximumDistances = distances.elements
    }
    options = try options.reporting(in: Double.self, nil, context)
    let set: QuerySet<Double>
    switch queries {
    case .stored(nil, _): set = try QuerySet(allOf: points)
    case .stored(let indices?, _): set = try QuerySet(stored: indices, in: points, context: context)
    case .new(let new):
      set = try QuerySet(
        new: PointsView(new.coordinates, count: new.count, dim: model.dim), for: points, context: context)
    }
    try options.check(rows: set.count)
    try body(set, admitted(options, set.count, context), options)
    withExtendedLifetime((queries, distances)) {}
  }

  /// The points that the filter of a call admits.
  private func admitted(
    _ options: SearchOptions, _ queries: Int, _ context: CallContext
  ) throws(CoverTreeError) -> SearchPoints<Double> {
    guard let bytes = options.admitted else { return points }
    let mask = PointMask(bytes: bytes, leafSize: KDTree<Double>.defaultLeafSize, scales: nil)
    return try points.admitted(by: mask, queries: queries, context: context)
  }

  /// A distance in space beyond which no point is within a residual-correlation distance; slightly larger than the least one.
  private func farthestInSpace(within limit: Double) -> Double {
    // Errors of the kernel are some ulps.
    let least = (1 - limit * limit) * (1 - 0x1p-40) - 0x1p-45
    guard limit < 1, least > 0, case .kernel(let kernel) = model.covariance else { return .infinity }
    let isWithin = { (squared: Double) in
      kernel.value(atSquared: SIMD8(repeating: squared))[0] >= least * kernel.variance
    }
    var (near, far) = (0.0, 1.0)
    while isWithin(far) { (near, far) = (far, 2 * far) }
    while far - near > 0x1p-40 * far {
      let middle = near + (far - near) / 2
      if isWithin(middle) { near = middle } else { far = middle }
    }
    return far.squareRoot() * (1 + 0x1p-30)
  }
}

/// The output arrays: dataset indices, residual-correlation distances, and scores, which are squared distances in space.
struct CorrelationRows: NeighborRows {
  typealias S = Double

  let model: ResidualModel
  let k: Int
  let indices: UnsafeMutablePointer<Int64>
  let distances: UnsafeMutablePointer<Double>?
  /// The largest distance of a neighbour of each row, and the scores.
  let limits: SearchOptions

  func write(_ found: SortedNeighbors, _ query: QuerySet<S>.Query) throws(CoverTreeError) {
    let first = query.row &* k
    let limit = limits.maximumDistance(ofRow: query.row)
    var count = found.count
    if distances != nil || limit < 1 {
      count = model.forEachDistance(of: count, { found.indices[$0] }, from: query, within: limit) {
        distances?[first + $0] = $1
      }
    }
    for rank in 0..<count { indices[first + rank] = found.indices[rank] }
    for rank in count..<k { indices[first + rank] = -1 }
    if let scores = limits.scores {
      for rank in 0..<count { scores[first + rank] = Score.reported(found.squares[rank]) }
      for rank in count..<k { scores[first + rank] = .infinity }
    }
    if let distances {
      for rank in count..<k { distances[first + rank] = .infinity }
    }
  }
}

/// All points within a distance of each query.
private struct SpatialRadiusTask: DimensionTask {
  let set: QuerySet<Double>
  let points: SearchPoints<Double>
  let options: SearchOptions
  let context: CallContext
  let counters: SearchCounters
  let model: ResidualModel
  /// The largest distances of neighbours; those of `options` are in space.
  let limits: SearchOptions
  let results: RadiusResults

  func run<D: MetricSpace>(_ dimension: D) throws(CoverTreeError) {
    try context.forEach(set.count, grain: points.queriesPerChunk) { (range, slot) throws(CoverTreeError) in
      let queries = try set.queries(range)
      defer { withExtendedLifetime(queries) {} }
      var search = try KDTreeSearch(points, dimension: dimension)
      let (found, sort) = (try GrowableBuffer<Candidate>(), try BucketSort())
      for number in range {
        let query = queries[number]
        found.removeAll()
        var handler = RadiusHandler<Double>(
          found: found, worst: options.farthestScore(query.row, Double.self), rounding: search.rounding)
        try search.run(query.coordinates, options.eligible(query), into: &handler)
        try sort.sort(found.all)
        let limit = limits.maximumDistance(ofRow: query.row)
        let count = model.forEachDistance(of: found.count, { Int64(found[$0].index) }, from: query, within: limit) {
          found[$0].squared = $1
        }
        try results.add(row: query.row, count: count, slot: slot, sorted: false) { found[$0] }
      }
      counters.add(queries: range.count, points: search.pointsCompared, boxes: search.boxesCompared)
    }
  }
}

extension ResidualModel {
  /// Calls `body` with the residual-correlation distances of points that are sorted by distance in space, up to a limit. Returns their
  /// number.
  ///
  /// - Parameter index: the dataset index of the point of a rank.
  @inline(__always)
  fileprivate func forEachDistance(
    of count: Int, _ index: (Int) -> Int64, from query: QuerySet<Double>.Query, within limit: Double,
    _ body: (_ rank: Int, _ distance: Double) -> Void
  ) -> Int {
    let query = ExactQuery(
      coordinates: query.coordinates, features: UnsafePointer(features.base), residualVariance: variance,
      index: query.index)
    var largest = 0.0
    for first in stride(from: 0, to: count, by: 8) {
      let lanes = min(8, count - first)
      var positions = SIMD8<Int32>(repeating: 0)
      for lane in 0..<lanes { positions[lane] = positionOfIndex[Int(index(first + lane))] }
      let squares = squaredDistances(from: query, to: positions, count: lanes)
      for lane in 0..<lanes {
        // The kernel is rounded, but a farther point must not get a smaller distance.
        largest = max(largest, squares[lane].squareRoot())
        if largest > limit { return first + lane }
        body(first + lane, largest)
      }
    }
    return count
  }
}
