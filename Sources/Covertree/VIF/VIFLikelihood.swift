import CovertreeBase
import Glibc

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
    var sum = 0.0
    for position in 0..<factor.model.count { sum += log(factor.variances[position]) }
    if let inner {
      for row in 0..<inner.count { sum += 2 * log(inner[row, row]) }
    }
    logDeterminant = sum
  }

  private static func inner(_ factor: VIFFactor, _ context: CallContext) throws(CoverTreeError) -> CholeskyFactor? {
    let model = factor.model
    guard model.rank > 0 else { return nil }
    let groups = GramAccumulator.groups(of: model.count)
    let partial = try groups.map { (_) throws(CoverTreeError) in try GramAccumulator(rank: model.rank) }
    try context.forEach(groups.count, grain: 1) { (range, slot) throws(CoverTreeError) in
      let stride = partial[0].stride
      let rows = try Buffer<Double>(count: GramAccumulator.chunk * stride, filledWith: 0)
      for group in range {
        for first in Swift.stride(
          from: groups[group].lowerBound, to: groups[group].upperBound, by: GramAccumulator.chunk)
        {
          try context.poll(inSlot: slot)
          let count = min(GramAccumulator.chunk, groups[group].upperBound - first)
          for row in 0..<count {
            let scale = 1 / factor.variances[first + row].squareRoot()
            let (source, target) = (factor.innovation(first + row), rows.base + row * stride)
            for column in 0..<model.rank { target[column] = source[column] * scale }
          }
          partial[group].add(rows.base, rows.base, count: count, isSymmetric: true)
        }
      }
    }
    let sums = partial[0]
    for other in partial.dropFirst() { sums.add(other) }
    // An array may be freed after its last use, before its elements' memory is read.
    defer { withExtendedLifetime(sums) {} }
    let inner = try CholeskyFactor(
      sums.sums.base, count: model.rank, stride: sums.stride, added: 1, context: context)
    guard let inner else {
      throw CoverTreeError(
        .invalidArgument, "noise: expected variances that float64 can add to those of the kernel; they are too small")
    }
    return inner
  }

  /// The solution of `Sigma alpha = y` for one response, and what leads to it.
  struct Solution {
    /// `B^T (r / D)`, by position.
    let alpha: Buffer<Double>
    /// `M^-1 W^T D^-1 w`; `rank` numbers.
    let beta: Buffer<Double>
    /// `r = B y - W beta`, by position.
    let residuals: Buffer<Double>
    /// `y^T Sigma^-1 y`.
    let quadratic: Double
  }

  /// - Parameter y: by position.
  func solve(_ y: Buffer<Double>, context: CallContext) throws(CoverTreeError) -> Solution {
    try context.poll()
    let (model, rank) = (model, model.rank)
    let residuals = try factor.multiply(y)
    let beta = try Buffer<Double>(count: rank * 16, filledWith: 0)
    if let inner {
      // The first lane of a panel.
      for position in 0..<model.count {
        let (share, row) = (residuals[position] / factor.variances[position], factor.innovation(position))
        for column in 0..<rank { beta[column * 16] += share * row[column] }
      }
      inner.solve(beta.base)
      inner.solveTransposed(beta.base)
      for column in 0..<rank { beta[column] = beta[column * 16] }
    }
    let used = beta.slice(0..<rank)
    var quadratic = dot(used.base, used.base, count: rank)
    let scaled = try Buffer<Double>(count: model.count)
    for position in 0..<model.count {
      residuals[position] -= dot(factor.innovation(position), used.base, count: rank)
      scaled[position] = residuals[position] / factor.variances[position]
      quadratic += residuals[position] * scaled[position]
    }
    return Solution(
      alpha: try factor.multiplyTransposed(scaled), beta: used, residuals: residuals, quadratic: quadratic)
  }

  /// `y - V beta`, by position.
  func rest(_ y: Buffer<Double>, _ beta: Buffer<Double>) throws(CoverTreeError) -> Buffer<Double> {
    let rest = try Buffer<Double>(count: model.count)
    for position in 0..<model.count {
      rest[position] = y[position] - dot(model.features(position), beta.base, count: model.rank)
    }
    return rest
  }

  func logLikelihood(_ solution: Solution) -> Double {
    -0.5 * (solution.quadratic + logDeterminant + Double(model.count) * log(2 * Double.pi))
  }
}

extension VIFSystem {
  /// See `VIFFactor.copy`.
  public func copyFactor(weights: UnsafeMutablePointer<Double>?, variances: UnsafeMutablePointer<Double>?) {
    factor.copy(weights: weights, variances: variances)
  }

  public var byteCount: Int { model.byteCount + factor.byteCount + (inner?.strips.byteCount ?? 0) }

  /// Responses of the caller, one column each.
  ///
  /// - Parameter y: a row for each point.
  func response(_ y: PointsView<Double>, _ column: Int) throws(CoverTreeError) -> Buffer<Double> {
    let response = try Buffer<Double>(count: model.count)
    for position in 0..<model.count { response[position] = y.row(Int(model.rowOfPosition[position]))[column] }
    return response
  }

  /// Squares over the least variances must not overflow.
  private static let largestResponse = 0x1p200

  func check(_ y: PointsView<Double>, context: CallContext) throws(CoverTreeError) {
    guard y.count == model.count else {
      throw CoverTreeError(.shape, "y: expected \(model.count) rows, one for each point, got \(y.count)")
    }
    for row in 0..<y.count {
      for column in 0..<y.dim where !(y.row(row)[column].magnitude <= Self.largestResponse) {
        throw CoverTreeError(
          .invalidArgument,
          "y[\(row), \(column)]: expected a finite number of a size up to 2^200, got \(y.row(row)[column])")
      }
    }
  }

  /// The log likelihood of each response, and its derivatives by the logarithms of noise, variance and lengthscales.
  ///
  /// - Parameters:
  ///   - values: one for each response.
  ///   - gradients: `parameterCount` for each response; nil if they are not wanted.
  public func logLikelihood(
    _ y: PointsView<Double>, values: UnsafeMutablePointer<Double>, gradients: UnsafeMutablePointer<Double>?,
    context: CallContext
  ) throws(CoverTreeError) {
    try check(y, context: context)
    if gradients != nil, case .callback(let callback) = model.covariance, callback.gradient == nil {
      throw CoverTreeError(
        .unsupported, "kernel_gradient_fn: expected for gradients, as the kernel is the caller's, got NULL")
    }
    for column in 0..<y.dim {
      let response = try response(y, column)
      let solution = try solve(response, context: context)
      values[column] = logLikelihood(solution)
      guard let gradients else { continue }
      let gradient = try VIFGradient(self, response, solution, context: context)
      gradient.copy(to: gradients + column * gradient.count)
    }
  }

  /// `Sigma^-1 y`, with the rows and columns of `y`.
  public func solve(
    _ y: PointsView<Double>, into result: UnsafeMutablePointer<Double>, context: CallContext
  ) throws(CoverTreeError) {
    try check(y, context: context)
    for column in 0..<y.dim {
      let solution = try solve(try response(y, column), context: context)
      for position in 0..<model.count {
        result[Int(model.rowOfPosition[position]) * y.dim + column] = solution.alpha[position]
      }
    }
  }
}
