/// Neighbours of each query: those of query `i` are at `offsets[i]..<offsets[i + 1]`, nearest first.
public final class NeighborLists<S: Scalar>: @unchecked Sendable {
  /// `queries + 1` of them.
  public let offsets: Buffer<Int64>
  public let indices: Buffer<Int64>
  public let distances: Buffer<S>
  /// In float64; nil where they were not asked for.
  public let scores: Buffer<Double>?

  init(offsets: Buffer<Int64>, keepsScores: Bool) throws(CoverTreeError) {
    let total = Int(offsets[offsets.count - 1])
    self.offsets = offsets
    indices = try Buffer(count: total)
    distances = try Buffer(count: total)
    scores = keepsScores ? try Buffer(count: total) : nil
  }
}

/// All points within a distance of each query, nearest first. Distances are reported in a type of their own.
struct RadiusTask<S: Scalar, Reported: Scalar>: DimensionTask {
  let set: QuerySet<S>
  let points: SearchPoints<S>
  let options: SearchOptions
  let context: CallContext
  let counters: SearchCounters
  /// The queries before they were rounded; nil if they were not rounded.
  var rounded: RoundedQueries?

  func run<D: Dimension>(_ dimension: D) throws(CoverTreeError) -> NeighborLists<Reported> {
    let offsets = try Buffer<Int64>(count: set.count + 1, filledWith: 0)
    let chunk = points.queriesPerChunk
    let chunks = (set.count + chunk - 1) / chunk
    var lists: [Stack<Candidate>] = []
    for _ in 0..<chunks { lists.append(try Stack()) }
    let found = lists
    let locator = try rounded.map { (_) throws(CoverTreeError) in try PointLocator(points) }
    try context.forEach(set.count, grain: chunk) { (range, _) throws(CoverTreeError) in
      let queries = try set.queries(range)
      defer { withExtendedLifetime(queries) {} }
      var search = try BoxSearch(points, dimension: dimension)
      let sort = try DistributionSort()
      let list = found[range.lowerBound / chunk]
      for place in range {
        let query = queries[place]
        let first = list.count
        if S.self == Float.self, let rounded {
          try search.findPrecisely(query, locator!, rounded, options, into: list)
        } else {
          var collector = RadiusCollector<S>(found: list, worst: options.farthestScore(query.row, S.self))
          try search.run(query.coordinates, options.eligible(query), into: &collector)
        }
        try sort.sort(UnsafeMutableBufferPointer(rebasing: list.all[first...]))
        offsets[query.row + 1] = Int64(list.count - first)
      }
      counters.add(queries: range.count, points: search.pointsCompared, boxes: search.boxesCompared)
    }
    for row in 0..<set.count { offsets[row + 1] += offsets[row] }

    let neighbors = try NeighborLists<Reported>(offsets: offsets, keepsScores: options.listsScores)
    try context.forEach(set.count, grain: chunk) { (range, _) throws(CoverTreeError) in
      let list = found[range.lowerBound / chunk]
      let queries = try set.queries(range)
      defer { withExtendedLifetime(queries) {} }
      var next = 0
      for place in range {
        let query = queries[place]
        for slot in Int(offsets[query.row])..<Int(offsets[query.row + 1]) {
          neighbors.indices[slot] = Int64(list[next].index)
          neighbors.distances[slot] = Reported(Score.distance(list[next].squared))
          if let scores = neighbors.scores { scores[slot] = Score.reported(list[next].squared) }
          next += 1
        }
      }
    }
    return neighbors
  }
}

/// How many points lie within a distance of each query.
struct CountTask<S: Scalar>: DimensionTask {
  let set: QuerySet<S>
  let points: SearchPoints<S>
  let options: SearchOptions
  let context: CallContext
  let counters: SearchCounters
  /// The queries before they were rounded; nil if they were not rounded.
  var rounded: RoundedQueries?
  let counts: UnsafeMutablePointer<Int64>

  func run<D: Dimension>(_ dimension: D) throws(CoverTreeError) {
    try context.forEach(set.count, grain: points.queriesPerChunk) { (range, _) throws(CoverTreeError) in
      let queries = try set.queries(range)
      defer { withExtendedLifetime(queries) {} }
      var search = try CountSearch(points, bounded: options.areSomeTooLate, dimension: dimension)
      for place in range {
        let query = queries[place]
        let eligible = options.eligible(query)
        if let rounded {
          let worst = options.farthestScore(query.row, Double.self)
          counts[query.row] = search.count(
            rounded.queries.row(query.row), rounded: query.coordinates, eligible, within: worst,
            reach: rounded.reach(worst, query.row))
        } else {
          counts[query.row] = search.count(
            query.coordinates, eligible, within: options.farthestScore(query.row, S.self))
        }
      }
      counters.add(queries: range.count, points: search.pointsCompared, boxes: search.boxesCompared)
    }
  }
}
