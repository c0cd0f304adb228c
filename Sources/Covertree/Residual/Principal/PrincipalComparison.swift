import CovertreeBase

/// Compares a group of queries with a block by few principal directions, in float32. The points that this leaves, few of a block, are
/// compared exactly.
final class PrincipalComparison {
  private let model: ResidualModel
  private let principal: PrincipalFeatures
  private let correlations: SingleCorrelations
  private var group: QueryGroup!
  private let features: Panels<Float>
  private let row: Buffer<Double>
  /// Of each query: the remainder over `sqrt(p)`, and the rounding of an estimate over the other point's sigma.
  private let remainders: Buffer<Float>
  private let errors: Buffer<Float>
  /// Products of features of the group with one block.
  private let products: Buffer<Float>
  private let estimates: Buffer<Float>
  private let found: GrowableBuffer<Int32>
  /// The rounding of a product of features, relative to the lengths of the vectors over the square root of the variance.
  private let productError: Double

  init?(
    _ model: ResidualModel, _ principal: PrincipalFeatures?, _ correlations: SingleCorrelations?, groupSize: Int
  ) throws(CoverTreeError) {
    guard let principal, let correlations else { return nil }
    (self.model, self.principal, self.correlations) = (model, principal, correlations)
    features = try Panels(rows: groupSize, columns: principal.rank)
    row = try Buffer(count: principal.rank)
    remainders = try Buffer(count: groupSize)
    errors = try Buffer(count: groupSize)
    products = try Buffer(count: (groupSize + tileRows) * model.blockSize)
    estimates = try Buffer(count: model.blockSize)
    found = try GrowableBuffer()
    productError = Double(roundings(inProductOf: principal.rank) + 8) * 0x1p-24
  }

  /// - Parameter lengths: `|v_i| / sqrt(p_i)` of each query.
  func begin(_ group: QueryGroup, lengths: Buffer<Double>) {
    self.group = group
    for i in 0..<group.count {
      remainders[i] = principal.fill(group.queries[i].point, model, row, into: features.view.row(i))
      errors[i] = max(0x1p-80, .roundedUp(correlations.errors[i] + productError * lengths[i]))
    }
  }

  /// The error of rho of a query with a typical point of a block.
  func typicalError(_ i: Int, _ block: Int) -> Float {
    let scale = Float(model.typicalScale[block] * model.variance.squareRoot())
    return remainders[i] * principal.typicalRemainder[block] + errors[i] * scale
  }

  /// - Parameters:
  ///   - rows: the queries. `correlations` has multiplied their coordinates with the block.
  ///   - eligible: the number of points of the block that each query is compared with.
  ///   - columns: the most of them in the tile of queries that begins at a row.
  func compare(
    _ rows: [Int], _ positions: Range<Int>, _ eligible: Buffer<Int>, _ lists: [CandidateList],
    _ statistics: inout ResidualStatistics, columns: (_ row: Int) -> Int
  ) throws(CoverTreeError) {
    guard let first = rows.first, let last = rows.last else { return }
    multiply(
      features.view, rows: first..<last + 1, principal.features.view.from(row: positions.lowerBound),
      into: products.base, stride: model.blockSize, columns: columns)
    for i in rows {
      let (list, point) = (lists[i], group.queries[i].point)
      correlations.estimate(
        i, products.base + i * model.blockSize, positions, count: eligible[i], into: estimates.base)
      statistics.count(compared: eligible[i])
      found.removeAll()
      let errors = UnsafePointer(principal.remainders.base) + positions.lowerBound
      try list.scanRoughly(
        estimates.base, group.eligible(i, positions, eligible[i], model, errors: errors),
        within: EstimateErrors(fixed: 0x1p-80, share: remainders[i], factor: self.errors[i]), into: found)
      statistics.exact += found.count
      try list.appendExactly(found.elements, from: point, in: model)
    }
  }
}
