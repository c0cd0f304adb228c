import CovertreeBase

/// Points as the residual search sees them: coordinates, whitened features `V` and residual variances `p`.
///
/// Everything stands in the order of `BlockOrder`, by *position*. The residual covariance of two points is
/// `k(x_i, x_j) - v_i . v_j`, their residual correlation that over `sqrt(p_i p_j)`; see `ResidualSearch`.
///
/// Memory: `12 rank + 24 dim + 28` bytes a point.
final class ResidualModel: @unchecked Sendable {
  /// Residual variances are at least this much of the variance.
  static let relativeFloor = 1e-9
  /// The largest variance that features may explain, relative to the variance of the kernel. Rounding adds far less, and float32
  /// overflows far above it.
  private static let mostExplained = 0x1p40
  /// Given residual variances are at least this much of the variance.
  private static let leastGiven = 0x1p-500
  /// The caller is asked after so many points whether to go on.
  private static let pointsPerPoll = 1024
  /// How far given residual variances may be from `k_ii - |v_i|^2`.
  private static let tolerance = 1e-3

  /// The unit of variances and features in this model.
  let unit: VarianceUnit
  let covariance: Covariance
  let count: Int
  let dim: Int
  /// Columns of `V` as they were given or built, and filled up to a multiple of 8.
  let featureCount: Int
  let rank: Int
  let variance: Double
  let inducingFeatures: InducingFeatures?
  let blockSize: Int
  /// What arranging the points took, and their features.
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
    switch source {
    case .inducing(let given, let jitter):
      let inducing = inputs.inducingView(dim: given.dim)
      let inducingFeatures = try Self.inducingFeatures(inducing, jitter, shared, context)
      let (features, p) = try Self.features(
        inducingFeatures, arranged.coordinates.base, diagonal, shared, context: context)
      try self.init(
        shared, inputs, arranged, features: features, residualVariance: p, featureCount: inducing.count,
        inducingFeatures: inducingFeatures,
        hasGivenFeatures: false, orderSeconds: orderSeconds, since: start, context: context)
    case .given(let v, let p, let givenDiagonal):
      let (features, variances) = try Self.given(v, p, givenDiagonal, diagonal, arranged, shared, context)
      try self.init(
        shared, inputs, arranged, features: features, residualVariance: variances, featureCount: v.dim,
        inducingFeatures: nil,
        hasGivenFeatures: true, orderSeconds: orderSeconds, since: start, context: context)
    }
  }

  /// The same points and more, whose indices follow; features that are known are kept.
  func extended(by points: PointsView<Double>, context: CallContext) throws(CoverTreeError) -> ResidualModel {
    guard points.dim == dim else {
      throw CoverTreeError(.shape, "points: expected \(dim) columns, got \(points.dim)")
    }
    guard !hasGivenFeatures else {
      throw CoverTreeError(.unsupported, "points: the features of new ones are unknown where v_matrix is the caller's")
    }
    let total = count + points.count
    guard total < Int(Int32.max) else {
      throw CoverTreeError(.invalidArgument, "points: there would be \(total) of them, at most 2^31 - 2 are possible")
    }
    let start = monotonicSeconds()
    let inputs = try inputs.extended(by: points, context: context)
    let points = inputs.view(from: count, dim: dim)
    let new = try scaledCoordinates(points, shared.covariance, context)
    let diagonal = try kernelDiagonal(covariance, new.base, count: points.count, dim: dim, context: context)
    let (newFeatures, newVariances) = try Self.features(inducingFeatures, new.base, diagonal, shared, context: context)
    let scaled = try Buffer<Double>(count: total * dim)
    for position in 0..<count {
      (scaled.base + Int(order[position]) * dim).update(from: coordinates.base + position * dim, count: dim)
    }
    (scaled.base + count * dim).update(from: new.base, count: new.count)
    let orderStart = monotonicSeconds()
    let arranged = try ArrangedPoints(scaled, count: total, dim: dim, blockSize: blockSize, context: context)
    let orderSeconds = monotonicSeconds() - orderStart
    let allFeatures = try Buffer<Double>(count: total * rank)
    let allVariances = try Buffer<Double>(count: total)
    for position in 0..<total {
      if position % Self.pointsPerPoll == 0 { try context.poll() }
      let index = Int(arranged.order[position])
      let known = index < count
      let row = known ? Int(positionOfIndex[index]) : index - count
      (allFeatures.base + position * rank).update(
        from: (known ? features : newFeatures).base + row * rank, count: rank)
      allVariances[position] = known ? residualVariance[row] : newVariances[row]
    }
    return try ResidualModel(
      shared, inputs, arranged, features: allFeatures,
      residualVariance: allVariances, featureCount: featureCount,
      inducingFeatures: inducingFeatures, hasGivenFeatures: false, orderSeconds: orderSeconds, since: start,
      context: context)
  }

  /// Other points of the same process.
  func over(_ points: PointsView<Double>, context: CallContext) throws(CoverTreeError) -> ResidualModel {
    guard points.dim == dim else {
      throw CoverTreeError(.shape, "points: expected \(dim) columns, got \(points.dim)")
    }
    guard !hasGivenFeatures else {
      throw CoverTreeError(.unsupported, "points: the features of new ones are unknown where v_matrix is the caller's")
    }
    let start = monotonicSeconds()
    let inputs = try inputs.over(points, context: context)
    let points = inputs.view(dim: dim)
    let arranged = try ArrangedPoints(
      scaledCoordinates(points, covariance, context), count: points.count, dim: dim, blockSize: blockSize,
      context: context)
    let orderSeconds = monotonicSeconds() - start
    let diagonal = try kernelDiagonal(
      covariance, arranged.coordinates.base, count: points.count, dim: dim, context: context)
    let (features, p) = try features(of: arranged.coordinates, diagonal, context: context)
    return try ResidualModel(
      shared, inputs, arranged, features: features, residualVariance: p,
      featureCount: featureCount, inducingFeatures: inducingFeatures, hasGivenFeatures: false,
      orderSeconds: orderSeconds,
      since: start, context: context)
  }

  /// Some points, with the features that they have.
  func alone(_ positions: [Int32], context: CallContext) throws(CoverTreeError) -> ResidualModel {
    let (scaled, features) = (
      try Buffer<Double>(count: positions.count * dim), try Buffer<Double>(count: positions.count * rank)
    )
    let variances = try Buffer<Double>(count: positions.count)
    for (row, position) in positions.enumerated() {
      (scaled.base + row * dim).update(from: coordinates.base + Int(position) * dim, count: dim)
      (features.base + row * rank).update(from: self.features.base + Int(position) * rank, count: rank)
      variances[row] = residualVariance[Int(position)]
    }
    return try ResidualModel(
      shared, inputs.alone(positions.map { order[Int($0)] }, dim: dim),
      ArrangedPoints(asTheyAre: scaled, count: positions.count),
      features: features, residualVariance: variances, featureCount: featureCount, inducingFeatures: nil,
      hasGivenFeatures: true, orderSeconds: 0, since: monotonicSeconds(), context: context)
  }

  /// Features and residual variances of scaled points, `diagonal` their variances.
  func features(
    of scaled: Buffer<Double>, _ diagonal: Buffer<Double>, context: CallContext
  ) throws(CoverTreeError) -> (features: Buffer<Double>, residualVariance: Buffer<Double>) {
    try Self.features(inducingFeatures, scaled.base, diagonal, shared, context: context)
  }

  /// The first points by index, in blocks or in the order of their indices.
  func first(_ count: Int, inBlocks: Bool, context: CallContext) throws(CoverTreeError) -> ResidualModel {
    let start = monotonicSeconds()
    let scaled = try Buffer<Double>(count: count * dim)
    for index in 0..<count {
      (scaled.base + index * dim).update(from: coordinates.base + Int(positionOfIndex[index]) * dim, count: dim)
    }
    let arranged =
      inBlocks
      ? try ArrangedPoints(scaled, count: count, dim: dim, blockSize: blockSize, context: context)
      : try ArrangedPoints(asTheyAre: scaled, count: count)
    let orderSeconds = monotonicSeconds() - start
    let features = try Buffer<Double>(count: count * rank)
    let residualVariance = try Buffer<Double>(count: count)
    for position in 0..<count {
      if position % Self.pointsPerPoll == 0 { try context.poll() }
      let row = Int(positionOfIndex[Int(arranged.order[position])])
      (features.base + position * rank).update(from: self.features.base + row * rank, count: rank)
      residualVariance[position] = self.residualVariance[row]
    }
    return try ResidualModel(
      shared, inputs, arranged, features: features, residualVariance: residualVariance, featureCount: featureCount,
      inducingFeatures: inducingFeatures, hasGivenFeatures: hasGivenFeatures, orderSeconds: orderSeconds, since: start,
      context: context)
  }

  /// What all models of the same process have in common.
  struct Shared {
    let unit: VarianceUnit
    let covariance: Covariance
    let dim: Int
    let variance: Double
    let blockSize: Int
  }

  private var shared: Shared {
    Shared(unit: unit, covariance: covariance, dim: dim, variance: variance, blockSize: blockSize)
  }

  init(
    _ shared: Shared, _ inputs: ModelInputs, _ arranged: ArrangedPoints, features: Buffer<Double>,
    residualVariance: Buffer<Double>,
    featureCount: Int, inducingFeatures: InducingFeatures?, hasGivenFeatures: Bool, orderSeconds: Double,
    since start: Double,
    context: CallContext
  ) throws(CoverTreeError) {
    (unit, covariance) = (shared.unit, shared.covariance)
    (dim, variance, blockSize) = (shared.dim, shared.variance, shared.blockSize)
    count = arranged.order.count
    self.inputs = inputs
    (order, positionOfIndex, coordinates) = (arranged.order, arranged.positionOfIndex, arranged.coordinates)
    self.features = features
    self.residualVariance = residualVariance
    self.featureCount = featureCount
    rank = (featureCount + 7) / 8 * 8
    self.inducingFeatures = inducingFeatures
    self.hasGivenFeatures = hasGivenFeatures
    derived = try Derived(
      coordinates, dim: dim, features, rank: rank, residualVariance, unit: variance.squareRoot(),
      blockSize: blockSize, context: context)
    self.orderSeconds = orderSeconds
    featureSeconds = monotonicSeconds() - start - orderSeconds
  }

  private static func inducingFeatures(
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

  /// Features and residual variances of points, `diagonal` their variances.
  private static func features(
    _ inducingFeatures: InducingFeatures?, _ points: UnsafePointer<Double>, _ diagonal: Buffer<Double>,
    _ shared: Shared,
    context: CallContext
  ) throws(CoverTreeError) -> (features: Buffer<Double>, residualVariance: Buffer<Double>) {
    let count = diagonal.count
    let features = try Buffer<Double>(count: count * (inducingFeatures?.rank ?? 0))
    let p = try Buffer<Double>(count: count, filledWith: 0)
    try inducingFeatures?.fill(points, count: count, features: features.base, squaredNorms: p.base, context: context)
    for i in 0..<count {
      // Features explain no more than the variance of a point, but for rounding.
      guard p[i] <= mostExplained * shared.variance else {
        throw CoverTreeError(
          .invalidArgument,
          "kernel: is not positive definite, or its covariances overflow: by those with the inducing points the variance of a "
            + "point would be \(shared.unit.unscaled(p[i])) at least, it is \(shared.unit.unscaled(diagonal[i]))")
      }
      p[i] = max(diagonal[i] - p[i], relativeFloor * shared.variance)
    }
    return (features, p)
  }

  /// The caller's features and residual variances, by position.
  private static func given(
    _ v: AnyPoints, _ p: UnsafePointer<Double>, _ givenDiagonal: UnsafePointer<Double>?, _ diagonal: Buffer<Double>,
    _ arranged: ArrangedPoints, _ shared: Shared, _ context: CallContext
  ) throws(CoverTreeError) -> (features: Buffer<Double>, residualVariance: Buffer<Double>) {
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
    return (features, variances)
  }

  /// Throws where a residual variance is not what its features leave of the kernel's.
  func check(
    _ p: Double, against diagonal: Double, minus norm: Double, index: Int
  ) throws(CoverTreeError) {
    try Self.check(p, against: diagonal, minus: norm, precision: Double.ulpOfOne, index: index, shared)
  }

  private static func check(
    _ p: Double, against diagonal: Double, minus norm: Double, precision: Double, index: Int, _ shared: Shared
  ) throws(CoverTreeError) {
    let floor = relativeFloor * shared.variance
    guard p > 0, p.isFinite else {
      throw CoverTreeError(.invalidArgument, "p_diag[\(index)]: expected a finite number above 0, got \(p)")
    }
    guard diagonal > 0, diagonal.isFinite else {
      throw CoverTreeError(.invalidArgument, "kernel_diag[\(index)]: expected a finite number above 0, got \(diagonal)")
    }
    // Products of two larger or smaller numbers would overflow or vanish.
    let most = mostExplained * shared.variance
    for (name, value) in [("kernel_diag", diagonal), ("v_matrix", norm)] where !(value <= most) {
      throw CoverTreeError(
        .invalidArgument,
        "\(name)[\(index)]: \(shared.unit.unscaled(value)) \(name == "v_matrix" ? "as its squared length " : "")is more than "
          + "2^40 times the kernel's variance \(shared.unit.unscaled(shared.variance))")
    }
    guard p >= leastGiven * shared.variance else {
      throw CoverTreeError(
        .invalidArgument,
        "p_diag[\(index)]: \(shared.unit.unscaled(p)) is less than 2^-500 times the kernel's variance "
          + "\(shared.unit.unscaled(shared.variance))")
    }
    let left = max(diagonal - norm, floor)
    // What rounding of the features to their type may have cost comes on top.
    let allowed = tolerance * p + 8 * precision * diagonal
    guard p <= floor || (left - p).magnitude <= allowed else {
      let (given, own, lost) = (shared.unit.unscaled(p), shared.unit.unscaled(diagonal), shared.unit.unscaled(norm))
      throw CoverTreeError(
        .invalidArgument,
        "p_diag[\(index)]: \(given) contradicts v_matrix and the kernel, by which it is k_ii - |v_i|^2 = "
          + "\(own) - \(lost) = \(own - lost)")
    }
  }

  /// What errors of estimates are multiplied by, `1 / sqrt(p)` of a residual variance relative to the variance. Below the
  /// floor a correlation may count as 0, whatever its estimate: no error is large enough.
  static func errorScale(_ p: Double) -> Double {
    p < relativeFloor * (1 - 0x1p-40) ? .infinity : 1 / p.squareRoot()
  }

  /// What follows from the points, in the forms that bounds are computed from.
  private struct Derived {
    let coordinatePanels: Panels<Double>
    let singleFeatures: Panels<Float>
    let scale: Buffer<Double>
    let scaleAbove: Buffer<Float>
    let typicalScale: Buffer<Double>

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
      typicalScale = try Buffer(count: (count + blockSize - 1) / blockSize)
      for block in 0..<typicalScale.count {
        let positions = block * blockSize..<min(count, (block + 1) * blockSize)
        typicalScale[block] = scale.elements[positions].sorted()[positions.count / 2]
      }
    }
  }

  /// `|u_j|^2`, the true residual variance over `p`: below 1 where the floor on `p` acts.
  func squaredLength(ofPosition position: Int) -> Double {
    let row = features.base + position * rank
    return (variance - dot(row, row, count: rank)) * (scale[position] * scale[position])
  }

  /// How near the middle of a block is to a point: larger where it is nearer. Only a guess at what to look at first.
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

  /// Memory that the arrays take.
  var byteCount: Int {
    [coordinates, features, residualVariance, scale, coordinatePanels.elements].reduce(0) { $0 + $1.byteCount }
      + inputs.points.byteCount + singleFeatures.elements.byteCount + order.byteCount + positionOfIndex.byteCount
  }
}
