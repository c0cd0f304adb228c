import Covertree
import CovertreeBase

/// The id of a vector: a number, 16 bytes, or the 16-byte digest of a name.
public struct StoreID: BitwiseCopyable, Equatable, Sendable {
  public enum Kind: UInt32, Sendable {
    case number = 1
    case uuid = 2
    case name = 3
  }

  public var high: UInt64
  public var low: UInt64
  public var kind: UInt32

  public init(high: UInt64, low: UInt64, kind: UInt32) { (self.high, self.low, self.kind) = (high, low, kind) }

  var hash: UInt64 { seededHash(low, high, kind: kind) }
}

extension StoreID: CustomStringConvertible {
  public var description: String {
    if kind == Kind.number.rawValue { return String(Int64(bitPattern: low)) }
    func padded(_ bits: UInt64) -> String {
      let digits = String(bits, radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }
    return (kind == Kind.name.rawValue ? "name " : "uuid ") + padded(high) + padded(low)
  }
}

/// A slot: the hash of its vector, and the number of its ids; 0 for free ones.
struct SlotRecord: BitwiseCopyable, Equatable {
  var hash: UInt64 = 0
  var count: UInt32 = 0
  var unused: UInt32 = 0
}

/// An id, and the slot of its vector; kind 0 for positions without one.
struct EntryRecord: BitwiseCopyable, Equatable {
  var high: UInt64 = 0
  var low: UInt64 = 0
  var slot: Int32 = 0
  var kind: UInt32 = 0

  init() {}

  init(_ id: StoreID, slot: Int) { (high, low, self.slot, kind) = (id.high, id.low, Int32(slot), id.kind) }

  var id: StoreID { StoreID(high: high, low: low, kind: kind) }
  var isEmpty: Bool { kind == 0 }
}

/// Records of one kind in pages, with marks for changed pages.
final class RecordPages<Record: BitwiseCopyable> {
  /// Records of a page: few, so that one change writes little.
  static var pageRecords: Int { 256 }

  let records: GrowableBuffer<Record>
  /// By page: whether it has changed.
  private let flags: GrowableBuffer<UInt8>
  private(set) var changed: GrowableBuffer<Int32>

  init() throws(CoverTreeError) {
    (records, flags, changed) = (try GrowableBuffer(), try GrowableBuffer(), try GrowableBuffer())
  }

  var count: Int { records.count }
  var pageCount: Int { Self.pageCount(count) }
  static func pageCount(_ records: Int) -> Int { (records + pageRecords - 1) / pageRecords }

  @inline(__always)
  subscript(index: Int) -> Record {
    get { records.base[index] }
    set {
      records.base[index] = newValue
      mark(index / Self.pageRecords)
    }
  }

  @inline(__always)
  private func mark(_ page: Int) {
    guard flags.base[page] == 0 else { return }
    flags.base[page] = 1
    // The memory is reserved by `resize`.
    try? changed.append(Int32(page))
  }

  /// Reserves memory for `more` records, so that adding them cannot fail.
  func reserve(_ more: Int) throws(CoverTreeError) {
    try records.reserve(more)
    let pages = Self.pageCount(count + more)
    try flags.reserve(max(0, pages - flags.count))
    try changed.reserve(max(0, pages - changed.count))
  }

  /// Adds a record; there is room for it.
  @inline(__always)
  func append(_ record: Record) {
    if count % Self.pageRecords == 0 { try? flags.append(0) }
    try? records.append(record)
    mark((count - 1) / Self.pageRecords)
  }

  /// Sets the count; new records are `blank`.
  func resize(to newCount: Int, blank: Record) throws(CoverTreeError) {
    let before = count
    if newCount > before { try reserve(newCount - before) }
    let pages = Self.pageCount(newCount)
    let pagesBefore = flags.count
    try records.resize(to: newCount)
    try flags.resize(to: pages)
    if pages > pagesBefore { (flags.base + pagesBefore).update(repeating: 0, count: pages - pagesBefore) }
    if newCount > before {
      (records.base + before).update(repeating: blank, count: newCount - before)
      for page in before / Self.pageRecords..<pages { mark(page) }
    } else {
      if pages < pagesBefore { try forget { $0 >= pages } }
      if newCount < before, newCount % Self.pageRecords != 0 { mark(pages - 1) }
    }
  }

  private func forget(_ goes: (Int) -> Bool) throws(CoverTreeError) {
    var kept = 0
    for position in 0..<changed.count where !goes(Int(changed[position])) {
      changed[kept] = changed[position]
      kept += 1
    }
    try changed.resize(to: kept)
  }

  func markWritten() {
    for page in changed.elements { flags[Int(page)] = 0 }
    changed.removeAll()
  }

  func markAll() { mark(from: 0) }

  /// Marks the pages of the records from `first` on as changed.
  func mark(from first: Int) {
    guard first < count else { return }
    for page in first / Self.pageRecords..<pageCount { mark(page) }
  }

  func bytes(ofPage page: Int) -> UnsafeMutableRawBufferPointer {
    let first = page * Self.pageRecords
    return UnsafeMutableRawBufferPointer(
      UnsafeMutableBufferPointer(start: records.base + first, count: min(count - first, Self.pageRecords)))
  }

  var byteCount: Int { records.byteCount + flags.byteCount + changed.byteCount }
}
