import CovertreeBase

/// The stages of a search. Each serves all queries of a call.
extension ResidualSearch {
  /// Finds the points that queries ask for.
  func answer(_ queries: ResidualQueryRows, _ request: SearchRequest) throws(CoverTreeError) {
    let (early, late) = try splitEarly(queries, request)
    if let early { try earlySearch(request.context).answer(early, request) }
    guard let late else { return }
    let set = try prepareQueries(late, request)
    let task = GroupTask(
      goal: request.goal.among(model.count), groupSize: groupSize(request.goal), leftOut: request.leftOut,
      context: request.context, finish: request.finish)
    let fallback = try searchBlocks(for: set, task)
    try searchFallback(fallback, of: set, task)
  }

  /// A call with the points that it leaves out.
  func request(
    _ goal: SearchGoal, _ options: SearchOptions, _ context: CallContext,
    finish: @escaping (GroupSearch, _ slot: Int) throws(CoverTreeError) -> Void
  ) throws(CoverTreeError) -> SearchRequest {
    var leftOut = removed
    if let mask = options.admitted {
      let points = try RemovedPoints.with(removed, excludedBy: mask)
      leftOut = points.remaining.count < mask.count ? points : nil
    }
    return SearchRequest(goal: goal, options: options, leftOut: leftOut, context: context, finish: finish)
  }

  /// All pairs of points within a squared distance. Points with more candidates than `mostListed` are not listed; see `NeighborGraph`.
  func graph(
    within squared: Double, mostListed: Int = NeighborGraph.mostListed, context: CallContext
  ) throws(CoverTreeError) -> NeighborGraph {
    let blocked = try inBlocks(context)
    guard blocked === self else { return try blocked.graph(within: squared, mostListed: mostListed, context: context) }
    let rows = try Buffer<Int32>(counting: model.count)
    let set = try ResidualQuerySet(
      nil, rows: rows.elements, in: model, options: SearchOptions(), groupSize: Self.mostGroupSize, context: context)
    let results = try (0..<context.threads).map { (_) throws(CoverTreeError) in try NeighborGraph.ThreadResults() }
    let task = GroupTask(
      goal: .within(squared: squared, most: mostListed), groupSize: Self.mostGroupSize, leftOut: nil, context: context
    ) { (search, slot) throws(CoverTreeError) in try search.list(into: results[slot]) }
    let fallback = try searchBlocks(for: set, task)
    try searchFallback(fallback, of: set, task)
    return try NeighborGraph(results, self, within: squared)
  }

  /// The most queries of a group.
  private static var mostGroupSize: Int { 256 }
  /// The least size of a group of fallback queries.
  private static var leastGroupSize: Int { 64 }

  /// The size of a group: its candidate lists need only some megabytes.
  private func groupSize(_ goal: SearchGoal) -> Int {
    guard case .nearest(let k) = goal else { return Self.mostGroupSize }
    return max(tileRows, min(Self.mostGroupSize, (1 << 18) / k))
  }

  /// Separates queries for which only early points count: these are few, and spread over the whole space.
  private func splitEarly(
    _ queries: ResidualQueryRows, _ request: SearchRequest
  ) throws(CoverTreeError) -> (early: ResidualQueryRows?, late: ResidualQueryRows?) {
    guard case .stored(let indices, let rows) = queries else { return (nil, queries) }
    let (early, late) = (try GrowableBuffer<Int32>(), try GrowableBuffer<Int32>())
    for row in rows.elements {
      let index = Int32(indices?[Int(row)] ?? Int64(row))
      let isEarly = index < earlyCount && request.options.upperIndex(ofRow: Int(row), index: index) <= earlyCount
      try (isEarly ? early : late).append(row)
    }
    return (
      early.count > 0 ? .stored(indices, rows: early.buffer) : nil,
      late.count > 0 ? .stored(indices, rows: late.buffer) : nil
    )
  }

  /// Reads the queries in groups of near ones, and finds the equal points that they need.
  private func prepareQueries(
    _ queries: ResidualQueryRows, _ request: SearchRequest
  ) throws(CoverTreeError) -> ResidualQuerySet {
    let (options, context, size) = (request.options, request.context, groupSize(request.goal))
    let set =
      switch queries {
      case .stored(let indices, let rows):
        try ResidualQuerySet(
          indices, rows: rows.elements, in: model, options: options, groupSize: size, context: context)
      case .new(let points):
        try ResidualQuerySet(
          points, hosts: HostBlocks(points.coordinates, lowRankBlocks, in: model, context: context), in: model,
          options: options, groupSize: size, context: context)
      }
    let leftOut = request.leftOut
    if case .nearest(let k) = request.goal.among(model.count) {
      set.copies = try equalPoints(without: leftOut, context).first(k, excludesSelf: set.excludesSelf)
    } else if leftOut != nil {
      set.copies = try equalPoints(without: leftOut, context).all
    }
    return set
  }

  /// Compares queries with blocks of points, through low-rank blocks if there are any. Returns the rows of queries that the low-rank blocks
  /// are too coarse for.
  private func searchBlocks(
    for set: ResidualQuerySet, _ task: GroupTask
  ) throws(CoverTreeError) -> GrowableBuffer<Int32> {
    _ = try lowRankBlocks?.regions(task.context)
    return try searchGroups(of: set, task, directly: lowRankBlocks == nil)
  }

  /// Compares the other queries directly with points, in groups of their own.
  private func searchFallback(
    _ rows: GrowableBuffer<Int32>, of set: ResidualQuerySet, _ task: GroupTask
  ) throws(CoverTreeError) {
    guard rows.count > 0 else { return }
    // If there are few, smaller groups give every thread some of them.
    let share = (rows.count + task.context.threads - 1) / task.context.threads
    let size = min(task.groupSize, max(Self.leastGroupSize, share))
    _ = try searchGroups(of: set.subset(rows, groupSize: size), task, directly: true)
  }

  /// - Returns: the rows of queries that are left for a direct comparison.
  private func searchGroups(
    of set: ResidualQuerySet, _ task: GroupTask, directly: Bool
  ) throws(CoverTreeError) -> GrowableBuffer<Int32> {
    let start = monotonicSeconds()
    var done = ResidualStatistics()
    defer {
      done.searchSeconds = monotonicSeconds() - start
      count(done)
    }
    let searches = PerThread<GroupSearch>(count: task.context.threads)
    try task.context.forEach(set.groupCount, grain: 1) { (range, slot) throws(CoverTreeError) in
      let search = try searches.value(slot) { () throws(CoverTreeError) in
        try GroupSearch(self, directly: directly, task, slot: slot)
      }
      for group in range {
        try search.search(set[group])
        try task.finish(search, slot)
      }
    }
    let fallback = try GrowableBuffer<Int32>()
    for search in searches.all {
      try fallback.append(search.fallbackRows.elements)
      done += search.statistics
    }
    return fallback
  }
}

/// A call, and the step that ends each group of its queries.
struct SearchRequest {
  let goal: SearchGoal
  let options: SearchOptions
  /// Points that are removed, or that the filter does not admit; nil if all points count.
  let leftOut: RemovedPoints?
  let context: CallContext
  /// Writes the results of a group.
  let finish: (GroupSearch, _ slot: Int) throws(CoverTreeError) -> Void
}

/// The arrays for the nearest points.
struct NearestRows {
  let k: Int
  /// `rows x k`.
  let indices: UnsafeMutablePointer<Int64>
  /// Distances, and the scores, which are the same numbers.
  let distances: [UnsafeMutablePointer<Double>]
}

/// Queries of a call.
enum ResidualQueryRows {
  /// Points of the model by dataset index, one per row; nil if rows are indices. Only `rows` are searched for.
  case stored(UnsafeBufferPointer<Int64>?, rows: Buffer<Int32>)
  case new(NewPoints)
}

/// The goal of a search in groups, and the step that ends each group.
struct GroupTask {
  let goal: SearchGoal
  let groupSize: Int
  let leftOut: RemovedPoints?
  let context: CallContext
  /// Handles the result of a group.
  let finish: (GroupSearch, _ slot: Int) throws(CoverTreeError) -> Void
}
