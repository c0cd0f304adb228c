import CovertreeBase

/// Insertion of a batch of points into a compressed cover tree, empty or not: every point enters this way.
///
/// The batch descends the levels together. On level `i` the *centres* `C_i` are the nodes of level `i` and above, more than `2^i` apart.
/// Every point that is not in the tree yet (a *pending* point) knows a centre. If any centre is within `2^i`, so is the known one; if the
/// nearest is within half of that, it is the known one. Lower levels need no more. Per level:
///
/// 1. nodes that the tree already has on this level join the centres, and pending points are compared with them;
/// 2. pending points farther than `2^i` from every centre are *uncovered*. Some uncovered points of each centre become vertices of a
///    conflict graph, with an edge between any two within `2^i`;
/// 3. a maximal independent set of it, greedy by a seeded priority, enters the tree on this level, each point under the centre of the
///    level above that it knows;
/// 4. pending points are compared with the new centres. While some stay uncovered, 2 to 4 are repeated with more vertices; the other
///    points are compared with the centres of these rounds together.
///
/// A pending point at distance 0 from a centre becomes its duplicate. The choice of vertices, their priorities and the order of every
/// list depend on data, order and seed alone, so the tree is the same for any number of threads.
///
/// A new point must not enter a level on which it would crowd an old node of a lower one. So a first pass compares the batch with the old
/// nodes, level by level, and finds each point's maximum level: one below the lowest level on which old nodes cover it.
///
/// Sources: X. Gu, Z. Napier, Y. Sun, W. Wang, "Parallel Cover Trees and their Applications", SPAA 2022 (batches, conflict graph,
/// independent set); Y. Elkin, V. Kurlin, "A new near-linear time algorithm for k-nearest neighbor search using a compressed cover tree",
/// ICML 2023 (the tree). Growing shares of vertices are their prefix doubling, level by level and centre by centre: once the balls around
/// a share of the pending points are in the tree, few of the rest are close together.
///
/// Per level and pending point one bounded search among the new centres; about 32 bytes of memory per point, in addition to the points.
final class Inserter<M: Metric> {
  /// Vertices that one centre's pending points contribute in the first round of a level, and their growth from round to round.
  private static var firstShare: Int { 16 }
  private static var shareGrowth: Int { 4 }

  let metric: M
  let context: CallContext
  private let seed: UInt64
  /// By point: its parent and level once it is in the tree. A pending point's parent is the centre of the level above that it knew.
  let nodes: TreeNodes
  private let root: Int32
  /// The nodes that the tree had, level by level.
  private let old: OldNodes

  /// The pending points, in the order of preference.
  private var pending: GrowableBuffer<Int32>
  private var pendingCount: Int { pending.count }
  // By pending point: the nearest centre that it knows, the score of its distance, and the highest level that it may enter.
  private let nearest: Buffer<Int32>
  private let nearestSquared: Buffer<Double>
  private let maxLevel: Buffer<Int16>
  private let uncovered: UncoveredPoints
  /// Scratch: the next pending points.
  private var spare: GrowableBuffer<Int32>
  private(set) var statistics = InsertionStatistics()

  /// Pending points of a thread's chunk.
  private static var grain: Int { 2048 }

  /// - Parameters:
  ///   - nodes: with the level `TreeNodes.absent` for the points of the batch.
  ///   - root: the root of the tree; in an empty tree the point of the batch that becomes it.
  ///   - batch: the points to insert, in the order of preference.
  init(
    metric: M, nodes: TreeNodes, root: Int32, batch: Buffer<Int32>, seed: UInt64, context: CallContext
  ) throws(CoverTreeError) {
    self.metric = metric
    self.context = context
    self.seed = seed
    self.nodes = nodes
    self.root = root
    if nodes.level[root] == TreeNodes.absent {
      nodes.parent[root] = -1
      nodes.level[root] = TreeNodes.lowestRootLevel
    }
    old = try OldNodes(nodes)
    pending = try GrowableBuffer()
    try pending.append(batch.elements)
    spare = try GrowableBuffer()
    nearest = try Buffer(count: metric.pointCount)
    nearest.preferLargePages()
    nearestSquared = try Buffer(count: metric.pointCount)
    nearestSquared.preferLargePages()
    maxLevel = try Buffer(count: metric.pointCount)
    uncovered = try UncoveredPoints(
      nearest: nearest, nearestSquared: nearestSquared, maxLevel: maxLevel, context: context)
  }

  /// Puts the whole batch into the tree.
  func run() throws(CoverTreeError) -> InsertionStatistics {
    let start = monotonicSeconds()
    let total = Double(max(1, pendingCount))
    try gatherAtRoot()
    try assignMaxLevels()
    if !old.levels.isEmpty { try gatherAtRoot() }
    var upcoming = old.levels[...]
    while pendingCount > 0 {
      let level = max(try highestEntry(), upcoming.first?.level ?? Int32.min)
      statistics.levels += 1
      try noteParents(level: level)
      if let first = upcoming.first, first.level == level {
        try updateNearest(pending.elements, to: first.points, level: level)
        upcoming = upcoming.dropFirst()
      }
      try enter(level: level)
      try dropInserted()
      try context.poll(share: 1 - Double(pendingCount) / total)
    }
    statistics.seconds = monotonicSeconds() - start
    return statistics
  }

  /// Makes the root the nearest centre of every pending point, and raises it above every level that they can enter.
  private func gatherAtRoot() throws(CoverTreeError) {
    try context.forEach(pendingCount, grain: Self.grain) { (range, _) throws(CoverTreeError) in
      let some = UnsafeBufferPointer(rebasing: pending.elements[range])
      let scores = try Buffer<Double>(count: some.count)
      try metric.scores(from: root, to: some, into: scores.base)
      for (slot, point) in some.enumerated() { (nearest[point], nearestSquared[point]) = (root, scores[slot]) }
    }
    let farthest = try context.greatest(of: pendingCount, grain: Self.grain) { nearestSquared[pending[$0]] }
    statistics.distanceEvaluations += pendingCount
    try dropInserted()
    guard pendingCount > 0 else { return }
    nodes.level[root] = max(nodes.level[root], levelCovering(score: farthest ?? 0))
  }

  /// Finds each pending point's maximum level: one below the lowest level `i` on which an old node of level `i` or above is within `2^i`.
  /// On lower levels it crowds no old node, and one level above its entry it has a parent.
  private func assignMaxLevels() throws(CoverTreeError) {
    var level = Int32.max
    for index in 0...old.levels.count {
      // Until the next old nodes join, the centres of all levels down to theirs are the same.
      let next = index < old.levels.count ? old.levels[index].level : nil
      let above = level
      try context.forEach(pendingCount, grain: Self.grain) { (range, _) throws(CoverTreeError) in
        for index in range {
          let point = pending[index]
          let covering = max(levelCovering(score: nearestSquared[point]), next.map { $0 + 1 } ?? Int32.min)
          if covering <= above { maxLevel[point] = Int16(covering - 1) }
        }
      }
      guard let next else { return }
      level = next
      try updateNearest(pending.elements, to: old.levels[index].points, level: level)
      try dropInserted()
    }
  }

  /// The highest level that a pending point must enter.
  private func highestEntry() throws(CoverTreeError) -> Int32 {
    try context.greatest(of: pendingCount, grain: Self.grain) { index in
      let point = pending[index]
      return min(levelBelow(score: nearestSquared[point]), Int32(maxLevel[point]))
    } ?? Int32.min
  }

  /// Records the parents of pending points that may enter this level: centres of the level above.
  private func noteParents(level: Int32) throws(CoverTreeError) {
    let radiusSquared = radiusScore(ofLevel: level)
    try context.forEach(pendingCount, grain: Self.grain) { (range, _) throws(CoverTreeError) in
      for index in range {
        let point = pending[index]
        if nearestSquared[point] > radiusSquared { nodes.parent[point] = nearest[point] }
      }
    }
  }

  /// Pending points enter this level until all points that may enter it are covered.
  private func enter(level: Int32) throws(CoverTreeError) {
    var share = Self.firstShare
    let later = try GrowableBuffer<Int32>()
    try uncovered.find(among: pending.elements, level: level)
    while uncovered.count > 0 {
      statistics.rounds += 1
      let vertices = try uncovered.vertices(share: share, seed: seed)
      groupByCenter(vertices)
      let graph = try ConflictGraph(
        vertices, knowing: KnownCenters(center: nearest, score: nearestSquared), within: radiusScore(ofLevel: level),
        metric: metric, seed: seed, context: context)
      statistics.conflictEdges += graph.edgeCount
      statistics.distanceEvaluations += graph.distanceEvaluations
      let chosen = try graph.independentSet(context: context)
      let centers = try context.collect(vertices.count) { index in
        guard chosen[index] else { return nil }
        nodes.level[vertices[index]] = level
        nearestSquared[vertices[index]] = Score.ofZero
        return vertices[index]
      }
      // Most pending points are uncovered in the first round, few in the next ones.
      if share == Self.firstShare {
        try updateNearest(pending.elements, to: centers, level: level)
      } else {
        try updateNearest(uncovered.elements, to: centers, level: level)
        try later.append(centers.elements)
      }
      try uncovered.find(among: uncovered.elements, level: level)
      share = min(share * Self.shareGrowth, metric.pointCount)
    }
    try updateNearest(pending.elements, to: later, level: level)
  }

  /// Compares pending points with the new centres of a level that matter to them (`LevelReach`).
  private func updateNearest(
    _ some: UnsafeBufferPointer<Int32>, to centers: GrowableBuffer<Int32>, level: Int32
  ) throws(CoverTreeError) {
    guard centers.count > 0 else { return }
    let grouped = try GrowableBuffer<Int32>()
    defer { withExtendedLifetime(grouped) {} }
    if M.prefersCells {
      try grouped.append(some)
      groupByCenter(grouped)
    }
    let some = M.prefersCells ? grouped.elements : some
    // New centres are more than 2^level from all others, so a point within half of 2^level of its centre has no nearer new one.
    let reach = LevelReach(ofLevel: level)
    let sources = try metric.sources(centers, context: context)
    let known = KnownCenters(center: nearest, score: nearestSquared)
    let evaluations = Counter()
    let grain = CallContext.grain(operationsPerItem: metric.operations(comparing: centers.count), most: 2048)
    try context.forEach(some.count, grain: grain) { (range, _) throws(CoverTreeError) in
      var finder = try metric.finder(sources)
      let seekers = try GrowableBuffer<Int32>()
      for point in some[range] where nodes.level[point] == TreeNodes.absent && nearestSquared[point] > reach.half {
        try seekers.append(point)
      }
      try finder.nearest(to: seekers.elements, knowing: known, reach: reach) { (point, found, squared) in
        nearest[point] = centers[Int(found)]
        nearestSquared[point] = squared
      }
      evaluations.add(finder.distanceEvaluations)
    }
    statistics.distanceEvaluations += evaluations.value
  }

  /// Sorts points by the centre that they know, if the metric's searches prefer it.
  private func groupByCenter(_ points: GrowableBuffer<Int32>) {
    guard M.prefersCells else { return }
    var all = points.all
    all.sort { (nearest[$0], $0) < (nearest[$1], $1) }
  }

  /// Drops inserted points; those at distance 0 from the centre that they know become its duplicates.
  private func dropInserted() throws(CoverTreeError) {
    try context.collect(pendingCount, into: spare) { index in
      let point = pending[index]
      guard nodes.level[point] == TreeNodes.absent else { return nil }
      guard Score.isZero(nearestSquared[point]) else { return point }
      nodes.parent[point] = nearest[point]
      nodes.level[point] = TreeNodes.duplicate
      return nil
    }
    swap(&pending, &spare)
  }
}
