import CCovertree
import Covertree

// The residual-correlation metric: building, and searching.

@_cdecl("covertree_residual_options_init") @implementation
public func covertree_residual_options_init(_ options: UnsafeMutablePointer<covertree_residual_options>?) {
  options?.pointee = .defaults
}

extension covertree_residual_options: Options {}

extension covertree_residual_options {
  /// The caller's kernel; nil where it has none.
  func callbackKernel(dim: Int) -> CallbackKernel? {
    guard let function = kernel_fn else { return nil }
    let userData = kernel_user_data
    return CallbackKernel { (rows, rowCount, columns, columnCount, result) throws(CoverTreeError) in
      guard function(userData, rows, Int64(rowCount), columns, Int64(columnCount), Int64(dim), result) == 0 else {
        throw CoverTreeError(.cancelled, "kernel_fn: ended the call")
      }
      for pair in 0..<rowCount * columnCount where !result[pair].isFinite {
        throw CoverTreeError(.invalidArgument, "kernel_fn: expected finite covariances, got \(result[pair])")
      }
    }
  }

  func covariance(dim: Int) throws(CoverTreeError) -> Covariance {
    if let callback = callbackKernel(dim: dim) { return .callback(callback) }
    guard let shape = Kernel.Shape(rawValue: kernel) else {
      throw CoverTreeError(.invalidArgument, "kernel: expected a covertree_kernel_shape, got \(kernel)")
    }
    guard n_lengthscales >= 0, n_lengthscales <= 65536 else {
      throw CoverTreeError(.shape, "n_lengthscales: expected 1, or one for each dimension, got \(n_lengthscales)")
    }
    var lengthscales = [1.0]
    if let lengthscale {
      lengthscales = Array(UnsafeBufferPointer(start: lengthscale, count: Int(n_lengthscales)))
    }
    return .kernel(
      try Kernel(shape: shape, variance: variance == 0 ? 1 : variance, lengthscale: lengthscales))
  }

  func inducing(dim: Int64) throws(CoverTreeError) -> FeatureSource {
    let points = try Arguments.view(
      inducing_points, inducing_points == nil ? 0 : n_inducing, dim, 0, "inducing_points",
      inducing_points == nil ? 0 : 1)
    return .inducing(points, jitter: jitter == 0 ? 1e-6 : jitter)
  }

  func tuning() -> ResidualSearch.Tuning {
    var tuning = ResidualSearch.Tuning()
    if block_size != 0 { tuning.blockSize = Int(clamping: block_size) }
    if tau != 0 { tuning.tau = tau }
    return tuning
  }

  func context() throws(CoverTreeError) -> CallContext {
    try Arguments.context(threads: n_threads, progress, progress_user_data)
  }
}

@_cdecl("covertree_residual_build") @implementation
public func covertree_residual_build(
  _ points: UnsafePointer<Double>?, _ n_points: Int64, _ dim: Int64, _ row_stride: Int64,
  _ options: UnsafePointer<covertree_residual_options>?, _ residual: UnsafeMutablePointer<OpaquePointer?>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let output = try Arguments.output(residual, named: "residual")
    let view = try Arguments.view(points, n_points, dim, row_stride, "points", 1)
    let options = try covertree_residual_options.read(options)
    let search = try ResidualSearch(
      points: view, covariance: options.covariance(dim: view.dim), source: options.inducing(dim: dim),
      tuning: options.tuning(), context: options.context())
    output.pointee = HandleTable.shared.add(ResidualHandle(LazyHandle(search)))
  }
}

private func buildGiven(
  _ points: PointsView<Double>, _ features: AnyPoints, _ residualVariance: UnsafePointer<Double>?,
  _ kernelDiagonal: UnsafePointer<Double>?, _ options: UnsafePointer<covertree_residual_options>?,
  _ residual: UnsafeMutablePointer<OpaquePointer?>?
) throws(CoverTreeError) {
  let output = try Arguments.output(residual, named: "residual")
  guard let residualVariance else { throw CoverTreeError(.invalidArgument, "residual_variance: is NULL") }
  let options = try covertree_residual_options.read(options)
  let search = try ResidualSearch(
    points: points, covariance: options.covariance(dim: points.dim),
    source: .given(features, residualVariance: residualVariance, kernelDiagonal: kernelDiagonal),
    tuning: options.tuning(), context: options.context())
  output.pointee = HandleTable.shared.add(ResidualHandle(LazyHandle(search)))
}

@_cdecl("covertree_residual_build_given_f32") @implementation
public func covertree_residual_build_given_f32(
  _ points: UnsafePointer<Double>?, _ n_points: Int64, _ dim: Int64, _ row_stride: Int64,
  _ v_matrix: UnsafePointer<Float>?, _ n_features: Int64, _ v_row_stride: Int64,
  _ residual_variance: UnsafePointer<Double>?, _ kernel_diagonal: UnsafePointer<Double>?,
  _ options: UnsafePointer<covertree_residual_options>?, _ residual: UnsafeMutablePointer<OpaquePointer?>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    try buildGiven(
      Arguments.view(points, n_points, dim, row_stride, "points", 1),
      Arguments.points(v_matrix, n_points, n_features, v_row_stride, named: "v_matrix", minimum: 1),
      residual_variance, kernel_diagonal, options, residual)
  }
}

@_cdecl("covertree_residual_build_given_f64") @implementation
public func covertree_residual_build_given_f64(
  _ points: UnsafePointer<Double>?, _ n_points: Int64, _ dim: Int64, _ row_stride: Int64,
  _ v_matrix: UnsafePointer<Double>?, _ n_features: Int64, _ v_row_stride: Int64,
  _ residual_variance: UnsafePointer<Double>?, _ kernel_diagonal: UnsafePointer<Double>?,
  _ options: UnsafePointer<covertree_residual_options>?, _ residual: UnsafeMutablePointer<OpaquePointer?>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    try buildGiven(
      Arguments.view(points, n_points, dim, row_stride, "points", 1),
      Arguments.points(v_matrix, n_points, n_features, v_row_stride, named: "v_matrix", minimum: 1),
      residual_variance, kernel_diagonal, options, residual)
  }
}

/// What a handle stands for; one that was loaded is opened in the context of the call that needs it first.
func search(
  of residual: OpaquePointer?, _ context: CallContext = CallContext()
) throws(CoverTreeError) -> ResidualSearch {
  try HandleTable.shared.object(residual, ResidualHandle.self, named: "residual").search.value(context)
}

@_cdecl("covertree_residual_free") @implementation
public func covertree_residual_free(_ residual: OpaquePointer?) {
  HandleTable.shared.remove(residual, ResidualHandle.self)
}

/// A search of any kind of queries.
func nearest(
  _ residual: OpaquePointer?, _ queries: ResidualQueries, _ count: Int64, _ k: Int64,
  _ options: UnsafePointer<covertree_search_options>?, _ indices: UnsafeMutablePointer<Int64>?,
  _ distances: UnsafeMutablePointer<Double>?, _ copies: Copies
) throws(CoverTreeError) {
  let search = try search(of: residual)
  let given = try covertree_search_options.read(options)
  try search.nearest(
    queries, k: Arguments.neighborCount(k, queries: count), options: given.checked(queries: count, copies),
    context: Arguments.context(threads: given.n_threads, given.progress, given.progress_user_data), rows: Int(count),
    indices: Arguments.output(indices, named: "indices"), distances: distances)
}

@_cdecl("covertree_residual_knn_rows") @implementation
public func covertree_residual_knn_rows(
  _ residual: OpaquePointer?, _ rows: UnsafePointer<Int64>?, _ n_rows: Int64, _ k: Int64,
  _ options: UnsafePointer<covertree_search_options>?, _ indices: UnsafeMutablePointer<Int64>?,
  _ distances: UnsafeMutablePointer<Double>?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    guard n_rows >= 0 else { throw CoverTreeError(.shape, "n_rows: expected the number of rows, got \(n_rows)") }
    let queries: ResidualQueries =
      if rows == nil { .allStored } else {
        .stored(StoredIndices(try copies.elements(Arguments.indices(rows, n_rows, named: "rows"))))
      }
    try nearest(residual, queries, n_rows, k, options, indices, distances, copies)
  }
}

@_cdecl("covertree_residual_knn") @implementation
public func covertree_residual_knn(
  _ residual: OpaquePointer?, _ queries: UnsafePointer<Double>?, _ n_queries: Int64, _ dim: Int64,
  _ row_stride: Int64, _ k: Int64, _ options: UnsafePointer<covertree_search_options>?,
  _ indices: UnsafeMutablePointer<Int64>?, _ distances: UnsafeMutablePointer<Double>?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let points = try Arguments.view(queries, n_queries, dim, row_stride, "queries", 0)
    try nearest(
      residual, .points(points, features: nil, residualVariance: nil), n_queries, k, options, indices, distances, copies
    )
  }
}

@_cdecl("covertree_residual_distances") @implementation
public func covertree_residual_distances(
  _ residual: OpaquePointer?, _ rows: UnsafePointer<Int64>?, _ n_rows: Int64, _ others: UnsafePointer<Int64>?,
  _ n_others: Int64, _ options: UnsafePointer<covertree_call_options>?, _ distances: UnsafeMutablePointer<Double>?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let search = try search(of: residual)
    let rows = try copies.elements(Arguments.indices(rows, n_rows, named: "rows"))
    let width = try Arguments.neighborCount(n_others, queries: n_rows)
    guard let others else { throw CoverTreeError(.invalidArgument, "others: is NULL") }
    try search.distances(
      from: StoredIndices(rows), to: copies.elements(UnsafeBufferPointer(start: others, count: rows.count * width)),
      width: width,
      context: callContext(options), distances: Arguments.output(distances, named: "distances"))
  }
}

@_cdecl("covertree_residual_extend") @implementation
public func covertree_residual_extend(
  _ residual: OpaquePointer?, _ points: UnsafePointer<Double>?, _ n_points: Int64, _ dim: Int64,
  _ row_stride: Int64, _ options: UnsafePointer<covertree_call_options>?,
  _ extended: UnsafeMutablePointer<OpaquePointer?>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let search = try search(of: residual)
    let output = try Arguments.output(extended, named: "extended")
    let view = try Arguments.view(points, n_points, dim, row_stride, "points", 0)
    let new = try search.extended(by: view, context: callContext(options))
    output.pointee = HandleTable.shared.add(ResidualHandle(LazyHandle(new)))
  }
}

@_cdecl("covertree_residual_get_features") @implementation
public func covertree_residual_get_features(
  _ residual: OpaquePointer?, _ v_matrix: UnsafeMutablePointer<Double>?,
  _ residual_variance: UnsafeMutablePointer<Double>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    try search(of: residual)
      .copyFeatures(v_matrix, residual_variance)
  }
}

@_cdecl("covertree_residual_build_tree") @implementation
public func covertree_residual_build_tree(
  _ residual: OpaquePointer?, _ options: UnsafePointer<covertree_tree_options>?,
  _ arrays: UnsafeMutablePointer<OpaquePointer?>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let search = try search(of: residual)
    let output = try Arguments.output(arrays, named: "arrays")
    let options = try covertree_tree_options.read(options)
    let context = try Arguments.context(threads: options.n_threads, options.progress, options.progress_user_data)
    let tree = try search.tree(options: options.checked(), context: context)
    output.pointee = HandleTable.shared.add(ArraysHandle(tree.export(), isFloat32: false))
  }
}

@_cdecl("covertree_residual_validate_tree") @implementation
public func covertree_residual_validate_tree(
  _ residual: OpaquePointer?, _ arrays: OpaquePointer?, _ options: UnsafePointer<covertree_call_options>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let search = try search(of: residual)
    let handle = try HandleTable.shared.object(arrays, ArraysHandle.self, named: "arrays")
    guard let tree = handle.arrays.owner as? CorrelationTree else {
      throw CoverTreeError(.invalidArgument, "arrays: are those of a Euclidean tree")
    }
    try search.validate(tree, context: callContext(options))
  }
}

@_cdecl("covertree_residual_get_info") @implementation
public func covertree_residual_get_info(
  _ residual: OpaquePointer?, _ info: UnsafeMutablePointer<covertree_residual_info>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let known = try search(of: residual).info
    try Arguments.output(info, named: "info").pointee = covertree_residual_info(
      n_points: Int64(known.pointCount), dim: Int64(known.dim), n_features: Int64(known.featureCount),
      n_blocks: Int64(known.blockCount), n_pivots: Int64(known.pivotCount), memory_bytes: Int64(known.memoryBytes),
      variance: known.variance, jitter: known.jitter, build_seconds: known.buildSeconds,
      queries: Int64(known.statistics.queries), blocks_estimated: Int64(known.statistics.blocksEstimated),
      blocks_compared: Int64(known.statistics.blocksCompared), points_bounded: Int64(known.statistics.bounded),
      points_exact: Int64(known.statistics.exact), order_seconds: known.orderSeconds,
      feature_seconds: known.featureSeconds, skeleton_seconds: known.lowRankSeconds,
      bound_seconds: known.boundSeconds, search_seconds: known.statistics.searchSeconds)
  }
}
