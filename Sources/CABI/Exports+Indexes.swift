import CCovertree
import Covertree
import CovertreeBase

// Vector indexes.

extension covertree_index_options: Options {}
extension covertree_index_search_options: CallOptions {}

/// A case of an enumeration of the header.
private func known<Case: RawRepresentable<Int32>>(
  _ value: Int32, _ name: String, _ type: String
) throws(CoverTreeError) -> Case {
  guard let known = Case(rawValue: value) else {
    throw CoverTreeError(.invalidArgument, "\(name): expected a \(type), got \(value)")
  }
  return known
}

extension covertree_index_options {
  fileprivate func checked() throws(CoverTreeError) -> IndexOptions {
    guard flags & ~COVERTREE_INDEX_RERANK.rawValue == 0, reserved == 0 else {
      throw CoverTreeError(.unsupported, "options: unknown index flags in \(flags)")
    }
    var options = IndexOptions()
    options.kind = try known(kind, "kind", "covertree_index_kind")
    options.metric = try known(metric, "metric", "covertree_index_metric")
    options.storage = try known(storage, "storage", "covertree_index_storage")
    options.split = try known(split, "split", "covertree_kd_split")
    options.lshMode = try known(lsh_mode, "lsh_mode", "covertree_lsh_mode")
    options.reranks = flags & COVERTREE_INDEX_RERANK.rawValue != 0
    options.seed = seed
    func set(_ field: WritableKeyPath<IndexOptions, Int>, _ value: Int32) {
      if value != 0 { options[keyPath: field] = Int(value) }
    }
    if options.lshMode == .tables { options.bitCount = 12 }
    set(\.leafSize, leaf_size)
    set(\.bitCount, n_bits)
    set(\.tableCount, n_tables)
    set(\.probeCount, n_probes)
    set(\.candidateCount, n_candidates)
    set(\.m, m)
    set(\.efConstruction, ef_construction)
    set(\.efSearch, ef_search)
    return options
  }

  fileprivate init(_ options: IndexOptions) {
    self = .defaults
    (kind, metric, storage) = (options.kind.rawValue, options.metric.rawValue, options.storage.rawValue)
    (split, lsh_mode, seed) = (options.split.rawValue, options.lshMode.rawValue, options.seed)
    flags = options.reranks ? COVERTREE_INDEX_RERANK.rawValue : 0
    (leaf_size, n_bits, n_tables) = (Int32(options.leafSize), Int32(options.bitCount), Int32(options.tableCount))
    (n_probes, n_candidates) = (Int32(options.probeCount), Int32(options.candidateCount))
    (m, ef_construction, ef_search) = (Int32(options.m), Int32(options.efConstruction), Int32(options.efSearch))
  }
}

extension covertree_index_search_options {
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
    _ matrix: UnsafePointer<covertree_matrix>?, _ copies: Copies
  ) throws(CoverTreeError) -> (NewVectors, count: Int64) {
    let matrix = try Arguments.matrix(matrix, "vectors")
    guard isNumbers(matrix) else { return (.rows(try view(matrix, "vectors", minimum: 0)), matrix.rows) }
    let slots = try numbers(matrix, "slots", copies)
    guard slots != nil || matrix.rows == 0 else { throw CoverTreeError(.invalidArgument, "slots: is NULL") }
    return (.slots(slots ?? UnsafeBufferPointer(start: nil, count: 0)), matrix.rows)
  }
}

/// The index of a handle, and the context for the options.
func opened(
  _ index: OpaquePointer?, _ options: UnsafePointer<covertree_call_options>? = nil
) throws(CoverTreeError) -> (VectorIndex, CallContext) {
  let handle = try HandleTable.shared.object(index, IndexHandle.self, named: "index")
  let context = try callContext(options)
  return (try handle.index.value(context), context)
}

@_cdecl("covertree_index_create") @implementation
public func covertree_index_create(
  _ dim: Int64, _ store: OpaquePointer?, _ options: UnsafePointer<covertree_index_options>?,
  _ index: UnsafeMutablePointer<OpaquePointer?>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let output = try Arguments.output(index, named: "index")
    let options = try covertree_index_options.read(options).checked()
    let made =
      store == nil
      ? try VectorIndex(dim: Arguments.dimension(dim), options: options)
      : try VectorIndex(over: opened(store: store), options: options)
    output.pointee = HandleTable.shared.add(IndexHandle(LazyHandle(made)))
  }
}

@_cdecl("covertree_index_free") @implementation
public func covertree_index_free(_ index: OpaquePointer?) { HandleTable.shared.remove(index, IndexHandle.self) }

@_cdecl("covertree_index_add") @implementation
public func covertree_index_add(
  _ index: OpaquePointer?, _ ids: UnsafePointer<Int64>?, _ vectors: UnsafePointer<covertree_matrix>?,
  _ options: UnsafePointer<covertree_call_options>?, _ first_id: UnsafeMutablePointer<Int64>?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let (index, context) = try opened(index, options)
    let (new, count) = try Arguments.newVectors(vectors, copies)
    let given = try ids.map { (ids) throws(CoverTreeError) in
      try copies.elements(Arguments.indices(ids, count, named: "ids"))
    }
    let first = try index.add(new, ids: given, context: context)
    first_id?.pointee = first
  }
}

@_cdecl("covertree_index_update") @implementation
public func covertree_index_update(
  _ index: OpaquePointer?, _ ids: UnsafePointer<Int64>?, _ vectors: UnsafePointer<covertree_matrix>?,
  _ options: UnsafePointer<covertree_call_options>?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let (index, context) = try opened(index, options)
    let (new, count) = try Arguments.newVectors(vectors, copies)
    let given = try copies.elements(Arguments.indices(ids, count, named: "ids"))
    try index.update(new, ids: given, context: context)
  }
}

@_cdecl("covertree_index_remove") @implementation
public func covertree_index_remove(
  _ index: OpaquePointer?, _ ids: UnsafePointer<Int64>?, _ n_ids: Int64,
  _ options: UnsafePointer<covertree_call_options>?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let (index, context) = try opened(index, options)
    try index.remove(copies.elements(Arguments.indices(ids, n_ids, named: "ids")), context: context)
  }
}

@_cdecl("covertree_index_clear") @implementation
public func covertree_index_clear(_ index: OpaquePointer?) -> covertree_status {
  status { () throws(CoverTreeError) in
    let (index, context) = try opened(index)
    try index.clear(context: context)
  }
}

@_cdecl("covertree_index_rebuild") @implementation
public func covertree_index_rebuild(
  _ index: OpaquePointer?, _ options: UnsafePointer<covertree_call_options>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let (index, context) = try opened(index, options)
    try index.rebuild(context: context)
  }
}

@_cdecl("covertree_index_optimize") @implementation
public func covertree_index_optimize(
  _ index: OpaquePointer?, _ options: UnsafePointer<covertree_call_options>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let (index, context) = try opened(index, options)
    try index.optimize(context: context)
  }
}

/// The index, queries, options and context of a search.
private func openedForSearch(
  _ index: OpaquePointer?, _ options: UnsafePointer<covertree_index_search_options>?
) throws(CoverTreeError) -> (VectorIndex, IndexSearchOptions, CallContext) {
  let handle = try HandleTable.shared.object(index, IndexHandle.self, named: "index")
  let options = try covertree_index_search_options.read(options)
  let context = try options.context()
  return (try handle.index.value(context), try options.checked(), context)
}

@_cdecl("covertree_index_search") @implementation
public func covertree_index_search(
  _ index: OpaquePointer?, _ queries: UnsafePointer<covertree_matrix>?, _ k: Int64,
  _ options: UnsafePointer<covertree_index_search_options>?, _ ids: UnsafeMutablePointer<Int64>?,
  _ distances: UnsafeMutablePointer<Float>?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let (index, search, context) = try openedForSearch(index, options)
    let queries: PointsView<Float> = try copies.points(Arguments.view(queries, "queries", minimum: 0))
    try index.nearest(
      queries, k: Arguments.neighborCount(k, queries: Int64(queries.count)), options: search, context: context,
      ids: Arguments.output(ids, named: "ids"), distances: distances)
  }
}

@_cdecl("covertree_index_radius") @implementation
public func covertree_index_radius(
  _ index: OpaquePointer?, _ queries: UnsafePointer<covertree_matrix>?, _ radius: Double,
  _ options: UnsafePointer<covertree_index_search_options>?, _ neighbors: UnsafeMutablePointer<OpaquePointer?>?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let (index, search, context) = try openedForSearch(index, options)
    let output = try Arguments.output(neighbors, named: "neighbors")
    let queries: PointsView<Float> = try copies.points(Arguments.view(queries, "queries", minimum: 0))
    let lists = try index.within(radius, of: queries, options: search, context: context)
    output.pointee = HandleTable.shared.add(NeighborsHandle(AnyNeighborLists(lists)))
  }
}

@_cdecl("covertree_index_get") @implementation
public func covertree_index_get(
  _ index: OpaquePointer?, _ ids: UnsafePointer<Int64>?, _ n_ids: Int64, _ vectors: UnsafeMutablePointer<Float>?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let (index, _) = try opened(index)
    try index.get(
      copies.elements(Arguments.indices(ids, n_ids, named: "ids")), into: Arguments.output(vectors, named: "vectors"))
  }
}

@_cdecl("covertree_index_contains") @implementation
public func covertree_index_contains(
  _ index: OpaquePointer?, _ ids: UnsafePointer<Int64>?, _ n_ids: Int64, _ found: UnsafeMutablePointer<UInt8>?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let (index, _) = try opened(index)
    try index.contains(
      copies.elements(Arguments.indices(ids, n_ids, named: "ids")), into: Arguments.output(found, named: "found"))
  }
}

@_cdecl("covertree_index_ids") @implementation
public func covertree_index_ids(
  _ index: OpaquePointer?, _ ids: UnsafeMutablePointer<Int64>?, _ n_ids: Int64
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let (index, _) = try opened(index)
    try index.ids(count: Int(n_ids), into: Arguments.output(ids, named: "ids"))
  }
}

@_cdecl("covertree_index_get_info") @implementation
public func covertree_index_get_info(
  _ index: OpaquePointer?, _ info: UnsafeMutablePointer<covertree_index_info>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let (index, _) = try opened(index)
    let output = try Arguments.output(info, named: "info")
    let info = try index.info()
    output.pointee = covertree_index_info(
      n_vectors: Int64(info.count), n_removed: Int64(info.removed), dim: Int64(index.dim), next_id: info.nextID,
      memory_bytes: Int64(info.memoryBytes), comparisons: Int64(info.comparisons),
      options: covertree_index_options(index.options))
  }
}
