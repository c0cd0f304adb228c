import CovertreeBase

/// All points within a radius.
struct RadiusHandler<S: Scalar>: ExactHandler {
  let found: GrowableBuffer<Candidate>
  let worst: Double
  private let reach: Reach<S>

  init(found: GrowableBuffer<Candidate>, worst: Double) {
    (self.found, self.worst, reach) = (found, worst, Reach(worst))
  }

  @inline(__always)
  func threshold(_ rounding: RoundingBound<S>) -> S { reach.threshold(rounding) }

  @inline(__always)
  mutating func insert(_ squared: Double, _ index: Int32) throws(CoverTreeError) {
    try found.append(Candidate(squared: squared, index: index))
  }
}

/// A constant limit, in the filter's scale.
private struct Reach<S: Scalar> {
  private let score: Double

  init(_ score: Double) { self.score = S.self == Double.self ? max(score, Score.leastSquare) : score }

  @inline(__always)
  func threshold(_ rounding: RoundingBound<S>) -> S {
    S.self == Double.self ? S(score) : rounding.upperBound(of: score)
  }
}
