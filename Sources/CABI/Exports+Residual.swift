import CCovertree
import Covertree
import CovertreeBase

// The residual-correlation metric: building, and searching.

extension CallbackKernel {
  /// The caller's kernel; nil if there is none.
  init?(
    _ function: covertree_kernel_fn?, _ userData: UnsafeMutableRawPointer?, dim: Int, gradient: Gradient? = nil
  ) {
    guard let function else { return nil }
    self.init(gradient: gradient) { (rows, rowCount, columns, columnCount, result) throws(CoverTreeError) in
      guard function(userData, rows, Int64(rowCount), columns, Int64(columnCount), Int64(dim), result) == 0 else {
        throw CoverTreeError(.cancelled, "kernel_fn: ended the call")
      }
      try checkFinite(result, rowCount * columnCount, "kernel_fn: expected finite covariances")
    }
  }
}

extension Kernel {
  /// The kernel of the library that options name.
  init(
    _ number: Int32, variance: Double, _ lengthscale: In<Double>, _ n_lengthscales: Int64
  ) throws(CoverTreeError) {
    let shape: Kernel.Shape = try Arguments.known(number, "kernel", "covertree_kernel_shape")
    guard n_lengthscales >= (lengthscale == nil ? 0 : 1), n_lengthscales <= 65536 else {
      throw CoverTreeError(.shape, "n_lengthscales: expected 1, or one for each dimension, got \(n_lengthscales)")
    }
    let lengthscales = lengthscale.map { Array(UnsafeBufferPointer(start: $0, count: Int(n_lengthscales))) }
    try self.init(shape: shape, variance: variance == 0 ? 1 : variance, lengthscale: lengthscales ?? [1])
  }
}

/// Checks numbers that a function of the caller has written.
func checkFinite(
  _ numbers: UnsafePointer<Double>, _ count: Int, _ expected: @autoclosure () -> String
) throws(CoverTreeError) {
  for index in 0..<count where !numbers[index].isFinite {
    throw CoverTreeError(.invalidArgument, "\(expected()), got \(numbers[index])")
  }
}

extension covertree_residual_options: CallOptions {
  /// The caller's kernel, or nil.
  func callbackKernel(dim: Int) -> CallbackKernel? { CallbackKernel(kernel_fn, kernel_user_data, dim: dim) }

  func covariance(dim: Int) throws(CoverTreeError) -> Covariance {
    if let callback = callbackKernel(dim: dim) { return .callback(callback) }
    return .kernel(try Kernel(kernel, variance: variance, lengthscale, n_lengthscales))
  }

  /// The source of V and p of `count` points.
  func source(count: Int, dim: Int) throws(CoverTreeError) -> FeatureSource {
    if let features {
      let given = features.pointee
      let v = try Arguments.points(given.v_matrix, "v_matrix", minimum: 1)
      try given.checkRows(count)
      return .given(v, residualVariance: try given.variances(), kernelDiagonal: given.kernel_diagonal)
    }
    let inducing = covertree_matrix(
      data: inducing_points, dtype: Double.dtype, reserved: 0, rows: inducing_points == nil ? 0 : n_inducing,
      columns: Int64(dim), row_stride: 0)
    let points: PointsView<Double> = try Arguments.view(
      inducing, "inducing_points", minimum: inducing_points == nil ? 0 : 1)
    return .inducing(points, jitter: jitter == 0 ? 1e-6 : jitter)
  }

  func tuning() -> ResidualSearch.Tuning {
    var tuning = ResidualSearch.Tuning()
    if block_size != 0 { tuning.blockSize = Int(clamping: block_size) }
    if tau != 0 { tuning.tau = tau }
    return tuning
  }
}

extension covertree_features {
  func variances() throws(CoverTreeError) -> UnsafePointer<Double> {
    try required(residual_variance, "residual_variance")
  }

  func checkRows(_ count: Int) throws(CoverTreeError) {
    guard v_matrix.rows == Int64(count) else {
      throw CoverTreeError(.shape, "v_matrix: expected \(count) rows, one for each point, got \(v_matrix.rows)")
    }
  }
}

@_cdecl("covertree_residual_build") @implementation
public func covertree_residual_build(
  _ points: In<covertree_matrix>, _ options: In<covertree_residual_options>, _ residual: Out<Handle>
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let output = try required(residual, "residual")
    let view: PointsView<Double> = try Arguments.view(points, "points", minimum: 1)
    let options = try covertree_residual_options.read(options)
    let search = try ResidualSearch(
      points: view, covariance: options.covariance(dim: view.dim),
      source: options.source(count: view.count, dim: view.dim), tuning: options.tuning(), context: options.context())
    output.pointee = models.add(search)
  }
}

@_cdecl("covertree_residual_free") @implementation
public func covertree_residual_free(_ residual: Handle) { models.remove(residual) }

/// A search of any kind of queries.
func nearest(
  _ residual: Handle, _ queries: ResidualQueries, _ count: Int64, _ k: Int64, _ options: In<covertree_search_options>,
  _ copies: Copies, _ results: (indices: Out<Int64>, distances: Out<Double>)
) throws(CoverTreeError) {
  let options = try covertree_search_options.read(options)
  let context = try options.context()
  let search = try models.value(residual, context)
  try search.nearest(
    queries, k: Arguments.neighborCount(k, queries: count), options: options.checked(queries: count, copies),
    context: context, rows: Int(count), indices: required(results.indices, "indices"), distances: results.distances)
}

extension Arguments {
  /// The queries of a search in a model, and their number: new points, or points of the model.
  fileprivate static func residualQueries(
    _ queries: In<covertree_matrix>, _ copies: Copies
  ) throws(CoverTreeError) -> (ResidualQueries, count: Int64) {
    let matrix = try required(queries, "queries").pointee
    if matrix.dtype == Double.dtype {
      return (.points(try view(matrix, "queries", minimum: 0), features: nil, residualVariance: nil), matrix.rows)
    }
    guard isNumbers(matrix) else {
      throw unexpected(matrix, "queries", "COVERTREE_DTYPE_F64 or COVERTREE_DTYPE_I64")
    }
    guard let rows = try numbers(matrix, "queries", copies) else { return (.allStored, matrix.rows) }
    return (.stored(StoredIndices(rows)), matrix.rows)
  }
}

@_cdecl("covertree_residual_knn") @implementation
public func covertree_residual_knn(
  _ residual: Handle, _ queries: In<covertree_matrix>, _ k: Int64, _ options: In<covertree_search_options>,
  _ indices: Out<Int64>, _ distances: Out<Double>
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let (queries, count) = try Arguments.residualQueries(queries, copies)
    try nearest(residual, queries, count, k, options, copies, (indices, distances))
  }
}

/// Runs the body of a search within a radius.
private func searchingRadius(
  _ residual: Handle, _ queries: In<covertree_matrix>, _ options: In<covertree_search_options>,
  _ body: (ResidualSearch, ResidualQueries, Int, SearchOptions, CallContext) throws(CoverTreeError) -> Void
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let (queries, count) = try Arguments.residualQueries(queries, copies)
    let options = try covertree_search_options.read(options)
    let context = try options.context()
    let search = try models.value(residual, context)
    try body(search, queries, Int(count), options.checked(queries: count, copies), context)
  }
}

@_cdecl("covertree_residual_radius") @implementation
public func covertree_residual_radius(
  _ residual: Handle, _ queries: In<covertree_matrix>, _ radius: Double, _ options: In<covertree_search_options>,
  _ neighbors: Out<Handle>
) -> covertree_status {
  searchingRadius(residual, queries, options) {
    (search, queries, rows, options, context) throws(CoverTreeError) in
    let output = try required(neighbors, "neighbors")
    let lists = try search.within(radius, of: queries, options: options, context: context, rows: rows)
    output.pointee = handles.add(NeighborsHandle(AnyNeighborLists(lists)))
  }
}

@_cdecl("covertree_residual_radius_count") @implementation
public func covertree_residual_radius_count(
  _ residual: Handle, _ queries: In<covertree_matrix>, _ radius: Double, _ options: In<covertree_search_options>,
  _ counts: Out<Int64>
) -> covertree_status {
  searchingRadius(residual, queries, options) {
    (search, queries, rows, options, context) throws(CoverTreeError) in
    try search.countWithin(
      radius, of: queries, options: options, context: context, rows: rows, counts: required(counts, "counts"))
  }
}

@_cdecl("covertree_residual_distances") @implementation
public func covertree_residual_distances(
  _ residual: Handle, _ rows: In<Int64>, _ n_rows: Int64, _ others: In<Int64>, _ n_others: Int64,
  _ options: In<covertree_call_options>, _ distances: Out<Double>
) -> covertree_status {
  models.run(residual, options) { (search, context, copies) throws(CoverTreeError) in
    let rows = try copies.indices(rows, n_rows, "rows")
    let width = try Arguments.neighborCount(n_others, queries: n_rows)
    let others = UnsafeBufferPointer(start: try required(others, "others"), count: rows.count * width)
    try search.distances(
      from: StoredIndices(rows), to: copies.elements(others), width: width, context: context,
      distances: required(distances, "distances"))
  }
}

@_cdecl("covertree_residual_extend") @implementation
public func covertree_residual_extend(
  _ residual: Handle, _ points: In<covertree_matrix>, _ options: In<covertree_call_options>, _ extended: Out<Handle>
) -> covertree_status {
  models.run(residual, options) { (search, context, _) throws(CoverTreeError) in
    let output = try required(extended, "extended")
    let new = try search.extended(by: Arguments.view(points, "points", minimum: 0), context: context)
    output.pointee = models.add(new)
  }
}

@_cdecl("covertree_residual_remove") @implementation
public func covertree_residual_remove(
  _ residual: Handle, _ indices: In<Int64>, _ n_indices: Int64, _ options: In<covertree_call_options>,
  _ remaining: Out<Handle>
) -> covertree_status {
  models.run(residual, options) { (search, context, copies) throws(CoverTreeError) in
    let output = try required(remaining, "remaining")
    output.pointee = models.add(try search.removing(copies.indices(indices, n_indices, "indices"), context: context))
  }
}

@_cdecl("covertree_residual_build_tree") @implementation
public func covertree_residual_build_tree(
  _ residual: Handle, _ options: In<covertree_tree_options>, _ arrays: Out<Handle>
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let output = try required(arrays, "arrays")
    let options = try covertree_tree_options.read(options)
    let context = try options.context()
    let search = try models.value(residual, context)
    let tree = try search.tree(options: options.checked(), context: context)
    output.pointee = handles.add(ArraysHandle(tree.export(), isFloat32: false))
  }
}

@_cdecl("covertree_residual_validate_tree") @implementation
public func covertree_residual_validate_tree(
  _ residual: Handle, _ arrays: Handle, _ options: In<covertree_call_options>
) -> covertree_status {
  models.run(residual, options) { (search, context, _) throws(CoverTreeError) in
    let handle: ArraysHandle = try handles.object(arrays, named: "arrays")
    guard let tree = handle.arrays.owner as? CorrelationTree else {
      throw CoverTreeError(.invalidArgument, "arrays: are those of a Euclidean tree")
    }
    try search.validate(tree, context: context)
  }
}

@_cdecl("covertree_residual_get_info") @implementation
public func covertree_residual_get_info(_ residual: Handle, _ info: Out<covertree_residual_info>) -> covertree_status {
  models.run(residual) { (search, _, _) throws(CoverTreeError) in
    let known = search.info
    try required(info, "info").pointee = covertree_residual_info(
      n_points: Int64(known.pointCount), dim: Int64(known.dim), n_features: Int64(known.featureCount),
      n_blocks: Int64(known.blockCount), n_pivots: Int64(known.pivotCount), memory_bytes: Int64(known.memoryBytes),
      variance: known.variance, jitter: known.jitter, build_seconds: known.buildSeconds,
      queries: Int64(known.statistics.queries), blocks_estimated: Int64(known.statistics.blocksEstimated),
      blocks_compared: Int64(known.statistics.blocksCompared), points_bounded: Int64(known.statistics.bounded),
      points_exact: Int64(known.statistics.exact), order_seconds: known.orderSeconds,
      feature_seconds: known.featureSeconds, skeleton_seconds: known.lowRankSeconds,
      bound_seconds: known.boundSeconds, search_seconds: known.statistics.searchSeconds,
      next_index: Int64(known.nextIndex))
  }
}
