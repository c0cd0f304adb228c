import CNumerics
import Glibc

/// The rows of a store: float32, each at a multiple of 64 bytes. Rows never move, so an index and a view can read them in place.
///
/// A range of addresses is reserved at once; memory, or pages of a file, come behind it as rows are written. A file is written by
/// `pwrite`, which can fail, and read through a mapping, which cannot.
final class StoreRows: @unchecked Sendable {
  let dim: Int
  let rowBytes: Int
  /// Row 0.
  let base: UnsafeMutableRawPointer
  /// Rows for which there are addresses.
  let reserved: Int
  /// nil for rows in memory alone.
  let file: RowFile?
  /// Bytes from row 0 on that are memory.
  private var usable = 0
  private let mapping: UnsafeMutableRawPointer
  private let mappingBytes: Int

  /// As far as addresses are reserved, where the system gives as many.
  private static var mostBytes: Int { 1 << 40 }
  private static var leastBytes: Int { 1 << 24 }
  /// Of a large page, of which memory for rows is made where there are such.
  static var pageBytes: Int { 2 << 20 }
  /// Memory that is made usable at a time.
  private static var step: Int { 8 << 20 }

  static func rowBytes(dim: Int) -> Int { (dim * MemoryLayout<Float>.stride + 63) / 64 * 64 }

  /// - Parameter needed: rows that there are already.
  init(dim: Int, file: RowFile?, needed: Int) throws(CoverTreeError) {
    (self.dim, self.file) = (dim, file)
    rowBytes = Self.rowBytes(dim: dim)
    let header = file == nil ? 0 : RowFile.headerBytes
    let (most, overflow) = (1 << 31).multipliedReportingOverflow(by: rowBytes)
    var bytes = min(overflow ? Self.mostBytes : most, Self.mostBytes) + header
    let least = max(needed * rowBytes, Self.leastBytes) + header
    bytes = max(bytes, least)
    let (protection, flags) =
      file == nil
      ? (PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE) : (PROT_READ, MAP_SHARED | MAP_NORESERVE)
    var mapped = mmap(nil, bytes, protection, flags, file?.descriptor ?? -1, 0)
    while mapped == MAP_FAILED, bytes > least {
      bytes = max(least, bytes / 2)
      mapped = mmap(nil, bytes, protection, flags, file?.descriptor ?? -1, 0)
    }
    guard let mapped, mapped != MAP_FAILED else {
      throw CoverTreeError(.outOfMemory, "out of memory: could not reserve \(bytes) bytes of addresses for rows")
    }
    (mapping, mappingBytes) = (mapped, bytes)
    base = mapped + header
    reserved = min((bytes - header) / rowBytes, Int(Int32.max))
    if file == nil { madvise(mapped, bytes, 14) }  // MADV_HUGEPAGE
  }

  deinit { munmap(mapping, mappingBytes) }

  @inline(__always)
  func row(_ slot: Int) -> UnsafeMutablePointer<Float> {
    (base + slot &* rowBytes).assumingMemoryBound(to: Float.self)
  }

  /// Makes rows up to a count writable.
  func reserve(_ count: Int) throws(CoverTreeError) {
    guard count <= reserved else {
      throw CoverTreeError(
        .outOfMemory, "out of memory: the store has addresses for \(reserved) vectors, not for \(count)")
    }
    guard file == nil, count * rowBytes > usable else { return }
    let wanted = min(
      (max(count * rowBytes, usable + min(usable / 2, 256 << 20)) + Self.step - 1) / Self.step * Self.step, mappingBytes
    )
    guard mprotect(mapping, wanted, PROT_READ | PROT_WRITE) == 0 else {
      throw CoverTreeError(.outOfMemory, "out of memory: could not allocate \(wanted - usable) bytes for rows")
    }
    usable = wanted
  }

  /// Writes rows `source` gives to slots that follow each other.
  func write(_ slots: Range<Int>, _ source: (Int) -> UnsafePointer<Float>) throws(CoverTreeError) {
    guard let file else {
      for slot in slots { fill(row(slot), source(slot)) }
      return
    }
    try file.write(slots, rowBytes: rowBytes) { fill($0, source($1)) }
  }

  /// Writes a row as it is kept: one zero, and zeros behind the last coordinate.
  @inline(__always)
  private func fill(_ target: UnsafeMutablePointer<Float>, _ source: UnsafePointer<Float>) {
    cn_copy_floats(target, source, Int64(dim))
  }

  /// Whether a vector is that of a slot, bit for bit but for the sign of zeros.
  @inline(__always)
  func holds(_ slot: Int, _ vector: UnsafePointer<Float>) -> Bool {
    cn_equal_floats(row(slot), vector, Int64(dim)) != 0
  }

  /// Gives the memory, or the disk, of rows that nobody has back to the system.
  func discard(_ slots: Range<Int>) throws(CoverTreeError) {
    if let file { return try file.discard(slots, rowBytes: rowBytes) }
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let (first, end) = (
      (slots.lowerBound * rowBytes + page - 1) / page * page, slots.upperBound * rowBytes / page * page
    )
    if end > first { madvise(base + first, end - first, MADV_DONTNEED) }
  }
}
