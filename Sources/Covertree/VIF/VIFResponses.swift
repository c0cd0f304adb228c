import CovertreeBase

/// The caller's responses.
extension VIFModel {
  /// One column, by position.
  ///
  /// - Parameter y: a row for each point.
  func response(_ y: PointsView<Double>, _ column: Int) throws(CoverTreeError) -> Buffer<Double> {
    let response = try Buffer<Double>(count: count)
    for position in 0..<count { response[position] = y.row(Int(rowOfPosition[position]))[column] }
    return response
  }

  /// Squares over the least variances must not overflow.
  private static let largestResponse = 0x1p200

  func check(_ y: PointsView<Double>) throws(CoverTreeError) {
    guard y.count == count else {
      throw CoverTreeError(.shape, "y: expected \(count) rows, one for each point, got \(y.count)")
    }
    for row in 0..<y.count {
      for column in 0..<y.dim where !(y.row(row)[column].magnitude <= Self.largestResponse) {
        throw CoverTreeError(
          .invalidArgument,
          "y[\(row), \(column)]: expected a finite number of a size up to 2^200, got \(y.row(row)[column])")
      }
    }
  }

  /// `y - V beta`, by position.
  ///
  /// - Parameter y: by position.
  func rest(_ y: Buffer<Double>, _ beta: Buffer<Double>) throws(CoverTreeError) -> Buffer<Double> {
    let rest = try Buffer<Double>(count: count)
    for position in 0..<count { rest[position] = y[position] - dot(features(position), beta.base, count: rank) }
    return rest
  }
}
