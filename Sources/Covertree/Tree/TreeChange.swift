/// Makes the next snapshot of a tree: from points, by insertion, or by removal.
struct TreeChange<S: Scalar> {
  let options: TreeOptions
  let context: CallContext

  typealias Outcome = (TreeSnapshot<S>, ChangeStatistics)

  /// A tree of the given points alone.
  /// - Parameter ids: their dataset indices, ascending; nil for 0 ..< count.
  func build(_ points: PointsView<S>, ids: Buffer<Int32>?, indexCount: Int) throws(CoverTreeError) -> Outcome {
    try assemble(points, base: nil, indexCount: indexCount) { row in ids?[row] ?? Int32(row) }
  }

  /// The tree with a batch of points added under the next dataset indices.
  func insert(_ points: PointsView<S>, into base: TreeSnapshot<S>) throws(CoverTreeError) -> Outcome {
    let old = base.layout.count
    let joined = try Buffer<S>(count: (old + points.count) * points.dim)
    joined.base.update(from: base.layout.points.base, count: old * points.dim)
    for row in 0..<points.count {
      (joined.base + (old + row) * points.dim).update(from: points.row(row), count: points.dim)
    }
    let view = PointsView(base: UnsafePointer(joined.base), count: old + points.count, dim: points.dim)
    defer { withExtendedLifetime(joined) {} }
    return try assemble(view, base: base, indexCount: base.indexCount + points.count) { row in
      row < old ? base.layout.order[row] : Int32(base.indexCount + row - old)
    }
  }

  /// Rows of `points` are the nodes of `base` in tree order, then the batch.
  private func assemble(
    _ points: PointsView<S>, base: TreeSnapshot<S>?, indexCount: Int, indexOf: (Int) -> Int32
  ) throws(CoverTreeError) -> Outcome {
    var statistics = ChangeStatistics()
    let start = monotonicSeconds()
    context.stage(from: 0, to: 0.1)
    let (storage, ids, nodes, batch, root) = try prepare(points, base: base, indexOf: indexOf)
    statistics.orderSeconds = monotonicSeconds() - start

    context.stage(from: 0.1, to: 0.8)
    statistics.insertion = try specialized(
      points.dim, Insertion(storage: storage, nodes: nodes, root: root, batch: batch, change: self))

    context.stage(from: 0.8, to: 1)
    let layoutStart = monotonicSeconds()
    let layout = try TreeLayout(
      nodes: consume nodes, storage: consume storage, ids: consume ids, dim: points.dim, context: context)
    let snapshot = try finish(layout, removedFrom: base, indexCount: indexCount)
    statistics.layoutSeconds = monotonicSeconds() - layoutStart
    statistics.totalSeconds = monotonicSeconds() - start
    return (snapshot, statistics)
  }

  /// Points, dataset indices and old nodes at their places along the Hilbert curve; the places of the batch in the
  /// order of preference; the place of the root.
  private func prepare(
    _ points: PointsView<S>, base: TreeSnapshot<S>?, indexOf: (Int) -> Int32
  ) throws(CoverTreeError) -> (Buffer<S>, Buffer<Int32>, TreeNodes, Buffer<Int32>, Int32) {
    let keys = try HilbertCurve(through: points, context: context).keys(of: points, context: context)
    let rows = try sortedOrder(ofKeys: keys, context: context)
    let storage = try gather(points, rows)
    // The host's array may have changed since it was checked.
    let gathered = PointsView(base: UnsafePointer(storage.base), count: points.count, dim: points.dim)
    do throws(CoverTreeError) {
      try gathered.checkCoordinates(named: "points", context: context)
    } catch  where error.kind == .invalidArgument {
      throw .changing("points")
    }
    let ids = try Buffer<Int32>(count: points.count)
    for place in 0..<points.count { ids[place] = indexOf(Int(rows[place])) }
    let nodes = try placeOldNodes(base, rows)
    let batch = try preferredOrder(rows, from: base?.layout.count ?? 0)
    // The root of a tree that exists is its node 0.
    let root = base == nil ? batch[0] : Int32(rows.elements.firstIndex(of: 0) ?? 0)
    return (storage, ids, nodes, batch, root)
  }

  private struct Insertion: DimensionTask {
    let storage: Buffer<S>
    let nodes: TreeNodes
    let root: Int32
    let batch: Buffer<Int32>
    let change: TreeChange

    func run<D: Dimension>(_ dimension: D) throws(CoverTreeError) -> InsertionStatistics {
      let metric = Euclidean(points: UnsafePointer(storage.base), count: nodes.count, dimension: dimension)
      let inserter = try Inserter(
        metric: metric, nodes: nodes, root: root, batch: batch, seed: change.options.seed, context: change.context)
      return try inserter.run()
    }
  }

  private func gather(_ points: PointsView<S>, _ rows: Buffer<Int32>) throws(CoverTreeError) -> Buffer<S> {
    let dim = points.dim
    let storage = try Buffer<S>(count: points.count * dim)
    try context.forEach(points.count, grain: 1 << 14) { (range, _) throws(CoverTreeError) in
      for place in range {
        let (target, source) = (storage.base + place * dim, points.row(Int(rows[place])))
        for d in 0..<dim { target[d] = source[d] }
      }
    }
    return storage
  }

  /// Parents and levels of the old nodes at their new places.
  private func placeOldNodes(_ base: TreeSnapshot<S>?, _ rows: Buffer<Int32>) throws(CoverTreeError) -> TreeNodes {
    let nodes = TreeNodes(
      parent: try Buffer(count: rows.count, filledWith: -1),
      level: try Buffer(count: rows.count, filledWith: TreeNodes.absent))
    guard let layout = base?.layout else { return nodes }
    let placeOf = try Buffer<Int32>(count: layout.count)
    for place in 0..<rows.count where Int(rows[place]) < layout.count { placeOf[rows[place]] = Int32(place) }
    for t in 0..<layout.count {
      nodes.level[placeOf[t]] = layout.levels[t]
      nodes.parent[placeOf[t]] = layout.parents[t] < 0 ? -1 : placeOf[layout.parents[t]]
    }
    return nodes
  }

  /// Places of the batch (rows from `old` on) in the order of preference.
  private func preferredOrder(_ rows: Buffer<Int32>, from old: Int) throws(CoverTreeError) -> Buffer<Int32> {
    let batch = try Buffer<Int32>(count: rows.count - old)
    if options.order == .hilbert {
      var next = 0
      for place in 0..<rows.count where Int(rows[place]) >= old {
        batch[next] = Int32(place)
        next += 1
      }
      return batch
    }
    for place in 0..<rows.count where Int(rows[place]) >= old { batch[Int(rows[place]) - old] = Int32(place) }
    if options.order == .random {
      var generator = SeededGenerator(seed: options.seed)
      var places = UnsafeMutableBufferPointer(start: batch.base, count: batch.count)
      places.shuffle(using: &generator)
    }
    return batch
  }

  private func finish(
    _ layout: TreeLayout<S>, removedFrom base: TreeSnapshot<S>?, indexCount: Int
  ) throws(CoverTreeError) -> TreeSnapshot<S> {
    var removed: Buffer<UInt8>?
    if let base, base.removed != nil {
      let marks = try Buffer<UInt8>(count: layout.count, filledWith: 0)
      for t in 0..<layout.count where Int(layout.order[t]) < base.indexCount && base.positions[layout.order[t]] < 0 {
        marks[t] = 1
      }
      removed = marks
    }
    let view = PointsView(base: UnsafePointer(layout.points.base), count: layout.count, dim: layout.dim)
    let boxes = try BoxTree(view, labels: layout.order.base, leafSize: options.leafSize, context: context)
    return try TreeSnapshot(layout: layout, boxes: boxes, removed: removed, indexCount: indexCount, context: context)
  }

  /// The tree without some of its points.
  func remove(_ indices: UnsafeBufferPointer<Int64>, from base: TreeSnapshot<S>) throws(CoverTreeError) -> Outcome {
    let layout = base.layout
    let start = monotonicSeconds()
    let marks = try Buffer<UInt8>(count: layout.count, filledWith: 0)
    if let removed = base.removed { marks.base.update(from: removed.base, count: layout.count) }
    var live = base.liveCount
    for (place, index) in indices.enumerated() {
      guard index >= 0, index < base.indexCount, base.positions[Int(index)] >= 0 else {
        throw CoverTreeError(.notFound, "indices[\(place)]: the tree has no point \(index)")
      }
      let t = base.positions[Int(index)]
      guard marks[t] == 0 else {
        throw CoverTreeError(.invalidArgument, "indices[\(place)]: point \(index) is named twice")
      }
      marks[t] = 1
      live -= 1
    }
    if live > 0 && (layout.count - live) * 4 > layout.count { return try rebuild(base, without: marks, live: live) }
    let snapshot = try TreeSnapshot(
      layout: layout, boxes: base.boxes, removed: marks, indexCount: base.indexCount, context: context)
    var statistics = ChangeStatistics()
    statistics.totalSeconds = monotonicSeconds() - start
    return (snapshot, statistics)
  }

  private func rebuild(
    _ base: TreeSnapshot<S>, without marks: Buffer<UInt8>, live: Int
  ) throws(CoverTreeError) -> Outcome {
    let dim = base.layout.dim
    let points = try Buffer<S>(count: live * dim)
    let ids = try Buffer<Int32>(count: live)
    var next = 0
    for index in 0..<base.indexCount {
      let t = base.positions[index]
      guard t >= 0, marks[t] == 0 else { continue }
      (points.base + next * dim).update(from: base.layout.points.base + Int(t) * dim, count: dim)
      ids[next] = Int32(index)
      next += 1
    }
    let view = PointsView(base: UnsafePointer(points.base), count: live, dim: dim)
    defer { withExtendedLifetime(points) {} }
    return try build(view, ids: ids, indexCount: base.indexCount)
  }
}
