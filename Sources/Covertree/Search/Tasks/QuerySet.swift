import CNumerics
import CovertreeBase

/// Queries in the order in which they run: near ones follow each other, so each starts where the last one ended.
struct QuerySet<S: Scalar> {
  struct Query {
    /// The row of the result.
    let row: Int
    let coordinates: UnsafePointer<S>
    /// The dataset index, or -1 for a new point.
    let index: Int32
  }

  /// Where the queries are.
  private enum Source {
    /// New points, and their rows in the order in which they run; nil for the caller's order.
    case new(PointsView<S>, sequence: Buffer<Int32>?)
    /// Points of the searched tree, by position in the order in which they run; nil for all, in the order of the leaves.
    case stored(SearchPoints<S>, positions: Buffer<Int32>?, rows: StoredRows)
  }

  /// The row of the result for a stored query.
  enum StoredRows {
    /// By the query's number in the order in which queries run.
    case bySequence(Buffer<Int32>)
    /// By the dataset index, less the lowest one.
    case byIndex(Buffer<Int32>, lowest: Int32)
    /// The dataset index.
    case index
  }

  let count: Int
  private let source: Source

  /// Fewer queries are not worth sorting.
  static var unsorted: Int { 32 }

  /// New points, sorted along the curve through them, or through other coordinates that they have.
  init(
    new view: PointsView<S>, for points: SearchPoints<S>, along others: PointsView<S>? = nil, context: CallContext
  ) throws(CoverTreeError) {
    guard view.dim == points.dim else {
      throw CoverTreeError(.shape, "queries: expected \(points.dim) columns, got \(view.dim)")
    }
    try view.checkCoordinates(named: "queries", context: context)
    let isSorted = view.count > Self.unsorted
    self.init(new: view, sequence: isSorted ? try Self.orderAlongCurve(others ?? view, context: context) : nil)
  }

  /// New points that were checked before.
  init(new view: PointsView<S>, sequence: Buffer<Int32>?) {
    (count, source) = (view.count, .new(view, sequence: sequence))
  }

  /// Points of the searched tree, by dataset index.
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

  /// All points of the searched tree, in the order of the leaves; rows are in the order of dataset indices.
  init(allOf points: SearchPoints<S>) throws(CoverTreeError) {
    count = points.liveCount
    let positions = try points.livePositions()
    let lowest = points.views[0].segment.indexRange.lowerBound
    let span = points.views[points.views.count - 1].segment.indexRange.upperBound - lowest
    guard lowest > 0 || span > count else {
      source = .stored(points, positions: positions, rows: .index)
      return
    }
    let rows = try Buffer<Int32>(count: span, filledWith: 0)
    for number in 0..<count { rows[Int(points.index(at: positions.map { Int($0[number]) } ?? number)) - lowest] = 1 }
    var row: Int32 = 0
    for offset in 0..<span {
      let isThere = rows[offset]
      rows[offset] = row
      row += isThere
    }
    source = .stored(points, positions: positions, rows: .byIndex(rows, lowest: Int32(lowest)))
  }

  /// Keys are as fine as is useful for the number of queries, in whole passes of the sort.
  private static func orderAlongCurve(
    _ view: PointsView<S>, context: CallContext
  ) throws(CoverTreeError) -> Buffer<Int32> {
    let bits = 8 + 3 * (Int.bitWidth - view.count.leadingZeroBitCount) / 2
    let passes = (max(bits, 4 * view.dim) + bitsPerSortingPass - 1) / bitsPerSortingPass
    let curve = try HilbertCurve(through: view, keyBits: min(64, passes * bitsPerSortingPass), context: context)
    return try sortedOrder(ofKeys: curve.keys(of: view, context: context), context: context)
  }

  /// Some consecutive queries, for one thread.
  func queries(_ numbers: Range<Int>) throws(CoverTreeError) -> QueryRows<S> {
    switch source {
    case .new(let view, let sequence): QueryRows(view, sequence)
    case .stored(let points, let positions, let rows): try QueryRows(numbers, of: points, positions, rows)
    }
  }

  /// Walks boxes for some queries, in chunks of `grain`. Returns the number of points that queries were compared with.
  ///
  /// - Parameter walk: gets the numbers of a chunk, and its queries; returns the numbers of points and boxes that it has compared.
  func walk(
    _ positions: Range<Int>, grain: Int, _ context: CallContext, _ counters: SearchCounters,
    _ walk: (Range<Int>, QueryRows<S>) throws(CoverTreeError) -> (points: Int, boxes: Int)
  ) throws(CoverTreeError) -> Int {
    let compared = Counter()
    try context.forEach(positions.count, grain: grain) { (range, _) throws(CoverTreeError) in
      let numbers = range.lowerBound + positions.lowerBound..<range.upperBound + positions.lowerBound
      let queries = try queries(numbers)
      defer { withExtendedLifetime(queries) {} }
      let (points, boxes) = try walk(numbers, queries)
      counters.add(queries: range.count, points: points, boxes: boxes)
      compared.add(points)
    }
    return compared.value
  }
}

/// Consecutive queries, with the coordinates of each side by side. Stored points are copied out of the leaves.
struct QueryRows<S: Scalar> {
  private let base: UnsafePointer<S>
  private let stride: Int
  private let first: Int
  /// For new points: the row of each; nil if it is its number. A pointer, because threads would contend for the reference count of a
  /// buffer.
  private let sequence: UnsafePointer<Int32>?
  /// For stored points: the row of the result and the dataset index.
  private let rows: UnsafeMutablePointer<Int32>?
  private let indices: UnsafeMutablePointer<Int32>?
  /// Keeps the arrays alive.
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
      indices[offset] = points.index(at: position)
      switch resultRows {
      case .bySequence(let buffer): rows[offset] = buffer[number]
      case .byIndex(let buffer, let lowest): rows[offset] = buffer[indices[offset] - lowest]
      case .index: rows[offset] = indices[offset]
      }
    }
    (base, stride, first, sequence) = (UnsafePointer(coordinates), dim, numbers.lowerBound, nil)
    (self.rows, self.indices, owner) = (rows, indices, arena)
  }

  /// Asks for the coordinates of the next queries, which are anywhere in memory if they are new and sorted.
  @inline(__always)
  func prefetch(_ numbers: Range<Int>) {
    guard let sequence else { return }
    for number in numbers {
      cn_prefetch(base + Int(sequence[number &- first]) &* stride, Int64(stride &* MemoryLayout<S>.size))
    }
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
