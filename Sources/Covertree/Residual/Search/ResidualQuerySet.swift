import CovertreeBase

/// The queries of a residual search.
public enum ResidualQueries: @unchecked Sendable {
  /// Points of the model, by dataset index.
  case stored(StoredIndices)
  /// All points of the model, in the order of their indices.
  case allStored
  /// New points, by their raw coordinates; with their features and residual variances if these are known.
  case points(PointsView<Double>, features: PointsView<Double>?, residualVariance: UnsafePointer<Double>?)
}

extension SearchOptions {
  func check(_ queries: ResidualQueries) throws(CoverTreeError) {
    try checkBounds()
    guard case .points = queries else { return }
    if predecessorsOnly {
      throw CoverTreeError(
        .invalidArgument,
        "predecessor_mode: new points have no dataset index to come after; give before, or dataset indices as queries")
    }
    if excludesSelf {
      throw CoverTreeError(
        .invalidArgument, "exclude_self: new points are not in the dataset; give dataset indices as queries")
    }
  }

  /// The largest distance of a neighbour of a row, if scores are distances.
  fileprivate func farthestDistance(_ row: Int) -> Double {
    min(maximumDistance(ofRow: row), limits?[row] ?? .infinity)
  }
}

/// Queries in the order in which they run: in groups of near ones.
final class ResidualQuerySet: @unchecked Sendable {
  private let queries: Buffer<ResidualQuery>
  let excludesSelf: Bool
  /// The equal points that count; nil for all.
  var copies: FirstCopies?
  private struct Group {
    let range: Range<Int>
    let block: Int?
  }

  private var groups: [Group] = []
  /// Keep the memory of other points alive.
  private let owners: [AnyObject]

  var count: Int { queries.count }
  var groupCount: Int { groups.count }

  subscript(group: Int) -> QueryGroup {
    let (range, block) = (groups[group].range, groups[group].block)
    return QueryGroup(
      count: range.count, queries: queries.base + range.lowerBound, excludesSelf: excludesSelf, copies: copies,
      block: block)
  }

  private init(count: Int, excludesSelf: Bool, owners: [AnyObject]) throws(CoverTreeError) {
    queries = try Buffer(count: count)
    self.excludesSelf = excludesSelf
    self.owners = owners
  }

  /// Points of the model: the queries of one block make one or more groups.
  ///
  /// - Parameters:
  ///   - indices: of all queries, one per row; nil for all points.
  ///   - selected: the rows to search for.
  convenience init(
    _ indices: UnsafeBufferPointer<Int64>?, rows selected: UnsafeBufferPointer<Int32>, in model: ResidualModel,
    options: SearchOptions, groupSize: Int, context: CallContext
  ) throws(CoverTreeError) {
    let count = selected.count
    try self.init(count: count, excludesSelf: options.excludesSelf, owners: [])
    let (sequence, positions) = try model.sortedPositions(of: indices, rows: selected, context: context)
    for slot in 0..<count {
      let row = selected[Int(sequence[slot])]
      let position = Int(positions[Int(sequence[slot])])
      queries[slot] = ResidualQuery(
        row: row, before: options.upperIndex(ofRow: Int(row), index: model.order[position]), position: Int32(position),
        limit: options.farthestDistance(Int(row)), point: model.point(at: position))
    }
    fillGroups(groupSize) { Int(self.queries[$0].position) / model.blockSize }
  }

  /// Queries that are not points of the model: near ones make a group.
  ///
  /// - Parameter hosts: the points of a group have the same one; nil if they have none.
  convenience init(
    _ outside: OutsideQueries, hosts: HostBlocks?, options: SearchOptions, groupSize: Int, context: CallContext
  ) throws(CoverTreeError) {
    try self.init(count: outside.count, excludesSelf: false, owners: outside.owners)
    var sequence = try Buffer<Int32>(counting: count)
    if let hosts {
      let keys = try Buffer<UInt64>(count: count)
      for slot in 0..<count { keys[slot] = UInt64(hosts.blocks[slot]) }
      sequence = try sortedOrder(ofKeys: keys, context: context)
    }
    for slot in 0..<count {
      let query = Int(sequence[slot])
      let row = outside.rows[query]
      queries[slot] = ResidualQuery(
        row: row, before: options.upperIndex(ofRow: Int(row), index: Int32.max), position: -1,
        limit: options.farthestDistance(Int(row)), point: outside.points[query])
    }
    fillGroups(groupSize) { slot in hosts.map { Int($0.blocks[sequence[slot]]) } }
  }

  /// Queries that follow each other and have the same block make a group.
  private func fillGroups(_ groupSize: Int, block: (_ slot: Int) -> Int? = { _ in nil }) {
    var first = 0
    while first < count {
      let own = block(first)
      var end = first + 1
      while end < count, end - first < groupSize, block(end) == own { end += 1 }
      groups.append(Group(range: first..<end, block: own))
      first = end
    }
  }

  /// Some of the queries, by their rows, in full groups.
  func subset(_ wanted: GrowableBuffer<Int32>, groupSize: Int) throws(CoverTreeError) -> ResidualQuerySet {
    let isWanted = try Buffer<Bool>(count: 1 + Int(queries.elements.lazy.map(\.row).max() ?? 0), filledWith: false)
    for row in wanted.elements { isWanted[row] = true }
    let set = try ResidualQuerySet(count: wanted.count, excludesSelf: excludesSelf, owners: owners)
    set.copies = copies
    var next = 0
    for query in queries.elements where isWanted[query.row] {
      set.queries[next] = query
      next += 1
    }
    set.fillGroups(groupSize)
    return set
  }
}
