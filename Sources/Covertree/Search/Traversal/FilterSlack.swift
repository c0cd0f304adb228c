/// What rounding may add to a squared distance in the filter.
struct FilterSlack<S: Scalar> {
  private let factor: Double
  private let scalarFactor: S

  init(dim: Int) {
    // `dim + 2` roundings of half an ulp each, and some to spare. With float64 coordinates the filter is the decision
    // itself; there a box is never farther than a point in it, as rounding is monotone.
    factor = S.self == Double.self ? 1 : 1 + Double(dim + 4) * Double(S.ulpOfOne)
    scalarFactor = S.self == Double.self ? 1 : 1 + S(2 * dim + 10) * S.ulpOfOne
  }

  /// The most that a point with a score of at most `worst` can show in the filter. The filter lets all points through whose squares
  /// underflow.
  @inline(__always)
  func shown(_ worst: Double) -> S {
    if S.self == Double.self { return S(max(worst, Score.leastSquare)) }
    return S.roundedUp(worst * factor + Double(S.leastNormalMagnitude))
  }

  /// All points that show no more than this in the filter have a score of at most `worst`.
  @inline(__always)
  func certain(_ worst: Double) -> S {
    if S.self == Double.self { return worst >= Score.leastSquare ? S(worst) : -1 }
    return -S.roundedUp(-(worst - 2 * Double(S.leastNormalMagnitude)) / factor)
  }

  /// What points can show in the filter that are not farther than one that shows `filtered`.
  @inline(__always)
  func shown(beside filtered: S) -> S {
    if S.self == Double.self { return max(filtered, S(Score.leastSquare)) }
    return filtered * scalarFactor + 2 * S.leastNormalMagnitude
  }

  /// The same of every lane.
  @inline(__always)
  func shown(beside filtered: S.Lanes) -> S.Lanes {
    if S.self == Double.self { return S.maximum(filtered, S.Lanes(repeating: S(Score.leastSquare))) }
    return S.multiplyAdd(filtered, S.Lanes(repeating: scalarFactor), S.Lanes(repeating: 2 * S.leastNormalMagnitude))
  }
}
