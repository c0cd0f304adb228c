import CovertreeBase

extension CoverTree {
  /// The number of rows of a search for `queries`.
  public func rowCount(_ queries: Queries<S>) -> Int {
    switch queries {
    case .points(let view): view.count
    case .stored(let list): list.elements.count
    case .allStored: count
    }
  }

  /// The `k` nearest points of each query, sorted by (distance, index).
  /// - Parameters:
  ///   - rows: of the results; throws `.busy` if the tree has changed since the caller read that number.
  ///   - indices: `rows x k`, dataset indices; -1 if there are fewer than `k`.
  ///   - distances: `rows x k`; infinity there. nil if they are not wanted.
  public func nearest(
    _ queries: Queries<S>, k: Int, options: SearchOptions, context: CallContext, rows: Int,
    indices: UnsafeMutablePointer<Int64>, distances: UnsafeMutablePointer<S>?
  ) throws(CoverTreeError) {
    try options.check(queries, metric)
    let options = try options.reporting(in: S.self, metric, context)
    let snapshot = self.snapshot
    let (queries, owner) = try self.rows(of: queries, context)
    let set = try querySet(queries, in: snapshot.points, context)
    try check(rows, of: set)
    let points = try points(in: snapshot, for: set.count, options, context)
    try run(
      queries, points,
      NearestTask(
        set: set, points: points, k: k, options: options, context: context, counters: searches,
        rows: TreeRows(k: k, indices: indices, distances: distances, scores: options.scores, root: metric?.root)))
    withExtendedLifetime(owner) {}
  }

  /// All points within `radius` (inclusive) of each query, sorted by (distance, index).
  public func within(
    _ radius: Double, of queries: Queries<S>, options: SearchOptions, context: CallContext
  ) throws(CoverTreeError) -> NeighborLists<S> {
    let (queries, owner) = try rows(of: queries, context)
    defer { withExtendedLifetime(owner) {} }
    let (points, set, options) = try radiusSearch(radius, queries, options, context)
    return try run(
      queries, points,
      RadiusTask<S, S>(
        set: set, points: points, options: options, context: context, counters: searches, metric: metric))
  }

  /// Counts the points within `radius` (inclusive) of each query. `counts` has room for `rows`.
  public func countWithin(
    _ radius: Double, of queries: Queries<S>, options: SearchOptions, context: CallContext, rows: Int,
    counts: UnsafeMutablePointer<Int64>
  ) throws(CoverTreeError) {
    let (queries, owner) = try self.rows(of: queries, context)
    defer { withExtendedLifetime(owner) {} }
    let (points, set, options) = try radiusSearch(radius, queries, options, context)
    try check(rows, of: set)
    try run(
      queries, points,
      CountTask(set: set, points: points, options: options, context: context, counters: searches, counts: counts))
  }

  /// Checks that results have a row for each query: for all points of the tree their number may have changed.
  private func check(_ rows: Int, of set: QuerySet<S>) throws(CoverTreeError) {
    guard set.count == rows else {
      throw CoverTreeError(.busy, "n_rows: the tree has \(set.count) points, results are for \(rows); was it changed?")
    }
  }

  private func radiusSearch(
    _ radius: Double, _ queries: Queries<S>, _ options: SearchOptions, _ context: CallContext
  ) throws(CoverTreeError) -> (SearchPoints<S>, QuerySet<S>, SearchOptions) {
    let options = try options.within(radius, queries, metric).reporting(in: S.self, metric, context)
    let snapshot = self.snapshot
    let set = try querySet(queries, in: snapshot.points, context)
    return (try points(in: snapshot, for: set.count, options, context), set, options)
  }

  /// The points that a search finds. Checks that options fit the queries and the tree.
  fileprivate func points(
    in snapshot: TreeSnapshot<S>, for queries: Int, _ options: SearchOptions, _ context: CallContext
  ) throws(CoverTreeError) -> SearchPoints<S> {
    try options.check(rows: queries)
    try options.check(indexCount: snapshot.indexCount)
    guard let bytes = options.admitted else { return snapshot.points }
    let mask = PointMask(bytes: bytes, leafSize: self.options.leafSize, scales: metric?.scales)
    return try snapshot.points.admitted(by: mask, queries: queries, context: context)
  }

  private var metric: TreeMetric? { options.metric }

  /// Runs a search in the metric of the tree.
  private func run<Task: DimensionTask>(
    _ queries: Queries<S>, _ points: SearchPoints<S>, _ task: Task
  ) throws(CoverTreeError) -> Task.Result {
    guard let metric else { return try specialized(dim, task) }
    return try metric.specialized(task) {
      if case .points(let view) = queries { reach(points, view) } else { reach(points, nil as PointsView<S>?) }
    }
  }

  /// Queries as rows of the tree.
  private func rows(
    of queries: Queries<S>, _ context: CallContext
  ) throws(CoverTreeError) -> (queries: Queries<S>, owner: MetricRows<S>?) {
    guard let metric, case .points(let view) = queries else { return (queries, nil) }
    try checkColumns(view.dim)
    let rows = try metric.rows(of: view, named: "queries", asQueries: true, context: context)
    return (.points(rows.view), rows)
  }

  private func checkColumns(_ columns: Int) throws(CoverTreeError) {
    guard columns == dim else { throw CoverTreeError(.shape, "queries: expected \(dim) columns, got \(columns)") }
  }

  /// The queries of a call, in the order in which they run.
  private func querySet(
    _ queries: Queries<S>, in points: SearchPoints<S>, _ context: CallContext
  ) throws(CoverTreeError) -> QuerySet<S> {
    switch queries {
    case .points(let view): return try newQueries(view, for: points, context)
    case .stored(let list): return try QuerySet(stored: list.elements, in: points, context: context)
    case .allStored: return try QuerySet(allOf: points)
    }
  }

  /// New queries, as rows of the tree.
  fileprivate func newQueries(
    _ rows: PointsView<S>, for points: SearchPoints<S>, _ context: CallContext
  ) throws(CoverTreeError) -> QuerySet<S> {
    let curve = try metric?.curveRows(of: rows, context: context)
    defer { withExtendedLifetime(curve) {} }
    return try QuerySet(new: rows, for: points, along: curve?.view, context: context)
  }
}

extension SearchOptions {
  /// The options of a search within a radius.
  fileprivate func within<S>(
    _ radius: Double, _ queries: Queries<S>, _ metric: TreeMetric?
  ) throws(CoverTreeError) -> SearchOptions {
    let options = try within(radius)
    try options.check(queries, metric)
    return options
  }
}

/// The same searches for queries in float64 among points in float32. Distances are reported in float64.
extension CoverTree<Float> {
  public func nearest(
    _ queries: PointsView<Double>, k: Int, options: SearchOptions, context: CallContext,
    indices: UnsafeMutablePointer<Int64>, distances: UnsafeMutablePointer<Double>?
  ) throws(CoverTreeError) {
    try options.check(Queries.points(queries), metric)
    let options = try options.reporting(in: Double.self, metric, context)
    let near = try rows(of: queries, context)
    defer { withExtendedLifetime(near) {} }
    let (points, set, rounded) = try round(near.view, options, context)
    try run(
      PreciseNearestTask(
        set: set, points: points, k: k, options: options, context: context, counters: searches, rounded: rounded,
        metric: metric, indices: indices, distances: distances))
  }

  public func within(
    _ radius: Double, of queries: PointsView<Double>, options: SearchOptions, context: CallContext
  ) throws(CoverTreeError) -> NeighborLists<Double> {
    let options = try options.within(radius, .points(queries), metric).reporting(in: Double.self, metric, context)
    let near = try rows(of: queries, context)
    defer { withExtendedLifetime(near) {} }
    let (points, set, rounded) = try round(near.view, options, context)
    return try run(
      RadiusTask<Float, Double>(
        set: set, points: points, options: options, context: context, counters: searches, rounded: rounded,
        metric: metric))
  }

  public func countWithin(
    _ radius: Double, of queries: PointsView<Double>, options: SearchOptions, context: CallContext,
    counts: UnsafeMutablePointer<Int64>
  ) throws(CoverTreeError) {
    let options = try options.within(radius, .points(queries), metric).reporting(in: Double.self, metric, context)
    let near = try rows(of: queries, context)
    defer { withExtendedLifetime(near) {} }
    let (points, set, rounded) = try round(near.view, options, context)
    try run(
      CountTask(
        set: set, points: points, options: options, context: context, counters: searches, rounded: rounded,
        counts: counts))
  }

  private func rows(
    of queries: PointsView<Double>, _ context: CallContext
  ) throws(CoverTreeError) -> MetricRows<Double> {
    guard let metric else { return MetricRows(queries) }
    try checkColumns(queries.dim)
    return try metric.rows(of: queries, named: "queries", asQueries: true, context: context)
  }

  /// Runs a search in the metric of the tree.
  private func run<Task: DimensionTask>(_ task: Task) throws(CoverTreeError) -> Task.Result {
    guard let metric else { return try specialized(dim, task) }
    return try metric.specialized(task) { [] }
  }

  private func round(
    _ queries: PointsView<Double>, _ options: SearchOptions, _ context: CallContext
  ) throws(CoverTreeError) -> (SearchPoints<Float>, QuerySet<Float>, RoundedQueries) {
    let points = try points(in: snapshot, for: queries.count, options, context)
    try queries.checkCoordinates(named: "queries", context: context)
    let rounded = try RoundedQueries(queries, metric, context: context)
    return (points, try newQueries(rounded.view, for: points, context), rounded)
  }
}
