import CovertreeBase

/// A model's arrays, by position, as `covertree.h` describes them; they live as long as this does.
public final class ResidualArrays: @unchecked Sendable {
  let model: ResidualModel
  private weak var search: ResidualSearch?
  private let lowRankBlocks: LowRankBlocks?
  private let regions: LowRankBlocks.Regions?
  private let shownFeatures: Buffer<Double>
  private let shownVariance: Buffer<Double>

  /// Makes low-rank blocks and the bounds between regions, if no search has made them.
  fileprivate init(_ search: ResidualSearch, context: CallContext) throws(CoverTreeError) {
    (model, lowRankBlocks, self.search) = (search.model, search.lowRankBlocks, search)
    regions = try lowRankBlocks?.regions(context)
    (shownFeatures, shownVariance) = try Self.unscaled(model)
  }

  /// Features and residual variances in the caller's unit: the model's arrays, or copies if the model has another unit.
  private static func unscaled(_ model: ResidualModel) throws(CoverTreeError) -> (Buffer<Double>, Buffer<Double>) {
    guard !model.unit.isOne else { return (model.features, model.residualVariance) }
    let features = try Buffer<Double>(count: model.features.count)
    for element in 0..<features.count { features[element] = model.features[element] * model.unit.root }
    let variances = try Buffer<Double>(count: model.count)
    for position in 0..<model.count { variances[position] = model.unit.unscaled(model.residualVariance[position]) }
    return (features, variances)
  }

  /// Whether a search of this model is alive.
  public var isCurrent: Bool { search != nil }

  public var count: Int { model.count }
  public var dim: Int { model.dim }
  public var featureCount: Int { model.featureCount }
  public var featureStride: Int { model.rank }
  public var blockSize: Int { model.blockSize }
  public var lowRankBlockCount: Int { lowRankBlocks?.blocks.count ?? 0 }
  public var blocksPerRegion: Int { lowRankBlocks?.blocksPerRegion ?? 1 }
  public var regionCount: Int { regions?.lowRankBlocks.count ?? 0 }
  /// nil for the caller's own kernel.
  public var kernel: Kernel? { model.covariance.unscaledKernel(model.unit) }
  public var variance: Double { model.unit.unscaled(model.variance) }

  public var order: UnsafePointer<Int32> { UnsafePointer(model.order.base) }
  public var positionOfIndex: UnsafePointer<Int32> { UnsafePointer(model.positionOfIndex.base) }
  public var coordinates: UnsafePointer<Double> { UnsafePointer(model.coordinates.base) }
  public var features: UnsafePointer<Double> { UnsafePointer(shownFeatures.base) }
  public var residualVariance: UnsafePointer<Double> { UnsafePointer(shownVariance.base) }
  public var scales: UnsafePointer<Float> { UnsafePointer(model.scaleAbove.base) }
  public var pivotOffsets: UnsafePointer<Int64>? { arrays.map { UnsafePointer($0.pivotOffsets.base) } }
  public var pivots: UnsafePointer<Int32>? { arrays.map { UnsafePointer($0.pivots.base) } }
  public var coefficientOffsets: UnsafePointer<Int64>? { arrays.map { UnsafePointer($0.coefficientOffsets.base) } }
  public var coefficients: UnsafePointer<Float>? { arrays.map { UnsafePointer($0.coefficients.base) } }
  public var remainingNorms: UnsafePointer<Float>? { arrays.map { UnsafePointer($0.remainingNorms.base) } }
  public var bounds: UnsafePointer<UInt8>? { regions.map { UnsafePointer($0.products.bounds.base) } }
  public var productOffsets: UnsafePointer<Int64>? { keptProducts.map { UnsafePointer($0.offsets.base) } }
  public var products: UnsafePointer<Float>? { keptProducts.map { UnsafePointer($0.elements.base) } }

  private var arrays: LowRankArrays? { lowRankBlocks?.arrays }
  private var keptProducts: BasisProducts? { blocksPerRegion == 1 ? regions?.products : nil }
}

extension ResidualSearch {
  /// The model's arrays, without a copy.
  public func export(context: CallContext) throws(CoverTreeError) -> ResidualArrays {
    guard removed == nil, datasetIndices == nil else {
      throw CoverTreeError(.unsupported, "residual: the arrays of a model with removed points cannot be exported")
    }
    return try ResidualArrays(self, context: context)
  }

  /// Features of new points, `count x featureCount`, and their residual variances.
  public func fillFeatures(
    of points: PointsView<Double>, _ features: UnsafeMutablePointer<Double>?,
    _ residualVariance: UnsafeMutablePointer<Double>?, context: CallContext
  ) throws(CoverTreeError) {
    let made = try model.newPoints(points, named: "points", context: context)
    model.copy(made.features, made.residualVariance, to: features, residualVariance) { $0 }
  }
}
