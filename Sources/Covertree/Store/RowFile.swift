import Glibc

/// The file of a durable store's rows: a header of one page, then row after row.
final class RowFile: @unchecked Sendable {
  static var headerBytes: Int { 4096 }
  private static var magic: UInt64 { 0x3130_5357_4F52_5443 }  // "CTROWS01"
  /// What is put together before it is written.
  private static var stagedBytes: Int { 1 << 20 }

  let descriptor: Int32
  let path: String

  /// What a file says about itself.
  struct Header: BitwiseCopyable {
    var magic: UInt64
    var version: UInt32
    var dim: UInt32
    /// The store that it belongs to.
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
    guard descriptor >= 0 else { throw .io("path: \(path)") }
    let file = RowFile(descriptor: descriptor, path: path)
    let page = try Buffer<UInt8>(count: headerBytes, filledWith: 0)
    UnsafeMutableRawPointer(page.base).storeBytes(of: header, as: Header.self)
    try file.write(page.base, headerBytes, at: 0)
    return file
  }

  /// - Parameter rows: that there have to be.
  static func open(
    _ path: String, _ expected: Header, rows: Int, writable: Bool
  ) throws(CoverTreeError) -> RowFile {
    let descriptor = Glibc.open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw .io("path: \(path)") }
    let file = RowFile(descriptor: descriptor, path: path)
    var header = expected
    let got = withUnsafeMutableBytes(of: &header) { pread(descriptor, $0.baseAddress!, $0.count, 0) }
    guard got == MemoryLayout<Header>.size, header.magic == magic else {
      throw CoverTreeError(.corrupt, "path: \(path): is not the row file of a store")
    }
    guard header.version == 1 else {
      throw CoverTreeError(.formatVersion, "path: \(path): has format version \(header.version), this library reads 1")
    }
    guard header.checksum == header.sum else { throw CoverTreeError(.corrupt, "path: \(path): its header is damaged") }
    guard header.store == expected.store, header.dim == expected.dim else {
      throw CoverTreeError(.corrupt, "path: \(path): belongs to another store than the catalogue beside it")
    }
    let needed = rows == 0 ? 0 : headerBytes + rows * StoreRows.rowBytes(dim: Int(header.dim))
    let size = try file.size()
    guard size >= needed else {
      throw CoverTreeError(.corrupt, "path: \(path): is truncated: it has \(size) bytes, its rows need \(needed)")
    }
    return file
  }

  func size() throws(CoverTreeError) -> Int {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw .io("path: \(path)") }
    return Int(status.st_size)
  }

  /// Writes rows that follow each other; `fill` puts one together.
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
    var done = 0
    while done < count {
      let written = pwrite(descriptor, bytes + done, count - done, off_t(offset + done))
      if written < 0 && errno == EINTR { continue }
      guard written > 0 else { throw .io("path: \(path)") }
      done += written
    }
  }

  /// What was written is on the disk when this returns.
  func sync() throws(CoverTreeError) { guard fdatasync(descriptor) == 0 else { throw .io("path: \(path)") } }

  /// Makes holes of whole pages of rows.
  func discard(_ slots: Range<Int>, rowBytes: Int) throws(CoverTreeError) {
    let page = Self.headerBytes
    let first = (page + slots.lowerBound * rowBytes + page - 1) / page * page
    let count = (page + slots.upperBound * rowBytes) / page * page - first
    guard count > 0 else { return }
    guard let mapped = mmap(nil, count, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, off_t(first)),
      mapped != MAP_FAILED
    else { throw .io("path: \(path)") }
    defer { munmap(mapped, count) }
    // Some file systems have no holes: then the disk stays taken, and the rows are used again.
    guard madvise(mapped, count, MADV_REMOVE) == 0 || errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL else {
      throw .io("path: \(path)")
    }
  }

  /// Makes the file end behind so many rows.
  func truncate(to rows: Int, rowBytes: Int) throws(CoverTreeError) {
    let wanted = Self.headerBytes + rows * rowBytes
    guard try size() > wanted else { return }
    guard ftruncate(descriptor, off_t(wanted)) == 0 else { throw .io("path: \(path)") }
  }
}
