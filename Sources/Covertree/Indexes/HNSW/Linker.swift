import CovertreeBase

/// Links vectors, by one thread.
final class Linker {
  private let graph: HNSW
  private let efConstruction: Int
  let walker: HNSW.Walker
  let back: GrowableBuffer<UInt64>
  /// A candidate, for comparison with chosen ones.
  private let candidate: RowQuery
  private let chosen: Buffer<Int32>
  private let scores: Buffer<Float>
  let candidates: GrowableBuffer<Int32>

  init(_ graph: HNSW) throws(CoverTreeError) {
    (self.graph, efConstruction) = (graph, graph.options.efConstruction)
    walker = try HNSW.Walker(graph, capacity: max(graph.options.efConstruction, 2 * graph.degree))
    (back, candidates) = (try GrowableBuffer(), try GrowableBuffer())
    candidate = try RowQuery(graph.table)
    chosen = try Buffer(count: graph.degree)
    scores = try Buffer(count: graph.degree)
  }

  /// Finds the neighbours of a new vector on all of its levels: in the graph and in its batch.
  func link(_ position: Int, of batch: HNSW.Batch) throws(CoverTreeError) {
    let slot = batch.slots[position]
    walker.query.load(slot: Int(slot))
    let (own, top) = (Int(graph.levels[slot]), graph.top)
    var start = walker.descend(from: graph.entry, top: top, to: min(own, top))
    for level in stride(from: own, through: batch.lowest, by: -1) {
      var beam =
        level > top
        ? walker.nothing(limit: efConstruction) : walker.walk(from: start, level: level, limit: efConstruction)
      if level <= top { start = beam.slot(0) }
      walker.insert(batch.slots(level), except: slot, to: &beam)
      let count = choose(graph.m, of: beam, for: slot)
      let list = walker.lists.list(slot, level)
      for chosen in 0..<count {
        list[chosen] = self.chosen[chosen]
        try back.append(BackLink.number(self.chosen[chosen], level, position))
      }
    }
  }

  /// Adds links to the list of one vector. If they do not fit, its links are chosen among all.
  func add(_ numbers: UnsafeBufferPointer<UInt64>.SubSequence, of batch: HNSW.Batch) throws(CoverTreeError) {
    let (slot, level) = (BackLink.target(numbers.first!), BackLink.level(numbers.first!))
    let (list, capacity) = (walker.lists.list(slot, level), walker.lists.capacity(level))
    candidates.removeAll()
    var count = 0
    while count < capacity && list[count] >= 0 {
      try candidates.append(list[count])
      count += 1
    }
    for number in numbers {
      let source = batch.slots[BackLink.source(number)]
      // Two vectors of a batch may have chosen each other.
      if !candidates.elements[..<count].contains(source) { try candidates.append(source) }
    }
    guard candidates.count <= capacity else { return relink(slot, level) }
    for position in count..<candidates.count { list[position] = candidates[position] }
  }

  /// Gives a vector new links on a level, chosen among `candidates`.
  func relink(_ slot: Int32, _ level: Int) {
    walker.query.load(slot: Int(slot))
    let (list, capacity) = (walker.lists.list(slot, level), walker.lists.capacity(level))
    var beam = walker.nothing(limit: walker.scratch.capacity)
    walker.insert(candidates.elements, except: slot, to: &beam)
    let count = choose(capacity, of: beam, for: slot)
    for position in 0..<capacity { list[position] = position < count ? chosen[position] : HNSW.noLink }
  }

  /// Chooses links in different directions: the nearest first, and each must be nearer to the vector than to any chosen before.
  ///
  /// - Returns: the number of links in `chosen`.
  private func choose(_ limit: Int, of beam: Beam, for slot: Int32) -> Int {
    let own = walker.query.scores.omitted(slot: Int(slot))
    let (chosen, scores, comparison) = (chosen.base, scores.base, candidate.scores)
    var count = 0
    for position in 0..<beam.count {
      let next = beam.slot(position)
      candidate.load(slot: Int(next))
      comparison.score(chosen, count, into: scores)
      walker.compared &+= count
      // Scores of different queries omit different numbers.
      let between = beam.score(position) + own - comparison.omitted(slot: Int(next))
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

/// A back link to a neighbour, as a number: sorted links to one list are consecutive.
enum BackLink {
  static var sourceBits: UInt64 { 27 }
  static var levelBits: UInt64 { 5 }

  /// - Parameter source: a position in the batch.
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
