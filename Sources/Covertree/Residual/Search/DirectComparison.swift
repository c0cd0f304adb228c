import CNumerics
import CovertreeBase

/// Compares a group of queries with a block by the products of their features: by few principal directions if these suffice, in float32 if
/// that is precise enough, and otherwise in float64. It serves queries without low-rank blocks, or for which these are too coarse.
final class DirectComparison {
  private let model: ResidualModel
  private let correlations: SingleCorrelations?
  private let byDirections: PrincipalComparison?
  private let relevant: RelevantFeatures?
  private let single: FeatureProducts<Float>
  private let double: FeatureProducts<Double>
  private let covariances: Buffer<Double>
  private let estimates: Buffer<Float>
  private let noErrors: Buffer<Float>
  private let eligible: Buffer<Int>
  /// The most of them in each tile of queries.
  private let mostOfTile: Buffer<Int>
  /// `|v_i| / sqrt(p_i)` of each query.
  private let lengths: Buffer<Double>
  /// The largest relative error of a covariance of the kernel above 2^-100: rounding of the squared distance changes it at most by its
  /// logarithm.
  private let kernelError: Double
  private var group: QueryGroup!

  /// - Parameters:
  ///   - principal: nil if few directions do not suffice.
  ///   - decayBounds: nil if the domain is narrow.
  init(
    _ model: ResidualModel, _ principal: PrincipalFeatures?, _ decayBounds: DecayBounds?, groupSize: Int
  ) throws(CoverTreeError) {
    self.model = model
    relevant = try RelevantFeatures(decayBounds)
    correlations = try SingleCorrelations(model, groupSize: groupSize)
    byDirections = try PrincipalComparison(model, principal, correlations, groupSize: groupSize)
    mostOfTile = try Buffer(count: groupSize / tileRows + 1)
    kernelError = Double(model.dim + 8) * 0x1p-46
    lengths = try Buffer(count: groupSize)
    single = try FeatureProducts(model, groupSize: groupSize)
    double = try FeatureProducts(model, groupSize: groupSize)
    covariances = try Buffer(count: model.blockSize * (model.covariance.isCallback ? groupSize : 1))
    estimates = try Buffer(count: model.blockSize)
    noErrors = try Buffer(count: model.blockSize, filledWith: 0)
    eligible = try Buffer(count: groupSize)
  }

  func begin(_ group: QueryGroup) {
    self.group = group
    for i in 0..<group.count {
      let point = group.queries[i].point
      let squared = dot(point.features, point.features, count: model.rank) / model.variance
      let scale = ResidualModel.errorScale(point.residualVariance / model.variance)
      // The caller's features may be longer than the variance allows, by less than this factor.
      lengths[i] = scale == .infinity ? scale : 1.001 * squared.squareRoot() * scale
    }
    relevant?.begin(group)
    correlations?.begin(group)
    byDirections?.begin(group, lengths: lengths)
    single.begin(group)
    double.begin(group)
  }

  func compare(
    _ block: Int, _ active: QueryMask, _ lists: [CandidateList], _ statistics: inout ResidualStatistics
  ) throws(CoverTreeError) {
    let positions = model.positions(ofBlock: block)
    let indices = UnsafePointer(model.order.base) + positions.lowerBound
    var most = 0
    for i in 0..<group.count {
      eligible[i] = active.contains(i) ? lowerBound(of: group.queries[i].before, in: indices, positions.count) : 0
      most = max(most, eligible[i])
    }
    guard most > 0 else { return }
    if case .callback(let callback) = model.covariance { try fillByCallback(callback, positions, most) }
    if let relevant {
      let least = (0..<group.count).reduce(1) { eligible[$1] > 0 ? min($0, lists[$1].leastUseful) : $0 }
      relevant.choose(block, least: least)
    }
    let rows = divided(block, lists)
    try compareInSingle(rows.rough, rows.single, block, lists, &statistics)
    try compare(single, rows.mixed, block, lists, &statistics)
    try compare(double, rows.double, block, lists, &statistics)
    // Few directions suffice only if thresholds are high.
    if byDirections != nil {
      for i in 0..<group.count where eligible[i] > 0 { try lists[i].tighten() }
    }
  }

  /// Divides the queries by the precision that they need. An error is small enough if it is so for most points of the block.
  private func divided(_ block: Int, _ lists: [CandidateList]) -> QueriesByPrecision {
    var rows = QueriesByPrecision()
    let typical = model.typicalScale[block] * model.variance.squareRoot()
    for i in 0..<group.count where eligible[i] > 0 {
      let useful = lists[i].largestUsefulError
      let product = single.error * min(typical * lengths[i], crossing)
      if let byDirections, byDirections.typicalError(i, block) <= lists[i].largestRoughError {
        rows.rough.append(i)
      } else if let correlations, product + typical * correlations.errors[i] < useful {
        rows.single.append(i)
      } else if product < useful {
        rows.mixed.append(i)
      } else {
        rows.double.append(i)
      }
    }
    return rows
  }

  /// Compares queries whose correlations of the kernel are computed in float32.
  private func compareInSingle(
    _ rough: [Int], _ rows: [Int], _ block: Int, _ lists: [CandidateList], _ statistics: inout ResidualStatistics
  ) throws(CoverTreeError) {
    guard let correlations, !rough.isEmpty || !rows.isEmpty else { return }
    let positions = model.positions(ofBlock: block)
    let last = max(rough.last ?? 0, rows.last ?? 0)
    for tile in 0...last / tileRows { mostOfTile[tile] = 0 }
    for i in rough + rows { mostOfTile[i / tileRows] = max(mostOfTile[i / tileRows], eligible[i]) }
    let columns = { [mostOfTile] (row: Int) in mostOfTile[row / tileRows] }
    correlations.multiply(0..<last + 1, positions, columns: columns)
    try byDirections?.compare(rough, positions, eligible, lists, &statistics, columns: columns)
    guard !rows.isEmpty else { return }
    single.multiply(rows, positions, eligible, relevant?.columns)
    for i in rows {
      correlations.estimate(i, single.row(i), positions, count: eligible[i], into: estimates.base)
      var errors = errors(i, block, single.error, plus: correlations.errors[i])
      errors.share = 1
      statistics.count(compared: eligible[i])
      let unknown = UnsafePointer(model.centred.unknown.base) + positions.lowerBound
      try scan(i, block, errors, own: unknown, lists[i])
    }
  }

  /// Adds the points of a block that can matter to a query, by its estimates.
  ///
  /// - Parameter own: errors of the points of the block, for the share of `errors`.
  private func scan(
    _ i: Int, _ block: Int, _ errors: EstimateErrors, own: UnsafePointer<Float>, _ list: CandidateList,
    covariances: UnsafePointer<Double>? = nil
  ) throws(CoverTreeError) {
    let points = group.eligible(i, model.positions(ofBlock: block), eligible[i], model, errors: own)
    try list.scan(estimates.base, points, within: errors, covariances: covariances)
  }

  private var crossing: Double { relevant?.crossing ?? .infinity }

  /// Bounds of the rounding of estimates.
  ///
  /// - Parameters:
  ///   - error: of a product of features, relative to the lengths of the vectors.
  ///   - factor: of the errors that grow with the other point's sigma.
  private func errors(_ i: Int, _ block: Int, _ error: Double, plus factor: Double = 0) -> EstimateErrors {
    let (known, leftOut) = (error + kernelError, 0x1p-80 + (relevant?.leftOut ?? 0))
    if crossing < lengths[i] * model.typicalScale[block] * model.variance.squareRoot() {
      return EstimateErrors(fixed: leftOut + .roundedUp(known * crossing), factor: max(0x1p-80, .roundedUp(factor)))
    }
    return EstimateErrors(fixed: leftOut, factor: max(0x1p-80, .roundedUp(known * lengths[i] + factor)))
  }

  /// Compares some queries, each with the first points of the block that count for it.
  private func compare<S: Scalar>(
    _ products: FeatureProducts<S>, _ rows: [Int], _ block: Int, _ lists: [CandidateList],
    _ statistics: inout ResidualStatistics
  ) throws(CoverTreeError) {
    guard !rows.isEmpty else { return }
    let positions = model.positions(ofBlock: block)
    products.multiply(rows, positions, eligible, relevant?.columns)
    let panels = model.coordinatePanels.view.from(row: positions.lowerBound)
    for i in rows {
      let (count, point) = (eligible[i], group.queries[i].point)
      var row = covariances.base
      switch model.covariance {
      case .kernel(let kernel): kernel.fill(point.coordinates, panels, count: count, into: row)
      case .callback: row += i * model.blockSize
      }
      let scale = 1 / point.residualVariance.squareRoot()
      products.estimate(i, row, positions, count: count, scale: scale, into: estimates.base)
      statistics.count(compared: count)
      try scan(
        i, block, errors(i, block, products.error), own: noErrors.base, lists[i],
        covariances: model.covariance.isCallback ? UnsafePointer(row) : nil)
    }
  }

  /// The caller's kernel fills one block with the covariances of all queries and the first points of the block.
  private func fillByCallback(_ callback: CallbackKernel, _ positions: Range<Int>, _ most: Int) throws(CoverTreeError) {
    let dim = model.dim
    let rows = try Buffer<Double>(count: group.count * dim)
    for i in 0..<group.count { (rows.base + i * dim).update(from: group.queries[i].point.coordinates, count: dim) }
    let block = try Buffer<Double>(count: group.count * most)
    try callback.fill(rows.base, group.count, model.coordinates.base + positions.lowerBound * dim, most, block.base)
    for i in 0..<group.count {
      (covariances.base + i * model.blockSize).update(from: block.base + i * most, count: most)
    }
  }
}

/// Queries by the precision of their comparison with a block, each in ascending order.
private struct QueriesByPrecision {
  /// By few directions, in float32.
  var rough: [Int] = []
  /// In float32.
  var single: [Int] = []
  /// Features in float32, the kernel in float64.
  var mixed: [Int] = []
  var double: [Int] = []
}
