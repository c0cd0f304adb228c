import CCovertree
import Covertree
import CovertreeBase

// Models in parts (covertree_partitions.h).

@_cdecl("covertree_vif_part_build") @implementation
public func covertree_vif_part_build(
  _ points: In<covertree_matrix>, _ n_halo: Int64, _ names: In<Int64>, _ offsets: In<Int64>, _ neighbors: In<Int64>,
  _ options: In<covertree_vif_options>, _ part: Out<Handle>
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let output = try required(part, "part")
    let view: PointsView<Double> = try Arguments.view(points, "points", minimum: 1)
    let options = try covertree_vif_options.read(options)
    let context = try options.context()
    let inputs = try options.inputs(
      view, copies.sets(offsets, neighbors, count: view.count), order: nil)
    let built = try VIFPart(
      inputs, haloCount: Int(clamping: n_halo),
      names: names == nil ? nil : copies.indices(names, Int64(view.count), "names"), context: context)
    output.pointee = vifParts.add(built)
  }
}

@_cdecl("covertree_vif_part_free") @implementation
public func covertree_vif_part_free(_ part: Handle) { vifParts.remove(part) }

@_cdecl("covertree_vif_part_with_parameters") @implementation
public func covertree_vif_part_with_parameters(
  _ part: Handle, _ options: In<covertree_vif_options>, _ other: Out<Handle>
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let output = try required(other, "other")
    let options = try covertree_vif_options.read(options)
    let context = try options.context()
    let old = try vifParts.value(part, context)
    let made = try VIFPart(
      old, covariance: options.covariance(dim: old.model.dimension), noise: options.noiseVariances(),
      context: context)
    output.pointee = vifParts.add(made)
  }
}

@_cdecl("covertree_vif_part_get_info") @implementation
public func covertree_vif_part_get_info(_ part: Handle, _ info: Out<covertree_vif_info>) -> covertree_status {
  status { () throws(CoverTreeError) in
    let part = try vifParts.value(part, CallContext())
    try required(info, "info").pointee = covertree_vif_info(part.model, byteCount: part.byteCount, logDeterminant: 0)
  }
}

@_cdecl("covertree_vif_part_sums") @implementation
public func covertree_vif_part_sums(
  _ part: Handle, _ y: In<covertree_matrix>, _ options: In<covertree_call_options>, _ log_determinant: Out<Double>,
  _ products: Out<Double>, _ projections: Out<Double>
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let (part, context) = try vifParts.opened(part, options)
    let target = try required(log_determinant, "log_determinant")
    target.pointee = try part.sums(
      Arguments.view(y, "y", minimum: 0), products: products, projections: projections, context: context)
  }
}

extension covertree_vif_totals {
  fileprivate func read() throws(CoverTreeError) -> VIFPart.Totals {
    guard n_points >= 0, log_determinant.isFinite else {
      throw CoverTreeError(.invalidArgument, "totals: expected finite sums, got others")
    }
    return VIFPart.Totals(
      pointCount: Int(n_points), logDeterminant: log_determinant, products: products, projections: projections)
  }
}

@_cdecl("covertree_vif_part_terms") @implementation
public func covertree_vif_part_terms(
  _ part: Handle, _ y: In<covertree_matrix>, _ totals: In<covertree_vif_totals>, _ options: In<covertree_call_options>,
  _ terms: In<covertree_vif_terms>
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let (part, context) = try vifParts.opened(part, options)
    let target = try required(terms, "terms").pointee
    try part.terms(
      Arguments.view(y, "y", minimum: 0), required(totals, "totals").pointee.read(),
      into: VIFPart.Terms(quadratics: target.quadratics, gradients: target.gradients, inducing: target.inducing),
      context: context)
  }
}

@_cdecl("covertree_vif_part_log_likelihood") @implementation
public func covertree_vif_part_log_likelihood(
  _ part: Handle, _ totals: In<covertree_vif_totals>, _ terms: In<covertree_vif_terms>, _ n_responses: Int64,
  _ options: In<covertree_call_options>, _ values: Out<Double>, _ gradients: Out<Double>
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let (part, context) = try vifParts.opened(part, options)
    let given = try required(terms, "terms").pointee
    guard n_responses >= 0, n_responses < Int64(Int32.max) else {
      throw CoverTreeError(.shape, "n_responses: expected 0 to 2^31 - 2, got \(n_responses)")
    }
    try part.logLikelihood(
      required(totals, "totals").pointee.read(),
      VIFPart.Terms(
        quadratics: given.quadratics.map { UnsafePointer($0) }, gradients: given.gradients.map { UnsafePointer($0) },
        inducing: given.inducing.map { UnsafePointer($0) }),
      responseCount: Int(n_responses), values: required(values, "values"), gradients: gradients, context: context)
  }
}

@_cdecl("covertree_vif_part_predict") @implementation
public func covertree_vif_part_predict(
  _ part: Handle, _ y: In<covertree_matrix>, _ totals: In<covertree_vif_totals>, _ points: In<covertree_vif_points>,
  _ options: In<covertree_call_options>, _ means: Out<Double>, _ variances: Out<Double>
) -> covertree_status {
  vifParts.run(part, options) { (part, context, copies) throws(CoverTreeError) in
    try part.predict(
      Arguments.view(y, "y", minimum: 0), required(totals, "totals").pointee.read(),
      required(points, "points").pointee.newPoints(copies), means: required(means, "means"), variances: variances,
      context: context)
  }
}
