import CNumerics
import CovertreeBase
import Glibc

/// An open file: its header and table are checked, its sections are in memory, mapped or read.
///
/// Sections are trusted only after `verify` has compared them with their checksums.
public final class StoredFile: @unchecked Sendable {
  /// Files of other versions are not opened.
  public static let formatVersion = FileFormat.version

  public let kind: FileKind
  public let inputHash: UInt64
  public let sections: [Section]
  /// The name in messages.
  private let name: String
  private let memory: FileMemory
  private let sums: [UInt32]
  /// Of each section.
  private let verified: [Lazy<Verified>]

  private final class Verified {}

  public var bytes: UnsafeRawBufferPointer { memory.bytes }

  /// - Parameter maps: whether to share the file's pages with other processes, or to read them into own memory. A mapped file must not be
  ///   made shorter while it is in use; a replaced one stays as it was.
  public convenience init(path: String, maps: Bool) throws(CoverTreeError) {
    try self.init(FileMemory(path: path, maps: maps), name: "path: \(path)")
  }

  /// A copy of a file that the caller has in memory.
  public convenience init(copying bytes: UnsafeRawBufferPointer) throws(CoverTreeError) {
    let copy = try Buffer<UInt8>(count: bytes.count)
    if let from = bytes.baseAddress {
      UnsafeMutableRawPointer(copy.base).copyMemory(from: from, byteCount: bytes.count)
    }
    try self.init(FileMemory(copy), name: "bytes")
  }

  /// An image, as if it had been written and opened.
  public convenience init(_ image: FileImage, context: CallContext) throws(CoverTreeError) {
    try self.init(FileMemory(image.copy(context: context)), name: "bytes")
  }

  private init(_ memory: FileMemory, name: String) throws(CoverTreeError) {
    self.memory = memory
    self.name = name
    let head = try FileHead(memory.bytes, name)
    (kind, inputHash) = (head.kind, head.inputHash)
    sections = head.entries.map { entry in
      Section(
        name: entry.name, type: entry.type, rows: entry.rows, columns: entry.columns,
        data: memory.bytes.baseAddress! + entry.offset, owner: memory)
    }
    sums = head.entries.map(\.checksum)
    verified = head.entries.map { _ in Lazy() }
  }

  /// Compares every section with its checksum, once.
  public func verify(context: CallContext) throws(CoverTreeError) {
    for index in sections.indices { try verify(index, context: context) }
  }

  /// The same for the section of a name, if there is one.
  package func verify(_ name: String) throws(CoverTreeError) {
    guard let index = sections.firstIndex(where: { $0.name == name }) else { return }
    try verify(index, context: CallContext())
  }

  /// The same for one section.
  public func verify(_ index: Int, context: CallContext) throws(CoverTreeError) {
    let section = sections[index]
    _ = try verified[index].get { () throws(CoverTreeError) in
      guard try Checksum.ofSection(section.bytes, context: context) == sums[index] else {
        throw corrupt("section \"\(section.name)\" does not match its checksum")
      }
      let padding = FileFormat.aligned(section.byteCount) - section.byteCount
      guard UnsafeRawBufferPointer(start: section.data + section.byteCount, count: padding).allSatisfy({ $0 == 0 })
      else { throw corrupt("what fills up section \"\(section.name)\" is not zero") }
      return Verified()
    }
  }

  public func corrupt(_ what: String) -> CoverTreeError { CoverTreeError(.corrupt, "\(name): \(what)") }

  /// Throws if the file is of another kind.
  public func expect(_ expected: FileKind) throws(CoverTreeError) {
    guard kind == expected else {
      throw CoverTreeError(.invalidArgument, "\(name): expected a file of kind \(expected), got one of kind \(kind)")
    }
  }

  public func section(named name: String) -> Section? { sections.first { $0.name == name } }

  /// A section as a buffer over the file's memory.
  ///
  /// - Parameters:
  ///   - rows: the required number; nil for any.
  package func buffer<E: StorableElement>(
    _ name: String, of: E.Type = E.self, rows: Int? = nil, columns: Int = 1
  ) throws(CoverTreeError) -> Buffer<E> {
    guard let section = section(named: name) else { throw corrupt("section \"\(name)\" is missing") }
    guard section.type == E.elementType, section.columns == columns, rows == nil || section.rows == rows else {
      throw corrupt(
        "section \"\(name)\": expected \(E.elementType) of \(rows.map(String.init) ?? "any") x \(columns), got "
          + "\(section.type) of \(section.rows) x \(section.columns)")
    }
    let base = UnsafeMutableRawPointer(mutating: section.data).assumingMemoryBound(to: E.self)
    return Buffer(viewing: base, count: section.rows * columns, owner: memory)
  }
}

/// The memory of a file: a mapping of it, or a buffer.
private final class FileMemory: @unchecked Sendable {
  let bytes: UnsafeRawBufferPointer
  private let owned: Buffer<UInt8>?

  init(_ buffer: Buffer<UInt8>) {
    bytes = UnsafeRawBufferPointer(buffer.elements)
    owned = buffer
  }

  init(path: String, maps: Bool) throws(CoverTreeError) {
    // Without it, opening a pipe would wait for a writer.
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else { throw .io(path: path) }
    defer { close(file) }
    let status = try stat(of: file, path: path)
    guard status.isRegularFile else {
      throw CoverTreeError(
        .io, "path: \(path): is not a file", code: status.st_mode & S_IFMT == S_IFDIR ? EISDIR : EINVAL)
    }
    let count = Int(status.st_size)
    // In a file system in memory, reading a mapped hole allocates memory, and ends the process if no memory is left.
    let hasHoles = cn_is_in_memory(file) != 0 && lseek(file, 0, 4) < off_t(count)  // SEEK_HOLE
    lseek(file, 0, Int32(SEEK_SET))
    guard maps, count > 0, !hasHoles else {
      let buffer = try Buffer<UInt8>(count: count)
      try readAll(count, path: path) { read(file, buffer.base + $0, count - $0) }
      bytes = UnsafeRawBufferPointer(buffer.elements)
      owned = buffer
      return
    }
    guard let base = mmap(nil, count, PROT_READ, MAP_SHARED, file, 0), base != MAP_FAILED else { throw .io(path: path) }
    bytes = UnsafeRawBufferPointer(start: base, count: count)
    owned = nil
  }

  deinit {
    if owned == nil { munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress!), bytes.count) }
  }
}

/// A header and its table, read and checked before they are used.
private struct FileHead {
  let kind: FileKind
  let inputHash: UInt64
  let entries: [Entry]

  struct Entry {
    let name: String
    let type: ElementType
    let checksum: UInt32
    let offset: Int
    let rows: Int
    let columns: Int
  }

  init(_ bytes: UnsafeRawBufferPointer, _ name: String) throws(CoverTreeError) {
    func number<N: FixedWidthInteger>(_ offset: Int) -> N {
      N(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: N.self))
    }
    func corrupt(_ what: String) -> CoverTreeError { CoverTreeError(.corrupt, "\(name): \(what)") }
    typealias Header = FileFormat.Header
    guard bytes.count >= FileFormat.headerBytes, bytes.prefix(FileFormat.magic.count).elementsEqual(FileFormat.magic)
    else { throw corrupt("is not a file of covertree") }
    let order: UInt32 = number(Header.byteOrder)
    guard order == FileFormat.byteOrder else {
      throw corrupt(
        order == FileFormat.byteOrder.byteSwapped
          ? "has big-endian numbers; files of covertree are little-endian" : "has a damaged header")
    }
    let version: UInt32 = number(Header.version)
    guard version == FileFormat.version else {
      throw CoverTreeError(
        .formatVersion, "\(name): has format version \(version); this library reads version \(FileFormat.version)")
    }
    let size: UInt64 = number(Header.byteCount)
    guard size == UInt64(bytes.count) else {
      throw corrupt("should have \(size) bytes by its header and has \(bytes.count); was it cut off?")
    }
    let count = Int(number(Header.sectionCount) as UInt32)
    let end = FileFormat.headerBytes + count * FileFormat.entryBytes
    guard end <= bytes.count,
      headChecksum(UnsafeRawBufferPointer(rebasing: bytes[..<end])) == number(Header.checksum)
    else { throw corrupt("has a damaged header or table of sections") }
    guard let kind = FileKind(rawValue: number(Header.kind)) else {
      throw corrupt("has contents that this library does not know")
    }
    self.kind = kind
    inputHash = number(Header.inputHash)
    var next = end
    var entries: [Entry] = []
    for index in 0..<count {
      let at = FileFormat.headerBytes + index * FileFormat.entryBytes
      typealias Field = FileFormat.Entry
      let sectionName = String(decoding: bytes[at..<at + FileFormat.nameBytes].prefix { $0 != 0 }, as: UTF8.self)
      let (rows, columns): (UInt64, UInt64) = (number(at + Field.rows), number(at + Field.columns))
      guard let type = ElementType(rawValue: number(at + Field.type)),
        let size = Self.byteCount(rows, columns, type), size <= bytes.count - next,
        number(at + Field.offset) == UInt64(next), FileFormat.aligned(size) <= bytes.count - next
      else { throw corrupt("section \"\(sectionName)\" does not fit the file") }
      entries.append(
        Entry(
          name: sectionName, type: type, checksum: number(at + Field.checksum), offset: next,
          rows: Int(rows), columns: Int(columns)))
      next += FileFormat.aligned(size)
    }
    guard next == bytes.count else { throw corrupt("has \(bytes.count - next) bytes behind its last section") }
    self.entries = entries
  }

  /// nil if it is more than any file has.
  private static func byteCount(_ rows: UInt64, _ columns: UInt64, _ type: ElementType) -> Int? {
    let (cells, overflow) = rows.multipliedReportingOverflow(by: columns)
    guard !overflow, rows < 1 << 56, columns < 1 << 56, cells < 1 << 56 else { return nil }
    return Int(cells) * type.byteCount
  }
}
