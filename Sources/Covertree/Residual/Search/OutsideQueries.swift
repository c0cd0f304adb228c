import CovertreeBase

/// Queries that are not points of the searched model: new points, or points of another model of the same process. Near ones follow each
/// other.
struct OutsideQueries {
  /// The rows of the result.
  let rows: Buffer<Int32>
  let points: Buffer<ExactQuery>
  /// Keep the memory of the points alive.
  let owners: [AnyObject]

  var count: Int { rows.count }

  /// - Parameter groupSize: the number of points that are near each other.
  init(_ new: NewPoints, in model: ResidualModel, groupSize: Int, context: CallContext) throws(CoverTreeError) {
    let view = PointsView(new.coordinates, count: new.count, dim: model.dim)
    rows = try BlockPartition(view, blockSize: groupSize, context: context).order
    points = try Buffer(count: new.count)
    for slot in 0..<new.count { points[slot] = new.point(Int(rows[slot]), in: model) }
    owners = [new.coordinates, new.features]
  }

  /// - Parameters:
  ///   - indices: of the points of the other model, one per row; nil for all.
  ///   - selected: the rows to search for.
  init(
    _ other: ResidualModel, _ indices: UnsafeBufferPointer<Int64>?, rows selected: UnsafeBufferPointer<Int32>,
    context: CallContext
  ) throws(CoverTreeError) {
    let (sequence, positions) = try other.sortedPositions(of: indices, rows: selected, context: context)
    rows = try Buffer(count: selected.count)
    points = try Buffer(count: selected.count)
    for slot in 0..<selected.count {
      rows[slot] = selected[Int(sequence[slot])]
      points[slot] = other.point(at: Int(positions[Int(sequence[slot])])).outside
    }
    owners = [other]
  }
}

extension ExactQuery {
  /// The same point for a model that does not have it.
  fileprivate var outside: ExactQuery {
    ExactQuery(coordinates: coordinates, features: features, residualVariance: residualVariance, index: -1)
  }
}

extension ResidualModel {
  /// The positions of the points of some rows, and the slots of these rows by ascending position.
  ///
  /// - Parameter indices: of all rows; nil if rows are indices.
  func sortedPositions(
    of indices: UnsafeBufferPointer<Int64>?, rows: UnsafeBufferPointer<Int32>, context: CallContext
  ) throws(CoverTreeError) -> (sequence: Buffer<Int32>, positions: Buffer<UInt64>) {
    let positions = try Buffer<UInt64>(count: rows.count)
    for (slot, row) in rows.enumerated() {
      positions[slot] = UInt64(positionOfIndex[Int(indices?[Int(row)] ?? Int64(row))])
    }
    return (try sortedOrder(ofKeys: positions, context: context), positions)
  }
}
