import CovertreeBase

/// Points as the residual search sees them: coordinates, whitened features `V` and residual variances `p`.
///
/// Points are in the order of `BlockPartition`, by *position*. The residual covariance of two points is `k(x_i, x_j) - v_i . v_j`. Their
/// residual correlation is that over `sqrt(p_i p_j)`; see `ResidualSearch`.
///
/// Memory: `12 rank + 28 dim + 40` bytes a point.
final class ResidualModel: @unchecked Sendable {
  /// Residual variances are at least this share of the kernel's variance.
  static let relativeFloor = 1e-9
  /// The number of points between two polls of the caller.
  static let pointsPerPoll = 1024

  /// The unit of variances and features in this model.
  let unit: VarianceUnit
  let covariance: Covariance
  let count: Int
  let dim: Int
  /// The number of columns of `V`, and the same rounded up to a multiple of 8.
  let featureCount: Int
  let rank: Int
  let variance: Double
  let inducingFeatures: InducingFeatures?
  let blockSize: Int
  /// The time to arrange the points, and to compute their features.
  let orderSeconds: Double
  let featureSeconds: Double
  let inputs: ModelInputs
  /// Position to index, and back.
  let order: Buffer<Int32>
  let positionOfIndex: Buffer<Int32>
  /// Scaled, `count x dim`.
  let coordinates: Buffer<Double>
  var coordinatePanels: Panels<Double> { derived.coordinatePanels }
  /// `count x rank`.
  let features: Buffer<Double>
  /// The same over the square root of the variance, rounded to float32, in panels.
  var singleFeatures: Panels<Float> { derived.singleFeatures }
  let residualVariance: Buffer<Double>
  /// `1 / sqrt(residualVariance)`; whole vectors.
  var scale: Buffer<Double> { derived.scale }
  /// The same times the square root of the variance, rounded up, for bounds.
  var scaleAbove: Buffer<Float> { derived.scaleAbove }
  /// The median of each block.
  var typicalScale: Buffer<Double> { derived.typicalScale }
  var centred: CentredPoints { derived.centred }
  private let derived: Derived

  /// Whether `V` and `p` are the caller's.
  let hasGivenFeatures: Bool
  /// Whether the residual correlation is the kernel's own and falls with distance in space.
  var isSpatial: Bool { featureCount == 0 && !hasGivenFeatures && !covariance.isCallback }

  var blockCount: Int { (count + blockSize - 1) / blockSize }

  func positions(ofBlock block: Int) -> Range<Int> { block * blockSize..<min(count, (block + 1) * blockSize) }

  convenience init(
    _ points: PointsView<Double>, covariance: Covariance, source: FeatureSource, blockSize: Int, context: CallContext
  ) throws(CoverTreeError) {
    try covariance.check(dim: points.dim)
    let start = monotonicSeconds()
    let inputs = try ModelInputs(points, source, context: context)
    let points = inputs.view(dim: points.dim)
    let arranged = try ArrangedPoints(
      scaledCoordinates(points, covariance, context), count: points.count, dim: points.dim, blockSize: blockSize,
      context: context)
    let orderSeconds = monotonicSeconds() - start
    let diagonal = try kernelDiagonal(
      covariance, arranged.coordinates.base, count: points.count, dim: points.dim, context: context)
    let variance = diagonal.elements.max()!
    guard variance > 0, variance.isFinite else {
      throw CoverTreeError(.invalidArgument, "kernel: expected positive variances k(x, x), got \(variance)")
    }
    let unit = try VarianceUnit(forVariance: variance)
    if !unit.isOne {
      for index in 0..<diagonal.count { diagonal[index] = unit.scaled(diagonal[index]) }
    }
    let shared = Shared(
      unit: unit, covariance: covariance.scaled(unit), dim: points.dim, variance: unit.scaled(variance),
      blockSize: blockSize)
    let features: PointFeatures
    switch source {
    case .inducing(let given, let jitter):
      let inducing = try Self.inducingFeatures(inputs.inducingView(dim: given.dim), jitter, shared, context)
      features = try Self.features(inducing, arranged.coordinates.base, diagonal, shared, context: context)
    case .given(let v, let p, let givenDiagonal):
      features = try Self.given(v, p, givenDiagonal, diagonal, arranged, shared, context)
    }
    try self.init(shared, inputs, arranged, features, orderSeconds: orderSeconds, since: start, context: context)
  }

  /// The common properties of all models of the same process.
  struct Shared {
    let unit: VarianceUnit
    let covariance: Covariance
    let dim: Int
    let variance: Double
    let blockSize: Int
  }

  var shared: Shared {
    Shared(unit: unit, covariance: covariance, dim: dim, variance: variance, blockSize: blockSize)
  }

  init(
    _ shared: Shared, _ inputs: ModelInputs, _ arranged: ArrangedPoints, _ features: PointFeatures,
    orderSeconds: Double, since start: Double, context: CallContext
  ) throws(CoverTreeError) {
    (unit, covariance) = (shared.unit, shared.covariance)
    (dim, variance, blockSize) = (shared.dim, shared.variance, shared.blockSize)
    count = arranged.order.count
    self.inputs = inputs
    (order, positionOfIndex, coordinates) = (arranged.order, arranged.positionOfIndex, arranged.coordinates)
    (self.features, residualVariance, featureCount) = (features.rows, features.residualVariance, features.count)
    rank = (featureCount + 7) / 8 * 8
    (inducingFeatures, hasGivenFeatures) = (features.inducing, features.areGiven)
    derived = try Derived(
      coordinates, dim: dim, self.features, rank: rank, residualVariance, unit: variance.squareRoot(),
      blockSize: blockSize, context: context)
    self.orderSeconds = orderSeconds
    featureSeconds = monotonicSeconds() - start - orderSeconds
  }

  /// The factor of errors of estimates: `1 / sqrt(p)` of a residual variance relative to the kernel's. Below the floor it is infinite,
  /// because a correlation may count as 0 whatever its estimate.
  static func errorScale(_ p: Double) -> Double {
    p < relativeFloor * (1 - 0x1p-40) ? .infinity : 1 / p.squareRoot()
  }

  /// Data derived from the points, in the forms that bounds are computed from.
  private struct Derived {
    let coordinatePanels: Panels<Double>
    let singleFeatures: Panels<Float>
    let scale: Buffer<Double>
    let scaleAbove: Buffer<Float>
    let typicalScale: Buffer<Double>
    let centred: CentredPoints

    init(
      _ coordinates: Buffer<Double>, dim: Int, _ features: Buffer<Double>, rank: Int,
      _ residualVariance: Buffer<Double>, unit: Double, blockSize: Int, context: CallContext
    ) throws(CoverTreeError) {
      let count = residualVariance.count
      coordinatePanels = try Panels(rows: count, columns: dim)
      coordinatePanels.view.pack(count) { UnsafePointer(coordinates.base) + $0 * dim }
      singleFeatures = try Panels(rows: count, columns: rank)
      let (width, panels) = (PanelView<Float>.panelRows, singleFeatures.view)
      try context.forEach((count + width - 1) / width, grain: 8) { (range, _) throws(CoverTreeError) in
        for first in range.map({ $0 * width }) {
          panels.from(row: first).pack(min(width, count - first), times: 1 / unit) {
            UnsafePointer(features.base) + (first + $0) * rank
          }
        }
      }
      scale = try Buffer(count: (count + 15) / 16 * 16, filledWith: 0)
      scaleAbove = try Buffer(count: (count + 15) / 16 * 16, filledWith: 0)
      for position in 0..<count {
        scale[position] = 1 / residualVariance[position].squareRoot()
        scaleAbove[position] = Float.roundedUp(errorScale(residualVariance[position] / (unit * unit)))
      }
      centred = try CentredPoints(coordinates, dim: dim, residualVariance, unit: unit)
      typicalScale = try Buffer(count: (count + blockSize - 1) / blockSize)
      for block in 0..<typicalScale.count {
        let positions = block * blockSize..<min(count, (block + 1) * blockSize)
        typicalScale[block] = scale.elements[positions].sorted()[positions.count / 2]
      }
    }
  }

  /// `|u_j|^2`, the true residual variance over `p`: below 1 if the floor on `p` applies.
  func squaredLength(ofPosition position: Int) -> Double {
    let row = features.base + position * rank
    return (variance - dot(row, row, count: rank)) * (scale[position] * scale[position])
  }

  /// The same of any point.
  func squaredLength(of point: ExactQuery) -> Double {
    (variance - dot(point.features, point.features, count: rank)) / point.residualVariance
  }

  /// How near the middle of a block is to a point: larger if it is nearer. Only an estimate, to choose the first blocks.
  func nearness(ofBlock block: Int, to point: UnsafePointer<Double>) -> UInt32 {
    let positions = positions(ofBlock: block)
    let middle = coordinates.base + positions.lowerBound * dim
    var sum = 0.0
    for d in 0..<dim {
      let mean = (middle[d] + middle[(positions.count - 1) * dim + d] + middle[positions.count / 2 * dim + d]) / 3
      sum += (mean - point[d]) * (mean - point[d])
    }
    return ~Float(sum).bitPattern
  }

  /// Memory of the arrays.
  var byteCount: Int {
    [coordinates, features, residualVariance, scale, coordinatePanels.elements].reduce(0) { $0 + $1.byteCount }
      + inputs.points.byteCount + centred.byteCount + singleFeatures.elements.byteCount + order.byteCount
      + positionOfIndex.byteCount
  }
}
