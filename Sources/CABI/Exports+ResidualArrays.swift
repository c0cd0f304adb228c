import CCovertree
import Covertree
import CovertreeBase

// The features and the arrays of a model.

@_cdecl("covertree_residual_features") @implementation
public func covertree_residual_features(
  _ residual: Handle, _ points: In<covertree_matrix>, _ options: In<covertree_call_options>, _ v_matrix: Out<Double>,
  _ residual_variance: Out<Double>
) -> covertree_status {
  models.run(residual, options) { (search, context, _) throws(CoverTreeError) in
    guard let points else { return try search.copyFeatures(v_matrix, residual_variance) }
    try search.fillFeatures(
      of: Arguments.view(points, "points", minimum: 0), v_matrix, residual_variance, context: context)
  }
}

@_cdecl("covertree_residual_export") @implementation
public func covertree_residual_export(
  _ residual: Handle, _ options: In<covertree_call_options>, _ arrays: Out<Handle>
) -> covertree_status {
  models.run(residual, options) { (search, context, _) throws(CoverTreeError) in
    let output = try required(arrays, "arrays")
    output.pointee = handles.add(try search.export(context: context))
  }
}

@_cdecl("covertree_residual_arrays_get") @implementation
public func covertree_residual_arrays_get(_ arrays: Handle, _ view: Out<covertree_residual_view>) -> covertree_status {
  status { () throws(CoverTreeError) in
    let arrays: ResidualArrays = try handles.object(arrays, named: "arrays")
    let kernel = arrays.kernel
    try required(view, "view").pointee = covertree_residual_view(
      n_points: Int64(arrays.count), dim: Int64(arrays.dim), n_features: Int64(arrays.featureCount),
      feature_stride: Int64(arrays.featureStride), block_size: Int64(arrays.blockSize),
      n_blocks: Int64(arrays.lowRankBlockCount), blocks_per_region: Int64(arrays.blocksPerRegion),
      n_regions: Int64(arrays.regionCount), kernel: kernel?.shape.rawValue ?? -1,
      is_current: arrays.isCurrent ? 1 : 0, kernel_variance: kernel?.variance ?? 0, variance: arrays.variance,
      order: arrays.order, positions: arrays.positionOfIndex, coordinates: arrays.coordinates,
      v_matrix: arrays.features, residual_variance: arrays.residualVariance, scales: arrays.scales,
      pivot_offsets: arrays.pivotOffsets, pivots: arrays.pivots, coefficient_offsets: arrays.coefficientOffsets,
      coefficients: arrays.coefficients, remaining_norms: arrays.remainingNorms, bounds: arrays.bounds,
      product_offsets: arrays.productOffsets, products: arrays.products)
  }
}

@_cdecl("covertree_residual_arrays_free") @implementation
public func covertree_residual_arrays_free(_ arrays: Handle) { handles.remove(arrays, ResidualArrays.self) }
