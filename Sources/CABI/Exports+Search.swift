import CCovertree
import Covertree
import CovertreeBase

// Searches: nearest neighbours, and all within a radius.

extension Arguments {
  /// The queries of a search in a tree, and their number: new points, or points of the tree.
  fileprivate static func queries(
    _ matrix: UnsafePointer<covertree_matrix>?, _ copies: Copies
  ) throws(CoverTreeError) -> (AnyCoverTree.Queries, count: Int64) {
    let matrix = try Arguments.matrix(matrix, "queries")
    guard isNumbers(matrix) else {
      guard matrix.dtype == Float.dtype || matrix.dtype == Double.dtype else {
        throw unexpected(matrix, "queries", "COVERTREE_DTYPE_F32, COVERTREE_DTYPE_F64 or COVERTREE_DTYPE_I64")
      }
      return (.points(try copies.points(points(matrix, "queries", minimum: 0))), matrix.rows)
    }
    guard let rows = try numbers(matrix, "queries", copies) else { return (.allStored, matrix.rows) }
    return (.stored(StoredIndices(rows)), matrix.rows)
  }
}

/// The arguments of one search.
private struct Search {
  let tree: AnyCoverTree
  let queries: AnyCoverTree.Queries
  let count: Int64
  let options: SearchOptions
  let context: CallContext

  init(
    _ tree: OpaquePointer?, _ queries: UnsafePointer<covertree_matrix>?,
    _ options: UnsafePointer<covertree_search_options>?, _ copies: Copies
  ) throws(CoverTreeError) {
    (self.queries, count) = try Arguments.queries(queries, copies)
    let handle = try HandleTable.shared.object(tree, TreeHandle.self, named: "tree")
    let options = try covertree_search_options.read(options)
    self.options = try options.checked(queries: count, copies)
    context = try options.context()
    self.tree = try handle.tree.value(context)
  }
}

@_cdecl("covertree_tree_knn") @implementation
public func covertree_tree_knn(
  _ tree: OpaquePointer?, _ queries: UnsafePointer<covertree_matrix>?, _ k: Int64,
  _ options: UnsafePointer<covertree_search_options>?, _ indices: UnsafeMutablePointer<Int64>?,
  _ distances: UnsafeMutableRawPointer?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let search = try Search(tree, queries, options, copies)
    try search.tree.nearest(
      search.queries, k: Arguments.neighborCount(k, queries: search.count), options: search.options,
      context: search.context, rows: Int(search.count), indices: Arguments.output(indices, named: "indices"),
      distances: distances)
  }
}

@_cdecl("covertree_tree_radius") @implementation
public func covertree_tree_radius(
  _ tree: OpaquePointer?, _ queries: UnsafePointer<covertree_matrix>?, _ radius: Double,
  _ options: UnsafePointer<covertree_search_options>?, _ neighbors: UnsafeMutablePointer<OpaquePointer?>?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let search = try Search(tree, queries, options, copies)
    let output = try Arguments.output(neighbors, named: "neighbors")
    let lists = try search.tree.within(radius, of: search.queries, options: search.options, context: search.context)
    output.pointee = HandleTable.shared.add(NeighborsHandle(lists))
  }
}

@_cdecl("covertree_tree_radius_count") @implementation
public func covertree_tree_radius_count(
  _ tree: OpaquePointer?, _ queries: UnsafePointer<covertree_matrix>?, _ radius: Double,
  _ options: UnsafePointer<covertree_search_options>?, _ counts: UnsafeMutablePointer<Int64>?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let search = try Search(tree, queries, options, copies)
    try search.tree.countWithin(
      radius, of: search.queries, options: search.options, context: search.context, rows: Int(search.count),
      counts: Arguments.output(counts, named: "counts"))
  }
}

@_cdecl("covertree_neighbors_get") @implementation
public func covertree_neighbors_get(
  _ neighbors: OpaquePointer?, _ view: UnsafeMutablePointer<covertree_neighbors_view>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let lists = try HandleTable.shared.object(neighbors, NeighborsHandle.self, named: "neighbors").lists
    let output = try Arguments.output(view, named: "view")
    output.pointee = covertree_neighbors_view(
      n_queries: Int64(lists.offsets.count - 1), n_neighbors: Int64(lists.indices.count),
      dtype: dtype(isFloat32: lists.isFloat32), reserved: 0, offsets: lists.offsets.base, indices: lists.indices.base,
      distances: lists.distances, scores: lists.scores.map { UnsafePointer($0.base) })
  }
}

@_cdecl("covertree_neighbors_free") @implementation
public func covertree_neighbors_free(_ neighbors: OpaquePointer?) {
  HandleTable.shared.remove(neighbors, NeighborsHandle.self)
}
