import CovertreeBase

/// Points outside of a model: scaled coordinates, features and residual variances, in their own order.
struct NewPoints {
  let count: Int
  /// `count x dim`.
  let coordinates: Buffer<Double>
  /// `count x rank`.
  let features: Buffer<Double>
  let residualVariance: Buffer<Double>

  func point(_ row: Int, in model: ResidualModel) -> ExactQuery {
    ExactQuery(
      coordinates: UnsafePointer(coordinates.base) + row * model.dim,
      features: UnsafePointer(features.base) + row * model.rank, residualVariance: residualVariance[row], index: -1)
  }
}

extension ResidualModel {
  /// New points, with features computed from the inducing points.
  func newPoints(_ points: PointsView<Double>, named name: String, context: CallContext) throws(CoverTreeError)
    -> NewPoints
  {
    guard !hasGivenFeatures || rank == 0 else {
      throw CoverTreeError(
        .unsupported,
        "\(name): new coordinates need inducing points, and this model has the caller's v_matrix; give dataset indices")
    }
    let (scaled, diagonal) = try scaled(points, named: name, context: context)
    let made = try Self.features(inducingFeatures, scaled.base, diagonal, shared, context: context)
    return NewPoints(
      count: points.count, coordinates: scaled, features: made.rows, residualVariance: made.residualVariance)
  }

  /// New points with known features and residual variances, from a model of the same process.
  func newPoints(
    _ points: PointsView<Double>, _ features: PointsView<Double>, _ residualVariance: UnsafePointer<Double>,
    context: CallContext
  ) throws(CoverTreeError) -> NewPoints {
    guard features.dim == featureCount || rank == 0 else {
      throw CoverTreeError(.shape, "v_matrix: expected \(featureCount) columns, got \(features.dim)")
    }
    let (scaled, diagonal) = try scaled(points, named: "queries", context: context)
    let order = try Buffer<Int32>(counting: points.count)
    let rows = try Buffer<Double>(count: points.count * rank, filledWith: 0)
    if rank > 0 {
      try AnyPoints.float64(features).copyRows(
        order, into: rows.base, stride: rank, named: "v_matrix", context: context)
    }
    if !unit.isOne {
      for element in 0..<rows.count { rows[element] /= unit.root }
    }
    let variances = try Buffer<Double>(count: points.count)
    for row in 0..<points.count {
      let v = rows.base + row * rank
      variances[row] = unit.scaled(residualVariance[row])
      try Self.check(
        variances[row], against: diagonal[row], minus: dot(v, v, count: rank), precision: Double.ulpOfOne, index: row,
        shared)
    }
    return NewPoints(count: points.count, coordinates: scaled, features: rows, residualVariance: variances)
  }

  private func scaled(
    _ points: PointsView<Double>, named name: String, context: CallContext
  ) throws(CoverTreeError) -> (coordinates: Buffer<Double>, diagonal: Buffer<Double>) {
    guard points.dim == dim else { throw CoverTreeError(.shape, "\(name): expected \(dim) columns, got \(points.dim)") }
    try points.checkCoordinates(named: name, context: context)
    let scaled = try scaledCoordinates(points, covariance, context)
    return (scaled, try kernelDiagonal(covariance, scaled.base, count: points.count, dim: dim, context: context))
  }
}
