import CovertreeBase
import Synchronization

/// Questions on pairs of objects. In one tree each node searches for those before it in tree order, so the function evaluates no pair twice:
/// a root that is evaluated for its subtree is one of them.
extension FunctionTree {
  /// The pairs within `radius` (inclusive) in the order of the dataset indices: of this tree and another one, or of this one, the lower index
  /// first.
  func pairs(
    within radius: Double, of other: FunctionTree?, keepsDistances: Bool, context: CallContext
  ) throws(CoverTreeError) -> PairLists<Double> {
    let options = try SearchOptions().within(radius)
    if let other {
      return try crossPairs(other.search(of: self, options, context), keepsDistances: keepsDistances)
    }
    let search = try search(.allStored, options, context, rows: nil)
    let found = try ownPairs(search, within: radius)
    let indexCount = search.snapshot.indexCount
    let sorted = try found.buffer.sorted(below: indexCount, by: { $0.high }).sorted(below: indexCount, by: { $0.low })
    let pairs = try PairLists<Double>(count: sorted.count, keepsDistances: keepsDistances)
    for (number, pair) in sorted.elements.enumerated() {
      (pairs.indices[2 * number], pairs.indices[2 * number + 1]) = (Int64(pair.low), Int64(pair.high))
      pairs.distances?[number] = pair.score
    }
    return pairs
  }

  /// Checks that another tree has objects of the same type, by the same function.
  func check(_ other: FunctionTree) throws(CoverTreeError) {
    guard other.type == type else {
      throw CoverTreeError(.shape, "other: expected a tree of \(type.name), got \(other.type.name)")
    }
    guard other.function.identity == function.identity else {
      throw CoverTreeError(
        .invalidArgument, "other: expected a tree by the same distance_fn and distance_user_data, got another function")
    }
  }

  /// The pairs within a radius of a search of all objects, between their dataset indices.
  private func ownPairs(
    _ search: FunctionSearch, within radius: Double
  ) throws(CoverTreeError) -> GrowableBuffer<TreeEdge> {
    let chunks = (search.queries.count + FunctionSearch.chunk - 1) / FunctionSearch.chunk
    let lists = try (0..<chunks).map { (_) throws(CoverTreeError) in try GrowableBuffer<TreeEdge>() }
    try search.run { (range) throws(CoverTreeError) in
      try range.map { (row) throws(CoverTreeError) in
        Earlier(than: search.queries.node(row), ObjectsWithin(reach: radius, found: try GrowableBuffer()))
      }
    } end: { (range, results) throws(CoverTreeError) in
      let list = lists[range.lowerBound / FunctionSearch.chunk]
      for row in range {
        let own = search.queries.index(row)
        for candidate in results[row - range.lowerBound].result.found.elements {
          try list.append(TreeEdge(score: candidate.squared, between: own, and: candidate.index))
        }
      }
    }
    let found = try GrowableBuffer<TreeEdge>()
    for list in lists { try found.append(list.elements) }
    return found
  }

  /// The pairs of a search for the objects of another tree.
  private func crossPairs(
    _ search: (FunctionSearch, indices: Buffer<Int32>), keepsDistances: Bool
  ) throws(CoverTreeError) -> PairLists<Double> {
    let (search, indices) = search
    let lists = try self.lists(search, byIndex: true)
    let pairs = try PairLists<Double>(count: lists.indices.count, keepsDistances: keepsDistances)
    for row in 0..<indices.count {
      for slot in Int(lists.offsets[row])..<Int(lists.offsets[row + 1]) {
        (pairs.indices[2 * slot], pairs.indices[2 * slot + 1]) = (Int64(indices[row]), lists.indices[slot])
        pairs.distances?[slot] = lists.distances[slot]
      }
    }
    return pairs
  }

  /// A search of this tree for all objects of another one, whose dataset indices come with it.
  func search(
    of other: FunctionTree, _ options: SearchOptions, _ context: CallContext
  ) throws(CoverTreeError) -> (FunctionSearch, indices: Buffer<Int32>) {
    let (own, theirs) = (snapshot, other.snapshot)
    let nodes = try GrowableBuffer<Int32>()
    for node in theirs.nodes.elements where node >= 0 { try nodes.append(node) }
    let indices = try Buffer<Int32>(count: nodes.count)
    for row in 0..<nodes.count { indices[row] = theirs.layout.order[nodes[row]] }
    let queries = try FunctionQueries(ObjectRows(theirs.objects, rows: nodes.elements), in: own)
    let search = FunctionSearch(
      snapshot: own, function: function, queries: queries, options: options, admitted: nil, context: context,
      counters: searches)
    return (search, indices)
  }

  /// All objects within `radius` (inclusive) of each object, sorted by (distance, index). The function is evaluated once for a pair.
  func ownLists(_ search: FunctionSearch, within radius: Double) throws(CoverTreeError) -> NeighborLists<Double> {
    let (queries, pairs) = (search.queries, try ownPairs(search, within: radius))
    let rows = try queries.rowOfIndex()
    let own = search.options.excludesSelf ? 0 : 1
    let offsets = try Buffer<Int64>(count: queries.count + 1, filledWith: 0)
    for row in 0..<queries.count { offsets[row + 1] = Int64(own) }
    for pair in pairs.elements {
      offsets[Int(rows[pair.low]) + 1] += 1
      offsets[Int(rows[pair.high]) + 1] += 1
    }
    for row in 0..<queries.count { offsets[row + 1] += offsets[row] }
    let found = try Buffer<Candidate>(count: Int(offsets[queries.count]))
    let ends = try Buffer<Int64>(count: queries.count)
    ends.base.update(from: offsets.base, count: queries.count)
    func add(_ row: Int, _ index: Int32, _ distance: Double) {
      found[Int(ends[row])] = Candidate(squared: distance, index: index)
      ends[row] += 1
    }
    if own == 1 { for row in 0..<queries.count { add(row, queries.index(row), 0) } }
    for pair in pairs.elements {
      add(Int(rows[pair.low]), pair.high, pair.score)
      add(Int(rows[pair.high]), pair.low, pair.score)
    }
    let neighbors = try NeighborLists<Double>(offsets: offsets, keepsScores: false)
    try search.context.forEach(queries.count, grain: 1024) { (range, _) throws(CoverTreeError) in
      for row in range {
        let places = Int(offsets[row])..<Int(offsets[row + 1])
        let list = UnsafeMutableBufferPointer(start: found.base + places.lowerBound, count: places.count)
        var sorted = list
        sorted.sort { $0 < $1 }
        for (place, candidate) in zip(places, list) {
          (neighbors.indices[place], neighbors.distances[place]) = (Int64(candidate.index), candidate.squared)
        }
      }
    }
    return neighbors
  }

  /// Counts the objects within `radius` (inclusive) of each object. The function is evaluated once for a pair.
  func ownCounts(
    _ search: FunctionSearch, within radius: Double, counts: UnsafeMutablePointer<Int64>
  ) throws(CoverTreeError) {
    let queries = search.queries
    let rows = try queries.rowOfIndex()
    for row in 0..<queries.count { counts[row] = search.options.excludesSelf ? 0 : 1 }
    let counting = Mutex(CountsOfRows(base: counts))
    try search.run { (range) throws(CoverTreeError) in
      try range.map { (row) throws(CoverTreeError) in
        Earlier(than: queries.node(row), ObjectsWithin(reach: radius, found: try GrowableBuffer()))
      }
    } end: { (range, results) in
      counting.withLock { counts in
        for row in range {
          for candidate in results[row - range.lowerBound].result.found.elements {
            counts.base[row] += 1
            counts.base[Int(rows[candidate.index])] += 1
          }
        }
      }
    }
  }

  /// The minimum spanning tree, as `CoverTree` finds it: by searches for the least edges or, if these would evaluate most pairs, by comparing
  /// all objects.
  func spanningTree(mutualCount: Int, context: CallContext) throws(CoverTreeError) -> PairLists<Double> {
    var options = SearchOptions()
    options.excludesSelf = true
    var search = try search(.allStored, options, context, rows: nil)
    let count = search.queries.count
    try checkMutualCount(mutualCount, points: count)
    guard count > 1 else { return try PairLists(count: 0, keepsDistances: true) }
    let counters = SearchCounters()
    search.counters = counters
    defer { searches.add(counters) }
    let nodes = try Buffer<Int32>(count: count)
    for row in 0..<count { nodes[row] = search.queries.node(row) }
    let sorted = try edges(search, nodes, mutualCount).sorted(context)
    let pairs = try PairLists<Double>(count: sorted.count, keepsDistances: true)
    for (number, edge) in sorted.elements.enumerated() {
      pairs.indices[2 * number] = Int64(search.queries.index(Int(edge.low)))
      pairs.indices[2 * number + 1] = Int64(search.queries.index(Int(edge.high)))
      pairs.distances![number] = edge.score
    }
    return pairs
  }

  private func edges(
    _ search: FunctionSearch, _ nodes: Buffer<Int32>, _ mutualCount: Int
  ) throws(CoverTreeError) -> GrowableBuffer<TreeEdge> {
    let share = try ConcentrationSample(search, nodes: nodes).share
    guard mutualCount > 0 || share < 0.5 else {
      let found = try GrowableBuffer<TreeEdge>()
      try FunctionPrim(
        search, nodes: nodes, cores: nil, components: Buffer(counting: nodes.count), found: found
      ).run()
      return found
    }
    // Half of the evaluations that bounds are expected to save when all objects are compared.
    let allowance = Int((1 - share) / 4 * Double(nodes.count) * Double(nodes.count))
    return try FunctionForest(search, nodes: nodes, mutualCount: mutualCount, allowance: allowance).spanningTree()
  }
}

extension Buffer where Element == TreeEdge {
  /// The edges in the ascending order of one of their ends, which is below a count; those with the same one stay in their order.
  fileprivate func sorted(
    below indexCount: Int, by end: (TreeEdge) -> Int32
  ) throws(CoverTreeError) -> Buffer<TreeEdge> {
    let places = try Buffer<Int>(count: indexCount + 1, filledWith: 0)
    for edge in elements { places[Int(end(edge)) + 1] += 1 }
    for index in 0..<indexCount { places[index + 1] += places[index] }
    let sorted = try Buffer<TreeEdge>(count: count)
    for edge in elements {
      let index = Int(end(edge))
      sorted[places[index]] = edge
      places[index] += 1
    }
    return sorted
  }
}

/// A result for the nodes before a node.
private struct Earlier<Result: FunctionResult>: FunctionResult {
  static var isOrdered: Bool { Result.isOrdered }

  private let node: Int32
  private(set) var result: Result

  init(than node: Int32, _ result: Result) { (self.node, self.result) = (node, result) }

  var reach: Double { result.reach }
  func admits(_ other: Int32) -> Bool { other < node }
  /// A subtree begins with its root.
  func mayUse(_ subtree: Int32) -> Bool { subtree < node }
  func wants(_ distance: Double, _ index: Int32) -> Bool { result.wants(distance, index) }
  mutating func add(_ distance: Double, _ index: Int32, at node: Int32) throws(CoverTreeError) {
    try result.add(distance, index, at: node)
  }
}

/// Counts by row that threads add to, one at a time.
private struct CountsOfRows: @unchecked Sendable {
  let base: UnsafeMutablePointer<Int64>
}

extension FunctionQueries {
  /// By dataset index: the row of a query.
  fileprivate func rowOfIndex() throws(CoverTreeError) -> Buffer<Int32> {
    let rows = try Buffer<Int32>(count: snapshot.indexCount, filledWith: -1)
    for row in 0..<count { rows[index(row)] = Int32(row) }
    return rows
  }
}
