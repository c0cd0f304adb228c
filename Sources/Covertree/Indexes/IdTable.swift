/// Where the vector of an id stands: a hash table with linear probing of slots, whose ids stand elsewhere.
final class IdTable {
  private static var empty: Int32 { -1 }

  private var slots: Buffer<Int32>
  private var count = 0

  init() throws(CoverTreeError) { slots = try Buffer(count: 64, filledWith: Self.empty) }

  private var mask: Int { slots.count - 1 }

  @inline(__always)
  private func home(_ id: Int64) -> Int { Int(truncatingIfNeeded: mixed(UInt64(bitPattern: id))) & mask }

  /// The slot of an id; nil where there is none.
  @inline(__always)
  func slot(of id: Int64, in ids: UnsafePointer<Int64>) -> Int? {
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
    count = 0
    for slot in before.elements where slot != Self.empty { insert(slot, in: ids) }
  }

  /// Adds a slot, whose id is not there yet. There is room for it.
  func insert(_ slot: Int32, in ids: UnsafePointer<Int64>) {
    var place = home(ids[Int(slot)])
    while slots[place] != Self.empty { place = (place + 1) & mask }
    slots[place] = slot
    count += 1
  }

  /// Takes out an id that is there; those after it move up, so that no search ends too early.
  func remove(_ id: Int64, in ids: UnsafePointer<Int64>) {
    var gap = home(id)
    while ids[Int(slots[gap])] != id { gap = (gap + 1) & mask }
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

  /// Holds the slots from 0 to a count, no more than it had, and nothing else.
  func refill(_ newCount: Int, in ids: UnsafePointer<Int64>) {
    slots.base.update(repeating: Self.empty, count: slots.count)
    count = 0
    for slot in 0..<newCount { insert(Int32(slot), in: ids) }
  }

  func removeAll() throws(CoverTreeError) {
    slots = try Buffer(count: 64, filledWith: Self.empty)
    count = 0
  }

  var byteCount: Int { slots.byteCount }
}
