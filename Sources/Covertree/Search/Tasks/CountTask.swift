import CovertreeBase

/// Counts the points within a distance of each query.
struct CountTask<S: Scalar>: DimensionTask {
  let set: QuerySet<S>
  let points: SearchPoints<S>
  let options: SearchOptions
  let context: CallContext
  let counters: SearchCounters
  /// The queries before they were rounded; nil if they were not rounded.
  var rounded: RoundedQueries?
  let counts: UnsafeMutablePointer<Int64>

  func run<D: MetricSpace>(_ dimension: D) throws(CoverTreeError) {
    try BruteForceChoice.run(D.self, queries: set.count, dim: points.dim, points: points.positionCount) {
      (positions) throws(CoverTreeError) in
      try walk(positions, dimension)
    } compare: { (positions) throws(CoverTreeError) in
      try BruteForceRadius(
        points: points.flat(context), set: set, options: options, reach: QueryReach(options, points, rounded),
        lists: false, context: context, counters: counters
      ).count(positions, into: counts)
    }
  }

  /// Walks the boxes for each query. Returns the number of points that queries were compared with.
  private func walk<D: MetricSpace>(_ positions: Range<Int>, _ dimension: D) throws(CoverTreeError) -> Int {
    try set.walk(positions, grain: points.queriesPerChunk, context, counters) {
      (numbers, queries) throws(CoverTreeError) in
      var search = try CountSearch(points, bounded: options.areSomeTooLate, dimension: dimension)
      for position in numbers {
        let query = queries[position]
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
      return (search.pointsCompared, search.boxesCompared)
    }
  }
}
