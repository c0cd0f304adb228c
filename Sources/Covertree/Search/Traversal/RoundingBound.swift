/// Bounds for the rounding of squared distances in the filter, which computes them in the coordinates' own type.
struct RoundingBound<S: Scalar> {
  private let factor: Double
  private let scalarFactor: S

  init(dim: Int) {
    // `dim + 2` roundings of half an ulp each, and a margin. With float64 coordinates the filter is exact: rounding is monotone, so a box
    // is never farther than a point in it.
    factor = S.self == Double.self ? 1 : 1 + Double(dim + 4) * Double(S.ulpOfOne)
    scalarFactor = S.self == Double.self ? 1 : 1 + S(2 * dim + 10) * S.ulpOfOne
  }

  /// An upper bound of the filter's distance of any point whose score is at most `score`. Points whose squares underflow pass the filter.
  @inline(__always)
  func upperBound(of score: Double) -> S {
    if S.self == Double.self { return S(max(score, Score.leastSquare)) }
    return S.roundedUp(score * factor + Double(S.leastNormalMagnitude))
  }

  /// A point whose distance in the filter is at most this has a score of at most `score`.
  @inline(__always)
  func lowerBound(of score: Double) -> S {
    if S.self == Double.self { return score >= Score.leastSquare ? S(score) : -1 }
    return -S.roundedUp(-(score - 2 * Double(S.leastNormalMagnitude)) / factor)
  }

  /// An upper bound of the filter's distance of any point that is not farther than a point whose distance in the filter is `filtered`.
  @inline(__always)
  func upperBound(ofFiltered filtered: S) -> S {
    if S.self == Double.self { return max(filtered, S(Score.leastSquare)) }
    return filtered * scalarFactor + 2 * S.leastNormalMagnitude
  }

  /// The same for each lane.
  @inline(__always)
  func upperBound(ofFiltered filtered: S.Lanes) -> S.Lanes {
    if S.self == Double.self { return S.maximum(filtered, S.Lanes(repeating: S(Score.leastSquare))) }
    return S.multiplyAdd(filtered, S.Lanes(repeating: scalarFactor), S.Lanes(repeating: 2 * S.leastNormalMagnitude))
  }
}
