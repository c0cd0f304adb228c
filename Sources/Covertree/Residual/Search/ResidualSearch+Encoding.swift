import CovertreeBase
import CovertreeFiles

/// Models as files: the caller's input, `V` and `p`, the factor of the inducing points, low-rank blocks, and the bounds between them if
/// they are made. `docs/file-format.md` lists the sections. Copies in another form (features in float32, bases) are computed when a file
/// is opened. The kernel's variance is written as the caller gave it, `V` and `p` in the model's unit (`VarianceUnit`).
extension ResidualSearch {
  /// The model; only the factors of low-rank blocks are copied.
  public func image(context: CallContext) throws(CoverTreeError) -> FileImage {
    var sections = try ModelSettings(model, datasetIndices, lowRankBlocks).sections()
    sections += [
      Section("points", model.inputs.points, columns: model.dim),
      Section("inducing_points", model.inputs.inducing, columns: model.dim),
      Section("order", model.order),
      Section("coordinates", model.coordinates, columns: model.dim),
      Section("v_matrix", model.features, columns: model.rank),
      Section("residual_variance", model.residualVariance),
    ]
    if let removed { sections.append(Section("removed", removed.marks)) }
    if let datasetIndices { sections.append(Section("indices", datasetIndices.ofNumbers)) }
    if let inducingFeatures = model.inducingFeatures {
      sections.append(Section("whitening.factor", inducingFeatures.factor.strips))
    }
    if let lowRankBlocks {
      sections += try lowRankBlocks.arrays.sections("skeletons", lowRankBlocks.blocks)
      if let regions = lowRankBlocks.knownRegions {
        if lowRankBlocks.blocksPerRegion > 1 {
          sections += try regions.arrays.sections("regions", regions.lowRankBlocks)
        }
        sections.append(Section("products.elements", regions.products.elements))
        sections.append(Section("products.bounds", regions.products.bounds, columns: model.count))
      }
    }
    return FileImage(kind: .residual, inputHash: try pointHash(context), sections: sections)
  }

  /// Opens a model in a file; see `CoverTree`.
  ///
  /// - Parameter callback: the kernel, if it is the caller's.
  public static func opened(
    _ file: StoredFile, callback: CallbackKernel?, context: CallContext
  ) throws(CoverTreeError) -> ResidualSearch {
    let start = monotonicSeconds()
    try file.expect(.residual)
    try file.verify(context: context)
    let whole = try ResidualSearch(file, callback, since: start, context: context)
    guard file.section(named: "removed") != nil else { return whole }
    let marks: Buffer<UInt8> = try file.buffer("removed", rows: whole.model.count)
    guard marks.elements.allSatisfy({ $0 <= 1 }) else { throw file.corrupt("section \"removed\": expected 0 or 1") }
    return try whole.leavingOut(RemovedPoints(marks), since: start)
  }

  /// The model with all of its points.
  private convenience init(
    _ file: StoredFile, _ callback: CallbackKernel?, since start: Double, context: CallContext
  ) throws(CoverTreeError) {
    let settings = try ModelSettings(file, callback)
    let model = try ResidualModel(file, settings, since: start, context: context)
    let lowRankBlocks: LowRankBlocks? =
      if settings.blocksPerRegion == 0 {
        nil
      } else if file.section(named: "skeletons.ranks") == nil {
        // An earlier version wrote other arrays.
        try LowRankBlocks(model, mostBlocks: Sizes().blocks, worth: .infinity, context: context)
      } else {
        try LowRankBlocks(file, model, blocksPerRegion: settings.blocksPerRegion, context: context)
      }
    try self.init(model, DatasetIndices(file, settings), lowRankBlocks, since: start, context: context)
  }

  /// The number of coordinates of a point in a file, whose settings are checked. Throws if the file needs the caller's kernel and there
  /// is none, or the reverse.
  public static func dimension(in file: StoredFile, hasCallback: Bool) throws(CoverTreeError) -> Int {
    try file.expect(.residual)
    let settings = try ModelSettings(file, hasCallback ? CallbackKernel { _, _, _, _, _ in } : nil)
    let inducing = settings.hasGivenFeatures ? 0 : settings.featureCount
    _ = try file.buffer("points", of: Double.self, rows: settings.count, columns: settings.dim)
    _ = try file.buffer("inducing_points", of: Double.self, rows: inducing, columns: settings.dim)
    _ = try DatasetIndices(file, settings)
    return settings.dim
  }
}

extension DatasetIndices {
  /// Returns nil if a file has none.
  fileprivate convenience init?(_ file: StoredFile, _ settings: ModelSettings) throws(CoverTreeError) {
    guard let next = settings.nextIndex else { return nil }
    try file.verify("indices")
    let indices: Buffer<Int64> = try file.buffer("indices", rows: settings.count)
    let last = settings.count - 1
    guard indices[0] >= 0, indices[last] < Int64(next), (0..<last).allSatisfy({ indices[$0] < indices[$0 + 1] }) else {
      throw file.corrupt("section \"indices\": expected ascending numbers below \(next)")
    }
    self.init(indices, next: next)
  }
}

/// The sections "settings", "numbers" and "lengthscale".
private struct ModelSettings {
  let count: Int
  let dim: Int
  let featureCount: Int
  let unit: VarianceUnit
  /// In the unit, as the variance.
  let covariance: Covariance
  let hasGivenFeatures: Bool
  /// 0 without low-rank blocks.
  let blocksPerRegion: Int
  let blockSize: Int
  let variance: Double
  let jitter: Double
  /// The index that the next point gets, of a model with indices of its own: one number more, so that readers that do not know it refuse the
  /// file.
  let nextIndex: Int?

  var rank: Int { (featureCount + 7) / 8 * 8 }

  init(_ model: ResidualModel, _ datasetIndices: DatasetIndices?, _ lowRankBlocks: LowRankBlocks?) {
    nextIndex = datasetIndices?.next
    (count, dim, featureCount, blockSize) = (model.count, model.dim, model.featureCount, model.blockSize)
    (covariance, hasGivenFeatures, unit) = (model.covariance, model.hasGivenFeatures, model.unit)
    blocksPerRegion = lowRankBlocks?.blocksPerRegion ?? 0
    (variance, jitter) = (model.variance, model.inducingFeatures?.jitter ?? 0)
  }

  func sections() throws(CoverTreeError) -> [Section] {
    let settings = try Buffer<Int64>(count: nextIndex == nil ? 7 : 8)
    if let nextIndex { settings[7] = Int64(nextIndex) }
    let numbers = try Buffer<Double>(count: 3)
    let kernel = try Covariance.encoded(covariance.unscaledKernel(unit))
    (settings[0], settings[1], settings[2]) = (Int64(count), Int64(dim), Int64(featureCount))
    (settings[3], numbers[1]) = (kernel.number, kernel.variance)
    settings[4] = hasGivenFeatures ? 1 : 0
    (settings[5], settings[6]) = (Int64(blockSize), Int64(blocksPerRegion))
    (numbers[0], numbers[2]) = (unit.unscaled(variance), jitter)
    return [Section("settings", settings), Section("numbers", numbers), Section("lengthscale", kernel.lengthscale)]
  }

  init(_ file: StoredFile, _ callback: CallbackKernel?) throws(CoverTreeError) {
    for name in ["settings", "numbers", "lengthscale"] { try file.verify(name) }
    let hasIndices = file.section(named: "indices") != nil
    let settings: Buffer<Int64> = try file.buffer("settings", rows: hasIndices ? 8 : 7)
    let numbers: Buffer<Double> = try file.buffer("numbers", rows: 3)
    let lengthscale: Buffer<Double> = try file.buffer("lengthscale")
    guard (1..<Int64(Int32.max)).contains(settings[0]), (1...65536).contains(settings[1]),
      (0..<Int64(Int32.max)).contains(settings[2]), numbers[0] > 0, numbers[0].isFinite, numbers[2] >= 0,
      (0...1).contains(settings[4]), ResidualSearch.Tuning.allows(blockSize: Int(clamping: settings[5])),
      (0...max(1, (settings[0] + settings[5] - 1) / settings[5])).contains(settings[6])
    else { throw file.corrupt("section \"settings\" or \"numbers\" is out of range") }
    guard !hasIndices || (settings[0]..<Int64(Int32.max)).contains(settings[7]) else {
      throw file.corrupt("section \"settings\" is out of range")
    }
    nextIndex = hasIndices ? Int(settings[7]) : nil
    (count, dim, featureCount) = (Int(settings[0]), Int(settings[1]), Int(settings[2]))
    (hasGivenFeatures, blocksPerRegion, blockSize) = (settings[4] == 1, Int(settings[6]), Int(settings[5]))
    do throws(CoverTreeError) {
      unit = try VarianceUnit(forVariance: numbers[0])
    } catch {
      throw file.corrupt("section \"numbers\" is out of range")
    }
    (variance, jitter) = (unit.scaled(numbers[0]), numbers[2])
    let given = try Covariance(file, number: settings[3], variance: numbers[1], lengthscale, callback, dim: dim)
    covariance = given.scaled(unit)
  }
}

extension ResidualModel {
  fileprivate convenience init(
    _ file: StoredFile, _ settings: ModelSettings, since start: Double, context: CallContext
  ) throws(CoverTreeError) {
    let (count, dim) = (settings.count, settings.dim)
    let order: Buffer<Int32> = try file.buffer("order", rows: count)
    guard
      let arranged = try ArrangedPoints(
        order: order, coordinates: file.numbers("coordinates", rows: count, columns: dim, context: context))
    else { throw file.corrupt("section \"order\": an index is out of range or there twice") }
    let inducing: Buffer<Double> = try file.numbers("inducing_points", columns: dim, context: context)
    let inputs = ModelInputs(
      points: try file.numbers("points", rows: count, columns: dim, context: context), inducing: inducing,
      pointHash: file.inputHash)
    let variances: Buffer<Double> = try file.numbers("residual_variance", rows: count, context: context)
    guard variances.elements.allSatisfy({ $0 > 0 }) else {
      throw file.corrupt("section \"residual_variance\": expected finite variances above 0")
    }
    var inducingFeatures: InducingFeatures?
    // New points get as many features as the others have.
    guard inducing.count / dim == (settings.hasGivenFeatures ? 0 : settings.featureCount) else {
      throw file.corrupt("section \"inducing_points\": there are not as many as features")
    }
    if inducing.count > 0 {
      let strips: Buffer<Double> = try file.numbers("whitening.factor", context: context)
      guard strips.count == CholeskyFactor.stripElements(settings.featureCount)
      else { throw file.corrupt("section \"whitening.factor\" is not that of the inducing points") }
      let view = PointsView(inducing, count: settings.featureCount, dim: dim)
      inducingFeatures = InducingFeatures(
        inducing: try scaledCoordinates(view, settings.covariance, context), dim: dim,
        covariance: settings.covariance, jitter: settings.jitter,
        factor: CholeskyFactor(count: settings.featureCount, strips: strips))
    }
    try self.init(
      Shared(
        unit: settings.unit, covariance: settings.covariance, dim: dim, variance: settings.variance,
        blockSize: settings.blockSize),
      inputs, arranged,
      PointFeatures(
        rows: file.numbers("v_matrix", rows: settings.rank == 0 ? 0 : count, columns: settings.rank, context: context),
        residualVariance: variances, count: settings.featureCount, inducing: inducingFeatures,
        areGiven: settings.hasGivenFeatures),
      orderSeconds: 0, since: start, context: context)
  }
}

extension LowRankArrays {
  fileprivate func sections(_ prefix: String, _ lowRankBlocks: [LowRankBlock]) throws(CoverTreeError) -> [Section] {
    [
      Section("\(prefix).pivot_offsets", pivotOffsets), Section("\(prefix).pivots", pivots),
      Section("\(prefix).ranks", ranks),
      Section("\(prefix).coefficients", coefficients), Section("\(prefix).norms", remainingNorms),
      Section("\(prefix).combinations", try combinations(of: lowRankBlocks)),
    ]
  }

  fileprivate static func read(
    _ file: StoredFile, _ prefix: String, _ model: ResidualModel, pointsEach: Int, context: CallContext
  ) throws(CoverTreeError) -> ([LowRankBlock], LowRankArrays) {
    let count = (model.count + pointsEach - 1) / pointsEach
    let arrays = try LowRankArrays(
      pointsEach: pointsEach, pointCount: model.count,
      pivotOffsets: file.buffer("\(prefix).pivot_offsets", rows: count + 1), pivots: file.buffer("\(prefix).pivots"),
      ranks: file.buffer("\(prefix).ranks", rows: count), coefficients: file.buffer("\(prefix).coefficients"),
      remainingNorms: file.buffer("\(prefix).norms"))
    guard arrays.isConsistent,
      let lowRankBlocks = try arrays.lowRankBlocks(
        file.numbers("\(prefix).combinations", context: context), model, context: context)
    else { throw file.corrupt("its \(prefix) are not those of \(model.count) points") }
    return (lowRankBlocks, arrays)
  }
}

extension LowRankBlocks {
  fileprivate convenience init(
    _ file: StoredFile, _ model: ResidualModel, blocksPerRegion perRegion: Int, context: CallContext
  ) throws(CoverTreeError) {
    let (blocks, arrays) = try LowRankArrays.read(
      file, "skeletons", model, pointsEach: model.blockSize, context: context)
    var regions: Regions?
    if file.section(named: "products.bounds") != nil {
      let (lowRankBlocks, arrays) =
        perRegion == 1
        ? (blocks, arrays)
        : try LowRankArrays.read(file, "regions", model, pointsEach: model.blockSize * perRegion, context: context)
      guard
        let products = try BasisProducts(
          lowRankBlocks, pointCount: model.count, elements: perRegion == 1 ? try file.buffer("products.elements") : nil,
          bounds: file.buffer("products.bounds", columns: model.count))
      else { throw file.corrupt("section \"products.elements\" or \"products.bounds\" is not that of its skeletons") }
      regions = Regions(lowRankBlocks, arrays, products, seconds: 0)
    }
    self.init(model, blocks, arrays, blocksPerRegion: perRegion, regions: regions)
  }
}
