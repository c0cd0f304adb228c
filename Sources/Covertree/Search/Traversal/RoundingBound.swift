import CovertreeBase

/// Bounds for the difference between the sums of the filter, which are in the coordinates' own type, and scores.
///
/// In float64 most sums are monotone, so a box is never farther than a point in it, and bounds change nothing.
struct RoundingBound<S: Scalar> {
  private let factor: Double
  private let offset: Double
  /// Sums below it may have lost digits; `-infinity` if none do.
  private let least: Double
  /// Of a sum of the filter from another sum of the filter.
  private let sumFactor: S
  private let sumOffset: S

  /// Of squares.
  init(dim: Int) {
    // `dim + 2` roundings of half an ulp each, and a margin. Points whose squares underflow pass the filter.
    let isExact = S.self == Double.self
    factor = isExact ? 1 : 1 + Double(dim + 4) * Double(S.ulpOfOne)
    offset = isExact ? 0 : Double(S.leastNormalMagnitude)
    least = isExact ? Score.leastSquare : -.infinity
    sumFactor = isExact ? 1 : 1 + S(2 * dim + 10) * S.ulpOfOne
    sumOffset = isExact ? 0 : 2 * S.leastNormalMagnitude
  }

  init<D: MetricSpace>(_ space: D) {
    if D.isEuclidean { self.init(dim: space.count) } else { self.init(space.errors(S.self)) }
  }

  private init(_ errors: SumErrors) {
    least = -.infinity
    // With a margin for the rounding of these bounds.
    let margin = errors.areNone ? 0 : Double(S.ulpOfOne)
    factor = errors.factor * (errors.areNone ? 1 : 1 + 4 * Double.ulpOfOne)
    offset = errors.offset
    sumFactor = S.roundedUp(errors.factor * errors.factor * (1 + 8 * margin))
    sumOffset = S.roundedUp((errors.factor + 1) * errors.offset * (1 + 8 * margin))
  }

  /// An upper bound of the filter's sum of any point whose score is at most `score`.
  @inline(__always)
  func upperBound(of score: Double) -> S { S.roundedUp(max(score, least) * factor + offset) }

  /// A point whose sum in the filter is at most this has a score of at most `score`.
  @inline(__always)
  func lowerBound(of score: Double) -> S {
    score < least ? -1 : -S.roundedUp(-(score - 2 * offset) / factor)
  }

  /// An upper bound of the filter's sum of any point that is not farther than a point whose sum in the filter is `filtered`.
  @inline(__always)
  func upperBound(ofFiltered filtered: S) -> S {
    if S.self == Float.self { return filtered * sumFactor + sumOffset }
    return max(filtered, S(least)) * sumFactor + sumOffset
  }

  /// The same for each lane.
  @inline(__always)
  func upperBound(ofFiltered filtered: S.Lanes) -> S.Lanes {
    let (factors, offsets) = (S.Lanes(repeating: sumFactor), S.Lanes(repeating: sumOffset))
    if S.self == Float.self { return S.multiplyAdd(filtered, factors, offsets) }
    return S.multiplyAdd(S.maximum(filtered, S.Lanes(repeating: S(least))), factors, offsets)
  }
}

/// Bounds for the scores of points in a box, by the sums of its corners in float64.
struct BoxBound {
  private let lowerFactor: Double
  private let upperFactor: Double
  private let offset: Double

  init(_ errors: SumErrors) {
    upperFactor = errors.areNone ? 1 : errors.factor * (1 + 4 * Double.ulpOfOne)
    lowerFactor = errors.areNone ? 1 : 1 / (errors.factor * (1 + 8 * Double.ulpOfOne))
    offset = errors.offset
  }

  @inline(__always)
  func least(_ sums: SIMD8<Double>) -> SIMD8<Double> {
    Double.maximum((sums - offset) * lowerFactor, SIMD8(repeating: 0))
  }

  @inline(__always)
  func largest(_ sums: SIMD8<Double>) -> SIMD8<Double> { sums * upperFactor + offset }
}
