import Glibc

/// Several arrays in one allocation, for scratch that is made for a single query.
@usableFromInline
package final class Arena {
  @usableFromInline
  let memory: UnsafeMutableRawPointer
  @usableFromInline
  let byteCount: Int
  @usableFromInline
  var used = 0

  /// - Parameter sizes: of the arrays that will be allocated, in bytes.
  @inlinable
  package init(_ sizes: Int...) throws(CoverTreeError) {
    byteCount = sizes.reduce(0) { $0 + Self.wholeLines($1) }
    memory = try SpareBlocks.allocate(byteCount)
  }

  @inlinable
  deinit { SpareBlocks.giveBack(memory, byteCount) }

  @inlinable @inline(__always)
  package static func size<Element>(_ count: Int, of type: Element.Type) -> Int { count * MemoryLayout<Element>.stride }

  /// The next array, uninitialised and 64-byte aligned. It lives as long as the arena.
  @inlinable
  package func allocate<Element: BitwiseCopyable>(
    _ count: Int, of type: Element.Type = Element.self
  ) -> UnsafeMutablePointer<Element> {
    let array = memory + used
    used += Self.wholeLines(Self.size(count, of: type))
    precondition(used <= byteCount, "an arena is asked for more than it was made for")
    return array.bindMemory(to: type, capacity: count)
  }

  @inlinable
  static func wholeLines(_ bytes: Int) -> Int { (bytes + 63) / 64 * 64 }
}

/// Aligned blocks that a thread has freed and will soon need again: single queries would spend more time in the allocator than in their
/// search. A thread keeps up to `most` blocks of each size, a power of two up to 64 KiB, until it ends.
@usableFromInline
enum SpareBlocks {
  private struct List {
    var count = 0
    /// The first block; each begins with the address of the next.
    var first: UnsafeMutableRawPointer?
  }

  private static var smallest: Int { 10 }
  private static var largest: Int { 16 }
  private static var most: Int { 4 }

  private static let key: pthread_key_t = {
    var key = pthread_key_t()
    pthread_key_create(&key) { lists in
      guard let lists = lists?.assumingMemoryBound(to: List.self) else { return }
      for size in smallest...largest {
        while let block = pop(&lists[size - smallest]) { free(block) }
      }
      lists.deallocate()
    }
    return key
  }()

  /// The calling thread's lists, one for each size.
  private static var lists: UnsafeMutablePointer<List> {
    if let lists = pthread_getspecific(key) { return lists.assumingMemoryBound(to: List.self) }
    let lists = UnsafeMutablePointer<List>.allocate(capacity: largest - smallest + 1)
    lists.initialize(repeating: List(), count: largest - smallest + 1)
    pthread_setspecific(key, lists)
    return lists
  }

  private static func pop(_ list: inout List) -> UnsafeMutableRawPointer? {
    guard let block = list.first else { return nil }
    list.first = block.load(as: UnsafeMutableRawPointer?.self)
    list.count -= 1
    return block
  }

  /// The power of two for a number of bytes.
  private static func size(_ bytes: Int) -> Int { max(smallest, Int.bitWidth - max(0, bytes - 1).leadingZeroBitCount) }

  @usableFromInline
  static func allocate(_ bytes: Int) throws(CoverTreeError) -> UnsafeMutableRawPointer {
    let size = size(bytes)
    guard size <= largest else {
      return UnsafeMutableRawPointer(try allocateAligned(bytes) as UnsafeMutablePointer<UInt8>)
    }
    if let block = pop(&lists[size - smallest]) { return block }
    return UnsafeMutableRawPointer(try allocateAligned(1 << size) as UnsafeMutablePointer<UInt8>)
  }

  /// Returns a block of as many bytes, on any thread.
  @usableFromInline
  static func giveBack(_ block: UnsafeMutableRawPointer, _ bytes: Int) {
    let size = size(bytes)
    guard size <= largest else { return freeAligned(block.assumingMemoryBound(to: UInt8.self), bytes) }
    let list = lists + (size - smallest)
    guard list.pointee.count < most else { return free(block) }
    block.storeBytes(of: list.pointee.first, as: UnsafeMutableRawPointer?.self)
    list.pointee.first = block
    list.pointee.count += 1
  }
}
