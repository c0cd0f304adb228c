import CovertreeBase

/// The cover tree of a model's points in the residual-correlation metric itself: a *pure* tree.
///
/// Distances are at most 1, so only the root is above level -1, and lower levels depend only on pairs within 1/2 of each other: `|rho| >=
/// 3/4`. The search through low-rank blocks finds those first; the insertion then looks them up (`NeighborGraph`). O(n) memory.
extension ResidualSearch {
  /// Levels from -1 down need pairs within this squared distance.
  private static let reach = squaredRadius(ofLevel: -1)

  /// Builds the tree of all points, with scaled coordinates.
  public func tree(options: TreeOptions, context: CallContext) throws(CoverTreeError) -> CorrelationTree {
    guard !model.covariance.isCallback else {
      throw CoverTreeError(.unsupported, "kernel_fn: trees in the residual metric need a kernel of the library")
    }
    context.stage(from: 0, to: 0.7)
    let metric = ResidualMetric(model: model, graph: try graph(within: Self.reach, context: context))
    context.stage(from: 0.7, to: 0.9)
    let nodes = TreeNodes(
      parent: try Buffer(count: model.count, filledWith: -1),
      level: try Buffer(count: model.count, filledWith: TreeNodes.absent))
    let batch = try preferredOrder(options, context)
    let inserter = try Inserter(
      metric: metric, nodes: nodes, root: batch[0], batch: batch, seed: options.seed, context: context)
    _ = try inserter.run()
    context.stage(from: 0.9, to: 1)
    let (storage, ids) = (try copy(model.coordinates), try indicesOfPositions())
    let (model, positions) = (model, try positionsOfIndices())
    let layout = try TreeLayout<Double>(
      nodes: nodes, storage: storage, ids: ids, dim: model.dim,
      distances: .squared { model.squaredDistance(positions[$0], positions[$1]) }, context: context)
    return CorrelationTree(layout: layout, search: self, removed: try removed(in: layout, positions))
  }

  /// By node: 1 for removed points; nil if there are none.
  private func removed(
    in layout: TreeLayout<Double>, _ positions: Buffer<Int32>
  ) throws(CoverTreeError) -> Buffer<UInt8>? {
    guard let removed else { return nil }
    let marks = try Buffer<UInt8>(count: layout.count)
    for node in 0..<layout.count { marks[node] = removed.marks[Int(model.order[Int(positions[layout.order[node]])])] }
    return marks
  }

  /// Checks every rule of a tree of this model; throws `.corrupt` with the first pair that breaks one.
  public func validate(_ tree: CorrelationTree, context: CallContext) throws(CoverTreeError) {
    let layout = tree.layout
    guard layout.count == model.count else {
      throw CoverTreeError(
        .invalidArgument, "tree: it has \(layout.count) points, there are \(model.count); was one inserted?")
    }
    let positions = try positionsOfIndices()
    guard layout.order.elements.allSatisfy({ $0 < positions.count && positions[$0] >= 0 }) else {
      throw CoverTreeError(.invalidArgument, "tree: it has other points; were some removed?")
    }
    context.stage(from: 0, to: 0.1)
    let graph = try graph(within: Self.reach, context: context)
    let (model, order) = (model, layout.order)
    let nodeOfPosition = try Buffer<Int32>(count: model.count)
    for t in 0..<layout.count { nodeOfPosition[positions[order[t]]] = Int32(t) }
    let nodes = try GrowableBuffer<Int32>()
    for t in 0..<layout.count where layout.levels[t] != TreeNodes.duplicate {
      try nodes.append(positions[order[t]])
    }
    let choice = try NeighborGraph.Choice(nodes.count, in: model) { nodes[$0] }
    try Invariants(
      layout: layout,
      space: .other(
        scores: { (t, others) in
          let position = positions[order[t]]
          return others.map { model.squaredDistance(position, positions[order[$0]]) }
        },
        crowding: { (t) throws(CoverTreeError) in
          let level = layout.levels[t]
          var first: Int32?
          try graph.forEach(of: positions[order[t]], among: choice) { (position, _, squared) in
            let other = nodeOfPosition[position]
            guard layout.levels[other] >= level else { return }
            if squared <= squaredRadius(ofLevel: level) { first = min(first ?? other, other) }
          }
          return first.map(Int.init)
        }), indexCount: nextIndex, context: context
    ).check()
  }

  /// Positions in the order in which they are preferred as centres.
  private func preferredOrder(_ options: TreeOptions, _ context: CallContext) throws(CoverTreeError) -> Buffer<Int32> {
    switch options.order {
    case .natural: return try copy(model.positionOfIndex)
    case .hilbert:
      let view = PointsView(model.coordinates, count: model.count, dim: model.dim)
      return try sortedOrder(
        ofKeys: HilbertCurve(through: view, context: context).keys(of: view, context: context), context: context)
    case .random:
      let shuffled = try copy(model.positionOfIndex)
      shuffled.shuffle(seed: options.seed)
      return shuffled
    }
  }

  private func copy<E: BitwiseCopyable>(_ buffer: Buffer<E>) throws(CoverTreeError) -> Buffer<E> {
    let copied = try Buffer<E>(count: buffer.count)
    copied.base.update(from: buffer.base, count: buffer.count)
    return copied
  }
}

/// A finished cover tree in the residual-correlation metric.
public final class CorrelationTree: @unchecked Sendable {
  let layout: TreeLayout<Double>
  private let removed: Buffer<UInt8>?
  private let isCurrent: @Sendable () -> Bool

  init(layout: TreeLayout<Double>, search: ResidualSearch, removed: Buffer<UInt8>?) {
    (self.layout, self.removed) = (layout, removed)
    isCurrent = { [weak search] in search != nil }
  }

  /// The arrays; radii are residual-correlation distances, points the scaled coordinates.
  public func export() -> TreeArrays { TreeArrays(layout, owner: self, removed: removed, isCurrent: isCurrent) }
}

/// The residual-correlation metric of a build: near pairs are known, and far ones do not matter.
private struct ResidualMetric: Metric {
  let model: ResidualModel
  let graph: NeighborGraph

  var pointCount: Int { model.count }

  func sources(_ points: GrowableBuffer<Int32>, context: CallContext) throws(CoverTreeError) -> NeighborGraph.Choice {
    try NeighborGraph.Choice(points.count, in: model) { points[$0] }
  }

  func finder(_ sources: NeighborGraph.Choice) throws(CoverTreeError) -> ResidualFinder {
    ResidualFinder(graph: graph, sources: sources)
  }

  func operations(comparing count: Int) -> Int { 64 }
  func scores(from point: Int32, to others: UnsafeBufferPointer<Int32>, into scores: UnsafeMutablePointer<Double>) {
    for (slot, other) in others.enumerated() { scores[slot] = model.squaredDistance(point, other) }
  }
}

private struct ResidualFinder: SourceFinder {
  let graph: NeighborGraph
  let sources: NeighborGraph.Choice
  var distanceEvaluations = 0

  mutating func nearest(
    to points: UnsafeBufferPointer<Int32>, knowing known: KnownCenters, reach: LevelReach,
    found: (_ point: Int32, _ listed: Int32, _ score: Double) -> Void
  ) throws(CoverTreeError) {
    for point in points {
      let bar = reach.bar(knowing: known.score[point])
      var nearest: (squared: Double, position: Int32)?
      try graph.forEach(of: point, among: sources) { (_, position, squared) in
        guard squared < bar else { return }
        if let known = nearest, known < (squared, position) { return }
        nearest = (squared, position)
      }
      if let nearest { found(point, nearest.position, nearest.squared) }
    }
  }

  mutating func neighbors(
    of positions: Range<Int>, in list: GrowableBuffer<Int32>, knowing known: KnownCenters?, within radius: Double,
    wanted: (_ position: Int32, _ neighbor: Int32) -> Bool,
    found: (_ position: Int32, _ neighbor: Int32) throws(CoverTreeError) -> Void
  ) throws(CoverTreeError) {
    for position in positions {
      try graph.forEach(of: list[position], among: sources) { (_, neighbor, squared) throws(CoverTreeError) in
        guard squared <= radius, neighbor != Int32(position), wanted(Int32(position), neighbor) else { return }
        try found(Int32(position), neighbor)
      }
    }
  }

  func listed(_ position: Int) -> Int { position }
}
