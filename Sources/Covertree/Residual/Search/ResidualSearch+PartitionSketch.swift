import CovertreeBase

/// Bounds |rho| with any of many points without access to these: by a few *pivots* among them, and the largest residual norm of a point's
/// unit vector outside their span. As in `LowRankBlock`, for any query
///
///     | rho_qj |  <=  | projection of u_q onto the span of the pivots |  +  e_j.
///
/// So a query skips another machine's points if they are not correlated with it.
extension ResidualSearch {
  /// The most candidates for the pivots of one partition sketch: all their correlations are in memory.
  private static let mostCandidates = 2048

  /// Blocks that share a sketch; empty without low-rank blocks.
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

  /// The number of sketches of all points; 0 if the residual process has too many degrees of freedom for any.
  public func partitionSketchCount(context: CallContext) throws(CoverTreeError) -> Int {
    try inBlocks(context).sketchedBlocks.count
  }

  /// - Parameter tolerance: of the residual norms of the blocks' pivots.
  /// - Returns: a model of the pivots alone, and the largest error.
  public func partitionSketch(
    _ group: Int, tolerance: Double, context: CallContext
  ) throws(CoverTreeError) -> (pivots: ResidualSearch, error: Double) {
    let blocked = try inBlocks(context)
    guard blocked === self else { return try blocked.partitionSketch(group, tolerance: tolerance, context: context) }
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
    let basis = try Basis(factorisation, PrincipalSubspace(factorisation.rank, of: factorisation.rank), model)
    let errors = try largestErrors(of: blocks, outside: basis, context)
    let pivots = try model.alone(factorisation.pivots, context: context)
    return (try ResidualSearch(pivots, since: monotonicSeconds(), context: context), errors)
  }

  private func largestErrors(
    of blocks: ArraySlice<LowRankBlock>, outside basis: Basis, _ context: CallContext
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

  /// A basis of the span of all points, as far as rounding allows.
  private static func basis(ofAll model: ResidualModel) throws(CoverTreeError) -> Basis {
    let factorisation = try PivotedCholesky(model)
    let positions = (0..<Int32(model.count)).map { $0 }
    try factorisation.run(positions, tolerance: 0x1p-20, mostPivots: positions.count)
    return try Basis(factorisation, PrincipalSubspace(factorisation.rank, of: factorisation.rank), model)
  }

  /// The norms of the projections of new points, given by features, onto the span of all points of the model, rounded up.
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
      for chunk in range {
        let first = chunk * size
        projector.load(min(size, points.count - first)) { new.point(first + $0, in: model) }
        try projector.forEachProjection(onto: basis) { (i, squaredLength, lost) in
          lengths[first + i] = min(1, (squaredLength + lost).squareRoot())
        }
      }
    }
  }
}

extension ResidualSearch {
  /// Bounds of |rho| of points of the model with any of the points of a partition sketch, one per row. Points of a block have coordinates
  /// in its basis, so one projection onto the sketch's basis serves all of them.
  ///
  /// - Parameter rows: dataset indices.
  public func bounds(
    of rows: StoredIndices, with pivots: ResidualSearch, error: Double, context: CallContext,
    bounds: UnsafeMutablePointer<Double>
  ) throws(CoverTreeError) {
    try check(rows, named: "rows")
    let numbers = try numbers(rows.elements)
    defer { withExtendedLifetime(numbers) {} }
    let rows = numbers?.elements ?? rows.elements
    let lowRankBlocks = try inBlocks(context).lowRankBlocks
    let basis = try pivots.spanned.get { () throws(CoverTreeError) in try Self.basis(ofAll: pivots.model) }
    guard let lowRankBlocks, basis.rank == pivots.model.count, pivots.model.rank == model.rank else {
      bounds.update(repeating: 1, count: rows.count)
      return
    }
    let bytes = try Buffer<UInt8>(count: model.count, filledWith: 255)
    let wanted = try Buffer<Bool>(count: model.blockCount, filledWith: false)
    for index in rows { wanted[Int(model.positionOfIndex[Int(index)]) / model.blockSize] = true }
    let bases = lowRankBlocks.blocks.map(\.basis) + [basis]
    let most = bases.reduce(0) { max($0, $1.paddedRank) }
    let makers = PerThread<BasisProductMaker>(count: context.threads)
    let products = PerThread<Buffer<Float>>(count: context.threads)
    try context.forEach(model.blockCount, grain: 1) { (range, slot) throws(CoverTreeError) in
      let maker = try makers.value(slot) { () throws(CoverTreeError) in try BasisProductMaker(model, bases) }
      let product = try products.value(slot) { () throws(CoverTreeError) in try Buffer(count: most * most) }
      for block in range where wanted[block] {
        let own = lowRankBlocks.blocks[block]
        try maker.make(own.basis, basis, into: product.base)
        maker.bound(
          own, by: BasisProduct(UnsafePointer(product.base), own.basis, basis, forward: true),
          plus: Float.roundedUp(error), into: bytes.base + own.positions.lowerBound)
      }
    }
    for (row, index) in rows.enumerated() {
      bounds[row] = Double(bytes[Int(model.positionOfIndex[Int(index)])]) / 255
    }
  }
}

extension Projector {
  /// The squared length of each projection, and a bound of its rounding.
  fileprivate func forEachProjection(
    onto basis: Basis, _ body: (_ point: Int, _ squaredLength: Double, _ lost: Double) -> Void
  ) throws(CoverTreeError) {
    let panels = (count + PanelView<Float>.panelRows - 1) / PanelView<Float>.panelRows
    let coordinates = try Buffer<Float>(count: panels * PanelView<Float>.panelRows * basis.paddedRank)
    let lengths = try Buffer<Double>(count: count)
    try project(onto: basis, into: coordinates.base, squaredLengths: lengths.base)
    for i in 0..<count { body(i, lengths[i], lost(i, basis)) }
  }
}
