import CNumerics
import Glibc

/// Storage of a fixed number of trivial elements, 64-byte aligned so that a vector load never crosses a cache line.
///
/// The memory is uninitialised. A failed allocation is thrown, not trapped: an array's would end the process.
public final class Buffer<Element: BitwiseCopyable> {
  public let base: UnsafeMutablePointer<Element>
  public let count: Int
  /// The owner of the memory; nil for own memory.
  @usableFromInline
  let owner: AnyObject?

  @inlinable
  public init(count: Int) throws(CoverTreeError) {
    self.base = try allocateAligned(count)
    self.count = count
    owner = nil
  }

  /// A view of memory with another owner. It is read only, unless the owner allows writing.
  @inlinable
  package init(viewing base: UnsafeMutablePointer<Element>, count: Int, owner: AnyObject) {
    (self.base, self.count, self.owner) = (base, count, owner)
  }

  /// Some of the elements, in the same memory.
  @inlinable
  package func slice(_ range: Range<Int>) -> Buffer {
    Buffer(viewing: base + range.lowerBound, count: range.count, owner: self)
  }

  /// The same memory as elements of another type.
  @inlinable
  package func reinterpreted<Other: BitwiseCopyable>(as: Other.Type = Other.self) -> Buffer<Other> {
    Buffer<Other>(
      viewing: UnsafeMutableRawPointer(base).assumingMemoryBound(to: Other.self),
      count: byteCount / MemoryLayout<Other>.stride, owner: self)
  }

  @inlinable
  public convenience init(count: Int, filledWith value: Element) throws(CoverTreeError) {
    try self.init(count: count)
    base.update(repeating: value, count: count)
  }

  /// Elements whose bits are all 0. The system clears mapped memory, page by page on first use.
  package convenience init(zeros count: Int) throws(CoverTreeError) {
    try self.init(count: count)
    if byteCount < mappedBytes { memset(base, 0, byteCount) }
  }

  @inlinable
  deinit {
    if owner == nil { freeAligned(base, count) }
  }

  /// Requests large pages for memory that nothing was written to yet: random reads are faster then.
  package func preferLargePages() {
    if owner == nil, byteCount >= 4 << 20 { madvise(base, byteCount, 14) }  // MADV_HUGEPAGE
  }

  /// Returns the whole pages of some elements to the system: they are not read again.
  package func release(_ elements: Range<Int>) {
    guard owner == nil, byteCount >= mappedBytes else { return }
    let page = 4096
    let first = (elements.lowerBound * MemoryLayout<Element>.stride + page - 1) / page * page
    let end = elements.upperBound * MemoryLayout<Element>.stride / page * page
    if first < end { madvise(UnsafeMutableRawPointer(base) + first, end - first, MADV_DONTNEED) }
  }

  @inlinable @inline(__always)
  public subscript(index: Int) -> Element {
    get { base[index] }
    set { base[index] = newValue }
  }

  @inlinable @inline(__always)
  package subscript(index: Int32) -> Element {
    get { base[Int(index)] }
    set { base[Int(index)] = newValue }
  }

  @inlinable
  public var elements: UnsafeBufferPointer<Element> { UnsafeBufferPointer(start: base, count: count) }
  @inlinable
  public var byteCount: Int { count * MemoryLayout<Element>.stride }
}

extension Buffer where Element == Int32 {
  /// The numbers `0..<count`.
  package convenience init(counting count: Int) throws(CoverTreeError) {
    try self.init(count: count)
    for number in 0..<count { base[number] = Int32(number) }
  }
}

/// From this size on memory is mapped, so that it returns to the system when it is freed. Otherwise the temporary memory of a build would
/// add to the memory of the tree.
private let mappedBytes = 1 << 20

/// Memory for `count` elements, or an error that names the size.
@usableFromInline
func allocateAligned<Element>(_ count: Int) throws(CoverTreeError) -> UnsafeMutablePointer<Element> {
  let (bytes, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
  var memory: UnsafeMutableRawPointer?
  if !overflow, count >= 0 {
    if bytes >= mappedBytes {
      memory = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
      if memory == MAP_FAILED { memory = nil }
    } else {
      // Not posix_memalign, which the runtime uses: its requests must not fail, these may (CReserve).
      memory = aligned_alloc(64, max((bytes + 63) & ~63, 64))
    }
  }
  guard let memory else {
    throw CoverTreeError(
      .outOfMemory, "out of memory: could not allocate \(count) x \(MemoryLayout<Element>.stride) bytes")
  }
  return memory.bindMemory(to: Element.self, capacity: max(count, 1))
}

/// Frees the memory of `allocateAligned` for `count` elements.
@usableFromInline
func freeAligned<Element>(_ memory: UnsafeMutablePointer<Element>, _ count: Int) {
  let bytes = count * MemoryLayout<Element>.stride
  if bytes >= mappedBytes { munmap(memory, bytes) } else { free(memory) }
}

/// Grows mapped memory of `allocateAligned` for `count` elements, by moving its pages. nil if that is not possible; then nothing has
/// changed.
@usableFromInline
func remapped<Element>(
  _ memory: UnsafeMutablePointer<Element>, _ count: Int, to newCount: Int
) -> UnsafeMutablePointer<Element>? {
  let (bytes, overflow) = newCount.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
  let before = count * MemoryLayout<Element>.stride
  guard before >= mappedBytes, !overflow, let moved = cn_remap(memory, before, bytes) else { return nil }
  return moved.bindMemory(to: Element.self, capacity: newCount)
}
