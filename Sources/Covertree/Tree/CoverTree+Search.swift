extension CoverTree {
  /// How many rows a search for `queries` has.
  public func rowCount(_ queries: Queries<S>) -> Int {
    switch queries {
    case .points(let view): view.count
    case .stored(let list): list.elements.count
    case .allStored: count
    }
  }

  /// The `k` nearest points of each query, sorted by (distance, index).
  ///
  /// - Parameters:
  ///   - rows: of the results; throws `.busy` where the tree has changed since it was asked for that number.
  ///   - indices: `rows x k`, dataset indices; -1 where there are fewer than `k`.
  ///   - distances: `rows x k`; infinity there. nil where they are not wanted.
  public func nearest(
    _ queries: Queries<S>, k: Int, options: SearchOptions, context: CallContext, rows: Int,
    indices: UnsafeMutablePointer<Int64>, distances: UnsafeMutablePointer<S>?
  ) throws(CoverTreeError) {
    try options.check(queries)
    let snapshot = snapshot
    let set = try QuerySet(queries, in: snapshot, context: context)
    try check(rows, of: set)
    try options.check(rows: set.count)
    try specialized(
      dim,
      NearestTask(
        set: set, points: snapshot.points, k: k, options: options, context: context, counters: searches,
        rows: TreeRows(
          points: snapshot.points, k: k, indices: indices, distances: distances, scores: options.scores)))
  }

  /// All points within `radius` (inclusive) of each query, sorted by (distance, index).
  public func within(
    _ radius: Double, of queries: Queries<S>, options: SearchOptions, context: CallContext
  ) throws(CoverTreeError) -> NeighborLists<S> {
    let (snapshot, set, options) = try radiusSearch(radius, queries, options, context)
    return try specialized(
      dim, RadiusTask(set: set, points: snapshot.points, options: options, context: context, counters: searches))
  }

  /// How many points lie within `radius` (inclusive) of each query. `counts` has room for `rows`.
  public func countWithin(
    _ radius: Double, of queries: Queries<S>, options: SearchOptions, context: CallContext, rows: Int,
    counts: UnsafeMutablePointer<Int64>
  ) throws(CoverTreeError) {
    let (snapshot, set, options) = try radiusSearch(radius, queries, options, context)
    try check(rows, of: set)
    try specialized(
      dim,
      CountTask(
        set: set, points: snapshot.points, options: options, context: context, counters: searches, counts: counts))
  }

  /// Whether the results have a row for each query: for all points of the tree their number may have changed.
  private func check(_ rows: Int, of set: QuerySet<S>) throws(CoverTreeError) {
    guard set.count == rows else {
      throw CoverTreeError(.busy, "n_rows: the tree has \(set.count) points, results are for \(rows); was it changed?")
    }
  }

  private func radiusSearch(
    _ radius: Double, _ queries: Queries<S>, _ options: SearchOptions, _ context: CallContext
  ) throws(CoverTreeError) -> (TreeSnapshot<S>, QuerySet<S>, SearchOptions) {
    guard radius >= 0 else {
      throw CoverTreeError(.invalidArgument, "radius: expected a number from 0 up, got \(radius)")
    }
    var options = options
    options.maximumDistance = radius
    try options.check(queries)
    let snapshot = snapshot
    let set = try QuerySet(queries, in: snapshot, context: context)
    try options.check(rows: set.count)
    return (snapshot, set, options)
  }
}

/// Where dataset indices and distances are written.
private struct TreeRows<S: Scalar>: NeighborRows {
  let points: SearchPoints<S>
  let k: Int
  let indices: UnsafeMutablePointer<Int64>
  let distances: UnsafeMutablePointer<S>?
  let scores: UnsafeMutablePointer<Double>?

  @inline(__always)
  func write(_ found: SortedNeighbors, _ query: QuerySet<S>.Query) {
    let indices = indices + query.row &* k
    for rank in 0..<found.count { indices[rank] = found.labels[rank] }
    for rank in found.count..<k { indices[rank] = -1 }
    if let scores = scores.map({ $0 + query.row &* k }) {
      for rank in 0..<found.count { scores[rank] = found.squares[rank] }
      for rank in found.count..<k { scores[rank] = .infinity }
    }
    guard let distances else { return }
    let row = distances + query.row &* k
    for rank in 0..<found.count { row[rank] = S(found.squares[rank].squareRoot()) }
    // Squares that have underflowed come first; those of float32 coordinates cannot.
    var rank = 0
    while S.self == Double.self && rank < found.count && found.squares[rank] < smallestSquaredDistance {
      row[rank] = points.tinyDistance(query.coordinates, Int32(found.labels[rank]))
      rank &+= 1
    }
    for rank in found.count..<k { row[rank] = .infinity }
  }
}
