import CovertreeBase

/// Questions on pairs of objects of one tree. Each node searches for those before it in tree order, so the function evaluates no pair twice:
/// a root that is evaluated for its subtree is one of them.
extension FunctionTree {
  /// The pairs within `radius` (inclusive), the lower dataset index first, in the order of the indices.
  func pairs(
    within radius: Double, keepsDistances: Bool, context: CallContext
  ) throws(CoverTreeError) -> PairLists<Double> {
    let search = try search(.allStored, SearchOptions().within(radius), context, rows: nil)
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
    let indexCount = search.snapshot.indexCount
    let sorted = try found.buffer.sorted(below: indexCount, by: { $0.high }).sorted(below: indexCount, by: { $0.low })
    let pairs = try PairLists<Double>(count: sorted.count, keepsDistances: keepsDistances)
    for (number, pair) in sorted.elements.enumerated() {
      (pairs.indices[2 * number], pairs.indices[2 * number + 1]) = (Int64(pair.low), Int64(pair.high))
      pairs.distances?[number] = pair.score
    }
    return pairs
  }

  /// Counts the ordered pairs by distance: see `AnyCoverTree.pairCounts`.
  func pairCounts(
    within radii: UnsafeBufferPointer<Double>, weights: PairWeights, context: CallContext
  ) throws(CoverTreeError) -> PairSums {
    let search = try search(.allStored, SearchOptions().within(radii.last ?? 0), context, rows: nil)
    let count = search.queries.count
    let (own, others) = (
      try weights.own.map { (own) throws(CoverTreeError) in try own.copied(count, "weights") },
      try weights.others.map { (others) throws(CoverTreeError) in try others.copied(count, "other_weights") }
    )
    let chunks = (count + FunctionSearch.chunk - 1) / FunctionSearch.chunk
    let sums = try PairSums(rows: chunks, columns: radii.count, isWeighted: own != nil || others != nil)
    guard radii.count > 0 else { return try sums.total() }
    let bins = PairBins(limits: radii, own: own, others: others, rows: try search.queries.rowOfIndex())
    try search.run { (range) throws(CoverTreeError) in
      let row = sums.row(range.lowerBound / FunctionSearch.chunk)
      return range.map { query in
        bins.add(query, query, 0, times: 1, to: row)
        return Earlier(than: search.queries.node(query), ObjectsInBins(bins: bins, sums: row, query: query))
      }
    } end: { (_, _) in
    }
    return try sums.total()
  }

  /// The minimum spanning tree, as `CoverTree` finds it.
  func spanningTree(mutualCount: Int, context: CallContext) throws(CoverTreeError) -> PairLists<Double> {
    var options = SearchOptions()
    options.excludesSelf = true
    let search = try search(.allStored, options, context, rows: nil)
    try checkMutualCount(mutualCount, points: search.queries.count)
    guard search.queries.count > 1 else { return try PairLists(count: 0, keepsDistances: true) }
    let sorted = try FunctionForest(search, mutualCount: mutualCount).spanningTree().sorted(context)
    let pairs = try PairLists<Double>(count: sorted.count, keepsDistances: true)
    for (number, edge) in sorted.elements.enumerated() {
      pairs.indices[2 * number] = Int64(search.queries.index(Int(edge.low)))
      pairs.indices[2 * number + 1] = Int64(search.queries.index(Int(edge.high)))
      pairs.distances![number] = edge.score
    }
    return pairs
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
  private let node: Int32
  private(set) var result: Result

  init(than node: Int32, _ result: Result) { (self.node, self.result) = (node, result) }

  var reach: Double { result.reach }
  func admits(_ other: Int32) -> Bool { other < node }
  /// A subtree begins with its root.
  func mayUse(_ subtree: Int32) -> Bool { subtree < node }
  func wants(_ distance: Double, _ index: Int32) -> Bool { result.wants(distance, index) }
  mutating func add(_ distance: Double, _ index: Int32) throws(CoverTreeError) { try result.add(distance, index) }
}

extension FunctionQueries {
  /// By dataset index: the row of a query.
  fileprivate func rowOfIndex() throws(CoverTreeError) -> Buffer<Int32> {
    let rows = try Buffer<Int32>(count: snapshot.indexCount, filledWith: -1)
    for row in 0..<count { rows[index(row)] = Int32(row) }
    return rows
  }
}

/// Adds pairs to counts by distance.
private struct PairBins: @unchecked Sendable {
  /// Ascending.
  let limits: UnsafeBufferPointer<Double>
  /// By row; nil for weights of 1.
  let own: Buffer<Double>?
  let others: Buffer<Double>?
  /// By dataset index.
  let rows: Buffer<Int32>

  /// Adds the pair of two rows, as many times in both directions together.
  func add(_ a: Int, _ b: Int, _ distance: Double, times: Int, to sums: PairSums.Row) {
    var (bin, end) = (0, limits.count)
    while bin < end {
      let middle = (bin + end) / 2
      if limits[middle] < distance { bin = middle + 1 } else { end = middle }
    }
    sums.counts?[bin] += Int64(times)
    guard let sums = sums.sums else { return }
    func product(_ a: Int, _ b: Int) -> Double { (own?[a] ?? 1) * (others?[b] ?? 1) }
    sums[bin] += times == 1 ? product(a, b) : product(a, b) + product(b, a)
  }
}

/// Counts the objects that a query finds.
private struct ObjectsInBins: FunctionResult {
  let bins: PairBins
  let sums: PairSums.Row
  /// The row of the query.
  let query: Int

  var reach: Double { bins.limits[bins.limits.count - 1] }
  func wants(_ distance: Double, _ index: Int32) -> Bool { distance <= reach }
  mutating func add(_ distance: Double, _ index: Int32) {
    if distance <= reach { bins.add(query, Int(bins.rows[index]), distance, times: 2, to: sums) }
  }
}
