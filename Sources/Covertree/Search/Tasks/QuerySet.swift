import CovertreeBase

/// Queries in the order in which they are run: near ones follow each other, so that each starts where the last one ended.
struct QuerySet<S: Scalar> {
  struct Query {
    /// The row of the result.
    let row: Int
    let coordinates: UnsafePointer<S>
    /// Its dataset index, or -1 for a new point.
    let index: Int32
  }

  /// Where the queries are.
  private enum Source {
    /// New points, and their rows in the order in which they are run; nil for as they come.
    case new(PointsView<S>, sequence: Buffer<Int32>?)
    /// Points of those that are searched, by position in the order in which they are run; nil for all, as they come.
    case stored(SearchPoints<S>, positions: Buffer<Int32>?, rows: StoredRows)
  }

  /// Which row of the result is that of a stored query.
  enum StoredRows {
    /// By its number in the order of running.
    case bySequence(Buffer<Int32>)
    /// By its dataset index, less the lowest one.
    case byIndex(Buffer<Int32>, lowest: Int32)
    /// It is its dataset index.
    case index
  }

  let count: Int
  private let source: Source

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
    (count, source) = (view.count, .new(view, sequence: sequence))
  }

  /// Points of those that are searched, by dataset index.
  init(
    stored list: UnsafeBufferPointer<Int64>, in points: SearchPoints<S>, context: CallContext
  ) throws(CoverTreeError) {
    let locator = try PointLocator(points)
    let keys = try Buffer<UInt64>(count: list.count)
    for (row, index) in list.enumerated() {
      guard let position = locator.position(Int(index)) else {
        throw CoverTreeError(.notFound, "queries[\(row)]: the tree has no point \(index)")
      }
      keys[row] = UInt64(position)
    }
    let rows = try sortedOrder(ofKeys: keys, context: context)
    let positions = try Buffer<Int32>(count: list.count)
    for number in 0..<rows.count { positions[number] = Int32(keys[Int(rows[number])]) }
    (count, source) = (list.count, .stored(points, positions: positions, rows: .bySequence(rows)))
  }

  /// All points that are searched, in the order of the leaves; rows are in the order of dataset indices.
  init(allOf points: SearchPoints<S>) throws(CoverTreeError) {
    count = points.liveCount
    let positions = try points.livePositions()
    let lowest = points.views[0].segment.indices.lowerBound
    let span = points.views[points.views.count - 1].segment.indices.upperBound - lowest
    guard lowest > 0 || span > count else {
      source = .stored(points, positions: positions, rows: .index)
      return
    }
    let rows = try Buffer<Int32>(count: span, filledWith: 0)
    for number in 0..<count { rows[Int(points.label(at: positions.map { Int($0[number]) } ?? number)) - lowest] = 1 }
    var row: Int32 = 0
    for offset in 0..<span {
      let isThere = rows[offset]
      rows[offset] = row
      row += isThere
    }
    source = .stored(points, positions: positions, rows: .byIndex(rows, lowest: Int32(lowest)))
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

  /// Some of the queries that follow each other, for one thread.
  func queries(_ numbers: Range<Int>) throws(CoverTreeError) -> QueryRows<S> {
    switch source {
    case .new(let view, let sequence): QueryRows(view, sequence)
    case .stored(let points, let positions, let rows): try QueryRows(numbers, of: points, positions, rows)
    }
  }
}

/// Queries that follow each other, with their coordinates side by side: those of stored points are copied out of the leaves.
struct QueryRows<S: Scalar> {
  private let base: UnsafePointer<S>
  private let stride: Int
  private let first: Int
  /// Of new points: the row of each; nil if it is its number. A pointer, because threads would count references to one buffer.
  private let sequence: UnsafePointer<Int32>?
  /// Of stored points: the row of the result and the dataset index.
  private let rows: UnsafeMutablePointer<Int32>?
  private let indices: UnsafeMutablePointer<Int32>?
  /// Keeps the arrays.
  private let owner: AnyObject?

  fileprivate init(_ view: PointsView<S>, _ sequence: Buffer<Int32>?) {
    (base, stride, first) = (view.base, view.stride, 0)
    self.sequence = sequence.map { UnsafePointer($0.base) }
    (rows, indices, owner) = (nil, nil, sequence)
  }

  fileprivate init(
    _ numbers: Range<Int>, of points: SearchPoints<S>, _ positions: Buffer<Int32>?, _ resultRows: QuerySet<S>.StoredRows
  ) throws(CoverTreeError) {
    let (count, dim) = (numbers.count, points.dim)
    let arena = try Arena(
      Arena.size(count * dim, of: S.self), Arena.size(count, of: Int32.self), Arena.size(count, of: Int32.self))
    let coordinates = arena.allocate(count * dim, of: S.self)
    let (rows, indices) = (arena.allocate(count, of: Int32.self), arena.allocate(count, of: Int32.self))
    for (offset, number) in numbers.enumerated() {
      let position = positions.map { Int($0[number]) } ?? number
      points.copy(position, into: coordinates + offset * dim)
      indices[offset] = points.label(at: position)
      switch resultRows {
      case .bySequence(let buffer): rows[offset] = buffer[number]
      case .byIndex(let buffer, let lowest): rows[offset] = buffer[indices[offset] - lowest]
      case .index: rows[offset] = indices[offset]
      }
    }
    (base, stride, first, sequence) = (UnsafePointer(coordinates), dim, numbers.lowerBound, nil)
    (self.rows, self.indices, owner) = (rows, indices, arena)
  }

  @inline(__always)
  subscript(number: Int) -> QuerySet<S>.Query {
    let offset = number &- first
    if let rows, let indices {
      return .init(row: Int(rows[offset]), coordinates: base + offset &* stride, index: indices[offset])
    }
    let row = if let sequence { Int(sequence[offset]) } else { offset }
    return .init(row: row, coordinates: base + row &* stride, index: -1)
  }
}
