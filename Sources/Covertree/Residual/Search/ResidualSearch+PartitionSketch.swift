import CovertreeBase

/// What tells how large |rho| can be with any of many points, without these: a few *pivots* among them, and the largest length
/// that a point's unit vector has beside their span. As in `LowRankBlock`, for any query
///
///     | rho_qj |  <=  | projection of u_q onto the span of the pivots |  +  e_j.
///
/// So points that lie on another machine are left alone by queries that have nothing to do with them.
extension ResidualSearch {
  /// Candidates for the pivots of one partition sketch: their correlations are held at once.
  private static let mostCandidates = 2048

  /// Blocks that are sketched together; none where there are no low-rank blocks.
  private var sketchedBlocks: [Range<Int>] {
    var groups: [Range<Int>] = []
    var (first, candidates) = (0, 0)
    for (block, lowRankBlock) in (lowRankBlocks?.blocks ?? []).enumerated() {
      if candidates + lowRankBlock.rank > Self.mostCandidates {
        groups.append(first..<block)
        (first, candidates) = (block, 0)
      }
      candidates += lowRankBlock.rank
    }
    if candidates > 0 { groups.append(first..<lowRankBlocks!.blocks.count) }
    return groups
  }

  /// How many partition sketches make one of all points; 0 where the residual process has too many degrees of freedom for any.
  public var partitionSketchCount: Int { sketchedBlocks.count }

  /// - Parameter tolerance: what the span of the pivots may leave of those of the blocks.
  /// - Returns: a model of the pivots alone, and the largest error.
  public func partitionSketch(
    _ group: Int, tolerance: Double, context: CallContext
  ) throws(CoverTreeError) -> (pivots: ResidualSearch, error: Double) {
    let groups = sketchedBlocks
    guard groups.indices.contains(group) else {
      throw CoverTreeError(.invalidArgument, "group: expected 0 to \(groups.count - 1), got \(group)")
    }
    guard tolerance > 0, tolerance < 1 else {
      throw CoverTreeError(.invalidArgument, "tau: expected above 0 and below 1, got \(tolerance)")
    }
    let blocks = lowRankBlocks!.blocks[groups[group]]
    let candidates = blocks.flatMap(\.basis.pivots)
    let factorisation = try PivotedCholesky(model)
    try factorisation.run(candidates, tolerance: tolerance, mostPivots: candidates.count)
    let basis = try Basis(factorisation, model)
    let errors = try largestErrors(of: blocks, beside: basis, context)
    return (try ResidualSearch(of: factorisation.pivots, model, context), errors)
  }

  private func largestErrors(
    of blocks: ArraySlice<LowRankBlock>, beside basis: Basis, _ context: CallContext
  ) throws(CoverTreeError) -> Double {
    let projectors = PerThread<Projector>(count: context.threads)
    let largest = try Buffer<Double>(count: blocks.count, filledWith: 0)
    try context.forEach(blocks.count, grain: 1) { (range, slot) throws(CoverTreeError) in
      let projector = try projectors.value(slot) { () throws(CoverTreeError) in
        try Projector(model, most: model.blockSize)
      }
      for block in range {
        let positions = blocks[blocks.startIndex + block].positions
        projector.load(positions)
        try projector.forEachProjection(onto: basis) { (i, squaredLength, lost) in
          let left = model.squaredLength(ofPosition: positions.lowerBound + i) - squaredLength + lost
          largest[block] = max(largest[block], max(0, left).squareRoot())
        }
      }
    }
    return largest.elements.max() ?? 0
  }

  /// Some points of a model, with what is known of them.
  private convenience init(of positions: [Int32], _ model: ResidualModel, _ context: CallContext) throws(CoverTreeError)
  {
    try self.init(model.alone(positions, context: context), since: monotonicSeconds(), context: context)
  }

  /// A basis of the span of all points, as far as rounding allows.
  private static func basis(ofAll model: ResidualModel) throws(CoverTreeError) -> Basis {
    let factorisation = try PivotedCholesky(model)
    let positions = (0..<Int32(model.count)).map { $0 }
    try factorisation.run(positions, tolerance: 0x1p-20, mostPivots: positions.count)
    return try Basis(factorisation, model)
  }

  /// How much of the unit vectors of new points, which are known by their features, lies in the span of all points of the
  /// model: lengths, rounded up.
  public func projections(
    of points: PointsView<Double>, features: PointsView<Double>, residualVariance: UnsafePointer<Double>,
    context: CallContext, lengths: UnsafeMutablePointer<Double>
  ) throws(CoverTreeError) {
    let new = try model.newPoints(points, features, residualVariance, context: context)
    let basis = try spanned.get { () throws(CoverTreeError) in try Self.basis(ofAll: model) }
    guard basis.rank == model.count else {
      lengths.update(repeating: 1, count: points.count)
      return
    }
    let projectors = PerThread<Projector>(count: context.threads)
    let size = 256
    try context.forEach((points.count + size - 1) / size, grain: 1) { (range, slot) throws(CoverTreeError) in
      let projector = try projectors.value(slot) { () throws(CoverTreeError) in try Projector(model, most: size) }
      for part in range {
        let first = part * size
        projector.load(new, first..<min(points.count, first + size))
        try projector.forEachProjection(onto: basis) { (i, squaredLength, lost) in
          lengths[first + i] = min(1, (squaredLength + lost).squareRoot())
        }
      }
    }
  }
}

extension ResidualSearch {
  /// Bounds of |rho| of points of the model with any of the points of a partition sketch, one for each row. Points of a block have
  /// coordinates in its basis already; projecting that onto the partition sketch's serves all of them.
  ///
  /// - Parameter rows: dataset indices.
  public func bounds(
    of rows: StoredIndices, beside pivots: ResidualSearch, error: Double, context: CallContext,
    bounds: UnsafeMutablePointer<Double>
  ) throws(CoverTreeError) {
    try rows.check(below: model.count, named: "rows")
    let basis = try pivots.spanned.get { () throws(CoverTreeError) in try Self.basis(ofAll: pivots.model) }
    guard let lowRankBlocks, basis.rank == pivots.model.count, pivots.model.rank == model.rank else {
      bounds.update(repeating: 1, count: rows.elements.count)
      return
    }
    let bytes = try Buffer<UInt8>(count: model.count, filledWith: 255)
    let wanted = try Buffer<Bool>(count: model.blockCount, filledWith: false)
    for index in rows.elements { wanted[Int(model.positionOfIndex[Int(index)]) / model.blockSize] = true }
    let most = lowRankBlocks.blocks.reduce(basis.paddedRank) { max($0, $1.paddedRank) }
    let makers = PerThread<BasisProductMaker>(count: context.threads)
    let products = PerThread<Buffer<Float>>(count: context.threads)
    try context.forEach(model.blockCount, grain: 1) { (range, slot) throws(CoverTreeError) in
      let maker = try makers.value(slot) { () throws(CoverTreeError) in try BasisProductMaker(model, most: most) }
      let product = try products.value(slot) { () throws(CoverTreeError) in try Buffer(count: most * most) }
      for block in range where wanted[block] {
        let own = lowRankBlocks.blocks[block]
        try maker.make(own.basis, basis, into: product.base)
        maker.bound(
          own, by: BasisProduct(UnsafePointer(product.base), own.basis, basis, forward: true),
          plus: Float.roundedUp(error), into: bytes.base + own.positions.lowerBound)
      }
    }
    for (row, index) in rows.elements.enumerated() {
      bounds[row] = Double(bytes[Int(model.positionOfIndex[Int(index)])]) / 255
    }
  }
}

extension Projector {
  /// The squared length of each projection, and what rounding may have taken from it or added to it.
  fileprivate func forEachProjection(
    onto basis: Basis, _ body: (_ point: Int, _ squaredLength: Double, _ lost: Double) -> Void
  ) throws(CoverTreeError) {
    let panels = (count + PanelView<Float>.panelRows - 1) / PanelView<Float>.panelRows
    let coordinates = try Buffer<Float>(count: panels * PanelView<Float>.panelRows * basis.paddedRank)
    let lengths = try Buffer<Double>(count: count)
    try project(onto: basis, into: coordinates.base, squaredLengths: lengths.base)
    let largestScale = basis.scales.elements.max() ?? 0
    for i in 0..<count { body(i, lengths[i], lost(i, beside: largestScale)) }
  }
}
