import CovertreeBase

/// Points before an insertion into a cover tree: the nodes of an earlier tree and a batch, in the builder's order, which is along the Hilbert
/// curve. It is the order of siblings in the tree.
struct PreparedBatch<S: Scalar> {
  /// Coordinates.
  let storage: Buffer<S>
  /// Dataset indices.
  let ids: Buffer<Int32>
  /// The row of each point in the given array.
  let rows: Buffer<Int32>
  /// The old nodes are in the tree.
  let nodes: TreeNodes
  /// The points to insert, in the order of preference.
  private let batch: Buffer<Int32>
  private let root: Int32

  /// - Parameters:
  ///   - points: the nodes of `base` in tree order, then the batch.
  ///   - indices: their dataset indices.
  ///   - base: the earlier tree.
  init(
    _ points: PointsView<S>, _ indices: Buffer<Int32>, base: TreeLayout<S>?, _ options: TreeOptions,
    _ context: CallContext
  ) throws(CoverTreeError) {
    let keys = try HilbertCurve(through: points, context: context).keys(of: points, context: context)
    let rows = try sortedOrder(ofKeys: keys, context: context)
    self.rows = rows
    storage = try Self.gather(points, rows, context)
    ids = try Buffer(count: points.count)
    let ids = ids
    try context.forEach(points.count, grain: 1 << 14) { (range, _) throws(CoverTreeError) in
      for position in range { ids[position] = indices[rows[position]] }
    }
    nodes = try Self.arrangeOldNodes(base, rows)
    batch = try Self.preferredOrder(rows, from: base?.count ?? 0, options)
    // The root of an existing tree is its node 0.
    root = base == nil ? batch[0] : Int32(rows.elements.firstIndex(of: 0) ?? 0)
  }

  /// Puts the batch into the tree.
  func insert<M: Metric>(
    by metric: M, seed: UInt64, context: CallContext
  ) throws(CoverTreeError) -> InsertionStatistics {
    try Inserter(metric: metric, nodes: nodes, root: root, batch: batch, seed: seed, context: context).run()
  }

  private static func gather(
    _ points: PointsView<S>, _ rows: Buffer<Int32>, _ context: CallContext
  ) throws(CoverTreeError) -> Buffer<S> {
    let dim = points.dim
    let storage = try Buffer<S>(count: points.count * dim)
    try context.forEach(points.count, grain: 1 << 14) { (range, _) throws(CoverTreeError) in
      for position in range {
        let (target, source) = (storage.base + position * dim, points.row(Int(rows[position])))
        for d in 0..<dim { target[d] = source[d] }
      }
    }
    return storage
  }

  /// Parents and levels of the old nodes at their new positions.
  private static func arrangeOldNodes(
    _ base: TreeLayout<S>?, _ rows: Buffer<Int32>
  ) throws(CoverTreeError) -> TreeNodes {
    let nodes = TreeNodes(
      parent: try Buffer(count: rows.count, filledWith: -1),
      level: try Buffer(count: rows.count, filledWith: TreeNodes.absent))
    guard let layout = base else { return nodes }
    let positionOf = try Buffer<Int32>(count: layout.count)
    for position in 0..<rows.count where Int(rows[position]) < layout.count {
      positionOf[rows[position]] = Int32(position)
    }
    for t in 0..<layout.count {
      nodes.level[positionOf[t]] = layout.levels[t]
      nodes.parent[positionOf[t]] = layout.parents[t] < 0 ? -1 : positionOf[layout.parents[t]]
    }
    return nodes
  }

  /// Positions of the batch (rows from `old` on) in the order of preference.
  private static func preferredOrder(
    _ rows: Buffer<Int32>, from old: Int, _ options: TreeOptions
  ) throws(CoverTreeError) -> Buffer<Int32> {
    let batch = try Buffer<Int32>(count: rows.count - old)
    if options.order == .hilbert {
      var next = 0
      for position in 0..<rows.count where Int(rows[position]) >= old {
        batch[next] = Int32(position)
        next += 1
      }
      return batch
    }
    for position in 0..<rows.count where Int(rows[position]) >= old {
      batch[Int(rows[position]) - old] = Int32(position)
    }
    if options.order == .random { batch.shuffle(seed: options.seed) }
    return batch
  }
}
