import CovertreeBase

/// All points within a radius.
struct RadiusHandler<S: Scalar>: ExactHandler {
  let found: GrowableBuffer<Candidate>
  let worst: Double
  private let reach: S

  init(found: GrowableBuffer<Candidate>, worst: Double, rounding: RoundingBound<S>) {
    (self.found, self.worst) = (found, worst)
    reach = rounding.upperBound(of: worst)
  }

  @inline(__always)
  func threshold(_: RoundingBound<S>) -> S { reach }

  @inline(__always)
  mutating func insert(_ squared: Double, _ index: Int32) throws(CoverTreeError) {
    try found.append(Candidate(squared: squared, index: index))
  }
}
