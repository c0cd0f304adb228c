import CNumerics
import Testing

@testable import Covertree
@testable import CovertreeBase
@testable import CovertreeStore

@Suite struct HashIndexTests {
  /// Few different hashes: most positions are asked for by several, and most searches go by things that do not match.
  @Test(arguments: [UInt64(3), .max]) func anIndexBehavesLikeADictionary(mask: UInt64) throws {
    var generator = SeededGenerator(seed: 2)
    let index = try HashIndex()
    var model: [Int: UInt64] = [:]
    for number in 0..<3000 {
      let hash = splitMix64(generator.next() & mask)
      try index.reserve(1)
      index.insert(hash, number)
      model[number] = hash
      if number % 3 == 2, let gone = model.randomElement(using: &generator) {
        index.remove(gone.value, gone.key)
        model[gone.key] = nil
      }
    }
    for number in 0..<3000 {
      let hash = model[number] ?? splitMix64(generator.next() & mask)
      #expect(index.number(of: hash) { $0 == number } == (model[number] == nil ? nil : number))
    }
  }
}

@Suite struct VectorHashTests {
  private func hash(_ row: [Float], seed: UInt64 = 7) -> UInt64? {
    var found: UInt64 = 0
    guard let hash = try? VectorHash(dim: row.count, seed: (seed, 1)) else { return nil }
    return hash(row, &found) ? found : nil
  }

  @Test func hashesTellVectorsApartAndZerosNot() {
    var seen: Set<UInt64> = []
    var generator = SeededGenerator(seed: 3)
    for count in [1, 15, 16, 17, 100] {
      let row = (0..<count).map { _ in Float.random(in: -1...1, using: &generator) }
      #expect(seen.insert(hash(row)!).inserted)
      for position in 0..<count {
        var other = row
        other[position] = Float(bitPattern: row[position].bitPattern ^ 1)
        #expect(seen.insert(hash(other)!).inserted)
        #expect(cn_equal_floats(row, other, Int64(count)) == 0)
        other[position] = .nan
        #expect(hash(other) == nil)
        other[position] = -.infinity
        #expect(hash(other) == nil)
        let (zero, negative) = (row.replacing(position, by: 0), row.replacing(position, by: -0.0))
        #expect(hash(zero) == hash(negative))
        #expect(cn_equal_floats(zero, negative, Int64(count)) != 0)
      }
      // Another order of the same words is another vector.
      #expect(count == 1 || seen.insert(hash(Array(row.reversed()))!).inserted)
    }
  }

  /// Files contain hashes.
  @Test func hashesDoNotChange() {
    #expect(hash([0, 0, 0]) == hash([-0.0, 0, -0.0]))
    #expect(hash([]) == 0)
    #expect(hash((0..<40).map { Float($0) }) == 0x0625_7CCD_F4F2_AC10)
    #expect(hash([1, 2]) != hash([1, 2], seed: 8))
  }
}

@Suite struct IDHashTests {
  /// By a hash without a seed, `splitMix64(high ^ splitMix64(low ^ splitMix64(kind)))`, all of them would be one.
  @Test func idsOfAnAttackerHaveDifferentHashes() {
    var seen: Set<UInt64> = []
    for low in 0..<UInt64(1000) {
      let id = StoreID(high: 5 ^ splitMix64(low ^ splitMix64(2)), low: low, kind: 2)
      #expect(splitMix64(id.high ^ splitMix64(id.low ^ splitMix64(2))) == splitMix64(5))
      #expect(id.hash == id.hash && seen.insert(id.hash).inserted)
      #expect(id.hash != StoreID(high: id.high, low: low, kind: 3).hash)
    }
  }
}

extension [Float] {
  fileprivate func replacing(_ position: Int, by value: Float) -> [Float] {
    var copy = self
    copy[position] = value
    return copy
  }
}

@Suite struct SameHashTests {
  /// Vectors of one hash: the words whose halves are the keys of their positions count for nothing but their upper halves, which are
  /// added up. Whoever knows the seed can make as many as they like.
  private static var dim: Int { 32 }
  private static var seed: (UInt64, UInt64) { (3, 4) }

  private static func row(_ a: Float, _ b: Float) throws -> [Float] {
    let keys = try VectorHash(dim: dim, seed: seed).keys
    var row = [Float](repeating: 0.5, count: dim)
    for block in 0..<2 { row[16 * block] = Float(bitPattern: UInt32(truncatingIfNeeded: keys[8 * block])) }
    (row[1], row[17]) = (a, b)
    return row
  }

  private static func buffer(_ rows: [[Float]]) throws -> Buffer<Float> {
    let buffer = try Buffer<Float>(count: rows.count * dim)
    for (position, value) in rows.joined().enumerated() { buffer[position] = value }
    return buffer
  }

  private func add(_ rows: [[Float]], to store: VectorStore, from first: Int) throws -> [Int] {
    let (values, ids) = (try Self.buffer(rows), try Buffer<StoreID>(count: rows.count))
    for position in 0..<rows.count { ids[position] = StoreID(high: 0, low: UInt64(first + position), kind: 1) }
    let slots = try Buffer<Int64>(count: rows.count)
    try store.add(
      ids.elements, PointsView(base: values.base, count: rows.count, dim: Self.dim), names: nil,
      context: CallContext(threads: 2), slots: slots.base)
    withExtendedLifetime(values) {}
    return slots.elements.map { Int($0) }
  }

  @Test func vectorsOfOneHashAreSeparated() throws {
    let (one, other) = (try Self.row(1, 2), try Self.row(2, 1))
    let (hash, elsewhere) = (
      try VectorHash(dim: Self.dim, seed: Self.seed), try VectorHash(dim: Self.dim, seed: (5, 6))
    )
    var hashes: [UInt64] = [0, 0, 0, 0]
    for (position, row) in [one, other].enumerated() {
      #expect(hash(row, &hashes[position]) && elsewhere(row, &hashes[position + 2]))
    }
    #expect(hashes[0] == hashes[1] && hashes[2] != hashes[3] && one != other)
    let distinct = try (0..<300).map { try Self.row(Float($0 + 5), 3) }
    let together = try VectorStore(dim: Self.dim, seed: Self.seed)
    // In one batch, among others and their duplicates; then again, when they are there.
    let slots = try add([one, one] + distinct + [other, one, other] + distinct, to: together, from: 0)
    #expect(slots[0] == slots[1] && slots[0] == slots[303] && slots[302] == slots[304])
    #expect(Set(slots).count == 302 && slots[302] != slots[0])
    #expect(Array(slots[2..<302]) == Array(slots[305...]))
    #expect(try add([other, one], to: together, from: 1000) == [slots[302], slots[0]])
    let space = together.rowSpace
    #expect(cn_equal_floats(space.base + slots[302] * space.rowBytes / 4, other, Int64(Self.dim)) != 0)
    #expect(cn_equal_floats(space.base + slots[0] * space.rowBytes / 4, one, Int64(Self.dim)) != 0)
    try together.check(context: CallContext(threads: 1))
    #expect(try together.info().uniqueCount == 302)
    // One after the other.
    let apart = try VectorStore(dim: Self.dim, seed: Self.seed)
    #expect(try add([one], to: apart, from: 0) == [0])
    #expect(try add([other], to: apart, from: 1) == [1])
    try apart.check(context: CallContext(threads: 1))
  }

  /// Freed slots that are pinned wait. They are returned once, in any order of events.
  @Test func slotsThatArePinnedWait() throws {
    var generator = SeededGenerator(seed: 5)
    let pins = try SlotPins()
    let (listed, count) = (try GrowableBuffer<Int32>(), 20)
    var (pinned, waiting, free) = ([Int](repeating: 0, count: count), Set<Int>(), Set<Int>())
    for _ in 0..<3000 {
      let slot = Int(generator.next() % UInt64(count))
      switch generator.next() % 4 {
      case 0 where !free.contains(slot) && !waiting.contains(slot):
        try pins.pin(2) { _ in slot }
        pinned[slot] += 2
      case 1 where pinned[slot] > 0:
        pins.unpin(1) { _ in slot }
        pinned[slot] -= 1
      case 2 where !free.contains(slot) && !waiting.contains(slot):
        if pins.makesWait(slot) { waiting.insert(slot) } else { free.insert(slot) }
      case 3:
        try pins.moveReleased(into: listed)
        let done = waiting.filter { pinned[$0] == 0 }
        #expect(Set(listed.elements.map { Int($0) }) == done && listed.count == done.count)
        listed.removeAll()
        waiting.subtract(done)
        // They are used again.
        free.removeAll()
      default: break
      }
      #expect(pins.keeps(slot) == (pinned[slot] > 0 || waiting.contains(slot)))
    }
  }
}

/// For the thread sanitizer, too: `make tsan`.
@Suite struct StoreThreadTests {
  @Test func threadsAddRemoveAndReadAtOnce() throws {
    let store = try VectorStore(dim: 16)
    let values = try Buffer<Float>(count: 400 * 16)
    for position in 0..<values.count { values[position] = Float(position) }
    let points = PointsView(base: UnsafePointer(values.base), count: 400, dim: 16)
    let wrong = Counter()
    try CallContext(threads: 4).forEach(200, grain: 1) { (range, _) throws(CoverTreeError) in
      for turn in range { try change(store, turn, points, wrong) }
    }
    #expect(wrong.value == 0)
    try store.check(context: CallContext(threads: 2))
    #expect(try store.info().count == 200)
    withExtendedLifetime(values) {}
  }

  /// Threads have chunks of a batch, and assign slots in turns.
  @Test func aBatchIsAddedByThreads() throws {
    let (store, count) = (try VectorStore(dim: 16), 3000)
    let values = try Buffer<Float>(count: count * 16)
    for row in 0..<count { for d in 0..<16 { values[row * 16 + d] = Float(row % 1100 * 16 + d) } }
    let (ids, slots) = (try Buffer<StoreID>(count: count), try Buffer<Int64>(count: count))
    for number in 0..<count { ids[number] = StoreID(high: 0, low: UInt64(number), kind: 1) }
    try store.add(
      ids.elements, PointsView(base: UnsafePointer(values.base), count: count, dim: 16), names: nil,
      context: CallContext(threads: 4), slots: slots.base)
    #expect((0..<count).allSatisfy { slots[$0] == Int64($0 % 1100) })
    try store.check(context: CallContext(threads: 4))
    withExtendedLifetime(values) {}
  }

  private func change(
    _ store: VectorStore, _ turn: Int, _ points: PointsView<Float>, _ wrong: Counter
  ) throws(CoverTreeError) {
    let ids = (0..<2).map { StoreID(high: 0, low: UInt64(2 * turn + $0), kind: 1) }
    let slots = try Buffer<Int64>(count: 2)
    try add(ids, points.rows(2 * turn..<2 * turn + 2), to: store, slots)
    let space = store.rowSpace
    for position in 0..<2 {
      let row = space.base + (try store.find(ids[position])) * space.rowBytes / 4
      if cn_equal_floats(row, points.row(2 * turn + position), 16) == 0 { wrong.add(1) }
    }
    let gone = try Buffer<StoreID>(count: 1, filledWith: ids[0])
    try store.remove(gone.elements, context: CallContext(threads: 1))
    if try store.find(ids[0]) != -1 { wrong.add(1) }
  }

  private func add(
    _ ids: [StoreID], _ rows: PointsView<Float>, to store: VectorStore, _ slots: Buffer<Int64>
  ) throws(CoverTreeError) {
    let given = try Buffer<StoreID>(count: ids.count)
    for (position, id) in ids.enumerated() { given[position] = id }
    try store.add(given.elements, rows, names: nil, context: CallContext(threads: 1), slots: slots.base)
  }
}
