import CNumerics
import Covertree
import CovertreeBase
import CovertreeFiles
import Glibc

/// The paths of a durable store.
struct StoreFolder {
  let path: String

  /// A slash at the end changes nothing.
  init(path: String) {
    let trimmed = String(path.reversed().drop { $0 == "/" }.reversed())
    self.path = trimmed.isEmpty ? path : trimmed
  }

  static var catalogueName: String { "catalogue.sqlite" }
  static var rowsName: String { "rows.bin" }

  var catalogue: String { "\(path)/\(Self.catalogueName)" }
  var rows: String { "\(path)/\(Self.rowsName)" }
  var reserve: String { path + "/reserve" }
  private var journal: String { catalogue + "-journal" }
  private var log: String { catalogue + "-wal" }
  private var logIndex: String { catalogue + "-shm" }

  var exists: Bool { access(path, F_OK) == 0 }

  /// The absolute path after all symbolic links, which does not depend on the working directory.
  func resolved() throws(CoverTreeError) -> StoreFolder {
    guard let resolved = try resolvedPath(path, "folders with names") else { throw .io(path: path) }
    return StoreFolder(path: resolved)
  }

  /// Throws if a file of the store is a link. A rollback journal can name any file of the system, and SQLite deletes that file after the
  /// rollback. A catalogue has a write-ahead log and no rollback journal.
  func checkFiles() throws(CoverTreeError) {
    for path in [catalogue, rows, log, logIndex, journal] {
      var status = stat()
      guard lstat(path, &status) == 0 else {
        // Opening a missing file fails, if it is needed.
        if errno == ENOENT { continue }
        throw .io(path: path)
      }
      guard path != journal else {
        throw .corrupt(path: path, "a store has no rollback journal, and one can delete files")
      }
      guard status.isRegularFile else { throw .corrupt(path: path, "expected a regular file, not a link or a device") }
    }
  }

  /// Throws if the path exists.
  func checkIsNew() throws(CoverTreeError) {
    guard !exists else { throw CoverTreeError(.exists, "path: \(path): is there already") }
  }

  /// Creates the folder under another name, and renames it when it is complete. Dangling symbolic links are followed.
  ///
  /// - Parameter original: the store to be copied. The copy gets its modes, so that it is as private.
  func make(like original: StoreFolder?, _ fill: (StoreFolder) throws(CoverTreeError) -> Void) throws(CoverTreeError) {
    let path = try followed(path)
    let number = randomNumber().0
    let draft = StoreFolder(path: "\(path).\(String(number, radix: 36)).part")
    let mode = Self.mode(of: original?.path) ?? 0o777
    guard mkdir(draft.path, mode | 0o700) == 0 else { throw .io(path: path) }
    do throws(CoverTreeError) {
      try Self.keepGroup(draft.path, of: original?.path)
      // SQLite creates files with 0644, however permissive the umask is.
      try Self.touch(draft.catalogue, like: original?.catalogue)
      try Self.touch(draft.rows, like: original?.rows)
      // SQLite opens no path with a link in it.
      try fill(draft.resolved())
      try syncFolder(of: draft.rows)
      // An existing folder is an error, unless it is empty.
      guard rename(draft.path, path) == 0 else { throw .io(path: path) }
    } catch {
      draft.remove()
      throw error
    }
    try syncFolder(of: path)
  }

  /// The permission bits of a file or folder, if they can be read.
  static func mode(of path: String?) -> mode_t? {
    var status = stat()
    guard let path, stat(path, &status) == 0 else { return nil }
    return status.st_mode & 0o777
  }

  /// Creates an empty file with the mode of another one; the umask applies.
  private static func touch(_ path: String, like original: String?) throws(CoverTreeError) {
    let mode = (Self.mode(of: original) ?? 0o666) | 0o600
    let file = Glibc.open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
    guard file >= 0 else { throw .io(path: path) }
    close(file)
    try keepGroup(path, of: original)
  }

  /// Gives a copy the group of its original. If that is not allowed, its own group gets no rights.
  private static func keepGroup(_ path: String, of original: String?) throws(CoverTreeError) {
    var (own, other) = (stat(), stat())
    guard let original, stat(original, &other) == 0 else { return }
    guard stat(path, &own) == 0 else { throw .io(path: path) }
    guard own.st_gid != other.st_gid, own.st_mode & 0o070 != 0 else { return }
    guard chown(path, .max, other.st_gid) == 0 || chmod(path, own.st_mode & 0o707) == 0 else { throw .io(path: path) }
  }

  private func remove() {
    for name in [catalogue, journal, log, logIndex, rows] { unlink(name) }
    rmdir(path)
  }
}

extension VectorStore {
  /// Opens a durable store, or creates it.
  ///
  /// - Parameter dim: 0 for the dimension of an existing store.
  public static func open(
    _ path: String, dim: Int, sync: Sync, readOnly: Bool, context: CallContext
  ) throws(CoverTreeError) -> VectorStore {
    let folder = StoreFolder(path: path)
    if !folder.exists {
      guard !readOnly else {
        throw CoverTreeError(.io, "path: \(path): \(String(cString: strerror(ENOENT)))", code: ENOENT)
      }
      try create(folder, dim, sync)
    }
    guard access(folder.catalogue, F_OK) == 0 else {
      let code = errno
      if code == ENOENT { throw .corrupt(path: path, "is not a store: it has no catalogue") }
      throw .io(path: folder.catalogue)
    }
    let store = try existing(folder.resolved(), sync, readOnly: readOnly, context)
    guard dim == 0 || dim == store.dim else {
      throw CoverTreeError(.shape, "dim: \(path) has vectors of \(store.dim) coordinates, not of \(dim)")
    }
    return store
  }

  private static func create(_ folder: StoreFolder, _ dim: Int, _ sync: Sync) throws(CoverTreeError) {
    guard dim != 0 else {
      throw CoverTreeError(
        .invalidArgument, "dim: \(folder.path) is new: expected the coordinates of its vectors, got 0")
    }
    try check(dim)
    try folder.make(like: nil) { (folder) throws(CoverTreeError) in
      let state = CatalogueFile.State(dim: dim, store: randomNumber())
      let rows = try RowFile.create(folder.rows, RowFile.Header(dim: dim, store: state.store))
      try rows.sync()
      try CatalogueFile.create(folder.catalogue, state)
    }
  }

  private static func existing(
    _ folder: StoreFolder, _ sync: Sync, readOnly: Bool, _ context: CallContext
  ) throws(CoverTreeError) -> VectorStore {
    try folder.checkFiles()
    // If no file can be created next to the catalogue, no process writes to it.
    let immutable = readOnly && access(folder.path, W_OK) != 0
    let lock = try StoreLock(folder, writable: !readOnly)
    let reserve = readOnly ? nil : DiskReserve(folder)
    func openCatalogue() throws(CoverTreeError) -> CatalogueFile {
      try CatalogueFile.open(folder.catalogue, writable: !readOnly, immutable: immutable, sync, context)
    }
    let file = if let reserve { try reserve.retryingWithReserve(openCatalogue) } else { try openCatalogue() }
    let catalogue = try Catalogue()
    var opened: RowFile?
    try file.read(into: catalogue, context) { (state) throws(CoverTreeError) in
      opened = try RowFile.open(
        folder.rows, RowFile.Header(dim: state.dim, store: state.store), rows: state.slots, writable: !readOnly)
    }
    if let opened {
      try lock.confirm(opened)
      let rowBytes = StoreRows.rowBytes(dim: file.state.dim)
      try opened.checkHoles(file.state.slots, rowBytes: rowBytes) { catalogue.slots[$0].count > 0 }
    }
    if !readOnly {
      // An earlier session may not have waited for the disk: its changes must not be lost when later ones are kept.
      if sync != .off { try syncAll(folder, file, opened) }
      try catalogue.recycle()
    }
    reserve?.fill()
    let rows = try StoreRows(dim: file.state.dim, file: opened, needed: file.state.slots)
    return try VectorStore(
      path: folder.path, readOnly: readOnly, catalogue: catalogue, rows: rows, file: file, sync: sync, lock: lock,
      reserve: reserve)
  }

  private static func syncAll(_ folder: StoreFolder, _ file: CatalogueFile, _ rows: RowFile?) throws(CoverTreeError) {
    try rows?.sync()
    try file.sync()
    try syncFolder(of: folder.catalogue)
    try syncFolder(of: folder.path)
  }

  // MARK: Copies

  /// Writes a copy of the store in its current state to a new folder, while readers and a writer continue.
  public func snapshot(_ path: String, context: CallContext) throws(CoverTreeError) {
    guard let own = self.path else { return try snapshotOfMemory(StoreFolder(path: path), context) }
    try checkProcess()
    try lock?.confirm()
    // A reader of its own sees one transaction, and keeps its rows from being used again.
    let reader = try Self.open(own, dim: 0, sync: .off, readOnly: true, context: context)
    guard reader.file.state.store == file.state.store else { throw .corrupt(path: own, "another store is there now") }
    try reader.copy(to: StoreFolder(path: path), context)
  }

  /// Makes a store from a snapshot, in a new folder.
  public static func restore(_ snapshot: String, to path: String, context: CallContext) throws(CoverTreeError) {
    try open(snapshot, dim: 0, sync: .off, readOnly: true, context: context).copy(to: StoreFolder(path: path), context)
  }

  private func copy(to folder: StoreFolder, _ context: CallContext) throws(CoverTreeError) {
    try folder.checkIsNew()
    try folder.make(like: path.map(StoreFolder.init)) { (folder) throws(CoverTreeError) in
      // The rows are copied for the state of the catalogue's copy.
      try file.backUp(to: folder.catalogue, context)
      let copied = try CatalogueFile.open(folder.catalogue, writable: true, immutable: false, .full, context)
      let target = try RowFile.create(folder.rows, RowFile.Header(dim: dim, store: copied.state.store))
      try rows.file?.copyRows(copied.state.slots, rowBytes: rows.rowBytes, to: target, context)
      try target.sync()
    }
  }

  private func snapshotOfMemory(_ folder: StoreFolder, _ context: CallContext) throws(CoverTreeError) {
    try folder.checkIsNew()
    try folder.make(like: nil) { (folder) throws(CoverTreeError) in
      let copy = try Catalogue()
      // The catalogue is copied quickly; its rows do not change while they are copied.
      try readWriteLock.writing(context) { () throws(CoverTreeError) in
        try copy.resize(slots: catalogue.slots.count, entries: catalogue.entries.count)
        try copy.load(slots: catalogue.slots.records.elements, from: 0)
        try copy.load(entries: catalogue.entries.records.elements, from: 0)
        try file.backUp(to: folder.catalogue, context)
        copies += 1
      }
      defer { try? readWriteLock.writing(.brief) { copies -= 1 } }
      try CatalogueFile.fill(folder.catalogue, with: copy, context)
      try writeRows(copy, to: folder, context)
    }
  }

  /// Writes the rows of the slots that a copy has in use. Free ones become holes, if they fill pages.
  private func writeRows(_ copy: Catalogue, to folder: StoreFolder, _ context: CallContext) throws(CoverTreeError) {
    let target = try RowFile.create(folder.rows, RowFile.Header(dim: dim, store: file.state.store))
    let (count, together) = (copy.slots.count, max(1, (64 << 20) / rows.rowBytes))
    var slot = 0
    while slot < count {
      let first = slot
      while slot < count, slot < first + together, copy.slots[slot].count > 0 { slot += 1 }
      try target.write(first..<slot, rowBytes: rows.rowBytes) { (row, slot) in
        UnsafeMutableRawPointer(row).copyMemory(from: rows.row(slot), byteCount: rows.rowBytes)
      }
      while slot < count, copy.slots[slot].count == 0 { slot += 1 }
      try context.poll(share: Double(slot) / Double(count))
    }
    try target.extend(to: count, rowBytes: rows.rowBytes)
    try target.sync()
  }

  // MARK: Looking after it

  /// Compares all data with its checksums, and the catalogue with itself and with the rows; throws the first error.
  public func check(context: CallContext) throws(CoverTreeError) {
    try reading { () throws(CoverTreeError) in
      try checkProcess()
      func corrupt(_ what: String) -> CoverTreeError {
        CoverTreeError(.corrupt, "store: \(path ?? "in memory"): \(what)")
      }
      if let fault = try file.fault(context) { throw corrupt("catalogue: \(fault)") }
      try file.checkSums(context)
      if let fault = try catalogue.fault(context) { throw corrupt("catalogue: \(fault)") }
      try rows.file?.check(holds: catalogue.slots.count, rowBytes: rows.rowBytes)
      let width = rows.rowBytes / MemoryLayout<Float>.stride
      let scratch = try Buffer<Float>(count: context.threads * width)
      try context.forEach(catalogue.slots.count, grain: 256) { (range, thread) throws(CoverTreeError) in
        for slot in range where catalogue.slots[slot].count > 0 {
          var found: UInt64 = 0
          let row = try rows.read(slot, or: scratch.base + thread * width)
          guard vectorHash(row, &found), found == catalogue.slots[slot].hash else {
            throw corrupt("the row of slot \(slot) does not match its hash")
          }
        }
      }
    }
  }

  /// Returns the memory or the disk space of free rows to the system. Slots keep their numbers.
  ///
  /// Not while others read the store, because they may read free rows.
  public func compact(context: CallContext) throws(CoverTreeError) {
    try maintain(context) { () throws(CoverTreeError) in
      let (slotCount, entryCount) = (catalogue.slots.count, catalogue.entries.count)
      try catalogue.trim()
      do throws(CoverTreeError) {
        try commitRemoval()
      } catch {
        try catalogue.resize(slots: slotCount, entries: entryCount)
        try catalogue.listFree(failed: true)
        throw error
      }
      try catalogue.listFree()
      // Rows may be gone at once. A power failure must not bring back the ids that had them.
      try rows.file?.sync()
      try file.sync()
      try catalogue.recycle()
      var slot = 0
      while slot < catalogue.slots.count {
        let first = slot
        while slot < catalogue.slots.count, catalogue.isUnused(slot) { slot += 1 }
        if slot > first { try rows.discard(first..<slot) }
        slot += 1
      }
      let end = try rows.file?.rowCount(rowBytes: rows.rowBytes) ?? slotCount
      try rows.discard(catalogue.slots.count..<max(end, catalogue.slots.count))
      try file.vacuum(context)
    }
  }
}
