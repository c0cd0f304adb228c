import CovertreeBase

/// All points within a distance of each query, the nearest first. `Reported` is the type of the distances.
struct RadiusTask<S: Scalar, Reported: Scalar>: DimensionTask {
  let set: QuerySet<S>
  let points: SearchPoints<S>
  let options: SearchOptions
  let context: CallContext
  let counters: SearchCounters
  /// The queries before they were rounded; nil if they were not rounded.
  var rounded: RoundedQueries?
  /// nil for Euclidean distance.
  var metric: TreeMetric?

  func run<D: MetricSpace>(_ dimension: D) throws(CoverTreeError) -> NeighborLists<Reported> {
    let found = try FoundLists(queries: set.count)
    try BruteForceChoice.run(D.self, queries: set.count, dim: points.dim, points: points.positionCount) {
      (positions) throws(CoverTreeError) in
      try walk(positions, found, dimension)
    } compare: { (positions) throws(CoverTreeError) in
      try compare(positions, found)
    }
    return try joined(found)
  }

  /// Walks the boxes for each query. Returns the number of points that queries were compared with.
  private func walk<D: MetricSpace>(
    _ positions: Range<Int>, _ found: FoundLists, _ dimension: D
  ) throws(CoverTreeError) -> Int {
    let chunk = points.queriesPerChunk
    let lists = try found.add(positions, each: chunk)
    let locator = try rounded.map { (_) throws(CoverTreeError) in try PointLocator(points) }
    return try set.walk(positions, grain: chunk, context, counters) { (numbers, queries) throws(CoverTreeError) in
      var search = try KDTreeSearch(points, dimension: dimension)
      let sort = try BucketSort()
      let list = lists[(numbers.lowerBound - positions.lowerBound) / chunk]
      for position in numbers {
        let query = queries[position]
        let first = list.count
        if S.self == Float.self, let rounded {
          try search.findPrecisely(query, locator!, rounded, options, into: list)
        } else {
          var handler = RadiusHandler<S>(
            found: list, worst: options.farthestScore(query.row, S.self), rounding: search.rounding)
          try search.run(query.coordinates, options.eligible(query), into: &handler)
        }
        try sort.sort(UnsafeMutableBufferPointer(rebasing: list.all[first...]))
        found.offsets[query.row + 1] = Int64(list.count - first)
      }
      return (search.pointsCompared, search.boxesCompared)
    }
  }

  /// Compares queries with all points.
  private func compare(_ positions: Range<Int>, _ found: FoundLists) throws(CoverTreeError) -> Bool {
    let dense = BruteForceRadius(
      points: try points.flat(context), set: set, options: options, reach: QueryReach(options, points, rounded),
      lists: true, context: context, counters: counters)
    let size = RadiusBatch<FlatPoints<S>>.size
    let lists = try found.add(positions, each: size)
    let sorts = PerThread<BucketSort>(count: context.threads)
    let isDone = try dense.run(positions) { (query, within) throws(CoverTreeError) in
      let sort = try sorts.value(within.slot) { () throws(CoverTreeError) in try BucketSort() }
      try sort.sort(within.neighbors)
      try lists[within.batch].append(UnsafeBufferPointer(within.neighbors))
      found.offsets[query.row + 1] = Int64(within.count)
    }
    if !isDone { found.removeLast() }
    return isDone
  }

  /// Joins the lists.
  private func joined(_ found: FoundLists) throws(CoverTreeError) -> NeighborLists<Reported> {
    let offsets = found.offsets
    for row in 0..<set.count { offsets[row + 1] += offsets[row] }
    let neighbors = try NeighborLists<Reported>(offsets: offsets, keepsScores: options.listsScores)
    try context.forEach(found.chunks.count, grain: 1) { (range, _) throws(CoverTreeError) in
      for chunk in range {
        let list = found.chunks[chunk].list
        let queries = try set.queries(found.chunks[chunk].positions)
        defer { withExtendedLifetime(queries) {} }
        var next = 0
        for position in found.chunks[chunk].positions {
          let query = queries[position]
          for slot in Int(offsets[query.row])..<Int(offsets[query.row + 1]) {
            neighbors.indices[slot] = Int64(list[next].index)
            let score = list[next].squared
            neighbors.distances[slot] = Reported(metric?.distance(score) ?? Score.distance(score))
            if let scores = neighbors.scores { scores[slot] = Score.reported(score) }
            next += 1
          }
        }
      }
    }
    return neighbors
  }
}

/// Neighbours of queries in the order in which they are found, one list per chunk of queries.
private final class FoundLists: @unchecked Sendable {
  struct Chunk {
    let positions: Range<Int>
    let list: GrowableBuffer<Candidate>
  }

  /// Before the lists are joined: `offsets[row + 1]` is the number of neighbours of a row.
  let offsets: Buffer<Int64>
  private(set) var chunks: [Chunk] = []
  private var added = 0

  init(queries: Int) throws(CoverTreeError) { offsets = try Buffer(count: queries + 1, filledWith: 0) }

  /// Adds lists for `each` queries each.
  func add(_ positions: Range<Int>, each: Int) throws(CoverTreeError) -> [GrowableBuffer<Candidate>] {
    added = chunks.count
    for first in stride(from: positions.lowerBound, to: positions.upperBound, by: each) {
      chunks.append(Chunk(positions: first..<min(positions.upperBound, first + each), list: try GrowableBuffer()))
    }
    return chunks[added...].map(\.list)
  }

  /// Removes the lists that were added last.
  func removeLast() { chunks.removeLast(chunks.count - added) }
}
