import CovertreeBase

/// The `k` points of largest residual correlation with each query, exactly.
///
/// **Definition.** `rho_ij = (k(x_i, x_j) - v_i . v_j) / sqrt(p_i p_j)` and the distance is `d_ij = sqrt(1 - |rho_ij|)`, with |rho| cut
/// at 1, because rounding takes duplicates above it. A pair with `sqrt(p_i p_j)` below `1e-9 variance` is at distance 1, a point at 0
/// from itself. Neighbours are sorted by (distance, index). Without features, and with a kernel of the library, they are sorted by
/// (distance in space, index); see `SpatialSearch`.
///
/// **Search.** Queries are in groups of near ones, points in blocks. For a group and a block |rho| is bounded from both sides;
/// `CandidateList` keeps the points that can still be among the `k`. These few are decided in float64 by one formula, so ties do not
/// depend on the bound that admitted a point.
public final class ResidualSearch: @unchecked Sendable {
  /// Sizes of a search, and the tolerance of low-rank blocks. Answers do not depend on them.
  public struct Tuning: Sendable {
    /// Points of each block: a multiple of 64, at most 1024.
    public var blockSize = 256
    /// The largest residual norm of a point's unit vector in its block, above 0 and below 1; nil to choose it by trial. See
    /// `LowRankBlocks`.
    public var tau: Double?

    public init() {}

    static func allows(blockSize: Int) -> Bool { (64...1024).contains(blockSize) && blockSize % 64 == 0 }

    func check() throws(CoverTreeError) {
      guard Self.allows(blockSize: blockSize) else {
        throw CoverTreeError(
          .invalidArgument, "block_size: expected a multiple of 64 from 64 to 1024, got \(blockSize)")
      }
      if let tau, !(tau > 0 && tau < 1) {
        throw CoverTreeError(.invalidArgument, "tau: expected above 0 and below 1, got \(tau)")
      }
    }
  }

  /// Numbers of points at which the method changes.
  struct Sizes {
    /// Early points have few points before them, which are spread over the whole space: they are searched in a model of their own. This
    /// number, or an eighth of the points.
    var early = 2048
    /// Up to this many early points are compared directly, in the order of their indices.
    var direct = 2048
    /// With more blocks there are regions; see `LowRankBlocks`.
    var blocks = 256

    func early(of count: Int) -> Int { min(count, max(early, count / 8)) }
  }

  private let sizes: Sizes
  private let comparesBlocks: Bool
  private let tau: Double?
  let model: ResidualModel
  /// The dataset indices of the model's points; nil if they are the model's own.
  let datasetIndices: DatasetIndices?
  /// Points of the model that searches do not find; nil if there are none.
  let removed: RemovedPoints?
  /// The same search with all points, whose structures serve this one; nil if none are removed.
  private let whole: ResidualSearch?
  /// Bounds by distance; nil if they exclude little.
  let decayBounds: DecayBounds?
  let lowRankBlocks: LowRankBlocks?
  /// For comparisons of all points; nil if there are bounds of blocks, or if few directions do not suffice.
  let principal: PrincipalFeatures?
  /// Points with a lower index are searched among themselves, by a search of their own.
  let earlyCount: Int
  private let early = Lazy<ResidualSearch>()
  /// Made by the first search, if neighbours are sorted by distance in space.
  private let spatial = Lazy<SpatialSearch>()
  /// The same model in blocks, if this one has none: made for graphs and sketches of models whose neighbours are those in space.
  private let blocked = Lazy<ResidualSearch>()
  /// Made by the first search for neighbours.
  private let knownEqualPoints = Lazy<EqualPoints>()
  /// The basis of the span of all points, made for the first projection onto it.
  let spanned = Lazy<Basis>()
  /// The bases of an outline whose pivots the points are, made for the first bounds.
  let outlined = Lazy<OutlineBases>()
  /// The work of all searches so far. Guarded by `processLock`.
  private var statistics = ResidualStatistics()
  public let buildSeconds: Double

  public convenience init(
    points: PointsView<Double>, covariance: Covariance, source: FeatureSource, tuning: Tuning = Tuning(),
    context: CallContext
  ) throws(CoverTreeError) {
    let start = monotonicSeconds()
    try tuning.check()
    context.stage(from: 0, to: 0.7)
    let model = try ResidualModel(
      points, covariance: covariance, source: source, blockSize: tuning.blockSize, context: context)
    try self.init(model, since: start, tau: tuning.tau, context: context)
  }

  /// - Parameter inBlocks: whether points are compared in blocks. Neighbours by distance in space need no blocks.
  init(
    _ model: ResidualModel, _ datasetIndices: DatasetIndices? = nil, since start: Double, sizes: Sizes = Sizes(),
    tau: Double? = nil, inBlocks: Bool? = nil, context: CallContext
  ) throws(CoverTreeError) {
    (self.model, self.datasetIndices) = (model, datasetIndices)
    (self.sizes, self.tau, removed, whole) = (sizes, tau, nil, nil)
    context.stage(from: 0.7, to: 1)
    earlyCount = sizes.early(of: model.count)
    comparesBlocks = inBlocks ?? !model.isSpatial
    guard comparesBlocks else {
      (decayBounds, lowRankBlocks, principal) = (nil, nil, nil)
      buildSeconds = monotonicSeconds() - start
      return
    }
    // The bounds need true inner products, as the library's own features have.
    let areInnerProducts = !model.covariance.isCallback && !model.hasGivenFeatures
    decayBounds = try DecayBounds(model, context: context)
    // If distances leave few pairs of blocks, comparing these by their features may cost less.
    let worth = decayBounds.map { min(LowRankBlocks.usualWorth, 1.3 * $0.nearShare) } ?? LowRankBlocks.usualWorth
    lowRankBlocks =
      areInnerProducts
      ? try LowRankBlocks(model, mostBlocks: sizes.blocks, worth: worth, tau: tau, context: context) : nil
    principal = try Self.principal(model, lowRankBlocks, decayBounds, context)
    buildSeconds = monotonicSeconds() - start
  }

  /// A model and low-rank blocks from a file.
  init(
    _ model: ResidualModel, _ datasetIndices: DatasetIndices?, _ lowRankBlocks: LowRankBlocks?, since start: Double,
    context: CallContext
  ) throws(CoverTreeError) {
    (self.model, self.datasetIndices, self.lowRankBlocks) = (model, datasetIndices, lowRankBlocks)
    comparesBlocks = !model.isSpatial
    decayBounds = comparesBlocks ? try DecayBounds(model, context: context) : nil
    principal = comparesBlocks ? try Self.principal(model, lowRankBlocks, decayBounds, context) : nil
    (sizes, tau, removed, whole) = (Sizes(), nil, nil, nil)
    earlyCount = sizes.early(of: model.count)
    buildSeconds = monotonicSeconds() - start
  }

  /// The early points of another search.
  private init(earlyOf search: ResidualSearch, context: CallContext) throws(CoverTreeError) {
    let start = monotonicSeconds()
    let count = search.earlyCount
    (sizes, tau, comparesBlocks, removed, whole) = (search.sizes, search.tau, true, nil, nil)
    let isDirect = count <= sizes.direct || search.lowRankBlocks == nil && search.decayBounds == nil
    model = try search.model.first(count, inBlocks: !isDirect, context: context)
    datasetIndices = nil
    earlyCount = isDirect ? 0 : sizes.early(of: count)
    decayBounds = isDirect ? nil : try DecayBounds(model, context: context)
    lowRankBlocks =
      isDirect || search.lowRankBlocks == nil
      ? nil : try LowRankBlocks(model, mostBlocks: sizes.blocks, tau: tau, context: context)
    principal = try Self.principal(model, lowRankBlocks, decayBounds, context)
    buildSeconds = monotonicSeconds() - start
  }

  /// The same search without some of its points.
  private init(_ whole: ResidualSearch, without removed: RemovedPoints, since start: Double) {
    (self.whole, self.removed, model, datasetIndices) = (whole, removed, whole.model, whole.datasetIndices)
    (sizes, tau, comparesBlocks, earlyCount) = (whole.sizes, whole.tau, whole.comparesBlocks, whole.earlyCount)
    (decayBounds, lowRankBlocks, principal) = (whole.decayBounds, whole.lowRankBlocks, whole.principal)
    buildSeconds = monotonicSeconds() - start
  }

  /// The same points without these only.
  func leavingOut(_ removed: RemovedPoints, since start: Double) throws(CoverTreeError) -> ResidualSearch {
    let whole = whole ?? self
    return removed.remaining.count == removed.marks.count
      ? whole : ResidualSearch(whole, without: removed, since: start)
  }

  /// A search of these points alone, by their numbers, with a model of their own.
  ///
  /// - Parameter inBlocks: whether they are compared in blocks.
  func keeping(
    _ numbers: Buffer<Int64>, inBlocks: Bool = true, since start: Double, context: CallContext
  ) throws(CoverTreeError) -> ResidualSearch {
    let indices = try datasetIndices?.keeping(numbers) ?? DatasetIndices(numbers, next: model.count)
    return try ResidualSearch(
      model.keeping(numbers, context: context), indices, since: start, sizes: sizes, tau: tau,
      inBlocks: inBlocks && !model.isSpatial, context: context)
  }

  private static func principal(
    _ model: ResidualModel, _ lowRankBlocks: LowRankBlocks?, _ decayBounds: DecayBounds?, _ context: CallContext
  ) throws(CoverTreeError) -> PrincipalFeatures? {
    lowRankBlocks == nil && decayBounds == nil ? try PrincipalFeatures(model, context: context) : nil
  }

  /// A search of the same model that compares points in blocks.
  func inBlocks(_ context: CallContext) throws(CoverTreeError) -> ResidualSearch {
    if comparesBlocks { return self }
    if let whole { return try whole.inBlocks(context) }
    return try blocked.get { () throws(CoverTreeError) in
      try ResidualSearch(
        model, since: monotonicSeconds(), sizes: sizes, tau: tau, inBlocks: true, context: context)
    }
  }

  /// The search of the early points, made on first use.
  func earlySearch(_ context: CallContext) throws(CoverTreeError) -> ResidualSearch {
    try early.get { () throws(CoverTreeError) in
      guard let whole, let removed else { return try ResidualSearch(earlyOf: self, context: context) }
      return try whole.earlySearch(context).leavingOut(removed, since: monotonicSeconds())
    }
  }

  /// Adds the work of a thread.
  func count(_ done: ResidualStatistics) { processLock.locked { statistics += done } }

  /// The same model with more points, which get the next dataset indices. Known features are kept.
  public func extended(by points: PointsView<Double>, context: CallContext) throws(CoverTreeError) -> ResidualSearch {
    let start = monotonicSeconds()
    let extended = try ResidualSearch(
      model.extended(by: points, context: context), datasetIndices?.extended(by: points.count), since: start,
      sizes: sizes, tau: tau, context: context)
    guard let removed else { return extended }
    return try extended.leavingOut(removed.extended(to: extended.model.count), since: start)
  }

  /// Other points of the same process: kernel, inducing points and their factor stay.
  public func over(_ points: PointsView<Double>, context: CallContext) throws(CoverTreeError) -> ResidualSearch {
    let start = monotonicSeconds()
    return try ResidualSearch(
      model.over(points, context: context), since: start, sizes: sizes, tau: tau, context: context)
  }

  /// - Parameters:
  ///   - indices: `queries x k`, dataset indices; -1 if fewer than `k` points count.
  ///   - distances: `queries x k`; infinity there. nil if they are not wanted.
  public func nearest(
    _ queries: ResidualQueries, k: Int, options: SearchOptions, context: CallContext, rows: Int,
    indices: UnsafeMutablePointer<Int64>, distances: UnsafeMutablePointer<Double>?
  ) throws(CoverTreeError) {
    let call = try checked(queries, options)
    defer { withExtendedLifetime(call) {} }
    let (queries, options) = (try self.rows(of: call, rows, context), call.options)
    var found = datasetIndices
    if model.isSpatial {
      try nearestInSpace(queries, k, options, context, rows, indices, distances)
    } else {
      let target = NearestRows(
        k: k, indices: indices, distances: [distances, options.scores].compactMap(\.self))
      found = try answerCall(
        queries,
        SearchRequest(goal: .nearest(k), options: options, leftOut: removed, context: context) {
          (search, _) throws(CoverTreeError) in try search.rankExactly(into: target)
        })
    }
    found?.replace(UnsafeMutableBufferPointer(start: indices, count: rows * k))
  }

  /// The arguments of a call, checked.
  func checked(_ queries: ResidualQueries, _ options: SearchOptions) throws(CoverTreeError) -> NumberedCall {
    try options.check(queries)
    try options.check(indexCount: nextIndex)
    if case .stored(let list) = queries { try check(list, named: "queries") }
    return try NumberedCall(queries, options, in: self)
  }

  /// Equal points among those that a call finds. They are kept if the call has no filter.
  func equalPoints(without leftOut: RemovedPoints?, _ context: CallContext) throws(CoverTreeError) -> EqualPoints {
    guard let leftOut else {
      return try knownEqualPoints.get { () throws(CoverTreeError) in try EqualPoints(model, context: context) }
    }
    let make = { [self] () throws(CoverTreeError) in
      try EqualPoints(
        (whole ?? self).equalPoints(without: nil, context), model, without: leftOut, context: context)
    }
    return try leftOut === removed ? knownEqualPoints.get(make) : make()
  }

  /// The queries of a call whose results have `rows` rows.
  func rows(
    of call: NumberedCall, _ rows: Int, _ context: CallContext
  ) throws(CoverTreeError) -> ResidualQueryRows {
    switch call.queries {
    case .stored(let list):
      return .stored(list.elements, rows: try Buffer(counting: list.elements.count))
    case .allStored:
      guard rows == remainingCount else {
        throw CoverTreeError(
          .busy, "n_rows: there are \(remainingCount) points, results are for \(rows); was one inserted?")
      }
      return .stored(removed?.remaining.elements, rows: try Buffer(counting: rows))
    case .points(let view, let features?, let residualVariance?):
      return .new(try model.newPoints(view, features, residualVariance, context: context))
    case .points(let view, _, _):
      return .new(try model.newPoints(view, named: "queries", context: context))
    }
  }

  /// The neighbours by distance over the lengthscales.
  private func nearestInSpace(
    _ queries: ResidualQueryRows, _ k: Int, _ options: SearchOptions, _ context: CallContext, _ rows: Int,
    _ indices: UnsafeMutablePointer<Int64>, _ distances: UnsafeMutablePointer<Double>?
  ) throws(CoverTreeError) {
    let target = CorrelationRows(
      model: model, k: k, indices: indices, distances: distances, limits: options)
    try searchInSpace(context, rows) { (search) throws(CoverTreeError) in
      try search.nearest(to: queries, k: k, options: options, context: context, into: target)
    }
  }

  /// Runs a search by distance over the lengthscales, and counts its work.
  func searchInSpace(
    _ context: CallContext, _ rows: Int, _ body: (SpatialSearch) throws(CoverTreeError) -> Void
  ) throws(CoverTreeError) {
    let search = try spatial.get { () throws(CoverTreeError) in
      try SpatialSearch(model, without: removed, context: context)
    }
    let start = monotonicSeconds()
    try body(search)
    var done = ResidualStatistics()
    (done.queries, done.searchSeconds) = (rows, monotonicSeconds() - start)
    count(done)
  }

  public var info: ResidualInfo {
    let early = early.known?.info
    var statistics = processLock.locked { self.statistics }
    if let early { statistics += early.statistics }
    return ResidualInfo(
      pointCount: remainingCount, nextIndex: nextIndex, dim: model.dim, featureCount: model.featureCount,
      variance: model.unit.unscaled(model.variance),
      jitter: model.inducingFeatures?.jitter ?? 0, blockCount: model.blockCount,
      pivotCount: lowRankBlocks?.pivotCount ?? 0,
      memoryBytes: model.byteCount + (lowRankBlocks?.byteCount ?? 0) + (early?.memoryBytes ?? 0)
        + (spatial.known?.byteCount ?? 0) + (blocked.known?.lowRankBlocks?.byteCount ?? 0)
        + (knownEqualPoints.known?.byteCount ?? 0) + (removed?.byteCount ?? 0) + (datasetIndices?.byteCount ?? 0)
        + (decayBounds?.byteCount ?? 0) + (principal?.byteCount ?? 0),
      buildSeconds: buildSeconds, orderSeconds: model.orderSeconds + (early?.orderSeconds ?? 0),
      featureSeconds: model.featureSeconds + (early?.featureSeconds ?? 0),
      lowRankSeconds: (lowRankBlocks?.seconds ?? 0) + (early?.lowRankSeconds ?? 0),
      boundSeconds: (lowRankBlocks?.boundSeconds ?? 0) + (early?.boundSeconds ?? 0), statistics: statistics)
  }

  /// Copies features, `count x featureCount`, and residual variances of the points, in the order of their dataset indices.
  public func copyFeatures(
    _ features: UnsafeMutablePointer<Double>?, _ residualVariance: UnsafeMutablePointer<Double>?
  ) throws(CoverTreeError) {
    let rows = try removed?.rows()
    model.copy(model.features, model.residualVariance, to: features, residualVariance) {
      let index = Int(model.order[$0])
      guard let rows else { return index }
      return rows[index] >= 0 ? Int(rows[index]) : nil
    }
  }
}

extension ResidualModel {
  /// Copies features without their padding, and residual variances of points, in the caller's unit, to the row of the result for each
  /// position, if it has one.
  func copy(
    _ features: Buffer<Double>, _ residualVariance: Buffer<Double>, to target: UnsafeMutablePointer<Double>?,
    _ variances: UnsafeMutablePointer<Double>?, row: (Int) -> Int?
  ) {
    for position in 0..<residualVariance.count {
      guard let row = row(position) else { continue }
      if let target = target.map({ $0 + row * featureCount }) {
        for d in 0..<featureCount { target[d] = features[position * rank + d] * unit.root }
      }
      variances?[row] = unit.unscaled(residualVariance[position])
    }
  }
}

/// Properties and counters of a residual search.
public struct ResidualInfo: Sendable {
  public let pointCount: Int
  /// The index that the next point gets.
  public let nextIndex: Int
  public let dim: Int
  public let featureCount: Int
  public let variance: Double
  public let jitter: Double
  public let blockCount: Int
  public let pivotCount: Int
  public let memoryBytes: Int
  public let buildSeconds: Double
  /// Phases, including the search of early points: arranging points, features, low-rank blocks, and bounds between them.
  public let orderSeconds: Double
  public let featureSeconds: Double
  public let lowRankSeconds: Double
  public let boundSeconds: Double
  public let statistics: ResidualStatistics
}
