import CNumerics
import CovertreeBase

/// Sorts the rows that one point has found, with their scores: a few by comparing each with all, many by radix.
final class RowSort {
  private let rows: GrowableBuffer<Int32>
  private let ranks: GrowableBuffer<Int32>
  private let keys: GrowableBuffer<UInt64>
  private let sorted: GrowableBuffer<UInt64>
  private let scores: GrowableBuffer<Double>

  /// The most rows that are compared with each other.
  private static var compared: Int { 64 }

  init() throws(CoverTreeError) {
    rows = try GrowableBuffer()
    ranks = try GrowableBuffer()
    keys = try GrowableBuffer()
    sorted = try GrowableBuffer()
    scores = try GrowableBuffer()
  }

  /// Sorts the pairs from a number on. No two rows are equal.
  func sort(_ found: FoundPairs, from start: Int) throws(CoverTreeError) {
    let count = found.rows.count - start
    guard count > 1 else { return }
    let target = found.rows.base + start
    if count <= Self.compared {
      // Room for whole vectors.
      try rows.resize(to: Self.compared)
      try ranks.resize(to: Self.compared)
      rows.base.update(from: target, count: count)
      _ = cn_rank_i32(rows.base, count, ranks.base)
      for slot in 0..<count { target[Int(ranks[slot])] = rows[slot] }
    } else {
      try rankByRadix(target, count)
      for slot in 0..<count { target[slot] = Int32(truncatingIfNeeded: keys[slot] >> 32) }
    }
    guard let kept = found.scores.map({ $0.base + start }) else { return }
    try scores.resize(to: count)
    scores.base.update(from: kept, count: count)
    for slot in 0..<count { kept[Int(ranks[slot])] = scores[slot] }
  }

  /// Sorts keys of rows and their slots, least significant byte first, and ranks the slots.
  private func rankByRadix(_ given: UnsafePointer<Int32>, _ count: Int) throws(CoverTreeError) {
    try keys.resize(to: count)
    try sorted.resize(to: count)
    try ranks.resize(to: count)
    var (all, any): (UInt32, UInt32) = (.max, 0)
    for slot in 0..<count {
      let row = UInt32(bitPattern: given[slot])
      all &= row
      any |= row
      keys[slot] = UInt64(row) << 32 | UInt64(slot)
    }
    withUnsafeTemporaryAllocation(of: Int32.self, capacity: 256) { starts in
      for shift in stride(from: 0, to: 32, by: 8) where (all ^ any) >> UInt32(shift) & 0xFF != 0 {
        starts.update(repeating: 0)
        for slot in 0..<count { starts[Int(keys[slot] >> UInt64(32 + shift) & 0xFF)] += 1 }
        var next: Int32 = 0
        for value in 0..<256 { (starts[value], next) = (next, next + starts[value]) }
        for slot in 0..<count {
          let value = Int(keys[slot] >> UInt64(32 + shift) & 0xFF)
          sorted[Int(starts[value])] = keys[slot]
          starts[value] += 1
        }
        keys.base.update(from: sorted.base, count: count)
      }
    }
    for rank in 0..<count { ranks[Int(keys[rank] & 0xFFFF_FFFF)] = Int32(rank) }
  }
}
