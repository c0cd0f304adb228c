/// A compressed cover tree at rest: flat arrays in *tree order*, immutable once made.
///
/// Tree order is depth-first, siblings along the Hilbert curve: node 0 is the root, the subtree of node `t` is
/// `t..<subtreeEnd[t]`, its first child `t + 1`, and the next sibling of a child `c` is `subtreeEnd[c]`. Points that
/// are near each other lie near each other in memory.
///
/// Memory a point: its coordinates and 40 bytes.
final class TreeLayout<S: Scalar>: @unchecked Sendable {
  let count: Int
  let dim: Int
  /// `count x dim`, row-major.
  let points: Buffer<S>
  /// Tree index to dataset index.
  let order: Buffer<Int32>
  let levels: Buffer<Int32>
  /// -1 for the root.
  let parents: Buffer<Int32>
  /// `count + 1` offsets into `children`.
  let childrenOffsets: Buffer<Int32>
  let children: Buffer<Int32>
  /// The largest distance to a descendant, rounded up.
  let radius: Buffer<S>
  let subtreeEnd: Buffer<Int32>
  /// The smallest and the largest dataset index in each subtree.
  let subtreeMin: Buffer<Int32>
  let subtreeMax: Buffer<Int32>

  /// Lays out the nodes of a finished insertion. `storage` and `ids` are theirs in the builder's order, which is the
  /// order of siblings. They are given away: what the builder had is freed before the rest is made.
  ///
  /// - Parameter squaredDistance: between two points by their dataset indices; nil for the Euclidean one.
  convenience init(
    nodes: consuming TreeNodes, storage: consuming Buffer<S>, ids: consuming Buffer<Int32>, dim: Int,
    squaredDistance: ((Int32, Int32) -> Double)? = nil, context: CallContext
  ) throws(CoverTreeError) {
    try self.init(Arranged(nodes, storage, ids, dim: dim, context: context), squaredDistance, context: context)
  }

  private init(
    _ arranged: Arranged, _ squaredDistance: ((Int32, Int32) -> Double)?, context: CallContext
  ) throws(CoverTreeError) {
    count = arranged.order.count
    dim = arranged.dim
    (points, order, levels) = (arranged.points, arranged.order, arranged.levels)
    (parents, subtreeEnd) = (arranged.parents, arranged.subtreeEnd)
    childrenOffsets = try Buffer(count: count + 1)
    children = try Buffer(count: count - 1)
    radius = try Buffer(count: count)
    subtreeMin = try Buffer(count: count)
    subtreeMax = try Buffer(count: count)
    fillChildren()
    fillIndexRanges()
    try context.poll()
    if let squaredDistance {
      let order = order
      try fillRadius(context) { squaredDistance(order[$0], order[$1]) }
    } else {
      let (points, dim) = (points, dim)
      try fillRadius(context) {
        euclideanScore(points.base + $0 * dim, points.base + $1 * dim, dim: dim)
      }
    }
  }

  /// Arrays that are known, from a file.
  init(
    dim: Int, points: Buffer<S>, order: Buffer<Int32>, levels: Buffer<Int32>, parents: Buffer<Int32>,
    childrenOffsets: Buffer<Int32>, children: Buffer<Int32>, radius: Buffer<S>, subtreeEnd: Buffer<Int32>,
    subtreeMin: Buffer<Int32>, subtreeMax: Buffer<Int32>
  ) {
    (count, self.dim, self.points, self.order) = (order.count, dim, points, order)
    (self.levels, self.parents, self.childrenOffsets, self.children) = (levels, parents, childrenOffsets, children)
    (self.radius, self.subtreeEnd, self.subtreeMin, self.subtreeMax) = (radius, subtreeEnd, subtreeMin, subtreeMax)
  }

  /// What the builder made, in tree order.
  private struct Arranged {
    let dim: Int
    let points: Buffer<S>
    let order: Buffer<Int32>
    let levels: Buffer<Int32>
    let parents: Buffer<Int32>
    let subtreeEnd: Buffer<Int32>

    init(
      _ nodes: TreeNodes, _ storage: Buffer<S>, _ ids: Buffer<Int32>, dim: Int, context: CallContext
    ) throws(CoverTreeError) {
      let count = nodes.count
      let position = try depthFirstPositions(nodes, NodesByLevel(nodes))
      try context.poll()
      self.dim = dim
      points = try Buffer(count: count * dim)
      order = try Buffer(count: count)
      levels = try Buffer(count: count)
      parents = try Buffer(count: count)
      subtreeEnd = try Buffer(count: count)
      let (points, order, levels, parents, subtreeEnd) = (points, order, levels, parents, subtreeEnd)
      try context.forEach(count, grain: 1 << 14) { (range, _) throws(CoverTreeError) in
        for node in range {
          let t = Int(position.of[node])
          (points.base + t * dim).update(from: storage.base + node * dim, count: dim)
          order[t] = ids[node]
          levels[t] = nodes.level[node]
          parents[t] = nodes.parent[node] < 0 ? -1 : position.of[nodes.parent[node]]
          subtreeEnd[t] = position.of[node] + position.size[node]
        }
      }
    }
  }

  private func fillChildren() {
    var next: Int32 = 0
    for t in 0..<count {
      childrenOffsets[t] = next
      var child = Int32(t + 1)
      while child < subtreeEnd[t] {
        children[next] = child
        next += 1
        child = subtreeEnd[child]
      }
    }
    childrenOffsets[count] = next
  }

  private func fillIndexRanges() {
    subtreeMin.base.update(from: order.base, count: count)
    subtreeMax.base.update(from: order.base, count: count)
    for t in stride(from: count - 1, to: 0, by: -1) {
      let parent = parents[t]
      subtreeMin[parent] = min(subtreeMin[parent], subtreeMin[t])
      subtreeMax[parent] = max(subtreeMax[parent], subtreeMax[t])
    }
  }

  /// Every point is compared with each of its ancestors once: O(n depth) distances.
  @inline(__always)
  private func fillRadius(
    _ context: CallContext, squaredDistance: (Int, Int) -> Double
  ) throws(CoverTreeError) {
    let (radius, subtreeEnd) = (radius, subtreeEnd)
    try context.forEach(count, grain: 128) { (range, _) throws(CoverTreeError) in
      for t in range {
        var farthest = Score.ofZero
        for descendant in t + 1..<max(t + 1, Int(subtreeEnd[t])) {
          farthest = max(farthest, squaredDistance(t, descendant))
        }
        radius[t] = S.roundedUp(Score.distance(farthest))
      }
    }
  }
}

/// Nodes from the highest level to the lowest, so that each comes after its parent.
private struct NodesByLevel {
  let sorted: Buffer<Int32>

  init(_ nodes: TreeNodes) throws(CoverTreeError) {
    var lowest = Int32.max
    var highest = Int32.min
    for level in nodes.level.elements where level != TreeNodes.duplicate {
      lowest = min(lowest, level)
      highest = max(highest, level)
    }
    // Bucket 0 is the highest level; the last one is for duplicates.
    let buckets = Int(highest - lowest) + 2
    func bucket(_ level: Int32) -> Int { level == TreeNodes.duplicate ? buckets - 1 : Int(highest - level) }
    let starts = try Buffer<Int>(count: buckets + 1, filledWith: 0)
    for level in nodes.level.elements { starts[bucket(level) + 1] += 1 }
    for index in 0..<buckets { starts[index + 1] += starts[index] }
    sorted = try Buffer(count: nodes.count)
    for node in 0..<nodes.count {
      let index = bucket(nodes.level[node])
      sorted[starts[index]] = Int32(node)
      starts[index] += 1
    }
  }
}

/// Where each node comes in depth-first order, siblings in the builder's order, and the size of its subtree.
private func depthFirstPositions(
  _ nodes: TreeNodes, _ byLevel: NodesByLevel
) throws(CoverTreeError) -> (of: Buffer<Int32>, size: Buffer<Int32>) {
  let count = nodes.count
  let size = try Buffer<Int32>(count: count, filledWith: 1)
  for index in stride(from: count - 1, to: 0, by: -1) {
    let node = byLevel.sorted[index]
    size[nodes.parent[node]] += size[node]
  }
  // Children of a node in the builder's order: lists threaded through the nodes, filled from the back.
  let firstChild = try Buffer<Int32>(count: count, filledWith: -1)
  let nextSibling = try Buffer<Int32>(count: count, filledWith: -1)
  for node in stride(from: count - 1, through: 0, by: -1) where nodes.parent[node] >= 0 {
    nextSibling[node] = firstChild[nodes.parent[node]]
    firstChild[nodes.parent[node]] = Int32(node)
  }
  let position = try Buffer<Int32>(count: count)
  position[byLevel.sorted[0]] = 0
  for index in 0..<count {
    let node = byLevel.sorted[index]
    var next = position[node] + 1
    var child = firstChild[node]
    while child >= 0 {
      position[child] = next
      next += size[child]
      child = nextSibling[child]
    }
  }
  return (position, size)
}
