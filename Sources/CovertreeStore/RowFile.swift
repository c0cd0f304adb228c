import CNumerics
import Covertree
import CovertreeBase
import CovertreeFiles
import Glibc

/// The file of a durable store's rows: a header of one page, then row after row.
///
/// It never becomes shorter. A mapping of it, in this process or another one, can be read as long as the mapping exists, and the writer
/// does not know how long that is.
final class RowFile: @unchecked Sendable {
  static var headerBytes: Int { 4096 }
  private static var magic: UInt64 { 0x3130_5357_4F52_5443 }  // "CTROWS01"
  /// Bytes that are collected before they are written.
  private static var stagedBytes: Int { 1 << 20 }
  private static var seekData: Int32 { 3 }  // SEEK_DATA
  private static var seekHole: Int32 { 4 }  // SEEK_HOLE

  let descriptor: Int32
  let path: String

  struct Header: BitwiseCopyable {
    var magic: UInt64
    var version: UInt32
    var dim: UInt32
    /// The number of its store.
    var store: (UInt64, UInt64)
    var checksum: UInt32

    init(dim: Int, store: (UInt64, UInt64)) {
      (magic, version, self.dim, self.store, checksum) = (RowFile.magic, 1, UInt32(dim), store, 0)
      checksum = sum
    }

    fileprivate var sum: UInt32 {
      var copy = self
      copy.checksum = 0
      return withUnsafeBytes(of: &copy) { Checksum.crc(UnsafeRawBufferPointer(rebasing: $0[..<32])) }
    }
  }

  private init(descriptor: Int32, path: String) { (self.descriptor, self.path) = (descriptor, path) }

  deinit { close(descriptor) }

  static func create(_ path: String, _ header: Header) throws(CoverTreeError) -> RowFile {
    let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw .io(path: path) }
    let file = RowFile(descriptor: descriptor, path: path)
    let page = try Buffer<UInt8>(count: headerBytes, filledWith: 0)
    UnsafeMutableRawPointer(page.base).storeBytes(of: header, as: Header.self)
    try file.write(page.base, headerBytes, at: 0)
    return file
  }

  /// - Parameter rows: the required number.
  static func open(_ path: String, _ expected: Header, rows: Int, writable: Bool) throws(CoverTreeError) -> RowFile {
    let descriptor = Glibc.open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW)
    guard descriptor >= 0 else { throw .io(path: path) }
    let file = RowFile(descriptor: descriptor, path: path)
    var header = expected
    let got = withUnsafeMutableBytes(of: &header) { pread(descriptor, $0.baseAddress!, $0.count, 0) }
    guard got == MemoryLayout<Header>.size, header.magic == magic else {
      throw .corrupt(path: path, "is not the row file of a store")
    }
    guard header.version == 1 else {
      throw CoverTreeError(.formatVersion, "path: \(path): has format version \(header.version), this library reads 1")
    }
    guard header.checksum == header.sum else { throw .corrupt(path: path, "its header is damaged") }
    guard header.store == expected.store, header.dim == expected.dim else {
      throw .corrupt(path: path, "belongs to another store than the catalogue beside it")
    }
    try file.check(holds: rows, rowBytes: StoreRows.rowBytes(dim: Int(header.dim)))
    return file
  }

  /// Throws if the file is too short for a number of rows.
  func check(holds rows: Int, rowBytes: Int) throws(CoverTreeError) {
    let needed = rows == 0 ? 0 : Self.headerBytes + rows * rowBytes
    let size = try size()
    guard size >= needed else {
      throw .corrupt(path: path, "is truncated: it has \(size) bytes, its rows need \(needed)")
    }
  }

  /// The number of rows in the file, including an incomplete last row.
  func rowCount(rowBytes: Int) throws(CoverTreeError) -> Int {
    // A hostile file may claim any size.
    max(0, min(try size(), 1 << 60) - Self.headerBytes + rowBytes - 1) / rowBytes
  }

  func size() throws(CoverTreeError) -> Int { Int(try stat(of: descriptor, path: path).st_size) }

  /// The disk space of the file, without holes.
  func allocatedBytes() throws(CoverTreeError) -> Int { Int(try stat(of: descriptor, path: path).st_blocks) * 512 }

  /// Writes consecutive rows; `fill` writes one to memory.
  func write(
    _ slots: Range<Int>, rowBytes: Int, fill: (UnsafeMutablePointer<Float>, Int) -> Void
  ) throws(CoverTreeError) {
    let together = max(1, min(slots.count, Self.stagedBytes / rowBytes))
    let staged = try Buffer<UInt8>(count: together * rowBytes)
    for first in stride(from: slots.lowerBound, to: slots.upperBound, by: together) {
      let end = min(slots.upperBound, first + together)
      for slot in first..<end {
        let row = UnsafeMutableRawPointer(staged.base + (slot - first) * rowBytes)
        fill(row.assumingMemoryBound(to: Float.self), slot)
      }
      try write(staged.base, (end - first) * rowBytes, at: Self.headerBytes + first * rowBytes)
    }
  }

  private func write(_ bytes: UnsafeRawPointer, _ count: Int, at offset: Int) throws(CoverTreeError) {
    try writeAll(count, path: path) { pwrite(descriptor, bytes + $0, count - $0, off_t(offset + $0)) }
  }

  /// Reads bytes by a call that can fail. Reading a mapping instead ends the process if the disk has lost the bytes.
  func read(into target: UnsafeMutableRawPointer, _ count: Int, at offset: Int) throws(CoverTreeError) {
    try readAll(count, path: path) { pread(descriptor, target + $0, count - $0, off_t(offset + $0)) }
  }

  /// Copies the first rows to a new file. Holes stay holes.
  func copyRows(_ rows: Int, rowBytes: Int, to target: RowFile, _ context: CallContext) throws(CoverTreeError) {
    let end = Self.headerBytes + rows * rowBytes
    let staged = try Buffer<UInt8>(count: Self.stagedBytes)
    var next = Self.headerBytes
    while next < end {
      let data = lseek(descriptor, off_t(next), Self.seekData)
      guard data >= 0 || errno == ENXIO else { throw .io(path: path) }
      // The rest is a hole.
      guard data >= 0, Int(data) < end else { break }
      let hole = lseek(descriptor, data, Self.seekHole)
      guard hole >= 0 else { throw .io(path: path) }
      next = min(end, Int(hole))
      for first in stride(from: Int(data), to: next, by: Self.stagedBytes) {
        let count = min(Self.stagedBytes, next - first)
        try read(into: staged.base, count, at: first)
        try target.write(staged.base, count, at: first)
        try context.poll(share: Double(first) / Double(end))
      }
    }
    try target.extend(to: rows, rowBytes: rowBytes)
  }

  /// Makes the file long enough for a number of rows. The new end is a hole.
  func extend(to rows: Int, rowBytes: Int) throws(CoverTreeError) {
    let end = Self.headerBytes + rows * rowBytes
    guard try size() < end else { return }
    guard ftruncate(descriptor, off_t(end)) == 0 else { throw .io(path: path) }
  }

  /// Throws if a row in use is in a hole, and the file system is memory (tmpfs). Reading a mapped hole there allocates memory, and ends
  /// the process if no memory is left. Stores and their copies have no such holes, but other programs can make them.
  func checkHoles(_ rows: Int, rowBytes: Int, isUsed: (Int) -> Bool) throws(CoverTreeError) {
    guard cn_is_in_memory(descriptor) != 0 else { return }
    var next = 0
    while next < rows {
      let hole = Int(lseek(descriptor, off_t(Self.headerBytes + next * rowBytes), Self.seekHole)) - Self.headerBytes
      guard hole >= 0, hole / rowBytes < rows else { return }
      let data = Int(lseek(descriptor, off_t(Self.headerBytes + hole), Self.seekData)) - Self.headerBytes
      next = data < 0 ? rows : min(rows, (data + rowBytes - 1) / rowBytes)
      guard let row = (hole / rowBytes..<next).first(where: isUsed) else { continue }
      throw .corrupt(path: path, "has a hole where row \(row) should be; copy the store with cp --sparse=never")
    }
  }

  func sync() throws(CoverTreeError) { guard fdatasync(descriptor) == 0 else { throw .io(path: path) } }

  /// Turns whole pages of rows into holes.
  func discard(_ slots: Range<Int>, rowBytes: Int) throws(CoverTreeError) {
    let page = Self.headerBytes
    let first = (page + slots.lowerBound * rowBytes + page - 1) / page * page
    let end = page + slots.upperBound * rowBytes
    // The last page of the file has no other rows.
    let count = (end >= (try size()) ? end + page - 1 : end) / page * page - first
    // In a file system in memory, reading a mapped hole allocates memory, and ends the process if no memory is left.
    guard count > 0, cn_is_in_memory(descriptor) == 0 else { return }
    guard let mapped = mmap(nil, count, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, off_t(first)),
      mapped != MAP_FAILED
    else { throw .io(path: path) }
    defer { munmap(mapped, count) }
    // Some file systems have no holes. Then the disk space stays in use, and the rows are used again.
    guard madvise(mapped, count, MADV_REMOVE) == 0 || errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL else {
      throw .io(path: path)
    }
  }
}
