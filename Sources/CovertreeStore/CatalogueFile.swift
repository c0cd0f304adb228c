import Covertree
import CovertreeBase
import CovertreeFiles
import Glibc

/// The catalogue of a store on disk: an SQLite database of pages of records, each with a checksum, written in transactions.
///
/// Records are written as they are in memory, so millions of them are read at once. SQLite ensures that a transaction is complete or
/// absent, and that readers see the last complete one. Names of ids are in the same database. A store in memory has its first names in a
/// database in memory.
final class CatalogueFile: @unchecked Sendable {
  let path: String
  let isInMemory: Bool
  private(set) var state: State
  /// nil in memory until the first name is added.
  private var opened: Connection?
  private var seenVersion: Int64 = -1

  /// The state of the whole store.
  struct State {
    var dim: Int
    /// A number that its row file has, too; it seeds the hashes of vectors.
    var store: (UInt64, UInt64)
    /// The number of transactions.
    var generation: Int64 = 0
    var slots = 0
    var entries = 0

    fileprivate var checksum: Int64 {
      var numbers = [
        UInt64(dim), store.0, store.1, UInt64(bitPattern: generation), UInt64(slots), UInt64(entries),
      ]
      return numbers.withUnsafeMutableBytes { Int64(Checksum.crc(UnsafeRawBufferPointer($0))) }
    }
  }

  private enum PageKind: Int64 {
    case slots = 0
    case entries = 1

    func key(_ page: Int) -> Int64 { rawValue << 40 | Int64(page) }
  }

  /// A database with its prepared statements.
  private struct Connection {
    let database: SQLite
    let writePage: SQLite.Statement
    let removePage: SQLite.Statement
    let writeName: SQLite.Statement
    let removeName: SQLite.Statement
    let readName: SQLite.Statement
    let dataVersion: SQLite.Statement
    let readGeneration: SQLite.Statement

    init(_ database: SQLite) throws(CoverTreeError) {
      self.database = database
      writePage = try SQLite.Statement(database, "INSERT OR REPLACE INTO pages VALUES (?1, ?2, ?3, ?4)")
      removePage = try SQLite.Statement(database, "DELETE FROM pages WHERE key = ?1")
      writeName = try SQLite.Statement(database, "INSERT OR REPLACE INTO names VALUES (?1, ?2, ?3)")
      removeName = try SQLite.Statement(database, "DELETE FROM names WHERE entry = ?1")
      readName = try SQLite.Statement(database, "SELECT entry, checksum, name FROM names WHERE entry = ?1")
      dataVersion = try SQLite.Statement(database, "PRAGMA data_version")
      readGeneration = try SQLite.Statement(database, "SELECT generation FROM state WHERE one = 1")
    }
  }

  /// In memory.
  init(_ state: State) { (path, isInMemory, self.state) = ("memory", true, state) }

  private init(_ database: SQLite, _ path: String, _ state: State) throws(CoverTreeError) {
    (self.path, isInMemory, self.state) = (path, false, state)
    opened = try Connection(database)
  }

  private var connection: Connection {
    get throws(CoverTreeError) {
      if let opened { return opened }
      let made = try Connection(Self.create(in: nil, state, .off))
      opened = made
      return made
    }
  }

  private var database: SQLite { get throws(CoverTreeError) { try connection.database } }

  static func create(_ path: String, _ state: State) throws(CoverTreeError) { _ = try create(in: path, state, .full) }

  private static func create(
    in path: String?, _ state: State, _ sync: VectorStore.Sync
  ) throws(CoverTreeError) -> SQLite {
    let database = try SQLite(path ?? ":memory:", .create)
    if path != nil { try database.execute("PRAGMA page_size = 8192; PRAGMA journal_mode = WAL") }
    try database.execute(
      """
      PRAGMA synchronous = \(sync.asOfSQLite);
      PRAGMA application_id = \(CatalogueSchema.applicationID);
      PRAGMA user_version = \(CatalogueSchema.version);
      """)
    for text in CatalogueSchema.tables.values.sorted() { try database.execute(text) }
    try database.transaction { () throws(CoverTreeError) in try write(state, database) }
    return database
  }

  /// - Parameter immutable: whether the database cannot change, and no file may be created next to it.
  static func open(
    _ path: String, writable: Bool, immutable: Bool, _ sync: VectorStore.Sync, _ context: CallContext
  ) throws(CoverTreeError) -> CatalogueFile {
    let database =
      try immutable ? SQLite(path.asImmutableURI, .immutable) : SQLite(path, writable ? .write : .read)
    try CatalogueSchema.check(database, path, context)
    try database.execute("PRAGMA synchronous = \(sync.asOfSQLite)")
    return try CatalogueFile(database, path, readState(database, path))
  }

  // MARK: Reading

  private static func readState(_ database: SQLite, _ path: String) throws(CoverTreeError) -> State {
    let row = try SQLite.Statement(
      database, "SELECT dim, high, low, generation, slots, entries, checksum FROM state WHERE one = 1")
    guard try row.step() else { throw .corrupt(path: path, "has no state") }
    let state = State(
      dim: Int(row.number(0)), store: (UInt64(bitPattern: row.number(1)), UInt64(bitPattern: row.number(2))),
      generation: row.number(3), slots: Int(row.number(4)), entries: Int(row.number(5)))
    let limit = Int(Int32.max)
    guard (1...VectorStore.mostDimensions).contains(state.dim), (0..<limit).contains(state.slots),
      (0..<limit).contains(state.entries), (0..<1 << 62).contains(state.generation),  // it is incremented
      row.number(6) == state.checksum
    else { throw .corrupt(path: path, "its state is damaged") }
    return state
  }

  /// Reads the changes that others have committed since the last read.
  ///
  /// - Parameters:
  ///   - context: can end the call only if the catalogue is new.
  ///   - keep: gets the new state before anything else changes, and may throw.
  func read(
    into catalogue: Catalogue, _ context: CallContext, _ keep: (State) throws(CoverTreeError) -> Void
  ) throws(CoverTreeError) {
    try database.watched(by: context) { () throws(CoverTreeError) in
      try readWatched(into: catalogue, context, keep)
    }
  }

  private func readWatched(
    into catalogue: Catalogue, _ context: CallContext, _ keep: (State) throws(CoverTreeError) -> Void
  ) throws(CoverTreeError) {
    let database = try database
    database.allowRows(of: Self.byteCount(path) + Self.byteCount(path + "-wal"))
    try database.execute("BEGIN")
    defer { try? database.execute("COMMIT") }
    let fresh = try Self.readState(database, path)
    try keep(fresh)
    // The claimed records are checked to exist before memory is allocated for them.
    for (kind, count) in [(PageKind.slots, fresh.slots), (.entries, fresh.entries)] {
      let expected = RecordPages<SlotRecord>.pageCount(count)
      // A damaged tree of pages may have no end.
      let pages = try database.number(
        """
        SELECT count(*) FROM (SELECT 1 FROM pages WHERE key >= \(kind.key(0)) AND key < \(kind.key(0) + (1 << 40))
          LIMIT \(expected + 1))
        """)
      guard Int(pages) == expected else {
        throw .corrupt(path: path, "pages of the catalogue are missing, or too many")
      }
    }
    try catalogue.resize(slots: fresh.slots, entries: fresh.entries)
    do throws(CoverTreeError) {
      try readPages(into: catalogue, since: seenVersion < 0 ? .min : state.generation, context)
    } catch {
      // The tables get all records that were read. A new catalogue is discarded instead.
      if seenVersion >= 0 { try? catalogue.rebuildIndex(CallContext()) }
      throw error
    }
    try catalogue.rebuildIndex(context)
    try catalogue.listFree()
    state = fresh
    seenVersion = try version()
  }

  private func readPages(
    into catalogue: Catalogue, since generation: Int64, _ context: CallContext
  ) throws(CoverTreeError) {
    // Blobs need not be aligned.
    let copy = try Buffer<UInt8>(count: RecordPages<EntryRecord>.pageRecords * MemoryLayout<EntryRecord>.stride)
    let page = try SQLite.Statement(
      database,
      """
      SELECT key, checksum, CASE WHEN length(records) <= \(copy.count) THEN records END FROM pages
        WHERE generation > ?1 ORDER BY key
      """)
    try page.bind(1, generation)
    var last = Int64.min
    while try page.step() {
      let (key, bytes) = try verified(page, "page")
      guard key > last else { throw .corrupt(path: path, "page \(key) of the catalogue is there twice") }
      last = key
      let number = Int(key & 0xFF_FFFF_FFFF)
      guard let kind = PageKind(rawValue: key >> 40) else {
        throw .corrupt(path: path, "page \(key) of the catalogue is of no kind")
      }
      let (slots, entries) = (catalogue.slots, catalogue.entries)
      let pages = kind == .slots ? slots.pageCount : entries.pageCount
      guard number < pages else { throw .corrupt(path: path, "page \(key) of the catalogue is not one of \(pages)") }
      let expected = kind == .slots ? slots.bytes(ofPage: number).count : entries.bytes(ofPage: number).count
      guard bytes.count == expected else {
        throw .corrupt(path: path, "page \(key) of the catalogue has \(bytes.count) bytes, not \(expected)")
      }
      UnsafeMutableRawPointer(copy.base).copyMemory(from: bytes.baseAddress!, byteCount: bytes.count)
      let first = number * RecordPages<SlotRecord>.pageRecords
      switch kind {
      case .slots: try catalogue.load(slots: copy.slice(0..<bytes.count).reinterpreted().elements, from: first)
      case .entries: try catalogue.load(entries: copy.slice(0..<bytes.count).reinterpreted().elements, from: first)
      }
    }
  }

  /// A row of a key, a checksum and bytes, if the checksum is right.
  private func verified(
    _ row: SQLite.Statement, _ noun: String
  ) throws(CoverTreeError) -> (key: Int64, bytes: UnsafeRawBufferPointer) {
    let (key, bytes) = (row.number(0), row.bytes(2))
    guard row.number(1) == Self.checksum(key, bytes) else {
      throw .corrupt(path: path, "\(noun) \(key) of the catalogue is damaged")
    }
    return (key, bytes)
  }

  private func version() throws(CoverTreeError) -> Int64 {
    let connection = try connection
    return try connection.database.exclusively { () throws(CoverTreeError) in
      try connection.dataVersion.first { $0.number(0) } ?? 0
    }
  }

  /// Whether others have committed changes since the last read.
  func isBehind() throws(CoverTreeError) -> Bool {
    // A progress callback sees the same state as its call.
    guard try !database.isAsking else { return false }
    return try version() != seenVersion
  }

  /// In UTF-8; it may contain zero bytes.
  func name(ofEntry entry: Int) throws(CoverTreeError) -> [UInt8]? {
    guard let opened else { return nil }
    return try opened.database.exclusively { () throws(CoverTreeError) in
      try opened.readName.bind(1, Int64(entry))
      return try opened.readName.first { (row) throws(CoverTreeError) in try Array(verified(row, "name").bytes) }
    }
  }

  // MARK: Writing

  private static func checksum(_ key: Int64, _ bytes: UnsafeRawBufferPointer) -> Int64 {
    let start = withUnsafeBytes(of: key.littleEndian) { Checksum.crc($0) }
    return Int64(Checksum.crc(bytes, after: start))
  }

  /// Writes changed pages, and added and removed names.
  ///
  /// Throws if another connection has changed the catalogue since it was read.
  func commit(_ catalogue: Catalogue, names: StoreNames?, entries: UnsafeBufferPointer<Int32>) throws(CoverTreeError) {
    var hasNames = names != nil
    try catalogue.forEachLeft { (_, id) in if id.kind == StoreID.Kind.name.rawValue { hasNames = true } }
    guard !isInMemory || hasNames else { return }
    let connection = try connection
    var next = state
    next.generation += 1
    (next.slots, next.entries) = (catalogue.slots.count, catalogue.entries.count)
    try connection.database.transaction { () throws(CoverTreeError) in
      try checkGeneration(connection)
      try catalogue.forEachLeft { (entry, id) throws(CoverTreeError) in
        guard id.kind == StoreID.Kind.name.rawValue else { return }
        try connection.removeName.run(Int64(entry))
      }
      if let names {
        let kind = StoreID.Kind.name.rawValue
        for (position, entry) in entries.enumerated() where catalogue.entries[Int(entry)].kind == kind {
          let name = names[position]
          connection.database.allowRows(of: name.count)
          try connection.writeName.bind(text: 3, name)
          try connection.writeName.run(Int64(entry), Self.checksum(Int64(entry), UnsafeRawBufferPointer(name)))
        }
      }
      if !isInMemory {
        try write(catalogue.slots, .slots, next, connection)
        try write(catalogue.entries, .entries, next, connection)
      }
      try Self.write(next, connection.database)
    }
    state = next
  }

  private func checkGeneration(_ connection: Connection) throws(CoverTreeError) {
    guard try connection.readGeneration.first({ $0.number(0) }) == state.generation else {
      throw CoverTreeError(.busy, "path: \(path): the store has changed since it was opened; open it again")
    }
  }

  private func write<Record>(
    _ pages: RecordPages<Record>, _ kind: PageKind, _ next: State, _ connection: Connection
  ) throws(CoverTreeError) {
    for page in pages.changed.elements {
      let key = kind.key(Int(page))
      let bytes = UnsafeRawBufferPointer(pages.bytes(ofPage: Int(page)))
      try connection.writePage.bind(4, bytes)
      try connection.writePage.run(key, next.generation, Self.checksum(key, bytes))
    }
    // One by one: a range of a damaged tree of pages may have no end.
    let pagesBefore = RecordPages<Record>.pageCount(kind == .slots ? state.slots : state.entries)
    for page in min(pages.pageCount, pagesBefore)..<pagesBefore { try connection.removePage.run(kind.key(page)) }
  }

  private static func write(_ state: State, _ database: SQLite) throws(CoverTreeError) {
    try database.execute(
      """
      INSERT OR REPLACE INTO state VALUES (1, \(state.dim), \(Int64(bitPattern: state.store.0)),
        \(Int64(bitPattern: state.store.1)), \(state.generation), \(state.slots), \(state.entries), \(state.checksum))
      """)
  }

  // MARK: Looking after it

  /// The first error that SQLite finds, or nil.
  func fault(_ context: CallContext) throws(CoverTreeError) -> String? {
    guard let opened else { return nil }
    return try opened.database.watched(by: context) { () throws(CoverTreeError) in
      let said = try opened.database.text("PRAGMA integrity_check(1)")
      return said == "ok" ? nil : said.split(separator: "\n").joined(separator: ": ")
    }
  }

  /// Compares every page and every name in the file with its checksum.
  func checkSums(_ context: CallContext) throws(CoverTreeError) {
    guard let database = opened?.database else { return }
    try database.watched(by: context) { () throws(CoverTreeError) in
      let page = try SQLite.Statement(database, "SELECT key, checksum, records FROM pages")
      while try page.step() { _ = try verified(page, "page") }
      let name = try SQLite.Statement(database, "SELECT entry, checksum, name FROM names")
      while try name.step() { _ = try verified(name, "name") }
    }
  }

  func sync() throws(CoverTreeError) { if !isInMemory { try opened?.database.sync() } }

  /// Writes the contents of the write-ahead log to the database, so that the space of the log can be used again.
  ///
  /// - Returns: false if the disk has no space for that.
  func checkpoint() throws(CoverTreeError) -> Bool {
    guard let database = opened?.database else { return false }
    let bytes = try database.number("PRAGMA page_count") * database.number("PRAGMA page_size")
    let more = Int(bytes) - Self.byteCount(path)
    var disk = statvfs()
    guard statvfs(path, &disk) == 0 else { throw .io(path: path) }
    // The next change needs some space, too.
    let (free, overflows) = UInt(disk.f_bavail).multipliedReportingOverflow(by: UInt(disk.f_frsize))
    guard overflows || more <= Int(clamping: free / 2) else { return false }
    try database.execute("PRAGMA wal_checkpoint(PASSIVE)")
    return true
  }

  /// Writes a new database without free pages. On a full disk the old one stays.
  func vacuum(_ context: CallContext) throws(CoverTreeError) {
    guard let database = opened?.database else { return }
    // A damaged tree of pages may have no end, and a copy of it would fill the disk.
    if let fault = try fault(context) { throw .corrupt(path: path, fault) }
    do throws(CoverTreeError) {
      try database.watched(by: context) { () throws(CoverTreeError) in try database.execute("VACUUM") }
    } catch {
      guard error.meansFullDisk else { throw error }
    }
  }

  /// Fills a copy of a file that has only its names.
  static func fill(_ path: String, with catalogue: Catalogue, _ context: CallContext) throws(CoverTreeError) {
    let file = try open(path, writable: true, immutable: false, .full, context)
    try file.database.execute("PRAGMA journal_mode = WAL")
    catalogue.slots.markAll()
    catalogue.entries.markAll()
    try file.commit(catalogue, names: nil, entries: UnsafeBufferPointer(start: nil, count: 0))
  }

  /// Copies the names, or the whole database of a file, to another catalogue, in the state of this connection.
  func backUp(to path: String, _ context: CallContext) throws(CoverTreeError) {
    try database.backUp(to: SQLite(path, .create), context)
  }

  private static func byteCount(_ path: String) -> Int {
    var status = stat()
    // A hostile file may claim any size.
    return lstat(path, &status) == 0 ? min(Int(status.st_size), 1 << 40) : 0
  }
}
