import CCovertree
import Covertree
import CovertreeBase
import CovertreeFiles

// Gaussian processes by inducing points and conditioning sets.

extension covertree_vif_options: CallOptions {
  func covariance(dim: Int) throws(CoverTreeError) -> Covariance {
    guard reserved == 0 else {
      throw CoverTreeError(.unsupported, "reserved: expected 0, got \(reserved)")
    }
    if let callback = try callbackKernel(dim: dim) { return .callback(callback) }
    return .kernel(try Kernel(kernel, variance: variance, lengthscale, n_lengthscales))
  }

  /// The caller's kernel, or nil.
  func callbackKernel(dim: Int) throws(CoverTreeError) -> CallbackKernel? {
    var gradient: CallbackKernel.Gradient?
    if let function = kernel_gradient_fn {
      let (count, userData) = (n_kernel_parameters, kernel_user_data)
      guard count >= 1, count <= 65536 else {
        throw CoverTreeError(.invalidArgument, "n_kernel_parameters: expected 1 to 65536, got \(count)")
      }
      gradient = CallbackKernel.Gradient(count: Int(count)) {
        (rows, rowCount, columns, columnCount, result) throws(CoverTreeError) in
        guard function(userData, rows, Int64(rowCount), columns, Int64(columnCount), Int64(dim), result) == 0 else {
          throw CoverTreeError(.cancelled, "kernel_gradient_fn: ended the call")
        }
        try checkFinite(
          result, Int(count) * rowCount * columnCount, "kernel_gradient_fn: expected finite derivatives")
      }
    }
    return CallbackKernel(kernel_fn, kernel_user_data, dim: dim, gradient: gradient)
  }

  /// Which number of them is right, the core checks before it reads them; 0 without any.
  func noiseVariances() throws(CoverTreeError) -> UnsafeBufferPointer<Double> {
    guard let noise else { return noNoise }
    guard n_noise >= 1, n_noise < Int64(Int32.max) else {
      throw CoverTreeError(.shape, "n_noise: expected 1, or one for each point, got \(n_noise)")
    }
    return UnsafeBufferPointer(start: noise, count: Int(n_noise))
  }

  func inducingPoints(dim: Int) throws(CoverTreeError) -> PointsView<Double> {
    guard inducing_points != nil || n_inducing == 0 else {
      throw CoverTreeError(.shape, "n_inducing: expected 0 without inducing_points, got \(n_inducing)")
    }
    let matrix = covertree_matrix(
      data: inducing_points, dtype: Double.dtype, reserved: 0, rows: inducing_points == nil ? 0 : n_inducing,
      columns: Int64(dim), row_stride: 0)
    return try Arguments.view(matrix, "inducing_points", minimum: inducing_points == nil ? 0 : 1)
  }
}

extension Copies {
  /// Offsets of `count` sets, and the members of all of them.
  func sets(
    _ offsets: In<Int64>, _ neighbors: In<Int64>, count: Int
  ) throws(CoverTreeError) -> (offsets: UnsafeBufferPointer<Int64>, neighbors: UnsafeBufferPointer<Int64>) {
    let offsets = try indices(offsets, Int64(count) + 1, "offsets")
    let total = offsets[count]
    guard total >= 0, total < 1 << 40 else {
      throw CoverTreeError(.shape, "offsets: expected numbers from 0 to that of all neighbours, got \(total)")
    }
    return (offsets, try array(neighbors, Int(total), "neighbors"))
  }
}

/// The noise variance of a model without noise. It is constant, and lives as long as the process.
nonisolated(unsafe) private let noNoise = {
  let zero = UnsafeMutableBufferPointer<Double>.allocate(capacity: 1)
  zero.initialize(repeating: 0)
  return UnsafeBufferPointer(zero)
}()

private func add(_ model: VIFModel, _ context: CallContext) throws(CoverTreeError) -> Handle {
  vifs.add(try VIFSystem(VIFFactor(model, context: context), context: context))
}

extension covertree_vif_options {
  /// What a model is made from, besides its order.
  func inputs(
    _ points: PointsView<Double>, _ sets: (offsets: UnsafeBufferPointer<Int64>, neighbors: UnsafeBufferPointer<Int64>),
    order: UnsafeBufferPointer<Int64>?
  ) throws(CoverTreeError) -> VIFModel.Inputs {
    VIFModel.Inputs(
      points: points, covariance: try covariance(dim: points.dim), noise: try noiseVariances(),
      inducing: try inducingPoints(dim: points.dim), jitter: jitter == 0 ? 1e-6 : jitter, order: order,
      offsets: sets.offsets, neighbors: sets.neighbors)
  }
}

@_cdecl("covertree_vif_build") @implementation
public func covertree_vif_build(
  _ points: In<covertree_matrix>, _ order: In<Int64>, _ offsets: In<Int64>, _ neighbors: In<Int64>,
  _ options: In<covertree_vif_options>, _ vif: Out<Handle>
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let output = try required(vif, "vif")
    let view: PointsView<Double> = try Arguments.view(points, "points", minimum: 1)
    let options = try covertree_vif_options.read(options)
    let context = try options.context()
    let inputs = try options.inputs(
      view, copies.sets(offsets, neighbors, count: view.count),
      order: order == nil ? nil : copies.indices(order, Int64(view.count), "order"))
    output.pointee = try add(VIFModel(inputs, context: context), context)
  }
}

@_cdecl("covertree_vif_free") @implementation
public func covertree_vif_free(_ vif: Handle) { vifs.remove(vif) }

@_cdecl("covertree_vif_with_parameters") @implementation
public func covertree_vif_with_parameters(
  _ vif: Handle, _ options: In<covertree_vif_options>, _ other: Out<Handle>
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let output = try required(other, "other")
    let options = try covertree_vif_options.read(options)
    let context = try options.context()
    let old = try vifs.value(vif, context).model
    let model = try VIFModel(
      old, covariance: options.covariance(dim: old.dimension), noise: options.noiseVariances(),
      context: context)
    output.pointee = try add(model, context)
  }
}

@_cdecl("covertree_vif_log_likelihood") @implementation
public func covertree_vif_log_likelihood(
  _ vif: Handle, _ y: In<covertree_matrix>, _ options: In<covertree_call_options>, _ values: Out<Double>,
  _ gradients: Out<Double>
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let (system, context) = try vifs.opened(vif, options)
    try system.logLikelihood(
      Arguments.view(y, "y", minimum: 0), values: required(values, "values"), gradients: gradients, context: context)
  }
}

@_cdecl("covertree_vif_solve") @implementation
public func covertree_vif_solve(
  _ vif: Handle, _ y: In<covertree_matrix>, _ options: In<covertree_call_options>, _ solution: Out<Double>
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let (system, context) = try vifs.opened(vif, options)
    try system.solve(Arguments.view(y, "y", minimum: 0), into: required(solution, "solution"), context: context)
  }
}

@_cdecl("covertree_vif_precision") @implementation
public func covertree_vif_precision(
  _ vif: Handle, _ options: In<covertree_call_options>, _ diagonal: Out<Double>
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let (system, context) = try vifs.opened(vif, options)
    try system.copyPrecisions(into: required(diagonal, "diagonal"), context: context)
  }
}

extension covertree_vif_points {
  func newPoints(_ copies: Copies) throws(CoverTreeError) -> VIFNewPoints {
    guard noise >= 0, noise.isFinite else {
      throw CoverTreeError(.invalidArgument, "noise: expected a finite number from 0 up, got \(noise)")
    }
    let view: PointsView<Double> = try Arguments.view(points, "points", minimum: 0)
    let sets = try copies.sets(offsets, neighbors, count: view.count)
    return VIFNewPoints(points: view, offsets: sets.offsets, neighbors: sets.neighbors, noise: noise)
  }
}

/// Runs a prediction from responses at new points.
private func predict(
  _ vif: Handle, _ y: In<covertree_matrix>, _ points: In<covertree_vif_points>,
  _ options: In<covertree_call_options>,
  _ body: (VIFSystem, PointsView<Double>, VIFNewPoints, CallContext) throws(CoverTreeError) -> Void
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let (system, context) = try vifs.opened(vif, options)
    let new = try required(points, "points").pointee.newPoints(copies)
    try body(system, Arguments.view(y, "y", minimum: 0), new, context)
  }
}

@_cdecl("covertree_vif_predict") @implementation
public func covertree_vif_predict(
  _ vif: Handle, _ y: In<covertree_matrix>, _ points: In<covertree_vif_points>,
  _ options: In<covertree_call_options>, _ means: Out<Double>, _ variances: Out<Double>
) -> covertree_status {
  predict(vif, y, points, options) { (system, y, new, context) throws(CoverTreeError) in
    try system.predict(y, new, means: required(means, "means"), variances: variances, context: context)
  }
}

@_cdecl("covertree_vif_predict_jointly") @implementation
public func covertree_vif_predict_jointly(
  _ vif: Handle, _ y: In<covertree_matrix>, _ points: In<covertree_vif_points>,
  _ options: In<covertree_call_options>, _ means: Out<Double>, _ covariance: Out<Double>
) -> covertree_status {
  predict(vif, y, points, options) { (system, y, new, context) throws(CoverTreeError) in
    try system.predictJointly(y, new, means: required(means, "means"), covariance: covariance, context: context)
  }
}

@_cdecl("covertree_vif_draw") @implementation
public func covertree_vif_draw(
  _ vif: Handle, _ points: In<covertree_vif_points>, _ normals: In<Double>, _ n_draws: Int64,
  _ options: In<covertree_call_options>, _ draws: Out<Double>
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let (system, context) = try vifs.opened(vif, options)
    guard n_draws >= 0, n_draws < Int64(Int32.max) else {
      throw CoverTreeError(.invalidArgument, "n_draws: expected 0 to 2^31 - 2, got \(n_draws)")
    }
    let normals = VIFDraws(normals: try required(normals, "normals"), count: Int(n_draws))
    let target = try required(draws, "draws")
    guard let points else { return try system.draw(normals, into: target, context: context) }
    try system.draw(normals, points.pointee.newPoints(copies), into: target, context: context)
  }
}

@_cdecl("covertree_vif_factor") @implementation
public func covertree_vif_factor(
  _ vif: Handle, _ weights: Out<Double>, _ variances: Out<Double>, _ v_matrix: Out<Double>
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let system = try vifs.value(vif, CallContext())
    system.copyFactor(weights: weights, variances: variances)
    if let v_matrix { system.model.copyFeatures(to: v_matrix) }
  }
}

extension covertree_vif_info {
  init(_ model: VIFModel, byteCount: Int, logDeterminant: Double) {
    self.init(
      n_points: Int64(model.pointCount), dim: Int64(model.dimension), n_inducing: Int64(model.inducingCount),
      n_neighbors: Int64(model.neighborCount), n_parameters: Int64(model.parameterCount),
      memory_bytes: Int64(byteCount), jitter: model.jitter, log_determinant: logDeterminant)
  }
}

@_cdecl("covertree_vif_get_info") @implementation
public func covertree_vif_get_info(_ vif: Handle, _ info: Out<covertree_vif_info>) -> covertree_status {
  status { () throws(CoverTreeError) in
    let system = try vifs.value(vif, CallContext())
    try required(info, "info").pointee = covertree_vif_info(
      system.model, byteCount: system.byteCount, logDeterminant: system.logDeterminant)
  }
}
