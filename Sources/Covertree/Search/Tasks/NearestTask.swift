import CovertreeBase

/// The `k` nearest points of each query of a set: by walking the boxes or, if these exclude few points, by comparing queries with all
/// points.
struct NearestTask<Rows: NeighborRows>: DimensionTask {
  typealias S = Rows.S

  let set: QuerySet<S>
  let points: SearchPoints<S>
  let k: Int
  let options: SearchOptions
  let context: CallContext
  let counters: SearchCounters
  let rows: Rows
  /// Records the neighbours of pilots.
  var recorder: PilotQueries<S>?

  /// Queries are compared in batches up to this number of neighbours, because a batch keeps its candidates in memory.
  private static var mostBruteForceNeighbors: Int { 1024 }

  func run<D: MetricSpace>(_ dimension: D) throws(CoverTreeError) {
    guard k <= Self.mostBruteForceNeighbors, BruteForceChoice.isOpen(D.self, dim: points.dim, queries: set.count) else {
      try walk(0..<set.count, dimension)
      return
    }
    let pilots = try PilotQueries<S>(BruteForceChoice.pilots, dim: points.dim)
    var task = self
    task.recorder = pilots
    let piloting = task
    try BruteForceChoice.run(D.self, queries: set.count, dim: points.dim, points: points.positionCount) {
      (positions) throws(CoverTreeError) in
      try (positions.lowerBound == 0 ? piloting : self).walk(positions, dimension)
    } compare: { (positions) throws(CoverTreeError) in
      try compare(positions, pilots)
    }
  }

  /// Compares queries with all points. Returns false if no product is possible; nothing was written.
  private func compare(_ positions: Range<Int>, _ pilots: PilotQueries<S>) throws(CoverTreeError) -> Bool {
    let flat = try points.flat(context)
    let scan = BruteForceTask(
      points: flat, set: set, k: min(k, flat.count), options: options, context: context, counters: counters, rows: rows)
    if let bytes = try flat.quantizedPoints(context), let estimate = pilots.estimate(flat, bytes) {
      try scan.run(positions, estimate: options.areSomeTooLate ? nil : estimate) { (batch) throws(CoverTreeError) in
        try QuantizedScan(bytes, batch)
      }
    } else if let norms = try flat.bruteForceNorms(context) {
      try scan.run(positions, estimate: nil) { (batch) throws(CoverTreeError) in try BruteForceScan(norms, batch) }
    } else {
      return false
    }
    return true
  }

  /// Walks the boxes for each query. Returns the number of points that queries were compared with.
  @discardableResult
  fileprivate func walk<D: MetricSpace>(_ positions: Range<Int>, _ dimension: D) throws(CoverTreeError) -> Int {
    let wanted = min(k, points.positionCount)
    return try set.walk(positions, grain: points.queriesPerChunk, context, counters) {
      (chunk, queries) throws(CoverTreeError) in
      var search = try KDTreeSearch(points, dimension: dimension)
      var exact = Decisions(points: points, k: wanted, dimension: dimension)
      if wanted == 1 && chunk.count > 1 {
        try walkPackets(chunk, queries, &search, &exact)
      } else if wanted <= TopK.sortedLimit {
        try walkTiles(chunk, queries, &search, &exact)
      } else {
        for position in chunk { try write(try exact.nearest(to: queries[position], options), queries[position]) }
      }
      if let exact = exact.search { search.count(points: exact.pointsCompared, boxes: exact.boxesCompared) }
      return (search.pointsCompared, search.boxesCompared)
    }
  }

  /// The nearest point of consecutive queries, `width` of them at a time.
  private func walkPackets<D: MetricSpace>(
    _ positions: Range<Int>, _ queries: QueryRows<S>, _ search: inout KDTreeSearch<S, D>, _ exact: inout Decisions<S, D>
  ) throws(CoverTreeError) {
    var lanes = try PacketSearch(points, dimension: search.dimension)
    var closest = PacketNearest<S>(lanes.rounding)
    let result = try Arena(Arena.size(1, of: Double.self), Arena.size(1, of: Int64.self))
    defer { withExtendedLifetime(result) {} }
    let (square, index) = (result.allocate(1, of: Double.self), result.allocate(1, of: Int64.self))
    for first in stride(from: positions.lowerBound, to: positions.upperBound, by: S.width) {
      let together = first..<min(positions.upperBound, first + S.width)
      lanes.removeAll()
      for position in together {
        let query = queries[position]
        lanes.add(query.coordinates, bound: options.farthestScore(query.row, S.self), options.eligible(query))
      }
      try lanes.run(into: &closest)
      for position in together {
        let query = queries[position]
        switch closest.outcome(position - first, of: lanes) {
        case .nothing:
          try write(SortedNeighbors(count: 0, squares: square, indices: index), query)
        case .found(let position, let score):
          square.pointee = score
          index.pointee = Int64(points.index(at: position))
          try write(
            SortedNeighbors(
              count: score <= options.farthestScore(query.row, S.self) ? 1 : 0, squares: square, indices: index),
            query)
        case .undecided:
          try write(try exact.nearest(to: query, options), query)
        }
      }
    }
    search.count(points: lanes.pointsCompared, boxes: lanes.boxesCompared)
  }

  /// Consecutive queries are near each other: a tile of them begins at one frontier, and the neighbours of each query bound the search of
  /// the next.
  private func walkTiles<D: MetricSpace>(
    _ positions: Range<Int>, _ queries: QueryRows<S>, _ search: inout KDTreeSearch<S, D>, _ exact: inout Decisions<S, D>
  ) throws(CoverTreeError) {
    let k = exact.k
    let scratch = try CandidateBuffer<S>.Scratch(k: k)
    defer { withExtendedLifetime(scratch) {} }
    let reranker = try ExactReranker<S>(dim: points.dim, k: k)
    let tile = try QueryTile<S>(dim: points.dim)
    // Whether a query that counts for itself may be among the points of the reranker, and none replaces it.
    var lacksSpare = false
    var position = positions.lowerBound
    while position < positions.upperBound {
      var (together, reach) = (position..<position + 1, S.infinity)
      if reranker.isFull {
        let near = tile.next(from: position..<positions.upperBound, search.dimension) { queries[$0].coordinates }
        let serves = !lacksSpare || !near.contains { options.eligible(queries[$0]).excludedIndex >= 0 }
        if !near.isEmpty && serves && reranker.serves(before: earliest(near, queries)) {
          together = near
          reach = search.rounding.upperBound(ofFiltered: reranker.farthest(from: tile.low, tile.high, search.dimension))
          guard try tile.gather(reach: reach, &search) else { continue }
        }
      }
      if together.count > 1 {
        let after = together.upperBound
        queries.prefetch(after..<min(positions.upperBound, after + together.count))
      }
      for next in together {
        let query = queries[next]
        let (eligible, farthest) = (options.eligible(query), options.farthestScore(query.row, S.self))
        var bound = min(search.rounding.upperBound(of: farthest), reach)
        let isFound = eligible.excludedIndex >= 0
        if !(lacksSpare && isFound) && reranker.serves(before: eligible.upperIndex) {
          let reached = reranker.farthest(from: query.coordinates, query.coordinates, search.dimension)
          bound = min(bound, search.rounding.upperBound(ofFiltered: reached))
        }
        var candidates = CandidateBuffer(scratch, bound: bound, rounding: search.rounding)
        try search.run(query.coordinates, eligible, fromFrontier: reach < .infinity, into: &candidates)
        scratch.expectsCrowd = candidates.isCrowded
        guard !candidates.isCrowded else {
          try write(try exact.nearest(to: query, options), query)
          reranker.removeAll()
          continue
        }
        let nearest = try candidates.decided(search, query.coordinates, bound: farthest, into: reranker)
        reranker.close(spare: isFound ? (query.coordinates, query.index) : nil, search.dimension)
        lacksSpare = options.excludesSelf && !isFound
        try write(nearest, query)
      }
      position = together.upperBound
    }
  }

  /// The smallest upper index of some queries.
  @inline(__always)
  private func earliest(_ positions: Range<Int>, _ queries: QueryRows<S>) -> Int32 {
    guard options.areSomeTooLate else { return Int32.max }
    return positions.reduce(Int32.max) { min($0, options.eligible(queries[$1]).upperIndex) }
  }

  @inline(__always)
  private func write(_ found: SortedNeighbors, _ query: QuerySet<S>.Query) throws(CoverTreeError) {
    try rows.write(found, query)
    if let recorder { recorder.record(found, query) }
  }
}

/// One thread's searches for queries that packets left undecided, made on first use.
private struct Decisions<S: Scalar, D: MetricSpace> {
  let points: SearchPoints<S>
  let k: Int
  let dimension: D
  private(set) var search: ExactSearch<S, D>?

  @inline(never)
  mutating func nearest(
    to query: QuerySet<S>.Query, _ options: SearchOptions
  ) throws(CoverTreeError) -> SortedNeighbors {
    if search == nil { search = try ExactSearch(points, k: k, dimension: dimension) }
    return try search!.nearest(
      to: query.coordinates, options.eligible(query), bound: options.farthestScore(query.row, S.self))
  }
}
