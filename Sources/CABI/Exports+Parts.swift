import CCovertree
import Covertree

// What a caller needs that searches in parts, each of which may be on a machine of its own.

@_cdecl("covertree_hilbert_keys") @implementation
public func covertree_hilbert_keys(
  _ points: UnsafePointer<Double>?, _ n_points: Int64, _ dim: Int64, _ row_stride: Int64,
  _ low: UnsafePointer<Double>?, _ high: UnsafePointer<Double>?, _ options: UnsafePointer<covertree_call_options>?,
  _ keys: UnsafeMutablePointer<UInt64>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let view = try Arguments.view(points, n_points, dim, row_stride, "points", 0)
    guard let low, let high else { throw CoverTreeError(.invalidArgument, "low, high: are NULL") }
    try fillHilbertKeys(
      of: view, from: Array(UnsafeBufferPointer(start: low, count: view.dim)),
      to: Array(UnsafeBufferPointer(start: high, count: view.dim)), context: callContext(options),
      keys: Arguments.output(keys, named: "keys"))
  }
}

@_cdecl("covertree_residual_over") @implementation
public func covertree_residual_over(
  _ residual: OpaquePointer?, _ points: UnsafePointer<Double>?, _ n_points: Int64, _ dim: Int64,
  _ row_stride: Int64, _ options: UnsafePointer<covertree_call_options>?,
  _ over: UnsafeMutablePointer<OpaquePointer?>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let context = try callContext(options)
    let output = try Arguments.output(over, named: "over")
    let view = try Arguments.view(points, n_points, dim, row_stride, "points", 1)
    let new = try search(of: residual, context).over(view, context: context)
    output.pointee = HandleTable.shared.add(ResidualHandle(LazyHandle(new)))
  }
}

@_cdecl("covertree_residual_outline") @implementation
public func covertree_residual_outline(
  _ residual: OpaquePointer?, _ group: Int64, _ tau: Double, _ options: UnsafePointer<covertree_call_options>?,
  _ n_groups: UnsafeMutablePointer<Int64>?, _ pivots: UnsafeMutablePointer<OpaquePointer?>?,
  _ error: UnsafeMutablePointer<Double>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let context = try callContext(options)
    let search = try search(of: residual, context)
    n_groups?.pointee = Int64(search.partitionSketchCount)
    guard let pivots else { return }
    let output = try Arguments.output(error, named: "error")
    let sketch = try search.partitionSketch(Int(clamping: group), tolerance: tau, context: context)
    pivots.pointee = HandleTable.shared.add(ResidualHandle(LazyHandle(sketch.pivots)))
    output.pointee = sketch.error
  }
}

/// Queries that are known by their features.
private struct KnownQueries {
  let points: PointsView<Double>
  let features: PointsView<Double>
  let residualVariance: UnsafePointer<Double>

  init(
    _ queries: UnsafePointer<Double>?, _ count: Int64, _ dim: Int64, _ stride: Int64,
    _ v_matrix: UnsafePointer<Double>?, _ n_features: Int64, _ v_stride: Int64, _ p: UnsafePointer<Double>?
  ) throws(CoverTreeError) {
    points = try Arguments.view(queries, count, dim, stride, "queries", 0)
    // Without inducing points there are no features.
    features =
      n_features == 0
      ? PointsView(base: UnsafePointer(bitPattern: 64)!, count: points.count, dim: 0, stride: 0)
      : try Arguments.view(v_matrix, count, n_features, v_stride, "v_matrix", 0)
    guard let p else { throw CoverTreeError(.invalidArgument, "residual_variance: is NULL") }
    residualVariance = p
  }
}

@_cdecl("covertree_residual_projections") @implementation
public func covertree_residual_projections(
  _ pivots: OpaquePointer?, _ queries: UnsafePointer<Double>?, _ n_queries: Int64, _ dim: Int64, _ row_stride: Int64,
  _ v_matrix: UnsafePointer<Double>?, _ n_features: Int64, _ v_row_stride: Int64,
  _ residual_variance: UnsafePointer<Double>?, _ options: UnsafePointer<covertree_call_options>?,
  _ lengths: UnsafeMutablePointer<Double>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let context = try callContext(options)
    let known = try KnownQueries(
      queries, n_queries, dim, row_stride, v_matrix, n_features, v_row_stride, residual_variance)
    try search(of: pivots, context).projections(
      of: known.points, features: known.features, residualVariance: known.residualVariance, context: context,
      lengths: Arguments.output(lengths, named: "lengths"))
  }
}

@_cdecl("covertree_residual_bounds") @implementation
public func covertree_residual_bounds(
  _ residual: OpaquePointer?, _ rows: UnsafePointer<Int64>?, _ n_rows: Int64, _ pivots: OpaquePointer?,
  _ error: Double, _ options: UnsafePointer<covertree_call_options>?, _ bounds: UnsafeMutablePointer<Double>?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let context = try callContext(options)
    guard error >= 0, error.isFinite else {
      throw CoverTreeError(.invalidArgument, "error: expected a finite number from 0 up, got \(error)")
    }
    try search(of: residual, context).bounds(
      of: StoredIndices(copies.elements(Arguments.indices(rows, n_rows, named: "rows"))),
      beside: search(of: pivots, context),
      error: error, context: context, bounds: Arguments.output(bounds, named: "bounds"))
  }
}

@_cdecl("covertree_residual_knn_given") @implementation
public func covertree_residual_knn_given(
  _ residual: OpaquePointer?, _ queries: UnsafePointer<Double>?, _ n_queries: Int64, _ dim: Int64,
  _ row_stride: Int64, _ v_matrix: UnsafePointer<Double>?, _ n_features: Int64, _ v_row_stride: Int64,
  _ residual_variance: UnsafePointer<Double>?, _ k: Int64, _ options: UnsafePointer<covertree_search_options>?,
  _ indices: UnsafeMutablePointer<Int64>?, _ distances: UnsafeMutablePointer<Double>?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let known = try KnownQueries(
      queries, n_queries, dim, row_stride, v_matrix, n_features, v_row_stride, residual_variance)
    try nearest(
      residual, .points(known.points, features: known.features, residualVariance: known.residualVariance), n_queries,
      k, options, indices, distances, copies)
  }
}
