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
/// Points are stored in blocks of near ones, so that the points of a set are near in memory: a *position* is a place there, a *rank* a
/// place in the order of the approximation, a *row* a place in the caller's arrays. Memory: `V`, and a few numbers for each point and each
/// member of a set.
public final class VIFModel: @unchecked Sendable {
  /// What a model is made from.
  public struct Inputs {
    public var points: PointsView<Double>
    public var kernel: Kernel
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

    public init(
      points: PointsView<Double>, kernel: Kernel, noise: UnsafeBufferPointer<Double>, inducing: PointsView<Double>,
      jitter: Double,
      order: UnsafeBufferPointer<Int64>?, offsets: UnsafeBufferPointer<Int64>, neighbors: UnsafeBufferPointer<Int64>
    ) {
      (self.points, self.kernel, self.noise, self.inducing) = (points, kernel, noise, inducing)
      (self.jitter, self.order, self.offsets, self.neighbors) = (jitter, order, offsets, neighbors)
    }
  }

  private static let blockSize = 256

  let count: Int
  let dim: Int
  let kernel: Kernel
  /// By position, as given, and divided by the lengthscale.
  let points: Buffer<Double>
  let coordinates: Buffer<Double>
  /// Noise variances by position.
  let noise: Buffer<Double>
  let positionOfRow: Buffer<Int32>
  let rowOfPosition: Buffer<Int32>
  let positionOfRank: Buffer<Int32>
  let graph: ConditioningGraph
  let inducingPoints: Buffer<Double>
  private let wantedJitter: Double
  let inducing: InducingFeatures?
  /// `V`, by position, `count x rank`; `rank` is the number of inducing points, rounded up to whole tiles.
  let features: Buffer<Double>
  let rank: Int

  public init(_ inputs: Inputs, context: CallContext) throws(CoverTreeError) {
    let (points, kernel) = (inputs.points, inputs.kernel)
    (count, dim, self.kernel) = (points.count, points.dim, kernel)
    try Self.check(kernel, dim: dim)
    context.stage(from: 0, to: 0.1)
    // Everything is made from a copy, which is checked: another thread may write to the caller's array.
    let own = try Buffer<Double>(count: count * dim)
    for row in 0..<count { (own.base + row * dim).update(from: points.row(row), count: dim) }
    let copy = PointsView(own, count: count, dim: dim)
    try copy.checkCoordinates(named: "points", context: context)
    let scaled = try scaledCoordinates(copy, .kernel(kernel), context)
    let arranged = try ArrangedPoints(
      scaled, count: count, dim: dim, blockSize: Self.blockSize, context: context)
    (coordinates, rowOfPosition, positionOfRow) = (arranged.coordinates, arranged.order, arranged.positionOfIndex)
    positionOfRank = try Self.positions(inputs.order, positionOfRow)
    noise = try Self.noise(inputs.noise, rowOfPosition)
    graph = try ConditioningGraph(
      offsets: inputs.offsets, ranks: inputs.neighbors, positionOfRank: positionOfRank)
    context.stage(from: 0.1, to: 1)
    self.points = try Buffer(count: count * dim)
    for position in 0..<count {
      (self.points.base + position * dim).update(from: copy.row(Int(rowOfPosition[position])), count: dim)
    }
    try inputs.inducing.checkCoordinates(named: "inducing_points", context: context)
    inducingPoints = try Buffer(count: inputs.inducing.count * dim)
    for row in 0..<inputs.inducing.count {
      (inducingPoints.base + row * dim).update(from: inputs.inducing.row(row), count: dim)
    }
    wantedJitter = inputs.jitter
    (inducing, features, rank) = try Self.features(inducingPoints, wantedJitter, kernel, coordinates, dim, context)
  }

  /// The same points, sets and inducing points with other hyperparameters.
  public init(
    _ model: VIFModel, kernel: Kernel, noise: UnsafeBufferPointer<Double>, context: CallContext
  ) throws(CoverTreeError) {
    (count, dim, self.kernel, graph) = (model.count, model.dim, kernel, model.graph)
    try Self.check(kernel, dim: dim)
    (points, inducingPoints) = (model.points, model.inducingPoints)
    (positionOfRow, rowOfPosition, positionOfRank) = (model.positionOfRow, model.rowOfPosition, model.positionOfRank)
    coordinates = try scaledCoordinates(PointsView(points, count: count, dim: dim), .kernel(kernel), context)
    self.noise = try Self.noise(noise, rowOfPosition)
    wantedJitter = model.wantedJitter
    (inducing, features, rank) = try Self.features(inducingPoints, wantedJitter, kernel, coordinates, dim, context)
  }

  private static func positions(
    _ order: UnsafeBufferPointer<Int64>?, _ positionOfRow: Buffer<Int32>
  ) throws(CoverTreeError) -> Buffer<Int32> {
    let count = positionOfRow.count
    let positions = try Buffer<Int32>(count: count)
    guard let order else {
      positions.base.update(from: positionOfRow.base, count: count)
      return positions
    }
    guard order.count == count else {
      throw CoverTreeError(.shape, "order: expected \(count) rows, one for each point, got \(order.count)")
    }
    let isUsed = try Buffer<Bool>(count: count, filledWith: false)
    for rank in 0..<count {
      guard (0..<Int64(count)).contains(order[rank]), !isUsed[Int(order[rank])] else {
        throw CoverTreeError(
          .invalidArgument, "order: expected every row from 0 to \(count - 1) once, got \(order[rank])")
      }
      isUsed[Int(order[rank])] = true
      positions[rank] = positionOfRow[Int(order[rank])]
    }
    return positions
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

  private static func check(_ kernel: Kernel, dim: Int) throws(CoverTreeError) {
    try kernel.check(dim: dim)
    guard kernel.variance >= 1 / largestVariance, kernel.variance <= largestVariance else {
      throw CoverTreeError(.invalidArgument, "variance: expected 2^-400 to 2^400, got \(kernel.variance)")
    }
  }

  private static func features(
    _ points: Buffer<Double>, _ jitter: Double, _ kernel: Kernel, _ coordinates: Buffer<Double>, _ dim: Int,
    _ context: CallContext
  ) throws(CoverTreeError) -> (InducingFeatures?, Buffer<Double>, rank: Int) {
    let (count, inducingCount) = (coordinates.count / dim, points.count / dim)
    guard inducingCount > 0 else { return (nil, try Buffer(count: 0), 0) }
    let covariance = Covariance.kernel(kernel)
    let inducing = try InducingFeatures(
      scaledCoordinates(PointsView(points, count: inducingCount, dim: dim), covariance, context), count: inducingCount,
      dim: dim, covariance: covariance, variance: kernel.variance, jitter: jitter, context: context)
    let features = try Buffer<Double>(count: count * inducing.rank)
    let norms = try Buffer<Double>(count: count)
    try inducing.fill(
      coordinates.base, count: count, features: features.base, squaredNorms: norms.base, context: context)
    return (inducing, features, inducing.rank)
  }

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
  /// Noise, variance and lengthscales.
  public var parameterCount: Int { 2 + kernel.lengthscale.count }
  /// The jitter that was added, relative to the variance.
  public var jitter: Double { inducing?.jitter ?? 0 }
  public var byteCount: Int {
    2 * coordinates.byteCount + noise.byteCount + 3 * positionOfRow.byteCount + graph.byteCount + features.byteCount
  }
}
