import CovertreeBase

/// One thread's search for groups of queries, one after the other.
///
/// A group is compared with blocks, by descending bounds. Each |rho| is bounded from both sides and passed to the query's
/// `CandidateList`. The candidates left at the end are decided in float64.
final class GroupSearch {
  /// A query that meets more than this many blocks with too coarse low-rank blocks is a fallback query: it is compared directly.
  private static let mostCoarseBlocks = 8
  /// A query for all points within a limit decides its candidates if there are more than this. The candidates of a query that becomes a
  /// fallback query are rarely as many.
  private static let mostUnsettled = 4096

  let model: ResidualModel
  let leftOut: RemovedPoints?
  private let lowRankBlocks: LowRankBlocks?
  private let regions: LowRankBlocks.Regions?
  let goal: SearchGoal
  let context: CallContext
  let slot: Int
  let lists: [CandidateList]
  /// Whether lists leave out points at distance 1, which `addFirst` adds.
  private let leavesOutVanishing: Bool
  let direct: DirectComparison
  private let byLowRank: LowRankComparison?
  private let byDecay: DecayComparison?
  /// The queries that each block was compared with, kept if there are bounds by decay.
  let compared: ComparedBlocks?
  private let collected: TopK.Scratch?
  private let sequence: GrowableBuffer<UInt64>
  var group: QueryGroup!
  /// The queries of the group that are left for a direct comparison.
  private var fallbackQueries = QueryMask()
  /// The number of blocks that each query was compared with, and how many of them had too coarse low-rank blocks.
  private let comparedBlocks: Buffer<Int>
  private let coarseBlocks: Buffer<Int>
  /// Rows of all fallback queries so far.
  let fallbackRows: GrowableBuffer<Int32>
  var statistics = ResidualStatistics()

  /// - Parameters:
  ///   - directly: compares points by their features, in the blocks that bounds do not exclude.
  ///   - slot: of the thread that searches.
  init(
    _ search: ResidualSearch, directly: Bool, _ task: GroupTask, slot: Int
  ) throws(CoverTreeError) {
    let (model, lowRankBlocks) = (search.model, search.lowRankBlocks)
    (self.model, leftOut) = (model, task.leftOut)
    let groupSize = task.groupSize
    (goal, context, self.slot) = (task.goal, task.context, slot)
    self.lowRankBlocks = lowRankBlocks
    let regions = try lowRankBlocks?.regions(context)
    self.regions = regions
    if case .nearest(let k) = goal { collected = try TopK.Scratch(k: k) } else { collected = nil }
    sequence = try GrowableBuffer()
    fallbackRows = try GrowableBuffer()
    comparedBlocks = try Buffer(count: groupSize)
    coarseBlocks = try Buffer(count: groupSize)
    direct = try DirectComparison(model, search.principal, search.decayBounds, groupSize: groupSize)
    byLowRank =
      if let lowRankBlocks, let regions, !directly {
        try LowRankComparison(model, lowRankBlocks, regions, groupSize: groupSize)
      } else { nil }
    byDecay =
      if byLowRank == nil, let decayBounds = search.decayBounds {
        try DecayComparison(model, decayBounds, groupSize: groupSize)
      } else { nil }
    compared = byDecay == nil ? nil : try ComparedBlocks(model.blockCount)
    // The caller's kernel would have to be called for single points.
    let leavesOutVanishing = collected != nil && byLowRank == nil && !model.covariance.isCallback
    // In a wide domain most correlations are tiny.
    let largestFirstError = byDecay == nil ? 1e-4 : 0
    lists = try (0..<groupSize).map { (_) throws(CoverTreeError) in
      try CandidateList(
        keepsCovariances: model.covariance.isCallback, leavesOutVanishing: leavesOutVanishing,
        largestFirstError: largestFirstError)
    }
    self.leavesOutVanishing = leavesOutVanishing
  }

  func search(_ group: QueryGroup) throws(CoverTreeError) {
    self.group = group
    fallbackQueries = QueryMask()
    for i in 0..<group.count {
      try lists[i].begin(goal, limit: group.queries[i].limit)
      try insertOwn(i)
    }
    if let byLowRank {
      try searchBlocks(by: byLowRank)
    } else if let byDecay, let compared {
      try searchNearBlocks(by: byDecay, compared)
    } else {
      try searchDirectly()
    }
    if leavesOutVanishing { try addFirst() }
  }

  /// A query counts for itself, at distance 0 whatever its features and even if it is not among the first copies, unless a filter leaves it
  /// out.
  private func insertOwn(_ i: Int) throws(CoverTreeError) {
    let query = group.queries[i]
    guard query.position >= 0, !group.excludesSelf, query.point.index < query.before,
      leftOut?.has(query.point.index) != true
    else { return }
    try lists[i].appendOwn(query.position)
  }

  /// Visits regions and blocks by descending bounds: the first ones raise the thresholds that exclude others.
  private func searchBlocks(by comparison: LowRankComparison) throws(CoverTreeError) {
    try comparison.begin(group)
    direct.begin(group)
    comparedBlocks.base.update(repeating: 0, count: group.count)
    coarseBlocks.base.update(repeating: 0, count: group.count)
    for region in try order(comparison.regionCount, by: comparison.promise) {
      let active = comparison.activeQueries(inRegion: region, lists, except: fallbackQueries)
      if active.isEmpty || group.leavesOut(comparison.blocks(ofRegion: region)) { continue }
      if comparison.isWorthEntering(region, for: active.count) {
        for block in try comparison.enter(region) { try compare(block, comparison) }
      } else {
        for block in comparison.blocks(ofRegion: region) { try compareDirectly(block, active) }
      }
    }
  }

  private func compare(_ block: Int, _ comparison: LowRankComparison) throws(CoverTreeError) {
    try context.poll(inSlot: slot)
    if group.leavesOut(block..<block + 1) { return }
    let active = comparison.activeQueries(inBlock: block, lists, except: fallbackQueries)
    if active.isEmpty { return }
    try comparison.compare(block, active, lists, &statistics)
    try refine(active)
    try addFallbackQueries(after: block, active, comparison)
    try settleLongLists(active)
  }

  /// Raises the thresholds of queries by exact correlations with their best candidates so far, after 1, 2, 4, 8, ... blocks.
  private func refine(_ active: QueryMask) throws(CoverTreeError) {
    for i in 0..<group.count where active.contains(i) {
      comparedBlocks[i] += 1
      if comparedBlocks[i] & (comparedBlocks[i] - 1) == 0 {
        statistics.exact += try lists[i].refine(from: group.queries[i].point, in: model)
      }
    }
  }

  /// Finds queries with thresholds so low that most points of many blocks would be candidates.
  private func addFallbackQueries(after block: Int, _ active: QueryMask, _ comparison: LowRankComparison)
    throws(CoverTreeError)
  {
    for i in 0..<group.count where active.contains(i) {
      guard comparison.isCoarse(block, for: i, threshold: lists[i].threshold) else { continue }
      coarseBlocks[i] += 1
      if coarseBlocks[i] > Self.mostCoarseBlocks {
        fallbackQueries.insert(i)
        try fallbackRows.append(group.queries[i].row)
      }
    }
  }

  /// Compares by features. If bounds of the points are known, only with blocks that can matter.
  private func searchDirectly() throws(CoverTreeError) {
    direct.begin(group)
    guard let lowRankBlocks, let regions, !group.areNew else {
      let center = group.queries[group.count / 2].point.coordinates
      for block in try order(model.blockCount, by: { model.nearness(ofBlock: $0, to: center) }) {
        var active = QueryMask()
        for i in 0..<group.count where !lists[i].isFull { active.insert(i) }
        if !active.isEmpty { try compareDirectly(block, active) }
      }
      return
    }
    let (count, queries) = (group.count, group.queries)
    let bounds = regions.products
    let promise = { (region: Int) -> UInt32 in
      let known = bounds.bounds(with: region)
      return (0..<count).reduce(0) { $0 &+ UInt32(known[Int(queries[$1].position)]) }
    }
    for region in try order(regions.lowRankBlocks.count, by: promise) {
      let known = bounds.bounds(with: region)
      for block in lowRankBlocks.blocks(ofRegion: region) {
        var active = QueryMask()
        for i in 0..<count where canReach(known[Int(queries[i].position)], lists[i].threshold) { active.insert(i) }
        if !active.isEmpty { try compareDirectly(block, active) }
      }
    }
  }

  func compareDirectly(_ block: Int, _ active: QueryMask) throws(CoverTreeError) {
    try context.poll(inSlot: slot)
    if group.leavesOut(block..<block + 1) { return }
    try direct.compare(block, active, lists, &statistics)
    try settleLongLists(active)
  }

  /// The numbers below `count` by descending promise.
  func order(_ count: Int, by promise: (Int) -> UInt32) throws(CoverTreeError) -> [Int] {
    try sequence.resize(to: count)
    for i in 0..<count { sequence[i] = UInt64(~promise(i)) << 32 | UInt64(i) }
    return sortedSlots(count)
  }

  /// The low halves of the first numbers of the sequence, sorted by the whole numbers.
  private func sortedSlots(_ count: Int) -> [Int] {
    var numbers = UnsafeMutableBufferPointer(start: sequence.base, count: count)
    numbers.sort()
    return numbers.map { Int(truncatingIfNeeded: $0 & 0xFFFF_FFFF) }
  }

  /// Decides the candidates of each query and writes its row.
  func rankExactly(into rows: NearestRows) throws(CoverTreeError) {
    let (k, indices) = (rows.k, rows.indices)
    for i in 0..<group.count where !fallbackQueries.contains(i) {
      statistics.queries += 1
      try lists[i].prune()
      var nearest = TopK(collected!, bound: group.queries[i].limit)
      try decide(i, into: &nearest)
      // The top-k list has distances, not squares.
      let found = nearest.finished()
      let row = Int(group.queries[i].row) * k
      for rank in 0..<found.count { indices[row + rank] = found.indices[rank] }
      for rank in found.count..<k { indices[row + rank] = -1 }
      for distances in rows.distances {
        for rank in 0..<found.count { distances[row + rank] = found.squares[rank] }
        for rank in found.count..<k { distances[row + rank] = .infinity }
      }
    }
  }

  /// Inserts the known distances, then computes others by descending upper bound, until the rest cannot be among the `k`.
  private func decide(_ i: Int, into nearest: inout TopK) throws(CoverTreeError) {
    let list = lists[i]
    try sequence.resize(to: list.count)
    var undecided = 0
    for slot in 0..<list.count {
      let square = list.square(slot)
      if square.isNaN {
        // Bounds are not negative, so they sort as their bits.
        sequence[undecided] = UInt64(~list.upperBound(slot).bitPattern) << 32 | UInt64(slot)
        undecided &+= 1
      } else {
        nearest.insert(square.squareRoot(), model.order[Int(list.positions[slot])])
      }
    }
    let slots = sortedSlots(undecided)
    for first in stride(from: 0, to: slots.count, by: 8) {
      // 1 - d^2 is |rho| of the k-th neighbour so far, or of a point at the limit.
      if Double(list.upperBound(slots[first])) < 1 - nearest.worst * nearest.worst - 0x1p-40 { return }
      let next = slots[first..<min(first + 8, slots.count)]
      let (positions, squares) = decide(i, next)
      try context.poll(inSlot: slot)
      for lane in 0..<next.count { nearest.insert(squares[lane].squareRoot(), model.order[Int(positions[lane])]) }
    }
  }

  /// Lists the points within the limit of each query.
  func listWithinLimit(into results: RadiusResults) throws(CoverTreeError) {
    for i in 0..<group.count where !fallbackQueries.contains(i) {
      statistics.queries += 1
      try settle(i)
      let list = lists[i]
      try results.add(row: Int(group.queries[i].row), count: list.count, slot: slot, sorted: true) {
        Candidate(squared: list.square($0).squareRoot(), index: model.order[Int(list.positions[$0])])
      }
    }
  }

  /// Keeps lists of points within a limit about as short as their results.
  private func settleLongLists(_ active: QueryMask) throws(CoverTreeError) {
    guard case .withinLimit = goal else { return }
    for i in 0..<group.count where active.contains(i) && lists[i].count - lists[i].settledCount > Self.mostUnsettled {
      try settle(i)
    }
  }

  private func settle(_ i: Int) throws(CoverTreeError) {
    try lists[i].settle(within: group.queries[i].limit) { (slots) throws(CoverTreeError) in
      try context.poll(inSlot: slot)
      return decide(i, slots)
    }
  }

  /// Lists the candidates of each query that are within the squared distance.
  func list(into results: NeighborGraph.ThreadResults) throws(CoverTreeError) {
    guard case .within(let squared, _) = goal else { return }
    for i in 0..<group.count where !fallbackQueries.contains(i) {
      statistics.queries += 1
      let own = group.queries[i].position
      if lists[i].isFull {
        try results.leaveOut(position: own)
        continue
      }
      try results.begin(position: own)
      for first in stride(from: 0, to: lists[i].count, by: 8) {
        let (positions, squares) = decide(i, first..<min(first + 8, lists[i].count))
        for lane in 0..<min(8, lists[i].count - first)
        where squares[lane] <= squared && positions[lane] != own {
          try results.append(positions[lane], squares[lane])
        }
      }
    }
  }

  /// The squared distances of up to eight candidates, and their positions.
  private func decide(
    _ i: Int, _ slots: some Collection<Int>
  ) -> (positions: SIMD8<Int32>, squares: SIMD8<Double>) {
    let list = lists[i]
    statistics.exact += slots.count
    var positions = SIMD8<Int32>(repeating: 0)
    var covariances = SIMD8<Double>(repeating: 0)
    for (lane, slot) in slots.enumerated() {
      positions[lane] = list.positions[slot]
      if let known = list.covariances { covariances[lane] = known[slot] }
    }
    let squares = model.squaredDistances(
      from: group.queries[i].point, to: positions, count: slots.count, covariances: covariances)
    return (positions, squares)
  }
}
