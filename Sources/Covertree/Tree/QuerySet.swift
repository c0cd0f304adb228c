/// What a search is asked for: new points, or points of the tree.
public enum Queries<S: Scalar>: Sendable {
  case points(PointsView<S>)
  /// Points of the tree, by dataset index.
  case stored(StoredIndices)
  /// All points of the tree, in the order of their dataset indices.
  case allStored
}

/// Dataset indices that the caller owns.
public struct StoredIndices: @unchecked Sendable {
  let elements: UnsafeBufferPointer<Int64>

  public init(_ elements: UnsafeBufferPointer<Int64>) { self.elements = elements }
}

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
  private let snapshot: TreeSnapshot<S>
  private let points: PointsView<S>?
  /// Dataset index of each row; nil where it is the row itself.
  private let indices: Buffer<Int32>?
  /// Rows in the order in which they are run; nil for as they come.
  private let sequence: Buffer<Int32>?

  /// Too few to be worth sorting.
  private static var unsorted: Int { 32 }

  init(_ queries: Queries<S>, in snapshot: TreeSnapshot<S>, context: CallContext) throws(CoverTreeError) {
    self.snapshot = snapshot
    switch queries {
    case .points(let view):
      guard view.dim == snapshot.layout.dim else {
        throw CoverTreeError(.shape, "queries: expected \(snapshot.layout.dim) columns, got \(view.dim)")
      }
      try view.checkCoordinates(named: "queries", context: context)
      points = view
      count = view.count
      indices = nil
      sequence = count <= Self.unsorted ? nil : try Self.orderAlongCurve(view, context: context)
    case .stored(let list):
      points = nil
      count = list.elements.count
      let indices = try Buffer<Int32>(count: count)
      let keys = try Buffer<UInt64>(count: count)
      for (row, index) in list.elements.enumerated() {
        guard index >= 0, index < snapshot.indexCount, snapshot.positions[Int(index)] >= 0 else {
          throw CoverTreeError(.notFound, "queries[\(row)]: the tree has no point \(index)")
        }
        indices[row] = Int32(index)
        keys[row] = UInt64(snapshot.positions[Int(index)])
      }
      self.indices = indices
      sequence = count <= Self.unsorted ? nil : try sortedOrder(ofKeys: keys, context: context)
    case .allStored:
      points = nil
      count = snapshot.liveCount
      indices = snapshot.sparseIndices
      let rowOf = try Buffer<Int32>(count: snapshot.indexCount)
      for row in 0..<count { rowOf[indices?[row] ?? Int32(row)] = Int32(row) }
      let sequence = try Buffer<Int32>(count: count)
      var next = 0
      let labels = snapshot.searchLabels
      for label in labels.elements where label != BoxTree<S>.noLabel {
        sequence[next] = rowOf[label]
        next += 1
      }
      self.sequence = sequence
    }
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
    if let points { return Query(row: row, coordinates: points.row(row), index: -1) }
    let index = indices?[row] ?? Int32(row)
    let t = Int(snapshot.positions[index])
    return Query(
      row: row, coordinates: UnsafePointer(snapshot.layout.points.base) + t &* snapshot.layout.dim, index: index)
  }
}
