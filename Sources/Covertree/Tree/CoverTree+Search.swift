public struct SearchOptions: Sendable {
  /// Only points with a dataset index below the query's own. For stored queries.
  public var predecessorsOnly = false
  /// Not the query itself, told by its dataset index. For stored queries.
  public var excludesSelf = false
  /// Nothing farther than this.
  public var maximumDistance = Double.infinity

  public init() {}

  func check<S>(_ queries: Queries<S>) throws(CoverTreeError) {
    guard maximumDistance >= 0 else {
      throw CoverTreeError(.invalidArgument, "max_distance: expected a number from 0 up, got \(maximumDistance)")
    }
    guard case .points = queries else { return }
    if predecessorsOnly {
      throw CoverTreeError(
        .invalidArgument,
        "predecessor_mode: only points of the tree have predecessors; give dataset indices as queries, or none for all points"
      )
    }
    if excludesSelf {
      throw CoverTreeError(
        .invalidArgument,
        "exclude_self: new points are not in the tree; give dataset indices as queries, or none for all points")
    }
  }
}

/// Neighbours of each query: those of query `i` are at `offsets[i]..<offsets[i + 1]`, nearest first.
public final class NeighborLists<S: Scalar>: @unchecked Sendable {
  /// `queries + 1` of them.
  public let offsets: Buffer<Int64>
  public let indices: Buffer<Int64>
  public let distances: Buffer<S>

  init(offsets: Buffer<Int64>, indices: Buffer<Int64>, distances: Buffer<S>) {
    self.offsets = offsets
    self.indices = indices
    self.distances = distances
  }
}

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
    try specialized(
      dim,
      NearestTask(
        set: set, snapshot: snapshot, k: k, options: options, context: context, counters: searches, indices: indices,
        distances: distances))
  }

  /// All points within `radius` (inclusive) of each query, sorted by (distance, index).
  public func within(
    _ radius: Double, of queries: Queries<S>, options: SearchOptions, context: CallContext
  ) throws(CoverTreeError) -> NeighborLists<S> {
    let (snapshot, set, options) = try radiusSearch(radius, queries, options, context)
    return try specialized(
      dim, RadiusTask(set: set, snapshot: snapshot, options: options, context: context, counters: searches))
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
      CountTask(set: set, snapshot: snapshot, options: options, context: context, counters: searches, counts: counts))
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
    return (snapshot, try QuerySet(queries, in: snapshot, context: context), options)
  }
}

extension TreeSnapshot {
  /// Queries that a thread takes at a time: many neighbours along the curve, but fewer where one may scan for long.
  var queriesPerChunk: Int {
    CallContext.grain(operationsPerItem: layout.count * layout.dim / S.width, most: 128)
  }
}

extension SearchOptions {
  func eligible<S>(_ query: QuerySet<S>.Query) -> Eligibility {
    Eligibility(before: predecessorsOnly ? query.index : Int32.max, excluded: excludesSelf ? query.index : -1)
  }
}

private struct RadiusTask<S: Scalar>: DimensionTask {
  let set: QuerySet<S>
  let snapshot: TreeSnapshot<S>
  let options: SearchOptions
  let context: CallContext
  let counters: SearchCounters

  func run<D: Dimension>(_ dimension: D) throws(CoverTreeError) -> NeighborLists<S> {
    let offsets = try Buffer<Int64>(count: set.count + 1, filledWith: 0)
    let chunk = snapshot.queriesPerChunk
    let chunks = (set.count + chunk - 1) / chunk
    var lists: [Stack<Candidate>] = []
    for _ in 0..<chunks { lists.append(try Stack()) }
    let found = lists
    try context.forEach(set.count, grain: chunk) { (range, _) throws(CoverTreeError) in
      var search = try BoxSearch(snapshot.boxes, labels: snapshot.searchLabels, dimension: dimension)
      let sort = try DistributionSort()
      var collector = RadiusCollector<S>(
        found: found[range.lowerBound / chunk], worst: options.maximumDistance * options.maximumDistance)
      for place in range {
        let query = set[place]
        let first = collector.found.count
        try search.run(query.coordinates, options.eligible(query), into: &collector)
        try sort.sort(UnsafeMutableBufferPointer(rebasing: collector.found.all[first...]))
        offsets[query.row + 1] = Int64(collector.found.count - first)
      }
      counters.add(queries: range.count, points: search.pointsCompared, boxes: search.boxesCompared)
    }
    for row in 0..<set.count { offsets[row + 1] += offsets[row] }

    let total = Int(offsets[set.count])
    let neighbors = NeighborLists<S>(
      offsets: offsets, indices: try Buffer(count: total), distances: try Buffer(count: total))
    try context.forEach(set.count, grain: chunk) { (range, _) throws(CoverTreeError) in
      let list = found[range.lowerBound / chunk]
      var next = 0
      for place in range {
        let query = set[place]
        for slot in Int(offsets[query.row])..<Int(offsets[query.row + 1]) {
          neighbors.indices[slot] = Int64(list[next].index)
          neighbors.distances[slot] = snapshot.distance(list[next], query.coordinates)
          next += 1
        }
      }
    }
    return neighbors
  }
}

private struct CountTask<S: Scalar>: DimensionTask {
  let set: QuerySet<S>
  let snapshot: TreeSnapshot<S>
  let options: SearchOptions
  let context: CallContext
  let counters: SearchCounters
  let counts: UnsafeMutablePointer<Int64>

  func run<D: Dimension>(_ dimension: D) throws(CoverTreeError) {
    try context.forEach(set.count, grain: snapshot.queriesPerChunk) { (range, _) throws(CoverTreeError) in
      var search = try BoxSearch(snapshot.boxes, labels: snapshot.searchLabels, dimension: dimension)
      for place in range {
        let query = set[place]
        var collector = CountCollector<S>(worst: options.maximumDistance * options.maximumDistance)
        try search.run(query.coordinates, options.eligible(query), into: &collector)
        counts[query.row] = collector.count
      }
      counters.add(queries: range.count, points: search.pointsCompared, boxes: search.boxesCompared)
    }
  }
}

extension TreeSnapshot {
  /// The distance of a neighbour from the query. Where its square has underflowed it is computed again without one.
  @inline(__always)
  func distance(_ neighbor: Candidate, _ query: UnsafePointer<S>) -> S {
    if neighbor.squared >= smallestSquaredDistance { return S(neighbor.squared.squareRoot()) }
    return tinyDistance(query, Int(neighbor.index))
  }

  func tinyDistance(_ x: UnsafePointer<S>, _ index: Int) -> S {
    let y = layout.points.base + Int(positions[index]) * layout.dim
    var largest = 0.0
    for d in 0..<layout.dim { largest = max(largest, abs(Double(x[d]) - Double(y[d]))) }
    guard largest > 0 else { return 0 }
    var sum = 0.0
    for d in 0..<layout.dim {
      let share = (Double(x[d]) - Double(y[d])) / largest
      sum += share * share
    }
    return S(largest * sum.squareRoot())
  }
}
