import CNumerics
import Glibc

/// Where the files of a durable store are.
struct StoreFolder {
  let path: String

  /// A slash at the end changes nothing.
  init(path: String) {
    let trimmed = String(path.reversed().drop { $0 == "/" }.reversed())
    self.path = trimmed.isEmpty ? path : trimmed
  }

  var catalogue: String { path + "/catalogue.sqlite" }
  var rows: String { path + "/rows.bin" }
  var lock: String { path + "/lock" }

  var exists: Bool { access(path, F_OK) == 0 }

  /// The absolute path after all symbolic links, which does not depend on the working directory.
  func resolved() throws(CoverTreeError) -> StoreFolder {
    guard let found = realpath(path, nil) else { throw .io("path: \(path)") }
    defer { free(found) }
    guard let resolved = String(validatingCString: found) else {
      throw CoverTreeError(.invalidArgument, "path: \(path): expected folders with names in UTF-8")
    }
    return StoreFolder(path: resolved)
  }

  /// Creates the folder under another name, and renames it when it is complete. Dangling symbolic links are followed.
  ///
  /// - Parameter original: the store to be copied. The copy gets its modes, so that it is as private.
  func make(
    like original: StoreFolder?, _ fill: (StoreFolder) throws(CoverTreeError) -> Void
  ) throws(CoverTreeError) {
    let path = try followed(path)
    let number = randomNumber().0
    let draft = StoreFolder(path: "\(path).\(String(number, radix: 36)).part")
    let mode = (folder: Self.mode(of: original?.path) ?? 0o777, file: Self.mode(of: original?.catalogue) ?? 0o666)
    guard mkdir(draft.path, mode.folder | 0o700) == 0 else { throw .io("path: \(path)") }
    do throws(CoverTreeError) {
      // SQLite creates files with 0644, however permissive the umask is.
      for name in [draft.catalogue, draft.rows, draft.lock] { try Self.touch(name, mode.file | 0o600) }
      try fill(draft)
      _ = try StoreLock(draft.lock, writable: true)
      try syncFolder(of: draft.lock)
      // A folder that is there is an error, unless it is empty.
      guard rename(draft.path, path) == 0 else { throw CoverTreeError.io("path: \(path)") }
    } catch {
      draft.remove()
      throw error
    }
    try syncFolder(of: path)
  }

  /// The permission bits of a file or folder, if they can be read.
  private static func mode(of path: String?) -> mode_t? {
    var status = stat()
    guard let path, stat(path, &status) == 0 else { return nil }
    return status.st_mode & 0o777
  }

  /// Creates an empty file; the umask applies to the mode.
  private static func touch(_ path: String, _ mode: mode_t) throws(CoverTreeError) {
    let file = Glibc.open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
    guard file >= 0 else { throw .io("path: \(path)") }
    close(file)
  }

  private func remove() {
    for name in [catalogue, catalogue + "-wal", catalogue + "-shm", rows, lock] { unlink(name) }
    rmdir(path)
  }
}

extension VectorStore {
  /// Opens a durable store; one that is not there is made.
  ///
  /// - Parameter dim: 0 for that of a store that is there.
  public static func open(
    _ path: String, dim: Int, sync: Sync, readOnly: Bool
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
      if code == ENOENT { throw CoverTreeError(.corrupt, "path: \(path): is not a store: it has no catalogue") }
      throw CoverTreeError.io("path: \(folder.catalogue)")
    }
    let store = try existing(folder.resolved(), sync, readOnly: readOnly)
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
    _ folder: StoreFolder, _ sync: Sync, readOnly: Bool
  ) throws(CoverTreeError) -> VectorStore {
    // Where nothing can be written beside the catalogue, nobody writes to it.
    let immutable = readOnly && access(folder.path, W_OK) != 0
    let lock = try StoreLock(folder.lock, writable: !readOnly)
    let file = try CatalogueFile.open(
      folder.catalogue, writable: !readOnly, immutable: immutable, sync)
    let catalogue = try Catalogue()
    var opened: RowFile?
    try file.read(into: catalogue) { (state) throws(CoverTreeError) in
      opened = try RowFile.open(
        folder.rows, RowFile.Header(dim: state.dim, store: state.store), rows: state.slots, writable: !readOnly)
    }
    if !readOnly {
      // An earlier session may not have waited for the disk: its changes must not be lost when later ones are kept.
      if sync != .off { try syncAll(folder, file, opened) }
      try catalogue.recycle()
    }
    let rows = try StoreRows(dim: file.state.dim, file: opened, needed: file.state.slots)
    return try VectorStore(
      path: folder.path, readOnly: readOnly, catalogue: catalogue, rows: rows, file: file, sync: sync, lock: lock)
  }

  private static func syncAll(
    _ folder: StoreFolder, _ file: CatalogueFile, _ rows: RowFile?
  ) throws(CoverTreeError) {
    try rows?.sync()
    try file.sync()
    try syncFolder(of: folder.catalogue)
    try syncFolder(of: folder.path)
  }

  // MARK: Copies

  /// Writes a copy of the store, as it stands, to a folder that is not there; readers and a writer go on meanwhile.
  public func snapshot(_ path: String, context: CallContext) throws(CoverTreeError) {
    guard let own = self.path else { return try snapshotOfMemory(StoreFolder(path: path), context) }
    try checkProcess()
    // A reader of its own sees one transaction, and keeps its rows from being used again.
    let reader = try Self.open(own, dim: 0, sync: .off, readOnly: true)
    guard reader.file.state.store == file.state.store else {
      throw CoverTreeError(.corrupt, "path: \(own): another store is there now")
    }
    try reader.copy(to: StoreFolder(path: path), context)
  }

  /// Makes a store of a snapshot, at a place where none is.
  public static func restore(_ snapshot: String, to path: String, context: CallContext) throws(CoverTreeError) {
    try open(snapshot, dim: 0, sync: .off, readOnly: true).copy(to: StoreFolder(path: path), context)
  }

  private func copy(to folder: StoreFolder, _ context: CallContext) throws(CoverTreeError) {
    guard !folder.exists else { throw Self.occupied(folder.path) }
    try folder.make(like: path.map(StoreFolder.init)) { (folder) throws(CoverTreeError) in
      // What the catalogue says while it is copied is what the rows are copied for.
      try file.backUp(to: folder.catalogue)
      let copied = try CatalogueFile.open(folder.catalogue, writable: true, immutable: false, .full)
      try copyRows(copied.state, to: folder, context)
    }
  }

  private static func occupied(_ path: String) -> CoverTreeError {
    CoverTreeError(.exists, "path: \(path): is there already")
  }

  private func snapshotOfMemory(_ folder: StoreFolder, _ context: CallContext) throws(CoverTreeError) {
    guard !folder.exists else { throw Self.occupied(folder.path) }
    try folder.make(like: nil) { (folder) throws(CoverTreeError) in
      let copy = try Catalogue()
      // What is there is written down quickly; its rows stay as they are while they are copied.
      try gate.writing(context) { () throws(CoverTreeError) in
        try copy.resize(slots: catalogue.slots.count, entries: catalogue.entries.count)
        try copy.take(slots: catalogue.slots.records.elements, from: 0)
        try copy.take(entries: catalogue.entries.records.elements, from: 0)
        try file.backUp(to: folder.catalogue)
        copies += 1
      }
      defer { try? gate.writing(.brief) { copies -= 1 } }
      try CatalogueFile.fill(folder.catalogue, with: copy)
      var state = file.state
      state.slots = copy.slots.count
      try copyRows(state, to: folder, context)
    }
  }

  private func copyRows(
    _ state: CatalogueFile.State, to folder: StoreFolder, _ context: CallContext
  ) throws(CoverTreeError) {
    let target = try RowFile.create(folder.rows, RowFile.Header(dim: dim, store: state.store))
    let count = state.slots
    let together = max(1, (64 << 20) / rows.rowBytes)
    for first in stride(from: 0, to: count, by: together) {
      let slots = first..<min(count, first + together)
      try target.write(slots, rowBytes: rows.rowBytes) { (row, slot) in
        UnsafeMutableRawPointer(row).copyMemory(from: rows.row(slot), byteCount: rows.rowBytes)
      }
      try context.poll(share: Double(slots.upperBound) / Double(count))
    }
    try target.sync()
  }

  // MARK: Looking after it

  /// Compares all there is with its checksums, and the catalogue with itself and with the rows; throws what is wrong.
  public func check(context: CallContext) throws(CoverTreeError) {
    try reading { () throws(CoverTreeError) in
      try checkProcess()
      func corrupt(_ what: String) -> CoverTreeError {
        CoverTreeError(.corrupt, "store: \(path ?? "in memory"): \(what)")
      }
      if let fault = try file.fault() { throw corrupt("catalogue: \(fault)") }
      try file.checkSums()
      if let fault = try catalogue.fault() { throw corrupt("catalogue: \(fault)") }
      let needed = catalogue.slots.count * rows.rowBytes
      if let size = try rows.file?.size(), catalogue.slots.count > 0, size < RowFile.headerBytes + needed {
        throw corrupt("rows.bin is truncated: it has \(size) bytes, its rows need \(RowFile.headerBytes + needed)")
      }
      try context.forEach(catalogue.slots.count, grain: 256) { (range, _) throws(CoverTreeError) in
        for slot in range where catalogue.slots[slot].count > 0 {
          var hash: UInt64 = 0
          guard cn_hash_floats(rows.row(slot), Int64(dim), &hash) != 0, hash == catalogue.slots[slot].hash else {
            throw corrupt("the row of slot \(slot) does not match its hash")
          }
        }
      }
    }
  }

  /// Gives the memory or the disk of free rows back to the system. Slots stay where they are.
  ///
  /// Not while others read the store: they may look at what was in the free rows.
  public func compact(context: CallContext) throws(CoverTreeError) {
    try maintain(context) { () throws(CoverTreeError) in
      let (slotCount, entryCount) = (catalogue.slots.count, catalogue.entries.count)
      try catalogue.trim()
      do throws(CoverTreeError) {
        try file.commit(catalogue, names: nil, entries: UnsafeBufferPointer(start: nil, count: 0))
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
      try rows.file?.truncate(to: catalogue.slots.count, rowBytes: rows.rowBytes)
      try file.vacuum()
    }
  }
}
