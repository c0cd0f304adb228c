import CovertreeBase

/// What a likelihood needs besides the factor: `M = I + W^T D^-1 W` and log determinants.
///
/// O(n m^2) time for `m` inducing points.
public final class VIFSystem: @unchecked Sendable {
  let factor: VIFFactor
  /// The Cholesky factor of `M`; nil without inducing points.
  let inner: CholeskyFactor?
  /// Of `Sigma`.
  public let logDeterminant: Double

  public var model: VIFModel { factor.model }

  public convenience init(_ factor: VIFFactor, context: CallContext) throws(CoverTreeError) {
    self.init(factor, inner: try Self.inner(factor, context))
  }

  init(_ factor: VIFFactor, inner: CholeskyFactor?) {
    (self.factor, self.inner) = (factor, inner)
    logDeterminant = factor.logDeterminant() + (inner?.logDeterminant ?? 0)
  }

  private static func inner(_ factor: VIFFactor, _ context: CallContext) throws(CoverTreeError) -> CholeskyFactor? {
    factor.model.rank > 0 ? try .inner(factor.products(context), context) : nil
  }

  /// - Parameter y: by position.
  func solve(_ y: Buffer<Double>, context: CallContext) throws(CoverTreeError) -> VIFSolution {
    try context.poll()
    let w = try factor.multiply(y)
    let beta = if let inner { try inner.solution(of: factor.projections(w)) } else { try Buffer<Double>(count: 0) }
    return try VIFSolution(factor, w, beta: beta)
  }

  func logLikelihood(_ solution: VIFSolution) -> Double {
    VIFSolution.logLikelihood(
      quadratic: solution.quadratic, beta: solution.beta, logDeterminant: logDeterminant, count: model.count)
  }
}

extension VIFSystem {
  /// See `VIFFactor.copy`.
  public func copyFactor(weights: UnsafeMutablePointer<Double>?, variances: UnsafeMutablePointer<Double>?) {
    factor.copy(weights: weights, variances: variances)
  }

  public var byteCount: Int { model.byteCount + factor.byteCount + (inner?.strips.byteCount ?? 0) }

  /// The log likelihood of each response, and its derivatives by the logarithms of noise, variance and lengthscales.
  ///
  /// - Parameters:
  ///   - values: one for each response.
  ///   - gradients: `parameterCount` for each response; nil if they are not wanted.
  public func logLikelihood(
    _ y: PointsView<Double>, values: UnsafeMutablePointer<Double>, gradients: UnsafeMutablePointer<Double>?,
    context: CallContext
  ) throws(CoverTreeError) {
    try model.check(y)
    if gradients != nil, case .callback(let callback) = model.covariance, callback.gradient == nil {
      throw CoverTreeError(
        .unsupported, "kernel_gradient_fn: expected for gradients, as the kernel is the caller's, got NULL")
    }
    for column in 0..<y.dim {
      let response = try model.response(y, column)
      let solution = try solve(response, context: context)
      values[column] = logLikelihood(solution)
      guard let gradients else { continue }
      let gradient = try VIFGradient(factor, inner, response, solution, context: context)
      try gradient.addInducing(context)
      gradient.copy(to: gradients + column * gradient.count)
    }
  }

  /// `Sigma^-1 y`, with the rows and columns of `y`.
  public func solve(
    _ y: PointsView<Double>, into result: UnsafeMutablePointer<Double>, context: CallContext
  ) throws(CoverTreeError) {
    try model.check(y)
    for column in 0..<y.dim {
      let solution = try solve(try model.response(y, column), context: context)
      for position in 0..<model.count {
        result[Int(model.rowOfPosition[position]) * y.dim + column] = solution.alpha[position]
      }
    }
  }
}
