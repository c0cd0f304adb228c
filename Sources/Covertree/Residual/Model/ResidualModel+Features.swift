import CovertreeBase

/// The features and residual variances of points, by position.
struct PointFeatures {
  /// `V`, its columns padded with zeros to a multiple of 8.
  let rows: Buffer<Double>
  let residualVariance: Buffer<Double>
  /// The number of columns of `V`.
  let count: Int
  let inducing: InducingFeatures?
  /// Whether `V` and `p` are the caller's.
  let areGiven: Bool
}

/// Features and residual variances of a model's points: from inducing points, or given by the caller and checked.
extension ResidualModel {
  /// The largest variance that features may explain, relative to the kernel's variance. Rounding adds far less, and float32 overflows far
  /// above.
  private static let mostExplained = 0x1p40
  /// The caller's residual variances are at least this share of the kernel's variance.
  private static let leastGiven = 0x1p-500
  /// The largest difference of the caller's residual variances from `k_ii - |v_i|^2`, relative to them.
  private static let tolerance = 1e-3

  static func inducingFeatures(
    _ inducing: PointsView<Double>, _ jitter: Double, _ shared: Shared, _ context: CallContext
  ) throws(CoverTreeError) -> InducingFeatures? {
    guard inducing.count > 0 else { return nil }
    guard inducing.dim == shared.dim else {
      throw CoverTreeError(.shape, "inducing_points: expected \(shared.dim) columns, got \(inducing.dim)")
    }
    try inducing.checkCoordinates(named: "inducing_points", context: context)
    return try InducingFeatures(
      scaledCoordinates(inducing, shared.covariance, context), count: inducing.count, dim: shared.dim,
      covariance: shared.covariance, variance: shared.variance, jitter: jitter, context: context)
  }

  /// Features and residual variances of scaled points, `diagonal` their variances.
  static func features(
    _ inducingFeatures: InducingFeatures?, _ points: UnsafePointer<Double>, _ diagonal: Buffer<Double>,
    _ shared: Shared, context: CallContext
  ) throws(CoverTreeError) -> PointFeatures {
    let count = diagonal.count
    let features = try Buffer<Double>(count: count * (inducingFeatures?.rank ?? 0))
    let p = try Buffer<Double>(count: count, filledWith: 0)
    try inducingFeatures?.fill(points, count: count, features: features.base, squaredNorms: p.base, context: context)
    for i in 0..<count {
      // Features explain at most the variance of a point, and rounding.
      guard p[i] <= mostExplained * shared.variance else {
        throw CoverTreeError(
          .invalidArgument,
          "kernel: is not positive definite, or its covariances overflow: by those with the inducing points the variance of a "
            + "point would be \(shared.unit.unscaled(p[i])) at least, it is \(shared.unit.unscaled(diagonal[i]))")
      }
      p[i] = max(diagonal[i] - p[i], relativeFloor * shared.variance)
    }
    return PointFeatures(
      rows: features, residualVariance: p, count: inducingFeatures?.count ?? 0, inducing: inducingFeatures,
      areGiven: false)
  }

  /// The caller's features and residual variances, by position.
  static func given(
    _ v: AnyPoints, _ p: UnsafePointer<Double>, _ givenDiagonal: UnsafePointer<Double>?, _ diagonal: Buffer<Double>,
    _ arranged: ArrangedPoints, _ shared: Shared, _ context: CallContext
  ) throws(CoverTreeError) -> PointFeatures {
    let count = diagonal.count
    guard v.count == count else {
      throw CoverTreeError(.shape, "v_matrix: expected \(count) rows, one for each point, got \(v.count)")
    }
    let rank = (v.dim + 7) / 8 * 8
    let features = try Buffer<Double>(count: count * rank, filledWith: 0)
    let variances = try Buffer<Double>(count: count)
    try v.copyRows(arranged.order, into: features.base, stride: rank, named: "v_matrix", context: context)
    let unit = shared.unit
    if !unit.isOne {
      for element in 0..<features.count { features[element] /= unit.root }
    }
    for position in 0..<count {
      if position % pointsPerPoll == 0 { try context.poll() }
      let (row, index) = (features.base + position * rank, Int(arranged.order[position]))
      variances[position] = unit.scaled(p[index])
      try check(
        variances[position], against: givenDiagonal.map { unit.scaled($0[index]) } ?? diagonal[position],
        minus: dot(row, row, count: rank), precision: v.ulp, index: index, shared)
    }
    return PointFeatures(rows: features, residualVariance: variances, count: v.dim, inducing: nil, areGiven: true)
  }

  /// Throws unless a residual variance is the kernel's variance less the variance of its features, whose type has the given precision.
  static func check(
    _ p: Double, against diagonal: Double, minus norm: Double, precision: Double, index: Int, _ shared: Shared
  ) throws(CoverTreeError) {
    let floor = relativeFloor * shared.variance
    guard p > 0, p.isFinite else {
      throw CoverTreeError(.invalidArgument, "residual_variance[\(index)]: expected a finite number above 0, got \(p)")
    }
    guard diagonal > 0, diagonal.isFinite else {
      throw CoverTreeError(
        .invalidArgument, "kernel_diagonal[\(index)]: expected a finite number above 0, got \(diagonal)")
    }
    // Products of two larger or smaller numbers would overflow or vanish.
    let most = mostExplained * shared.variance
    for (name, value) in [("kernel_diagonal", diagonal), ("v_matrix", norm)] where !(value <= most) {
      throw CoverTreeError(
        .invalidArgument,
        "\(name)[\(index)]: \(shared.unit.unscaled(value)) \(name == "v_matrix" ? "as its squared length " : "")is more than "
          + "2^40 times the kernel's variance \(shared.unit.unscaled(shared.variance))")
    }
    guard p >= leastGiven * shared.variance else {
      throw CoverTreeError(
        .invalidArgument,
        "residual_variance[\(index)]: \(shared.unit.unscaled(p)) is less than 2^-500 times the kernel's variance "
          + "\(shared.unit.unscaled(shared.variance))")
    }
    let left = max(diagonal - norm, floor)
    // In addition, the rounding of the features to their type.
    let allowed = tolerance * p + 8 * precision * diagonal
    guard p <= floor || (left - p).magnitude <= allowed else {
      let (given, own, lost) = (shared.unit.unscaled(p), shared.unit.unscaled(diagonal), shared.unit.unscaled(norm))
      throw CoverTreeError(
        .invalidArgument,
        "residual_variance[\(index)]: \(given) contradicts v_matrix and the kernel, by which it is k_ii - |v_i|^2 = "
          + "\(own) - \(lost) = \(own - lost)")
    }
  }
}
