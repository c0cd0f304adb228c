import CovertreeBase

/// Fills the distances of a finished layout: to parents, and the radii of subtrees.
struct NodeLinksBuild {
  let layout: TreeLayout<Double>
  let objects: ObjectRows
  let pivots: PivotTable
  let function: DistanceFunction
  let context: CallContext

  /// - Parameters:
  ///   - base: the tree to which a batch was added. Its distances to parents stay, and so do the radii of nodes above no new one.
  ///   - rows: by node: the tree index that it has in `base`, if there it is one.
  func links(
    after base: FunctionSnapshot?, _ rows: Buffer<Int32>, _ evaluations: Counter
  ) throws(CoverTreeError) -> NodeLinks {
    let links = try NodeLinks(
      layout, parentDistance: Buffer(count: layout.count, filledWith: 0), reach: Buffer(count: layout.count), pivots)
    let isNew = try Buffer<UInt8>(count: layout.count, filledWith: 1)
    if let base {
      for t in 0..<layout.count where Int(rows[t]) < base.layout.count {
        isNew[t] = 0
        links.parentDistance[t] = base.links.parentDistance[rows[t]]
        layout.radius[t] = base.layout.radius[rows[t]]
      }
    }
    try fillParentDistances(links.parentDistance, isNew, evaluations)
    try fillReach(links.reach)
    try fillRadii(links.parentDistance, isNew, evaluations)
    return links
  }

  private func fillParentDistances(
    _ distances: Buffer<Double>, _ isNew: Buffer<UInt8>, _ evaluations: Counter
  ) throws(CoverTreeError) {
    let new = try context.collect(layout.count) { t in isNew[t] == 1 && layout.parents[t] >= 0 ? Int32(t) : nil }
    try context.forEach(new.count, grain: 512) { (range, _) throws(CoverTreeError) in
      let evaluator = try PairEvaluator(function, objects.type, context: context)
      for slot in range { try evaluator.add(objects.row(layout.parents[new[slot]]), objects.row(new[slot])) }
      for (slot, distance) in zip(range, try evaluator.run()) { distances[new[slot]] = distance }
      evaluations.add(evaluator.evaluations)
    }
  }

  private func fillReach(_ reach: Buffer<Double>) throws(CoverTreeError) {
    let (columns, points) = (pivots.columns, UnsafePointer(layout.points.base))
    try context.forEach(layout.count, grain: 128) { (range, _) throws(CoverTreeError) in
      for t in range {
        var most = 0.0
        for descendant in t + 1..<max(t + 1, Int(layout.subtreeEnd[t])) {
          most = max(most, pivots.apart(points + t * columns, points + descendant * columns))
        }
        reach[t] = most
      }
    }
  }

  /// Finds the radii from the lowest level upwards: a node needs the radii of its children.
  private func fillRadii(
    _ parentDistance: Buffer<Double>, _ isNew: Buffer<UInt8>, _ evaluations: Counter
  ) throws(CoverTreeError) {
    // New nodes, and those above them.
    let isOpen = isNew
    for t in stride(from: layout.count - 1, to: 0, by: -1) where isOpen[t] == 1 { isOpen[layout.parents[t]] = 1 }
    var levels: [Int32: GrowableBuffer<Int32>] = [:]
    for t in 0..<layout.count where isOpen[t] == 1 {
      if levels[layout.levels[t]] == nil { levels[layout.levels[t]] = try GrowableBuffer() }
      try levels[layout.levels[t]]!.append(Int32(t))
    }
    for level in levels.keys.sorted() {
      let nodes = levels[level]!
      try context.forEach(nodes.count, grain: 16) { (range, _) throws(CoverTreeError) in
        let search = try FarthestDescendant(self, parentDistance)
        for slot in range { layout.radius[nodes[slot]] = try search.distance(from: nodes[slot]) }
        evaluations.add(search.evaluations)
      }
    }
  }
}

/// The farthest descendant of a node, best first: a subtree is opened only if it may have a farther node than is known.
private final class FarthestDescendant {
  private struct Subtree: BitwiseCopyable, Comparable {
    /// No descendant is farther.
    var most: Double
    /// The distance of its root.
    var distance: Double
    var node: Int32

    /// The farthest is on top.
    static func < (a: Subtree, b: Subtree) -> Bool { (-a.most, a.node) < (-b.most, b.node) }
  }

  private let links: NodeLinksBuild
  private let parentDistance: Buffer<Double>
  private let ahead: MinHeap<Subtree>
  private let opened: GrowableBuffer<Subtree>
  private let evaluator: PairEvaluator

  init(_ links: NodeLinksBuild, _ parentDistance: Buffer<Double>) throws(CoverTreeError) {
    (self.links, self.parentDistance) = (links, parentDistance)
    ahead = try MinHeap()
    opened = try GrowableBuffer()
    evaluator = try PairEvaluator(links.function, links.objects.type, context: links.context)
  }

  var evaluations: Int { evaluator.evaluations }

  func distance(from node: Int32) throws(CoverTreeError) -> Double {
    let layout = links.layout
    var farthest = 0.0
    ahead.removeAll()
    for slot in layout.childrenOffsets[node]..<layout.childrenOffsets[Int(node) + 1] {
      let child = layout.children[slot]
      let apart = parentDistance[child]
      farthest = max(farthest, apart)
      if layout.radius[child] > 0 {
        try ahead.push(Subtree(most: apart + layout.radius[child], distance: apart, node: child))
      }
    }
    while let subtree = ahead.pop(), subtree.most * (1 + 4 * DistanceFunction.slack) > farthest {
      opened.removeAll()
      for slot in layout.childrenOffsets[subtree.node]..<layout.childrenOffsets[Int(subtree.node) + 1] {
        let child = layout.children[slot]
        let most = min(subtree.most, subtree.distance + parentDistance[child] + layout.radius[child])
        guard most * (1 + 4 * DistanceFunction.slack) > farthest else { continue }
        try opened.append(Subtree(most: most, distance: 0, node: child))
        try evaluator.add(links.objects.row(node), links.objects.row(child))
      }
      for (slot, apart) in try evaluator.run().enumerated() {
        var child = opened[slot]
        farthest = max(farthest, apart)
        guard links.layout.radius[child.node] > 0 else { continue }
        (child.distance, child.most) = (apart, min(child.most, apart + layout.radius[child.node]))
        try ahead.push(child)
      }
    }
    return farthest
  }
}
