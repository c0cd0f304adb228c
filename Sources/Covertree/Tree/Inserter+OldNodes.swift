/// The nodes that a tree had before a batch came, as the levels meet them: the children of each, highest level first.
final class OldNodes {
  private let nodes: TreeNodes
  private let offsets: Buffer<Int32>
  private let children: Buffer<Int32>
  /// Of each node: its next child to join the centres.
  private let cursor: Buffer<Int32>
  /// Of each cluster: the largest distance from its centre to a child that has just joined the centres.
  var reach: Buffer<Double>

  init(_ nodes: TreeNodes) throws(CoverTreeError) {
    self.nodes = nodes
    let count = nodes.count
    offsets = try Buffer(count: count + 1, filledWith: 0)
    cursor = try Buffer(count: count)
    reach = try Buffer(count: 1, filledWith: 0)
    func isChild(_ node: Int) -> Bool {
      nodes.level[node] != TreeNodes.absent && nodes.level[node] != TreeNodes.duplicate && nodes.parent[node] >= 0
    }
    for node in 0..<count where isChild(node) { offsets[nodes.parent[node] + 1] += 1 }
    for node in 0..<count { offsets[node + 1] += offsets[node] }
    children = try Buffer(count: Int(offsets[count]))
    cursor.base.update(from: offsets.base, count: count)
    for node in 0..<count where isChild(node) {
      children[cursor[nodes.parent[node]]] = Int32(node)
      cursor[nodes.parent[node]] += 1
    }
    let all = UnsafeMutableBufferPointer(start: children.base, count: children.count)
    for node in 0..<count where offsets[node + 1] - offsets[node] > 1 {
      all[Int(offsets[node])..<Int(offsets[node + 1])].sort { (nodes.level[$1], $0) < (nodes.level[$0], $1) }
    }
    rewind()
  }

  func rewind() { cursor.base.update(from: offsets.base, count: cursor.count) }

  /// Whether a node has children that have not joined yet.
  func hasMore(_ node: Int32) -> Bool { cursor[node] < offsets[node + 1] }

  /// The next child of a node if it is of this level.
  func takeChild(of node: Int32, level: Int32) -> Int32? {
    guard hasMore(node), nodes.level[children[cursor[node]]] == level else { return nil }
    defer { cursor[node] += 1 }
    return children[cursor[node]]
  }

  /// The highest level of a child that has not joined yet; nil when there is none.
  func nextLevel(of centers: Buffer<Int32>) -> Int32? {
    var highest: Int32?
    for center in centers.elements where hasMore(center) {
      highest = max(highest ?? Int32.min, nodes.level[children[cursor[center]]])
    }
    return highest
  }
}

extension Inserter {
  /// The old nodes of this level join the centres.
  func admitOldNodes(_ old: OldNodes, ofLevel level: Int32) throws(CoverTreeError) {
    let clusters = pyramid.clusters
    old.reach = try Buffer(count: clusters.count, filledWith: 0)
    try sources.begin(clusters: clusters.count)
    for cluster in 0..<clusters.count {
      let center = clusters.centers[cluster]
      while let child = old.takeChild(of: center, level: level) {
        try sources.append(child)
        try entered.append(Entry(point: child, home: Int32(cluster)))
        old.reach[cluster] = max(old.reach[cluster], metric.squaredDistance(center, child).squareRoot())
      }
      try sources.endCluster()
    }
    try attractMembers()
  }

  /// Walks the batch down the old nodes and notes each point's ceiling: one below the lowest level `i` on which an old
  /// node of level `i` or above lies within `2^i`. On lower levels it crowds no old node, and one level above its
  /// entry it has a parent.
  func survey(_ old: OldNodes) throws(CoverTreeError) {
    try gatherAtRoot()
    var level = Int32.max
    while memberCount > 0 {
      // Until the next old nodes join, the centres of all levels down to theirs are the same.
      let next = old.nextLevel(of: pyramid.clusters.centers)
      for index in 0..<memberCount {
        let member = members[index]
        let covering = max(levelCovering(squared: nearestSquared[member]), next.map { $0 + 1 } ?? Int32.min)
        if covering <= level { ceiling[member] = Int16(covering - 1) }
      }
      guard let next else { break }
      level = next
      entered.removeAll()
      try admitOldNodes(old, ofLevel: level)
      try regroup(level: level)
      try context.poll()
    }
  }

  /// Marks the old nodes without members that have children to come and members near them: the descendants of such a
  /// node lie within `2^(level + 1)`, and one is nearer to a member than its centre only if the two clusters are near.
  func markNearOldNodes(
    _ old: OldNodes, _ keep: Buffer<UInt8>, _ counts: Buffer<Int32>, level: Int32
  ) throws(CoverTreeError) {
    let clusters = pyramid.clusters
    let spread = try Buffer<Double>(count: clusters.count, filledWith: 0)
    for index in 0..<memberCount where nodes.level[members[index]] == TreeNodes.absent {
      let cluster = nearest[nearest[members[index]]]
      spread[cluster] = max(spread[cluster], nearestSquared[members[index]].squareRoot())
    }
    let radius = squaredRadius(ofLevel: level + 1).squareRoot()
    for cluster in 0..<clusters.count {
      let isTarget = counts[cluster] == 0 && old.hasMore(clusters.centers[cluster])
      clusters.targetReach[cluster] = isTarget ? radius : -.infinity
      clusters.sourceReach[cluster] = counts[cluster] > 0 ? 2 * spread[cluster] : -.infinity
    }
    try pyramid.forEachTarget { (cluster, _, _) throws(CoverTreeError) in keep[cluster] = 1 }
  }
}
