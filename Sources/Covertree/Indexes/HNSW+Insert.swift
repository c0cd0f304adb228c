import Glibc

extension HNSW {
  /// A batch is at most this share of the graph that it is compared with: its vectors do not see each other.
  private static var batchShare: Int { 32 }

  func insert(from first: Int, context: CallContext) throws(CoverTreeError) {
    let more = table.count - first
    try extend(from: first)
    var next = first
    if entry < 0 && next < table.count {
      entry = Int32(next)
      next += 1
    }
    let linkers = PerThread<Linker>(count: context.threads)
    while next < table.count {
      let end = min(table.count, next + max(1, next / Self.batchShare))
      context.stage(from: Double(next - first) / Double(more), to: Double(end - first) / Double(more))
      try insert(next..<end, linkers, context)
      next = end
    }
    for linker in linkers.all { compared.add(linker.walker.compared) }
  }

  /// Gives slots their levels and empty lists.
  private func extend(from first: Int) throws(CoverTreeError) {
    let count = table.count
    try levels.resize(to: count)
    try links.resize(to: count * degree)
    try upperFirst.resize(to: count)
    (links.base + first * degree).update(repeating: Self.noLink, count: (count - first) * degree)
    let scale = 1 / log(Double(m))
    for slot in first..<count {
      let random = mixed(options.seed ^ mixed(UInt64(UInt32(bitPattern: table.serials[slot]))))
      let uniform = (Double(random >> 11) + 1) * 0x1p-53
      levels[slot] = UInt8(min(Double(Self.mostLevels), -log(uniform) * scale))
      upperFirst[slot] = levels[slot] == 0 ? -1 : Int32(upperLinks.count)
      for _ in 0..<Int(levels[slot]) * m { try upperLinks.append(Self.noLink) }
    }
  }

  private func insert(
    _ batch: Range<Int>, _ linkers: PerThread<Linker>, _ context: CallContext
  ) throws(CoverTreeError) {
    let make = { () throws(CoverTreeError) in try Linker(self) }
    try context.forEach(batch.count, grain: 2) { (range, thread) throws(CoverTreeError) in
      let linker = try linkers.value(thread, make: make)
      for place in range { try linker.link(Int32(batch.lowerBound + place), batchFrom: batch.lowerBound) }
    }
    try linkBack(linkers, batch.lowerBound, context)
    // The first of those on the highest level.
    for slot in batch where Int(levels[slot]) > top { entry = Int32(slot) }
  }

  /// Gives the neighbours of a batch their links back, each all of them in one go.
  private func linkBack(
    _ linkers: PerThread<Linker>, _ batchFirst: Int, _ context: CallContext
  ) throws(CoverTreeError) {
    let total = linkers.all.reduce(0) { $0 + $1.back.count }
    let edges = try Buffer<UInt64>(count: total)
    var next = 0
    for linker in linkers.all {
      (edges.base + next).update(from: linker.back.base, count: linker.back.count)
      next += linker.back.count
      linker.back.removeAll()
    }
    let order = try sortedOrder(ofKeys: edges, context: context)
    let sorted = try Buffer<UInt64>(count: total)
    let starts = try Stack<Int>()
    for place in 0..<total {
      sorted[place] = edges[order[place]]
      if place == 0 || sorted[place] >> BackLink.sourceBits != sorted[place - 1] >> BackLink.sourceBits {
        try starts.append(place)
      }
    }
    try starts.append(total)
    try context.forEach(starts.count - 1, grain: 16) { (range, thread) throws(CoverTreeError) in
      let linker = try linkers.value(thread) { () throws(CoverTreeError) in try Linker(self) }
      for group in range { try linker.add(sorted.elements[starts[group]..<starts[group + 1]], batchFrom: batchFirst) }
    }
  }
}

/// A link that a neighbour is to get back, as a number: links to one list follow each other when they are sorted.
private enum BackLink {
  static var sourceBits: UInt64 { 27 }
  static var levelBits: UInt64 { 5 }

  /// - Parameter source: counted from the first of its batch, which is a small share of all.
  @inline(__always)
  static func number(_ target: Int32, _ level: Int, _ source: Int) -> UInt64 {
    (UInt64(target) << levelBits | UInt64(level)) << sourceBits | UInt64(source)
  }

  @inline(__always)
  static func target(_ number: UInt64) -> Int32 { Int32(number >> (sourceBits + levelBits)) }
  @inline(__always)
  static func level(_ number: UInt64) -> Int { Int(number >> sourceBits & (1 << levelBits - 1)) }
  @inline(__always)
  static func source(_ number: UInt64) -> Int { Int(number & (1 << sourceBits - 1)) }
}

/// One thread's linking of vectors.
final class Linker {
  private let graph: HNSW
  private let efConstruction: Int
  let walker: HNSW.Walker
  fileprivate let back: Stack<UInt64>
  /// A candidate as it is compared with those that have been chosen.
  private let candidate: RowQuery
  private let chosen: Buffer<Int32>
  private let scores: Buffer<Float>
  /// What `relink` chooses among.
  let candidates: Stack<Int32>

  init(_ graph: HNSW) throws(CoverTreeError) {
    (self.graph, efConstruction) = (graph, graph.options.efConstruction)
    walker = try HNSW.Walker(graph, capacity: max(graph.options.efConstruction, 2 * graph.degree))
    (back, candidates) = (try Stack(), try Stack())
    candidate = try RowQuery(graph.table)
    chosen = try Buffer(count: graph.degree)
    scores = try Buffer(count: graph.degree)
  }

  /// Finds the neighbours of a vector that nothing leads to yet, on all of its levels.
  fileprivate func link(_ slot: Int32, batchFrom first: Int) throws(CoverTreeError) {
    walker.query.take(slot: Int(slot))
    let level = min(Int(graph.levels[slot]), graph.top)
    var start = walker.descend(from: graph.entry, top: graph.top, to: level)
    for level in stride(from: level, through: 0, by: -1) {
      let beam = walker.walk(from: start, level: level, limit: efConstruction)
      let count = choose(graph.m, of: beam, for: slot)
      let list = walker.lists.list(slot, level)
      for place in 0..<count {
        list[place] = chosen[place]
        try back.append(BackLink.number(chosen[place], level, Int(slot) - first))
      }
      start = beam.slot(0)
    }
  }

  /// Adds links to the list of one vector; where there is no room, all are chosen among.
  fileprivate func add(
    _ numbers: UnsafeBufferPointer<UInt64>.SubSequence, batchFrom first: Int
  ) throws(CoverTreeError) {
    let (slot, level) = (BackLink.target(numbers.first!), BackLink.level(numbers.first!))
    let (list, capacity) = (walker.lists.list(slot, level), walker.lists.capacity(level))
    var count = 0
    while count < capacity && list[count] >= 0 { count += 1 }
    if count + numbers.count <= capacity {
      for number in numbers {
        list[count] = Int32(first + BackLink.source(number))
        count += 1
      }
      return
    }
    candidates.removeAll()
    for place in 0..<count { try candidates.append(list[place]) }
    for number in numbers { try candidates.append(Int32(first + BackLink.source(number))) }
    relink(slot, level)
  }

  /// Gives a vector new links on a level, chosen among `candidates`.
  func relink(_ slot: Int32, _ level: Int) {
    walker.query.take(slot: Int(slot))
    let (list, capacity) = (walker.lists.list(slot, level), walker.lists.capacity(level))
    var beam = Beam(walker.room, limit: walker.room.capacity)
    let scores = walker.room.scores
    for first in stride(from: 0, to: candidates.count, by: scores.count) {
      let count = min(scores.count, candidates.count - first)
      walker.query.scores.score(candidates.base + first, count, into: scores.base)
      for place in 0..<count where candidates[first + place] != slot && beam.meets(candidates[first + place]) {
        beam.offer(candidates[first + place], scores[place])
      }
    }
    walker.compared += candidates.count
    let count = choose(capacity, of: beam, for: slot)
    for place in 0..<capacity { list[place] = place < count ? chosen[place] : HNSW.noLink }
  }

  /// Chooses links in different directions: the nearest first, and none that is nearer to one chosen before than to
  /// the vector itself.
  ///
  /// - Returns: how many there are in `chosen`.
  private func choose(_ limit: Int, of beam: Beam, for slot: Int32) -> Int {
    let own = walker.query.scores.omitted(slot: Int(slot))
    let (chosen, scores, comparison) = (chosen.base, scores.base, candidate.scores)
    var count = 0
    for place in 0..<beam.count {
      let next = beam.slot(place)
      candidate.take(slot: Int(next))
      comparison.score(chosen, count, into: scores)
      walker.compared &+= count
      // Scores of two queries leave out different numbers.
      let between = beam.score(place) + own - comparison.omitted(slot: Int(next))
      var isDifferent = true
      for other in 0..<count where scores[other] < between { isDifferent = false }
      guard isDifferent else { continue }
      chosen[count] = next
      count &+= 1
      if count == limit { break }
    }
    return count
  }
}
