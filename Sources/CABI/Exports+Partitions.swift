import CCovertree
import Covertree
import CovertreeBase

// Searches of points in partitions (covertree_partitions.h).

@_cdecl("covertree_hilbert_keys") @implementation
public func covertree_hilbert_keys(
  _ points: In<covertree_matrix>, _ low: In<Double>, _ high: In<Double>, _ options: In<covertree_call_options>,
  _ keys: Out<UInt64>
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let view: PointsView<Double> = try Arguments.view(points, "points", minimum: 0)
    guard let low, let high else { throw CoverTreeError(.invalidArgument, "low, high: are NULL") }
    try fillHilbertKeys(
      of: view, from: Array(UnsafeBufferPointer(start: low, count: view.dim)),
      to: Array(UnsafeBufferPointer(start: high, count: view.dim)), context: callContext(options),
      keys: required(keys, "keys"))
  }
}

@_cdecl("covertree_residual_with_points") @implementation
public func covertree_residual_with_points(
  _ residual: Handle, _ points: In<covertree_matrix>, _ options: In<covertree_call_options>, _ other: Out<Handle>
) -> covertree_status {
  models.run(residual, options) { (search, context, _) throws(CoverTreeError) in
    let output = try required(other, "other")
    let new = try search.over(Arguments.view(points, "points", minimum: 1), context: context)
    output.pointee = models.add(new)
  }
}

@_cdecl("covertree_residual_outline") @implementation
public func covertree_residual_outline(
  _ residual: Handle, _ group: Int64, _ tau: Double, _ options: In<covertree_call_options>, _ n_groups: Out<Int64>,
  _ pivots: Out<Handle>, _ error: Out<Double>
) -> covertree_status {
  models.run(residual, options) { (search, context, _) throws(CoverTreeError) in
    n_groups?.pointee = Int64(try search.partitionSketchCount(context: context))
    guard let pivots else { return }
    let output = try required(error, "error")
    let sketch = try search.partitionSketch(Int(clamping: group), tolerance: tau, context: context)
    pivots.pointee = models.add(sketch.pivots)
    output.pointee = sketch.error
  }
}

/// New points with known features.
private struct KnownQueries {
  let points: PointsView<Double>
  let features: PointsView<Double>
  let residualVariance: UnsafePointer<Double>

  init(_ queries: In<covertree_matrix>, _ features: In<covertree_features>) throws(CoverTreeError) {
    points = try Arguments.view(queries, "queries", minimum: 0)
    let given = try required(features, "features").pointee
    // A model without inducing points has no features.
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
  _ pivots: Handle, _ queries: In<covertree_matrix>, _ features: In<covertree_features>,
  _ options: In<covertree_call_options>, _ lengths: Out<Double>
) -> covertree_status {
  models.run(pivots, options) { (search, context, _) throws(CoverTreeError) in
    let known = try KnownQueries(queries, features)
    try search.projections(
      of: known.points, features: known.features, residualVariance: known.residualVariance, context: context,
      lengths: required(lengths, "lengths"))
  }
}

@_cdecl("covertree_residual_bounds") @implementation
public func covertree_residual_bounds(
  _ residual: Handle, _ rows: In<Int64>, _ n_rows: Int64, _ pivots: Handle, _ error: Double,
  _ options: In<covertree_call_options>, _ bounds: Out<Double>
) -> covertree_status {
  models.run(residual, options) { (search, context, copies) throws(CoverTreeError) in
    guard error >= 0, error.isFinite else {
      throw CoverTreeError(.invalidArgument, "error: expected a finite number from 0 up, got \(error)")
    }
    try search.bounds(
      of: StoredIndices(copies.indices(rows, n_rows, "rows")),
      with: models.value(pivots, context), error: error, context: context,
      bounds: required(bounds, "bounds"))
  }
}

@_cdecl("covertree_residual_knn_given") @implementation
public func covertree_residual_knn_given(
  _ residual: Handle, _ queries: In<covertree_matrix>, _ features: In<covertree_features>, _ k: Int64,
  _ options: In<covertree_search_options>, _ indices: Out<Int64>, _ distances: Out<Double>
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let known = try KnownQueries(queries, features)
    try nearest(
      residual, .points(known.points, features: known.features, residualVariance: known.residualVariance),
      Int64(known.points.count), k, options, copies, (indices, distances))
  }
}
