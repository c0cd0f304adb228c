/// Queries that are near each other and are run together: points of the model, or new ones.
///
/// Queries of a group that are points of the model are in the order of their positions.
struct QueryGroup {
  let count: Int
  /// The rows of the result.
  let rows: UnsafePointer<Int32>
  /// Dataset indices below this count; one each.
  let before: UnsafePointer<Int32>
  /// Nothing farther counts; one each.
  let limits: UnsafePointer<Double>
  /// Their positions in the model, -1 for new points.
  let positions: UnsafePointer<Int32>
  /// Their own dataset indices, -1 for new points.
  let indices: UnsafePointer<Int32>
  /// Whether a query does not count as its own neighbour.
  let excludesSelf: Bool
  /// Which of equal points count; nil for all. A query that is none of these does count for itself.
  let copies: FirstCopies?
  /// Scaled coordinates of each.
  let coordinates: UnsafePointer<UnsafePointer<Double>>
  /// Features of each, `rank` numbers.
  let features: UnsafePointer<UnsafePointer<Double>>
  let residualVariance: UnsafePointer<Double>
  /// The block that all of them lie in, where they are points of the model.
  let block: Int?

  /// Whether no point of some blocks counts for any query.
  func leavesOut(_ blocks: Range<Int>) -> Bool {
    guard let copies else { return false }
    return blocks.allSatisfy(copies.hasNone(inBlock:))
  }
}
