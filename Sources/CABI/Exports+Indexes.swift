import CCovertree
import Covertree
import CovertreeBase

// Vector indexes.

extension covertree_index_options: Options {
  private static var amounts: [(WritableKeyPath<Self, Int32>, WritableKeyPath<IndexOptions, Int>)] {
    [
      (\.leaf_size, \.leafSize), (\.n_bits, \.bitCount), (\.n_tables, \.tableCount), (\.n_probes, \.probeCount),
      (\.n_candidates, \.candidateCount), (\.m, \.m), (\.ef_construction, \.efConstruction), (\.ef_search, \.efSearch),
    ]
  }

  fileprivate func checked() throws(CoverTreeError) -> IndexOptions {
    guard flags & ~COVERTREE_INDEX_RERANK.rawValue == 0, reserved == 0 else {
      throw CoverTreeError(.unsupported, "options: unknown index flags in \(flags)")
    }
    var options = IndexOptions()
    options.kind = try Arguments.known(kind, "kind", "covertree_index_kind")
    options.metric = try Arguments.known(metric, "metric", "covertree_index_metric")
    options.storage = try Arguments.known(storage, "storage", "covertree_index_storage")
    options.split = try Arguments.known(split, "split", "covertree_kd_split")
    options.lshMode = try Arguments.known(lsh_mode, "lsh_mode", "covertree_lsh_mode")
    options.reranks = flags & COVERTREE_INDEX_RERANK.rawValue != 0
    options.seed = seed
    if options.lshMode == .tables { options.bitCount = 12 }
    for (field, option) in Self.amounts where self[keyPath: field] != 0 {
      options[keyPath: option] = Int(self[keyPath: field])
    }
    return options
  }

  fileprivate init(_ options: IndexOptions) {
    self = .defaults
    (kind, metric, storage) = (options.kind.rawValue, options.metric.rawValue, options.storage.rawValue)
    (split, lsh_mode, seed) = (options.split.rawValue, options.lshMode.rawValue, options.seed)
    flags = options.reranks ? COVERTREE_INDEX_RERANK.rawValue : 0
    for (field, option) in Self.amounts { self[keyPath: field] = Int32(options[keyPath: option]) }
  }
}

extension covertree_index_search_options: CallOptions {
  fileprivate func checked() throws(CoverTreeError) -> IndexSearchOptions {
    var options = IndexSearchOptions()
    func amount(_ value: Int32, _ name: String) throws(CoverTreeError) -> Int {
      guard value >= 0 else { throw CoverTreeError(.invalidArgument, "\(name): expected at least 1, got \(value)") }
      return Int(value)
    }
    options.efSearch = try amount(ef_search, "ef_search")
    options.probeCount = try amount(n_probes, "n_probes")
    options.candidateCount = try amount(n_candidates, "n_candidates")
    guard n_filter >= 0, n_filter < 1 << 40, filter != nil || n_filter == 0 else {
      throw CoverTreeError(.invalidArgument, "filter: expected an array, got \(n_filter) of NULL")
    }
    switch covertree_filter_kind(rawValue: UInt32(bitPattern: filter_kind)) {
    case COVERTREE_FILTER_NONE: options.filter = .all
    case COVERTREE_FILTER_IDS:
      options.filter = .ids(
        UnsafeBufferPointer(start: filter?.assumingMemoryBound(to: Int64.self), count: Int(n_filter)))
    case COVERTREE_FILTER_BITMAP:
      options.filter = .bitmap(
        UnsafeBufferPointer(start: filter?.assumingMemoryBound(to: UInt8.self), count: Int(n_filter)))
    default:
      throw CoverTreeError(.invalidArgument, "filter_kind: expected a covertree_filter_kind, got \(filter_kind)")
    }
    return options
  }
}

extension Arguments {
  /// New vectors of an index, and their number: coordinates, or slots of the index's store.
  fileprivate static func newVectors(
    _ matrix: In<covertree_matrix>, _ copies: Copies
  ) throws(CoverTreeError) -> (NewVectors, count: Int64) {
    let matrix = try required(matrix, "vectors").pointee
    guard isNumbers(matrix) else { return (.rows(try view(matrix, "vectors", minimum: 0)), matrix.rows) }
    let slots = try numbers(matrix, "slots", copies)
    guard matrix.rows > 0 else { return (.slots(UnsafeBufferPointer(start: nil, count: 0)), 0) }
    return (.slots(try required(slots, "slots")), matrix.rows)
  }
}

@_cdecl("covertree_index_create") @implementation
public func covertree_index_create(
  _ dim: Int64, _ store: Handle, _ options: In<covertree_index_options>, _ index: Out<Handle>
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let output = try required(index, "index")
    let options = try covertree_index_options.read(options).checked()
    let made =
      store == nil
      ? try VectorIndex(dim: Arguments.dimension(dim), options: options)
      : try VectorIndex(over: opened(store: store), options: options)
    output.pointee = indexes.add(made)
  }
}

@_cdecl("covertree_index_free") @implementation
public func covertree_index_free(_ index: Handle) { indexes.remove(index) }

@_cdecl("covertree_index_add") @implementation
public func covertree_index_add(
  _ index: Handle, _ ids: In<Int64>, _ vectors: In<covertree_matrix>, _ options: In<covertree_call_options>,
  _ first_id: Out<Int64>
) -> covertree_status {
  indexes.run(index, options) { (index, context, copies) throws(CoverTreeError) in
    let (new, count) = try Arguments.newVectors(vectors, copies)
    let given = try ids == nil ? nil : copies.indices(ids, count, "ids")
    let first = try index.add(new, ids: given, context: context)
    first_id?.pointee = first
  }
}

@_cdecl("covertree_index_update") @implementation
public func covertree_index_update(
  _ index: Handle, _ ids: In<Int64>, _ vectors: In<covertree_matrix>, _ options: In<covertree_call_options>
) -> covertree_status {
  indexes.run(index, options) { (index, context, copies) throws(CoverTreeError) in
    let (new, count) = try Arguments.newVectors(vectors, copies)
    let given = try copies.indices(ids, count, "ids")
    try index.update(new, ids: given, context: context)
  }
}

@_cdecl("covertree_index_remove") @implementation
public func covertree_index_remove(
  _ index: Handle, _ ids: In<Int64>, _ n_ids: Int64, _ options: In<covertree_call_options>
) -> covertree_status {
  indexes.run(index, options) { (index, context, copies) throws(CoverTreeError) in
    try index.remove(copies.indices(ids, n_ids, "ids"), context: context)
  }
}

@_cdecl("covertree_index_clear") @implementation
public func covertree_index_clear(_ index: Handle) -> covertree_status {
  indexes.run(index) { (index, context, _) throws(CoverTreeError) in try index.clear(context: context) }
}

@_cdecl("covertree_index_rebuild") @implementation
public func covertree_index_rebuild(_ index: Handle, _ options: In<covertree_call_options>) -> covertree_status {
  indexes.run(index, options) { (index, context, _) throws(CoverTreeError) in try index.rebuild(context: context) }
}

@_cdecl("covertree_index_optimize") @implementation
public func covertree_index_optimize(_ index: Handle, _ options: In<covertree_call_options>) -> covertree_status {
  indexes.run(index, options) { (index, context, _) throws(CoverTreeError) in try index.optimize(context: context) }
}

private func openedForSearch(
  _ index: Handle, _ options: In<covertree_index_search_options>
) throws(CoverTreeError) -> (VectorIndex, IndexSearchOptions, CallContext) {
  let options = try covertree_index_search_options.read(options)
  let context = try options.context()
  return (try indexes.value(index, context), try options.checked(), context)
}

@_cdecl("covertree_index_search") @implementation
public func covertree_index_search(
  _ index: Handle, _ queries: In<covertree_matrix>, _ k: Int64, _ options: In<covertree_index_search_options>,
  _ ids: Out<Int64>, _ distances: Out<Float>
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let (index, search, context) = try openedForSearch(index, options)
    let queries: PointsView<Float> = try copies.points(Arguments.view(queries, "queries", minimum: 0))
    try index.nearest(
      queries, k: Arguments.neighborCount(k, queries: Int64(queries.count)), options: search, context: context,
      ids: required(ids, "ids"), distances: distances)
  }
}

@_cdecl("covertree_index_radius") @implementation
public func covertree_index_radius(
  _ index: Handle, _ queries: In<covertree_matrix>, _ radius: Double, _ options: In<covertree_index_search_options>,
  _ neighbors: Out<Handle>
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let (index, search, context) = try openedForSearch(index, options)
    let output = try required(neighbors, "neighbors")
    let queries: PointsView<Float> = try copies.points(Arguments.view(queries, "queries", minimum: 0))
    let lists = try index.within(radius, of: queries, options: search, context: context)
    output.pointee = handles.add(NeighborsHandle(AnyNeighborLists(lists)))
  }
}

@_cdecl("covertree_index_get") @implementation
public func covertree_index_get(
  _ index: Handle, _ ids: In<Int64>, _ n_ids: Int64, _ vectors: Out<Float>
) -> covertree_status {
  indexes.run(index) { (index, _, copies) throws(CoverTreeError) in
    try index.get(copies.indices(ids, n_ids, "ids"), into: required(vectors, "vectors"))
  }
}

@_cdecl("covertree_index_contains") @implementation
public func covertree_index_contains(
  _ index: Handle, _ ids: In<Int64>, _ n_ids: Int64, _ found: Out<UInt8>
) -> covertree_status {
  indexes.run(index) { (index, _, copies) throws(CoverTreeError) in
    try index.contains(copies.indices(ids, n_ids, "ids"), into: required(found, "found"))
  }
}

@_cdecl("covertree_index_ids") @implementation
public func covertree_index_ids(_ index: Handle, _ ids: Out<Int64>, _ n_ids: Int64) -> covertree_status {
  indexes.run(index) { (index, _, _) throws(CoverTreeError) in
    try index.ids(count: Int(n_ids), into: required(ids, "ids"))
  }
}

@_cdecl("covertree_index_get_info") @implementation
public func covertree_index_get_info(_ index: Handle, _ info: Out<covertree_index_info>) -> covertree_status {
  indexes.run(index) { (index, _, _) throws(CoverTreeError) in
    let output = try required(info, "info")
    let info = try index.info()
    output.pointee = covertree_index_info(
      n_vectors: Int64(info.count), n_removed: Int64(info.removed), dim: Int64(index.dim), next_id: info.nextID,
      memory_bytes: Int64(info.memoryBytes), comparisons: Int64(info.comparisons),
      options: covertree_index_options(index.options))
  }
}
