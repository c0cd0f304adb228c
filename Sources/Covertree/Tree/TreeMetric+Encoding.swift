import CovertreeBase
import CovertreeFiles

/// The section "metric": the exponent, the radius and whether angles are in degrees; a weight, a period and an origin for each coordinate;
/// and the inverse covariance, if the metric has one.
extension TreeMetric {
  private static let first = 3

  func numbers() throws(CoverTreeError) -> Buffer<Double> {
    let (given, dim) = (parameters, parameters.weights.count)
    let periods = given.periods.isEmpty ? Array(repeating: Double.infinity, count: dim) : given.periods
    let numbers = [given.exponent, given.radius, given.isInDegrees ? 1 : 0] + given.weights + periods + given.origins
    let all = numbers + given.inverseCovariance
    let buffer = try Buffer<Double>(count: all.count)
    for (position, number) in all.enumerated() { buffer[position] = number }
    return buffer
  }

  /// The metric of a file.
  convenience init(_ file: StoredFile, kind: Int64, dim: Int) throws(CoverTreeError) {
    guard let kind = Int32(exactly: kind).flatMap(MetricKind.init(rawValue:)) else {
      throw CoverTreeError(.unsupported, "metric: the file has metric \(kind), which this library does not know")
    }
    try file.verify("metric")
    let cells = kind == .mahalanobis ? dim * dim : 0
    let numbers: Buffer<Double> = try file.buffer("metric", rows: Self.first + 3 * dim + cells)
    func some(_ number: Int, _ count: Int) -> [Double] { (0..<count).map { numbers[Self.first + number * dim + $0] } }
    var parameters = MetricParameters()
    (parameters.exponent, parameters.radius, parameters.isInDegrees) = (numbers[0], numbers[1], numbers[2] == 1)
    (parameters.weights, parameters.periods, parameters.origins) = (some(0, dim), some(1, dim), some(2, dim))
    parameters.inverseCovariance = some(3, cells)
    guard kind.exponent ?? numbers[0] == numbers[0], some(2, dim).allSatisfy(\.isFinite) else {
      throw file.corrupt("section \"metric\" is out of range")
    }
    do throws(CoverTreeError) {
      try self.init(kind, dim: dim, parameters)
    } catch {
      throw error.kind == .outOfMemory ? error : file.corrupt("section \"metric\": \(error.message)")
    }
  }
}
