import CovertreeBase
import Glibc

/// The metrics of a tree.
public enum MetricKind: Int32, Sendable {
  case euclidean = 0
  case manhattan = 1
  case chebyshev = 2
  case minkowski = 3
  /// Of latitudes and longitudes.
  case haversine = 4
  /// 1 - cosine.
  case cosine = 5
  /// The angle between vectors, in radians.
  case angular = 6
  case mahalanobis = 7

  /// The exponent of the norm; nil if the caller gives it.
  var exponent: Double? {
    switch self {
    case .manhattan: 1
    case .chebyshev: .infinity
    case .minkowski: nil
    case .euclidean, .haversine, .cosine, .angular, .mahalanobis: 2
    }
  }

  /// Whether it is a norm of the differences of coordinates, with weights and periods. Others are searched by Euclidean distance between
  /// other coordinates.
  var isNorm: Bool { rawValue <= MetricKind.minkowski.rawValue }
}

/// The parameters of a metric.
public struct MetricParameters: Sendable {
  /// Of Minkowski distance, from 1 to infinity.
  public var exponent = 2.0
  /// Of each coordinate; empty for 1.
  public var weights: [Double] = []
  /// Of each coordinate, infinite without one; empty if none has a period.
  public var periods: [Double] = []
  /// Of the sphere.
  public var radius = 1.0
  /// Whether latitudes and longitudes are in degrees.
  public var isInDegrees = false
  /// The inverse covariance of Mahalanobis distance, row-major.
  public var inverseCovariance: [Double] = []
  /// Of each coordinate: where the period of the points begins, or the centre of the first points.
  var origins: [Double] = []

  public init() {}
}

/// The metric of a tree. Plain Euclidean distance has none of these objects.
///
/// Norms: a score is the sum of `w |d|^p`, or for an infinite exponent the largest `w |d|`. Its terms have one rounding for each operation,
/// so equal differences have equal scores.
///
/// Other metrics are searched by Euclidean distance: a row of the tree has transformed coordinates, over which sums run, and then the
/// coordinates that the caller gave. A score is the square of the transformed distance, but decided by the metric's own formula.
public final class TreeMetric: @unchecked Sendable {
  public let kind: MetricKind
  /// With an entry for each coordinate, except for periods if there are none.
  public let parameters: MetricParameters
  /// Coordinates that the caller gives.
  let dim: Int
  /// Weights, periods, and the ends of the period of the points, in both types; see `MetricTerms`.
  let doubles: Buffer<Double>
  let floats: Buffer<Float>
  /// The lower Cholesky factor of the inverse covariance, row-major, and the matrix; empty for other metrics.
  let factor: Buffer<Double>

  var exponent: Double { parameters.exponent }
  /// Of a norm.
  var term: MetricTerms.Term { MetricTerms.Term(exponent: exponent) }
  /// Whether points may be in float32. Transformed coordinates need float64.
  var isInFloat32: Bool { kind.isNorm }
  var isPeriodic: Bool { !parameters.periods.isEmpty }

  /// The first coordinates of a row of the tree, over which sums run.
  var summed: Int { kind == .haversine ? 3 : dim }
  /// The coordinates of a row of the tree.
  var rowLength: Int { kind.isNorm ? dim : summed + dim }
  /// The first of the caller's coordinates in a row.
  var firstGiven: Int { rowLength - dim }
  /// The coordinates of a row on which scores depend.
  var deciding: [Int] {
    switch kind {
    case .euclidean, .manhattan, .chebyshev, .minkowski: (0..<dim).filter { parameters.weights[$0] > 0 }
    case .cosine, .angular: Array(0..<summed)
    case .haversine, .mahalanobis: Array(firstGiven..<rowLength)
    }
  }

  public init(_ kind: MetricKind, dim: Int, _ given: MetricParameters) throws(CoverTreeError) {
    (self.kind, self.dim) = (kind, dim)
    var parameters = given
    if let exponent = kind.exponent { parameters.exponent = exponent }
    if given.weights.isEmpty { parameters.weights = Array(repeating: 1, count: dim) }
    if given.periods.allSatisfy({ $0 == .infinity }) { parameters.periods = [] }
    if given.origins.isEmpty { parameters.origins = Array(repeating: 0, count: dim) }
    self.parameters = parameters
    try parameters.check(kind, dim: dim)
    doubles = try Buffer(count: 4 * dim)
    floats = try Buffer(count: 4 * dim)
    factor = try kind == .mahalanobis ? Self.factor(parameters.inverseCovariance, dim) : Buffer(count: 0)
    for d in 0..<dim {
      // A power is of the weighted difference, so that a weight of 0 times a power that overflows is 0.
      doubles[d] = term == .power ? pow(parameters.weights[d], 1 / exponent) : parameters.weights[d]
      doubles[dim + d] = isPeriodic ? parameters.periods[d] : .infinity
      (doubles[2 * dim + d], doubles[3 * dim + d]) = parameters.ends(ofPeriod: d)
      for column in 0..<4 { floats[column * dim + d] = Float(doubles[column * dim + d]) }
    }
  }

  /// The lower Cholesky factor of a matrix, and then the matrix.
  private static func factor(_ matrix: [Double], _ dim: Int) throws(CoverTreeError) -> Buffer<Double> {
    let factor = try Buffer<Double>(count: 2 * dim * dim, filledWith: 0)
    for cell in 0..<dim * dim { factor[dim * dim + cell] = matrix[cell] }
    guard
      let lower = try CholeskyFactor(
        UnsafePointer(factor.base) + dim * dim, count: dim, stride: dim, added: 0, context: CallContext())
    else {
      throw CoverTreeError(.invalidArgument, "inverse_covariance: expected a positive definite matrix")
    }
    for row in 0..<dim {
      for column in 0...row { factor[row * dim + column] = lower[row, column] }
    }
    return factor
  }
}

extension MetricParameters {
  /// The ends of the period of the points, moved inwards by more than what coordinates in float32 lose by rounding.
  fileprivate func ends(ofPeriod d: Int) -> (start: Double, end: Double) {
    guard !periods.isEmpty, periods[d] < .infinity else { return (-.infinity, .infinity) }
    let margin = periods[d] * 0x1p-20
    return (origins[d] + margin, origins[d] + periods[d] - margin)
  }

  /// Numbers of this range are as precise in float32 as in float64.
  private static let range = 0x1p-100...0x1p100

  fileprivate func check(_ kind: MetricKind, dim: Int) throws(CoverTreeError) {
    guard exponent >= 1 else {
      throw CoverTreeError(.invalidArgument, "exponent: expected a number from 1 up, got \(exponent)")
    }
    guard weights.count == dim, periods.isEmpty || periods.count == dim, origins.count == dim else {
      throw CoverTreeError(.shape, "weights, periods: expected \(dim) numbers, got \(weights.count), \(periods.count)")
    }
    for (d, weight) in weights.enumerated() where !(weight == 0 || Self.range.contains(weight)) {
      throw CoverTreeError(.invalidArgument, "weights[\(d)]: expected 0, or 2^-100 to 2^100, got \(weight)")
    }
    guard weights.contains(where: { $0 > 0 }) else {
      throw CoverTreeError(.invalidArgument, "weights: expected one above 0")
    }
    for (d, period) in periods.enumerated() where !(period == .infinity || Self.range.contains(period)) {
      throw CoverTreeError(.invalidArgument, "periods[\(d)]: expected 2^-100 to 2^100, or infinity, got \(period)")
    }
    guard radius > 0, radius.isFinite else {
      throw CoverTreeError(.invalidArgument, "radius: expected a finite number above 0, got \(radius)")
    }
    guard kind.isNorm || weights.allSatisfy({ $0 == 1 }) && periods.isEmpty else {
      throw CoverTreeError(.invalidArgument, "weights, periods: expected only for norms of differences")
    }
    guard kind != .haversine || dim == 2 else {
      throw CoverTreeError(.shape, "points: expected 2 columns, a latitude and a longitude, got \(dim)")
    }
    try checkMatrix(kind, dim: dim)
  }

  private func checkMatrix(_ kind: MetricKind, dim: Int) throws(CoverTreeError) {
    guard kind == .mahalanobis else { return }
    guard inverseCovariance.count == dim * dim else {
      throw CoverTreeError(.shape, "inverse_covariance: expected \(dim * dim) numbers, got \(inverseCovariance.count)")
    }
    for row in 0..<dim {
      for column in 0..<row where inverseCovariance[row * dim + column] != inverseCovariance[column * dim + row] {
        throw CoverTreeError(
          .invalidArgument,
          "inverse_covariance: expected a symmetric matrix, got \(inverseCovariance[row * dim + column]) and "
            + "\(inverseCovariance[column * dim + row])")
      }
    }
  }
}

extension TreeMetric {
  var root: MetricRoot { MetricRoot(kind: kind, exponent: exponent, radius: parameters.radius) }

  /// The distance of a score.
  func distance(_ score: Double) -> Double { root.distance(score) }

  /// The score of a norm, up to rounding.
  func score(ofDistance distance: Double) -> Double {
    switch exponent {
    case 1, .infinity: distance
    case 2: distance * distance
    default: pow(distance, exponent)
    }
  }

  /// The largest score that is reported as a distance of at most this in a type, as `Scalar.largestScore` for Euclidean distance.
  func largestScore<S: Scalar>(withinDistance limit: Double, _: S.Type) -> Double {
    let limit = S.largestReported(within: limit)
    guard limit < .infinity else { return .infinity }
    // Numbers from 0 up are in the order of their bits.
    var (low, high) = (UInt64(0), Double.infinity.bitPattern)
    while high - low > 1 {
      let middle = low + (high - low) / 2
      if distance(Double(bitPattern: middle)) <= limit { low = middle } else { high = middle }
    }
    return Double(bitPattern: low)
  }

  /// An upper bound of the distance of two points, up to rounding, from the differences of their coordinates.
  func bound(_ difference: (Int) -> Double) -> Double {
    var sum = 0.0
    for d in 0..<dim {
      let (weight, apart) = (parameters.weights[d], abs(difference(d)))
      sum = exponent == .infinity ? max(sum, weight * apart) : sum + weight * score(ofDistance: apart)
    }
    return root.norm(sum)
  }

  /// The largest coordinate whose terms stay finite in float64, with room for a sum over dimensions.
  func coordinateLimit<S: Scalar>(_: S.Type) -> S {
    guard exponent > 1, exponent < .infinity else { return S(S.coordinateLimit) }
    let heaviest = parameters.weights.reduce(1, max)
    let most = exp2((1000 - log2(heaviest) - log2(Double(dim))) / exponent - 1)
    return S(min(most, S.coordinateLimit))
  }

  /// By coordinate of a row: the distance that a unit of it adds.
  var scales: [Double] {
    guard kind.isNorm else { return (0..<rowLength).map { $0 < summed ? 1 : 0 } }
    return parameters.weights.map { exponent == .infinity ? $0 : pow($0, 1 / exponent) }
  }
}
