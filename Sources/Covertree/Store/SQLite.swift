import CSQLite
import Glibc

/// A connection to an SQLite database: what the catalogue's file needs of it.
final class SQLite: @unchecked Sendable {
  private let database: OpaquePointer
  /// What messages call it.
  private let name: String

  enum Mode {
    /// `immutable`: what is read is changed by nobody, and nothing may be written beside it. The path is a URI then.
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
    let code = sqlite3_open_v2(path, &opened, access | SQLITE_OPEN_FULLMUTEX, nil)
    guard code == SQLITE_OK, let opened else {
      let error = Self.error(code, opened, path)
      sqlite3_close_v2(opened)
      throw error
    }
    database = opened
    sqlite3_extended_result_codes(database, 1)
    sqlite3_busy_timeout(database, 5000)
    // A database may be by whomever: its schema calls nothing that has effects, and its pages are looked at before they are believed
    // (https://www.sqlite.org/security.html).
    // Deleted rows are overwritten, so that names of removed ids stay neither in the file nor in copies of it.
    try execute("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA secure_delete = ON")
  }

  deinit { sqlite3_close_v2(database) }

  private static func error(_ code: Int32, _ database: OpaquePointer?, _ path: String) -> CoverTreeError {
    let said = database.map { String(cString: sqlite3_errmsg($0)) } ?? String(cString: sqlite3_errstr(code))
    let system = database.map { sqlite3_system_errno($0) } ?? 0
    let message = "path: \(path): \(said)"
    switch code & 0xFF {
    case SQLITE_FULL: return CoverTreeError(.io, message, code: system == 0 ? ENOSPC : system)
    case SQLITE_CORRUPT, SQLITE_NOTADB: return CoverTreeError(.corrupt, message)
    case SQLITE_BUSY, SQLITE_LOCKED: return CoverTreeError(.busy, message)
    case SQLITE_NOMEM: return CoverTreeError(.outOfMemory, message)
    case SQLITE_READONLY, SQLITE_PERM: return CoverTreeError(.io, message, code: system == 0 ? EACCES : system)
    default: return CoverTreeError(.io, message, code: system == 0 ? EIO : system)
    }
  }

  func check(_ code: Int32) throws(CoverTreeError) {
    guard code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE else {
      throw Self.error(code, database, name)
    }
  }

  func execute(_ sql: String) throws(CoverTreeError) { try check(sqlite3_exec(database, sql, nil, nil, nil)) }

  /// The first number that a query gives.
  func number(_ sql: String) throws(CoverTreeError) -> Int64 {
    let statement = try Statement(self, sql)
    guard try statement.step() else { throw CoverTreeError(.corrupt, "path: \(name): \(sql) gives nothing") }
    return statement.number(0)
  }

  /// The first text that a query gives.
  func text(_ sql: String) throws(CoverTreeError) -> String {
    let statement = try Statement(self, sql)
    guard try statement.step() else { return "" }
    return statement.text(0)
  }

  /// Runs calls of which others must not come in between: those of a statement that threads share.
  func exclusively<Result>(_ body: () throws(CoverTreeError) -> Result) throws(CoverTreeError) -> Result {
    let mutex = sqlite3_db_mutex(database)
    sqlite3_mutex_enter(mutex)
    defer { sqlite3_mutex_leave(mutex) }
    return try body()
  }

  /// Runs a change, or nothing of it.
  func transaction(_ body: () throws(CoverTreeError) -> Void) throws(CoverTreeError) {
    try execute("BEGIN IMMEDIATE")
    do throws(CoverTreeError) {
      try body()
      try execute("COMMIT")
    } catch {
      if sqlite3_get_autocommit(database) == 0 { try? execute("ROLLBACK") }
      throw error
    }
  }

  /// Copies the whole database, as it stands for this connection.
  func backUp(to other: SQLite) throws(CoverTreeError) {
    guard let backup = sqlite3_backup_init(other.database, "main", database, "main") else {
      throw Self.error(sqlite3_errcode(other.database), other.database, other.name)
    }
    let code = sqlite3_backup_step(backup, -1)
    let end = sqlite3_backup_finish(backup)
    try other.check(code == SQLITE_DONE ? end : code)
  }

  /// The database and its write-ahead log are on the disk when this returns.
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

    /// The bytes have to stay as they are until the statement is reset.
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

    /// Runs it to its end, to be run again.
    func run() throws(CoverTreeError) {
      defer { sqlite3_reset(statement) }
      while try step() {}
    }

    func reset() { sqlite3_reset(statement) }

    func number(_ column: Int32) -> Int64 { sqlite3_column_int64(statement, column) }

    func text(_ column: Int32) -> String { sqlite3_column_text(statement, column).map { String(cString: $0) } ?? "" }

    /// Until the next step.
    func bytes(_ column: Int32) -> UnsafeRawBufferPointer {
      let base = sqlite3_column_blob(statement, column)
      return UnsafeRawBufferPointer(start: base, count: Int(sqlite3_column_bytes(statement, column)))
    }
  }
}
