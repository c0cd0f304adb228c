/// A query of a residual search: a point of the model, or a new one.
struct ResidualQuery: BitwiseCopyable {
  /// The row of the result.
  let row: Int32
  /// The upper index.
  let before: Int32
  /// Its position in the model, -1 for a new point.
  let position: Int32
  /// The largest distance of a neighbour.
  let limit: Double
  let point: ExactQuery
}

/// Queries near each other that run together: points of the model in the order of their positions, or new points.
struct QueryGroup {
  let count: Int
  let queries: UnsafePointer<ResidualQuery>
  /// Whether a query does not count as its own neighbour.
  let excludesSelf: Bool
  /// The equal points that count; nil for all. A query counts for itself unless a filter leaves it out.
  let copies: FirstCopies?
  /// The block of all queries, if they are points of the model; of new points, the block that represents them, if there is one.
  let block: Int?
  var areNew: Bool { queries[0].position < 0 }

  /// Whether some blocks have no point that counts for any query.
  func leavesOut(_ blocks: Range<Int>) -> Bool {
    guard let copies else { return false }
    return blocks.allSatisfy(copies.hasNone(inBlock:))
  }
}
