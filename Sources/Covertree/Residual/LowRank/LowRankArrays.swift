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
  /// The number of vectors of each basis.
  let ranks: Buffer<Int64>
  /// The start and end of the coordinates of each low-rank block's points; see `Panels`, with padded ranks as columns.
  let coefficientOffsets: Buffer<Int64>
  let coefficients: Buffer<Float>
  /// The residual norm of each point, by position; whole vectors.
  let remainingNorms: Buffer<Float>

  var count: Int { pivotOffsets.count - 1 }

  func positions(of lowRankBlock: Int) -> Range<Int> {
    lowRankBlock * pointsEach..<min(pointCount, (lowRankBlock + 1) * pointsEach)
  }

  func pivots(of lowRankBlock: Int) -> Range<Int> {
    Int(pivotOffsets[lowRankBlock])..<Int(pivotOffsets[lowRankBlock + 1])
  }

  /// Copies the data of low-rank blocks; see `lowRankBlock`.
  init(_ lowRankBlocks: [LowRankBlock], pointsEach: Int, pointCount: Int, context: CallContext) throws(CoverTreeError) {
    (self.pointsEach, self.pointCount) = (pointsEach, pointCount)
    pivotOffsets = try Buffer(count: lowRankBlocks.count + 1)
    ranks = try Buffer(count: lowRankBlocks.count)
    pivotOffsets[0] = 0
    for (s, lowRankBlock) in lowRankBlocks.enumerated() {
      pivotOffsets[s + 1] = pivotOffsets[s] + Int64(lowRankBlock.basis.pivots.count)
      ranks[s] = Int64(lowRankBlock.rank)
    }
    pivots = try Buffer(count: Int(pivotOffsets[lowRankBlocks.count]))
    coefficientOffsets = try Self.coefficientOffsets(ranks, pointsEach: pointsEach, pointCount: pointCount)
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
    pointsEach: Int, pointCount: Int, pivotOffsets: Buffer<Int64>, pivots: Buffer<Int32>, ranks: Buffer<Int64>,
    coefficients: Buffer<Float>, remainingNorms: Buffer<Float>
  ) throws(CoverTreeError) {
    (self.pointsEach, self.pointCount, self.pivotOffsets) = (pointsEach, pointCount, pivotOffsets)
    (self.pivots, self.ranks, self.coefficients) = (pivots, ranks, coefficients)
    self.remainingNorms = remainingNorms
    coefficientOffsets = try Self.coefficientOffsets(ranks, pointsEach: pointsEach, pointCount: pointCount)
  }

  private static func coefficientOffsets(
    _ ranks: Buffer<Int64>, pointsEach: Int, pointCount: Int
  ) throws(CoverTreeError) -> Buffer<Int64> {
    let offsets = try Buffer<Int64>(count: ranks.count + 1)
    offsets[0] = 0
    let width = PanelView<Float>.panelRows
    for s in 0..<ranks.count {
      let points = min(pointsEach, pointCount - s * pointsEach)
      // Ranks in a damaged file may be anything.
      let rank = max(0, min(Int(ranks[s]), points))
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
      guard first <= end, end - first <= Int64(positions.count), end <= Int64(pivots.count),
        (0...end - first).contains(ranks[s])
      else { return false }
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

  /// The start and end of each basis' combinations in an array of all of them.
  private func combinationOffsets() throws(CoverTreeError) -> Buffer<Int> {
    let offsets = try Buffer<Int>(count: count + 1)
    offsets[0] = 0
    let width = PanelView<Double>.panelRows
    for s in 0..<count {
      let (rows, columns) = ((Int(ranks[s]) + width - 1) / width * width, Self.padded(pivots(of: s).count))
      offsets[s + 1] = offsets[s] + rows * columns
    }
    return offsets
  }

  private static func padded(_ count: Int) -> Int { (count + tileRows - 1) / tileRows * tileRows }

  /// The combinations of low-rank blocks in one array.
  func combinations(of lowRankBlocks: [LowRankBlock]) throws(CoverTreeError) -> Buffer<Double> {
    let offsets = try combinationOffsets()
    let all = try Buffer<Double>(count: offsets[count])
    for (s, lowRankBlock) in lowRankBlocks.enumerated() {
      let elements = lowRankBlock.basis.combinations.elements
      (all.base + offsets[s]).update(from: elements.base, count: elements.count)
    }
    return all
  }

  /// All low-rank blocks, with bases computed from pivots and combinations. Returns nil if the number of these is wrong.
  func lowRankBlocks(
    _ combinations: Buffer<Double>, _ model: ResidualModel, context: CallContext
  ) throws(CoverTreeError) -> [LowRankBlock]? {
    let offsets = try combinationOffsets()
    guard offsets[count] == combinations.count else { return nil }
    return try context.makeAll(count) { (s, _) throws(CoverTreeError) in
      let own = Array(pivots.elements[pivots(of: s)])
      let panels = Panels(combinations.slice(offsets[s]..<offsets[s + 1]), columns: Self.padded(own.count))
      return lowRankBlock(s, try Basis(own, rank: Int(ranks[s]), panels, model))
    }
  }
}
