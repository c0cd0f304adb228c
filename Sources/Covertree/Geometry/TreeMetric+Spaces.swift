import CNumerics
import CovertreeBase
import Glibc

extension MetricTerms.Term {
  /// The term of a norm.
  init(exponent: Double) {
    switch exponent {
    case 1: self = .absolute
    case 2: self = .square
    case 3: self = .cube
    case 4: self = .fourth
    case .infinity: self = .largest
    default: self = .power
    }
  }
}

/// The metric as searches know it.
extension TreeMetric {
  /// Runs a task in the metric.
  ///
  /// - Parameter reach: by coordinate, the largest magnitude of points and queries less the origin. Only Mahalanobis distance needs it.
  func specialized<Task: DimensionTask>(_ task: Task, reach: () -> [Double]) throws(CoverTreeError) -> Task.Result {
    let (space, owner) = try space(reach: kind == .mahalanobis ? reach() : [])
    defer { withExtendedLifetime((self, owner)) {} }
    return try task.run(space)
  }

  /// The space of searches, which uses memory of this metric and of the owner.
  func space(reach: [Double] = []) throws(CoverTreeError) -> (space: RuntimeMetric, owner: AnyObject) {
    let terms = try Buffer(count: 2, filledWith: terms(reach))
    terms[1].wraps = false
    return (RuntimeMetric(count: rowLength, terms: UnsafePointer(terms.base)), terms)
  }

  private func terms(_ reach: [Double]) -> MetricTerms {
    let hasPlainSquares = !kind.isNorm || exponent == 2 && parameters.weights.allSatisfy { $0 == 1 }
    return MetricTerms(
      term: hasPlainSquares ? .plainSquare : term,
      formula: kind == .haversine ? .haversine : kind == .mahalanobis ? .quadratic : .sum, summed: summed,
      wraps: isPeriodic, exponent: exponent, dim: dim, floats: UnsafePointer(floats.base),
      doubles: UnsafePointer(doubles.base),
      floatErrors: errors(ulp: Double(Float.ulpOfOne), least: Double(Float.leastNormalMagnitude), wraps: isPeriodic),
      doubleErrors: doubleErrors(reach), unit: radians, inverseCovariance: UnsafePointer(factor.base) + factor.count / 2
    )
  }

  /// Radians in a unit of latitude.
  var radians: Double { parameters.isInDegrees ? .pi / 180 : 1 }

  /// Bounds of the errors of sums in float64, in which most are monotone.
  private func doubleErrors(_ reach: [Double]) -> SumErrors {
    switch kind {
    case .mahalanobis: quadraticErrors(reach)
    // A coordinate of a unit vector has an error below `2^-51`, and differences of longitudes have one below `2^-49`. So distances have
    // one below `2^-47` in all. See `errors` for the bound by a share of the distance.
    case .haversine: SumErrors(factor: 1 + 0x1p-19, offset: 0x1p-94 * 0x1p20)
    case .cosine, .angular: SumErrors()
    case .euclidean, .manhattan, .chebyshev, .minkowski:
      term == .power ? errors(ulp: Double.ulpOfOne, least: Double.leastNormalMagnitude, wraps: false) : SumErrors()
    }
  }

  /// Bounds of the errors of a norm's sums in a type.
  ///
  /// Relative errors are those of the operations. Beyond these, a difference through the boundary of a period has an error relative to the
  /// period. As a distance, it is at most `e`; by the triangle inequality and the convexity of the power, for any share `t`,
  /// `(a + e)^p <= a^p / (1 - t)^(p - 1) + e^p / t^(p - 1)`.
  private func errors(ulp: Double, least: Double, wraps: Bool) -> SumErrors {
    var factor = 1 + Double(dim + 12) * ulp
    if term == .power {
      // See `powers.h`. In float64 `power` loses four bits, and more for exponents of its result, which are at most those of the type.
      let isRough = ulp == Double(Float.ulpOfOne) && exponent <= Double(CN_MOST_ROUGH_POWER)
      let digits = 8 * (4 + (ulp == Double.ulpOfOne ? 1024 : 128) + exponent) * ulp
      factor += isRough ? (2 + exponent) * 0x1p-12 : digits
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
