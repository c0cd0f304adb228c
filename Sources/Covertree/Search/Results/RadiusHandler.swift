import CovertreeBase

/// All points within a radius.
struct RadiusHandler<S: Scalar, D: MetricSpace>: ExactHandler {
  let found: GrowableBuffer<Candidate>
  let worst: Double
  /// The limit in the filter's scale.
  private let reach: Double

  init(found: GrowableBuffer<Candidate>, worst: Double) {
    (self.found, self.worst) = (found, worst)
    reach = S.self == Double.self && D.isEuclidean ? max(worst, Score.leastSquare) : worst
  }

  @inline(__always)
  func threshold(_ rounding: RoundingBound<S, D>) -> S {
    S.self == Double.self && D.isEuclidean ? S(reach) : rounding.upperBound(of: reach)
  }

  @inline(__always)
  mutating func insert(_ squared: Double, _ index: Int32) throws(CoverTreeError) {
    try found.append(Candidate(squared: squared, index: index))
  }
}
