import CCovertree
import Covertree

// Searches: nearest neighbours, and all within a radius.

@_cdecl("covertree_search_options_init") @implementation
public func covertree_search_options_init(_ options: UnsafeMutablePointer<covertree_search_options>?) {
  options?.pointee = .defaults
}

/// One search as the caller asked for it.
private struct Search {
  let tree: AnyCoverTree
  let options: SearchOptions
  let context: CallContext

  init(
    _ tree: OpaquePointer?, _ options: UnsafePointer<covertree_search_options>?, queries: Int64, _ copies: Copies
  ) throws(CoverTreeError) {
    let handle = try HandleTable.shared.object(tree, TreeHandle.self, named: "tree")
    let options = try covertree_search_options.read(options)
    self.options = try options.checked(queries: queries, copies)
    context = try Arguments.context(threads: options.n_threads, options.progress, options.progress_user_data)
    self.tree = try handle.tree.value(context)
  }

  func nearest(
    _ queries: AnyCoverTree.Queries, _ rows: Int64, _ k: Int64, _ indices: UnsafeMutablePointer<Int64>?,
    _ distances: UnsafeMutableRawPointer?
  ) throws(CoverTreeError) {
    try tree.nearest(
      queries, k: Arguments.neighborCount(k, queries: rows), options: options, context: context, rows: Int(rows),
      indices: Arguments.output(indices, named: "indices"), distances: distances)
  }

  func within(
    _ radius: Double, _ queries: AnyCoverTree.Queries, _ neighbors: UnsafeMutablePointer<OpaquePointer?>?
  ) throws(CoverTreeError) {
    let output = try Arguments.output(neighbors, named: "neighbors")
    let lists = try tree.within(radius, of: queries, options: options, context: context)
    output.pointee = HandleTable.shared.add(NeighborsHandle(lists))
  }

  func count(
    _ radius: Double, _ queries: AnyCoverTree.Queries, _ rows: Int64, _ counts: UnsafeMutablePointer<Int64>?
  ) throws(CoverTreeError) {
    try tree.countWithin(
      radius, of: queries, options: options, context: context, rows: Int(rows),
      counts: Arguments.output(counts, named: "counts"))
  }
}

@_cdecl("covertree_tree_knn_f32") @implementation
public func covertree_tree_knn_f32(
  _ tree: OpaquePointer?, _ queries: UnsafePointer<Float>?, _ n_queries: Int64, _ dim: Int64, _ row_stride: Int64,
  _ k: Int64, _ options: UnsafePointer<covertree_search_options>?, _ indices: UnsafeMutablePointer<Int64>?,
  _ distances: UnsafeMutablePointer<Float>?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let points = try copies.points(
      Arguments.points(queries, n_queries, dim, row_stride, named: "queries", minimum: 0))
    try Search(tree, options, queries: n_queries, copies).nearest(.points(points), n_queries, k, indices, distances)
  }
}

@_cdecl("covertree_tree_knn_f64") @implementation
public func covertree_tree_knn_f64(
  _ tree: OpaquePointer?, _ queries: UnsafePointer<Double>?, _ n_queries: Int64, _ dim: Int64, _ row_stride: Int64,
  _ k: Int64, _ options: UnsafePointer<covertree_search_options>?, _ indices: UnsafeMutablePointer<Int64>?,
  _ distances: UnsafeMutablePointer<Double>?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let points = try copies.points(
      Arguments.points(queries, n_queries, dim, row_stride, named: "queries", minimum: 0))
    try Search(tree, options, queries: n_queries, copies).nearest(.points(points), n_queries, k, indices, distances)
  }
}

/// Rows of either type: `distances` are of the tree's type, and that must be the one the caller takes it for.
private func nearestRows(
  _ tree: OpaquePointer?, _ rows: UnsafePointer<Int64>?, _ count: Int64, _ k: Int64,
  _ options: UnsafePointer<covertree_search_options>?, _ indices: UnsafeMutablePointer<Int64>?,
  _ distances: UnsafeMutableRawPointer?, isFloat32: Bool, _ copies: Copies
) throws(CoverTreeError) {
  let search = try Search(tree, options, queries: count, copies)
  guard search.tree.isFloat32 == isFloat32 else {
    let (has, got) = isFloat32 ? ("float64", "f32") : ("float32", "f64")
    throw CoverTreeError(.invalidArgument, "tree: holds \(has) points, got a call for _\(got)")
  }
  try search.nearest(Arguments.rows(rows, count, copies), count, k, indices, distances)
}

@_cdecl("covertree_tree_knn_rows_f32") @implementation
public func covertree_tree_knn_rows_f32(
  _ tree: OpaquePointer?, _ rows: UnsafePointer<Int64>?, _ n_rows: Int64, _ k: Int64,
  _ options: UnsafePointer<covertree_search_options>?, _ indices: UnsafeMutablePointer<Int64>?,
  _ distances: UnsafeMutablePointer<Float>?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    try nearestRows(tree, rows, n_rows, k, options, indices, distances, isFloat32: true, copies)
  }
}

@_cdecl("covertree_tree_knn_rows_f64") @implementation
public func covertree_tree_knn_rows_f64(
  _ tree: OpaquePointer?, _ rows: UnsafePointer<Int64>?, _ n_rows: Int64, _ k: Int64,
  _ options: UnsafePointer<covertree_search_options>?, _ indices: UnsafeMutablePointer<Int64>?,
  _ distances: UnsafeMutablePointer<Double>?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    try nearestRows(tree, rows, n_rows, k, options, indices, distances, isFloat32: false, copies)
  }
}

@_cdecl("covertree_tree_radius_f32") @implementation
public func covertree_tree_radius_f32(
  _ tree: OpaquePointer?, _ queries: UnsafePointer<Float>?, _ n_queries: Int64, _ dim: Int64, _ row_stride: Int64,
  _ radius: Double, _ options: UnsafePointer<covertree_search_options>?,
  _ neighbors: UnsafeMutablePointer<OpaquePointer?>?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let points = try copies.points(
      Arguments.points(queries, n_queries, dim, row_stride, named: "queries", minimum: 0))
    try Search(tree, options, queries: n_queries, copies).within(radius, .points(points), neighbors)
  }
}

@_cdecl("covertree_tree_radius_f64") @implementation
public func covertree_tree_radius_f64(
  _ tree: OpaquePointer?, _ queries: UnsafePointer<Double>?, _ n_queries: Int64, _ dim: Int64, _ row_stride: Int64,
  _ radius: Double, _ options: UnsafePointer<covertree_search_options>?,
  _ neighbors: UnsafeMutablePointer<OpaquePointer?>?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let points = try copies.points(
      Arguments.points(queries, n_queries, dim, row_stride, named: "queries", minimum: 0))
    try Search(tree, options, queries: n_queries, copies).within(radius, .points(points), neighbors)
  }
}

@_cdecl("covertree_tree_radius_rows") @implementation
public func covertree_tree_radius_rows(
  _ tree: OpaquePointer?, _ rows: UnsafePointer<Int64>?, _ n_rows: Int64, _ radius: Double,
  _ options: UnsafePointer<covertree_search_options>?, _ neighbors: UnsafeMutablePointer<OpaquePointer?>?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    try Search(tree, options, queries: n_rows, copies).within(radius, Arguments.rows(rows, n_rows, copies), neighbors)
  }
}

@_cdecl("covertree_tree_radius_count_f32") @implementation
public func covertree_tree_radius_count_f32(
  _ tree: OpaquePointer?, _ queries: UnsafePointer<Float>?, _ n_queries: Int64, _ dim: Int64, _ row_stride: Int64,
  _ radius: Double, _ options: UnsafePointer<covertree_search_options>?, _ counts: UnsafeMutablePointer<Int64>?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let points = try copies.points(
      Arguments.points(queries, n_queries, dim, row_stride, named: "queries", minimum: 0))
    try Search(tree, options, queries: n_queries, copies).count(radius, .points(points), n_queries, counts)
  }
}

@_cdecl("covertree_tree_radius_count_f64") @implementation
public func covertree_tree_radius_count_f64(
  _ tree: OpaquePointer?, _ queries: UnsafePointer<Double>?, _ n_queries: Int64, _ dim: Int64, _ row_stride: Int64,
  _ radius: Double, _ options: UnsafePointer<covertree_search_options>?, _ counts: UnsafeMutablePointer<Int64>?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let points = try copies.points(
      Arguments.points(queries, n_queries, dim, row_stride, named: "queries", minimum: 0))
    try Search(tree, options, queries: n_queries, copies).count(radius, .points(points), n_queries, counts)
  }
}

@_cdecl("covertree_tree_radius_count_rows") @implementation
public func covertree_tree_radius_count_rows(
  _ tree: OpaquePointer?, _ rows: UnsafePointer<Int64>?, _ n_rows: Int64, _ radius: Double,
  _ options: UnsafePointer<covertree_search_options>?, _ counts: UnsafeMutablePointer<Int64>?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    try Search(tree, options, queries: n_rows, copies).count(
      radius, Arguments.rows(rows, n_rows, copies), n_rows, counts)
  }
}
