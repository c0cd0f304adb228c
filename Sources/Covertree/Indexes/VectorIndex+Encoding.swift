import CovertreeBase
import CovertreeFiles

/// Indexes as files: the sections of `docs/file-format.md`, with arrays as they are in memory.
extension VectorIndex {
  /// The image of the index as a file. Searches continue, changes wait.
  public func withImage<Result>(
    context: CallContext, _ body: (FileImage) throws(CoverTreeError) -> Result
  ) throws(CoverTreeError) -> Result {
    while true {
      // Removed rows of a store may be missing when the file is opened.
      if store != nil { try forgetDead(context: context) }
      let result = try readWriteLock.reading(context) { () throws(CoverTreeError) -> Result? in
        guard store == nil || table.deadCount == 0 else { return nil }
        return try body(image())
      }
      if let result { return result }
    }
  }

  private func image() throws(CoverTreeError) -> FileImage {
    let settings = try Buffer<Int64>(count: IndexSettings.count)
    IndexSettings(table).write(to: settings)
    let sections = [Section("settings", settings)] + (try table.sections()) + structure.sections
    let hash = splitMix64(UInt64(table.liveCount)) ^ splitMix64(UInt64(bitPattern: table.nextID))
    return FileImage(kind: .index, inputHash: hash, sections: sections)
  }

  /// Opens an index in a file. Checksums are compared, and every number that is used as an offset is checked: O(n), at the speed of
  /// reading.
  ///
  /// - Parameter store: the store with its vectors in the same slots; nil for an index with own vectors.
  package convenience init(
    _ file: StoredFile, over store: (any RowStore)? = nil, context: CallContext
  ) throws(CoverTreeError) {
    let settings = try IndexSettings(file)
    try settings.expect(over: store, file)
    try file.verify(context: context)
    let table = try VectorTable(file, settings, over: store, context: context)
    let structure: any IndexStructure =
      switch settings.options.kind {
      case .bruteForce: BruteForce(table)
      case .kdTree: try KDTreeIndex(table, file)
      case .lsh: try LSH(table, file, context: context)
      case .hnsw: try HNSW(table, file, context: context)
      }
    self.init(table: table, structure: structure)
  }

  /// Throws unless a file has an index with own vectors, as far as its header shows.
  public static func check(_ file: StoredFile) throws(CoverTreeError) {
    try IndexSettings(file).expect(over: nil, file)
  }
}

struct IndexSettings {
  static let count = 21

  let dim: Int
  let count: Int
  let nextID: Int64
  let options: IndexOptions
  /// Whether there are bytes in addition to float32; nil if that is not decided.
  let hasBytes: Bool?
  /// Whether vectors are in a store.
  let isPinned: Bool

  init(_ table: VectorTable) {
    (dim, count, nextID, options) = (table.dim, table.count, table.nextID, table.options)
    hasBytes = table.isJudged ? table.small != nil : nil
    isPinned = table.exact?.source != nil
  }

  private static var amounts: [WritableKeyPath<IndexOptions, Int>] {
    [\.leafSize, \.bitCount, \.tableCount, \.probeCount, \.candidateCount, \.m, \.efConstruction, \.efSearch]
  }

  func write(to settings: Buffer<Int64>) {
    let numbers: [Int64] =
      [
        Int64(dim), Int64(count), nextID, Int64(options.kind.rawValue), Int64(options.metric.rawValue),
        Int64(options.storage.rawValue), options.reranks ? 1 : 0, Int64(options.split.rawValue),
        Int64(options.lshMode.rawValue), Int64(bitPattern: options.seed), hasBytes.map { $0 ? 1 : 0 } ?? -1,
        isPinned ? 1 : 0, 0,
      ] + Self.amounts.map { Int64(options[keyPath: $0]) }
    for (position, number) in numbers.enumerated() { settings[position] = number }
  }

  init(_ file: StoredFile) throws(CoverTreeError) {
    try file.expect(.index)
    try file.verify("settings")
    let settings: Buffer<Int64> = try file.buffer("settings", rows: Self.count)
    func known<Case: RawRepresentable<Int32>>(_ position: Int) -> Case? {
      Int32(exactly: settings[position]).flatMap(Case.init(rawValue:))
    }
    var options = IndexOptions()
    guard (1...65536).contains(settings[0]), (0..<Int64(Int32.max)).contains(settings[1]),
      let kind: IndexKind = known(3), let metric: IndexMetric = known(4), let storage: VectorStorage = known(5),
      let split: SplitRule = known(7), let mode: LSHMode = known(8), (0...1).contains(settings[6]),
      (-1...1).contains(settings[10]), (0...1).contains(settings[11])
    else { throw file.corrupt("section \"settings\" is out of range") }
    (options.kind, options.metric, options.storage) = (kind, metric, storage)
    (options.split, options.lshMode) = (split, mode)
    (options.reranks, options.seed) = (settings[6] == 1, UInt64(bitPattern: settings[9]))
    for (position, amount) in Self.amounts.enumerated() { options[keyPath: amount] = Int(settings[13 + position]) }
    do throws(CoverTreeError) { try options.check() } catch {
      throw file.corrupt("section \"settings\": \(error.message)")
    }
    (dim, count, nextID, self.options) = (Int(settings[0]), Int(settings[1]), settings[2], options)
    hasBytes = settings[10] < 0 ? nil : settings[10] == 1
    isPinned = settings[11] == 1
  }

  /// Throws if vectors are in a store and none is given, or the reverse, or the store does not fit.
  func expect(over store: (any RowStore)?, _ file: StoredFile) throws(CoverTreeError) {
    guard isPinned == (store != nil) else {
      throw CoverTreeError(
        .invalidArgument,
        isPinned
          ? "store: the vectors of this index are in a store; open it over that"
          : "store: this index has its own vectors")
    }
    guard let store else { return }
    guard store.dim == dim else {
      throw CoverTreeError(.shape, "store: has vectors of \(store.dim) coordinates, the index of \(dim)")
    }
    do throws(CoverTreeError) { try options.checkPinned() } catch {
      throw file.corrupt("section \"settings\": \(error.message)")
    }
  }
}

extension VectorTable {
  func sections() throws(CoverTreeError) -> [Section] {
    try [Section("ids", ids.buffer), Section("serials", serials.buffer), Section("dead", dead.buffer)]
      + (exact?.sections("exact") ?? []) + (small?.sections("small") ?? [])
  }

  fileprivate convenience init(
    _ file: StoredFile, _ settings: IndexSettings, over store: (any RowStore)?, context: CallContext
  ) throws(CoverTreeError) {
    let (options, count) = (settings.options, settings.count)
    let products = options.metric.comparesProducts
    let padded = options.kind != .kdTree
    var (exact, small): (VectorRows?, VectorRows?)
    if let store {
      let source = RowSource(store, scales: options.metric.normalizes)
      exact = try VectorRows(file, of: source, products: products, count: count)
    } else if options.storage == .float32 || options.reranks {
      exact = try VectorRows(
        file, "exact", .float32, dim: settings.dim, products: products, padded: padded, count: count, context: context)
    }
    if options.storage != .float32 || settings.hasBytes == true {
      small = try VectorRows(
        file, "small", options.storage == .float32 ? .int8 : options.storage, dim: settings.dim, products: products,
        padded: true, count: count, context: context)
    }
    let serials: Buffer<Int32> = try file.buffer("serials", rows: count)
    let dead: Buffer<UInt8> = try file.buffer("dead", rows: count)
    guard serials.elements.allSatisfy({ $0 >= 0 && $0 < Int32.max }), dead.elements.allSatisfy({ $0 <= 1 }) else {
      throw file.corrupt("section \"serials\" or \"dead\" is out of range")
    }
    // Searches do not look up the next ids.
    let (ids, nextID): (Buffer<Int64>, Int64) = (try file.buffer("ids", rows: count), settings.nextID)
    guard nextID >= 0, nextID == .max || ids.elements.allSatisfy({ $0 < nextID }) else {
      throw file.corrupt("section \"settings\": the next id, \(nextID), does not follow all others")
    }
    try self.init(
      dim: settings.dim, options: options, exact: exact, small: small, ids: ids, serials: serials, dead: dead,
      nextID: nextID)
    isJudged = settings.hasBytes != nil
    if let order = try arrivalOrder(from: 0, context: context) {
      guard (1..<count).allSatisfy({ serials[order[$0 - 1]] < serials[order[$0]] }) else {
        throw file.corrupt("section \"serials\": one is there twice")
      }
    }
  }
}

extension HNSW {
  var sections: [Section] {
    [
      Section("graph.levels", levels.buffer), Section("graph.links", links.buffer, columns: degree),
      Section("graph.upper_first", upperFirst.buffer), Section("graph.upper_links", upperLinks.buffer),
    ] + twins.sections
  }

  convenience init(_ table: VectorTable, _ file: StoredFile, context: CallContext) throws(CoverTreeError) {
    let count = table.count
    try self.init(
      table, Twins(table, file), levels: GrowableBuffer(viewing: file.buffer("graph.levels", rows: count)),
      links: GrowableBuffer(viewing: file.buffer("graph.links", rows: count, columns: 2 * table.options.m)),
      upperFirst: GrowableBuffer(viewing: file.buffer("graph.upper_first", rows: count)),
      upperLinks: GrowableBuffer(viewing: file.buffer("graph.upper_links")))
    try checkPositions(file, context: context)
    findEntry()
  }

  /// Checks the offsets in a graph. Searches follow them; changes write to the lists, and renumber all links.
  private func checkPositions(_ file: StoredFile, context: CallContext) throws(CoverTreeError) {
    guard levels.elements.allSatisfy({ $0 <= HNSW.mostLevels }) else {
      throw file.corrupt("section \"graph.levels\" is out of range")
    }
    guard try upperListsHaveOneOwner() else {
      throw file.corrupt("section \"graph.upper_first\": a list belongs to two vectors, or to no vector")
    }
    try context.forEach(levels.count, grain: 1 << 12) { (range, _) throws(CoverTreeError) in
      for slot in range where !leadSomewhere(slot) {
        throw file.corrupt("section \"graph.links\": those of \(slot) lead nowhere")
      }
    }
  }

  /// Whether every list of a higher level belongs to one vector, and none to vectors on level 0 alone.
  private func upperListsHaveOneOwner() throws(CoverTreeError) -> Bool {
    let hasOwner = try Buffer<UInt8>(count: upperLinks.count / m, filledWith: 0)
    guard hasOwner.count * m == upperLinks.count else { return false }
    var total = 0
    for slot in 0..<levels.count {
      let (level, first) = (Int(levels[slot]), Int(upperFirst[slot]))
      guard level > 0 else {
        guard first == -1 else { return false }
        continue
      }
      guard first >= 0, first % m == 0, first / m + level <= hasOwner.count else { return false }
      for list in first / m..<first / m + level {
        guard hasOwner[list] == 0 else { return false }
        hasOwner[list] = 1
      }
      total += level
    }
    return total == hasOwner.count
  }

  /// Whether the links of a vector lead to nodes on their level, and none comes after the end of a list. Twins have no links.
  private func leadSomewhere(_ slot: Int) -> Bool {
    let (level, isNode) = (Int(levels[slot]), twins.isNode(slot))
    guard isNode || level == 0 else { return false }
    let lists = lists
    return (0...level).allSatisfy { level in
      let list = lists.list(Int32(slot), level)
      var hasEnded = false
      for position in 0..<lists.capacity(level) {
        let link = list[position]
        if link == HNSW.noLink {
          hasEnded = true
        } else {
          guard isNode, !hasEnded, link >= 0, link < levels.count, twins.isNode(Int(link)), level <= Int(levels[link])
          else { return false }
        }
      }
      return true
    }
  }
}

extension KDTreeIndex {
  var sections: [Section] {
    guard let boxes else { return [] }
    return [
      Section("boxes.coordinates", boxes.coordinates.scalars(Float.self), columns: Float.width),
      Section("boxes.labels", boxes.indices),
      Section("boxes.sides", boxes.boxes.scalars(Float.self), columns: Float.width),
      Section("boxes.smallest_label", boxes.smallestIndex),
    ]
  }

  convenience init(_ table: VectorTable, _ file: StoredFile) throws(CoverTreeError) {
    guard file.section(named: "boxes.labels") != nil else {
      try self.init(table, nil)
      return
    }
    let indices: Buffer<Int32> = try file.buffer("boxes.labels")
    let count = indices.elements.firstIndex(of: KDTree<Float>.noIndex) ?? indices.count
    let seen = try Buffer<UInt8>(count: count, filledWith: 0)
    func isNew(_ index: Int32) -> Bool {
      guard index >= 0, index < count, seen[index] == 0 else { return false }
      seen[index] = 1
      return true
    }
    guard count > 0, count <= table.count, indices.elements[..<count].allSatisfy(isNew),
      indices.elements[count...].allSatisfy({ $0 == KDTree<Float>.noIndex })
    else { throw file.corrupt("section \"boxes.labels\": an index is out of range or there twice") }
    guard
      let boxes = try KDTree<Float>(
        count: count, dim: table.dim, leafSize: table.options.leafSize,
        coordinates: try file.buffer("boxes.coordinates", of: Float.self, columns: Float.width).vectors(),
        indices: indices, boxes: try file.buffer("boxes.sides", of: Float.self, columns: Float.width).vectors(),
        smallestIndex: try file.buffer("boxes.smallest_label"))
    else { throw file.corrupt("its boxes are not those of \(count) points") }
    try self.init(table, boxes)
  }
}

extension LSH {
  var sections: [Section] {
    guard planes.isPlaced else { return [] }
    return [Section("planes.middles", planes.middles), Section("planes.longest", planes.longest)] + hashes.sections
  }

  convenience init(_ table: VectorTable, _ file: StoredFile, context: CallContext) throws(CoverTreeError) {
    try self.init(table)
    guard file.section(named: "planes.middles") != nil else {
      guard table.count == 0 else { throw file.corrupt("section \"planes.middles\" is missing") }
      return
    }
    let middles: Buffer<Float> = try file.buffer("planes.middles", rows: planes.count)
    let longest: Buffer<Double> = try file.buffer("planes.longest", rows: 1)
    guard middles.elements.allSatisfy(\.isFinite), longest[0] >= 0, longest[0].isFinite else {
      throw file.corrupt("section \"planes.middles\" or \"planes.longest\" is out of range")
    }
    planes.setMiddles(middles: middles, longest: longest[0])
    try hashes.read(file, count: table.count, context: context)
  }
}

extension HammingCodes {
  var sections: [Section] { [Section("codes", codes.buffer.reinterpreted(as: Int32.self))] }

  func read(_ file: StoredFile, count: Int, context: CallContext) throws(CoverTreeError) {
    set(try file.buffer("codes", of: Int32.self, rows: paddedCount(count) * words).reinterpreted(), count: count)
  }
}

extension HashTables {
  var sections: [Section] { [Section("buckets", buckets.buffer, columns: tables)] }

  func read(_ file: StoredFile, count: Int, context: CallContext) throws(CoverTreeError) {
    let buckets: Buffer<Int32> = try file.buffer("buckets", rows: count, columns: tables)
    guard buckets.elements.allSatisfy({ $0 >= 0 && $0 < 1 << Int32(bits) }) else {
      throw file.corrupt("section \"buckets\" is out of range")
    }
    try set(buckets, count: count, context: context)
  }
}
