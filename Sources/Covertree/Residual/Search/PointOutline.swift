import CovertreeBase

/// Bounds |rho| of a query with each of many points without access to these.
///
/// The length of a query's projection onto the span of some points is far above its correlation with any one of them, because it adds up what
/// the query has in common with all. So this outline has all points, as a low-rank block has them: the pivots of each block, and of each
/// point the coordinates `f_j` in the basis that Gram and Schmidt make of the pivots in their order, and the residual norm `e_j`. With the
/// coordinates `g` of a query's projection onto the basis,
///
///     | rho_qj |  <=  | g . f_j | + e_j,
///
/// and if the query is a point of another outline, with an error `e_q` of its own, `| rho_qj | <= | f_q^T B f_j | + e_q + e_j`, as for two
/// low-rank blocks. Points of a block are sorted by index, so that those before an index are a prefix.
///
/// Memory: for each pivot its features, and for each point 64 float32 numbers, an error and an index.
public final class PointOutline: @unchecked Sendable {
  /// The coordinates of a point: the most pivots of a block.
  public static let columns = 64
  /// The rounding of coordinates and sums in float32.
  static let rounding = Float(2 * columns + 16) * 0x1p-24

  /// A model of the pivots of all blocks, in their order.
  let model: ResidualModel
  public let count: Int
  /// By position.
  let indices: Buffer<Int64>
  /// Low-rank blocks on the pivots; nil for a block without pivots, whose points have only their errors.
  let blocks: [LowRankBlock?]
  /// The largest error of each block's points; 1 if rounding spoiled the basis.
  let largestErrors: [Float]

  /// The number of blocks of this many points.
  public static func blockCount(of count: Int, _ pivots: ResidualSearch) -> Int {
    (count + pivots.model.blockSize - 1) / pivots.model.blockSize
  }

  func positions(ofBlock block: Int) -> Range<Int> {
    block * model.blockSize..<min(count, (block + 1) * model.blockSize)
  }

  /// - Parameters:
  ///   - pivots, ranks, coordinates, errors: from `ResidualSearch.outline`.
  ///   - indices: of the points by position, ascending in each block.
  public init(
    pivots: ResidualSearch, ranks: UnsafeBufferPointer<Int64>, coordinates: UnsafeBufferPointer<Float>,
    errors: UnsafeBufferPointer<Float>, indices: UnsafeBufferPointer<Int64>
  ) throws(CoverTreeError) {
    let model = pivots.model
    (self.model, count) = (model, indices.count)
    self.indices = try Buffer(count: count)
    self.indices.base.update(from: indices.baseAddress!, count: count)
    try Self.check(model, ranks, coordinates, errors, indices)
    var blocks: [LowRankBlock?] = []
    var largestErrors: [Float] = []
    let known = try pivots.outlined.get { () throws(CoverTreeError) in try OutlineBases(model, Array(ranks)) }
    let bases = known.ranks.elementsEqual(ranks) ? known : try OutlineBases(model, Array(ranks))
    for (block, rank) in ranks.enumerated() {
      let positions = block * model.blockSize..<min(count, (block + 1) * model.blockSize)
      if let basis = bases.bases[block] {
        blocks.append(try Self.block(positions, basis, coordinates, errors))
        largestErrors.append(errors[positions].max()!)
      } else {
        blocks.append(nil)
        largestErrors.append(rank == 0 ? errors[positions].max()! : 1)
      }
    }
    (self.blocks, self.largestErrors) = (blocks, largestErrors)
  }

  private static func block(
    _ positions: Range<Int>, _ basis: Basis, _ coordinates: UnsafeBufferPointer<Float>,
    _ errors: UnsafeBufferPointer<Float>
  ) throws(CoverTreeError) -> LowRankBlock {
    let packed = try Panels<Float>(rows: positions.count, columns: basis.paddedRank)
    packed.elements.base.update(repeating: 0, count: packed.elements.count)
    let norms = try Buffer<Float>(count: (positions.count + 31) / 32 * 32, filledWith: 0)
    for (j, position) in positions.enumerated() {
      let row = packed.view.row(j)
      for a in 0..<basis.rank { row[a * PanelView<Float>.panelRows] = coordinates[position * columns + a] }
      norms[j] = errors[position]
    }
    return LowRankBlock(positions, basis, packed, norms)
  }

  private static func check(
    _ model: ResidualModel, _ ranks: UnsafeBufferPointer<Int64>, _ coordinates: UnsafeBufferPointer<Float>,
    _ errors: UnsafeBufferPointer<Float>, _ indices: UnsafeBufferPointer<Int64>
  ) throws(CoverTreeError) {
    var total = 0
    for (block, rank) in ranks.enumerated() {
      guard (0...Int64(columns)).contains(rank) else {
        throw CoverTreeError(.invalidArgument, "ranks[\(block)]: expected 0 to \(columns), got \(rank)")
      }
      total += Int(rank)
    }
    guard total == model.count else {
      throw CoverTreeError(.invalidArgument, "ranks: expected the sum \(model.count), the pivots, got \(total)")
    }
    for (position, error) in errors.enumerated() where !(error >= 0 && error <= 2) {
      throw CoverTreeError(.invalidArgument, "errors[\(position)]: expected 0 to 2, got \(error)")
    }
    for (element, value) in coordinates.enumerated() where !(value.magnitude <= 2) {
      throw CoverTreeError(
        .invalidArgument, "coordinates[\(element / columns), \(element % columns)]: expected -2 to 2, got \(value)")
    }
    for position in 1..<max(1, indices.count)
    where position % model.blockSize != 0 && indices[position] <= indices[position - 1] {
      throw CoverTreeError(
        .invalidArgument,
        "indices[\(position)]: expected above \(indices[position - 1]), the one before it, "
          + "got \(indices[position])")
    }
  }
}

/// The bases of the blocks of an outline.
final class OutlineBases: Sendable {
  let ranks: [Int64]
  /// nil without pivots, or if rounding spoiled the basis.
  let bases: [Basis?]

  /// - Parameters:
  ///   - model: of the pivots of all blocks, in their order.
  ///   - ranks: the pivots of each block.
  init(_ model: ResidualModel, _ ranks: [Int64]) throws(CoverTreeError) {
    let factorisation = try PivotedCholesky(model)
    var bases: [Basis?] = []
    var first = 0
    for rank in ranks {
      let pivots = (first..<first + Int(rank)).map { Int32($0) }
      first += pivots.count
      if !pivots.isEmpty {
        try factorisation.run(pivots, tolerance: 0, mostPivots: pivots.count, inOrder: true)
      }
      let isWhole = !pivots.isEmpty && factorisation.rank == pivots.count
      bases.append(
        isWhole ? try Basis(factorisation, PrincipalSubspace(pivots.count, of: pivots.count), model) : nil)
    }
    (self.ranks, self.bases) = (ranks, bases)
  }
}

extension ResidualSearch {
  /// The pivots of one block.
  private final class BlockPivots: Sendable {
    let positions: [Int32]
    init(_ positions: [Int32]) { self.positions = positions }
  }

  /// An outline of all points, by position: see `PointOutline`.
  ///
  /// - Parameters:
  ///   - tolerance: the largest norm that the pivots leave of a point, unless there are as many pivots as coordinates.
  ///   - ranks: of each block, the number of its pivots.
  ///   - coordinates: `count x columns`.
  /// - Returns: a model of the pivots, block by block.
  public func outline(
    tolerance: Double, context: CallContext, ranks: UnsafeMutablePointer<Int64>,
    coordinates: UnsafeMutablePointer<Float>, errors: UnsafeMutablePointer<Float>
  ) throws(CoverTreeError) -> ResidualSearch {
    guard removed == nil, datasetIndices == nil, !model.covariance.isCallback, !model.hasGivenFeatures else {
      throw CoverTreeError(
        .unsupported, "residual: an outline needs a kernel of the library, inducing points, and no removed points")
    }
    guard tolerance > 0, tolerance < 1 else {
      throw CoverTreeError(.invalidArgument, "tau: expected above 0 and below 1, got \(tolerance)")
    }
    let columns = PointOutline.columns
    coordinates.update(repeating: 0, count: model.count * columns)
    let factorisations = PerThread<PivotedCholesky>(count: context.threads)
    let made = try context.makeAll(model.blockCount) { (block, slot) throws(CoverTreeError) in
      let factorisation = try factorisations.value(slot) { () throws(CoverTreeError) in try PivotedCholesky(model) }
      let positions = model.positions(ofBlock: block)
      let candidates = positions.map { Int32($0) }
      try factorisation.run(candidates, tolerance: tolerance, mostPivots: columns)
      // The model of the pivots has at least one.
      if block == 0 && factorisation.rank == 0 { try factorisation.run(candidates, tolerance: 0, mostPivots: 1) }
      let rank = factorisation.rank
      ranks[block] = Int64(rank)
      let basis =
        rank == 0 ? nil : try Basis(factorisation, PrincipalSubspace(rank, of: rank), model)
      let root = model.variance.squareRoot()
      for (j, position) in positions.enumerated() {
        for a in 0..<rank { coordinates[position * columns + a] = Float(factorisation.column(a)[j]) }
        // As in `LowRankBlock`. Others compute the basis again, with as large an error.
        let scale = root * model.scale[position]
        let lost = 0x1p-46 * scale * scale + 2 * (basis?.lost(scale: scale) ?? 0)
        let left = max(0, factorisation.residualNormsSquared[j]) + lost
        errors[position] = min(1, .roundedUp(left.squareRoot())) + PointOutline.rounding
      }
      return BlockPivots(factorisation.pivots)
    }
    let pivots = made.flatMap(\.positions)
    guard !pivots.isEmpty else { throw CoverTreeError(.unsupported, "residual: no point has a residual variance") }
    return try ResidualSearch(
      model.alone(pivots, context: context), since: monotonicSeconds(), inBlocks: false, context: context)
  }
}
