import CNumerics

/// A hierarchical navigable small world graph (Malkov and Yashunin, 2018): every vector has links to near ones in different
/// directions, few vectors have links on higher levels too, and a search goes from near to nearer.
///
/// **Layout**: the links of a slot on level 0 are `2 m` numbers, those on each higher level `m`; -1 ends them. Candidates
/// are found among the table's smaller rows where it has some, and ranked by its exact ones.
///
/// **Building** is by batches against the graph as it stands (Dobson et al., ParlayANN, 2024): the vectors of a batch find
/// their neighbours in parallel, then those get their links back, each in one go. So the graph is the same for any number of
/// threads, and no lock is needed.
final class HNSW: IndexStructure, @unchecked Sendable {
  let table: VectorTable
  let m: Int
  let options: IndexOptions
  /// By slot: the highest level that a vector is on.
  var levels: Stack<UInt8>
  /// By slot: its links on level 0.
  var links: Stack<Int32>
  /// By slot: where its links on higher levels begin in `upperLinks`; -1 for none.
  var upperFirst: Stack<Int32>
  var upperLinks: Stack<Int32>
  /// Where searches begin: of the vectors on the highest level the first; -1 while there are none.
  var entry: Int32 = -1
  let compared = Counter()

  static var noLink: Int32 { -1 }
  static var mostLevels: Int { 24 }
  /// Where fewer than this share of the vectors may be found, those are compared one by one.
  private static var exhaustiveShare: Double { 0.05 }

  var degree: Int { 2 * m }
  var top: Int { entry < 0 ? 0 : Int(levels[entry]) }

  init(_ table: VectorTable) throws(CoverTreeError) {
    self.table = table
    options = table.options
    m = table.options.m
    (levels, links, upperFirst, upperLinks) = (try Stack(), try Stack(), try Stack(), try Stack())
  }

  var lists: LinkLists {
    LinkLists(m: m, links: links.base, upperFirst: upperFirst.base, upperLinks: upperLinks.base)
  }

  // MARK: Walking

  /// One thread's walks through the graph, as it stands when this is made.
  final class Walker {
    let query: RowQuery
    let room: Beam.Room
    let lists: LinkLists
    let entry: Int32
    let top: Int
    var compared = 0

    init(_ graph: HNSW, capacity: Int) throws(CoverTreeError) {
      query = try RowQuery(graph.table)
      lists = graph.lists
      (entry, top) = (graph.entry, graph.top)
      room = try Beam.Room(capacity: capacity, count: graph.table.count, degree: max(graph.degree, capacity))
    }

    /// The nearest vectors on a level that a walk from some place finds.
    func walk(from start: Int32, level: Int, limit: Int) -> Beam {
      var beam = Beam(room, limit: limit)
      let (fresh, scores, query, lists) = (room.fresh.base, room.scores.base, query.scores, lists)
      let capacity = lists.capacity(level)
      fresh[0] = start
      _ = beam.meets(start)
      query.score(fresh, 1, into: scores)
      beam.offer(start, scores[0])
      var compared = 1
      while true {
        let slot = beam.advance()
        guard slot >= 0 else { break }
        let list = lists.list(slot, level)
        let following = beam.following
        if following >= 0 { cn_prefetch(lists.list(following, level), Int64(capacity &* 4)) }
        var count = 0
        for place in 0..<capacity {
          let link = list[place]
          guard link >= 0 else { break }
          guard beam.meets(link) else { continue }
          fresh[count] = link
          count &+= 1
          query.prefetch(link)
        }
        query.score(fresh, count, into: scores)
        for place in 0..<count { beam.offer(fresh[place], scores[place]) }
        compared &+= count
      }
      self.compared &+= compared
      return beam
    }

    /// From the entry down to the level above `level`: the place from where to go on.
    func descend(from entry: Int32, top: Int, to level: Int) -> Int32 {
      var start = entry
      for above in stride(from: top, to: level, by: -1) { start = walk(from: start, level: above, limit: 1).slot(0) }
      return start
    }

    /// What a query finds on the lowest level.
    func search(limit: Int) -> Beam {
      walk(from: descend(from: entry, top: top, to: 0), level: 0, limit: limit)
    }
  }

  // MARK: Searching

  func nearest(_ search: IndexSearch, k: Int, into rows: ResultRows) throws(CoverTreeError) {
    guard search.admittedCount > 0 else {
      for row in 0..<search.queries.count { rows.end(row, 0) }
      return
    }
    let share = Double(search.admittedCount) / Double(table.count)
    let ef = max(k, search.options.efSearch > 0 ? search.options.efSearch : options.efSearch)
    // Of those that a walk meets only a share may be found.
    let wanted = Int(min(Double(table.count), Double(ef) / share))
    let exhaustive = share < Self.exhaustiveShare || wanted >= search.admittedCount
    let seekers = PerThread<Seeker>(count: search.context.threads)
    let grain = CallContext.grain(operationsPerItem: wanted * degree * table.dim / 16, most: 16)
    try search.context.forEach(search.queries.count, grain: grain) { (range, thread) throws(CoverTreeError) in
      let seeker = try seekers.value(thread) { () throws(CoverTreeError) in
        try Seeker(self, capacity: exhaustive ? 1 : wanted)
      }
      for row in range {
        seeker.walker.query.take(search.queries.row(row))
        if exhaustive {
          try seeker.rankAll(search)
        } else {
          try seeker.rank(seeker.walker.search(limit: wanted), search, k)
        }
        seeker.ranking.write(row, into: rows)
      }
    }
    for seeker in seekers.all { compared.add(seeker.walker.compared) }
  }

  /// Vectors within a score, as a walk finds them: one that goes on for as long as what it finds is within.
  func within(_ search: IndexSearch, score: Double) throws(CoverTreeError) -> ScoredLists {
    let lists = try ScoredLists(queries: search.queries.count)
    guard search.admittedCount > 0 else { return lists }
    let seekers = PerThread<Seeker>(count: search.context.threads)
    let ef = search.options.efSearch > 0 ? search.options.efSearch : options.efSearch
    try search.context.forEach(search.queries.count, grain: 1) { (range, thread) throws(CoverTreeError) in
      var seeker = try seekers.value(thread) { () throws(CoverTreeError) in
        try Seeker(self, capacity: min(ef, table.count))
      }
      for row in range {
        seeker.walker.query.take(search.queries.row(row))
        var limit = seeker.walker.room.capacity
        while true {
          let beam = seeker.walker.search(limit: limit)
          // The beam has gone beyond the radius, or has met everything that there is.
          let farthest = seeker.walker.query.scores.decided(beam.slot(beam.count - 1))
          guard beam.count < limit || limit >= table.count || farthest > score else {
            limit = min(table.count, limit * 2)
            if limit > seeker.walker.room.capacity {
              seeker = try Seeker(self, capacity: limit)
              seeker.walker.query.take(search.queries.row(row))
            }
            continue
          }
          for place in 0..<beam.count where search.admits(beam.slot(place)) {
            let decided = seeker.walker.query.scores.decided(beam.slot(place))
            if decided <= score {
              try lists.found[row].append(Candidate(squared: decided, index: beam.slot(place)))
            }
          }
          break
        }
        seeker.ranking.order(lists.found[row].all)
      }
      compared.add(seeker.walker.compared)
    }
    return lists
  }

  /// One thread's searches.
  private final class Seeker {
    let graph: HNSW
    let walker: Walker
    let ranking: Ranking

    init(_ graph: HNSW, capacity: Int) throws(CoverTreeError) {
      self.graph = graph
      walker = try Walker(graph, capacity: capacity)
      ranking = try Ranking(graph.table)
    }

    /// Ranks what a walk has found.
    func rank(_ beam: Beam, _ search: IndexSearch, _ k: Int) throws(CoverTreeError) {
      ranking.removeAll()
      try ranking.add(beam.count, walker.query.scores, k, where: { search.admits($0) }) {
        (beam.slot($0), beam.score($0))
      }
    }

    /// Compares all that may be found.
    func rankAll(_ search: IndexSearch) throws(CoverTreeError) {
      ranking.removeAll()
      for slot in 0..<Int32(graph.table.count) where search.admits(slot) {
        try ranking.add(slot, walker.query.scores.decided(slot))
        walker.compared += 1
      }
    }
  }

  var comparisons: Int { compared.value }
  var byteCount: Int { levels.byteCount + links.byteCount + upperFirst.byteCount + upperLinks.byteCount }
}

/// Where the links of each vector stand.
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
