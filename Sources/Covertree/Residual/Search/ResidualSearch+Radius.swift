import CovertreeBase

/// All points within a distance. The stages are those of a search for neighbours, with a threshold that does not change.
extension ResidualSearch {
  /// All points within a distance of each query, sorted as neighbours are. The distance is not read if options have one for each row.
  public func within(
    _ radius: Double, of queries: ResidualQueries, options: SearchOptions, context: CallContext, rows: Int
  ) throws(CoverTreeError) -> NeighborLists<Double> {
    let (results, found) = try find(within: radius, of: queries, options, context, rows, keepsPoints: true)
    let lists = try results.joined()
    found?.replace(UnsafeMutableBufferPointer(start: lists.indices.base, count: lists.indices.count))
    return lists
  }

  /// Counts these points.
  public func countWithin(
    _ radius: Double, of queries: ResidualQueries, options: SearchOptions, context: CallContext, rows: Int,
    counts: UnsafeMutablePointer<Int64>
  ) throws(CoverTreeError) {
    let (results, _) = try find(within: radius, of: queries, options, context, rows, keepsPoints: false)
    for row in 0..<rows { counts[row] = results.count(ofRow: row) }
  }

  /// The results, and the dataset indices of their points; nil if the results have them.
  private func find(
    within radius: Double, of queries: ResidualQueries, _ options: SearchOptions, _ context: CallContext, _ rows: Int,
    keepsPoints: Bool
  ) throws(CoverTreeError) -> (RadiusResults, DatasetIndices?) {
    let given = try options.within(radius)
    guard !given.listsScores else {
      throw CoverTreeError(.unsupported, "options: lists have no scores in the residual-correlation metric")
    }
    let call = try checked(queries, given)
    defer { withExtendedLifetime(call) {} }
    let (queries, options) = (try self.rows(of: call, rows, context), call.options)
    let results = try RadiusResults(rows: rows, keepsPoints: keepsPoints, context: context)
    guard model.isSpatial else {
      let found = try answerCall(
        queries,
        SearchRequest(goal: .withinLimit, options: options, leftOut: removed, context: context) {
          (search, _) throws(CoverTreeError) in try search.listWithinLimit(into: results)
        })
      return (results, found)
    }
    try searchInSpace(context, rows) { (search) throws(CoverTreeError) in
      try search.withinLimit(of: queries, options: options, context: context, into: results)
    }
    return (results, datasetIndices)
  }
}

/// Points within a distance of queries, in the order in which threads find them.
final class RadiusResults: @unchecked Sendable {
  /// The results of one thread.
  private final class Part {
    let rows: GrowableBuffer<Int32>
    /// The points of these rows, one row after the other, with their distances.
    let points: GrowableBuffer<Candidate>
    let sort: BucketSort

    init() throws(CoverTreeError) {
      (rows, points, sort) = (try GrowableBuffer(), try GrowableBuffer(), try BucketSort())
    }
  }

  private let rowCount: Int
  private let keepsPoints: Bool
  private let context: CallContext
  private let parts: [Part]
  /// Before `joined`: element `row + 1` is the number of points of a row.
  private let offsets: Buffer<Int64>

  /// - Parameter keepsPoints: whether points are listed, or only counted.
  init(rows: Int, keepsPoints: Bool, context: CallContext) throws(CoverTreeError) {
    (rowCount, self.keepsPoints, self.context) = (rows, keepsPoints, context)
    parts = try (0..<context.threads).map { (_) throws(CoverTreeError) in try Part() }
    offsets = try Buffer(count: rows + 1, filledWith: 0)
  }

  func count(ofRow row: Int) -> Int64 { offsets[row + 1] }

  /// Adds the points of a row.
  ///
  /// - Parameters:
  ///   - sorted: whether to sort the points by (distance, index); otherwise they are in order.
  ///   - point: a point, with its distance in place of the square.
  @inline(__always)
  func add(row: Int, count: Int, slot: Int, sorted: Bool, _ point: (Int) -> Candidate) throws(CoverTreeError) {
    offsets[row + 1] = Int64(count)
    guard keepsPoints else { return }
    let part = parts[slot]
    let first = part.points.count
    try part.rows.append(Int32(row))
    try part.points.resize(to: first + count)
    for number in 0..<count { part.points[first + number] = point(number) }
    if sorted { try part.sort.sort(UnsafeMutableBufferPointer(rebasing: part.points.all[first...])) }
  }

  /// The lists of all rows. Nothing may be added afterwards.
  func joined() throws(CoverTreeError) -> NeighborLists<Double> {
    for row in 0..<rowCount { offsets[row + 1] += offsets[row] }
    let lists = try NeighborLists<Double>(offsets: offsets, keepsScores: false)
    try context.forEach(parts.count, grain: 1) { (range, _) throws(CoverTreeError) in
      for part in range.map({ parts[$0] }) {
        var next = 0
        for row in part.rows.elements {
          for slot in Int(offsets[Int(row)])..<Int(offsets[Int(row) + 1]) {
            lists.indices[slot] = Int64(part.points[next].index)
            lists.distances[slot] = part.points[next].squared
            next += 1
          }
        }
      }
    }
    return lists
  }
}
