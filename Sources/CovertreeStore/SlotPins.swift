import Covertree
import CovertreeBase
import Synchronization

/// Slots whose rows are read in place by indexes over the store.
///
/// The row in a pinned slot does not change, even if no id has it any more. A slot that is freed while it is pinned *waits*: it is used
/// again once it is unpinned. Pins belong to this process; they are not on disk.
final class SlotPins: @unchecked Sendable {
  // All guarded by `processLock`.
  /// By slot: its pins, and whether it waits.
  private let pins: GrowableBuffer<UInt32>
  /// Slots that need not wait any more; they count as waiting until they are removed.
  private let released: GrowableBuffer<Int32>
  /// Whether there are any, readable without the lock.
  private let haveBeenReleased = Atomic<Bool>(false)

  private static var waiting: UInt32 { 1 << 31 }
  /// Slots that are counted before the lock is released for others.
  private static var together: Int { 4096 }

  init() throws(CoverTreeError) { (pins, released) = (try GrowableBuffer(), try GrowableBuffer()) }

  /// Pins `count` slots once more each, or none if that fails.
  func pin(_ count: Int, _ slot: (Int) -> Int) throws(CoverTreeError) {
    let end = (0..<count).reduce(0) { max($0, slot($1) + 1) }
    try processLock.locked { () throws(CoverTreeError) in
      let before = pins.count
      // Unpinning cannot fail.
      try released.reserve(max(end, before) - released.count)
      guard end > before else { return }
      try pins.resize(to: end)
      (pins.base + before).update(repeating: 0, count: end - before)
    }
    forEach(count) { self.pins[slot($0)] += 1 }
  }

  func unpin(_ count: Int, _ slot: (Int) -> Int) {
    forEach(count) { position in
      let slot = slot(position)
      self.pins[slot] -= 1
      guard self.pins[slot] == Self.waiting else { return }
      try? self.released.append(Int32(slot))
      self.haveBeenReleased.store(true, ordering: .relaxed)
    }
  }

  private func forEach(_ count: Int, _ change: (Int) -> Void) {
    for first in stride(from: 0, to: count, by: Self.together) {
      processLock.locked { for position in first..<min(count, first + Self.together) { change(position) } }
    }
  }

  /// Whether a slot must not be used again or discarded.
  func keeps(_ slot: Int) -> Bool { processLock.locked { slot < pins.count && pins[slot] != 0 } }

  /// Whether a freed slot has to wait; then `moveReleased` returns it later.
  func makesWait(_ slot: Int) -> Bool {
    processLock.locked {
      guard slot < pins.count, pins[slot] != 0 else { return false }
      pins[slot] |= Self.waiting
      return true
    }
  }

  /// Moves slots that have waited long enough to another list.
  func moveReleased(into freeSlots: GrowableBuffer<Int32>) throws(CoverTreeError) {
    guard haveBeenReleased.load(ordering: .relaxed) else { return }
    try processLock.locked { () throws(CoverTreeError) in
      try freeSlots.append(released.elements)
      haveBeenReleased.store(false, ordering: .relaxed)
      for slot in released.elements { pins[Int(slot)] &= ~Self.waiting }
      released.removeAll()
    }
  }

  var byteCount: Int { processLock.locked { pins.byteCount + released.byteCount } }
}
