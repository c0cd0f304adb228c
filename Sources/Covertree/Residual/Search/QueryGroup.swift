/// Queries near each other that run together: points of the model in the order of their positions, or new points.
struct QueryGroup {
  let count: Int
  /// The rows of the result.
  let rows: UnsafePointer<Int32>
  /// The upper index of each query.
  let before: UnsafePointer<Int32>
  /// The largest distance of a neighbour of each query.
  let limits: UnsafePointer<Double>
  /// Their positions in the model, -1 for new points.
  let positions: UnsafePointer<Int32>
  /// Their own dataset indices, -1 for new points.
  let indices: UnsafePointer<Int32>
  /// Whether a query does not count as its own neighbour.
  let excludesSelf: Bool
  /// The equal points that count; nil for all. A query always counts for itself.
  let copies: FirstCopies?
  /// Scaled coordinates of each.
  let coordinates: UnsafePointer<UnsafePointer<Double>>
  /// Features of each, `rank` numbers.
  let features: UnsafePointer<UnsafePointer<Double>>
  let residualVariance: UnsafePointer<Double>
  /// The block of all queries, if they are points of the model.
  let block: Int?

  func exactQuery(_ i: Int) -> ExactQuery {
    ExactQuery(
      coordinates: coordinates[i], features: features[i], residualVariance: residualVariance[i], index: indices[i])
  }

  /// Whether some blocks have no point that counts for any query.
  func leavesOut(_ blocks: Range<Int>) -> Bool {
    guard let copies else { return false }
    return blocks.allSatisfy(copies.hasNone(inBlock:))
  }
}
