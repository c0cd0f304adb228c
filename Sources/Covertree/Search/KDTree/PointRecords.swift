import CNumerics

/// The records that the cuts of a k-d tree move: one per point, with its row. A record carries few coordinates along (`CarriedRecords`),
/// so that no cut reads memory at random. Many coordinates are not moved (`RowRecords`).
protocol PointRecords<S> {
  associatedtype S: Scalar

  /// Bytes of a record.
  var size: Int { get }
  var base: UnsafeMutableRawPointer { get }

  /// Writes the records of some positions, with the positions as rows.
  func fill(_ positions: Range<Int>)
  func row(_ position: Int) -> Int32
  func coordinate(_ position: Int, _ d: Int) -> S
  /// Extends a box to contain some points; it has room for `Extents.room(dim)` coordinates a side.
  func extend(_ low: UnsafeMutablePointer<S>, _ high: UnsafeMutablePointer<S>, _ positions: Range<Int>)
  /// Moves the points below a pivot along a coordinate to the front.
  ///
  /// - Parameter aside: room for `recordsAside` records.
  /// - Returns: their number.
  func partition(_ positions: Range<Int>, below pivot: S, along d: Int, _ aside: UnsafeMutableRawPointer) -> Int
  /// The same by row.
  func partition(_ positions: Range<Int>, belowRow pivot: Int32, _ aside: UnsafeMutableRawPointer) -> Int
}

/// Records that a partition copies aside, from both ends.
let recordsAside = 2 * Int(cn_records_aside)
/// Bytes of the largest record.
let largestRecord = Int(cn_largest_record)

/// The coordinates, 0 after the last one, and then the row.
struct CarriedRecords<S: Scalar, D: Dimension>: PointRecords {
  let points: PointsView<S>
  let base: UnsafeMutableRawPointer
  /// Coordinates that a record has room for.
  let dimension: D

  /// Bytes of a record with room for `room` coordinates.
  @inline(__always)
  static func size(_ room: Int) -> Int { (room &+ 1) &* MemoryLayout<S>.stride }

  @inline(__always) var size: Int { Self.size(dimension.count) }
  @inline(__always) private var rowOffset: Int { dimension.count &* MemoryLayout<S>.stride }

  func fill(_ positions: Range<Int>) {
    for position in positions {
      let (record, point) = (base + position &* size, points.row(position))
      let coordinates = record.assumingMemoryBound(to: S.self)
      for d in 0..<dimension.count { coordinates[d] = d < points.dim ? point[d] : 0 }
      (record + rowOffset).storeBytes(of: Int32(truncatingIfNeeded: position), as: Int32.self)
    }
  }

  @inline(__always)
  func row(_ position: Int) -> Int32 { (base + (position &* size &+ rowOffset)).load(as: Int32.self) }

  @inline(__always)
  func coordinate(_ position: Int, _ d: Int) -> S {
    (base + (position &* size &+ d &* MemoryLayout<S>.stride)).load(as: S.self)
  }

  @inline(never)
  func extend(_ low: UnsafeMutablePointer<S>, _ high: UnsafeMutablePointer<S>, _ positions: Range<Int>) {
    cn_extent(S.self == Double.self, start(positions), positions.count, size, dimension.count, low, high)
  }

  @inline(never)
  func partition(_ positions: Range<Int>, below pivot: S, along d: Int, _ aside: UnsafeMutableRawPointer) -> Int {
    let offset = d &* MemoryLayout<S>.stride
    return cn_partition(
      S.self == Double.self, start(positions), positions.count, size, offset, Double(pivot), aside)
  }

  @inline(never)
  func partition(_ positions: Range<Int>, belowRow pivot: Int32, _ aside: UnsafeMutableRawPointer) -> Int {
    cn_partition_i32(start(positions), positions.count, size, rowOffset, pivot, aside)
  }

  @inline(__always)
  private func start(_ positions: Range<Int>) -> UnsafeMutableRawPointer { base + positions.lowerBound &* size }
}

/// Rows alone.
struct RowRecords<S: Scalar>: PointRecords {
  let points: PointsView<S>
  let base: UnsafeMutableRawPointer

  static var size: Int { MemoryLayout<Int32>.stride }
  @inline(__always) var size: Int { Self.size }
  @inline(__always) private var rows: UnsafeMutablePointer<Int32> { base.assumingMemoryBound(to: Int32.self) }

  func fill(_ positions: Range<Int>) {
    for position in positions { rows[position] = Int32(truncatingIfNeeded: position) }
  }

  @inline(__always)
  func row(_ position: Int) -> Int32 { rows[position] }

  @inline(__always)
  func coordinate(_ position: Int, _ d: Int) -> S { points.row(Int(rows[position]))[d] }

  func extend(_ low: UnsafeMutablePointer<S>, _ high: UnsafeMutablePointer<S>, _ positions: Range<Int>) {
    cn_extent_of_rows(
      S.self == Double.self, points.base, points.stride, rows + positions.lowerBound, positions.count, points.dim, low,
      high)
  }

  func partition(_ positions: Range<Int>, below pivot: S, along d: Int, _ aside: UnsafeMutableRawPointer) -> Int {
    cn_partition_rows(
      S.self == Double.self, rows + positions.lowerBound, positions.count, points.base + d, points.stride,
      Double(pivot), aside)
  }

  func partition(_ positions: Range<Int>, belowRow pivot: Int32, _ aside: UnsafeMutableRawPointer) -> Int {
    cn_partition_i32(rows + positions.lowerBound, positions.count, size, 0, pivot, aside)
  }
}
