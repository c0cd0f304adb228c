import Covertree
import CovertreeBase

/// The schema of a catalogue's database.
enum CatalogueSchema {
  static var applicationID: Int64 { 0x4354_5653 }
  static var version: Int64 { 2 }

  /// All tables of a catalogue, in SQLite's own text.
  static var tables: [String: String] {
    [
      "state": """
      CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 1), dim INTEGER, high INTEGER, low INTEGER,
        generation INTEGER, slots INTEGER, entries INTEGER, checksum INTEGER) STRICT
      """,
      "pages":
        "CREATE TABLE pages (key INTEGER PRIMARY KEY, generation INTEGER, checksum INTEGER, records BLOB) STRICT",
      "names": "CREATE TABLE names (entry INTEGER PRIMARY KEY, checksum INTEGER, name TEXT) STRICT",
    ]
  }

  /// Polls of the caller while the schema is read. It has three rows, so one poll is rare.
  private static var mostOfSchema: Int { 100 }

  /// Compares the kind, the version and the schema of a database, before its tables are used.
  static func check(_ database: SQLite, _ path: String, _ context: CallContext) throws(CoverTreeError) {
    try database.watched(by: context, most: mostOfSchema) { () throws(CoverTreeError) in
      try checkKind(database, path)
      try checkTables(database, path)
    }
  }

  private static func checkKind(_ database: SQLite, _ path: String) throws(CoverTreeError) {
    guard try database.number("PRAGMA application_id") == applicationID else {
      throw .corrupt(path: path, "is not the catalogue of a store")
    }
    let version = try database.number("PRAGMA user_version")
    guard version == Self.version else {
      throw CoverTreeError(
        .formatVersion, "path: \(path): has format version \(version), this library reads \(Self.version)")
    }
  }

  /// Views, triggers, indexes and virtual tables could run code of an attacker.
  private static func checkTables(_ database: SQLite, _ path: String) throws(CoverTreeError) {
    let row = try SQLite.Statement(database, "SELECT type, name, tbl_name, sql FROM sqlite_schema")
    var missing = tables
    while try row.step() {
      let (type, name) = (row.text(0), row.text(1))
      guard type == "table", row.text(2) == name, let expected = missing.removeValue(forKey: name),
        row.text(3) == expected
      else { throw .corrupt(path: path, "the \(type) \"\(name)\" is not one that a catalogue has") }
    }
    guard missing.isEmpty else { throw .corrupt(path: path, "lacks the table \"\(missing.keys.sorted()[0])\"") }
  }
}
