import CovertreeBase

/// Whether the points of two trees have a common metric.
extension TreeMetric {
  /// Throws unless two metrics are the same apart from their origins. nil is plain Euclidean distance.
  static func check(_ own: TreeMetric?, isThatOf other: TreeMetric?) throws(CoverTreeError) {
    guard let own, let other else {
      guard own == nil && other == nil else { throw mismatch("metric", name(own), name(other)) }
      return
    }
    guard own.kind == other.kind else { throw mismatch("metric", name(own), name(other)) }
    let (mine, theirs) = (own.parameters, other.parameters)
    guard mine.exponent == theirs.exponent else {
      throw mismatch("exponent", "\(mine.exponent)", "\(theirs.exponent)")
    }
    guard mine.radius == theirs.radius else { throw mismatch("radius", "\(mine.radius)", "\(theirs.radius)") }
    guard mine.isInDegrees == theirs.isInDegrees else { throw mismatch("unit", own.unit, other.unit) }
    for (name, numbers, others) in [
      ("weights", mine.weights, theirs.weights), ("periods", mine.periods, theirs.periods),
      ("inverse_covariance", mine.inverseCovariance, theirs.inverseCovariance),
    ] where numbers != others {
      guard numbers.count == others.count, let cell = numbers.indices.first(where: { numbers[$0] != others[$0] }) else {
        throw mismatch(name, Self.described(numbers), Self.described(others))
      }
      throw mismatch("\(name)[\(cell)]", "\(numbers[cell])", "\(others[cell])")
    }
  }

  private static func mismatch(_ parameter: String, _ own: String, _ other: String) -> CoverTreeError {
    CoverTreeError(.invalidArgument, "other: expected a tree of the same \(parameter), \(own), got \(other)")
  }

  private static func name(_ metric: TreeMetric?) -> String { metric.map { "\($0.kind)" } ?? "plain euclidean" }

  private static func described(_ numbers: [Double]) -> String { numbers.isEmpty ? "none" : "\(numbers)" }

  private var unit: String { parameters.isInDegrees ? "degrees" : "radians" }

  /// Whether the rows of a tree in another metric of the same parameters have the same sums. The rows of Mahalanobis distance are relative
  /// to the origin.
  func hasRows(of other: TreeMetric) -> Bool {
    kind != .mahalanobis || parameters.origins == other.parameters.origins
  }
}
