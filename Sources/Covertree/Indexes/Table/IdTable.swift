import CovertreeBase

/// The slots of ids.
///
/// Slots from 0 on whose ids are their own numbers, which the index assigns, need no table. The others are in a `HashIndex`, and their
/// ids in `ids`.
final class IdTable {
  /// Lower slots have their own numbers as ids, and are not in the table.
  private(set) var plain = 0
  private var others: HashIndex

  init() throws(CoverTreeError) { others = try HashIndex() }

  @inline(__always)
  private func hash(_ id: Int64) -> UInt64 { seededHash(UInt64(bitPattern: id)) }

  /// The slot of an id; nil if the id is unknown or the slot dead.
  @inline(__always)
  func slot(of id: Int64, in ids: UnsafePointer<Int64>, dead: UnsafePointer<UInt8>) -> Int? {
    if id >= 0, id < Int64(plain), dead[Int(id)] == 0 { return Int(id) }
    return others.number(of: hash(id)) { ids[$0] == id }
  }

  /// Reserves memory for `more` ids, so that adding them cannot fail.
  func reserve(_ more: Int) throws(CoverTreeError) { try others.reserve(more) }

  /// Adds a slot with a new id. There is room for it, or it follows the plain ones and is like them.
  func insert(_ slot: Int32, in ids: UnsafePointer<Int64>) {
    if slot < plain { return }
    if slot == plain, ids[plain] == Int64(slot) {
      plain += 1
    } else {
      others.insert(hash(ids[Int(slot)]), Int(slot))
    }
  }

  /// Removes a slot. A plain one is recognised by its mark as dead.
  func remove(_ slot: Int32, in ids: UnsafePointer<Int64>) {
    guard slot >= plain else { return }
    others.remove(hash(ids[Int(slot)]), Int(slot))
  }

  /// Removes the living slots from `first` on.
  func truncate(to first: Int, in ids: UnsafePointer<Int64>, dead: UnsafePointer<UInt8>, count end: Int) {
    for slot in first..<end where dead[slot] == 0 { remove(Int32(slot), in: ids) }
    plain = min(plain, first)
  }

  /// Contains the slots from 0 to `count`, and nothing else. There is room for them (`makeRoom`).
  func refill(_ count: Int, in ids: UnsafePointer<Int64>) {
    others.removeAll()
    plain = 0
    for slot in 0..<count { insert(Int32(slot), in: ids) }
  }

  /// Reserves memory for `count` slots, before `refill`.
  func makeRoom(forAll count: Int) throws(CoverTreeError) { try others.reserve(all: count) }

  func removeAll() throws(CoverTreeError) {
    others = try HashIndex()
    plain = 0
  }

  var byteCount: Int { others.byteCount }
}
