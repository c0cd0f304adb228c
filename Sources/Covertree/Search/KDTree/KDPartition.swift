import CovertreeBase

/// The rule by which a range of points is cut.
public enum SplitRule: Int32, Sendable {
  /// At the median of the coordinate of greatest variance in a sample of the range.
  case medianOfVariance = 0
  /// In the middle of the widest extent, moved to a boundary of blocks or children.
  case slidingMidpoint = 1
  /// At the median of the coordinate of widest extent.
  case medianOfExtent = 2
}

/// Points in the order of a k-d tree's leaves: ranges are cut by a rule until *blocks* of `blockSize` are left. All blocks but the last
/// are full. The order inside a block is arbitrary but deterministic.
///
/// With a `fanout`, cuts are at boundaries of whole subtrees of the tree with that many consecutive blocks or nodes under each node.
/// Without one, ranges of blocks are halved. Equal coordinates are cut by row, so the points of a block depend on the points alone.
///
/// J. L. Bentley, "Multidimensional binary search trees used for associative searching", CACM 18 (1975). O(n log(n /
/// blockSize)) expected.
///
/// Memory: a record per point (`PointRecords`), 16 bytes for three coordinates of float32.
struct KDPartition<S: Scalar> {
  private let points: PointsView<S>
  private let records: Buffer<UInt8>
  private let recordSize: Int
  private let rowOffset: Int
  private let carriesCoordinates: Bool

  init(
    _ points: PointsView<S>, blockSize: Int, fanout: Int? = nil, rule: SplitRule = .medianOfExtent,
    scales: [Double]? = nil, context: CallContext
  ) throws(CoverTreeError) {
    self.points = points
    let room = Self.carriedRoom(points.dim)
    carriesCoordinates = room != nil
    recordSize = room.map(CarriedRecords<S, RuntimeDimension>.size) ?? RowRecords<S>.size
    rowOffset = (room ?? 0) * MemoryLayout<S>.stride
    // Vectors are loaded at records, and the last load ends before the buffer.
    records = try Buffer(count: points.count * recordSize + 64)
    records.preferLargePages()
    let cuts = KDPartitioner<S>(
      dim: points.dim, count: points.count, blockSize: blockSize, fanout: fanout, rule: rule, scales: scales,
      context: context)
    let base = UnsafeMutableRawPointer(records.base)
    switch room {
    case 3: try cuts.run(CarriedRecords(points: points, base: base, dimension: FixedDimension<3>()))
    case 4: try cuts.run(CarriedRecords(points: points, base: base, dimension: FixedDimension<4>()))
    case 8: try cuts.run(CarriedRecords(points: points, base: base, dimension: FixedDimension<8>()))
    case 16: try cuts.run(CarriedRecords(points: points, base: base, dimension: FixedDimension<16>()))
    default: try cuts.run(RowRecords(points: points, base: base))
    }
  }

  /// The number of coordinates that a record has room for; nil if they are not carried, because moving them would cost more than reading
  /// one in the caller's array.
  private static func carriedRoom(_ dim: Int) -> Int? {
    [3, 4, 8, 16].first { $0 >= dim && CarriedRecords<S, RuntimeDimension>.size($0) <= largestRecord }
  }

  @inline(__always)
  func row(at position: Int) -> Int32 {
    UnsafeRawPointer(records.base + (position &* recordSize &+ rowOffset)).load(as: Int32.self)
  }

  /// The coordinates of the point at a position.
  @inline(__always)
  func coordinates(at position: Int) -> UnsafePointer<S> {
    carriesCoordinates
      ? UnsafeRawPointer(records.base + position &* recordSize).assumingMemoryBound(to: S.self)
      : points.row(Int(row(at: position)))
  }

  /// Position to row.
  func rows(context: CallContext) throws(CoverTreeError) -> Buffer<Int32> {
    let rows = try Buffer<Int32>(count: points.count)
    try context.forEach(points.count, grain: 1 << 16) { (range, _) throws(CoverTreeError) in
      for position in range { rows[position] = row(at: position) }
    }
    return rows
  }

  /// Returns the memory of some positions to the system: they are not read again.
  func release(_ positions: Range<Int>) {
    records.release(positions.lowerBound * recordSize..<positions.upperBound * recordSize)
  }
}
