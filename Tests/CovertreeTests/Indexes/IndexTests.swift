import CNumerics
import Testing

@testable import Covertree
@testable import CovertreeBase
@testable import CovertreeStore

@Suite struct IdTableTests {
  /// Ids that are the numbers of their slots at first, and then any.
  @Test(arguments: [0, 100]) func aTableBehavesLikeADictionary(numbered: Int) throws {
    var generator = SeededGenerator(seed: 1)
    let (ids, dead) = (try GrowableBuffer<Int64>(), try GrowableBuffer<UInt8>())
    let table = try IdTable()
    var model: [Int64: Int] = [:]
    for round in 0..<5000 {
      let id = round < numbered ? Int64(round) : Int64.random(in: -300...300, using: &generator) << (round % 2 * 40)
      #expect(table.slot(of: id, in: ids.base, dead: dead.base) == model[id])
      if let slot = model[id] {
        dead[slot] = 1
        table.remove(Int32(slot), in: ids.base)
        model[id] = nil
      } else {
        try ids.append(id)
        try dead.append(0)
        try table.reserve(1)
        table.insert(Int32(ids.count - 1), in: ids.base)
        model[id] = ids.count - 1
      }
    }
    #expect(table.plain == numbered)
    for (id, slot) in model { #expect(table.slot(of: id, in: ids.base, dead: dead.base) == slot) }
    for (kept, count) in [(ids.count / 2, ids.count), (50, ids.count / 2)] {
      table.truncate(to: kept, in: ids.base, dead: dead.base, count: count)
      for (id, slot) in model {
        #expect(table.slot(of: id, in: ids.base, dead: dead.base) == (slot < kept ? slot : nil))
      }
    }
  }
}

@Suite struct RowTests {
  @Test func halvesAreThoseOfTheMachine() {
    for bits in stride(from: UInt32(0), to: 0x477F_E000, by: 4099) {
      let value = Float(bitPattern: bits)
      #expect(cn_half(value) == Float16(value).bitPattern)
      #expect(cn_half(-value) == Float16(-value).bitPattern)
    }
    for first in stride(from: UInt16(0), to: 0x7C00, by: 16) {
      let lanes = cn_widen_halves(SIMD16<UInt16>((0..<16).map { first + UInt16($0) }))
      for lane in 0..<16 { #expect(lanes[lane] == Float(Float16(bitPattern: first + UInt16(lane)))) }
    }
  }

  /// Scores in every kind of storage, with instructions for bytes and without, compared with the scores of decoded rows.
  @Test(arguments: [VectorStorage.float32, .float16, .int8], [false, true])
  func scoresAreThoseOfStoredValues(storage: VectorStorage, products: Bool) throws {
    for dim in [1, 15, 64, 100] {
      let points = PointSet<Float>(count: 37, dim: dim, seed: 3)
      let query = PointSet<Float>(count: 1, dim: dim, seed: 4)
      var options = IndexOptions()
      (options.storage, options.metric) = (storage, products ? .innerProduct : .squaredEuclidean)
      let table = try VectorTable(dim: dim, options: options, source: nil)
      _ = try points.withView { view throws(CoverTreeError) in
        try table.append(.rows(view), ids: nil, context: CallContext(threads: 2))
      }
      let rows = table.decisive
      let decoded = (0..<37).map { slot in
        var row = [Float](repeating: 0, count: dim)
        var scratch = [Float](repeating: 0, count: rows.coordinates + 16)
        scratch.withUnsafeMutableBufferPointer {
          let past = Int(bitPattern: $0.baseAddress!) % 64 / 4
          rows.decode(slot, into: &row, scratch: $0.baseAddress! + (16 - past) % 16)
        }
        return row
      }
      let scorer = try RowQuery(table)
      query.withView { scorer.load($0.row(0)) }
      for hasByteProducts in Set([0, cn_has_byte_products()]) {
        var scores = [Float](repeating: 0, count: 37)
        cn_scores(
          scorer.scores.rows, scorer.scores.query, (0..<37).map { Int32($0) }, 37, hasByteProducts, &scores)
        let shift = storage == .int8 ? scores[0] - Float(decodedScore(decoded[0], query.values, products)) : 0
        for slot in 0..<37 {
          let expected = decodedScore(decoded[slot], query.values, products)
          #expect(abs(scorer.scores.decided(Int32(slot)) - expected) < 1e-9 * Double(dim) * (1 + abs(expected)))
          let allowed = (storage == .int8 ? 0.1 : 1e-5) * Float(dim).squareRoot() * 4
          #expect(abs(Float(expected) + shift - scores[slot]) < allowed, "\(storage) \(dim) \(slot)")
        }
      }
    }
  }

  private func decodedScore(_ row: [Float], _ query: [Float], _ products: Bool) -> Double {
    zip(row, query).reduce(0.0) { sum, pair in
      let (x, q) = (Double(pair.0), Double(pair.1))
      return sum + (products ? -x * q : (x - q) * (x - q))
    }
  }

  @Test func differingBitsAreCounted() {
    var generator = SeededGenerator(seed: 5)
    for words in [1, 2, 3, 4, 8, 16] {
      let codes = (0..<2 * words * 16).map { _ in UInt32(truncatingIfNeeded: generator.next()) }
      let query = (0..<words).map { _ in UInt32(truncatingIfNeeded: generator.next()) }
      for hasVectorPopcount in Set([0, cn_has_vector_popcount()]) {
        for most in [0, 15, 32 * words] {
          var keys = [UInt32](repeating: 0, count: 48)
          let found = cn_hamming_within(codes, 2, Int64(words), query, UInt32(most), hasVectorPopcount, &keys)
          let all = (0..<32).map { position in
            (0..<words).reduce(0) {
              $0 + (codes[(position / 16 * words + $1) * 16 + position % 16] ^ query[$1]).nonzeroBitCount
            }
          }
          let expected = all.indices.filter { all[$0] <= most }
          #expect(keys.prefix(Int(found)).map { Int($0 & 0xFFFF) } == expected)
          #expect(keys.prefix(Int(found)).map { Int($0 >> 16) } == expected.map { all[$0] })
        }
      }
    }
  }

  /// Candidates are the codes that differ least, of equal ones the first, whatever was searched for before.
  @Test(arguments: [20, 70], [1, 9, 400, 1300])
  func candidatesAreTheCodesThatDifferLeast(bits: Int, wanted: Int) throws {
    let (count, queryCount, stride) = (1300, 21, 96)
    var generator = SeededGenerator(seed: UInt64(bits + wanted))
    let values = try Buffer<Float>(count: (count + queryCount) * stride)
    for position in 0..<values.count { values[position] = Float.random(in: -1...1, using: &generator) }
    // The first queries are near some codes, so that those after them are farther than the estimate from these.
    for position in 0..<7 * stride { values[count * stride + position] = values[40 * stride + position] }
    let codes = try HammingCodes(bits: bits)
    try codes.extend(to: count, context: CallContext())
    for slot in 0..<count { codes.set(slot, values.base + slot * stride) }
    let table = try codeTable(count)
    let admitted = try Buffer<UInt8>(count: count)
    for slot in 0..<count { admitted[slot] = slot % 3 == 0 ? 0 : 1 }
    let queries = ProjectedQueries(base: values.base + count * stride, stride: stride, count: queryCount)
    for filter in [nil, admitted] {
      let admittedCount = filter == nil ? count : count - (count + 2) / 3
      let search = IndexSearch(
        queries: PointsView(base: values.base, count: queryCount, dim: 1), admitted: filter,
        admittedCount: admittedCount, options: IndexSearchOptions(), context: CallContext())
      let seeker = try codes.seekers(for: search, wanted: min(wanted, admittedCount), probes: 1, copies: 1)()
      for query in 0..<queryCount {
        let list = try Shortlist(table)
        try seeker.find(query, of: queries, list)
        let differing = (0..<count).map { slot in
          (0..<bits).count { (values[slot * stride + $0] > 0) != (queries[query][$0] > 0) }
        }
        let nearest = (0..<count).filter { filter == nil || filter![$0] == 1 }
          .sorted { (differing[$0], $0) < (differing[$1], $1) }.prefix(wanted).sorted()
        #expect(list.slots.elements.map { Int($0) } == nearest)
      }
    }
    withExtendedLifetime(values) {}
  }

  private func codeTable(_ count: Int) throws -> VectorTable {
    let table = try VectorTable(dim: 1, options: IndexOptions(), source: nil)
    let points = PointSet<Float>(count: count, dim: 1, seed: 1)
    _ = try points.withView { view throws(CoverTreeError) in
      try table.append(.rows(view), ids: nil, context: CallContext())
    }
    return table
  }

  @Test func signsAreThoseOfTheNumbers() {
    for count in [1, 16, 31, 32, 33, 100] {
      let padded = (count + 15) / 16
      let values = (0..<padded).map { vector in
        SIMD16<Float>((0..<16).map { Float(($0 + vector) * 7 % 5) - 2 })
      }
      var words = [UInt32](repeating: 0, count: (count + 31) / 32)
      values.withUnsafeBytes {
        cn_signs($0.baseAddress!.assumingMemoryBound(to: Float.self), Int64(count), &words)
      }
      for bit in 0..<words.count * 32 {
        let expected = bit < count && values[bit / 16][bit % 16] > 0
        #expect((words[bit / 32] >> UInt32(bit % 32) & 1 == 1) == expected)
      }
    }
  }
}

@Suite struct GraphTests {
  /// Every link leads to a node that is there and on the level; nothing leads to itself, or twice to one; all can be reached.
  /// Every vector hangs on one node, after earlier equal vectors.
  @Test(arguments: [1, 3])
  func linksAreSound(threads: Int) throws {
    let context = CallContext(threads: threads)
    let points = PointSet<Float>(count: 1500, dim: 12, seed: 6, duplicated: true)
    var options = IndexOptions()
    (options.kind, options.m, options.efConstruction) = (.hnsw, 8, 60)
    let index = try VectorIndex(dim: 12, options: options)
    _ = try points.withView { view throws(CoverTreeError) in try index.add(.rows(view), ids: nil, context: context) }
    try check(index)
    let gone = (0..<700).map { Int64($0 * 2) }
    for first in stride(from: 0, to: 700, by: 70) {
      try gone[first..<first + 70].withUnsafeBufferPointer { ids throws(CoverTreeError) in
        try index.remove(ids, context: context)
      }
      try check(index)
    }
    try index.optimize(context: context)
    try check(index)
  }

  private func check(_ index: VectorIndex) throws {
    let graph = try #require(index.structure as? HNSW)
    let (lists, table) = (graph.lists, graph.table)
    #expect(graph.levels.count == table.count)
    #expect(
      graph.top
        == graph.levels.elements.enumerated().filter { table.dead[$0.offset] == 0 }.map { Int($0.element) }.max())
    var reached = Set([graph.entry])
    var waiting = [graph.entry]
    while let slot = waiting.popLast() {
      for level in 0...Int(graph.levels[slot]) {
        let list = UnsafeBufferPointer(start: lists.list(slot, level), count: lists.capacity(level)).prefix { $0 >= 0 }
        #expect(Set(list).count == list.count && !list.contains(slot))
        for link in list {
          #expect(Int(link) < table.count && graph.twins.isNode(Int(link)) && Int(graph.levels[link]) >= level)
          if reached.insert(link).inserted { waiting.append(link) }
        }
      }
    }
    let live = (0..<Int32(table.count)).filter { table.dead[$0] == 0 }
    #expect(live.allSatisfy { reached.contains(graph.twins.nodes[$0]) })
    let onLowest = try HNSW.Reach(graph)
    try onLowest.spread(from: graph.entry)
    #expect(live.allSatisfy { onLowest.has(graph.twins.nodes[$0]) })
    checkTwins(graph)
  }

  private func checkTwins(_ graph: HNSW) {
    let (twins, table) = (graph.twins, graph.table)
    let rows = table.decisive
    var (visited, isOrdered) = (0, true)
    for node in 0..<table.count where twins.isNode(node) {
      visited += 1
      var slot = Int32(node)
      while twins.next[slot] >= 0 {
        let next = twins.next[slot]
        isOrdered = isOrdered && table.serials[Int(next)] > table.serials[Int(slot)] && twins.nodes[next] == Int32(node)
        isOrdered = isOrdered && cn_equal_floats(rows.floats(node), rows.floats(Int(next)), Int64(table.dim)) != 0
        (slot, visited) = (next, visited + 1)
      }
    }
    #expect(visited == table.count && isOrdered)
    #expect(twins.count == table.count - (0..<table.count).filter { twins.isNode($0) }.count)
  }
}

@Suite struct GateTests {
  @Test func aWriterIsAloneAndReadersAreNot() throws {
    let readWriteLock = ReadWriteLock(of: "test")
    let value = try Buffer<Int>(count: 2, filledWith: 0)
    let most = Counter()
    try CallContext(threads: 8).forEach(400, grain: 1) { (range, _) throws(CoverTreeError) in
      for turn in range {
        let context = CallContext(threads: 1)
        if turn % 4 == 0 {
          try readWriteLock.writing(context) { () throws(CoverTreeError) in
            value[0] += 1
            value[1] += 1
          }
        } else {
          try readWriteLock.reading(context) { () throws(CoverTreeError) in if value[0] != value[1] { most.add(1) } }
        }
      }
    }
    #expect(value[0] == 100 && most.value == 0)
    #expect(throws: CoverTreeError.self) {
      try readWriteLock.reading(CallContext()) { () throws(CoverTreeError) in
        try readWriteLock.writing(CallContext()) { () throws(CoverTreeError) in }
      }
    }
    try readWriteLock.writing(CallContext()) { () throws(CoverTreeError) in }
  }
}

/// For the thread sanitizer, too: `make tsan`.
@Suite struct IndexThreadTests {
  private static let points = PointSet<Float>(count: 600, dim: 20, seed: 8)

  @Test(arguments: [IndexKind.bruteForce, .kdTree, .lsh, .hnsw])
  func threadsChangeAndSearchAtOnce(kind: IndexKind) throws {
    var options = IndexOptions()
    (options.kind, options.efConstruction, options.efSearch) = (kind, 40, 40)
    let index = try VectorIndex(dim: 20, options: options)
    try add(0..<100, to: index)
    try CallContext(threads: 4).forEach(60, grain: 1) { (range, _) throws(CoverTreeError) in
      for turn in range {
        if turn % 3 == 0 {
          try change(index, from: 100 + turn / 3 * 25)
        } else {
          try search(index)
        }
      }
    }
    #expect(try index.info().count == 100 + 20 * 20)
  }

  /// Rows of a store are read by searches while it changes.
  @Test(arguments: [IndexKind.bruteForce, .kdTree, .hnsw])
  func threadsSearchOverAStoreThatChanges(kind: IndexKind) throws {
    var options = IndexOptions()
    (options.kind, options.efConstruction, options.efSearch) = (kind, 40, 40)
    let store = try VectorStore(dim: 20)
    try put(0..<200, into: store)
    let index = try VectorIndex(over: store, options: options)
    try addSlots(0..<100, to: index)
    try CallContext(threads: 4).forEach(60, grain: 1) { (range, _) throws(CoverTreeError) in
      for turn in range {
        switch turn % 3 {
        case 0:
          try put(200 + turn * 5..<205 + turn * 5, into: store)
          try remove(200 + turn * 5..<202 + turn * 5, from: store)
          try remove(turn..<turn + 1, from: store)
        case 1: try addSlots(100 + turn..<101 + turn, to: index)
        default: try search(index)
        }
      }
    }
    #expect(try index.info().count == 120)
    try store.check(context: CallContext(threads: 1))
  }

  private static func ids(_ numbers: Range<Int>) throws(CoverTreeError) -> Buffer<StoreID> {
    let ids = try Buffer<StoreID>(count: numbers.count)
    for (position, number) in numbers.enumerated() { ids[position] = StoreID(high: 0, low: UInt64(number), kind: 1) }
    return ids
  }

  private func put(_ numbers: Range<Int>, into store: VectorStore) throws(CoverTreeError) {
    let (ids, slots) = (try Self.ids(numbers), try Buffer<Int64>(count: numbers.count))
    let values = Array(Self.points.values[numbers.lowerBound * 20..<numbers.upperBound * 20])
    try store.add(
      ids.elements, PointsView(base: UnsafePointer(values), count: numbers.count, dim: 20), names: nil,
      context: CallContext(threads: 2), slots: slots.base)
    withExtendedLifetime(values) {}
  }

  private func remove(_ numbers: Range<Int>, from store: VectorStore) throws(CoverTreeError) {
    let ids = try Self.ids(numbers)
    try store.remove(ids.elements, context: CallContext(threads: 1))
  }

  private func addSlots(_ numbers: Range<Int>, to index: VectorIndex) throws(CoverTreeError) {
    let ids = numbers.map { Int64($0) }
    let both = UnsafeBufferPointer(start: UnsafePointer(ids), count: ids.count)
    _ = try index.add(.slots(both), ids: both, context: CallContext(threads: 2))
    withExtendedLifetime(ids) {}
  }

  private func add(_ rows: Range<Int>, to index: VectorIndex) throws(CoverTreeError) {
    let ids = rows.map { Int64($0) }
    let values = Array(Self.points.values[rows.lowerBound * 20..<rows.upperBound * 20])
    let context = CallContext(threads: 2)
    _ = try index.add(
      .rows(PointsView(base: UnsafePointer(values), count: rows.count, dim: 20)),
      ids: UnsafeBufferPointer(start: UnsafePointer(ids), count: ids.count), context: context)
    withExtendedLifetime((ids, values)) {}
  }

  private func change(_ index: VectorIndex, from first: Int) throws(CoverTreeError) {
    try add(first..<first + 25, to: index)
    let gone = (first..<first + 5).map { Int64($0) }
    try index.remove(
      UnsafeBufferPointer(start: UnsafePointer(gone), count: 5), context: CallContext(threads: 2))
    withExtendedLifetime(gone) {}
  }

  private func search(_ index: VectorIndex) throws(CoverTreeError) {
    let (found, distances) = (try Buffer<Int64>(count: 50), try Buffer<Float>(count: 50))
    let values = Array(Self.points.values[..<200])
    try index.nearest(
      PointsView(base: UnsafePointer(values), count: 10, dim: 20), k: 5, options: IndexSearchOptions(),
      context: CallContext(threads: 2), ids: found.base, distances: distances.base)
    withExtendedLifetime(values) {}
    for row in 0..<10 where distances[row * 5] != 0 || found[row * 5] != Int64(row) {
      throw CoverTreeError(.internal, "a vector does not find itself")
    }
  }
}
