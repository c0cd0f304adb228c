/// A model's arrays, by place, as `covertree.h` describes them; they live as long as this does.
public final class ResidualArrays: @unchecked Sendable {
  let model: ResidualModel
  private weak var search: ResidualSearch?
  private let skeletons: Skeletons?
  private let regions: Skeletons.Regions?

  /// Skeletons and the bounds between regions are made now, if no search has asked for them.
  fileprivate init(_ search: ResidualSearch, context: CallContext) throws(CoverTreeError) {
    (model, skeletons, self.search) = (search.model, search.skeletons, search)
    regions = try skeletons?.regions(context)
  }

  /// Whether there is still a search on this model.
  public var isCurrent: Bool { search != nil }

  public var count: Int { model.count }
  public var dim: Int { model.dim }
  public var featureCount: Int { model.featureCount }
  public var featureStride: Int { model.rank }
  public var blockSize: Int { model.blockSize }
  public var skeletonCount: Int { skeletons?.blocks.count ?? 0 }
  public var blocksPerRegion: Int { skeletons?.blocksPerRegion ?? 1 }
  public var regionCount: Int { regions?.skeletons.count ?? 0 }
  /// nil for one of the host's.
  public var kernel: Kernel? {
    if case .kernel(let kernel) = model.covariance { kernel } else { nil }
  }
  public var variance: Double { model.variance }

  public var order: UnsafePointer<Int32> { UnsafePointer(model.order.base) }
  public var places: UnsafePointer<Int32> { UnsafePointer(model.positions.base) }
  public var coordinates: UnsafePointer<Double> { UnsafePointer(model.coordinates.base) }
  public var features: UnsafePointer<Double> { UnsafePointer(model.features.base) }
  public var residualVariance: UnsafePointer<Double> { UnsafePointer(model.residualVariance.base) }
  public var scales: UnsafePointer<Float> { UnsafePointer(model.scaleAbove.base) }
  public var pivotOffsets: UnsafePointer<Int64>? { skeletons.map { UnsafePointer($0.arrays.pivotOffsets.base) } }
  public var pivots: UnsafePointer<Int32>? { skeletons.map { UnsafePointer($0.arrays.pivots.base) } }
  public var coefficientOffsets: UnsafePointer<Int64>? {
    skeletons.map { UnsafePointer($0.arrays.coefficientOffsets.base) }
  }
  public var coefficients: UnsafePointer<Float>? { skeletons.map { UnsafePointer($0.arrays.coefficients.base) } }
  public var remainingNorms: UnsafePointer<Float>? { skeletons.map { UnsafePointer($0.arrays.remainingNorms.base) } }
  public var bounds: UnsafePointer<UInt8>? { regions.map { UnsafePointer($0.products.bounds.base) } }
  public var productOffsets: UnsafePointer<Int64>? {
    blocksPerRegion == 1 ? regions.map { UnsafePointer($0.products.offsets.base) } : nil
  }
  public var products: UnsafePointer<Float>? {
    blocksPerRegion == 1 ? regions.map { UnsafePointer($0.products.elements.base) } : nil
  }
}

extension ResidualSearch {
  /// Shows the model's arrays; nothing is copied.
  public func export(context: CallContext) throws(CoverTreeError) -> ResidualArrays {
    try ResidualArrays(self, context: context)
  }

  /// Features of new points, `count x featureCount`, and their residual variances.
  public func fillFeatures(
    of points: PointsView<Double>, _ features: UnsafeMutablePointer<Double>?,
    _ residualVariance: UnsafeMutablePointer<Double>?, context: CallContext
  ) throws(CoverTreeError) {
    let made = try model.newPoints(points, named: "points", context: context)
    for row in 0..<points.count {
      if let features {
        (features + row * model.featureCount).update(
          from: made.features.base + row * model.rank, count: model.featureCount)
      }
      residualVariance?[row] = made.residualVariance[row]
    }
  }
}
