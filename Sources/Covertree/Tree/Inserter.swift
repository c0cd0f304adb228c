/// Insertion of a batch of points into a compressed cover tree, empty or not: the one way in.
///
/// The batch comes down the levels together. On level `i` the *centres* `C_i` are the nodes of level `i` and above, more than
/// `2^i` apart. Every point still on its way (a *member*) knows the nearest of them, and so belongs to a cluster. Per level:
///
/// 1. nodes that the tree already has on this level join the centres, and members look whether one of them is nearer;
/// 2. members farther than `2^i` from every centre are *uncovered*. Some of them are taken as vertices of a conflict graph, with an
///    edge wherever two lie within `2^i`;
/// 3. a maximal independent set of it, greedy by a seeded priority, enters the tree on this level, each point under the centre of its cluster;
/// 4. members look whether one of the new centres is nearer; while some stay uncovered, 2 to 4 again with four times the vertices;
/// 5. members regroup around their nearest centres, and a level is gone down.
///
/// A member at distance 0 from a centre becomes its duplicate. Which points are vertices, their priorities and the order
/// of every list depend on data and seed alone, so the tree is the same for any number of threads.
///
/// A new point may not enter a level on which it would crowd an old node of a lower one. Before anything enters, a *survey* walks
/// the batch down the old nodes and finds each point's ceiling: one below the lowest level on which old nodes cover it.
///
/// Sources: X. Gu, Z. Napier, Y. Sun, W. Wang, "Parallel Cover Trees and their Applications", SPAA 2022 (batches, conflict
/// graph, level cache); Y. Elkin, V. Kurlin, "A new near-linear time algorithm for k-nearest neighbor search using a
/// compressed cover tree", ICML 2023 (the tree). Sampling the vertices cluster by cluster in growing shares is their prefix doubling,
/// done per level: once a share of the members has been covered, few of the rest lie close together.
///
/// Time O(c n log(spread)) distances for an expansion constant c of the data; memory about 32 bytes a point besides the
/// points.
final class Inserter<M: Metric> {
  /// Vertices that one cluster may put forward in the first round of a level.
  static var firstShare: Int { 64 }
  /// The growth of that number from round to round.
  static var shareGrowth: Int { 4 }

  let metric: M
  let context: CallContext
  let seed: UInt64
  /// Of each point: its parent and level once it is in the tree.
  let nodes: TreeNodes
  let root: Int32
  /// The points that are to enter, in the order in which they are preferred.
  private let batch: Buffer<Int32>

  // Of each member: the nearest centre so far, its squared distance, and the highest level it may enter.
  let nearest: Buffer<Int32>
  let nearestSquared: Buffer<Double>
  let ceiling: Buffer<Int16>

  var pyramid: ClusterPyramid<M>
  /// The members, cluster by cluster of the pyramid's lowest level, and where each cluster's begin.
  var members: Buffer<Int32>
  var memberCount: Int
  var memberOffsets: Buffer<Int32>
  /// Of each cluster: the largest distance of a member from the centre.
  var spread: Buffer<Double>
  /// What the tree had before this batch; nil for an empty tree.
  let old: OldNodes?

  var sources: SourceLists
  /// Centres that entered on this level, with the cluster that they came from.
  let entered: Stack<Entry>
  let scratch: [Scratch<M>]
  var statistics = InsertionStatistics()

  struct Entry: BitwiseCopyable {
    let point: Int32
    let home: Int32
  }

  /// - Parameters:
  ///   - nodes: with the level `TreeNodes.absent` for the points of the batch.
  ///   - root: the root of the tree; in an empty tree the first point of the batch, which becomes it.
  init(
    metric: M, nodes: TreeNodes, root: Int32, batch: Buffer<Int32>, seed: UInt64, context: CallContext
  ) throws(CoverTreeError) {
    self.metric = metric
    self.context = context
    self.seed = seed
    self.nodes = nodes
    self.root = root
    self.batch = batch
    nearest = try Buffer(count: metric.pointCount)
    nearestSquared = try Buffer(count: metric.pointCount)
    ceiling = try Buffer(count: metric.pointCount, filledWith: Int16.max)
    pyramid = try ClusterPyramid(metric: metric, root: root, context: context)
    members = try Buffer(count: batch.count)
    memberCount = 0
    memberOffsets = try Buffer(count: 2, filledWith: 0)
    spread = try Buffer(count: 1, filledWith: 0)
    old = nodes.level[root] == TreeNodes.absent ? nil : try OldNodes(nodes)
    sources = try SourceLists()
    entered = try Stack()
    var scratch: [Scratch<M>] = []
    for _ in 0..<context.threads { scratch.append(try Scratch(metric: metric)) }
    self.scratch = scratch
  }

  /// Puts the whole batch into the tree.
  func run() throws(CoverTreeError) {
    let start = monotonicSeconds()
    if let old {
      try survey(old)
    } else {
      nodes.parent[root] = -1
      nodes.level[root] = 0
    }
    try gatherAtRoot()
    while let level = try nextLevel() {
      try enter(level: level)
      try context.poll(share: 1 - Double(memberCount) / Double(max(1, batch.count)))
    }
    statistics.seconds = monotonicSeconds() - start
    statistics.distanceEvaluations += pyramid.distanceEvaluations + scratch.reduce(0) { $0 + $1.distanceEvaluations }
  }

  /// All members in one cluster around the root, which is raised above every level that they can enter.
  func gatherAtRoot() throws(CoverTreeError) {
    statistics.distanceEvaluations += pyramid.distanceEvaluations
    pyramid = try ClusterPyramid(metric: metric, root: root, context: context)
    memberCount = 0
    for index in 0..<batch.count where nodes.level[batch[index]] == TreeNodes.absent {
      members[memberCount] = batch[index]
      memberCount += 1
    }
    let members = members
    try context.forEach(memberCount, grain: 4096) { (range, slot) throws(CoverTreeError) in
      for index in range {
        nearest[members[index]] = root
        nearestSquared[members[index]] = metric.squaredDistance(root, members[index])
      }
      scratch[slot].distanceEvaluations &+= range.count
    }
    var farthest = 0.0
    var kept = 0
    for index in 0..<memberCount {
      let member = members[index]
      farthest = max(farthest, nearestSquared[member])
      if nearestSquared[member] < smallestSquaredDistance {
        try settle(duplicate: member)
      } else {
        members[kept] = member
        kept += 1
      }
    }
    memberCount = kept
    memberOffsets = try Buffer(count: 2, filledWith: 0)
    memberOffsets[1] = Int32(kept)
    spread = try Buffer(count: 1, filledWith: farthest.squareRoot())
    if farthest > 0 { nodes.level[root] = max(nodes.level[root], levelCovering(squared: farthest)) }
    old?.rewind()
  }

  /// The highest level on which anything is left to happen.
  private func nextLevel() throws(CoverTreeError) -> Int32? {
    var highest = old?.nextLevel(of: pyramid.clusters.centers) ?? Int32.min
    if memberCount == 0 { return nil }
    let chunk = 1 << 14
    let chunks = (memberCount + chunk - 1) / chunk
    let highestOfChunk = try Buffer<Int32>(count: chunks)
    let members = members
    try context.forEach(memberCount, grain: chunk) { (range, _) throws(CoverTreeError) in
      var highest = Int32.min
      for index in range {
        let member = members[index]
        highest = max(highest, min(levelBelow(squared: nearestSquared[member]), Int32(ceiling[member])))
      }
      highestOfChunk[range.lowerBound / chunk] = highest
    }
    for chunk in 0..<chunks { highest = max(highest, highestOfChunk[chunk]) }
    return highest
  }

  /// One level: everything that belongs on it enters, and the members regroup.
  private func enter(level: Int32) throws(CoverTreeError) {
    statistics.levels += 1
    entered.removeAll()
    if let old { try admitOldNodes(old, ofLevel: level) }
    var uncovered = try listUncovered(level: level)
    var share = Self.firstShare
    while uncovered.count > 0 {
      statistics.rounds += 1
      try chooseVertices(from: uncovered, share: share)
      let graph = try conflictGraph(radius: level)
      let independent = try graph.independentSet(seed: seed, points: sources.points, context: context)
      try admit(independent, onLevel: level)
      try attractMembers()
      uncovered = try listUncovered(level: level)
      share = min(share * Self.shareGrowth, Int(Int32.max))
    }
    try regroup(level: level)
  }

  /// Positions in `members` of those that no centre covers and that may enter, in order.
  private func listUncovered(level: Int32) throws(CoverTreeError) -> Stack<Int32> {
    let radiusSquared = squaredRadius(ofLevel: level)
    let chunk = 1 << 14
    let chunks = (memberCount + chunk - 1) / chunk
    var lists: [Stack<Int32>] = []
    for _ in 0..<chunks { lists.append(try Stack()) }
    let (members, shared) = (members, lists)
    try context.forEach(memberCount, grain: chunk) { (range, _) throws(CoverTreeError) in
      let list = shared[range.lowerBound / chunk]
      for index in range {
        let member = members[index]
        if nearestSquared[member] > radiusSquared && ceiling[member] >= level { try list.append(Int32(index)) }
      }
    }
    guard chunks > 0 else { return try Stack() }
    for chunk in 1..<max(1, chunks) { try lists[0].append(lists[chunk].elements) }
    return lists[0]
  }

  /// Takes up to `share` uncovered members of each cluster as sources, evenly spaced along the order of preference.
  private func chooseVertices(from uncovered: Stack<Int32>, share: Int) throws(CoverTreeError) {
    try sources.begin(clusters: pyramid.clusters.count)
    var next = 0
    for cluster in 0..<pyramid.clusters.count {
      let first = next
      let end = memberOffsets[cluster + 1]
      while next < uncovered.count && uncovered[next] < end { next += 1 }
      let count = next - first
      for pick in 0..<min(count, share) {
        let index = count <= share ? pick : pick * count / share
        try sources.append(members[uncovered[first + index]])
      }
      try sources.endCluster()
    }
  }

  /// The vertices of the independent set become nodes, and the sources that members look at next.
  private func admit(_ independent: Buffer<UInt8>, onLevel level: Int32) throws(CoverTreeError) {
    let vertices = sources
    sources = try SourceLists()
    try sources.begin(clusters: pyramid.clusters.count)
    for cluster in 0..<pyramid.clusters.count {
      for index in vertices.range(cluster) where independent[index] == 1 {
        let point = vertices.points[index]
        nodes.parent[point] = pyramid.clusters.centers[cluster]
        nodes.level[point] = level
        nearest[point] = point
        nearestSquared[point] = 0
        try entered.append(Entry(point: point, home: Int32(cluster)))
        try sources.append(point)
      }
      try sources.endCluster()
    }
  }
}

/// Parent and level of every point, by the builder's numbers.
struct TreeNodes {
  /// The level of a point that is not in the tree yet.
  static let absent = Int32.max
  /// The level of a point at distance 0 from its parent.
  static let duplicate = Int32.min

  let parent: Buffer<Int32>
  let level: Buffer<Int32>

  var count: Int { level.count }
}

/// What it took to insert.
public struct InsertionStatistics: Sendable {
  public var distanceEvaluations = 0
  public var conflictEdges = 0
  public var rounds = 0
  public var levels = 0
  public var orderSeconds = 0.0
  public var seconds = 0.0
  public var layoutSeconds = 0.0

  public init() {}
}

/// Points listed by the cluster that they come from.
final class SourceLists {
  let points: Stack<Int32>
  private let offsets: Stack<Int32>

  init() throws(CoverTreeError) {
    points = try Stack()
    offsets = try Stack()
  }

  func begin(clusters: Int) throws(CoverTreeError) {
    points.removeAll()
    offsets.removeAll()
    try offsets.append(0)
  }

  @inline(__always)
  func append(_ point: Int32) throws(CoverTreeError) { try points.append(point) }

  @inline(__always)
  func endCluster() throws(CoverTreeError) { try offsets.append(Int32(points.count)) }

  @inline(__always)
  func range(_ cluster: Int) -> Range<Int> { Int(offsets[cluster])..<Int(offsets[cluster &+ 1]) }
}

/// One thread's scratch for comparing the members of a cluster with the sources near it.
final class Scratch<M: Metric> {
  let positions: Stack<Int32>
  let points: Stack<Int32>
  let block: M.Block
  let distances: Stack<SIMD8<Double>>
  let edges: Stack<Int32>
  var distanceEvaluations = 0

  init(metric: M) throws(CoverTreeError) {
    positions = try Stack()
    points = try Stack()
    block = try metric.makeBlock()
    distances = try Stack()
    edges = try Stack()
  }
}
