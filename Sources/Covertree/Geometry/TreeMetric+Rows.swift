import CovertreeBase
import Glibc

/// Rows of a tree or queries: as they are given, or a copy.
struct MetricRows<S: Scalar> {
  let view: PointsView<S>
  /// Keeps a copy alive.
  private let copy: Buffer<S>?

  init(_ view: PointsView<S>) { (self.view, copy) = (view, nil) }

  fileprivate init(_ copy: Buffer<S>, count: Int, dim: Int) {
    (self.copy, view) = (copy, PointsView(copy, count: count, dim: dim))
  }
}

/// From the points that a caller gives to the rows of a tree, or to queries.
///
/// The points of a tree in a periodic box are in one period. It begins at 0, or at minus half the period if the first points are between
/// minus and plus half of it and some are below 0, as angles often are. Coordinates elsewhere are moved by whole periods, and rounded to
/// their type. The filter compares differences up to 3/2 of a period, so queries are moved only beyond half a period from that of the
/// points.
extension TreeMetric {
  /// The metric with the origins that are best for a tree of some points.
  func fitted<S: Scalar>(to points: PointsView<S>, context: CallContext) throws(CoverTreeError) -> TreeMetric {
    guard isPeriodic || kind == .mahalanobis else { return self }
    let (low, high) = try extents(of: points.count, dim: dim, context) { (index, _) in points.row(index) }
    var parameters = parameters
    parameters.origins = (0..<dim).map { d in
      let (low, high) = (Double(low[d]), Double(high[d]))
      guard isPeriodic else { return low + (high - low) / 2 }
      let half = parameters.periods[d] / 2
      return half < .infinity && low < 0 && low >= -half && high <= half ? -half : 0
    }
    return try TreeMetric(kind, dim: dim, parameters)
  }

  /// The rows of points or queries, whose coordinates are checked.
  func rows<S: Scalar>(
    of points: PointsView<S>, named name: String, asQueries: Bool, context: CallContext
  ) throws(CoverTreeError) -> MetricRows<S> {
    try points.checkCoordinates(named: name, within: coordinateLimit(S.self), context: context)
    guard !kind.isNorm || isPeriodic else { return MetricRows(points) }
    if kind.isNorm, try areNear(points, asQueries, context) { return MetricRows(points) }
    let length = rowLength
    let rows = try Buffer<S>(count: points.count * length)
    try context.forEach(points.count, grain: 1 << 12) { (range, _) throws(CoverTreeError) in
      for index in range {
        let (point, row) = (points.row(index), rows.base + index * length)
        switch kind {
        case .haversine: try fillSphere(point, row, name, index)
        case .cosine, .angular: try fillDirection(point, row, name, index)
        case .mahalanobis: fillQuadratic(point, row)
        case .euclidean, .manhattan, .chebyshev, .minkowski:
          for d in 0..<dim { row[d] = isNear(point[d], d, asQueries) ? point[d] : moved(point[d], d) }
        }
        if !kind.isNorm {
          for d in 0..<dim { row[firstGiven + d] = point[d] }
        }
      }
    }
    return MetricRows(rows, count: points.count, dim: length)
  }

  /// Coordinates by which queries are sorted. Their Euclidean distance is about the distance of the metric.
  func curveRows<S: Scalar>(of rows: PointsView<S>, context: CallContext) throws(CoverTreeError) -> MetricRows<S> {
    guard kind.isNorm else {
      return MetricRows(PointsView(base: rows.base, count: rows.count, dim: summed, stride: rows.stride))
    }
    let scales = scales
    guard scales.contains(where: { $0 != 1 }) else { return MetricRows(rows) }
    let used = scales.indices.filter { scales[$0] > 0 }
    let scaled = try Buffer<S>(count: rows.count * used.count)
    try context.forEach(rows.count, grain: 1 << 14) { (range, _) in
      for index in range {
        let (row, target) = (rows.row(index), scaled.base + index * used.count)
        for (slot, d) in used.enumerated() { target[slot] = row[d] * S(scales[d]) }
      }
    }
    return MetricRows(scaled, count: rows.count, dim: used.count)
  }

  // Periods

  /// Whether all coordinates are in the period of the points, or near it.
  private func areNear<S: Scalar>(
    _ points: PointsView<S>, _ asQueries: Bool, _ context: CallContext
  ) throws(CoverTreeError) -> Bool {
    let outside = Counter()
    try context.forEach(points.count, grain: 1 << 14) { (range, _) throws(CoverTreeError) in
      for index in range {
        let point = points.row(index)
        for d in 0..<dim where !isNear(point[d], d, asQueries) { outside.add(1) }
      }
    }
    return outside.value == 0
  }

  @inline(__always)
  private func isNear<S: Scalar>(_ x: S, _ d: Int, _ asQuery: Bool) -> Bool {
    let (offset, period) = (Double(x) - parameters.origins[d], parameters.periods[d])
    guard period < .infinity else { return true }
    let margin = asQuery ? period / 2 : 0
    return offset >= -margin && offset <= period + margin
  }

  private func moved<S: Scalar>(_ x: S, _ d: Int) -> S {
    let (origin, period) = (parameters.origins[d], parameters.periods[d])
    // A remainder has no rounding.
    var inside = (Double(x) - origin).truncatingRemainder(dividingBy: period)
    if inside < 0 { inside += period }
    return min(max(S(origin + inside), S(origin)), S(origin + period))
  }

  // Transformed coordinates

  private func fillSphere<S: Scalar>(
    _ point: UnsafePointer<S>, _ row: UnsafeMutablePointer<S>, _ name: String, _ index: Int
  ) throws(CoverTreeError) {
    // As in the formula, so that both are of the same angles.
    let (latitude, longitude) = (Double(point[0]) * radians, Double(point[1]) * radians)
    let unit = parameters.isInDegrees ? "degrees" : "radians"
    let turn = parameters.isInDegrees ? 360 : 2 * Double.pi
    guard abs(Double(point[0])) <= turn / 4 else {
      throw CoverTreeError(
        .invalidArgument, "\(name)[\(index), 0]: expected a latitude of at most \(turn / 4) \(unit), got \(point[0])")
    }
    guard abs(Double(point[1])) <= turn else {
      throw CoverTreeError(
        .invalidArgument, "\(name)[\(index), 1]: expected a longitude of at most \(turn) \(unit), got \(point[1])")
    }
    row[0] = S(cos(latitude) * cos(longitude))
    row[1] = S(cos(latitude) * sin(longitude))
    row[2] = S(sin(latitude))
  }

  private func fillDirection<S: Scalar>(
    _ point: UnsafePointer<S>, _ row: UnsafeMutablePointer<S>, _ name: String, _ index: Int
  ) throws(CoverTreeError) {
    // Relative to the largest coordinate, so that no square underflows.
    var largest = 0.0
    for d in 0..<dim { largest = max(largest, abs(Double(point[d]))) }
    var square = 0.0
    for d in 0..<dim {
      let x = Double(point[d]) / largest
      square += x * x
    }
    guard square.isFinite else {
      throw CoverTreeError(.invalidArgument, "\(name)[\(index)]: expected a vector of a length above 0")
    }
    let length = square.squareRoot()
    for d in 0..<dim { row[d] = S(Double(point[d]) / largest / length) }
  }

  private func fillQuadratic<S: Scalar>(_ point: UnsafePointer<S>, _ row: UnsafeMutablePointer<S>) {
    for column in 0..<dim {
      var sum = 0.0
      for d in column..<dim { sum += factor[d * dim + column] * (Double(point[d]) - parameters.origins[d]) }
      row[column] = S(sum)
    }
  }
}
