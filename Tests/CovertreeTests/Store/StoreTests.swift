import CNumerics
import Testing

@testable import Covertree

@Suite struct HashIndexTests {
  /// Few different hashes: most places are asked for by several, and most searches go by things that do not match.
  @Test(arguments: [UInt64(3), .max]) func anIndexIsTheDictionaryThatItStandsFor(mask: UInt64) throws {
    var generator = SeededGenerator(seed: 2)
    let index = try HashIndex()
    var model: [Int: UInt64] = [:]
    for number in 0..<3000 {
      let hash = mixed(generator.next() & mask)
      try index.reserve(1)
      index.insert(hash, number)
      model[number] = hash
      if number % 3 == 2, let gone = model.randomElement(using: &generator) {
        index.remove(gone.value, gone.key)
        model[gone.key] = nil
      }
    }
    for number in 0..<3000 {
      let hash = model[number] ?? mixed(generator.next() & mask)
      #expect(index.number(of: hash) { $0 == number } == (model[number] == nil ? nil : number))
    }
  }
}

@Suite struct VectorHashTests {
  private func hash(_ row: [Float]) -> UInt64? {
    var hash: UInt64 = 0
    return cn_hash_floats(row, Int64(row.count), &hash) == 0 ? nil : hash
  }

  @Test func hashesTellVectorsApartAndZerosNot() {
    var seen: Set<UInt64> = []
    var generator = SeededGenerator(seed: 3)
    for count in [1, 15, 16, 17, 100] {
      let row = (0..<count).map { _ in Float.random(in: -1...1, using: &generator) }
      #expect(seen.insert(hash(row)!).inserted)
      for place in 0..<count {
        var other = row
        other[place] = Float(bitPattern: row[place].bitPattern ^ 1)
        #expect(seen.insert(hash(other)!).inserted)
        #expect(cn_equal_floats(row, other, Int64(count)) == 0)
        other[place] = .nan
        #expect(hash(other) == nil)
        other[place] = -.infinity
        #expect(hash(other) == nil)
        let (zero, negative) = (row.replacing(place, by: 0), row.replacing(place, by: -0.0))
        #expect(hash(zero) == hash(negative))
        #expect(cn_equal_floats(zero, negative, Int64(count)) != 0)
      }
      // Another order of the same words is another vector.
      #expect(count == 1 || seen.insert(hash(Array(row.reversed()))!).inserted)
    }
  }

  /// Hashes stand in files.
  @Test func hashesStayWhatTheyAre() {
    #expect(hash([0, 0, 0]) == hash([-0.0, 0, -0.0]))
    #expect(hash([]) == 0)
    #expect(hash((0..<40).map { Float($0) }) == 0x16F6_7564_D135_3D23)
  }
}

extension [Float] {
  fileprivate func replacing(_ place: Int, by value: Float) -> [Float] {
    var copy = self
    copy[place] = value
    return copy
  }
}

/// For the thread sanitizer, too: `make tsan`.
@Suite struct StoreThreadTests {
  @Test func threadsAddRemoveAndReadAtOnce() throws {
    let store = try VectorStore(dim: 16)
    let values = try Buffer<Float>(count: 400 * 16)
    for place in 0..<values.count { values[place] = Float(place) }
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

  private func change(
    _ store: VectorStore, _ turn: Int, _ points: PointsView<Float>, _ wrong: Counter
  ) throws(CoverTreeError) {
    let ids = (0..<2).map { StoreID(high: 0, low: UInt64(2 * turn + $0), kind: 1) }
    let slots = try Buffer<Int64>(count: 2)
    try add(ids, points.rows(2 * turn..<2 * turn + 2), to: store, slots)
    let space = store.rowSpace
    for place in 0..<2 {
      let row = space.base + (try store.find(ids[place])) * space.rowBytes / 4
      if cn_equal_floats(row, points.row(2 * turn + place), 16) == 0 { wrong.add(1) }
    }
    let gone = try Buffer<StoreID>(count: 1, filledWith: ids[0])
    try store.remove(gone.elements, context: CallContext(threads: 1))
    if try store.find(ids[0]) != -1 { wrong.add(1) }
  }

  private func add(
    _ ids: [StoreID], _ rows: PointsView<Float>, to store: VectorStore, _ slots: Buffer<Int64>
  ) throws(CoverTreeError) {
    let given = try Buffer<StoreID>(count: ids.count)
    for (place, id) in ids.enumerated() { given[place] = id }
    try store.add(given.elements, rows, names: nil, context: CallContext(threads: 1), slots: slots.base)
  }
}
