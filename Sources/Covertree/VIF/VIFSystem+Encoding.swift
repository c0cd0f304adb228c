import CovertreeBase
import CovertreeFiles

/// Models as files: the caller's input, `V` and the factor of the inducing points, the factor `B` and `D`, `W`, and the factor of `M`.
/// `docs/file-format.md` lists the sections. What is cheap is computed when a file is opened: scaled coordinates, and who has a point in
/// its set.
extension VIFSystem {
  /// The model; the caller's input is copied, by row and by rank.
  public func image(context: CallContext) throws(CoverTreeError) -> FileImage {
    let (data, count) = (model.data, model.count)
    let points = try Buffer<Double>(count: count * model.dim)
    let noise = try Buffer<Double>(count: count)
    for position in 0..<count {
      let row = Int(data.rowOfPosition[position])
      (points.base + row * model.dim).update(from: data.points.base + position * model.dim, count: model.dim)
      noise[row] = model.noise[position]
    }
    let view = PointsView(points, count: count, dim: model.dim)
    var sections = try VIFSettings(model).sections()
    sections += try data.sections()
    sections += [
      Section("points", points, columns: model.dim), Section("noise", noise),
      Section("inducing_points", data.inducing, columns: model.dim), Section("positions", data.rowOfPosition),
      Section("v_matrix", model.features, columns: model.rank), Section("weights", factor.weights),
      Section("variances", factor.variances), Section("innovations", factor.innovations, columns: model.rank),
    ]
    if let inducing = model.inducing, let inner {
      sections += [Section("whitening.factor", inducing.factor.strips), Section("inner.factor", inner.strips)]
    }
    return FileImage(kind: .vif, inputHash: try view.hash(context: context), sections: sections)
  }

  /// Opens a model in a file; see `CoverTree`.
  ///
  /// - Parameter callback: the kernel, if it is the caller's.
  public convenience init(_ file: StoredFile, callback: CallbackKernel?, context: CallContext) throws(CoverTreeError) {
    try file.expect(.vif)
    try file.verify(context: context)
    let settings = try VIFSettings(file, callback)
    let (count, rank) = (settings.count, settings.rank)
    let noise: Buffer<Double> = try file.numbers("noise", rows: count, context: context)
    let data = try file.points(settings, noise, context)
    let features: Buffer<Double> = try file.numbers(
      "v_matrix", rows: rank == 0 ? 0 : count, columns: rank, context: context)
    let known = VIFModel.Known(
      widest: settings.widest, features: features,
      factor: rank == 0
        ? nil : try file.factor("whitening.factor", count: settings.inducingCount, context: context),
      jitter: settings.addedJitter)
    let model = try file.rejecting { () throws(CoverTreeError) in
      try VIFModel(data, settings.covariance, noise.elements, known, context: context)
    }
    let variances: Buffer<Double> = try file.numbers("variances", rows: count, context: context)
    guard variances.elements.allSatisfy({ $0 > 0 }) else {
      throw file.corrupt("section \"variances\": expected finite variances above 0")
    }
    let factor = VIFFactor(
      model, weights: try file.numbers("weights", rows: model.graph.members.count, context: context),
      variances: variances,
      innovations: try file.numbers("innovations", rows: rank == 0 ? 0 : count, columns: rank, context: context))
    let inner = rank == 0 ? nil : try file.factor("inner.factor", count: rank, context: context)
    self.init(factor, inner: inner)
  }

  /// The number of coordinates of a point in a file, whose settings are checked. Throws if the file needs the caller's kernel and there
  /// is none, or the reverse.
  public static func dimension(in file: StoredFile, hasCallback: Bool) throws(CoverTreeError) -> Int {
    try file.expect(.vif)
    let settings = try VIFSettings(file, hasCallback ? CallbackKernel { _, _, _, _, _ in } : nil)
    _ = try file.buffer("points", of: Double.self, rows: settings.count, columns: settings.dim)
    _ = try file.buffer("inducing_points", of: Double.self, rows: settings.inducingCount, columns: settings.dim)
    return settings.dim
  }
}

extension StoredFile {
  /// A Cholesky factor.
  fileprivate func factor(
    _ name: String, count: Int, context: CallContext
  ) throws(CoverTreeError) -> CholeskyFactor {
    let strips: Buffer<Double> = try numbers(name, context: context)
    guard strips.count == CholeskyFactor.stripElements(count) else {
      throw corrupt("section \"\(name)\" is not that of the inducing points")
    }
    return CholeskyFactor(count: count, strips: strips)
  }

  /// Makes something of the file's content; what a caller may not give, a file may not have.
  fileprivate func rejecting<Result>(
    _ body: () throws(CoverTreeError) -> Result
  ) throws(CoverTreeError) -> Result {
    do throws(CoverTreeError) {
      return try body()
    } catch  where error.kind == .invalidArgument || error.kind == .shape {
      throw corrupt(error.message)
    }
  }
}

/// The sections "settings", "numbers" and "lengthscale".
private struct VIFSettings {
  let count: Int
  let dim: Int
  let inducingCount: Int
  let covariance: Covariance
  let widest: Int
  let wantedJitter: Double
  let addedJitter: Double

  /// The number of features, zeros included.
  var rank: Int { (inducingCount + tileRows - 1) / tileRows * tileRows }

  init(_ model: VIFModel) {
    (count, dim, inducingCount, covariance) = (model.count, model.dim, model.inducingCount, model.covariance)
    (widest, wantedJitter, addedJitter) = (model.widest, model.data.jitter, model.jitter)
  }

  func sections() throws(CoverTreeError) -> [Section] {
    let settings = try Buffer<Int64>(count: 5)
    let numbers = try Buffer<Double>(count: 3)
    var known: Kernel?
    if case .kernel(let kernel) = covariance { known = kernel }
    let kernel = try Covariance.encoded(known)
    (settings[0], settings[1], settings[2]) = (Int64(count), Int64(dim), Int64(inducingCount))
    (settings[3], settings[4], numbers[0]) = (kernel.number, Int64(widest), kernel.variance)
    (numbers[1], numbers[2]) = (wantedJitter, addedJitter)
    return [Section("settings", settings), Section("numbers", numbers), Section("lengthscale", kernel.lengthscale)]
  }

  init(_ file: StoredFile, _ callback: CallbackKernel?) throws(CoverTreeError) {
    for name in ["settings", "numbers", "lengthscale"] { try file.verify(name) }
    let settings: Buffer<Int64> = try file.buffer("settings", rows: 5)
    let numbers: Buffer<Double> = try file.buffer("numbers", rows: 3)
    let lengthscale: Buffer<Double> = try file.buffer("lengthscale")
    let jitters = 0...InducingFeatures.maximumJitter
    guard (1..<Int64(Int32.max)).contains(settings[0]), (1...65536).contains(settings[1]),
      (0..<Int64(Int32.max)).contains(settings[2]), (0..<settings[0]).contains(settings[4]),
      jitters.contains(numbers[1]), jitters.contains(numbers[2])
    else { throw file.corrupt("section \"settings\" or \"numbers\" is out of range") }
    (count, dim, inducingCount) = (Int(settings[0]), Int(settings[1]), Int(settings[2]))
    (widest, wantedJitter, addedJitter) = (Int(settings[4]), numbers[1], numbers[2])
    covariance = try Covariance(file, number: settings[3], variance: numbers[0], lengthscale, callback, dim: dim)
  }
}

extension VIFPoints {
  /// The caller's order and sets, by rank.
  fileprivate func sections() throws(CoverTreeError) -> [Section] {
    let order = try Buffer<Int64>(count: count)
    let rankOfPosition = try Buffer<Int64>(count: count)
    for rank in 0..<count {
      order[rank] = Int64(rowOfPosition[positionOfRank[rank]])
      rankOfPosition[positionOfRank[rank]] = Int64(rank)
    }
    let offsets = try Buffer<Int64>(count: count + 1)
    let neighbors = try Buffer<Int64>(count: graph.members.count)
    var next = 0
    for rank in 0..<count {
      offsets[rank] = Int64(next)
      for member in graph.set(of: Int(positionOfRank[rank])) {
        neighbors[next] = rankOfPosition[member]
        next += 1
      }
    }
    offsets[count] = Int64(next)
    return [Section("order", order), Section("offsets", offsets), Section("neighbors", neighbors)]
  }
}

extension StoredFile {
  fileprivate func points(
    _ settings: VIFSettings, _ noise: Buffer<Double>, _ context: CallContext
  ) throws(CoverTreeError) -> VIFPoints {
    let (count, dim) = (settings.count, settings.dim)
    let points: Buffer<Double> = try numbers("points", rows: count, columns: dim, context: context)
    let inducing: Buffer<Double> = try numbers(
      "inducing_points", rows: settings.inducingCount, columns: dim, context: context)
    let positions: Buffer<Int32> = try buffer("positions", rows: count)
    guard try ArrangedPoints(order: positions, coordinates: points) != nil else {
      throw corrupt("section \"positions\": a row is out of range or there twice")
    }
    let order: Buffer<Int64> = try buffer("order", rows: count)
    let offsets: Buffer<Int64> = try buffer("offsets", rows: count + 1)
    let neighbors: Buffer<Int64> = try buffer("neighbors")
    let inputs = VIFModel.Inputs(
      points: PointsView(points, count: count, dim: dim), covariance: settings.covariance, noise: noise.elements,
      inducing: PointsView(inducing, count: settings.inducingCount, dim: dim), jitter: settings.wantedJitter,
      order: order.elements, offsets: offsets.elements, neighbors: neighbors.elements)
    return try rejecting { () throws(CoverTreeError) in try VIFPoints(inputs.points, inputs, positions, context) }
  }
}
