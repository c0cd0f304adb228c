import CovertreeBase

/// A part of a model whose points are in several places: some points of its own, and as a halo the points of other parts that are in sets of
/// its own points.
///
/// The likelihood needs sums over all points, which are computed in two rounds: `sums` of all parts give `M` and `beta`, and with these
/// `terms` of all parts give the value and the gradient. A row of `V` depends on the coordinates of its point only, so a part computes those
/// of its halo, too. All parts must have the same inducing points and kernel.
public final class VIFPart: @unchecked Sendable {
  /// Sums over all points of all parts.
  public struct Totals {
    public var pointCount: Int
    /// The sum of `log D`.
    public var logDeterminant: Double
    /// `W^T D^-1 W`, `m x m`; nil without inducing points.
    public var products: UnsafePointer<Double>?
    /// `W^T D^-1 B y`, a row of `m` for each response; nil without inducing points.
    public var projections: UnsafePointer<Double>?

    public init(
      pointCount: Int, logDeterminant: Double, products: UnsafePointer<Double>?, projections: UnsafePointer<Double>?
    ) {
      (self.pointCount, self.logDeterminant) = (pointCount, logDeterminant)
      (self.products, self.projections) = (products, projections)
    }
  }

  /// The results of `terms`.
  public struct Terms<Pointer> {
    /// `sum r^2 / D`, one for each response.
    public var quadratics: Pointer
    /// `parameterCount` for each response: derivatives of the log likelihood without those by `inducing`.
    public var gradients: Pointer
    /// Derivatives of the negative log likelihood by the features, times the features: `m x m` for each response.
    public var inducing: Pointer

    public init(quadratics: Pointer, gradients: Pointer, inducing: Pointer) {
      (self.quadratics, self.gradients, self.inducing) = (quadratics, gradients, inducing)
    }
  }

  public var model: VIFModel { factor.model }
  private let factor: VIFFactor

  /// - Parameters:
  ///   - inputs: the halo's rows first, with empty sets.
  ///   - names: of the rows, for errors.
  public init(
    _ inputs: VIFModel.Inputs, haloCount: Int, names: UnsafeBufferPointer<Int64>?, context: CallContext
  ) throws(CoverTreeError) {
    try Self.check(inputs.covariance)
    guard (0...inputs.points.count).contains(haloCount) else {
      throw CoverTreeError(.shape, "n_halo: expected 0 to \(inputs.points.count), got \(haloCount)")
    }
    guard inputs.offsets.count > haloCount, inputs.offsets[haloCount] == 0 else {
      throw CoverTreeError(.invalidArgument, "offsets: expected empty sets of the halo")
    }
    var inputs = inputs
    (inputs.haloCount, inputs.names) = (haloCount, names)
    factor = try VIFFactor(VIFModel(inputs, context: context), context: context)
  }

  /// The same points and sets with other hyperparameters.
  public init(
    _ part: VIFPart, covariance: Covariance, noise: UnsafeBufferPointer<Double>, context: CallContext
  ) throws(CoverTreeError) {
    try Self.check(covariance)
    let model = try VIFModel(part.model, covariance: covariance, noise: noise, context: context)
    factor = try VIFFactor(model, context: context)
  }

  private static func check(_ covariance: Covariance) throws(CoverTreeError) {
    guard !covariance.isCallback else {
      throw CoverTreeError(.unsupported, "kernel_fn: expected NULL, as parts need a kernel of the library")
    }
  }

  public var byteCount: Int { model.byteCount + factor.byteCount }

  // MARK: Sums

  /// This part's shares of `Totals`.
  ///
  /// - Parameter y: a row for each point, the halo included.
  /// - Returns: the sum of `log D`.
  public func sums(
    _ y: PointsView<Double>, products: UnsafeMutablePointer<Double>?, projections: UnsafeMutablePointer<Double>?,
    context: CallContext
  ) throws(CoverTreeError) -> Double {
    try model.check(y)
    let count = model.inducingCount
    if let products, count > 0 {
      let sums = try factor.products(context)
      for row in 0..<count {
        for column in 0...row {
          products[row * count + column] = sums.sums[row * sums.stride + column]
          products[column * count + row] = sums.sums[row * sums.stride + column]
        }
      }
    }
    if let projections, count > 0 {
      for column in 0..<y.dim {
        let sums = try factor.projections(factor.multiply(model.response(y, column)))
        (projections + column * count).update(from: sums.base, count: count)
      }
    }
    return factor.logDeterminant()
  }

  /// This part's shares of the value and the gradient.
  ///
  /// - Parameters:
  ///   - y: as for `sums`.
  ///   - terms: gradients and `inducing` may be nil.
  public func terms(
    _ y: PointsView<Double>, _ totals: Totals, into terms: Terms<UnsafeMutablePointer<Double>?>, context: CallContext
  ) throws(CoverTreeError) {
    try model.check(y)
    let (inner, count) = (try inner(totals, context), model.inducingCount)
    for column in 0..<y.dim {
      let response = try model.response(y, column)
      let solution = try VIFSolution(
        factor, factor.multiply(response), beta: beta(totals, column, inner))
      terms.quadratics?[column] = solution.quadratic
      guard let gradients = terms.gradients else { continue }
      let gradient = try VIFGradient(factor, inner, response, solution, context: context)
      gradient.copy(to: gradients + column * gradient.count)
      guard let products = gradient.products, let inducing = terms.inducing else { continue }
      for row in 0..<count {
        (inducing + (column * count + row) * count)
          .update(from: products.sums.base + row * products.stride, count: count)
      }
    }
  }

  /// The log likelihood of each response and its gradient, from the sums of all parts. Any part may compute them.
  ///
  /// - Parameters:
  ///   - terms: of all parts, added; `inducing` may be nil without inducing points.
  ///   - gradients: nil if they are not wanted.
  public func logLikelihood(
    _ totals: Totals, _ terms: Terms<UnsafePointer<Double>?>, responseCount: Int,
    values: UnsafeMutablePointer<Double>, gradients: UnsafeMutablePointer<Double>?, context: CallContext
  ) throws(CoverTreeError) {
    let (inner, parameters) = (try inner(totals, context), model.parameterCount)
    let quadratics = try Self.required(terms.quadratics, "quadratics")
    for column in 0..<responseCount {
      values[column] = VIFSolution.logLikelihood(
        quadratic: quadratics[column], beta: try beta(totals, column, inner),
        logDeterminant: totals.logDeterminant + (inner?.logDeterminant ?? 0), count: totals.pointCount)
      guard let gradients else { continue }
      let (given, target) = (try Self.required(terms.gradients, "gradients"), gradients + column * parameters)
      target.update(from: given + column * parameters, count: parameters)
      guard inner != nil else { continue }
      let byKernel = try KernelGradient(model.covariance, capacity: model.inducingCount)
      let inducing = try Self.required(terms.inducing, "inducing") + column * model.inducingCount * model.inducingCount
      try model.addInducing(accumulated(inducing), to: byKernel, context)
      for (parameter, sum) in byKernel.sums.enumerated() { target[1 + parameter] -= sum }
    }
  }

  /// Predicts the process at new points whose sets are in this part; see `VIFPrediction`.
  ///
  /// - Parameter y: as for `sums`.
  public func predict(
    _ y: PointsView<Double>, _ totals: Totals, _ new: VIFNewPoints, means: UnsafeMutablePointer<Double>,
    variances: UnsafeMutablePointer<Double>?, context: CallContext
  ) throws(CoverTreeError) {
    try model.check(y)
    let inner = try inner(totals, context)
    let explanations = try (0..<y.dim).map { (column) throws(CoverTreeError) in
      try Explanation(model, model.response(y, column), beta: beta(totals, column, inner))
    }
    try VIFPrediction(model: model, inner: inner, explanations: explanations)
      .fill(new, means: means, variances: variances, context: context)
  }

  // MARK: Totals

  private static func required<Pointer>(_ pointer: Pointer?, _ name: String) throws(CoverTreeError) -> Pointer {
    guard let pointer else { throw CoverTreeError(.invalidArgument, "\(name): is NULL") }
    return pointer
  }

  private static func check(_ sums: UnsafePointer<Double>, _ count: Int) throws(CoverTreeError) {
    guard (0..<count).allSatisfy({ sums[$0].isFinite }) else {
      throw CoverTreeError(.invalidArgument, "totals: expected finite sums, got others")
    }
  }

  /// A matrix of the caller, `m x m`.
  private func accumulated(_ matrix: UnsafePointer<Double>) throws(CoverTreeError) -> GramAccumulator {
    let (sums, count) = (try GramAccumulator(rank: model.rank), model.inducingCount)
    try Self.check(matrix, count * count)
    for row in 0..<count { (sums.sums.base + row * sums.stride).update(from: matrix + row * count, count: count) }
    return sums
  }

  /// The factor of `M`; nil without inducing points.
  private func inner(_ totals: Totals, _ context: CallContext) throws(CoverTreeError) -> CholeskyFactor? {
    guard model.rank > 0 else { return nil }
    return try .inner(accumulated(Self.required(totals.products, "products")), context)
  }

  private func beta(
    _ totals: Totals, _ column: Int, _ inner: CholeskyFactor?
  ) throws(CoverTreeError) -> Buffer<Double> {
    guard let inner else { return try Buffer(count: 0) }
    let sums = try Buffer<Double>(count: model.rank, filledWith: 0)
    let given = try Self.required(totals.projections, "projections") + column * model.inducingCount
    try Self.check(given, model.inducingCount)
    sums.base.update(from: given, count: model.inducingCount)
    return try inner.solution(of: sums)
  }
}
