import CSQLite
import Covertree
import CovertreeBase
import CovertreeFiles
import Glibc

/// A connection to an SQLite database, with the operations that catalogues need.
final class SQLite: @unchecked Sendable {
  private let database: OpaquePointer
  /// The name in messages.
  private let name: String
  /// Prepared when the database is opened, because preparing allocates memory.
  private var rollback: OpaquePointer?
  /// Guarded by the connection's mutex.
  private var watch: Watch?

  /// Steps of SQLite's machine between two polls of the caller: a fraction of a millisecond.
  private static var stepsTogether: Int32 { 10_000 }
  /// The largest row, unless more is allowed.
  private static var rowBytes: Int32 { 1 << 20 }
  /// Pages that are copied between two polls of the caller.
  private static var pagesTogether: Int32 { 1024 }

  /// The state of a statement that the caller can cancel.
  private struct Watch {
    let context: CallContext
    /// After this many polls the database counts as damaged.
    let most: Int
    var asked = 0
    var isAsking = false
    var error: CoverTreeError?
  }

  /// A database may come from an attacker, so all features that a catalogue does not need are off (https://www.sqlite.org/security.html).
  private static var settings: [(Int32, Int32)] {
    [
      (SQLITE_DBCONFIG_DEFENSIVE, 1), (SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0), (SQLITE_DBCONFIG_ENABLE_TRIGGER, 0),
      (SQLITE_DBCONFIG_ENABLE_VIEW, 0), (SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0), (SQLITE_DBCONFIG_DQS_DDL, 0),
      (SQLITE_DBCONFIG_DQS_DML, 0),
    ]
  }

  /// VACUUM attaches one database.
  private static var limits: [(Int32, Int32)] {
    [
      (SQLITE_LIMIT_LENGTH, rowBytes), (SQLITE_LIMIT_SQL_LENGTH, 10_000), (SQLITE_LIMIT_COLUMN, 32),
      (SQLITE_LIMIT_EXPR_DEPTH, 32),
      (SQLITE_LIMIT_COMPOUND_SELECT, 3), (SQLITE_LIMIT_VDBE_OP, 25_000), (SQLITE_LIMIT_FUNCTION_ARG, 8),
      (SQLITE_LIMIT_ATTACHED, 1), (SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50), (SQLITE_LIMIT_VARIABLE_NUMBER, 16),
      (SQLITE_LIMIT_TRIGGER_DEPTH, 1), (SQLITE_LIMIT_WORKER_THREADS, 0),
    ]
  }

  enum Mode {
    /// `immutable`: the file does not change, and no file may be created next to it. The path is a URI then.
    case create, write, read, immutable
  }

  init(_ path: String, _ mode: Mode) throws(CoverTreeError) {
    let access =
      switch mode {
      case .create: SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
      case .write: SQLITE_OPEN_READWRITE
      case .read: SQLITE_OPEN_READONLY
      case .immutable: SQLITE_OPEN_READONLY | SQLITE_OPEN_URI
      }
    name = path
    var opened: OpaquePointer?
    let code = sqlite3_open_v2(path, &opened, access | SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_NOFOLLOW, nil)
    guard code == SQLITE_OK, let opened else {
      let error = Self.error(code, opened, path)
      sqlite3_close_v2(opened)
      throw error
    }
    database = opened
    sqlite3_extended_result_codes(database, 1)
    sqlite3_busy_timeout(database, 5000)
    for (option, value) in Self.settings { try check(csqlite_configure(database, option, value)) }
    for (limit, value) in Self.limits { sqlite3_limit(database, limit, value) }
    // Pages are checked before they are used, and read by calls that can fail. Deleted rows are overwritten, so that names of removed ids
    // stay neither in the file nor in copies of it.
    try execute("PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; PRAGMA secure_delete = ON")
    try check(sqlite3_prepare_v2(database, "ROLLBACK", -1, &rollback, nil))
  }

  deinit {
    sqlite3_finalize(rollback)
    sqlite3_close_v2(database)
  }

  private static func error(_ code: Int32, _ database: OpaquePointer?, _ path: String) -> CoverTreeError {
    let said = database.map { String(cString: sqlite3_errmsg($0)) } ?? String(cString: sqlite3_errstr(code))
    let system = database.map { sqlite3_system_errno($0) } ?? 0
    let message = "path: \(path): \(said)"
    switch code & 0xFF {
    case SQLITE_FULL: return CoverTreeError(.io, message, code: system == 0 ? ENOSPC : system)
    // The index of the write-ahead log did not get the space that it needs.
    case SQLITE_IOERR where code == csqlite_shm_size: return CoverTreeError(.io, message, code: ENOSPC)
    case SQLITE_CORRUPT, SQLITE_NOTADB: return CoverTreeError(.corrupt, message)
    case SQLITE_BUSY, SQLITE_LOCKED: return CoverTreeError(.busy, message)
    case SQLITE_NOMEM: return CoverTreeError(.outOfMemory, message)
    case SQLITE_READONLY, SQLITE_PERM: return CoverTreeError(.io, message, code: system == 0 ? EACCES : system)
    default: return CoverTreeError(.io, message, code: system == 0 ? EIO : system)
    }
  }

  func check(_ code: Int32) throws(CoverTreeError) {
    if code & 0xFF == SQLITE_INTERRUPT, let error = watch?.error { throw error }
    guard code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE else { throw Self.error(code, database, name) }
  }

  func execute(_ sql: String) throws(CoverTreeError) { try check(sqlite3_exec(database, sql, nil, nil, nil)) }

  func number(_ sql: String) throws(CoverTreeError) -> Int64 {
    let statement = try Statement(self, sql)
    guard let found = try statement.first({ $0.number(0) }) else { throw .corrupt(path: name, "\(sql) gives nothing") }
    return found
  }

  func text(_ sql: String) throws(CoverTreeError) -> String {
    let statement = try Statement(self, sql)
    return try statement.first { $0.text(0) } ?? ""
  }

  /// Runs calls of a statement that threads share, without other calls in between.
  func exclusively<Result>(_ body: () throws(CoverTreeError) -> Result) throws(CoverTreeError) -> Result {
    let mutex = sqlite3_db_mutex(database)
    sqlite3_mutex_enter(mutex)
    defer { sqlite3_mutex_leave(mutex) }
    guard watch?.isAsking != true else {
      throw CoverTreeError(.busy, "store: a progress callback cannot read the catalogue while its own call does")
    }
    return try body()
  }

  /// Runs statements that the caller can cancel. Other threads wait with theirs.
  ///
  /// - Parameter most: after this many polls of the caller the database counts as damaged.
  func watched<Result>(
    by context: CallContext, most: Int = .max, _ body: () throws(CoverTreeError) -> Result
  ) throws(CoverTreeError) -> Result {
    try exclusively { () throws(CoverTreeError) in
      let before = watch
      watch = Watch(context: context, most: most)
      let me = Unmanaged.passUnretained(self).toOpaque()
      let asks: @convention(c) (UnsafeMutableRawPointer?) -> Int32 = {
        Unmanaged<SQLite>.fromOpaque($0!).takeUnretainedValue().goesOn() ? 0 : 1
      }
      sqlite3_progress_handler(database, Self.stepsTogether, asks, me)
      defer {
        watch = before
        if before == nil { sqlite3_progress_handler(database, 0, nil, nil) }
      }
      return try body()
    }
  }

  private func goesOn() -> Bool {
    guard var current = watch else { return true }
    current.asked += 1
    current.isAsking = true
    watch = current
    do throws(CoverTreeError) {
      guard current.asked <= current.most else { throw .corrupt(path: name, "is damaged: reading it does not end") }
      try current.context.poll()
    } catch {
      current.error = error
    }
    current.isAsking = false
    watch = current
    return current.error == nil
  }

  /// Whether this thread is inside a poll of the caller. SQLite allows no other statement then.
  var isAsking: Bool {
    let mutex = sqlite3_db_mutex(database)
    sqlite3_mutex_enter(mutex)
    defer { sqlite3_mutex_leave(mutex) }
    return watch?.isAsking ?? false
  }

  /// Allows rows of this length and some more. A damaged row may claim more bytes than the whole file has.
  func allowRows(of bytes: Int) {
    let limit = Int32(clamping: bytes + Int(Self.rowBytes))
    if limit > sqlite3_limit(database, SQLITE_LIMIT_LENGTH, -1) { sqlite3_limit(database, SQLITE_LIMIT_LENGTH, limit) }
  }

  /// Runs a change completely, or rolls it back.
  func transaction(_ body: () throws(CoverTreeError) -> Void) throws(CoverTreeError) {
    try rollBack()  // if an earlier transaction could not
    try execute("BEGIN IMMEDIATE")
    do throws(CoverTreeError) {
      try body()
      try execute("COMMIT")
    } catch {
      try? rollBack()
      throw error
    }
  }

  /// Rolls back the current transaction, if there is one. The statement was prepared earlier, because preparing allocates memory, and a
  /// transaction may fail for lack of memory.
  private func rollBack() throws(CoverTreeError) {
    guard sqlite3_get_autocommit(database) == 0 else { return }
    sqlite3_step(rollback)
    try check(sqlite3_reset(rollback))
  }

  /// Copies the whole database, in the state of this connection.
  func backUp(to other: SQLite, _ context: CallContext) throws(CoverTreeError) {
    // One transaction, so that the copy has no later changes of other connections.
    try execute("BEGIN")
    defer { try? execute("COMMIT") }
    _ = try number("SELECT count(*) FROM sqlite_schema")
    guard let backup = sqlite3_backup_init(other.database, "main", database, "main") else {
      throw Self.error(sqlite3_errcode(other.database), other.database, other.name)
    }
    var code = SQLITE_OK
    do throws(CoverTreeError) {
      repeat {
        code = sqlite3_backup_step(backup, Self.pagesTogether)
        let (all, left) = (sqlite3_backup_pagecount(backup), sqlite3_backup_remaining(backup))
        try context.poll(share: Double(all - left) / Double(max(1, all)))
      } while code == SQLITE_OK
    } catch {
      sqlite3_backup_finish(backup)
      throw error
    }
    let end = sqlite3_backup_finish(backup)
    try other.check(code == SQLITE_DONE ? end : code)
  }

  /// Waits until the database and its write-ahead log are on the disk.
  ///
  /// It uses SQLite's own descriptors: if another descriptor of the same file is closed, the process loses its locks.
  func sync() throws(CoverTreeError) {
    try exclusively { () throws(CoverTreeError) in
      for (which, suffix) in [(SQLITE_FCNTL_FILE_POINTER, ""), (SQLITE_FCNTL_JOURNAL_POINTER, "-wal")] {
        var file: UnsafeMutablePointer<sqlite3_file>?
        try check(sqlite3_file_control(database, "main", which, &file))
        guard let file, let methods = file.pointee.pMethods else { continue }
        guard methods.pointee.xSync(file, SQLITE_SYNC_NORMAL) == SQLITE_OK else {
          throw CoverTreeError.io("path: \(name)\(suffix)")
        }
      }
    }
  }

  /// A prepared statement; parameters and columns are numbered from 1 and from 0, as SQLite does.
  final class Statement {
    private let connection: SQLite
    private let statement: OpaquePointer

    init(_ connection: SQLite, _ sql: String) throws(CoverTreeError) {
      var prepared: OpaquePointer?
      try connection.check(sqlite3_prepare_v2(connection.database, sql, -1, &prepared, nil))
      guard let prepared else { throw CoverTreeError(.internal, "SQL: \(sql)") }
      (self.connection, statement) = (connection, prepared)
    }

    deinit { sqlite3_finalize(statement) }

    func bind(_ parameter: Int32, _ value: Int64) throws(CoverTreeError) {
      try connection.check(sqlite3_bind_int64(statement, parameter, value))
    }

    /// The bytes must not change until the statement is reset.
    func bind(_ parameter: Int32, _ bytes: UnsafeRawBufferPointer) throws(CoverTreeError) {
      try connection.check(sqlite3_bind_blob64(statement, parameter, bytes.baseAddress, UInt64(bytes.count), nil))
    }

    func bind(text parameter: Int32, _ bytes: UnsafeBufferPointer<CChar>) throws(CoverTreeError) {
      try connection.check(sqlite3_bind_text(statement, parameter, bytes.baseAddress, Int32(bytes.count), nil))
    }

    /// - Returns: whether there is a row.
    func step() throws(CoverTreeError) -> Bool {
      let code = sqlite3_step(statement)
      try connection.check(code)
      return code == SQLITE_ROW
    }

    /// Runs it to its end, with these numbers as its first parameters, and resets it.
    func run(_ numbers: Int64...) throws(CoverTreeError) {
      defer { sqlite3_reset(statement) }
      for (position, number) in numbers.enumerated() { try bind(Int32(position + 1), number) }
      while try step() {}
    }

    /// The values that `read` gets from the first row, if there is one; resets the statement.
    func first<Values>(_ read: (Statement) throws(CoverTreeError) -> Values) throws(CoverTreeError) -> Values? {
      defer { sqlite3_reset(statement) }
      return try step() ? read(self) : nil
    }

    func number(_ column: Int32) -> Int64 { sqlite3_column_int64(statement, column) }

    func text(_ column: Int32) -> String { sqlite3_column_text(statement, column).map { String(cString: $0) } ?? "" }

    /// Valid until the next step.
    func bytes(_ column: Int32) -> UnsafeRawBufferPointer {
      let base = sqlite3_column_blob(statement, column)
      return UnsafeRawBufferPointer(start: base, count: Int(sqlite3_column_bytes(statement, column)))
    }
  }
}
