import CovertreeBase
import Glibc

extension AnyNorm.Exponent {
  init(_ exponent: Double) {
    switch exponent {
    case 1: self = .one
    case 2: self = .two
    case 3: self = .three
    case 4: self = .four
    case .infinity: self = .largest
    default: self = .other(exponent)
    }
  }
}

/// The metric as searches know it.
extension TreeMetric {
  /// Runs a task, with unrolled loops over coordinates for the most common metrics and dimensions.
  ///
  /// - Parameter reach: by coordinate, the largest magnitude of points and queries less the origin. Only Mahalanobis distance needs it.
  func specialized<Task: DimensionTask>(_ task: Task, reach: () -> [Double]) throws(CoverTreeError) -> Task.Result {
    defer { withExtendedLifetime(self) {} }
    switch kind {
    case .haversine: return try task.run(SphereSpace(unit: radians))
    case .cosine, .angular: return try task.run(DirectionSpace(summed: dim))
    case .mahalanobis:
      return try task.run(
        QuadraticSpace(
          summed: dim, inverseCovariance: UnsafePointer(factor.base) + dim * dim, bounds: quadraticErrors(reach())))
    case .euclidean, .manhattan, .chebyshev, .minkowski: break
    }
    let norm = AnyNorm.Exponent(exponent)
    switch norm {
    case .one where !isPeriodic: return try specialized(task, AbsoluteNorm())
    case .largest where !isPeriodic: return try specialized(task, LargestNorm())
    case .two: return try specialized(task, PeriodicSquareNorm())
    default: return try run(task, RuntimeDimension(count: dim), AnyNorm(exponent: norm))
    }
  }

  /// Radians in a unit of latitude.
  var radians: Double { parameters.isInDegrees ? .pi / 180 : 1 }

  private func specialized<Task: DimensionTask, N: Norm>(_ task: Task, _ norm: N) throws(CoverTreeError) -> Task.Result
  {
    switch dim {
    case 2: try run(task, FixedDimension<2>(), norm)
    case 3: try run(task, FixedDimension<3>(), norm)
    default: try run(task, RuntimeDimension(count: dim), norm)
    }
  }

  private func run<Task: DimensionTask, D: Dimension, N: Norm>(
    _ task: Task, _ dimension: D, _ norm: N
  ) throws(CoverTreeError) -> Task.Result {
    try task.run(NormSpace(dimension: dimension, norm: norm, coefficients: coefficients))
  }

  private var coefficients: NormCoefficients {
    NormCoefficients(
      count: dim, floats: UnsafePointer(floats.base), doubles: UnsafePointer(doubles.base),
      floatErrors: errors(ulp: Double(Float.ulpOfOne), least: Double(Float.leastNormalMagnitude), wraps: isPeriodic),
      doubleErrors: errors(ulp: Double.ulpOfOne, least: Double.leastNormalMagnitude, wraps: false))
  }

  /// Bounds of the errors of a norm's sums in a type.
  ///
  /// Relative errors are those of the operations. Beyond these, a difference through the boundary of a period has an error relative to the
  /// period. As a distance, it is at most `e`; by the triangle inequality and the convexity of the power, for any share `t`,
  /// `(a + e)^p <= a^p / (1 - t)^(p - 1) + e^p / t^(p - 1)`.
  private func errors(ulp: Double, least: Double, wraps: Bool) -> SumErrors {
    var factor = 1 + Double(dim + 12) * ulp
    if case .other = AnyNorm.Exponent(exponent) {
      // `power` loses four bits, and more for exponents of its result, which are at most those of the type.
      factor += 8 * (4 + (ulp == Double.ulpOfOne ? 1024 : 128) + exponent) * ulp
    }
    let heaviest = parameters.weights.reduce(1, max)
    let underflow = Double(dim) * (1 + heaviest) * 4 * least
    guard wraps else { return SumErrors(factor: factor, offset: underflow) }
    let apart = bound { parameters.periods[$0] < .infinity ? 2 * parameters.periods[$0] * ulp : 0 }
    guard exponent > 1, exponent < .infinity else { return SumErrors(factor: factor, offset: underflow + 2 * apart) }
    let share = 0x1p-10
    factor *= pow(1 - share, 1 - exponent) * (1 + ulp)
    return SumErrors(factor: factor, offset: underflow + 2 * pow(apart / share, exponent) * share)
  }

  /// Bounds of the errors of Mahalanobis distance.
  ///
  /// With `B` the norm of `|L|^T r`, for the reach `r`, the factor, its products and the quadratic form have errors of some `dim` ulps of
  /// `(2 B)^2`.
  private func quadraticErrors(_ reach: [Double]) -> SumErrors {
    var square = 0.0
    for column in 0..<dim {
      let sum = (column..<dim).reduce(0.0) { $0 + abs(factor[$1 * dim + column]) * reach[$1] }
      square += sum * sum
    }
    return SumErrors(factor: 1 + 0x1p-16, offset: 16 * Double(dim + 8) * Double.ulpOfOne * square)
  }
}
