import CovertreeBase

/// Low-rank blocks in a few arrays, for storage, export and files. All blocks but the last have equally many points, in the order of
/// positions.
final class LowRankArrays: @unchecked Sendable {
  /// The number of points of each low-rank block.
  let pointsEach: Int
  let pointCount: Int
  /// Low-rank block `s` has the pivots `pivotOffsets[s]..<pivotOffsets[s + 1]`.
  let pivotOffsets: Buffer<Int64>
  /// The positions of the pivots.
  let pivots: Buffer<Int32>
  /// The start and end of the coordinates of each low-rank block's points; see `Panels`, with padded ranks as columns.
  let coefficientOffsets: Buffer<Int64>
  let coefficients: Buffer<Float>
  /// The residual norm of each point, by position; whole vectors.
  let remainingNorms: Buffer<Float>

  var count: Int { pivotOffsets.count - 1 }

  func positions(of lowRankBlock: Int) -> Range<Int> {
    lowRankBlock * pointsEach..<min(pointCount, (lowRankBlock + 1) * pointsEach)
  }

  func rank(of lowRankBlock: Int) -> Int { Int(pivotOffsets[lowRankBlock + 1] - pivotOffsets[lowRankBlock]) }

  /// Copies the data of low-rank blocks; see `lowRankBlock`.
  init(_ lowRankBlocks: [LowRankBlock], pointsEach: Int, pointCount: Int, context: CallContext) throws(CoverTreeError) {
    (self.pointsEach, self.pointCount) = (pointsEach, pointCount)
    pivotOffsets = try Buffer(count: lowRankBlocks.count + 1)
    pivotOffsets[0] = 0
    for (s, lowRankBlock) in lowRankBlocks.enumerated() {
      pivotOffsets[s + 1] = pivotOffsets[s] + Int64(lowRankBlock.rank)
    }
    pivots = try Buffer(count: Int(pivotOffsets[lowRankBlocks.count]))
    coefficientOffsets = try Self.coefficientOffsets(pivotOffsets, pointsEach: pointsEach, pointCount: pointCount)
    coefficients = try Buffer(count: Int(coefficientOffsets[lowRankBlocks.count]))
    remainingNorms = try Buffer(count: (pointCount + 15) / 16 * 16, filledWith: 0)
    try context.forEach(lowRankBlocks.count, grain: 16) { (range, _) throws(CoverTreeError) in
      for s in range {
        let lowRankBlock = lowRankBlocks[s]
        for (k, pivot) in lowRankBlock.basis.pivots.enumerated() { pivots[Int(pivotOffsets[s]) + k] = pivot }
        let elements = lowRankBlock.coordinates.elements
        (coefficients.base + Int(coefficientOffsets[s])).update(from: elements.base, count: elements.count)
        (remainingNorms.base + s * pointsEach).update(
          from: lowRankBlock.residualNorms.base, count: lowRankBlock.residualNorms.count)
      }
    }
  }

  /// Arrays from a file, to be checked by `isConsistent`.
  init(
    pointsEach: Int, pointCount: Int, pivotOffsets: Buffer<Int64>, pivots: Buffer<Int32>, coefficients: Buffer<Float>,
    remainingNorms: Buffer<Float>
  ) throws(CoverTreeError) {
    (self.pointsEach, self.pointCount, self.pivotOffsets) = (pointsEach, pointCount, pivotOffsets)
    (self.pivots, self.coefficients, self.remainingNorms) = (pivots, coefficients, remainingNorms)
    coefficientOffsets = try Self.coefficientOffsets(pivotOffsets, pointsEach: pointsEach, pointCount: pointCount)
  }

  private static func coefficientOffsets(
    _ pivotOffsets: Buffer<Int64>, pointsEach: Int, pointCount: Int
  ) throws(CoverTreeError) -> Buffer<Int64> {
    let offsets = try Buffer<Int64>(count: pivotOffsets.count)
    offsets[0] = 0
    let width = PanelView<Float>.panelRows
    for s in 0..<offsets.count - 1 {
      let points = min(pointsEach, pointCount - s * pointsEach)
      // Ranks in a damaged file may be anything.
      let rank = max(0, min(Int(pivotOffsets[s + 1] &- pivotOffsets[s]), points))
      let columns = (rank + tileRows - 1) / tileRows * tileRows
      offsets[s + 1] = offsets[s] + Int64((points + width - 1) / width * width * columns)
    }
    return offsets
  }

  /// Whether offsets and pivots are in range.
  var isConsistent: Bool {
    guard pivotOffsets[0] == 0, pivotOffsets[count] == Int64(pivots.count),
      coefficientOffsets[count] == Int64(coefficients.count), remainingNorms.count == (pointCount + 15) / 16 * 16
    else { return false }
    return (0..<count).allSatisfy { s in
      let (first, end, positions) = (pivotOffsets[s], pivotOffsets[s + 1], positions(of: s))
      guard first <= end, end - first <= Int64(positions.count), end <= Int64(pivots.count) else { return false }
      return (Int(first)..<Int(end)).allSatisfy { positions.contains(Int(pivots[$0])) }
    }
  }

  /// A low-rank block on these arrays.
  func lowRankBlock(_ s: Int, _ basis: Basis) -> LowRankBlock {
    let positions = positions(of: s)
    let elements = coefficients.slice(Int(coefficientOffsets[s])..<Int(coefficientOffsets[s + 1]))
    let end = positions.lowerBound + (positions.count + 15) / 16 * 16
    return LowRankBlock(
      positions, basis, Panels(elements, columns: basis.paddedRank), remainingNorms.slice(positions.lowerBound..<end))
  }

  /// The start and end of each factor of the pivots' residual correlations in an array of all of them.
  private func factorOffsets() throws(CoverTreeError) -> Buffer<Int> {
    let offsets = try Buffer<Int>(count: count + 1)
    offsets[0] = 0
    for s in 0..<count { offsets[s + 1] = offsets[s] + CholeskyFactor.stripElements(rank(of: s)) }
    return offsets
  }

  /// The factors of low-rank blocks in one array.
  func factors(of lowRankBlocks: [LowRankBlock]) throws(CoverTreeError) -> Buffer<Double> {
    let offsets = try factorOffsets()
    let factors = try Buffer<Double>(count: offsets[count])
    for (s, lowRankBlock) in lowRankBlocks.enumerated() {
      let strips = lowRankBlock.basis.factor.strips
      (factors.base + offsets[s]).update(from: strips.base, count: strips.count)
    }
    return factors
  }

  /// All low-rank blocks, with bases computed from pivots and factors. Returns nil if the number of factors is wrong.
  func lowRankBlocks(
    _ factors: Buffer<Double>, _ model: ResidualModel, context: CallContext
  ) throws(CoverTreeError) -> [LowRankBlock]? {
    let offsets = try factorOffsets()
    guard offsets[count] == factors.count else { return nil }
    return try context.makeAll(count) { (s, _) throws(CoverTreeError) in
      let own = pivots.elements[Int(pivotOffsets[s])..<Int(pivotOffsets[s + 1])]
      let factor = CholeskyFactor(count: own.count, strips: factors.slice(offsets[s]..<offsets[s + 1]))
      return lowRankBlock(s, try Basis(Array(own), factor, model))
    }
  }
}
