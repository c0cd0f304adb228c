import Synchronization

/// Slots whose rows are read in place by others than the store's own ids: by indexes over it.
///
/// What is in a held slot stays as it is, whether an id still has it or not. A slot that is freed meanwhile *waits*: it is
/// used again once all have let go of it. Holds are those of this process; they are not on disk.
final class SlotHolds: @unchecked Sendable {
  // All guarded by `processLock`.
  /// By slot: how many hold it, and whether it waits.
  private let holds: GrowableBuffer<UInt32>
  /// Slots that wait for nobody any more; they count as waiting until they are taken out.
  private let released: GrowableBuffer<Int32>
  /// Whether there are any: without the lock.
  private let haveBeenReleased = Atomic<Bool>(false)

  private static var waiting: UInt32 { 1 << 31 }
  /// So many are counted before others have the lock.
  private static var together: Int { 4096 }

  init() throws(CoverTreeError) { (holds, released) = (try GrowableBuffer(), try GrowableBuffer()) }

  /// Holds `count` slots once more each. Where that fails, none is held.
  func hold(_ count: Int, _ slot: (Int) -> Int) throws(CoverTreeError) {
    let end = (0..<count).reduce(0) { max($0, slot($1) + 1) }
    try processLock.locked { () throws(CoverTreeError) in
      let before = holds.count
      // Letting go cannot fail.
      try released.reserve(max(end, before) - released.count)
      guard end > before else { return }
      try holds.resize(to: end)
      (holds.base + before).update(repeating: 0, count: end - before)
    }
    forEach(count) { self.holds[slot($0)] += 1 }
  }

  func letGo(_ count: Int, _ slot: (Int) -> Int) {
    forEach(count) { place in
      let slot = slot(place)
      self.holds[slot] -= 1
      guard self.holds[slot] == Self.waiting else { return }
      try? self.released.append(Int32(slot))
      self.haveBeenReleased.store(true, ordering: .relaxed)
    }
  }

  private func forEach(_ count: Int, _ change: (Int) -> Void) {
    for first in stride(from: 0, to: count, by: Self.together) {
      processLock.locked { for place in first..<min(count, first + Self.together) { change(place) } }
    }
  }

  /// Whether a slot is not to be used again, or given back.
  func keeps(_ slot: Int) -> Bool { processLock.locked { slot < holds.count && holds[slot] != 0 } }

  /// Whether a slot that has been freed has to wait; `takeReleased` gives it later then.
  func makesWait(_ slot: Int) -> Bool {
    processLock.locked {
      guard slot < holds.count, holds[slot] != 0 else { return false }
      holds[slot] |= Self.waiting
      return true
    }
  }

  /// Puts slots that have waited long enough behind others.
  func takeReleased(into freeSlots: GrowableBuffer<Int32>) throws(CoverTreeError) {
    guard haveBeenReleased.load(ordering: .relaxed) else { return }
    try processLock.locked { () throws(CoverTreeError) in
      try freeSlots.append(released.elements)
      haveBeenReleased.store(false, ordering: .relaxed)
      for slot in released.elements { holds[Int(slot)] &= ~Self.waiting }
      released.removeAll()
    }
  }

  var byteCount: Int { processLock.locked { holds.byteCount + released.byteCount } }
}

/// Hashes of vectors in a file, and the seeded hash function that made them.
struct KnownHashes {
  let hashes: UnsafePointer<UInt64>
  let hash: VectorHash
}

extension VectorStore {
  /// Holds slots in use: their rows stay as they are until they are let go of, as often as they were held.
  ///
  /// - Parameter known: hashes of the vectors that have to be in them; nil for any.
  func hold(_ slots: UnsafeBufferPointer<Int64>, known: KnownHashes? = nil) throws(CoverTreeError) {
    try reading { () throws(CoverTreeError) in
      try checkInUse(slots)
      for (place, slot) in slots.enumerated() {
        guard known.map({ $0.hashes[place] == hash(ofSlot: Int(slot), by: $0.hash) }) ?? true else {
          throw CoverTreeError(.notFound, "slots[\(place)]: slot \(slot) has another vector now")
        }
      }
      try catalogue.holds.hold(slots.count) { Int(slots[$0]) }
    }
  }

  /// The hash of the vector in a slot. A file may come from another store with the same vectors and another seed.
  private func hash(ofSlot slot: Int, by other: VectorHash) -> UInt64 {
    guard other.seed != vectorHash.seed else { return catalogue.slots[slot].hash }
    var found: UInt64 = 0
    _ = other(rows.row(slot), &found)
    return found
  }

  /// Holds slots once more that are held.
  func holdAgain(_ count: Int, _ slot: (Int) -> Int) throws(CoverTreeError) { try catalogue.holds.hold(count, slot) }

  func letGo(_ count: Int, _ slot: (Int) -> Int) { catalogue.holds.letGo(count, slot) }

  /// The hashes of the vectors in slots that are held.
  func hashes(_ count: Int, _ slot: (Int) -> Int) throws(CoverTreeError) -> Buffer<UInt64> {
    let hashes = try Buffer<UInt64>(count: count)
    try reading { () throws(CoverTreeError) in
      for place in 0..<count { hashes[place] = catalogue.slots[slot(place)].hash }
    }
    return hashes
  }
}
