/// Where the vector of an id stands.
///
/// Slots from 0 on whose ids are their own numbers, as those are that the index gives, need no table; the others are in
/// a hash table with linear probing of slots, whose ids stand elsewhere.
final class IdTable {
  private static var empty: Int32 { -1 }

  /// Slots below have their own numbers for ids, and are not in the table.
  private(set) var plain = 0
  private var slots: Buffer<Int32>
  private var count = 0

  init() throws(CoverTreeError) { slots = try Buffer(count: 64, filledWith: Self.empty) }

  private var mask: Int { slots.count - 1 }

  @inline(__always)
  private func home(_ id: Int64) -> Int { Int(truncatingIfNeeded: mixed(UInt64(bitPattern: id))) & mask }

  /// The slot of an id; nil where there is none, or it is dead.
  @inline(__always)
  func slot(of id: Int64, in ids: UnsafePointer<Int64>, dead: UnsafePointer<UInt8>) -> Int? {
    if id >= 0, id < Int64(plain), dead[Int(id)] == 0 { return Int(id) }
    var place = home(id)
    while slots[place] != Self.empty {
      if ids[Int(slots[place])] == id { return Int(slots[place]) }
      place = (place + 1) & mask
    }
    return nil
  }

  /// Makes room for so many more ids, so that adding them cannot fail.
  func reserve(_ more: Int, in ids: UnsafePointer<Int64>) throws(CoverTreeError) {
    let wanted = 2 * (count + more)
    guard wanted > slots.count else { return }
    let before = slots
    slots = try Buffer(count: 1 << (Int.bitWidth - (wanted - 1).leadingZeroBitCount), filledWith: Self.empty)
    for slot in before.elements where slot != Self.empty { enter(slot, in: ids) }
  }

  /// Adds a slot, whose id is not there yet. There is room for it, or it follows the plain ones and is like them.
  func insert(_ slot: Int32, in ids: UnsafePointer<Int64>) {
    if slot < plain { return }
    if slot == plain, ids[plain] == Int64(slot) {
      plain += 1
    } else {
      enter(slot, in: ids)
      count += 1
    }
  }

  private func enter(_ slot: Int32, in ids: UnsafePointer<Int64>) {
    var place = home(ids[Int(slot)])
    while slots[place] != Self.empty { place = (place + 1) & mask }
    slots[place] = slot
  }

  /// Takes out a slot that is there; those after it move up, so that no search ends too early. A plain one is told by its death.
  func remove(_ slot: Int32, in ids: UnsafePointer<Int64>) {
    guard slot >= plain else { return }
    var gap = home(ids[Int(slot)])
    while slots[gap] != slot { gap = (gap + 1) & mask }
    var next = (gap + 1) & mask
    while slots[next] != Self.empty {
      let home = home(ids[Int(slots[next])])
      if (next - home) & mask >= (next - gap) & mask {
        slots[gap] = slots[next]
        gap = next
      }
      next = (next + 1) & mask
    }
    slots[gap] = Self.empty
    count -= 1
  }

  /// Takes out the living slots from one on.
  func truncate(to first: Int, in ids: UnsafePointer<Int64>, dead: UnsafePointer<UInt8>, count end: Int) {
    for slot in first..<end where dead[slot] == 0 { remove(Int32(slot), in: ids) }
    plain = min(plain, first)
  }

  /// Holds the slots from 0 to a count, and nothing else. There is room for them (`makeRoom`).
  func refill(_ newCount: Int, in ids: UnsafePointer<Int64>) {
    slots.base.update(repeating: Self.empty, count: slots.count)
    (count, plain) = (0, 0)
    for slot in 0..<newCount { insert(Int32(slot), in: ids) }
  }

  /// Makes room for so many slots to be refilled.
  func makeRoom(forAll newCount: Int, in ids: UnsafePointer<Int64>) throws(CoverTreeError) {
    try reserve(max(0, newCount - count), in: ids)
  }

  func removeAll() throws(CoverTreeError) {
    slots = try Buffer(count: 64, filledWith: Self.empty)
    (count, plain) = (0, 0)
  }

  var byteCount: Int { slots.byteCount }
}
