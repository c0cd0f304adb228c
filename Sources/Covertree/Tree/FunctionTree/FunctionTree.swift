import CovertreeBase

/// A compressed cover tree of objects by a caller's metric, and exact searches in it.
///
/// The tree is the search structure: nothing is known of objects but the function's distances. It is built by the parallel batch insertion
/// of every cover tree (`Inserter`). Searches use its covering and the radii of its subtrees, and distances from pivots (`PivotTable`,
/// `FunctionWalk`). Each evaluation of the function is counted.
public final class FunctionTree: @unchecked Sendable {
  public let type: ObjectType
  public let options: TreeOptions
  let function: DistanceFunction
  let state: CurrentState<FunctionSnapshot>
  let searches = SearchCounters()

  public init(
    _ objects: ObjectsView, by function: DistanceFunction, options: TreeOptions, context: CallContext
  ) throws(CoverTreeError) {
    let start = monotonicSeconds()
    (type, self.function, self.options) = (objects.type, function, options)
    let rows = try ObjectRows(objects, named: "points", context: context)
    let build = FunctionBuild(function: function, options: options, context: context)
    state = CurrentState(
      try build.build(rows, ids: try Buffer(counting: rows.count), indexCount: rows.count),
      seconds: monotonicSeconds() - start)
  }

  init(_ snapshot: FunctionSnapshot, by function: DistanceFunction, options: TreeOptions, seconds: Double) {
    (type, self.function, self.options) = (snapshot.objects.type, function, options)
    state = CurrentState(snapshot, seconds: seconds)
  }

  var snapshot: FunctionSnapshot { state.current }

  /// Adds objects, which get consecutive dataset indices. Returns the first.
  public func insert(_ objects: ObjectsView, context: CallContext) throws(CoverTreeError) -> Int {
    let rows = try self.rows(of: objects, named: "points", context)
    var first = 0
    try state.change { (snapshot) throws(CoverTreeError) in
      first = snapshot.indexCount
      guard rows.count > 0 else { return snapshot }
      guard first + rows.count < Int(Int32.max) else {
        throw CoverTreeError(
          .invalidArgument, "points: the tree would hold \(first + rows.count) points, at most 2^31 - 2 are possible")
      }
      return try FunctionBuild(function: function, options: options, context: context).insert(rows, into: snapshot)
    }
    return first
  }

  /// Removes objects, by dataset index. They stay nodes until a quarter of the nodes is removed; then the tree is built again.
  public func remove(_ indices: UnsafeBufferPointer<Int64>, context: CallContext) throws(CoverTreeError) {
    try state.change { (snapshot) throws(CoverTreeError) in
      guard indices.count > 0 else { return snapshot }
      let marks = try Buffer<UInt8>(count: snapshot.layout.count, filledWith: 0)
      if let removed = snapshot.removed { marks.base.update(from: removed.base, count: removed.count) }
      for (row, index) in indices.enumerated() {
        let node = try snapshot.node(index, named: "indices", row: row)
        guard marks[node] == 0 else {
          throw CoverTreeError(.invalidArgument, "indices[\(row)]: \(index) is given twice")
        }
        marks[node] = 1
      }
      let next = try FunctionSnapshot(
        snapshot.layout, snapshot.objects, snapshot.pivots, snapshot.links, removed: marks,
        indexCount: snapshot.indexCount, statistics: snapshot.statistics)
      let removedCount = next.layout.count - next.liveCount
      return removedCount * 4 <= next.layout.count || next.liveCount == 0 ? next : try rebuilt(next, context)
    }
  }

  /// The tree of the objects that are left.
  private func rebuilt(_ snapshot: FunctionSnapshot, _ context: CallContext) throws(CoverTreeError) -> FunctionSnapshot
  {
    let left = try GrowableBuffer<Int32>()
    for node in snapshot.nodes.elements where node >= 0 { try left.append(node) }
    let columns = snapshot.pivots.columns
    let ids = try Buffer<Int32>(count: left.count)
    let embedding = try Buffer<Double>(count: left.count * columns)
    for (row, node) in left.elements.enumerated() {
      ids[row] = snapshot.layout.order[node]
      (embedding.base + row * columns).update(from: snapshot.embedding(node), count: columns)
    }
    return try FunctionBuild(function: function, options: options, context: context).build(
      ObjectRows(snapshot.objects, rows: left.elements), ids: ids, known: (snapshot.pivots, embedding),
      indexCount: snapshot.indexCount)
  }

  private func rows(
    of objects: ObjectsView, named name: String, _ context: CallContext
  ) throws(CoverTreeError) -> ObjectRows {
    guard objects.type == type else {
      throw CoverTreeError(.shape, "\(name): expected \(type.name), got \(objects.type.name)")
    }
    return try ObjectRows(objects, named: name, context: context)
  }
}

// Searches.
extension FunctionTree {
  /// The `k` nearest objects of each query, sorted by (distance, index).
  ///
  /// - Parameters:
  ///   - rows: of the results; throws `.busy` if the tree has changed since the caller read that number.
  ///   - indices: `rows x k`, dataset indices; -1 if there are fewer than `k`.
  ///   - distances: `rows x k`; infinity there. nil if they are not wanted.
  func nearest(
    _ queries: AnyCoverTree.Queries, k: Int, options: SearchOptions, context: CallContext, rows: Int,
    indices: UnsafeMutablePointer<Int64>, distances: UnsafeMutablePointer<Double>?
  ) throws(CoverTreeError) {
    let search = try search(queries, options, context, rows: rows)
    try search.run { (range) throws(CoverTreeError) in
      try range.map { (row) throws(CoverTreeError) in
        NearestObjects(nearest: TopK(try TopK.Scratch(k: k), bound: options.maximumDistance(ofRow: row)))
      }
    } end: { (range, results) in
      for slot in 0..<range.count {
        let (found, first) = (results[slot].nearest.finished(), (range.lowerBound + slot) * k)
        for rank in 0..<k {
          indices[first + rank] = rank < found.count ? found.indices[rank] : -1
          distances?[first + rank] = rank < found.count ? found.squares[rank] : .infinity
        }
      }
    }
  }

  /// All objects within `radius` (inclusive) of each query, sorted by (distance, index).
  func within(
    _ radius: Double, of queries: AnyCoverTree.Queries, options: SearchOptions, context: CallContext
  ) throws(CoverTreeError) -> NeighborLists<Double> {
    let search = try search(queries, options.within(radius), context, rows: nil)
    return try queries.areAll(of: search) ? ownLists(search, within: radius) : lists(search)
  }

  /// What the queries of a search within a radius find, sorted by (distance, index), or by index.
  func lists(_ search: FunctionSearch, byIndex: Bool = false) throws(CoverTreeError) -> NeighborLists<Double> {
    let offsets = try Buffer<Int64>(count: search.queries.count + 1, filledWith: 0)
    let chunks = (search.queries.count + FunctionSearch.chunk - 1) / FunctionSearch.chunk
    let lists = try (0..<chunks).map { (_) throws(CoverTreeError) in try GrowableBuffer<Candidate>() }
    try search.run { (range) throws(CoverTreeError) in
      try search.results(range)
    } end: { (range, results) throws(CoverTreeError) in
      let list = lists[range.lowerBound / FunctionSearch.chunk]
      for slot in 0..<range.count {
        var found = results[slot].found.all
        found.sort { byIndex ? $0.index < $1.index : $0 < $1 }
        try list.append(results[slot].found.elements)
        offsets[range.lowerBound + slot + 1] = Int64(found.count)
      }
    }
    for row in 0..<search.queries.count { offsets[row + 1] += offsets[row] }
    let neighbors = try NeighborLists<Double>(offsets: offsets, keepsScores: false)
    var next = 0
    for list in lists {
      for candidate in list.elements {
        (neighbors.indices[next], neighbors.distances[next]) = (Int64(candidate.index), candidate.squared)
        next += 1
      }
    }
    return neighbors
  }

  /// Counts the objects within `radius` (inclusive) of each query.
  func countWithin(
    _ radius: Double, of queries: AnyCoverTree.Queries, options: SearchOptions, context: CallContext, rows: Int,
    counts: UnsafeMutablePointer<Int64>
  ) throws(CoverTreeError) {
    let search = try search(queries, options.within(radius), context, rows: rows)
    guard !queries.areAll(of: search) else { return try ownCounts(search, within: radius, counts: counts) }
    try search.run { (range) throws(CoverTreeError) in
      try search.results(range)
    } end: { (range, results) in
      for slot in 0..<range.count { counts[range.lowerBound + slot] = Int64(results[slot].found.count) }
    }
  }

  func search(
    _ queries: AnyCoverTree.Queries, _ options: SearchOptions, _ context: CallContext, rows: Int?
  ) throws(CoverTreeError) -> FunctionSearch {
    try options.check(areNew: queries.areNew)
    guard options.limits == nil, options.scores == nil, !options.listsScores else {
      throw CoverTreeError(.unsupported, "metric: scores and limits are for plain Euclidean distance")
    }
    let snapshot = snapshot
    let set: FunctionQueries
    switch queries {
    case .points(let points):
      set = try FunctionQueries(try self.rows(of: ObjectsView(points), named: "queries", context), in: snapshot)
    case .objects(let objects):
      set = try FunctionQueries(try self.rows(of: objects, named: "queries", context), in: snapshot)
    case .stored(let indices): set = try FunctionQueries(stored: indices, in: snapshot)
    case .allStored: set = try FunctionQueries(stored: nil, in: snapshot)
    }
    if let rows, rows != set.count {
      throw CoverTreeError(.busy, "n_rows: the tree has \(set.count) points, results are for \(rows); was it changed?")
    }
    try options.check(rows: set.count)
    try options.check(indexCount: snapshot.indexCount)
    let admitted = try options.admitted.map { (mask) throws(CoverTreeError) in try AdmittedNodes(snapshot, mask) }
    return FunctionSearch(
      snapshot: snapshot, function: function, queries: set, options: options, admitted: admitted, context: context,
      counters: searches)
  }
}

extension AnyCoverTree.Queries {
  /// Whether each object of the tree searches among all, within one radius: then a pair is found from both sides.
  fileprivate func areAll(of search: FunctionSearch) -> Bool {
    guard case .allStored = self else { return false }
    return !search.options.areSomeTooLate && search.options.maximumDistances == nil && search.admitted == nil
  }
}

extension FunctionSearch {
  /// Empty results of some queries of a search within a radius.
  fileprivate func results(_ range: Range<Int>) throws(CoverTreeError) -> [ObjectsWithin] {
    try range.map { (row) throws(CoverTreeError) in
      ObjectsWithin(reach: options.maximumDistance(ofRow: row), found: try GrowableBuffer())
    }
  }
}
