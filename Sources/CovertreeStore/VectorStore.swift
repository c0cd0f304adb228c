import CNumerics
import Covertree
import CovertreeBase
import Glibc

/// A store of vectors, each once for any number of ids.
///
/// Equal vectors share a *slot*: a row that never moves while an id has it. A hash finds it, and a full comparison decides. A slot
/// without ids is used again after the change that freed it is committed.
///
/// In memory, or durable in a folder of three files: `catalogue.sqlite` (`CatalogueFile`), `rows.bin` (`RowFile`, `StoreLock`) and
/// `reserve` (`DiskReserve`). Rows are on disk before the transaction that names them. Readers run in parallel with each other, changes
/// exclude everything else; other processes read while one writes.
public final class VectorStore: @unchecked Sendable {
  public enum Sync: Int32, Sendable {
    /// A completed change survives a power failure.
    case full = 0
    /// After a power failure the last changes may be missing; the store is consistent.
    case normal = 1
    /// Rows never wait for the disk: a completed change survives the end of the process.
    case off = 2

    /// SQLite's setting. Even without syncs of rows the catalogue stays consistent, so that `check` finds missing rows.
    var asOfSQLite: Int { self == .full ? 2 : 1 }
  }

  public let dim: Int
  public let path: String?
  public let isReadOnly: Bool
  let catalogue: Catalogue
  let rows: StoreRows
  let file: CatalogueFile
  public let sync: Sync
  let readWriteLock = ReadWriteLock(of: "store")
  let lock: StoreLock?
  /// Only for a writer on disk.
  private let reserve: DiskReserve?
  let vectorHash: VectorHash
  /// A forked child must not use the open files of SQLite.
  private let forks = processLock.forks
  private let batchInsert: BatchInsert
  /// Running copies of a store in memory: freed slots are not used again while there are any.
  var copies = 0

  /// The least number of freed slots that is worth a wait for the disk. With fewer, the file grows.
  private static var worthSync: Int { 64 }
  static var mostDimensions: Int { 65536 }

  init(
    path: String?, readOnly: Bool, catalogue: Catalogue, rows: StoreRows, file: CatalogueFile, sync: Sync,
    lock: StoreLock?, reserve: DiskReserve?
  ) throws(CoverTreeError) {
    (self.path, isReadOnly, self.catalogue, self.rows) = (path, readOnly, catalogue, rows)
    (self.file, self.sync, self.lock, self.reserve, dim) = (file, sync, lock, reserve, rows.dim)
    vectorHash = try VectorHash(dim: rows.dim, seed: file.state.store)
    batchInsert = try BatchInsert(catalogue, rows, vectorHash)
  }

  /// A store in memory.
  public convenience init(dim: Int) throws(CoverTreeError) { try self.init(dim: dim, seed: randomNumber()) }

  convenience init(dim: Int, seed: (UInt64, UInt64)) throws(CoverTreeError) {
    try Self.check(dim)
    let state = CatalogueFile.State(dim: dim, store: seed)
    try self.init(
      path: nil, readOnly: false, catalogue: Catalogue(), rows: StoreRows(dim: dim, file: nil, needed: 0),
      file: CatalogueFile(state), sync: .off, lock: nil, reserve: nil)
  }

  static func check(_ dim: Int) throws(CoverTreeError) {
    guard (1...mostDimensions).contains(dim) else {
      throw CoverTreeError(.invalidArgument, "dim: expected 1 to \(mostDimensions), got \(dim)")
    }
  }

  // MARK: Changes

  /// Adds vectors under new ids, all or none.
  ///
  /// - Parameters:
  ///   - names: of ids that are digests of names; nil without such ids.
  ///   - slots: one for each: the slot of its vector.
  public func add(
    _ ids: UnsafeBufferPointer<StoreID>, _ vectors: PointsView<Float>, names: StoreNames?, context: CallContext,
    slots: UnsafeMutablePointer<Int64>
  ) throws(CoverTreeError) {
    guard vectors.dim == dim else {
      throw CoverTreeError(.shape, "vectors: expected \(dim) columns, got \(vectors.dim)")
    }
    try change(context) { () throws(CoverTreeError) in
      try batchInsert.run(ids, vectors, recycling: mayRecycle(ids.count), context: context)
      if sync != .off, batchInsert.newCount > 0 { try rows.file?.sync() }
      if path != nil { try catalogue.beginCommit(newSlots: batchInsert.newCount) }
      try file.commit(catalogue, names: names, entries: batchInsert.entries)
      for position in 0..<ids.count { slots[position] = Int64(batchInsert.slot(position)) }
    }
  }

  /// Adds one vector.
  ///
  /// - Returns: its slot.
  public func add(_ id: StoreID, _ vector: PointsView<Float>) throws(CoverTreeError) -> Int {
    var slot: Int64 = -1
    try withUnsafePointer(to: id) { (id) throws(CoverTreeError) in
      try add(UnsafeBufferPointer(start: id, count: 1), vector, names: nil, context: .brief, slots: &slot)
    }
    return Int(slot)
  }

  /// Removes ids, all or none. An unknown or repeated id is an error.
  public func remove(_ ids: UnsafeBufferPointer<StoreID>, context: CallContext) throws(CoverTreeError) {
    try change(context) { () throws(CoverTreeError) in
      for (position, id) in ids.enumerated() {
        if position % Catalogue.pollInterval == 0 { try context.poll(share: Double(position) / Double(ids.count)) }
        guard let entry = catalogue.entry(of: id) else { throw Self.missing(id, position) }
        try catalogue.remove(entry: entry)
      }
      try commitRemoval()
    }
  }

  /// Commits a change that adds nothing. On a full disk it uses the reserve.
  func commitRemoval() throws(CoverTreeError) {
    func commit() throws(CoverTreeError) {
      try file.commit(catalogue, names: nil, entries: UnsafeBufferPointer(start: nil, count: 0))
    }
    guard let reserve else { return try commit() }
    // After a checkpoint the log starts again at its beginning, and needs no more space.
    try reserve.retryingWithReserve(makeRoom: { (try? file.checkpoint()) ?? false }, commit)
  }

  /// Runs a change of the catalogue, and rolls it back if it fails.
  private func change(_ context: CallContext, _ body: () throws(CoverTreeError) -> Void) throws(CoverTreeError) {
    guard !isReadOnly else { throw CoverTreeError(.unsupported, "store: \(path ?? "") was opened to be read only") }
    try readWriteLock.writing(context) { () throws(CoverTreeError) in
      try checkProcess()
      try lock?.confirm()
      try catalogue.beginTransaction()
      do throws(CoverTreeError) {
        try body()
      } catch {
        try catalogue.rollback()
        throw error
      }
      catalogue.commit()
    }
  }

  /// Maintains the store, while nothing else reads it.
  func maintain(_ context: CallContext, _ body: () throws(CoverTreeError) -> Void) throws(CoverTreeError) {
    try change(context) { () throws(CoverTreeError) in
      guard copies == 0, !(lock?.hasReaders ?? false) else {
        throw CoverTreeError(.busy, "store: others read it, or copy it")
      }
      try body()
    }
  }

  /// Whether freed slots may be used again. Their rows must have no readers, and a power failure must not bring back their ids.
  private func mayRecycle(_ wanted: Int) throws(CoverTreeError) -> Bool {
    guard catalogue.freeCount + catalogue.freedCount > 0, copies == 0, !(lock?.hasReaders ?? false) else {
      return false
    }
    if sync != .normal {
      try catalogue.recycle()
    } else if catalogue.freeCount < wanted, catalogue.freedCount >= Self.worthSync {
      try file.sync()
      try catalogue.recycle()
    }
    return catalogue.freeCount > 0
  }

  package func checkProcess() throws(CoverTreeError) {
    guard path == nil || forks == processLock.forks else {
      throw CoverTreeError(.busy, "store: was opened by the process that this one was forked from; open it again")
    }
  }

  // MARK: Reading

  static func missing(_ id: StoreID, _ position: Int) -> CoverTreeError {
    CoverTreeError(.notFound, "ids[\(position)]: the store has no vector \(id)")
  }

  /// Reads the committed state; if another process writes the store, the last commit.
  func reading<Result>(_ body: () throws(CoverTreeError) -> Result) throws(CoverTreeError) -> Result {
    if isReadOnly { try refresh() }
    return try readWriteLock.reading(.brief, body)
  }

  private func refresh() throws(CoverTreeError) {
    try checkProcess()
    guard try readWriteLock.reading(.brief, { () throws(CoverTreeError) in try file.isBehind() }) else { return }
    try readWriteLock.writing(.brief) { () throws(CoverTreeError) in
      try file.read(into: catalogue, .brief) { (state) throws(CoverTreeError) in
        try rows.file?.check(holds: state.slots, rowBytes: rows.rowBytes)
        guard state.slots <= rows.reserved else {
          throw CoverTreeError(
            .outOfMemory, "out of memory: no addresses for \(state.slots) vectors; open the store again")
        }
      }
    }
  }

  /// The slot of each id; -1 for unknown ones.
  public func find(_ ids: UnsafeBufferPointer<StoreID>, slots: UnsafeMutablePointer<Int64>) throws(CoverTreeError) {
    try reading { () throws(CoverTreeError) in
      for (position, id) in ids.enumerated() { slots[position] = Int64(catalogue.slot(of: id) ?? -1) }
    }
  }

  public func find(_ id: StoreID) throws(CoverTreeError) -> Int {
    try reading { () throws(CoverTreeError) in catalogue.slot(of: id) ?? -1 }
  }

  /// The number of ids of a slot; 0 for a free one.
  public func count(ofSlot slot: Int) throws(CoverTreeError) -> Int {
    try reading { () throws(CoverTreeError) in
      guard slot >= 0, slot < catalogue.slots.count else {
        throw CoverTreeError(.notFound, "slot: expected 0 to \(catalogue.slots.count - 1), got \(slot)")
      }
      return Int(catalogue.slots[slot].count)
    }
  }

  /// Throws if one of the slots is free or does not exist.
  public func check(slots: UnsafeBufferPointer<Int64>) throws(CoverTreeError) {
    try reading { () throws(CoverTreeError) in try checkInUse(slots) }
  }

  /// The same for a reader.
  func checkInUse(_ slots: UnsafeBufferPointer<Int64>) throws(CoverTreeError) {
    for (position, slot) in slots.enumerated() {
      guard (0..<Int64(catalogue.slots.count)).contains(slot) else {
        throw CoverTreeError(.notFound, "slots[\(position)]: expected 0 to \(catalogue.slots.count - 1), got \(slot)")
      }
      guard catalogue.slots[Int(slot)].count > 0 else {
        throw CoverTreeError(.notFound, "slots[\(position)]: slot \(slot) is free")
      }
    }
  }

  /// Passes on ids and their slots, at most `room`, from a position on: 0, or the end of the last call.
  ///
  /// - Returns: their number, and the position to continue from.
  public func list(
    from position: Int, room: Int, _ body: (Int, StoreID, Int) -> Void
  ) throws(CoverTreeError) -> (count: Int, next: Int) {
    try reading { () throws(CoverTreeError) in
      var (count, entry) = (0, max(0, position))
      while count < room, entry < catalogue.entries.count {
        let record = catalogue.entries[entry]
        if !record.isEmpty {
          body(count, record.id, Int(record.slot))
          count += 1
        }
        entry += 1
      }
      return (count, entry)
    }
  }

  /// The name of an id that is a digest of one, in UTF-8.
  public func name(of id: StoreID) throws(CoverTreeError) -> [UInt8] {
    try reading { () throws(CoverTreeError) in
      try checkProcess()
      guard let entry = catalogue.entry(of: id) else { throw Self.missing(id, 0) }
      guard let name = try file.name(ofEntry: entry) else {
        throw CoverTreeError(.notFound, "id: \(id) was added without a name")
      }
      return name
    }
  }

  public struct Info: Sendable {
    public var count = 0
    public var uniqueCount = 0
    public var slotCount = 0
    public var freeCount = 0
    public var rowBytes = 0
    public var reservedCount = 0
    public var memoryBytes = 0
    public var fileBytes = 0
    public var generation = 0
  }

  public func info() throws(CoverTreeError) -> Info {
    try reading { () throws(CoverTreeError) in
      let slotCount = catalogue.slots.count
      return Info(
        count: catalogue.count, uniqueCount: catalogue.uniqueCount, slotCount: slotCount,
        freeCount: slotCount - catalogue.uniqueCount, rowBytes: rows.rowBytes, reservedCount: rows.reserved,
        memoryBytes: catalogue.byteCount + batchInsert.byteCount + (rows.file == nil ? slotCount * rows.rowBytes : 0),
        fileBytes: try rows.file?.allocatedBytes() ?? 0, generation: Int(file.state.generation))
    }
  }

  /// Keeps the rows in place while it exists.
  public var rowSpace: StoreRowSpace { StoreRowSpace(rows) }
}

/// The rows of a store, which stay in place after the store is freed.
public final class StoreRowSpace: Sendable {
  private let rows: StoreRows

  init(_ rows: StoreRows) { self.rows = rows }

  public var base: UnsafePointer<Float> { UnsafePointer(rows.row(0)) }
  public var rowBytes: Int { rows.rowBytes }
}
