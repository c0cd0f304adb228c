import CovertreeBase

extension CoverTree {
  /// Checks every rule of the segments and the cover tree; throws `.corrupt` with the first pair of points that breaks one. A missing cover
  /// tree is made first.
  ///
  /// Distances are computed again. Separation is checked by a search around each node for others of its level or above. O(n depth)
  /// distances, and a search per node.
  public func validate(context: CallContext) throws(CoverTreeError) {
    let snapshot = snapshot
    // A tree with another metric than Euclidean distance has no cover tree.
    guard options.metric == nil else { return try SegmentRules(snapshot, nil).check(context) }
    let cover: CoverArrays<S> = try context.within(from: 0, to: 0.3) { () throws(CoverTreeError) in
      try snapshot.cover(options, context: context)
    }
    let rules = Invariants<S>(
      layout: cover.layout, space: .euclidean, indexCount: snapshot.indexCount, context: context)
    try rules.check()
    try SegmentRules(snapshot, cover).check(context)
  }
}

struct Invariants<S: Scalar> {
  let layout: TreeLayout<S>
  let space: Space
  let indexCount: Int
  let context: CallContext

  /// The distances of the nodes, by tree index.
  enum Space {
    case euclidean
    /// - scores: of the distances from a node to some others.
    /// - crowding: the first node of a node's level or above that is within `2^level` of it, if there is one.
    case other(
      scores: (Int, Range<Int>) throws(CoverTreeError) -> [Double], crowding: (Int) throws(CoverTreeError) -> Int?)
  }

  func check() throws(CoverTreeError) {
    try checkOrder()
    try checkShape()
    context.stage(from: 0.4, to: 0.6)
    try checkNodes()
    context.stage(from: 0.6, to: 1)
    switch space {
    case .euclidean:
      try specialized(layout.dim, SeparationTask(invariants: self))
    case .other(_, let crowding):
      try context.forEach(layout.count, grain: 256) { (range, _) throws(CoverTreeError) in
        for t in range where layout.levels[t] != TreeNodes.duplicate {
          if let other = try crowding(t) { throw try crowded(t, by: other) }
        }
      }
    }
  }

  private func crowded(_ t: Int, by other: Int) throws(CoverTreeError) -> CoverTreeError {
    broken("separation", t, other, ", \(Score.distance(try scores(t, other..<other + 1)[0])) apart")
  }

  private func broken(_ rule: String, _ a: Int, _ b: Int? = nil, _ detail: String = "") -> CoverTreeError {
    let other = b.map { " and \(layout.order[$0]) (level \(layout.levels[$0]))" } ?? ""
    return CoverTreeError(
      .corrupt, "\(rule): broken by point \(layout.order[a]) (level \(layout.levels[a]))\(other)\(detail)")
  }

  private func scores(_ t: Int, _ others: Range<Int>) throws(CoverTreeError) -> [Double] {
    if case .other(let scores, _) = space { return try scores(t, others) }
    let (points, dim) = (layout.points.base, layout.dim)
    return others.map { euclideanScore(points + t * dim, points + $0 * dim, dim: dim) }
  }

  /// Every dataset index belongs to at most one node.
  private func checkOrder() throws(CoverTreeError) {
    let seen = try Buffer<UInt8>(count: indexCount, filledWith: 0)
    for t in 0..<layout.count {
      let index = Int(layout.order[t])
      guard index >= 0, index < indexCount, seen[index] == 0 else { throw broken("order", t) }
      seen[index] = 1
    }
  }

  /// One root, subtrees nested as ranges, and children in accordance with them.
  private func checkShape() throws(CoverTreeError) {
    guard layout.parents[0] == -1, Int(layout.subtreeEnd[0]) == layout.count else { throw broken("root", 0) }
    let smallest = try Buffer<Int32>(count: layout.count)
    let largest = try Buffer<Int32>(count: layout.count)
    for t in stride(from: layout.count - 1, through: 0, by: -1) {
      var next = t + 1
      (smallest[t], largest[t]) = (layout.order[t], layout.order[t])
      for slot in layout.childrenOffsets[t]..<layout.childrenOffsets[t + 1] {
        let child = Int(layout.children[slot])
        guard child == next, child < layout.subtreeEnd[t], layout.parents[child] == t else {
          throw broken("children", t, child)
        }
        smallest[t] = min(smallest[t], smallest[child])
        largest[t] = max(largest[t], largest[child])
        next = Int(layout.subtreeEnd[child])
      }
      guard next == layout.subtreeEnd[t] else { throw broken("subtree_end", t) }
      guard smallest[t] == layout.subtreeMin[t], largest[t] == layout.subtreeMax[t] else {
        throw broken("subtree_min, subtree_max", t)
      }
    }
  }

  /// Levels, covering, duplicates and radii, node by node.
  private func checkNodes() throws(CoverTreeError) {
    try context.forEach(layout.count, grain: 128) { (range, _) throws(CoverTreeError) in
      for t in range {
        let end = Int(layout.subtreeEnd[t])
        var farthest = Score.ofZero
        for score in try scores(t, t + 1..<max(t + 1, end)) { farthest = max(farthest, score) }
        guard layout.radius[t] == S.roundedUp(Score.distance(farthest)) else { throw broken("radius", t) }
        guard t > 0 else { continue }
        let parent = Int(layout.parents[t])
        let apart = try scores(parent, t..<t + 1)[0]
        if layout.levels[t] == TreeNodes.duplicate {
          guard Score.isZero(apart), layout.levels[parent] != TreeNodes.duplicate, end == t + 1 else {
            throw broken("duplicate", t, parent, ", \(Score.distance(apart)) apart")
          }
        } else {
          guard layout.levels[t] < layout.levels[parent], layout.levels[t] < layout.levels[0] else {
            throw broken("level below the parent's", t, parent)
          }
          guard apart <= radiusScore(ofLevel: layout.levels[t] + 1) else {
            throw broken("covering", t, parent, ", \(Score.distance(apart)) apart")
          }
        }
      }
    }
  }

  /// No two nodes of level `i` or above are within `2^i`.
  private struct SeparationTask: DimensionTask {
    let invariants: Invariants

    /// Keeps the first point within the radius that is not a duplicate and is of the node's level or above.
    struct Crowding: ExactHandler {
      let levels: Buffer<Int32>
      let node: Int32
      let worst: Double
      var found = Int32.max

      @inline(__always)
      mutating func insert(_ squared: Double, _ other: Int32) {
        guard other != node, levels[other] >= levels[node], levels[other] != TreeNodes.duplicate else { return }
        found = min(found, other)
      }
    }

    func run<D: MetricSpace>(_ dimension: D) throws(CoverTreeError) {
      let layout = invariants.layout
      // Removed points are nodes like the others. Indices are tree indices.
      let nodes = try KDTree(
        PointsView(layout.points, count: layout.count, dim: layout.dim),
        leafSize: KDTree<S>.defaultLeafSize, context: invariants.context)
      let grain = CallContext.grain(operationsPerItem: layout.count * layout.dim / S.width, most: 256)
      try invariants.context.forEach(layout.count, grain: grain) { (range, _) throws(CoverTreeError) in
        var search = try KDTreeSearch(nodes, dimension: dimension)
        for t in range where layout.levels[t] != TreeNodes.duplicate {
          var crowding = Crowding(levels: layout.levels, node: Int32(t), worst: radiusScore(ofLevel: layout.levels[t]))
          try search.run(layout.points.base + t * layout.dim, into: &crowding)
          guard crowding.found == Int32.max else { throw try invariants.crowded(t, by: Int(crowding.found)) }
        }
      }
    }
  }
}
