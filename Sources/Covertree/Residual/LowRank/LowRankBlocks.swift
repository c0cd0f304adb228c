import CovertreeBase

/// The low-rank blocks of a model, on one level or on two, and the bounds between them, made on first use.
///
/// Few blocks are compared pair by pair, and the products of their bases are kept. Many blocks are joined in *regions* of consecutive
/// blocks, which have low-rank blocks of their own. Pairs of regions are bounded, and a search enters only the regions that can matter to
/// it.
final class LowRankBlocks: @unchecked Sendable {
  /// The largest number of pivots as a share of the points. What these leave of the other points is part of their errors.
  private static let largestShare = 0.625
  /// The number of blocks of the trial.
  private static let sample = 8
  /// Tolerances of residual norms in a block, from fine to coarse. A finer low-rank block leaves fewer points to compute exactly, but has
  /// a higher rank, and products cost the square of it.
  private static let tolerances = [0.05, 0.1, 0.15]
  /// A tolerance is accepted if ranks are at most this share of the points.
  private static let wantedShare = 0.14
  /// The tolerance of residual norms of a block's pivots in its region.
  private static let regionTolerance = 0.2
  /// The largest cost of the first search, as a multiple of comparing all blocks by their features; later searches cost less.
  static let usualWorth = 1.5
  /// The most regions of which all pairs are bounded.
  private static let mostRegions = 1024

  let blocks: [LowRankBlock]
  /// The arrays of the low-rank blocks.
  let arrays: LowRankArrays
  /// The number of blocks in a region: 1 if regions are the blocks themselves.
  let blocksPerRegion: Int
  private let model: ResidualModel
  private let made: Lazy<Regions>
  /// The time to build them, and the bounds between regions once they are made.
  let seconds: Double
  var boundSeconds: Double { made.known?.seconds ?? 0 }
  /// The bounds between regions, if they are made.
  var knownRegions: Regions? { made.known }

  /// Of all blocks.
  var pivotCount: Int { arrays.pivots.count }

  /// The low-rank blocks of regions, and the bounds between all of them.
  final class Regions: Sendable {
    let lowRankBlocks: [LowRankBlock]
    let arrays: LowRankArrays
    let products: BasisProducts
    let seconds: Double

    init(_ lowRankBlocks: [LowRankBlock], _ arrays: LowRankArrays, _ products: BasisProducts, seconds: Double) {
      (self.lowRankBlocks, self.arrays, self.products, self.seconds) = (lowRankBlocks, arrays, products, seconds)
    }
  }

  /// - Parameters:
  ///   - mostBlocks: with more blocks there are regions.
  ///   - worth: see `usualWorth`.
  ///   - tau: the tolerance; nil for the first of `tolerances` that needs few pivots.
  /// - Returns: nil if the residual process has too many degrees of freedom for low-rank blocks to be worth it.
  init?(
    _ model: ResidualModel, mostBlocks: Int, worth: Double = usualWorth, tau: Double? = nil, context: CallContext
  ) throws(CoverTreeError) {
    let start = monotonicSeconds()
    self.model = model
    made = Lazy()
    let count = model.blockCount
    var perRegion = count > mostBlocks ? 2 : 1
    while (count + perRegion - 1) / perRegion > Self.mostRegions { perRegion *= 2 }
    blocksPerRegion = perRegion
    let mostPivots = Int(Double(model.blockSize) * Self.largestShare)
    // Spread over the data, because neighbouring blocks are similar.
    let sampled = (0..<min(Self.sample, count)).map { $0 * count / min(Self.sample, count) }
    let points = sampled.reduce(0) { $0 + model.positions(ofBlock: $1).count }
    var tolerance = 0.0
    var (pivots, rank) = (0.0, 0.0)
    for candidate in tau.map({ [$0] }) ?? Self.tolerances {
      tolerance = candidate
      let made = try Self.make(sampled, model, tolerance, mostPivots, context)
      let blocks = Double(points) / Double(model.blockSize)
      pivots = Double(made.reduce(0) { $0 + $1.basis.pivots.count }) / blocks
      rank = Double(made.reduce(0) { $0 + $1.rank }) / blocks
      if rank <= Self.wantedShare * Double(model.blockSize) { break }
    }
    guard Self.cost(ofRank: rank, pivots: pivots, model) < worth else { return nil }
    (blocks, arrays) = try Self.gathered(
      Self.make(Array(0..<count), model, tolerance, mostPivots, context), pointsEach: model.blockSize, model, context)
    seconds = monotonicSeconds() - start
  }

  /// Low-rank blocks from a file, with the bounds between them if the file has these.
  init(
    _ model: ResidualModel, _ blocks: [LowRankBlock], _ arrays: LowRankArrays, blocksPerRegion: Int, regions: Regions?
  ) {
    (self.model, self.blocks, self.arrays, self.blocksPerRegion) = (model, blocks, arrays, blocksPerRegion)
    made = Lazy(regions)
    seconds = 0
  }

  /// The same low-rank blocks on shared arrays.
  private static func gathered(
    _ lowRankBlocks: [LowRankBlock], pointsEach: Int, _ model: ResidualModel, _ context: CallContext
  ) throws(CoverTreeError) -> ([LowRankBlock], LowRankArrays) {
    let arrays = try LowRankArrays(lowRankBlocks, pointsEach: pointsEach, pointCount: model.count, context: context)
    return (lowRankBlocks.enumerated().map { arrays.lowRankBlock($0.offset, $0.element.basis) }, arrays)
  }

  /// The cost of the product of two bases and the projections of two blocks' points, as a multiple of the products of their features.
  /// Operations in float64 count twice.
  private static func cost(ofRank rank: Double, pivots: Double, _ model: ResidualModel) -> Double {
    let (size, features) = (Double(model.blockSize), Double(model.rank))
    // The covariance of a pair is computed either way.
    let covariance = 32.0
    let product = rank * rank * features + pivots * rank * (pivots + rank) + pivots * pivots * covariance
    return 2 * (product + rank * rank * size) / (size * size * (features + covariance))
  }

  var byteCount: Int {
    let known = made.known
    let regions = blocksPerRegion == 1 ? [] : known?.lowRankBlocks ?? []
    return (blocks + regions).reduce(known?.products.byteCount ?? 0) { $0 + $1.byteCount }
  }

  private static func make(
    _ blocks: [Int], _ model: ResidualModel, _ tolerance: Double, _ mostPivots: Int, _ context: CallContext
  ) throws(CoverTreeError) -> [LowRankBlock] {
    let scratch = PerThread<PivotedCholesky>(count: context.threads)
    return try context.makeAll(blocks.count) { (i, slot) throws(CoverTreeError) in
      let factorisation = try scratch.value(slot) { () throws(CoverTreeError) in try PivotedCholesky(model) }
      return try LowRankBlock(
        ofBlock: model.positions(ofBlock: blocks[i]), in: model, tolerance: tolerance, mostPivots: mostPivots,
        factorisation: factorisation, context: context)
    }
  }

  /// The regions and their bounds, made by the first call.
  func regions(_ context: CallContext) throws(CoverTreeError) -> Regions {
    try made.get { () throws(CoverTreeError) in
      let start = monotonicSeconds()
      let (lowRankBlocks, arrays) = blocksPerRegion == 1 ? (blocks, arrays) : try makeRegions(context)
      let products = try BasisProducts(lowRankBlocks, of: model, keeps: blocksPerRegion == 1, context: context)
      return Regions(lowRankBlocks, arrays, products, seconds: monotonicSeconds() - start)
    }
  }

  private func makeRegions(_ context: CallContext) throws(CoverTreeError) -> ([LowRankBlock], LowRankArrays) {
    let count = (blocks.count + blocksPerRegion - 1) / blocksPerRegion
    let factorisations = PerThread<PivotedCholesky>(count: context.threads)
    let projectors = PerThread<Projector>(count: context.threads)
    let made = try context.makeAll(count) { (region, slot) throws(CoverTreeError) in
      let factorisation = try factorisations.value(slot) { () throws(CoverTreeError) in try PivotedCholesky(model) }
      let projector = try projectors.value(slot) { () throws(CoverTreeError) in
        try Projector(model, most: model.blockSize)
      }
      return try LowRankBlock(
        ofRegion: blocks[blocks(ofRegion: region)], in: model, tolerance: Self.regionTolerance,
        factorisation: factorisation, projector: projector, context: context)
    }
    return try Self.gathered(made, pointsEach: model.blockSize * blocksPerRegion, model, context)
  }

  func blocks(ofRegion region: Int) -> Range<Int> {
    region * blocksPerRegion..<min(blocks.count, (region + 1) * blocksPerRegion)
  }
}

extension CallContext {
  /// The objects that `make` gives for `0..<count`, in that order. Calls run in parallel, `slot` is of the thread.
  func makeAll<Made: AnyObject>(
    _ count: Int, _ make: (_ number: Int, _ slot: Int) throws(CoverTreeError) -> Made
  ) throws(CoverTreeError) -> [Made] {
    let made = PerThread<Made>(count: count)
    try forEach(count, grain: 1) { (range, slot) throws(CoverTreeError) in
      for number in range { _ = try made.value(number) { () throws(CoverTreeError) in try make(number, slot) } }
    }
    return made.all
  }
}
