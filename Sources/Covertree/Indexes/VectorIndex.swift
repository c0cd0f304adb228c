import CovertreeBase

/// Vectors with ids, and a structure that finds the nearest of them: the interface of the four kinds of index.
///
/// Searches run in parallel with each other; changes exclude everything else. A change that fails leaves the index unchanged.
public final class VectorIndex: @unchecked Sendable {
  public let dim: Int
  public let options: IndexOptions
  let table: VectorTable
  private(set) var structure: any IndexStructure
  let readWriteLock = ReadWriteLock(of: "index")

  public convenience init(dim: Int, options: IndexOptions) throws(CoverTreeError) {
    try self.init(dim, options, nil)
  }

  /// An index that reads its vectors in a store, and pins their slots. It ranks by these if it also stores a smaller form.
  package convenience init(over store: any RowStore, options: IndexOptions) throws(CoverTreeError) {
    var options = options
    options.reranks = options.storage != .float32
    try self.init(store.dim, options, RowSource(store, scales: options.metric.normalizes))
  }

  private init(_ dim: Int, _ options: IndexOptions, _ source: RowSource?) throws(CoverTreeError) {
    try options.check()
    if source != nil { try options.checkPinned() }
    (self.dim, self.options) = (dim, options)
    table = try VectorTable(dim: dim, options: options, source: source)
    structure = try Self.structure(table)
  }

  init(table: VectorTable, structure: any IndexStructure) {
    (dim, options, self.table, self.structure) = (table.dim, table.options, table, structure)
  }

  private static func structure(_ table: VectorTable) throws(CoverTreeError) -> any IndexStructure {
    switch table.options.kind {
    case .bruteForce: BruteForce(table)
    case .kdTree: try KDTreeIndex(table)
    case .lsh: try LSH(table)
    case .hnsw: try HNSW(table)
    }
  }

  /// The store of its vectors.
  var store: (any RowStore)? { table.exact?.source?.store }

  /// Adds vectors; nil assigns the numbers after the largest id so far. An existing id is an error.
  ///
  /// - Returns: the first of the ids, if they are assigned here.
  public func add(
    _ vectors: NewVectors, ids: UnsafeBufferPointer<Int64>?, context: CallContext
  ) throws(CoverTreeError) -> Int64 {
    try change(context) { () throws(CoverTreeError) in
      let firstID = table.nextID
      try append(vectors, ids, context)
      return firstID
    }
  }

  private func append(
    _ vectors: NewVectors, _ ids: UnsafeBufferPointer<Int64>?, _ context: CallContext
  ) throws(CoverTreeError) {
    let (nextID, wasJudged) = (table.nextID, table.isJudged)
    let first = try table.append(vectors, ids: ids, context: context)
    do throws(CoverTreeError) {
      if usesBytes { try table.addBytesWhereTheyTell(context: context) }
      try structure.insert(from: first, context: context)
    } catch {
      structure.truncate(to: first)
      table.truncate(to: first, nextID: nextID)
      if !wasJudged { table.judgeAgain() }  // the new vectors were part of it
      throw error
    }
  }

  /// Removes vectors. An unknown or repeated id is an error, and then nothing is removed.
  public func remove(_ ids: UnsafeBufferPointer<Int64>, context: CallContext) throws(CoverTreeError) {
    try change(context) { () throws(CoverTreeError) in
      try table.kill(table.slots(of: ids))
      tidy(context)
    }
  }

  /// Replaces the vectors of existing ids.
  public func update(
    _ vectors: NewVectors, ids: UnsafeBufferPointer<Int64>, context: CallContext
  ) throws(CoverTreeError) {
    try change(context) { () throws(CoverTreeError) in
      _ = try table.pendingVectors(vectors, context: context)
      let slots = try table.slots(of: ids)
      try table.kill(slots)
      do throws(CoverTreeError) {
        try append(vectors, ids, context)
      } catch {
        table.revive(slots)
        throw error
      }
      tidy(context)
    }
  }

  /// Compacts the index if there are enough dead vectors.
  private func tidy(_ context: CallContext) {
    // The vectors are removed already, so the caller cannot stop this. Without memory for it, the dead stay until a later change.
    if structure.wantsCompaction { try? compact(CallContext(threads: context.threads)) }
  }

  /// Removes the dead, or does nothing.
  private func compact(_ context: CallContext) throws(CoverTreeError) {
    guard table.deadCount > 0 else { return }
    let plan = try table.compaction()
    let follow = try structure.compaction(plan.map, context: context)
    table.compact(plan)
    follow()
  }

  /// Removes the dead, however few.
  func forgetDead(context: CallContext) throws(CoverTreeError) {
    try change(context) { () throws(CoverTreeError) in try compact(context) }
  }

  public func clear(context: CallContext) throws(CoverTreeError) {
    try change(context) { () throws(CoverTreeError) in
      try table.removeAll()
      structure.truncate(to: 0)
    }
  }

  /// Rebuilds the structure from the vectors.
  public func rebuild(context: CallContext) throws(CoverTreeError) {
    try change(context) { () throws(CoverTreeError) in
      try compact(context)
      let before = table.judgement
      do throws(CoverTreeError) {
        table.judgeAgain()
        if usesBytes { try table.addBytesWhereTheyTell(context: context) }
        let fresh = try Self.structure(table)
        try fresh.insert(from: 0, context: context)
        structure = fresh
      } catch {
        table.judgement = before
        throw error
      }
    }
  }

  /// Whether this kind of index finds candidates first.
  private var usesBytes: Bool { options.kind == .hnsw || options.kind == .lsh }

  /// Moves near vectors together in memory, if the kind of index profits.
  public func optimize(context: CallContext) throws(CoverTreeError) {
    try change(context) { () throws(CoverTreeError) in
      try compact(context)
      try structure.optimize(context: context)
    }
  }

  private func change<Result>(
    _ context: CallContext, _ body: () throws(CoverTreeError) -> Result
  ) throws(CoverTreeError) -> Result {
    try readWriteLock.writing(context) { () throws(CoverTreeError) in
      try store?.checkProcess()
      defer { structure.findRows() }
      try table.own()
      try structure.own()
      return try body()
    }
  }

  /// The `k` nearest vectors of each query, by distance and then by the order in which they were added.
  ///
  /// - Parameters:
  ///   - ids: `queries x k`; -1 if there are fewer than `k`.
  ///   - distances: `queries x k`; infinity there. nil if they are not wanted.
  public func nearest(
    _ queries: PointsView<Float>, k: Int, options: IndexSearchOptions, context: CallContext,
    ids: UnsafeMutablePointer<Int64>, distances: UnsafeMutablePointer<Float>?
  ) throws(CoverTreeError) {
    try searching(queries, options, context) { (search) throws(CoverTreeError) in
      let rows = ResultRows(
        ids: ids, distances: distances, k: k, idOf: UnsafePointer(table.ids.base), metric: self.options.metric)
      try structure.nearest(search, k: k, into: rows)
    }
  }

  /// Vectors within a distance (inclusive) of each query; the exact kinds find all.
  public func within(
    _ distance: Double, of queries: PointsView<Float>, options: IndexSearchOptions, context: CallContext
  ) throws(CoverTreeError) -> NeighborLists<Float> {
    guard let score = self.options.metric.score(withinDistance: distance) else {
      throw CoverTreeError(.invalidArgument, "radius: expected a number from 0 up, got \(distance)")
    }
    return try searching(queries, options, context) { (search) throws(CoverTreeError) in
      try lists(structure.within(search, score: score))
    }
  }

  private func lists(_ scored: ScoredLists) throws(CoverTreeError) -> NeighborLists<Float> {
    let offsets = try Buffer<Int64>(count: scored.found.count + 1, filledWith: 0)
    for (row, list) in scored.found.enumerated() { offsets[row + 1] = offsets[row] + Int64(list.count) }
    let lists = try NeighborLists<Float>(offsets: offsets, keepsScores: false)
    var next = 0
    for list in scored.found {
      for candidate in list.elements {
        lists.indices[next] = table.ids[candidate.index]
        lists.distances[next] = options.metric.distance(ofScore: candidate.squared)
        next += 1
      }
    }
    return lists
  }

  private func searching<Result>(
    _ queries: PointsView<Float>, _ options: IndexSearchOptions, _ context: CallContext,
    _ body: (IndexSearch) throws(CoverTreeError) -> Result
  ) throws(CoverTreeError) -> Result {
    try readWriteLock.reading(context) { () throws(CoverTreeError) in
      try store?.checkProcess()
      let prepared = try table.prepared(queries, named: "queries", context: context)
      defer { withExtendedLifetime(prepared) {} }
      let admitted = try table.admitted(options.filter)
      let count = admitted.map { $0.elements.reduce(0) { $0 + Int($1) } } ?? table.count
      return try body(
        IndexSearch(
          queries: prepared.view, admitted: admitted, admittedCount: count,
          options: options.completed(by: self.options), context: context))
    }
  }

  /// Writes the stored vectors of some ids, one row after the other.
  public func get(_ ids: UnsafeBufferPointer<Int64>, into vectors: UnsafeMutablePointer<Float>) throws(CoverTreeError) {
    try readWriteLock.reading(.brief) { () throws(CoverTreeError) in
      try store?.checkProcess()
      let slots = try table.slots(of: ids)
      let rows = table.decisive
      let scratch = try Buffer<Float>(count: rows.coordinates)
      for (position, slot) in slots.elements.enumerated() {
        rows.decode(Int(slot), into: vectors + position * dim, scratch: scratch.base)
      }
    }
  }

  /// 1 for each existing id.
  public func contains(
    _ ids: UnsafeBufferPointer<Int64>, into flags: UnsafeMutablePointer<UInt8>
  ) throws(CoverTreeError) {
    try readWriteLock.reading(.brief) { () throws(CoverTreeError) in
      for (position, id) in ids.enumerated() { flags[position] = table.slot(of: id) == nil ? 0 : 1 }
    }
  }

  /// All ids, in the order in which their vectors were added. `.busy` if there are not `count` of them.
  public func ids(count: Int, into ids: UnsafeMutablePointer<Int64>) throws(CoverTreeError) {
    try readWriteLock.reading(.brief) { () throws(CoverTreeError) in
      guard count == table.liveCount else {
        throw CoverTreeError(.busy, "n_ids: the index has \(table.liveCount) vectors, there is room for \(count)")
      }
      let live = (0..<table.count).filter { table.dead[$0] == 0 }.sorted { table.serials[$0] < table.serials[$1] }
      for (position, slot) in live.enumerated() { ids[position] = table.ids[slot] }
    }
  }

  public struct Info: Sendable {
    public var count = 0
    public var removed = 0
    public var nextID: Int64 = 0
    public var memoryBytes = 0
    public var comparisons = 0
    public var hasSmallRows = false
  }

  public func info() throws(CoverTreeError) -> Info {
    try readWriteLock.reading(.brief) { () throws(CoverTreeError) in
      Info(
        count: table.liveCount, removed: table.deadCount, nextID: table.nextID,
        memoryBytes: table.byteCount + structure.byteCount, comparisons: structure.comparisons,
        hasSmallRows: table.small != nil)
    }
  }
}
