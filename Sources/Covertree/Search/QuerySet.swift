/// Queries in the order in which they are run: along the curve, so that each starts where its neighbour ended.
struct QuerySet<S: Scalar> {
  struct Query {
    /// The row of the result.
    let row: Int
    let coordinates: UnsafePointer<S>
    /// Its dataset index, or -1 for a new point.
    let index: Int32
  }

  let count: Int
  /// Of which the queries are some; nil for new points.
  private let stored: SearchPoints<S>?
  private let new: PointsView<S>?
  /// Dataset index of each row; nil where it is the row itself.
  private let indices: Buffer<Int32>?
  /// Rows in the order in which they are run; nil for as they come.
  private let sequence: Buffer<Int32>?

  /// Too few to be worth sorting.
  static var unsorted: Int { 32 }

  /// New points, along the curve.
  init(new view: PointsView<S>, for points: SearchPoints<S>, context: CallContext) throws(CoverTreeError) {
    guard view.dim == points.dim else {
      throw CoverTreeError(.shape, "queries: expected \(points.dim) columns, got \(view.dim)")
    }
    try view.checkCoordinates(named: "queries", context: context)
    self.init(
      new: view, sequence: view.count <= Self.unsorted ? nil : try Self.orderAlongCurve(view, context: context))
  }

  /// New points that have been checked.
  init(new view: PointsView<S>, sequence: Buffer<Int32>?) {
    (new, count, stored, indices, self.sequence) = (view, view.count, nil, nil, sequence)
  }

  /// Points of those that are searched.
  init(count: Int, points: SearchPoints<S>, indices: Buffer<Int32>?, sequence: Buffer<Int32>?) {
    (self.count, stored, new, self.indices, self.sequence) = (count, points, nil, indices, sequence)
  }

  /// Keys are as fine as the order of so many queries is worth, in whole passes of the sort.
  private static func orderAlongCurve(
    _ view: PointsView<S>, context: CallContext
  ) throws(CoverTreeError) -> Buffer<Int32> {
    let bits = 8 + 3 * (Int.bitWidth - view.count.leadingZeroBitCount) / 2
    let passes = (max(bits, 4 * view.dim) + bitsPerSortingPass - 1) / bitsPerSortingPass
    let curve = try HilbertCurve(through: view, keyBits: min(64, passes * bitsPerSortingPass), context: context)
    return try sortedOrder(ofKeys: curve.keys(of: view, context: context), context: context)
  }

  @inline(__always)
  subscript(place: Int) -> Query {
    let row = sequence.map { Int($0[place]) } ?? place
    if let new { return Query(row: row, coordinates: new.row(row), index: -1) }
    let index = indices?[row] ?? Int32(row)
    return Query(row: row, coordinates: stored!.row(index), index: index)
  }
}
