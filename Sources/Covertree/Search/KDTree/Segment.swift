import CovertreeBase

/// A k-d tree of the points with dataset indices in a range, and marks for removed points.
///
/// The points of a tree are in a list of segments, the oldest and largest first. Only the marks of a segment change, and earlier
/// snapshots do not see them. So snapshots share segments.
final class Segment<S: Scalar>: @unchecked Sendable {
  let boxes: KDTree<S>
  /// By position: the dataset index, or `noIndex` for positions without a point that counts.
  let indices: Buffer<Int32>
  /// By lane of the boxes: the smallest index below it, or a lower one; `noIndex` if no point below it counts.
  let smallestIndex: Buffer<Int32>
  /// The range of all indices.
  let indexRange: Range<Int>
  /// The segment that this one has some of the points of, in the same positions; nil for all points.
  private let whole: Segment?
  private let positionTable = Lazy<Buffer<Int32>>()
  private let graves = Lazy<Tombstones>()

  /// - Parameter indices: in place of the boxes' own.
  init(_ boxes: KDTree<S>, indices: Buffer<Int32>? = nil, indexRange: Range<Int>) {
    (self.boxes, self.indices, self.indexRange) = (boxes, indices ?? boxes.indices, indexRange)
    (smallestIndex, whole) = (boxes.smallestIndex, nil)
  }

  /// Some points of another segment.
  init(_ whole: Segment, indices: Buffer<Int32>, smallestIndex: Buffer<Int32>) {
    (boxes, indexRange, self.whole) = (whole.boxes, whole.indexRange, whole)
    (self.indices, self.smallestIndex) = (indices, smallestIndex)
  }

  var count: Int { boxes.count }

  /// The marks of removed points, or nil.
  var tombstones: Tombstones? { graves.known }

  func makeTombstones() throws(CoverTreeError) -> Tombstones {
    try graves.get { () throws(CoverTreeError) in try Tombstones(count: indices.count) }
  }

  /// The position of each dataset index of the range, also of points that do not count, -1 for those without a point. Made on first use:
  /// O(n).
  func positions() throws(CoverTreeError) -> Buffer<Int32> {
    if let whole { return try whole.positions() }
    return try positionTable.get { () throws(CoverTreeError) in
      let table = try Buffer<Int32>(count: indexRange.count, filledWith: -1)
      for position in 0..<count where indices[position] != KDTree<S>.noIndex {
        table[Int(indices[position]) - indexRange.lowerBound] = Int32(position)
      }
      return table
    }
  }

  var byteCount: Int {
    boxes.byteCount + (positionTable.known?.byteCount ?? 0) + (graves.known?.byteCount ?? 0)
  }
}

/// Pointers to the arrays of a segment. The caller keeps the segment alive.
struct SegmentArrays<S: Scalar> {
  let boxes: UnsafePointer<S.Lanes>
  let children: UnsafePointer<Int32>
  let smallestIndex: UnsafePointer<Int32>
  let coordinates: UnsafePointer<S.Lanes>
  let indices: UnsafePointer<Int32>
  let count: Int
  let leafSize: Int
  /// Positions are counted through all segments.
  let firstPosition: Int
  /// The least index that a point may have; earlier segments have lower ones.
  let firstIndex: Int
  private unowned(unsafe) let tombstones: Tombstones?
  private let time: UInt32

  /// A tree of one segment without removed points.
  init(_ tree: KDTree<S>) {
    self.init(tree, (tree.indices, tree.smallestIndex), firstPosition: 0, firstIndex: 0, nil, 0)
  }

  /// - Parameter tombstones: nil if no point is removed.
  fileprivate init(
    _ tree: KDTree<S>, _ indices: (ofPoints: Buffer<Int32>, smallest: Buffer<Int32>), firstPosition: Int,
    firstIndex: Int, _ tombstones: Tombstones?, _ time: UInt32
  ) {
    boxes = UnsafePointer(tree.boxes.base)
    children = UnsafePointer(tree.children.base)
    smallestIndex = UnsafePointer(indices.smallest.base)
    coordinates = UnsafePointer(tree.coordinates.base)
    self.indices = UnsafePointer(indices.ofPoints.base)
    (count, leafSize) = (tree.count, tree.leafSize)
    (self.firstPosition, self.firstIndex) = (firstPosition, firstIndex)
    (self.tombstones, self.time) = (tombstones, time)
  }

  /// The coordinates of the point at a position of the segment: every `width`-th scalar from here.
  @inline(__always)
  func point(_ position: Int, _ dim: Int) -> UnsafePointer<S> { coordinates.point(position, dim) }

  /// The dataset index of the point at a position of the segment; `noIndex` if the point is removed or the position empty.
  @inline(__always)
  func index(_ position: Int) -> Int32 {
    if let tombstones, tombstones.isRemoved(position, by: time) { return KDTree<S>.noIndex }
    return indices[position]
  }

  /// The points of a group, from the first position on, that count for a query.
  @inline(__always)
  func admitted(_ position: Int, _ eligible: IndexFilter) -> UInt32 {
    let lanes = S.maskAdmitted(indices + position, below: eligible.upperIndex, except: eligible.excludedIndex)
    guard let tombstones else { return lanes }
    return tombstones.remaining(lanes, from: position, by: time)
  }
}

extension UnsafePointer where Pointee: SIMD {
  /// The coordinates of the point at a position of groups: every `width`-th scalar from here.
  @inline(__always)
  func point(_ position: Int, _ dim: Int) -> UnsafePointer<Pointee.Scalar> {
    // Unsigned, so that the division is a shift.
    let (group, lane) = UInt(bitPattern: position).quotientAndRemainder(dividingBy: UInt(Pointee.scalarCount))
    return (self + Int(bitPattern: group) &* dim).scalars + Int(bitPattern: lane)
  }
}

extension Array {
  /// The segment of a position, and the position in it.
  @inline(__always)
  func locate<S>(_ position: Int) -> (SegmentArrays<S>, Int) where Element == SegmentArrays<S> {
    var number = count &- 1
    while self[number].firstPosition > position { number &-= 1 }
    return (self[number], position &- self[number].firstPosition)
  }

  /// Copies the coordinates of the point at a position, or of the segment's first point if the position is empty.
  @inline(__always)
  func copy<S>(_ position: Int, dim: Int, into target: UnsafeMutablePointer<S>) where Element == SegmentArrays<S> {
    let (segment, inside) = locate(position)
    let point = segment.point(inside < segment.count ? inside : 0, dim)
    for d in 0..<dim { target[d] = point[d &* S.width] }
  }

  /// The segment of a position.
  @inline(__always)
  func view<S>(at position: Int) -> SegmentView<S> where Element == SegmentView<S> {
    var number = count &- 1
    while self[number].firstPosition > position { number &-= 1 }
    return self[number]
  }
}

/// A segment as one snapshot of a tree sees it.
struct SegmentView<S: Scalar>: @unchecked Sendable {
  let segment: Segment<S>
  let arrays: SegmentArrays<S>
  let removedCount: Int

  /// - Parameters:
  ///   - firstPosition: counted through all segments.
  ///   - time: the last change that the snapshot sees.
  init(_ segment: Segment<S>, firstPosition: Int, removedCount: Int, time: UInt32) {
    (self.segment, self.removedCount) = (segment, removedCount)
    arrays = SegmentArrays(
      segment.boxes, (segment.indices, segment.smallestIndex), firstPosition: firstPosition,
      firstIndex: segment.indexRange.lowerBound, removedCount == 0 ? nil : segment.tombstones, time)
  }

  var boxes: KDTree<S> { segment.boxes }
  var firstPosition: Int { arrays.firstPosition }
  var liveCount: Int { segment.count - removedCount }
  var positions: Range<Int> { firstPosition..<firstPosition + segment.indices.count }

  /// The dataset index of the point at a position of the segment; `noIndex` if the point is removed or the position empty.
  @inline(__always)
  func index(_ position: Int) -> Int32 { arrays.index(position) }
}
