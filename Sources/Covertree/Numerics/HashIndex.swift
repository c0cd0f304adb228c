import CNumerics
import CovertreeBase

/// An open-addressing hash table with linear probing, at most half full: from 64-bit hashes to numbers below 2^31. The numbered objects
/// are stored elsewhere; the caller compares them.
@usableFromInline
package final class HashIndex {
  @inlinable
  static var empty: UInt64 { 0 }

  /// The upper half of the hash, and one more than the number.
  @usableFromInline
  var entries: Buffer<UInt64>
  @usableFromInline
  var count = 0

  package init() throws(CoverTreeError) { entries = try Self.table(of: 64) }

  private static func table(of count: Int) throws(CoverTreeError) -> Buffer<UInt64> {
    let entries = try Buffer<UInt64>(count: count)
    entries.preferLargePages()
    entries.base.update(repeating: empty, count: count)
    return entries
  }

  @inlinable
  var mask: Int { entries.count - 1 }

  @inline(__always)
  private func home(_ entry: UInt64) -> Int { Int(entry >> 32) & mask }

  @inlinable @inline(__always)
  func entry(_ hash: UInt64, _ number: Int) -> UInt64 { hash & 0xFFFF_FFFF_0000_0000 | UInt64(number + 1) }

  /// The number that was inserted for a hash and that `matches` accepts.
  @inlinable @inline(__always)
  package func number(of hash: UInt64, matches: (Int) -> Bool) -> Int? {
    let (base, mask) = (entries.base, mask)
    var bucket = Int(hash >> 32) & mask
    while base[bucket] != Self.empty {
      if base[bucket] >> 32 == hash >> 32 {
        let number = Int(base[bucket] & 0xFFFF_FFFF) - 1
        if matches(number) { return number }
      }
      bucket = (bucket + 1) & mask
    }
    return nil
  }

  /// Prefetches the start of the search for a hash.
  @inlinable @inline(__always)
  package func prefetch(_ hash: UInt64) { cn_prefetch(entries.base + (Int(hash >> 32) & mask), 1) }

  /// Reserves memory for `more` entries, so that inserting them cannot fail.
  package func reserve(_ more: Int) throws(CoverTreeError) {
    let wanted = 2 * (count + more)
    guard wanted > entries.count else { return }
    let before = entries
    entries = try Self.table(of: 1 << (Int.bitWidth - (wanted - 1).leadingZeroBitCount))
    for entry in before.elements where entry != Self.empty { put(entry) }
  }

  @inlinable
  package func insert(_ hash: UInt64, _ number: Int) {
    put(entry(hash, number))
    count += 1
  }

  @usableFromInline
  func put(_ entry: UInt64) {
    var bucket = home(entry)
    while entries.base[bucket] != Self.empty { bucket = (bucket + 1) & mask }
    entries.base[bucket] = entry
  }

  /// Removes an entry; later ones move up, so that no search ends too early.
  package func remove(_ hash: UInt64, _ number: Int) {
    let gone = entry(hash, number)
    var gap = home(gone)
    while entries[gap] != gone { gap = (gap + 1) & mask }
    var next = (gap + 1) & mask
    while entries[next] != Self.empty {
      if (next - home(entries[next])) & mask >= (next - gap) & mask {
        entries[gap] = entries[next]
        gap = next
      }
      next = (next + 1) & mask
    }
    entries[gap] = Self.empty
    count -= 1
  }

  /// Removes all entries, and keeps the memory.
  func removeAll() {
    entries.base.update(repeating: Self.empty, count: entries.count)
    count = 0
  }

  /// Reserves memory for `wanted` entries in all.
  package func reserve(all wanted: Int) throws(CoverTreeError) { try reserve(max(0, wanted - count)) }

  package var byteCount: Int { entries.byteCount }
}
