/// The skeletons of all blocks of a model, and the products of their bases once they have been asked for.
final class Skeletons: @unchecked Sendable {
  /// Pivots end at this share of the points: what is left of the others then goes into their errors.
  private static let largestShare = 0.625
  /// Blocks that are tried first.
  private static let sample = 8

  let blocks: [BlockSkeleton]
  private let model: ResidualModel
  /// Products of bases that take more are not kept: each group of queries makes its own.
  private let mostProductBytes: Int
  private let made = Once<BasisProducts>()

  var rank: Int { blocks.reduce(0) { $0 + $1.rank } }

  /// What may be left of a point's unit vector beside the pivots of its block, from fine to coarse. A finer skeleton
  /// leaves fewer points to compute exactly, but has more pivots, whose products cost the square of their number.
  private static let tolerances = [0.05, 0.1, 0.15]
  /// Pivots as a share of the points, up to which a tolerance is taken.
  private static let wantedShare = 0.25

  /// - Parameters:
  ///   - mostProductBytes: products that take more memory are not kept.
  ///   - worth: what the first search may cost, as a multiple of comparing all blocks by their features; later
  ///     searches cost less.
  /// - Returns: nil where the residual process has too many degrees of freedom for skeletons to be worth it.
  init?(
    _ model: ResidualModel, mostProductBytes: Int, worth: Double = 1.5, context: CallContext
  ) throws(CoverTreeError) {
    self.model = model
    self.mostProductBytes = mostProductBytes
    let count = model.blockCount
    let mostPivots = Int(Double(model.blockSize) * Self.largestShare)
    // Spread over the data: neighbouring blocks resemble each other.
    let sampled = (0..<min(Self.sample, count)).map { $0 * count / min(Self.sample, count) }
    let points = sampled.reduce(0) { $0 + model.places(ofBlock: $1).count }
    var tolerance = 0.0
    var share = 0.0
    for candidate in Self.tolerances {
      tolerance = candidate
      let made = try Self.make(sampled, model, tolerance, mostPivots, context)
      share = Double(made.reduce(0) { $0 + $1.rank }) / Double(points)
      if share <= Self.wantedShare { break }
    }
    guard Self.cost(ofRank: share * Double(model.blockSize), model) < worth else { return nil }
    blocks = try Self.make(Array(0..<count), model, tolerance, mostPivots, context)
  }

  /// What the product of two bases and the projections of two blocks' points cost, as a multiple of the products of their
  /// features: operations, those in float64 twice.
  private static func cost(ofRank rank: Double, _ model: ResidualModel) -> Double {
    let (size, features) = (Double(model.blockSize), Double(model.rank))
    // Covariances of pairs are on both sides.
    let covariance = 32.0
    let skeletons = rank * rank * (2 * (features + covariance) + 6 * rank + 2 * size)
    return skeletons / (size * size * (features + covariance))
  }

  var byteCount: Int {
    blocks.reduce(made.known?.byteCount ?? 0) { $0 + $1.byteCount }
  }

  private static func make(
    _ blocks: [Int], _ model: ResidualModel, _ tolerance: Double, _ mostPivots: Int, _ context: CallContext
  ) throws(CoverTreeError) -> [BlockSkeleton] {
    let made = PerThread<BlockSkeleton>(count: blocks.count)
    let scratch = PerThread<BlockSkeleton.Scratch>(count: context.threads)
    try context.forEach(blocks.count, grain: 1) { (range, slot) throws(CoverTreeError) in
      let scratch = try scratch.value(slot) { () throws(CoverTreeError) in try BlockSkeleton.Scratch(model) }
      for i in range {
        _ = try made.value(i) { () throws(CoverTreeError) in
          try BlockSkeleton(
            of: blocks[i], in: model, tolerance: tolerance, mostPivots: mostPivots, scratch: scratch)
        }
      }
    }
    return made.all
  }

  /// The products of all pairs of bases; nil where they would take too much memory. The first call makes them.
  func products(_ context: CallContext) throws(CoverTreeError) -> BasisProducts? {
    guard BasisProducts.byteCount(blocks, points: model.count) <= mostProductBytes else { return nil }
    return try made.get { () throws(CoverTreeError) in try BasisProducts(blocks, model, context: context) }
  }
}
