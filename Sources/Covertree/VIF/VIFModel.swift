import CovertreeBase

/// A Gaussian process by the Vecchia-inducing-points full-scale approximation (VIF): inducing points explain the smooth part of the
/// covariance, and a Vecchia approximation the residual process.
///
/// `Sigma = V V^T + (B^T D^-1 B)^-1` is the covariance of the response. `V` has the inducing features, and `B` and `D` regress the residual
/// process of each point, with its noise, on its conditioning set. Without inducing points this is a Vecchia approximation, without
/// conditioning sets FITC, and with all predecessors in the sets the process itself.
///
/// Gyger, Furrer and Sigrist, "Vecchia-inducing-points full-scale approximations for Gaussian processes" (2025).
///
/// Memory: `V`, and a few numbers for each point and each member of a set.
public final class VIFModel: @unchecked Sendable {
  /// What a model is made from.
  public struct Inputs {
    public var points: PointsView<Double>
    public var covariance: Covariance
    /// Noise variances: one, or one for each row.
    public var noise: UnsafeBufferPointer<Double>
    public var inducing: PointsView<Double>
    /// Relative to the variance.
    public var jitter: Double
    /// The row of each rank; nil for the order of rows.
    public var order: UnsafeBufferPointer<Int64>?
    /// Of the conditioning set of each rank, in `neighbors`.
    public var offsets: UnsafeBufferPointer<Int64>
    /// Ranks.
    public var neighbors: UnsafeBufferPointer<Int64>
    /// The first rows: members of sets that have none themselves. See `VIFPart`.
    var haloCount = 0
    /// Of the rows, for errors; nil for the rows themselves.
    var names: UnsafeBufferPointer<Int64>?

    public init(
      points: PointsView<Double>, covariance: Covariance, noise: UnsafeBufferPointer<Double>,
      inducing: PointsView<Double>, jitter: Double, order: UnsafeBufferPointer<Int64>?,
      offsets: UnsafeBufferPointer<Int64>, neighbors: UnsafeBufferPointer<Int64>
    ) {
      (self.points, self.covariance, self.noise, self.inducing) = (points, covariance, noise, inducing)
      (self.jitter, self.order, self.offsets, self.neighbors) = (jitter, order, offsets, neighbors)
    }
  }

  let data: VIFPoints
  let covariance: Covariance
  /// Noise variances by position.
  let noise: Buffer<Double>
  /// By position, divided by the lengthscale.
  let coordinates: Buffer<Double>
  /// The first position of the largest variance `k(x, x)`, which the jitter is relative to.
  let widest: Int
  let inducing: InducingFeatures?
  /// `V`, by position, `count x rank`; `rank` is the number of inducing points, rounded up to whole tiles.
  let features: Buffer<Double>
  let rank: Int

  public convenience init(_ inputs: Inputs, context: CallContext) throws(CoverTreeError) {
    try inputs.covariance.check(dim: inputs.points.dim)
    let data = try VIFPoints(inputs, context: context)
    try self.init(data, inputs.covariance, inputs.noise, context: context)
  }

  /// The same points, sets and inducing points with other hyperparameters.
  public convenience init(
    _ model: VIFModel, covariance: Covariance, noise: UnsafeBufferPointer<Double>, context: CallContext
  ) throws(CoverTreeError) {
    try covariance.check(dim: model.dim)
    try self.init(model.data, covariance, noise, context: context)
  }

  /// - Parameter noise: by row.
  private init(
    _ data: VIFPoints, _ covariance: Covariance, _ noise: UnsafeBufferPointer<Double>, context: CallContext
  ) throws(CoverTreeError) {
    (self.data, self.covariance) = (data, covariance)
    coordinates = try scaledCoordinates(data.view, covariance, context)
    let variance: Double
    (variance, widest) = try Self.variance(covariance, coordinates, dim: data.dim, context)
    self.noise = try Self.noise(noise, data.rowOfPosition)
    guard data.inducingCount > 0 else {
      (inducing, features, rank) = (nil, try Buffer(count: 0), 0)
      return
    }
    let scaled = try scaledCoordinates(data.inducingView, covariance, context)
    let made = try InducingFeatures(
      scaled, count: data.inducingCount, dim: data.dim, covariance: covariance, variance: variance,
      jitter: data.jitter, context: context)
    (inducing, rank) = (made, made.rank)
    features = try data.memory.buffer(count: data.count * made.rank)
    let norms = try Buffer<Double>(count: data.count)
    try made.fill(
      coordinates.base, count: data.count, features: features.base, squaredNorms: norms.base, context: context)
  }

  /// What depends on the kernel and takes time.
  struct Known {
    let widest: Int
    let features: Buffer<Double>
    /// Of the inducing points; nil without any.
    let factor: CholeskyFactor?
    /// That was added.
    let jitter: Double
  }

  /// A known model.
  init(
    _ data: VIFPoints, _ covariance: Covariance, _ noise: UnsafeBufferPointer<Double>, _ known: Known,
    context: CallContext
  ) throws(CoverTreeError) {
    (self.data, self.covariance, widest, features) = (data, covariance, known.widest, known.features)
    coordinates = try scaledCoordinates(data.view, covariance, context)
    self.noise = try Self.noise(noise, data.rowOfPosition)
    rank = known.factor?.paddedCount ?? 0
    let scaled = try scaledCoordinates(data.inducingView, covariance, context)
    inducing = known.factor.map {
      InducingFeatures(inducing: scaled, dim: data.dim, covariance: covariance, jitter: known.jitter, factor: $0)
    }
  }

  private static func noise(
    _ given: UnsafeBufferPointer<Double>, _ rowOfPosition: Buffer<Int32>
  ) throws(CoverTreeError) -> Buffer<Double> {
    let count = rowOfPosition.count
    guard given.count == 1 || given.count == count else {
      throw CoverTreeError(.shape, "noise: expected one number or \(count), one for each point, got \(given.count)")
    }
    let noise = try Buffer<Double>(count: count)
    for position in 0..<count {
      let row = given.count == 1 ? 0 : Int(rowOfPosition[position])
      noise[position] = given[row]
      guard noise[position] >= 0, noise[position] <= largestVariance else {
        let name = given.count == 1 ? "noise" : "noise[\(row)]"
        throw CoverTreeError(
          .invalidArgument, "\(name): expected a finite number from 0 up, at most 2^400, got \(noise[position])")
      }
    }
    return noise
  }

  /// Products of two variances must not overflow.
  private static let largestVariance = 0x1p400

  /// The largest variance of a point, and the first position that has it.
  private static func variance(
    _ covariance: Covariance, _ coordinates: Buffer<Double>, dim: Int, _ context: CallContext
  ) throws(CoverTreeError) -> (Double, position: Int) {
    let diagonal = try kernelDiagonal(
      covariance, coordinates.base, count: coordinates.count / dim, dim: dim, context: context)
    var widest = 0
    for position in 0..<diagonal.count where diagonal[position] > diagonal[widest] { widest = position }
    let name =
      covariance.isCallback ? "kernel: expected variances k(x, x) of which the largest is" : "variance: expected"
    guard diagonal[widest] >= 1 / largestVariance, diagonal[widest] <= largestVariance else {
      throw CoverTreeError(.invalidArgument, "\(name) 2^-400 to 2^400, got \(diagonal[widest])")
    }
    return (diagonal[widest], widest)
  }

  var count: Int { data.count }
  /// The positions below it have rows of `B`, `D` and `W`; the others are a halo.
  var ownCount: Int { data.ownCount }
  var dim: Int { data.dim }
  var graph: ConditioningGraph { data.graph }
  var rowOfPosition: Buffer<Int32> { data.rowOfPosition }
  var positionOfRank: Buffer<Int32> { data.positionOfRank }

  /// The features of a position.
  @inline(__always)
  func features(_ position: Int) -> UnsafePointer<Double> { UnsafePointer(features.base) + position &* rank }

  /// Writes `V` by rank, without padding.
  public func copyFeatures(to target: UnsafeMutablePointer<Double>) {
    for number in 0..<count {
      (target + number * inducingCount).update(from: features(Int(positionOfRank[number])), count: inducingCount)
    }
  }

  public var pointCount: Int { count }
  public var dimension: Int { dim }
  public var inducingCount: Int { inducing?.count ?? 0 }
  public var neighborCount: Int { graph.members.count }
  /// Noise, and the kernel's parameters.
  public var parameterCount: Int { 1 + KernelGradient.parameterCount(of: covariance) }
  /// The jitter that was added, relative to the variance.
  public var jitter: Double { inducing?.jitter ?? 0 }
  public var byteCount: Int { data.byteCount + coordinates.byteCount + noise.byteCount + features.byteCount }
}
