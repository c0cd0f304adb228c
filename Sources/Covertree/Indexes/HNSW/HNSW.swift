import CNumerics
import CovertreeBase

/// A hierarchical navigable small world graph (Malkov and Yashunin, 2018). Every vector has links to near ones in different directions,
/// and few vectors have links on higher levels, too. A search goes from near vectors to nearer ones.
///
/// **Layout**: the links of a slot on level 0 are `2 m` numbers, those on each higher level `m`; -1 ends them. Candidates are found among
/// the table's smaller rows if it has these, and ranked by its exact ones. Equal vectors are one node (`Twins`).
///
/// **Building** is by batches, in a random order (Dobson et al., ParlayANN, 2024). The vectors of a batch find their neighbours in
/// parallel, in the current graph and among each other; then these get back links, one list at a time. So the graph is the same for any
/// number of threads, and needs no lock.
final class HNSW: IndexStructure, @unchecked Sendable {
  let table: VectorTable
  let m: Int
  let options: IndexOptions
  /// By slot: the highest level of a vector.
  var levels: GrowableBuffer<UInt8>
  /// By slot: its links on level 0.
  var links: GrowableBuffer<Int32>
  /// By slot: the start of its links on higher levels in `upperLinks`; -1 for none.
  var upperFirst: GrowableBuffer<Int32>
  var upperLinks: GrowableBuffer<Int32>
  let twins: Twins
  /// The start of searches: the first node on the highest level; -1 without nodes.
  var entry: Int32 = -1
  let compared = Counter()

  static var noLink: Int32 { -1 }
  static var mostLevels: Int { 24 }
  /// The beam of a descent. With a beam of 1 a descent can end at a local minimum, which is more frequent if near vectors were added
  /// together.
  static var upperLimit: Int { 4 }

  var degree: Int { 2 * m }
  var top: Int { entry < 0 ? 0 : Int(levels[entry]) }

  convenience init(_ table: VectorTable) throws(CoverTreeError) {
    try self.init(
      table, Twins(table), levels: GrowableBuffer(), links: GrowableBuffer(), upperFirst: GrowableBuffer(),
      upperLinks: GrowableBuffer())
  }

  init(
    _ table: VectorTable, _ twins: Twins, levels: GrowableBuffer<UInt8>, links: GrowableBuffer<Int32>,
    upperFirst: GrowableBuffer<Int32>, upperLinks: GrowableBuffer<Int32>
  ) {
    (self.table, self.twins, options, m) = (table, twins, table.options, table.options.m)
    (self.levels, self.links, self.upperFirst, self.upperLinks) = (levels, links, upperFirst, upperLinks)
  }

  var nodeCount: Int { levels.count - twins.count }

  var lists: LinkLists {
    LinkLists(m: m, links: links.base, upperFirst: upperFirst.base, upperLinks: upperLinks.base)
  }

  /// One thread's walks through the graph in its current state.
  final class Walker {
    let query: RowQuery
    let scratch: Beam.Scratch
    let lists: LinkLists
    let entry: Int32
    let top: Int
    var compared = 0

    init(_ graph: HNSW, capacity: Int) throws(CoverTreeError) {
      query = try RowQuery(graph.table)
      lists = graph.lists
      (entry, top) = (graph.entry, graph.top)
      let capacity = max(capacity, HNSW.upperLimit)
      scratch = try Beam.Scratch(capacity: capacity, count: graph.table.count, degree: max(graph.degree, capacity))
    }

    /// The nearest vectors on a level that a walk from a node finds.
    func walk(from start: Int32, level: Int, limit: Int) -> Beam {
      var beam = begin(at: start, limit: limit)
      beam.insert(start, scratch.scores[0])
      while true {
        let slot = beam.advance()
        guard slot >= 0 else { break }
        let following = beam.following
        if following >= 0 { cn_prefetch(lists.list(following, level), Int64(lists.capacity(level) &* 4)) }
        let count = meetLinks(of: slot, level, &beam)
        for position in 0..<count { beam.insert(scratch.fresh.base[position], scratch.scores.base[position]) }
      }
      return beam
    }

    /// A beam that starts with one vector, whose score is the first of `scratch.scores`.
    @inline(__always)
    private func begin(at start: Int32, limit: Int) -> Beam {
      let beam = Beam(scratch, limit: limit)
      _ = beam.meets(start)
      scratch.fresh.base[0] = start
      query.scores.score(scratch.fresh.base, 1, into: scratch.scores.base)
      compared &+= 1
      return beam
    }

    /// Writes the links of a vector that are met for the first time to `scratch.fresh`, and their scores to `scratch.scores`.
    ///
    /// - Returns: their number.
    @inline(__always)
    private func meetLinks(of slot: Int32, _ level: Int, _ beam: inout Beam) -> Int {
      let (fresh, scores) = (scratch.fresh.base, query.scores)
      let list = lists.list(slot, level)
      var count = 0
      for position in 0..<lists.capacity(level) {
        let link = list[position]
        guard link >= 0 else { break }
        guard beam.meets(link) else { continue }
        fresh[count] = link
        count &+= 1
        scores.prefetch(link)
      }
      scores.score(fresh, count, into: scratch.scores.base)
      compared &+= count
      return count
    }

    /// The nearest admitted vectors on the lowest level. The walk expands every vector; only admitted ones fill the beam.
    ///
    /// - Parameters:
    ///   - budget: the most comparisons of the walk.
    ///   - queue: scratch: the keys of vectors that were met and not expanded.
    /// - Returns: nil if the budget was too small.
    func walk(
      from start: Int32, limit: Int, among admitted: Buffer<UInt8>, budget: Int, _ queue: MinHeap<UInt64>
    ) throws(CoverTreeError) -> Beam? {
      let end = compared + budget
      var beam = begin(at: start, limit: limit)
      queue.removeAll()
      try collect(1, into: &beam, among: admitted, queue)
      while let key = queue.pop(), beam.accepts(key) {
        guard compared < end else { return nil }
        let count = meetLinks(of: Beam.slot(key), 0, &beam)
        try collect(count, into: &beam, among: admitted, queue)
      }
      return beam
    }

    @inline(__always)
    private func collect(
      _ count: Int, into beam: inout Beam, among admitted: Buffer<UInt8>, _ queue: MinHeap<UInt64>
    ) throws(CoverTreeError) {
      for position in 0..<count {
        let slot = scratch.fresh.base[position]
        let key = Beam.key(slot, scratch.scores.base[position])
        guard beam.accepts(key) else { continue }
        try queue.push(key)
        if admitted[slot] != 0 { beam.insert(key) }
      }
    }

    func nothing(limit: Int) -> Beam { Beam(scratch, limit: limit) }

    /// Inserts vectors that a beam has not met into it, except `own`.
    func insert(_ slots: UnsafeBufferPointer<Int32>, except own: Int32, to beam: inout Beam) {
      let scores = scratch.scores
      for first in stride(from: 0, to: slots.count, by: scores.count) {
        let count = min(scores.count, slots.count - first)
        query.scores.score(slots.baseAddress! + first, count, into: scores.base)
        for position in 0..<count where slots[first + position] != own && beam.meets(slots[first + position]) {
          beam.insert(slots[first + position], scores[position])
        }
      }
      compared &+= slots.count
    }

    /// Descends from the entry to the level above `level`, and returns the node from which to continue.
    func descend(from entry: Int32, top: Int, to level: Int) -> Int32 {
      var start = entry
      for above in stride(from: top, to: level, by: -1) {
        start = walk(from: start, level: above, limit: HNSW.upperLimit).slot(0)
      }
      return start
    }

    /// The start of a walk on the lowest level.
    func start() -> Int32 { descend(from: entry, top: top, to: 0) }
  }

  var comparisons: Int { compared.value }
  var byteCount: Int {
    levels.byteCount + links.byteCount + upperFirst.byteCount + upperLinks.byteCount + twins.byteCount
  }
}

struct LinkLists {
  fileprivate let m: Int
  fileprivate let links: UnsafeMutablePointer<Int32>
  fileprivate let upperFirst: UnsafeMutablePointer<Int32>
  fileprivate let upperLinks: UnsafeMutablePointer<Int32>

  @inline(__always)
  func list(_ slot: Int32, _ level: Int) -> UnsafeMutablePointer<Int32> {
    level == 0
      ? links + Int(slot) &* (2 &* m)
      : upperLinks + (Int(upperFirst[Int(slot)]) &+ (level &- 1) &* m)
  }

  @inline(__always)
  func capacity(_ level: Int) -> Int { level == 0 ? 2 &* m : m }
}
