import Covertree
import CovertreeBase

/// The ids of a store with their slots, and for each slot the hash of its vector and the number of its ids.
///
/// A change is a sequence of steps, each of which can be rolled back until the change is committed. Slots that it frees are used again
/// only after that.
final class Catalogue {
  let slots: RecordPages<SlotRecord>
  let entries: RecordPages<EntryRecord>
  private let byID: HashIndex
  private let byHash: HashIndex
  /// Slots that a change may use.
  private let freeSlots: GrowableBuffer<Int32>
  /// Slots that were freed by changes that may not be on the disk yet.
  private let freedSlots: GrowableBuffer<Int32>
  /// New slots of changes whose commit failed. The disk may have such a change nevertheless, until another one is committed.
  private let doubtfulSlots: GrowableBuffer<Int32>
  private var isCommitting = false
  private var lastCommitFailed = false
  /// Slots as of the last commit.
  private var committedSlots = 0
  let pins: SlotPins
  private let freeEntries: GrowableBuffer<Int32>
  /// The steps of the current change, and the records that it has removed.
  private let steps: GrowableBuffer<Step>
  private let left: GrowableBuffer<EntryRecord>
  /// Records that were loaded from a file and are not in the tables yet.
  private let usedSlots: GrowableBuffer<Int32>
  private let usedEntries: GrowableBuffer<Int32>
  private(set) var count = 0
  private(set) var uniqueCount = 0

  /// The distance at which the bucket of a loaded record is prefetched.
  private static var ahead: Int { 16 }
  /// The number of records between two polls of the caller.
  static var pollInterval: Int { 64 }

  private struct Step: BitwiseCopyable {
    enum Kind { case created, recycled, retained, released, freed, entered, reentered, left }
    var kind: Kind
    var number: Int32
  }

  init() throws(CoverTreeError) {
    (slots, entries) = (try RecordPages(), try RecordPages())
    (byID, byHash) = (try HashIndex(), try HashIndex())
    (freeSlots, freedSlots, doubtfulSlots) = (try GrowableBuffer(), try GrowableBuffer(), try GrowableBuffer())
    (freeEntries, steps, left) = (try GrowableBuffer(), try GrowableBuffer(), try GrowableBuffer())
    (usedSlots, usedEntries) = (try GrowableBuffer(), try GrowableBuffer())
    pins = try SlotPins()
  }

  // MARK: Looking up

  @inline(__always)
  func entry(of id: StoreID) -> Int? { entry(of: id, hash: id.hash) }

  @inline(__always)
  func entry(of id: StoreID, hash: UInt64) -> Int? {
    byID.number(of: hash) { entries.records.base[$0].id == id }
  }

  @inline(__always)
  func slot(of id: StoreID) -> Int? { entry(of: id).map { Int(entries[$0].slot) } }

  /// A slot in use whose vector has a hash, and that `holds` accepts.
  @inline(__always)
  func slot(hash: UInt64, holds: (Int) -> Bool) -> Int? {
    byHash.number(of: hash) { slots.records.base[$0].hash == hash && holds($0) }
  }

  @inline(__always)
  func prefetch(hash: UInt64, idHash: UInt64) {
    byHash.prefetch(hash)
    byID.prefetch(idHash)
  }

  var freeCount: Int { freeSlots.count }
  /// Slots that are free after `recycle`.
  var freedCount: Int { freedSlots.count }

  // MARK: Steps of a change

  /// Begins a change. Collects slots that others have unpinned, and the slots of failed changes that a commit has replaced.
  func beginTransaction() throws(CoverTreeError) {
    try pins.moveReleased(into: freedSlots)
    guard !lastCommitFailed, doubtfulSlots.count > 0 else { return }
    try freedSlots.append(doubtfulSlots.elements)
    doubtfulSlots.removeAll()
  }

  /// Makes freed slots available: the changes that freed them are on the disk.
  func recycle() throws(CoverTreeError) {
    try freeSlots.append(freedSlots.elements)
    freedSlots.removeAll()
  }

  /// From here on the change may be on the disk even if it fails.
  func beginCommit(newSlots: Int) throws(CoverTreeError) {
    try doubtfulSlots.reserve(newSlots)
    isCommitting = true
  }

  /// Reserves memory for `more` new ids, so that the next steps cannot fail.
  func reserve(_ more: Int) throws(CoverTreeError) {
    guard slots.count + more < Int(Int32.max), entries.count + more < Int(Int32.max) else {
      throw CoverTreeError(.invalidArgument, "vectors: a store holds at most 2^31 - 2 of them")
    }
    try slots.reserve(more)
    try entries.reserve(more)
    try byID.reserve(all: entries.count + more)
    try byHash.reserve(all: slots.count + more)
    try freeEntries.reserve(entries.count + more - freeEntries.count)
    try steps.reserve(2 * more)
  }

  /// A slot for a new vector of one id: a free one, if these may be used again, or the next one.
  func create(hash: UInt64, recycling: Bool) throws(CoverTreeError) -> Int {
    let record = SlotRecord(hash: hash, count: 1)
    let free = recycling ? freeSlots.popLast() : nil
    let slot = free.map(Int.init) ?? slots.count
    if free == nil { slots.append(record) } else { slots[slot] = record }
    try note(free == nil ? .created : .recycled, slot)
    byHash.insert(hash, slot)
    uniqueCount += 1
    return slot
  }

  /// Adds an id to a slot.
  func retain(_ slot: Int) throws(CoverTreeError) {
    guard slots[slot].count < .max else { throw CoverTreeError(.internal, "slot \(slot): has 2^32 ids") }
    slots[slot].count += 1
    try note(.retained, slot)
  }

  func enter(_ id: StoreID, hash: UInt64, slot: Int) throws(CoverTreeError) -> Int {
    let record = EntryRecord(id, slot: slot)
    let free = freeEntries.popLast()
    let entry = free.map(Int.init) ?? entries.count
    if free == nil { entries.append(record) } else { entries[entry] = record }
    byID.insert(hash, entry)
    count += 1
    try note(free == nil ? .entered : .reentered, entry)
    return entry
  }

  /// Removes an id. Frees its slot if no other id has it.
  func remove(entry: Int) throws(CoverTreeError) {
    let record = entries[entry]
    guard slots[Int(record.slot)].count > 0 else {
      throw CoverTreeError(.corrupt, "catalogue: id \(record.id) is in slot \(record.slot), which is free")
    }
    try steps.reserve(2)
    try left.reserve(1)
    try freeEntries.reserve(entries.count - freeEntries.count)
    try freedSlots.reserve(left.count + 1)
    leave(entry)
    try note(.left, entry)
    try left.append(record)
    let slot = Int(record.slot)
    slots[slot].count -= 1
    let isFree = slots[slot].count == 0
    if isFree { forget(slot) }
    try note(isFree ? .freed : .released, slot)
  }

  @inline(__always)
  private func note(_ kind: Step.Kind, _ number: Int) throws(CoverTreeError) {
    try steps.append(Step(kind: kind, number: Int32(number)))
  }

  private func leave(_ entry: Int) {
    unlist(entry)
    entries[entry] = EntryRecord()
  }

  private func unlist(_ entry: Int) {
    byID.remove(entries[entry].id.hash, entry)
    count -= 1
  }

  private func forget(_ slot: Int) {
    byHash.remove(slots[slot].hash, slot)
    uniqueCount -= 1
  }

  /// Commits the change. Its freed slots may be used again after `recycle`.
  func commit() {
    for step in steps.elements {
      switch step.kind {
      // The memory is reserved by `remove`.
      case .left: try? freeEntries.append(step.number)
      case .freed: if !pins.makesWait(Int(step.number)) { try? freedSlots.append(step.number) }
      default: break
      }
    }
    committedSlots = slots.count
    lastCommitFailed = false
    forgetSteps()
  }

  /// The entries that the change has removed.
  func forEachLeft(_ body: (Int, StoreID) throws(CoverTreeError) -> Void) throws(CoverTreeError) {
    guard left.count > 0 else { return }
    var next = 0
    for step in steps.elements where step.kind == .left {
      try body(Int(step.number), left[next].id)
      next += 1
    }
  }

  /// Rolls back all steps since the last commit. If they may be on the disk, their new slots stay unused until another change is
  /// committed.
  func rollback() throws(CoverTreeError) {
    if isCommitting { lastCommitFailed = true }
    for step in steps.elements.reversed() {
      let position = Int(step.number)
      switch step.kind {
      case .created, .recycled:
        forget(position)
        slots[position] = SlotRecord()
        if isCommitting {
          try doubtfulSlots.append(step.number)
        } else if step.kind == .recycled {
          try freeSlots.append(step.number)
        } else {
          try slots.resize(to: position, blank: SlotRecord())
        }
      case .retained: slots[position].count -= 1
      case .released: slots[position].count += 1
      case .freed:
        slots[position].count = 1
        byHash.insert(slots[position].hash, position)
        uniqueCount += 1
      // The number of records equals the file's again, and changes only together with its pages.
      case .entered:
        leave(position)
        try entries.resize(to: position, blank: EntryRecord())
      case .reentered:
        leave(position)
        try freeEntries.append(step.number)
      case .left:
        let record = left.popLast()!
        entries[position] = record
        byID.insert(record.id.hash, position)
        count += 1
      }
    }
    forgetSteps()
  }

  private func forgetSteps() {
    steps.removeAll()
    left.removeAll()
    slots.markWritten()
    entries.markWritten()
    isCommitting = false
    // The file does not have these.
    slots.mark(from: committedSlots)
  }

  // MARK: From and to files

  /// Loads records from a file; they are found after `rebuildIndex`.
  func load(slots newSlots: UnsafeBufferPointer<SlotRecord>, from firstSlot: Int) throws(CoverTreeError) {
    try usedSlots.reserve(newSlots.count)
    for (index, record) in newSlots.enumerated() {
      let slot = firstSlot + index
      let before = slots[slot]
      guard before != record else { continue }
      if before.count > 0 { forget(slot) }
      slots.records.base[slot] = record
      if record.count > 0 { try usedSlots.append(Int32(slot)) }
    }
  }

  func load(entries newEntries: UnsafeBufferPointer<EntryRecord>, from first: Int) throws(CoverTreeError) {
    try usedEntries.reserve(newEntries.count)
    for (index, record) in newEntries.enumerated() {
      let entry = first + index
      let before = entries[entry]
      guard before != record else { continue }
      guard
        record.isEmpty
          || (StoreID.Kind(rawValue: record.kind) != nil && slots.records.elements.indices.contains(Int(record.slot)))
      else {
        throw CoverTreeError(
          .corrupt, "catalogue: entry \(entry) has an id of kind \(record.kind) in slot \(record.slot)")
      }
      if !before.isEmpty { unlist(entry) }
      entries.records.base[entry] = record
      if !record.isEmpty { try usedEntries.append(Int32(entry)) }
    }
  }

  /// Adds loaded records to the two tables, with one thread each: this is the slowest step of opening a store. `resize` has reserved the
  /// memory. A catalogue is useless after a cancelled rebuild.
  func rebuildIndex(_ context: CallContext) throws(CoverTreeError) {
    defer { for used in [usedSlots, usedEntries] { used.removeAll() } }
    let (slots, entries) = (slots.records.base, entries.records.base)
    uniqueCount += usedSlots.count
    count += usedEntries.count
    try context.forEach(2, grain: 1) { (table, thread) throws(CoverTreeError) in
      let polls = (context, thread)
      if table.lowerBound == 0 {
        try Self.enter(usedEntries, into: byID, polls) { entries[$0].id.hash }
      } else {
        try Self.enter(usedSlots, into: byHash, polls) { slots[$0].hash }
      }
    }
  }

  @inline(__always)
  private static func enter(
    _ numbers: GrowableBuffer<Int32>, into table: HashIndex, _ polls: (context: CallContext, thread: Int),
    hash: (Int) -> UInt64
  ) throws(CoverTreeError) {
    for position in 0..<numbers.count {
      // In a hostile file all hashes may be equal. Then the time grows with the square of the number of records.
      if position % pollInterval == 0 {
        try polls.context.poll(inSlot: polls.thread, share: Double(position) / Double(numbers.count))
      }
      if position + ahead < numbers.count { table.prefetch(hash(Int(numbers[position + ahead]))) }
      table.insert(hash(Int(numbers[position])), Int(numbers[position]))
    }
  }

  /// Sets the number of records, before new ones are loaded.
  func resize(slots slotCount: Int, entries entryCount: Int) throws(CoverTreeError) {
    for slot in min(slotCount, slots.count)..<slots.count where slots[slot].count > 0 { forget(slot) }
    for entry in min(entryCount, entries.count)..<entries.count where !entries[entry].isEmpty { unlist(entry) }
    try slots.resize(to: slotCount, blank: SlotRecord())
    try entries.resize(to: entryCount, blank: EntryRecord())
    try byHash.reserve(all: slotCount)
    try byID.reserve(all: entryCount)
  }

  /// Lists free slots and entries, after all records were loaded or committed.
  ///
  /// - Parameter failed: whether the commit has failed.
  func listFree(failed: Bool = false) throws(CoverTreeError) {
    for list in [freeSlots, freedSlots, doubtfulSlots] { list.removeAll() }
    freeEntries.removeAll()
    lastCommitFailed = failed
    if !failed { committedSlots = slots.count }
    let list = failed ? doubtfulSlots : freedSlots
    for slot in (0..<slots.count).reversed() where slots[slot].count == 0 && !pins.makesWait(slot) {
      try list.append(Int32(slot))
    }
    for entry in (0..<entries.count).reversed() where entries[entry].isEmpty { try freeEntries.append(Int32(entry)) }
    forgetSteps()
  }

  /// The first inconsistency of the records, or nil.
  func fault(_ context: CallContext) throws(CoverTreeError) -> String? {
    let counted = try Buffer<UInt32>(count: slots.count, filledWith: 0)
    for entry in 0..<entries.count where !entries[entry].isEmpty {
      if entry % Self.pollInterval == 0 { try context.poll() }
      let record = entries[entry]
      guard StoreID.Kind(rawValue: record.kind) != nil else { return "entry \(entry): its id has kind \(record.kind)" }
      guard record.slot >= 0, record.slot < slots.count else {
        return "id \(record.id): its slot \(record.slot) is not one of \(slots.count)"
      }
      counted[Int(record.slot)] += 1
      if self.entry(of: record.id) != entry { return "id \(record.id): is there twice" }
    }
    for slot in 0..<slots.count where counted[slot] != slots[slot].count {
      return "slot \(slot): \(counted[slot]) ids have it, its count is \(slots[slot].count)"
    }
    return nil
  }

  /// Whether no id has a slot, and no index reads it.
  func isUnused(_ slot: Int) -> Bool { slots[slot].count == 0 && !pins.keeps(slot) }

  /// Drops free slots and entries at the end, and reserves memory for `listFree` and `recycle`, so that they cannot fail.
  func trim() throws(CoverTreeError) {
    for list in [freeSlots, freedSlots, doubtfulSlots] { try list.reserve(slots.count - uniqueCount - list.count) }
    try freeEntries.reserve(entries.count - count - freeEntries.count)
    var (slotCount, entryCount) = (slots.count, entries.count)
    while slotCount > 0, isUnused(slotCount - 1) { slotCount -= 1 }
    while entryCount > 0, entries[entryCount - 1].isEmpty { entryCount -= 1 }
    try resize(slots: slotCount, entries: entryCount)
  }

  var byteCount: Int {
    slots.byteCount + entries.byteCount + byID.byteCount + byHash.byteCount + freeSlots.byteCount
      + freedSlots.byteCount + doubtfulSlots.byteCount + freeEntries.byteCount + pins.byteCount
  }
}
