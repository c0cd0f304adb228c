import CNumerics
import CovertreeBase

/// The times at which points of a segment were removed. Changes of a tree are numbered, and a search sees the removals up to the number
/// of its snapshot.
///
/// A mark that a snapshot sees is never cleared, so searches continue undisturbed, and a removal writes a few bytes whatever the size of
/// the tree. One change at a time writes.
final class Tombstones: @unchecked Sendable {
  /// By position: the number of the change; 0 for points that are there.
  private let times: Buffer<UInt32>
  /// A bit for each position that was ever marked. The bits fit the cache better than the numbers.
  private let marks: Buffer<UInt32>

  init(count: Int) throws(CoverTreeError) {
    times = try Buffer(zeros: count)
    marks = try Buffer(zeros: (count + 31) / 32)
  }

  @inline(__always)
  func isRemoved(_ position: Int, by time: UInt32) -> Bool { remaining(1, from: position, by: time) == 0 }

  /// - Returns: false if the point was marked before.
  func mark(_ position: Int, at time: UInt32) -> Bool {
    guard cn_relaxed_load_u32(times.base + position) == 0 else { return false }
    cn_relaxed_store_u32(times.base + position, time)
    cn_relaxed_store_u32(marks.base + position / 32, marks[position / 32] | 1 << UInt32(position % 32))
    return true
  }

  /// Clears a mark that no snapshot sees.
  func unmark(_ position: Int) {
    cn_relaxed_store_u32(marks.base + position / 32, marks[position / 32] & ~(1 << UInt32(position % 32)))
    cn_relaxed_store_u32(times.base + position, 0)
  }

  /// The lanes whose points remain. The first lane is at position `first`, and all are in one word of 32 positions.
  @inline(__always)
  func remaining(_ lanes: UInt32, from first: Int, by time: UInt32) -> UInt32 {
    let word = cn_relaxed_load_u32(marks.base + first &>> 5)
    let marked = lanes & (word &>> UInt32(truncatingIfNeeded: first & 31))
    return marked == 0 ? lanes : lanes & ~removed(marked, from: first, by: time)
  }

  /// The marked lanes whose points are removed by `time`.
  @inline(never)
  private func removed(_ marked: UInt32, from first: Int, by time: UInt32) -> UInt32 {
    var removed = marked
    for lane in SetBits(marked) {
      let removal = cn_relaxed_load_u32(times.base + (first &+ lane))
      if removal == 0 || removal > time { removed &= ~(1 &<< UInt32(truncatingIfNeeded: lane)) }
    }
    return removed
  }

  var byteCount: Int { times.byteCount + marks.byteCount }
}
