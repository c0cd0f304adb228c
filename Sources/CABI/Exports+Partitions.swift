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

@_cdecl("covertree_residual_outline_points") @implementation
public func covertree_residual_outline_points(
  _ residual: Handle, _ tau: Double, _ options: In<covertree_call_options>, _ ranks: Out<Int64>,
  _ coordinates: Out<Float>, _ errors: Out<Float>, _ pivots: Out<Handle>
) -> covertree_status {
  models.run(residual, options) { (search, context, _) throws(CoverTreeError) in
    let output = try required(pivots, "pivots")
    let found = try search.outline(
      tolerance: tau, context: context, ranks: required(ranks, "ranks"),
      coordinates: required(coordinates, "coordinates"), errors: required(errors, "errors"))
    output.pointee = models.add(found)
  }
}

extension Copies {
  /// An outline, made of copies of the caller's arrays.
  fileprivate func outline(
    _ given: In<covertree_outline>, _ name: String, _ context: CallContext
  ) throws(CoverTreeError) -> PointOutline {
    let given = try required(given, name).pointee
    guard given.n_points > 0, given.n_points < Int64(Int32.max) else {
      throw CoverTreeError(.shape, "\(name).n_points: expected 1 to 2^31 - 2, got \(given.n_points)")
    }
    let count = Int(given.n_points)
    let pivots = try models.value(given.pivots, context)
    return try PointOutline(
      pivots: pivots,
      ranks: array(given.ranks, PointOutline.blockCount(of: count, pivots), "\(name).ranks"),
      coordinates: array(given.coordinates, count * PointOutline.columns, "\(name).coordinates"),
      errors: array(given.errors, count, "\(name).errors"), indices: array(given.indices, count, "\(name).indices"))
  }

  fileprivate func wanted(
    _ given: In<covertree_outline_wanted>, _ count: Int
  ) throws(CoverTreeError) -> PointOutline.Wanted {
    PointOutline.Wanted(
      before: try given?.pointee.before.map { (base) throws(CoverTreeError) in try array(base, count, "before") },
      least: try given?.pointee.least.map { (base) throws(CoverTreeError) in try array(base, count, "least") })
  }
}

@_cdecl("covertree_outline_bounds") @implementation
public func covertree_outline_bounds(
  _ from: In<covertree_outline>, _ to: In<covertree_outline>, _ wanted: In<covertree_outline_wanted>,
  _ options: In<covertree_call_options>, _ bounds: Out<Double>
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let context = try callContext(options)
    let (own, other) = (try copies.outline(from, "from", context), try copies.outline(to, "to", context))
    try other.bounds(
      ofPointsOf: own, copies.wanted(wanted, own.count), context: context, bounds: required(bounds, "bounds"))
  }
}

@_cdecl("covertree_outline_bounds_given") @implementation
public func covertree_outline_bounds_given(
  _ to: In<covertree_outline>, _ queries: In<covertree_matrix>, _ features: In<covertree_features>,
  _ wanted: In<covertree_outline_wanted>, _ options: In<covertree_call_options>, _ bounds: Out<Double>
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let context = try callContext(options)
    let known = try KnownQueries(queries, features)
    try copies.outline(to, "to", context).bounds(
      of: known.points, features: known.features, residualVariance: known.residualVariance,
      copies.wanted(wanted, known.points.count), context: context, bounds: required(bounds, "bounds"))
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
