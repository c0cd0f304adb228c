import CovertreeBase

/// Builds the cover tree of a state of a tree: from all its points, or by insertion of a batch into the cover tree of an earlier state.
struct CoverBuild<S: Scalar> {
  let options: TreeOptions
  let context: CallContext

  /// - Parameters:
  ///   - indexCount: above all dataset indices.
  ///   - earlier: the cover tree of an earlier state.
  func cover(
    of points: SearchPoints<S>, indexCount: Int, from earlier: CoverArrays<S>?
  ) throws(CoverTreeError) -> CoverArrays<S> {
    let locator = try PointLocator(points)
    if let earlier {
      let removed = try marks(earlier.layout, locator)
      let removedCount = removed?.elements.reduce(0) { $0 + Int($1) } ?? 0
      if removedCount * 4 <= earlier.layout.count || points.liveCount == 0 {
        return try extended(earlier, removed, points, indexCount: indexCount)
      }
    }
    // If all points are removed, the tree has all points that its segments still have.
    let isEmpty = points.liveCount == 0
    let (rows, indices) = try gathered(points, from: 0, includingRemoved: isEmpty)
    let view = PointsView(rows, count: indices.count, dim: points.dim)
    defer { withExtendedLifetime(rows) {} }
    let (layout, statistics) = try assemble(view, indices, base: nil)
    return CoverArrays(
      layout, removed: isEmpty ? try Buffer(count: layout.count, filledWith: 1) : nil, indexCount: indexCount,
      statistics: statistics)
  }

  /// Marks the nodes of removed points; nil if no point is removed.
  private func marks(_ layout: TreeLayout<S>, _ locator: PointLocator<S>) throws(CoverTreeError) -> Buffer<UInt8>? {
    let marks = try Buffer<UInt8>(count: layout.count)
    let removed = Counter()
    try context.forEach(layout.count, grain: 1 << 14) { (range, _) throws(CoverTreeError) in
      var count = 0
      for t in range {
        marks[t] = locator.locate(Int(layout.order[t])) == nil ? 1 : 0
        count += Int(marks[t])
      }
      removed.add(count)
    }
    return removed.value == 0 ? nil : marks
  }

  /// The earlier tree with the later points added.
  private func extended(
    _ earlier: CoverArrays<S>, _ removed: Buffer<UInt8>?, _ points: SearchPoints<S>, indexCount: Int
  ) throws(CoverTreeError) -> CoverArrays<S> {
    let old = earlier.layout
    let (rows, indices) = try gathered(points, from: earlier.indexCount, includingRemoved: false, after: old)
    guard indices.count > old.count else {
      return CoverArrays(old, removed: removed, indexCount: indexCount, statistics: earlier.statistics)
    }
    let view = PointsView(rows, count: indices.count, dim: old.dim)
    defer { withExtendedLifetime(rows) {} }
    let (layout, statistics) = try assemble(view, indices, base: old)
    guard let removed else { return CoverArrays(layout, removed: nil, indexCount: indexCount, statistics: statistics) }
    let isRemoved = try Buffer<UInt8>(count: indexCount, filledWith: 0)
    for t in 0..<old.count { isRemoved[old.order[t]] = removed[t] }
    let marks = try Buffer<UInt8>(count: layout.count)
    for t in 0..<layout.count { marks[t] = isRemoved[layout.order[t]] }
    return CoverArrays(layout, removed: marks, indexCount: indexCount, statistics: statistics)
  }

  /// Rows and dataset indices of the nodes of a tree, and then of points by ascending dataset index.
  private func gathered(
    _ points: SearchPoints<S>, from first: Int, includingRemoved: Bool, after old: TreeLayout<S>? = nil
  ) throws(CoverTreeError) -> (rows: Buffer<S>, indices: Buffer<Int32>) {
    let known = old?.count ?? 0
    let positions = try GrowableBuffer<Int32>()
    for view in points.views where view.segment.indexRange.upperBound > first {
      let table = try view.segment.positions()
      for offset in max(0, first - view.segment.indexRange.lowerBound)..<table.count {
        let position = Int(table[offset])
        guard position >= 0, includingRemoved || view.index(position) != KDTree<S>.noIndex else { continue }
        try positions.append(Int32(view.firstPosition + position))
      }
    }
    let dim = points.dim
    let rows = try Buffer<S>(count: (known + positions.count) * dim)
    let indices = try Buffer<Int32>(count: known + positions.count)
    if let old {
      rows.base.update(from: old.points.base, count: known * dim)
      indices.base.update(from: old.order.base, count: known)
    }
    try context.forEach(positions.count, grain: 1 << 12) { (range, _) throws(CoverTreeError) in
      for row in range {
        points.copy(Int(positions[row]), into: rows.base + (known + row) * dim)
        indices[known + row] = points.index(at: Int(positions[row]))
      }
    }
    return (rows, indices)
  }

  /// Rows of `points` are the nodes of `base` in tree order, then the batch.
  private func assemble(
    _ points: PointsView<S>, _ indices: Buffer<Int32>, base: TreeLayout<S>?
  ) throws(CoverTreeError) -> (TreeLayout<S>, CoverStatistics) {
    var statistics = CoverStatistics()
    let start = monotonicSeconds()
    context.stage(from: 0, to: 0.1)
    let batch = try PreparedBatch(points, indices, base: base, options, context)
    let (storage, ids, nodes) = (batch.storage, batch.ids, batch.nodes)
    statistics.orderSeconds = monotonicSeconds() - start

    context.stage(from: 0.1, to: 0.8)
    statistics.insertion = try specialized(points.dim, Insertion(batch: consume batch, build: self))

    context.stage(from: 0.8, to: 1)
    let layoutStart = monotonicSeconds()
    let layout = try TreeLayout(
      nodes: consume nodes, storage: consume storage, ids: consume ids, dim: points.dim, context: context)
    statistics.layoutSeconds = monotonicSeconds() - layoutStart
    return (layout, statistics)
  }

  private struct Insertion: DimensionTask {
    let batch: PreparedBatch<S>
    let build: CoverBuild

    func run<D: MetricSpace>(_ dimension: D) throws(CoverTreeError) -> InsertionStatistics {
      let metric = Euclidean(
        points: UnsafePointer(batch.storage.base), count: batch.nodes.count, dimension: dimension)
      return try batch.insert(by: metric, seed: build.options.seed, context: build.context)
    }
  }
}
