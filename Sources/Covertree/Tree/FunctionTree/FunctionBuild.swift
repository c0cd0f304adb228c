import CovertreeBase

/// Builds a tree of a caller's metric, or inserts a batch into one.
struct FunctionBuild {
  let function: DistanceFunction
  let options: TreeOptions
  let context: CallContext

  /// A tree of some objects.
  ///
  /// - Parameters:
  ///   - ids: their dataset indices.
  ///   - pivots: of an earlier tree, with the embeddings of the objects; nil to choose some.
  func build(
    _ objects: ObjectRows, ids: Buffer<Int32>, known: (pivots: PivotTable, embedding: Buffer<Double>)? = nil,
    indexCount: Int
  ) throws(CoverTreeError) -> FunctionSnapshot {
    let evaluations = Counter()
    let (pivots, embedding) = if let known { known } else { try embedded(objects, ids, evaluations) }
    return try assemble(objects, ids, pivots, embedding, base: nil, indexCount: indexCount, evaluations)
  }

  /// The earlier tree with a batch. Its dataset indices follow all that were given.
  func insert(_ batch: ObjectRows, into earlier: FunctionSnapshot) throws(CoverTreeError) -> FunctionSnapshot {
    let (old, first) = (earlier.objects.count, earlier.indexCount)
    let ids = try Buffer<Int32>(count: old + batch.count)
    for t in 0..<old { ids[t] = earlier.layout.order[t] }
    for row in 0..<batch.count { ids[old + row] = Int32(first + row) }
    let objects = try ObjectRows(earlier.objects, then: batch)
    let evaluations = Counter()
    let (pivots, embedding) = try extendedEmbedding(earlier, objects, batch, ids, evaluations)
    return try assemble(
      objects, ids, pivots, embedding, base: earlier, indexCount: first + batch.count, evaluations)
  }

  private func embedded(
    _ objects: ObjectRows, _ ids: Buffer<Int32>, _ evaluations: Counter
  ) throws(CoverTreeError) -> (pivots: PivotTable, embedding: Buffer<Double>) {
    let pivots = try PivotTable(of: objects, ids: ids, seed: options.seed, function: function, context: context)
    evaluations.add(pivots.evaluations)
    return (
      pivots,
      try pivots.embedding(of: objects, function: function, evaluations: evaluations, context: context)
    )
  }

  /// The embeddings of all objects. New pivots are chosen when the tree has grown to four times its size.
  private func extendedEmbedding(
    _ earlier: FunctionSnapshot, _ objects: ObjectRows, _ batch: ObjectRows, _ ids: Buffer<Int32>,
    _ evaluations: Counter
  ) throws(CoverTreeError) -> (pivots: PivotTable, embedding: Buffer<Double>) {
    let pivots = earlier.pivots
    if objects.count >= 4 * pivots.chosenFrom { return try embedded(objects, ids, evaluations) }
    let added = try pivots.embedding(of: batch, function: function, evaluations: evaluations, context: context)
    let known = earlier.layout.points
    let embedding = try Buffer<Double>(count: known.count + added.count)
    embedding.base.update(from: known.base, count: known.count)
    (embedding.base + known.count).update(from: added.base, count: added.count)
    return (pivots, embedding)
  }

  /// Rows are the nodes of `base` in tree order, then the batch.
  private func assemble(
    _ objects: ObjectRows, _ ids: Buffer<Int32>, _ pivots: PivotTable, _ embedding: Buffer<Double>,
    base: FunctionSnapshot?, indexCount: Int, _ evaluations: Counter
  ) throws(CoverTreeError) -> FunctionSnapshot {
    var statistics = CoverStatistics()
    let start = monotonicSeconds()
    context.stage(from: 0.1, to: 0.8)
    let view = PointsView(embedding, count: objects.count, dim: pivots.columns)
    let batch = try PreparedBatch(view, ids, base: base?.layout, options, context)
    statistics.orderSeconds = monotonicSeconds() - start
    let metric = try FunctionMetric(
      function, pivots, objects, rows: batch.rows, embedding: batch.storage, context: context)
    statistics.insertion = try batch.insert(by: metric, seed: options.seed, context: context)
    context.stage(from: 0.8, to: 1)
    let layoutStart = monotonicSeconds()
    let layout = try TreeLayout(
      nodes: batch.nodes, storage: batch.storage, ids: batch.ids, dim: pivots.columns, distances: .unknown,
      context: context)
    let rowOfIndex = try Buffer<Int32>(count: indexCount)
    for row in 0..<ids.count { rowOfIndex[ids[row]] = Int32(row) }
    let rows = try Buffer<Int32>(count: layout.count)
    for t in 0..<layout.count { rows[t] = rowOfIndex[layout.order[t]] }
    let ordered = try ObjectRows(objects, rows: rows.elements)
    let filling = NodeLinksBuild(
      layout: layout, objects: ordered, pivots: pivots, function: function, context: context)
    let links = try filling.links(after: base, rows, evaluations)
    statistics.insertion.distanceEvaluations += evaluations.value
    statistics.layoutSeconds = monotonicSeconds() - layoutStart
    return try FunctionSnapshot(
      layout, ordered, pivots, links, removed: base?.removedRows(rows), indexCount: indexCount, statistics: statistics)
  }
}

extension FunctionSnapshot {
  /// The marks of removed objects, by the nodes of a later tree, which have these rows.
  fileprivate func removedRows(_ rows: Buffer<Int32>) throws(CoverTreeError) -> Buffer<UInt8>? {
    guard let removed else { return nil }
    let marks = try Buffer<UInt8>(count: rows.count)
    for t in 0..<rows.count { marks[t] = Int(rows[t]) < removed.count ? removed[rows[t]] : 0 }
    return marks
  }
}
