import CCovertree
import Covertree
import CovertreeBase

// Searches of points in partitions (covertree_partitions.h).

@_cdecl("covertree_hilbert_keys") @implementation
public func covertree_hilbert_keys(
  _ points: UnsafePointer<covertree_matrix>?, _ low: UnsafePointer<Double>?, _ high: UnsafePointer<Double>?,
  _ options: UnsafePointer<covertree_call_options>?, _ keys: UnsafeMutablePointer<UInt64>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let view: PointsView<Double> = try Arguments.view(points, "points", minimum: 0)
    guard let low, let high else { throw CoverTreeError(.invalidArgument, "low, high: are NULL") }
    try fillHilbertKeys(
      of: view, from: Array(UnsafeBufferPointer(start: low, count: view.dim)),
      to: Array(UnsafeBufferPointer(start: high, count: view.dim)), context: callContext(options),
      keys: Arguments.output(keys, named: "keys"))
  }
}

@_cdecl("covertree_residual_with_points") @implementation
public func covertree_residual_with_points(
  _ residual: OpaquePointer?, _ points: UnsafePointer<covertree_matrix>?,
  _ options: UnsafePointer<covertree_call_options>?, _ other: UnsafeMutablePointer<OpaquePointer?>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let context = try callContext(options)
    let output = try Arguments.output(other, named: "other")
    let view: PointsView<Double> = try Arguments.view(points, "points", minimum: 1)
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

/// New points with known features.
private struct KnownQueries {
  let points: PointsView<Double>
  let features: PointsView<Double>
  let residualVariance: UnsafePointer<Double>

  init(
    _ queries: UnsafePointer<covertree_matrix>?, _ features: UnsafePointer<covertree_features>?
  ) throws(CoverTreeError) {
    points = try Arguments.view(queries, "queries", minimum: 0)
    guard let given = features?.pointee else { throw CoverTreeError(.invalidArgument, "features: is NULL") }
    // Without inducing points there are no features.
    self.features =
      given.v_matrix.columns == 0
      ? PointsView(base: UnsafePointer(bitPattern: 64)!, count: points.count, dim: 0, stride: 0)
      : try Arguments.view(given.v_matrix, "v_matrix", minimum: 0)
    try given.checkRows(points.count)
    residualVariance = try given.variances()
  }
}

@_cdecl("covertree_residual_projections") @implementation
public func covertree_residual_projections(
  _ pivots: OpaquePointer?, _ queries: UnsafePointer<covertree_matrix>?, _ features: UnsafePointer<covertree_features>?,
  _ options: UnsafePointer<covertree_call_options>?, _ lengths: UnsafeMutablePointer<Double>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let context = try callContext(options)
    let known = try KnownQueries(queries, features)
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
      with: search(of: pivots, context),
      error: error, context: context, bounds: Arguments.output(bounds, named: "bounds"))
  }
}

@_cdecl("covertree_residual_knn_given") @implementation
public func covertree_residual_knn_given(
  _ residual: OpaquePointer?, _ queries: UnsafePointer<covertree_matrix>?,
  _ features: UnsafePointer<covertree_features>?,
  _ k: Int64, _ options: UnsafePointer<covertree_search_options>?, _ indices: UnsafeMutablePointer<Int64>?,
  _ distances: UnsafeMutablePointer<Double>?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let known = try KnownQueries(queries, features)
    try nearest(
      residual, .points(known.points, features: known.features, residualVariance: known.residualVariance),
      Int64(known.points.count), k, options, copies, (indices, distances))
  }
}
