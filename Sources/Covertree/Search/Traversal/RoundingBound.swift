/// Bounds for the difference between the sums of the filter, which are in the coordinates' own type, and scores.
struct RoundingBound<S: Scalar, D: MetricSpace> {
  private let factor: Double
  private let offset: Double
  /// Of a sum of the filter from another sum of the filter.
  private let sumFactor: S
  private let sumOffset: S

  init(_ space: D) {
    let errors = space.errors(S.self)
    (factor, offset) = (errors.factor, errors.offset)
    if D.isEuclidean {
      sumFactor = S.self == Double.self ? 1 : 1 + S(2 * space.count + 10) * S.ulpOfOne
      sumOffset = 2 * S.leastNormalMagnitude
    } else {
      // With a margin for the rounding of these bounds.
      sumFactor = Self.isExact ? 1 : S.roundedUp(factor * factor * (1 + 8 * Double(S.ulpOfOne)))
      sumOffset = Self.isExact ? 0 : S.roundedUp((factor + 1) * offset * (1 + 8 * Double(S.ulpOfOne)))
    }
  }

  /// Whether sums of the filter are scores, except for Euclidean ones below the least square.
  private static var isExact: Bool { S.self == Double.self && D.isMonotone && D.decidesBySum }

  /// An upper bound of the filter's sum of any point whose score is at most `score`. Points whose squares underflow pass the filter.
  @inline(__always)
  func upperBound(of score: Double) -> S {
    if Self.isExact { return D.isEuclidean ? S(max(score, Score.leastSquare)) : S(score) }
    if D.isEuclidean { return S.roundedUp(score * factor + Double(S.leastNormalMagnitude)) }
    return S.roundedUp(score * (factor * (1 + 4 * Double.ulpOfOne)) + offset)
  }

  /// A point whose sum in the filter is at most this has a score of at most `score`.
  @inline(__always)
  func lowerBound(of score: Double) -> S {
    if Self.isExact {
      return D.isEuclidean && score < Score.leastSquare ? -1 : S(score)
    }
    if D.isEuclidean { return -S.roundedUp(-(score - 2 * Double(S.leastNormalMagnitude)) / factor) }
    return -S.roundedUp(-(score - 2 * offset) / (factor * (1 + 4 * Double.ulpOfOne)))
  }

  /// An upper bound of the filter's sum of any point that is not farther than a point whose sum in the filter is `filtered`.
  @inline(__always)
  func upperBound(ofFiltered filtered: S) -> S {
    if Self.isExact { return D.isEuclidean ? max(filtered, S(Score.leastSquare)) : filtered }
    return filtered * sumFactor + (D.isEuclidean ? 2 * S.leastNormalMagnitude : sumOffset)
  }

  /// The same for each lane.
  @inline(__always)
  func upperBound(ofFiltered filtered: S.Lanes) -> S.Lanes {
    if Self.isExact {
      return D.isEuclidean ? S.maximum(filtered, S.Lanes(repeating: S(Score.leastSquare))) : filtered
    }
    return S.multiplyAdd(
      filtered, S.Lanes(repeating: sumFactor),
      S.Lanes(repeating: D.isEuclidean ? 2 * S.leastNormalMagnitude : sumOffset))
  }
}

/// Bounds for the scores of points in a box, by the sums of its corners in float64.
struct BoxBound<D: MetricSpace> {
  private let lowerFactor: Double
  private let upperFactor: Double
  private let offset: Double

  init(_ space: D) {
    let errors = space.errors(Double.self)
    upperFactor = errors.factor * (1 + 4 * Double.ulpOfOne)
    lowerFactor = 1 / (errors.factor * (1 + 8 * Double.ulpOfOne))
    offset = errors.offset
  }

  @inline(__always)
  func least(_ sums: SIMD8<Double>) -> SIMD8<Double> {
    D.isMonotone ? sums : Double.maximum((sums - offset) * lowerFactor, SIMD8(repeating: 0))
  }

  @inline(__always)
  func largest(_ sums: SIMD8<Double>) -> SIMD8<Double> {
    D.isMonotone ? sums : sums * upperFactor + offset
  }
}
