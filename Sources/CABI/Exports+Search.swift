import CCovertree
import Covertree
import CovertreeBase

// Searches: nearest neighbours, and all within a radius.

extension Arguments {
  /// The queries of a search in a tree, and their number: new points, or points of the tree.
  fileprivate static func queries(
    _ matrix: In<covertree_matrix>, _ copies: Copies
  ) throws(CoverTreeError) -> (AnyCoverTree.Queries, count: Int64) {
    let matrix = try required(matrix, "queries").pointee
    if isObjects(matrix) { return (.objects(try objects(matrix, "queries", minimum: 0)), matrix.rows) }
    guard isNumbers(matrix) else {
      guard matrix.dtype == Float.dtype || matrix.dtype == Double.dtype else {
        throw unexpected(
          matrix, "queries",
          "COVERTREE_DTYPE_F32, COVERTREE_DTYPE_F64, COVERTREE_DTYPE_I64 or COVERTREE_DTYPE_OBJECT")
      }
      return (.points(try copies.points(points(matrix, "queries", minimum: 0))), matrix.rows)
    }
    guard let rows = try numbers(matrix, "queries", copies) else { return (.allStored, matrix.rows) }
    return (.stored(StoredIndices(rows)), matrix.rows)
  }
}

private struct Search {
  let tree: AnyCoverTree
  let queries: AnyCoverTree.Queries
  let count: Int64
  let options: SearchOptions
  let context: CallContext

  init(
    _ tree: Handle, _ queries: In<covertree_matrix>, _ options: In<covertree_search_options>, _ copies: Copies
  ) throws(CoverTreeError) {
    (self.queries, count) = try Arguments.queries(queries, copies)
    let options = try covertree_search_options.read(options)
    self.options = try options.checked(queries: count, copies)
    context = try options.context()
    self.tree = try trees.value(tree, context)
  }
}

@_cdecl("covertree_tree_knn") @implementation
public func covertree_tree_knn(
  _ tree: Handle, _ queries: In<covertree_matrix>, _ k: Int64, _ options: In<covertree_search_options>,
  _ indices: Out<Int64>, _ distances: UnsafeMutableRawPointer?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let search = try Search(tree, queries, options, copies)
    try search.tree.nearest(
      search.queries, k: Arguments.neighborCount(k, queries: search.count), options: search.options,
      context: search.context, rows: Int(search.count), indices: required(indices, "indices"), distances: distances)
  }
}

@_cdecl("covertree_tree_radius") @implementation
public func covertree_tree_radius(
  _ tree: Handle, _ queries: In<covertree_matrix>, _ radius: Double, _ options: In<covertree_search_options>,
  _ neighbors: Out<Handle>
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let search = try Search(tree, queries, options, copies)
    let output = try required(neighbors, "neighbors")
    let lists = try search.tree.within(radius, of: search.queries, options: search.options, context: search.context)
    output.pointee = handles.add(NeighborsHandle(lists))
  }
}

@_cdecl("covertree_tree_radius_count") @implementation
public func covertree_tree_radius_count(
  _ tree: Handle, _ queries: In<covertree_matrix>, _ radius: Double, _ options: In<covertree_search_options>,
  _ counts: Out<Int64>
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let search = try Search(tree, queries, options, copies)
    try search.tree.countWithin(
      radius, of: search.queries, options: search.options, context: search.context, rows: Int(search.count),
      counts: required(counts, "counts"))
  }
}

@_cdecl("covertree_neighbors_get") @implementation
public func covertree_neighbors_get(_ neighbors: Handle, _ view: Out<covertree_neighbors_view>) -> covertree_status {
  status { () throws(CoverTreeError) in
    let handle: NeighborsHandle = try handles.object(neighbors, named: "neighbors")
    let lists = handle.value
    try required(view, "view").pointee = covertree_neighbors_view(
      n_queries: Int64(lists.offsets.count - 1), n_neighbors: Int64(lists.indices.count),
      dtype: dtype(isFloat32: lists.isFloat32), reserved: 0, offsets: lists.offsets.base, indices: lists.indices.base,
      distances: lists.distances, scores: lists.scores.map { UnsafePointer($0.base) })
  }
}

@_cdecl("covertree_neighbors_free") @implementation
public func covertree_neighbors_free(_ neighbors: Handle) { handles.remove(neighbors, NeighborsHandle.self) }
