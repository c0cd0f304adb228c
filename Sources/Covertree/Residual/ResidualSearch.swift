/// The `k` points of largest residual correlation with each query, exactly.
///
/// **Definition.** `rho_ij = (k(x_i, x_j) - v_i . v_j) / sqrt(p_i p_j)` and the distance is
/// `d_ij = sqrt(1 - |rho_ij|)`, with |rho| cut at 1: duplicates pass it by rounding. A pair with `sqrt(p_i p_j)` below
/// `1e-9 variance` is at distance 1, a point at 0 from itself. Neighbours are sorted by (distance, index).
///
/// **Search.** Queries come in groups of near ones, points in blocks. For a group and a block |rho| is bounded from
/// both sides; `CandidateList` keeps what can still be among the `k`. Those few are decided in float64, by
/// one formula for all: ties do not depend on which bound let a point through.
public final class ResidualSearch: @unchecked Sendable {
  /// Points of each block.
  static let blockSize = 256
  /// Points of the dataset that are compared with those before them without blocks: few count for each, and those lie
  /// all over the place.
  private static let earlyPoints = 8192

  let model: ResidualModel
  private let skeletons: Skeletons?
  /// The early points, in the order of their indices.
  private let early = Once<ResidualModel>()
  /// What all searches so far have taken. Guarded by `processLock`.
  private var statistics = ResidualStatistics()
  public let buildSeconds: Double

  public convenience init(
    points: PointsView<Double>, covariance: Covariance, source: FeatureSource, context: CallContext
  ) throws(CoverTreeError) {
    let start = monotonicSeconds()
    context.stage(from: 0, to: 0.7)
    let model = try ResidualModel(
      points, covariance: covariance, source: source, blockSize: Self.blockSize, context: context)
    try self.init(model, since: start, context: context)
  }

  /// Products of bases are kept up to so many bytes.
  static let mostProductBytes = 3 << 30

  init(
    _ model: ResidualModel, since start: Double, mostProductBytes: Int = ResidualSearch.mostProductBytes,
    context: CallContext
  ) throws(CoverTreeError) {
    self.model = model
    context.stage(from: 0.7, to: 1)
    // The bounds need true inner products: those of the library's own features are.
    let areInnerProducts = !model.covariance.isHost && !model.hasGivenFeatures
    skeletons = areInnerProducts ? try Skeletons(model, mostProductBytes: mostProductBytes, context: context) : nil
    buildSeconds = monotonicSeconds() - start
  }

  /// The same model with more points; they get the dataset indices that follow. Features of the points that are there
  /// are kept.
  public func extended(by points: PointsView<Double>, context: CallContext) throws(CoverTreeError) -> ResidualSearch {
    let start = monotonicSeconds()
    return try ResidualSearch(model.extended(by: points, context: context), since: start, context: context)
  }

  /// - Parameters:
  ///   - indices: `queries x k`, dataset indices; -1 where fewer than `k` points count.
  ///   - distances: `queries x k`; infinity there. nil where they are not wanted.
  public func nearest(
    _ queries: ResidualQueries, k: Int, options: ResidualSearchOptions, context: CallContext, rows: Int,
    indices: UnsafeMutablePointer<Int64>, distances: UnsafeMutablePointer<Double>?
  ) throws(CoverTreeError) {
    try options.check(queries)
    let search = Call(k: k, options: options, context: context, indices: indices, distances: distances)
    switch queries {
    case .stored(let list):
      for (row, index) in list.elements.enumerated() where index < 0 || index >= model.count {
        throw CoverTreeError(
          .notFound, "queries[\(row)]: expected a dataset index from 0 to \(model.count - 1), got \(index)")
      }
      try nearest(toStored: list.elements, rows: list.elements.count, search)
    case .allStored:
      guard rows == model.count else {
        throw CoverTreeError(
          .busy, "n_rows: there are \(model.count) points, results are for \(rows); was one inserted?")
      }
      try nearest(toStored: nil, rows: rows, search)
    case .points(let view):
      let set = try ResidualQuerySet(view, in: model, options: options, groupSize: groupSize(k), context: context)
      let hard = try run(set, model, skeletons, products: nil, search)
      try runHard(hard, of: set, products: nil, search)
    }
  }

  /// What a call asks for and where it wants it.
  private struct Call {
    let k: Int
    let options: ResidualSearchOptions
    let context: CallContext
    let indices: UnsafeMutablePointer<Int64>
    let distances: UnsafeMutablePointer<Double>?
  }

  /// Queries of a group: their candidate lists stay within some megabytes.
  private func groupSize(_ k: Int) -> Int { max(tileRows, min(Self.blockSize, (1 << 18) / k)) }

  /// Points that come early have few others before them, all over the place: they are compared with them directly.
  private func nearest(
    toStored indices: UnsafeBufferPointer<Int64>?, rows: Int, _ call: Call
  ) throws(CoverTreeError) {
    let early = try Stack<Int32>()
    let late = try Stack<Int32>()
    let limit = Int32(min(model.count, Self.earlyPoints))
    for row in 0..<rows {
      let index = Int32(indices?[row] ?? Int64(row))
      let isEarly = index < limit && call.options.upperIndex(ofRow: row, index: index) <= limit
      try (isEarly ? early : late).append(Int32(row))
    }
    if early.count > 0 {
      let first = try self.early.get { () throws(CoverTreeError) in
        try model.first(Int(limit), context: call.context)
      }
      let set = try ResidualQuerySet(
        indices, rows: early.elements, in: first, options: call.options, groupSize: groupSize(call.k),
        context: call.context)
      try run(set, first, nil, products: nil, call)
    }
    if late.count > 0 {
      let products = try skeletons?.products(call.context)
      let set = try ResidualQuerySet(
        indices, rows: late.elements, in: model, options: call.options, groupSize: groupSize(call.k),
        context: call.context)
      let hard = try run(set, model, skeletons, products: products, call)
      try runHard(hard, of: set, products: products, call)
    }
  }

  /// Queries for which skeletons are too coarse are compared directly, in groups of their own.
  private func runHard(
    _ rows: Stack<Int32>, of set: ResidualQuerySet, products: BasisProducts?, _ call: Call
  ) throws(CoverTreeError) {
    guard rows.count > 0 else { return }
    try run(set.subset(rows, groupSize: groupSize(call.k)), model, nil, products: products, call)
  }

  /// - Returns: the rows of queries that were left to be compared directly.
  @discardableResult
  private func run(
    _ set: ResidualQuerySet, _ model: ResidualModel, _ skeletons: Skeletons?, products: BasisProducts?, _ call: Call
  ) throws(CoverTreeError) -> Stack<Int32> {
    let searches = PerThread<GroupSearch>(count: call.context.threads)
    try call.context.forEach(set.groupCount, grain: 1) { (range, slot) throws(CoverTreeError) in
      let search = try searches.value(slot) { () throws(CoverTreeError) in
        try GroupSearch(
          model, skeletons?.blocks, products, k: min(call.k, model.count), groupSize: groupSize(call.k))
      }
      for group in range {
        try search.run(set[group])
        try search.write(k: call.k, indices: call.indices, distances: call.distances)
      }
    }
    let hard = try Stack<Int32>()
    for search in searches.all {
      try hard.append(search.hardRows.elements)
      processLock.locked { statistics += search.statistics }
    }
    return hard
  }

  public var info: ResidualInfo {
    ResidualInfo(
      pointCount: model.count, dim: model.dim, featureCount: model.featureCount, variance: model.variance,
      jitter: model.whitening?.jitter ?? 0, blockCount: model.blockCount, pivotCount: skeletons?.rank ?? 0,
      memoryBytes: model.byteCount + (skeletons?.byteCount ?? 0) + (early.known?.byteCount ?? 0),
      buildSeconds: buildSeconds,
      statistics: processLock.locked { statistics })
  }

  /// Copies features, `count x featureCount`, and residual variances, by dataset index.
  public func copyFeatures(_ features: UnsafeMutablePointer<Double>?, _ residualVariance: UnsafeMutablePointer<Double>?)
  {
    for place in 0..<model.count {
      let index = Int(model.order[place])
      if let features {
        (features + index * model.featureCount).update(
          from: model.features.base + place * model.rank, count: model.featureCount)
      }
      residualVariance?[index] = model.residualVariance[place]
    }
  }
}

/// What a residual search is and has done, in numbers.
public struct ResidualInfo: Sendable {
  public let pointCount: Int
  public let dim: Int
  public let featureCount: Int
  public let variance: Double
  public let jitter: Double
  public let blockCount: Int
  public let pivotCount: Int
  public let memoryBytes: Int
  public let buildSeconds: Double
  public let statistics: ResidualStatistics
}
