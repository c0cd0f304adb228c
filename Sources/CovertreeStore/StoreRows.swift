import CNumerics
import Covertree
import CovertreeBase
import Glibc

/// The rows of a store: float32, each at a multiple of 64 bytes. Rows never move, so an index and a view can read them in place.
///
/// A range of addresses is reserved at once; memory, or pages of a file, are mapped to it as rows are written. A file is written by
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
  private var space: Space
  /// Bytes of rows that a batch may reach.
  private var wanted = 0

  /// The reserved addresses, if the system gives this many.
  private static var mostBytes: Int { 1 << 40 }
  private static var leastBytes: Int { 1 << 24 }
  /// The size of a large page. Memory for rows is made of these if there are any.
  static var pageBytes: Int { 2 << 20 }
  private static var pagesAhead: Int { 3 }
  /// Memory that is made usable at a time.
  private static var step: Int { 8 << 20 }

  static func rowBytes(dim: Int) -> Int { (dim * MemoryLayout<Float>.stride + 63) / 64 * 64 }

  /// - Parameter needed: the number of existing rows.
  init(dim: Int, file: RowFile?, needed: Int) throws(CoverTreeError) {
    (self.dim, self.file) = (dim, file)
    rowBytes = Self.rowBytes(dim: dim)
    let header = file == nil ? 0 : RowFile.headerBytes
    let (most, overflow) = (1 << 31).multipliedReportingOverflow(by: rowBytes)
    let least = max(needed * rowBytes, Self.leastBytes) + header
    let wanted = max(min(overflow ? Self.mostBytes : most, Self.mostBytes) + header, least)
    if file == nil, let spare = Spare.reuse(wanted) { space = spare } else { space = try Space(file, wanted, least) }
    base = space.base + header
    reserved = min((space.byteCount - header) / rowBytes, Int(Int32.max))
  }

  deinit { if file != nil || !Spare.leave(space) { munmap(space.base, space.byteCount) } }

  /// A range of addresses.
  private struct Space: @unchecked Sendable {
    let base: UnsafeMutableRawPointer
    let byteCount: Int
    /// Bytes that may be written to, and have memory.
    var usable = 0
    var populated = 0

    /// - Parameters:
    ///   - file: to be mapped; nil for memory.
    ///   - least: the required number, if the system does not give as many.
    init(_ file: RowFile?, _ wanted: Int, _ least: Int) throws(CoverTreeError) {
      let (protection, flags) =
        file == nil
        ? (PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE) : (PROT_READ, MAP_SHARED | MAP_NORESERVE)
      var bytes = wanted
      var mapped = mmap(nil, bytes, protection, flags, file?.descriptor ?? -1, 0)
      while mapped == MAP_FAILED, bytes > least {
        bytes = max(least, bytes / 2)
        mapped = mmap(nil, bytes, protection, flags, file?.descriptor ?? -1, 0)
      }
      guard let mapped, mapped != MAP_FAILED else {
        throw CoverTreeError(.outOfMemory, "out of memory: could not reserve \(bytes) bytes of addresses for rows")
      }
      (base, byteCount) = (mapped, bytes)
      if file == nil { madvise(mapped, bytes, 14) }  // MADV_HUGEPAGE
    }
  }

  /// The memory of a freed store, for the next one: the system needs longer to clear other memory than filling it takes. `malloc` keeps
  /// as much.
  private enum Spare {
    private static var mostBytes: Int { 32 << 20 }
    /// Guarded by `processLock`.
    nonisolated(unsafe) private static var space: Space?

    static func reuse(_ byteCount: Int) -> Space? {
      processLock.locked {
        guard let known = space, known.byteCount >= byteCount else { return nil }
        space = nil
        return known
      }
    }

    /// - Returns: false if it is not kept.
    static func leave(_ left: Space) -> Bool {
      processLock.locked {
        guard space == nil, left.usable <= mostBytes else { return false }
        space = left
        return true
      }
    }
  }

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
    let usable = space.usable
    guard file == nil, count * rowBytes > usable else { return }
    let needed = max(count * rowBytes, usable + min(usable / 2, 256 << 20))
    let wanted = min((needed + Self.step - 1) / Self.step * Self.step, space.byteCount)
    guard mprotect(space.base, wanted, PROT_READ | PROT_WRITE) == 0 else {
      throw CoverTreeError(.outOfMemory, "out of memory: could not allocate \(wanted - usable) bytes for rows")
    }
    space.usable = wanted
  }

  // MARK: Memory behind rows that many are about to be written to
  //
  // Two threads that come to a large page by writing would both clear it. So it is asked for before, a few pages ahead of the rows, by
  // one of the threads: rows are not known to be new, and memory for others would be taken for nothing.

  /// Begins a batch of vectors, of which some will be new.
  func populate(from count: Int, adding more: Int, _ context: CallContext) throws(CoverTreeError) {
    wanted = 0
    guard file == nil, more * rowBytes > Self.pageBytes else { return }
    wanted = (count + more) * rowBytes
    guard let bytes = claim(count) else { return }
    let pages = (bytes.count + Self.pageBytes - 1) / Self.pageBytes
    try context.forEach(pages, grain: 1) { (range, _) in
      let first = bytes.lowerBound + range.lowerBound * Self.pageBytes
      populate(first..<min(bytes.upperBound, first + Self.pageBytes))
    }
  }

  /// The bytes of rows for which the caller has to map memory, for `count` rows.
  func claim(_ count: Int) -> Range<Int>? {
    let ahead = min(wanted, count * rowBytes + Self.pagesAhead * Self.pageBytes)
    let end = min(space.usable, (ahead + Self.pageBytes - 1) / Self.pageBytes * Self.pageBytes)
    guard end > space.populated else { return nil }
    defer { space.populated = end }
    return space.populated..<end
  }

  func populate(_ bytes: Range<Int>) {
    // If the system does not support this, pages are mapped when they are written to.
    madvise(base + bytes.lowerBound, bytes.count, 23)  // MADV_POPULATE_WRITE
  }

  /// Writes a row in its stored form: with one zero, and zeros after the last coordinate.
  @inline(__always)
  func fill(_ target: UnsafeMutablePointer<Float>, _ source: UnsafePointer<Float>, pastCaches: Bool = false) {
    cn_copy_floats(target, source, Int64(dim), pastCaches ? 1 : 0)
  }

  @inline(__always)
  func prefetch(_ slot: Int) { cn_prefetch(row(slot), Int64(rowBytes)) }

  /// Whether a vector equals the row of a slot, bit for bit except the sign of zeros.
  @inline(__always)
  func holds(_ slot: Int, _ vector: UnsafePointer<Float>) -> Bool {
    cn_equal_floats(row(slot), vector, Int64(dim)) != 0
  }

  /// A row: in memory the row itself, on disk a copy in `scratch`.
  func read(_ slot: Int, or scratch: UnsafeMutablePointer<Float>) throws(CoverTreeError) -> UnsafePointer<Float> {
    guard let file else { return UnsafePointer(row(slot)) }
    try file.read(into: scratch, rowBytes, at: RowFile.headerBytes + slot * rowBytes)
    return UnsafePointer(scratch)
  }

  /// Returns the memory, or the disk space, of unused rows to the system.
  func discard(_ slots: Range<Int>) throws(CoverTreeError) {
    if let file { return try file.discard(slots, rowBytes: rowBytes) }
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let (first, end) = (
      (slots.lowerBound * rowBytes + page - 1) / page * page, slots.upperBound * rowBytes / page * page
    )
    if end > first { madvise(base + first, end - first, MADV_DONTNEED) }
  }
}
