/// A growing sequence of trivial elements in aligned memory; scratch that keeps its capacity when emptied.
@usableFromInline
package final class GrowableBuffer<Element: BitwiseCopyable> {
  @usableFromInline
  package internal(set) var base: UnsafeMutablePointer<Element>
  @usableFromInline
  package internal(set) var capacity: Int
  @usableFromInline
  package internal(set) var count = 0
  /// The owner of memory that is only read; nil for own memory.
  @usableFromInline
  var owner: Buffer<Element>?

  @inlinable
  package init() throws(CoverTreeError) {
    capacity = 64
    base = try allocateAligned(capacity)
  }

  /// The elements of a buffer, in place; read only until `own`.
  @inlinable
  package init(viewing elements: Buffer<Element>) {
    (base, capacity, count, owner) = (elements.base, elements.count, elements.count, elements)
  }

  @inlinable
  deinit { if owner == nil { freeAligned(base, capacity) } }

  /// Copies the elements to own memory, to be written to.
  @inlinable
  package func own() throws(CoverTreeError) { if owner != nil { try grow(to: max(64, count)) } }

  @inlinable @inline(__always)
  package subscript(index: Int) -> Element {
    get { base[index] }
    set { base[index] = newValue }
  }

  @inlinable @inline(__always)
  package subscript(index: Int32) -> Element { base[Int(index)] }

  @inlinable
  package var elements: UnsafeBufferPointer<Element> { UnsafeBufferPointer(start: base, count: count) }
  /// The memory, until the next change.
  @inlinable
  package var buffer: Buffer<Element> { Buffer(viewing: base, count: count, owner: self) }
  /// The elements, to be changed.
  @inlinable
  package var all: UnsafeMutableBufferPointer<Element> { UnsafeMutableBufferPointer(start: base, count: count) }
  @inlinable
  package var byteCount: Int { capacity * MemoryLayout<Element>.stride }

  @inlinable @inline(__always)
  package func append(_ element: Element) throws(CoverTreeError) {
    if count == capacity { try grow(to: count + 1) }
    base[count] = element
    count += 1
  }

  @inlinable
  package func append(_ other: UnsafeBufferPointer<Element>) throws(CoverTreeError) {
    guard let source = other.baseAddress, other.count > 0 else { return }
    if count + other.count > capacity { try grow(to: count + other.count) }
    (base + count).update(from: source, count: other.count)
    count += other.count
  }

  @inlinable @inline(__always)
  package func removeAll() { count = 0 }

  @inlinable @inline(__always)
  package func removeLast() { count &-= 1 }

  @inlinable @inline(__always)
  package func popLast() -> Element? {
    guard count > 0 else { return nil }
    count &-= 1
    return base[count]
  }

  /// The elements in other memory.
  @inlinable
  package func copied() throws(CoverTreeError) -> GrowableBuffer {
    let copy = try GrowableBuffer()
    try copy.append(elements)
    return copy
  }

  /// Sets the count; elements beyond the old count are uninitialised.
  @inlinable @inline(__always)
  package func resize(to newCount: Int) throws(CoverTreeError) {
    if newCount > capacity { try grow(to: newCount) }
    count = newCount
  }

  @inlinable
  package func reserve(_ more: Int) throws(CoverTreeError) { if count + more > capacity { try grow(to: count + more) } }

  @inlinable
  func grow(to needed: Int) throws(CoverTreeError) {
    let larger = owner == nil ? max(needed, capacity * 2) : needed
    if owner == nil, let moved = remapped(base, capacity, to: larger) {
      (base, capacity) = (moved, larger)
      return
    }
    let moved: UnsafeMutablePointer<Element> = try allocateAligned(larger)
    moved.update(from: base, count: count)
    if owner == nil { freeAligned(base, capacity) }
    (base, capacity, owner) = (moved, larger, nil)
  }
}
