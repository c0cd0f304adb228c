import CovertreeBase
import CovertreeFiles

/// Trees of a caller's metric as files. `docs/file-format.md` lists the sections: the arrays of a snapshot as they are in memory. The file
/// has no function. Who opens it gives that, and a few distances of the file are compared with it.
extension FunctionTree {
  func image(context: CallContext) throws(CoverTreeError) -> FileImage {
    let snapshot = snapshot
    let (layout, pivots, links) = (snapshot.layout, snapshot.pivots, snapshot.links)
    let indices = try Buffer<Int32>(count: pivots.count)
    for (number, index) in pivots.indices.enumerated() { indices[number] = index }
    var sections = [
      Section("settings", try FunctionSettings(snapshot, options).numbers()),
      snapshot.objects.section("objects"),
      Section("parent_distance", links.parentDistance),
      Section("reach", links.reach),
      Section("pivots.indices", indices),
      pivots.rows.section("pivots.objects"),
    ]
    sections += layout.sections(points: "embedding")
    if let removed = snapshot.removed { sections.append(Section("removed", removed)) }
    return FileImage(kind: .function, inputHash: try snapshot.inputHash(context), sections: sections)
  }

  /// Opens a tree in a file, with its metric. Checksums are compared, and every number that is used as an offset is checked.
  public convenience init(
    _ file: StoredFile, by function: DistanceFunction, context: CallContext
  ) throws(CoverTreeError) {
    let start = monotonicSeconds()
    let settings = try FunctionSettings(file)
    try file.verify(context: context)
    let type = settings.type
    let layout = try TreeLayout<Double>(
      file, points: "embedding", dim: settings.columns, within: DistanceFunction.largest,
      indexCount: settings.indexCount, context: context)
    let checked = try CheckedLayout(layout, indexCount: settings.indexCount, file, context: context)
    func distances(_ name: String) throws(CoverTreeError) -> Buffer<Double> {
      try file.numbers(name, rows: layout.count, within: DistanceFunction.largest, context: context)
    }
    _ = try distances("radius")
    let pivots = try PivotTable(file, settings, context: context)
    let links = try NodeLinks(
      layout, parentDistance: distances("parent_distance"), reach: distances("reach"), pivots)
    let objects = try ObjectRows(file, "objects", type, rows: layout.count, context: context)
    let sample = DistanceSample(layout: layout, objects: objects, pivots: pivots, links: links)
    var statistics = CoverStatistics()
    statistics.insertion.distanceEvaluations = try sample.check(function, seed: settings.seed, context: context)
    let snapshot = try FunctionSnapshot(
      layout, objects, pivots, links, removed: checked.removed, indexCount: settings.indexCount,
      statistics: statistics)
    self.init(snapshot, by: function, options: settings.options, seconds: monotonicSeconds() - start)
  }

  /// The elements of an object in a file, as a distance function gets them.
  public static func columns(in file: StoredFile) throws(CoverTreeError) -> Int {
    try file.expect(.function)
    return try FunctionSettings(file).type.columns
  }
}

extension FunctionSnapshot {
  /// The hash of the objects that searches find, as rows of numbers.
  fileprivate func inputHash(_ context: CallContext) throws(CoverTreeError) -> UInt64 {
    try sumOfHashes(layout.count, context) { (t, _) in
      guard isLive(Int32(t)) else { return 0 }
      let (row, index) = (objects.row(Int32(t)), Int(layout.order[t]))
      switch objects.type {
      case .float32(let dim): return hashOfPoint(index, row.assumingMemoryBound(to: Float.self), dim: dim)
      case .float64(let dim): return hashOfPoint(index, row.assumingMemoryBound(to: Double.self), dim: dim)
      case .number:
        return withUnsafePointer(to: Double(row.load(as: Int64.self))) { hashOfPoint(index, $0, dim: 1) }
      }
    }
  }
}

extension ObjectRows {
  fileprivate func section(_ name: String) -> Section {
    switch type {
    case .float32(let dim): Section(name, bytes.reinterpreted(as: Float.self), columns: dim)
    case .float64(let dim): Section(name, bytes.reinterpreted(as: Double.self), columns: dim)
    case .number: Section(name, bytes.reinterpreted(as: Int64.self))
    }
  }

  fileprivate convenience init(
    _ file: StoredFile, _ name: String, _ type: ObjectType, rows: Int, context: CallContext
  ) throws(CoverTreeError) {
    let bytes: Buffer<UInt8> =
      switch type {
      case .float32(let dim):
        try file.numbers(name, rows: rows, columns: dim, within: Float(Float.coordinateLimit), context: context)
          .reinterpreted()
      case .float64(let dim):
        try file.numbers(name, rows: rows, columns: dim, within: Double(Double.coordinateLimit), context: context)
          .reinterpreted()
      case .number: try file.buffer(name, of: Int64.self, rows: rows).reinterpreted()
      }
    self.init(bytes, type: type)
  }
}

extension PivotTable {
  fileprivate convenience init(
    _ file: StoredFile, _ settings: FunctionSettings, context: CallContext
  ) throws(CoverTreeError) {
    let indices = try file.buffer("pivots.indices", of: Int32.self)
    guard indices.count <= settings.columns, Set(indices.elements).count == indices.count,
      indices.elements.allSatisfy({ $0 >= 0 && $0 < settings.indexCount })
    else { throw file.corrupt("section \"pivots.indices\": expected different indices of points") }
    self.init(
      rows: try ObjectRows(file, "pivots.objects", settings.type, rows: indices.count, context: context),
      columns: settings.columns, indices: Array(indices.elements), chosenFrom: settings.chosenFrom,
      isLoose: settings.isLoose)
  }
}

/// The section "settings".
private struct FunctionSettings {
  static let count = 8

  let type: ObjectType
  let indexCount: Int
  let order: PointOrder
  let seed: UInt64
  /// Numbers of an embedding.
  let columns: Int
  let chosenFrom: Int
  let isLoose: Bool

  init(_ snapshot: FunctionSnapshot, _ options: TreeOptions) {
    (type, indexCount) = (snapshot.objects.type, snapshot.indexCount)
    (order, seed) = (options.order, options.seed)
    let pivots = snapshot.pivots
    (columns, chosenFrom, isLoose) = (pivots.columns, pivots.chosenFrom, pivots.isLoose)
  }

  init(_ file: StoredFile) throws(CoverTreeError) {
    try file.verify("settings")
    let numbers: Buffer<Int64> = try file.buffer("settings", rows: Self.count)
    guard (1...65536).contains(numbers[0]), (1..<Int64(Int32.max)).contains(numbers[1]),
      let order = Int32(exactly: numbers[2]).flatMap(PointOrder.init(rawValue:)),
      let type = ObjectType(element: numbers[4], columns: Int(numbers[0])),
      let columns = Int(exactly: numbers[5]), PivotTable.isWidth(columns),
      (1..<Int64(Int32.max)).contains(numbers[6]), (0...1).contains(numbers[7])
    else { throw file.corrupt("section \"settings\" is out of range") }
    (self.type, indexCount, self.order) = (type, Int(numbers[1]), order)
    seed = UInt64(bitPattern: numbers[3])
    (self.columns, chosenFrom, isLoose) = (columns, Int(numbers[6]), numbers[7] == 1)
  }

  func numbers() throws(CoverTreeError) -> Buffer<Int64> {
    let given: [Int64] = [
      Int64(type.columns), Int64(indexCount), Int64(order.rawValue), Int64(bitPattern: seed),
      Int64(type.element.rawValue), Int64(columns), Int64(chosenFrom), isLoose ? 1 : 0,
    ]
    let buffer = try Buffer<Int64>(count: Self.count)
    for (slot, number) in given.enumerated() { buffer[slot] = number }
    return buffer
  }

  var options: TreeOptions {
    var options = TreeOptions()
    (options.order, options.seed) = (order, seed)
    return options
  }
}

extension ObjectType {
  fileprivate var element: ElementType {
    switch self {
    case .float32: .float32
    case .float64: .float64
    case .number: .int64
    }
  }

  fileprivate init?(element: Int64, columns: Int) {
    switch UInt32(exactly: element).flatMap(ElementType.init(rawValue:)) {
    case .float32: self = .float32(dim: columns)
    case .float64: self = .float64(dim: columns)
    case .int64 where columns == 1: self = .number
    default: return nil
    }
  }
}

/// Some distances of a file, with which the caller's function is compared.
private struct DistanceSample {
  /// Pairs of a node and its parent, and as many of a node and a pivot.
  private static let pairs = 16
  /// Differences that may be roundings: a share of the distance, and of the radius of the tree.
  private static let tolerance = (own: 0x1p-12, whole: 0x1p-20)

  let layout: TreeLayout<Double>
  let objects: ObjectRows
  let pivots: PivotTable
  let links: NodeLinks

  /// Throws if the function gives other distances. Returns the number of evaluations.
  func check(_ function: DistanceFunction, seed: UInt64, context: CallContext) throws(CoverTreeError) -> Int {
    let evaluator = try PairEvaluator(function, objects.type, context: context)
    var known: [(first: Int32, second: Int32, distance: Double)] = []
    for number in 0..<Self.pairs {
      let random = (0..<2).map { Int(splitMix64(seed ^ UInt64(2 * number + $0)) % UInt64(layout.count)) }
      let node = random[0]
      if node > 0 {
        try evaluator.add(objects.row(layout.parents[node]), objects.row(Int32(node)))
        known.append((layout.order[layout.parents[node]], layout.order[node], links.parentDistance[node]))
      }
      guard pivots.count > 0 else { continue }
      let (pivot, other) = (number % pivots.count, random[1])
      try evaluator.add(pivots.rows.row(Int32(pivot)), objects.row(Int32(other)))
      known.append((pivots.indices[pivot], layout.order[other], layout.points[other * pivots.columns + pivot]))
    }
    for (pair, distance) in zip(known, try evaluator.run()) {
      let allowed =
        Self.tolerance.own * max(distance, pair.distance) + Self.tolerance.whole * layout.radius[0]
      guard abs(distance - pair.distance) <= allowed else {
        throw CoverTreeError(
          .invalidArgument,
          "metric: expected the one of the file, by which d(\(pair.first), \(pair.second)) = \(pair.distance), "
            + "got \(distance)")
      }
    }
    return evaluator.evaluations
  }
}
