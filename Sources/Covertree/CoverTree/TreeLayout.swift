import CovertreeBase

/// A finished compressed cover tree: flat, immutable arrays in *tree order*.
///
/// Tree order is depth-first, with siblings along the Hilbert curve. Node 0 is the root, the subtree of node `t` is `t..<subtreeEnd[t]`,
/// its first child is `t + 1`, and the next sibling of a child `c` is `subtreeEnd[c]`. Near points are near each other in memory.
///
/// Memory per point: its coordinates and 40 bytes.
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

  /// Lays out the nodes of a finished insertion. `storage` and `ids` are in the builder's order, which is the order of siblings. They are
  /// consumed: the builder's memory is freed before the rest is made.
  ///
  convenience init(
    nodes: consuming TreeNodes, storage: consuming Buffer<S>, ids: consuming Buffer<Int32>, dim: Int,
    distances: Distances = .euclidean, context: CallContext
  ) throws(CoverTreeError) {
    try self.init(Arranged(nodes, storage, ids, dim: dim, context: context), distances, context: context)
  }

  /// The distances that are the radii of subtrees.
  enum Distances {
    case euclidean
    /// The squared distance between two points by their dataset indices.
    case squared((Int32, Int32) -> Double)
    /// The caller fills the radii.
    case unknown
  }

  private init(_ arranged: Arranged, _ distances: Distances, context: CallContext) throws(CoverTreeError) {
    count = arranged.order.count
    dim = arranged.dim
    (points, order, levels) = (arranged.points, arranged.order, arranged.levels)
    (parents, subtreeEnd) = (arranged.parents, arranged.subtreeEnd)
    childrenOffsets = try Buffer(count: count + 1)
    children = try Buffer(count: count - 1)
    radius = try Buffer(count: count)
    subtreeMin = try Buffer(count: count)
    subtreeMax = try Buffer(count: count)
    try fillChildren(try fillIndexRanges(context), context)
    try context.poll()
    switch distances {
    case .squared(let squared):
      let order = order
      try fillRadius(context) { squared(order[$0], order[$1]) }
    case .euclidean:
      let (points, dim) = (points, dim)
      try fillRadius(context) {
        euclideanScore(points.base + $0 * dim, points.base + $1 * dim, dim: dim)
      }
    case .unknown: break
    }
  }

  /// Arrays from a file.
  init(
    dim: Int, points: Buffer<S>, order: Buffer<Int32>, levels: Buffer<Int32>, parents: Buffer<Int32>,
    childrenOffsets: Buffer<Int32>, children: Buffer<Int32>, radius: Buffer<S>, subtreeEnd: Buffer<Int32>,
    subtreeMin: Buffer<Int32>, subtreeMax: Buffer<Int32>
  ) {
    (count, self.dim, self.points, self.order) = (order.count, dim, points, order)
    (self.levels, self.parents, self.childrenOffsets, self.children) = (levels, parents, childrenOffsets, children)
    (self.radius, self.subtreeEnd, self.subtreeMin, self.subtreeMax) = (radius, subtreeEnd, subtreeMin, subtreeMax)
  }

  /// The builder's arrays, in tree order.
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
      let depthFirst = try DepthFirstOrder(nodes, context: context)
      let (position, size) = (depthFirst.position, depthFirst.size)
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
          let t = Int(position[node])
          let (target, source) = (points.base + t * dim, storage.base + node * dim)
          for d in 0..<dim { target[d] = source[d] }
          order[t] = ids[node]
          levels[t] = nodes.level[node]
          parents[t] = nodes.parent[node] < 0 ? -1 : position[nodes.parent[node]]
          subtreeEnd[t] = position[node] + size[node]
        }
      }
    }
  }

  /// Nodes of a thread's chunk, in tree order.
  private static var grain: Int { 1 << 14 }

  /// Fills the index ranges of subtrees. Returns the number of children of each chunk of nodes.
  private func fillIndexRanges(_ context: CallContext) throws(CoverTreeError) -> Buffer<Int32> {
    let (parents, order, smallest, largest) = (parents, order, subtreeMin, subtreeMax)
    let chunks = (count + Self.grain - 1) / Self.grain
    let childCounts = try Buffer<Int32>(count: chunks, filledWith: 0)
    // Nodes with a parent in an earlier chunk are added to it when all chunks are done.
    let crossing = try (0..<chunks).map { (_) throws(CoverTreeError) in try GrowableBuffer<Int32>() }
    try context.forEach(count, grain: Self.grain) { (range, _) throws(CoverTreeError) in
      let chunk = range.lowerBound / Self.grain
      for t in range { (smallest[t], largest[t]) = (order[t], order[t]) }
      var inside: Int32 = 0
      for t in range.reversed() where t > 0 {
        let parent = parents[t]
        guard parent >= range.lowerBound else {
          try crossing[chunk].append(Int32(t))
          continue
        }
        inside += 1
        smallest[parent] = min(smallest[parent], smallest[t])
        largest[parent] = max(largest[parent], largest[t])
      }
      childCounts[chunk] = inside
    }
    for list in crossing {
      for t in list.elements {
        var parent = parents[t]
        childCounts.base[Int(parent) / Self.grain] += 1
        while parent >= 0, smallest[t] < smallest[parent] || largest[t] > largest[parent] {
          smallest[parent] = min(smallest[parent], smallest[t])
          largest[parent] = max(largest[parent], largest[t])
          parent = parents[parent]
        }
      }
    }
    return childCounts
  }

  /// - Parameter childCounts: the number of children of each chunk of nodes.
  private func fillChildren(_ childCounts: Buffer<Int32>, _ context: CallContext) throws(CoverTreeError) {
    let (children, childrenOffsets, subtreeEnd) = (children, childrenOffsets, subtreeEnd)
    let firsts = try Buffer<Int32>(count: childCounts.count)
    var total: Int32 = 0
    for chunk in 0..<firsts.count {
      firsts[chunk] = total
      total += childCounts[chunk]
    }
    childrenOffsets[count] = total
    try context.forEach(count, grain: Self.grain) { (range, _) throws(CoverTreeError) in
      var next = firsts[range.lowerBound / Self.grain]
      for t in range {
        childrenOffsets[t] = next
        var child = Int32(t + 1)
        while child < subtreeEnd[t] {
          children[next] = child
          next += 1
          child = subtreeEnd[child]
        }
      }
    }
  }

  /// Compares every point with each of its ancestors once: O(n depth) distances.
  @inline(__always)
  private func fillRadius(_ context: CallContext, squaredDistance: (Int, Int) -> Double) throws(CoverTreeError) {
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
