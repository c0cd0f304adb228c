import CovertreeBase

/// The stages of a search. Each serves all queries of a call.
extension ResidualSearch {
  /// Finds the points that queries ask for. Queries for which only early points count are searched apart: these points are few, and spread
  /// over the whole space.
  func answer(_ queries: ResidualQueryRows, _ request: SearchRequest) throws(CoverTreeError) {
    let (options, context, size) = (request.options, request.context, groupSize(request.goal))
    switch queries {
    case .new(let points):
      try answer(OutsideQueries(points, in: model, groupSize: size, context: context), request)
    case .stored(let indices, let rows):
      let (early, late) = try divided(rows) { row in
        let index = Int32(indices?[row] ?? Int64(row))
        return index < earlyCount && options.upperIndex(ofRow: row, index: index) <= earlyCount
      }
      if early.count > 0 { try earlySearch(context).answer(.stored(indices, rows: early.buffer), request) }
      guard late.count > 0 else { return }
      try answer(
        ResidualQuerySet(
          indices, rows: late.elements, in: model, options: options, groupSize: size, context: context), request)
    }
  }

  /// Finds the points that points of another model of the same process ask for. They do not count as their own neighbours.
  ///
  /// - Parameter indices: of these points, one per row; nil if rows are indices.
  func answer(
    _ indices: UnsafeBufferPointer<Int64>?, rows: Buffer<Int32>, of other: ResidualModel, _ request: SearchRequest
  ) throws(CoverTreeError) {
    let (options, context) = (request.options, request.context)
    // A search of early points may have none of its own.
    let (early, late) = try divided(rows) {
      earlyCount > 0 && options.upperIndex(ofRow: $0, index: Int32.max) <= earlyCount
    }
    if early.count > 0 { try earlySearch(context).answer(indices, rows: early.buffer, of: other, request) }
    guard late.count > 0 else { return }
    try answer(OutsideQueries(other, indices, rows: late.elements, context: context), request)
  }

  private func answer(_ queries: OutsideQueries, _ request: SearchRequest) throws(CoverTreeError) {
    try answer(
      ResidualQuerySet(
        queries, hosts: HostBlocks(queries, lowRankBlocks, in: model, context: request.context),
        options: request.options, groupSize: groupSize(request.goal), context: request.context), request)
  }

  private func answer(_ set: ResidualQuerySet, _ request: SearchRequest) throws(CoverTreeError) {
    let (leftOut, context) = (request.leftOut, request.context)
    if case .nearest(let k) = request.goal.among(model.count) {
      set.copies = try equalPoints(without: leftOut, context).first(k, excludesSelf: set.excludesSelf)
    } else if leftOut != nil {
      set.copies = try equalPoints(without: leftOut, context).all
    }
    let task = GroupTask(
      goal: request.goal.among(model.count), groupSize: groupSize(request.goal), leftOut: leftOut, context: context,
      finish: request.finish)
    try searchFallback(searchBlocks(for: set, task), of: set, task)
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

  /// Divides rows of queries into those for which only early points count, and others.
  private func divided(
    _ rows: Buffer<Int32>, _ isEarly: (_ row: Int) -> Bool
  ) throws(CoverTreeError) -> (early: GrowableBuffer<Int32>, late: GrowableBuffer<Int32>) {
    let (early, late) = (try GrowableBuffer<Int32>(), try GrowableBuffer<Int32>())
    for row in rows.elements { try (isEarly(Int(row)) ? early : late).append(row) }
    return (early, late)
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
  var options: SearchOptions
  /// Points that are removed, or that the filter does not admit; nil if all points count.
  var leftOut: RemovedPoints?
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

  var count: Int {
    switch self {
    case .stored(_, let rows): rows.count
    case .new(let points): points.count
    }
  }
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
