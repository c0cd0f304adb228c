import CovertreeBase

/// A k-d tree of points whose dataset indices lie in a range, and which of them have been removed.
///
/// The points of a tree are in a list of segments, the oldest and largest first. A segment never changes but for the marks of removed
/// points, which only later snapshots see. So snapshots share segments.
final class Segment<S: Scalar>: @unchecked Sendable {
  let boxes: KDTree<S>
  /// By position: the dataset index, or `noLabel` for positions that hold no point that counts.
  let labels: Buffer<Int32>
  /// All labels are in this range.
  let indices: Range<Int>
  private let positionTable = Lazy<Buffer<Int32>>()
  private let graves = Lazy<Tombstones>()

  /// - Parameter labels: in place of the boxes' own.
  init(_ boxes: KDTree<S>, labels: Buffer<Int32>? = nil, indices: Range<Int>) {
    (self.boxes, self.labels, self.indices) = (boxes, labels ?? boxes.labels, indices)
  }

  var count: Int { boxes.count }

  /// The marks of removed points; nil if there are none.
  var tombstones: Tombstones? { graves.known }

  func makeTombstones() throws(CoverTreeError) -> Tombstones {
    try graves.get { () throws(CoverTreeError) in try Tombstones(count: labels.count) }
  }

  /// The position of each dataset index of the range, -1 for those without a point. It is made when it is first asked for: O(n).
  func positions() throws(CoverTreeError) -> Buffer<Int32> {
    try positionTable.get { () throws(CoverTreeError) in
      let table = try Buffer<Int32>(count: indices.count, filledWith: -1)
      for position in 0..<count where labels[position] != KDTree<S>.noLabel {
        table[Int(labels[position]) - indices.lowerBound] = Int32(position)
      }
      return table
    }
  }

  var byteCount: Int {
    boxes.byteCount + (positionTable.known?.byteCount ?? 0) + (graves.known?.byteCount ?? 0)
  }
}

/// Where the arrays of a segment are. Who walks them keeps the segment.
struct SegmentArrays<S: Scalar> {
  let boxes: UnsafePointer<S.Lanes>
  let children: UnsafePointer<Int32>
  let smallestLabel: UnsafePointer<Int32>
  let coordinates: UnsafePointer<S.Lanes>
  let labels: UnsafePointer<Int32>
  let count: Int
  let leafSize: Int
  /// Its first position, as all segments are numbered in a row.
  let firstPosition: Int
  /// The least index that a point of it may have; segments before it have lower ones.
  let firstLabel: Int
  private unowned(unsafe) let tombstones: Tombstones?
  private let time: UInt32

  /// A tree that is alone, and from which nothing is removed.
  init(_ tree: KDTree<S>) { self.init(tree, tree.labels, firstPosition: 0, firstLabel: 0, nil, 0) }

  /// - Parameter tombstones: nil if no point is removed.
  fileprivate init(_ segment: Segment<S>, firstPosition: Int, _ tombstones: Tombstones?, _ time: UInt32) {
    self.init(
      segment.boxes, segment.labels, firstPosition: firstPosition, firstLabel: segment.indices.lowerBound, tombstones,
      time)
  }

  private init(
    _ tree: KDTree<S>, _ labels: Buffer<Int32>, firstPosition: Int, firstLabel: Int, _ tombstones: Tombstones?,
    _ time: UInt32
  ) {
    boxes = UnsafePointer(tree.boxes.base)
    children = UnsafePointer(tree.children.base)
    smallestLabel = UnsafePointer(tree.smallestLabel.base)
    coordinates = UnsafePointer(tree.coordinates.base)
    self.labels = UnsafePointer(labels.base)
    (count, leafSize) = (tree.count, tree.leafSize)
    (self.firstPosition, self.firstLabel) = (firstPosition, firstLabel)
    (self.tombstones, self.time) = (tombstones, time)
  }

  /// The coordinates of the point at a position of the segment: every `width`-th scalar from here.
  @inline(__always)
  func point(_ position: Int, _ dim: Int) -> UnsafePointer<S> {
    // Without a sign: the division is a shift.
    let (group, lane) = UInt(bitPattern: position).quotientAndRemainder(dividingBy: UInt(S.width))
    return UnsafeRawPointer(coordinates + Int(bitPattern: group) &* dim).assumingMemoryBound(to: S.self)
      + Int(bitPattern: lane)
  }

  /// The dataset index of a point, by its position in the segment; `noLabel` if there is none, or it is removed.
  @inline(__always)
  func label(_ position: Int) -> Int32 {
    if let tombstones, tombstones.isRemoved(position, by: time) { return KDTree<S>.noLabel }
    return labels[position]
  }

  /// Which of the points of a group count for a query.
  ///
  /// - Parameter position: of the first.
  @inline(__always)
  func admitted(_ position: Int, _ eligible: IndexFilter) -> UInt32 {
    let lanes = S.maskAdmitted(labels + position, below: eligible.upperIndex, except: eligible.excludedIndex)
    guard let tombstones else { return lanes }
    return tombstones.remaining(lanes, from: position, by: time)
  }
}

extension Array {
  /// The segment in which a position is, and the position in it.
  @inline(__always)
  func locate<S>(_ position: Int) -> (SegmentArrays<S>, Int) where Element == SegmentArrays<S> {
    var number = count &- 1
    while self[number].firstPosition > position { number &-= 1 }
    return (self[number], position &- self[number].firstPosition)
  }
}

/// A segment as one snapshot of a tree sees it.
struct SegmentView<S: Scalar>: @unchecked Sendable {
  let segment: Segment<S>
  let arrays: SegmentArrays<S>
  let removedCount: Int

  /// - Parameters:
  ///   - firstPosition: its first position, as all segments are numbered in a row.
  ///   - time: the last change that the snapshot sees.
  init(_ segment: Segment<S>, firstPosition: Int, removedCount: Int, time: UInt32) {
    (self.segment, self.removedCount) = (segment, removedCount)
    arrays = SegmentArrays(
      segment, firstPosition: firstPosition, removedCount == 0 ? nil : segment.tombstones, time)
  }

  var boxes: KDTree<S> { segment.boxes }
  var firstPosition: Int { arrays.firstPosition }
  var liveCount: Int { segment.count - removedCount }
  var positions: Range<Int> { firstPosition..<firstPosition + segment.labels.count }

  /// The dataset index of a point, by its position in the segment; `noLabel` if there is none, or it is removed.
  @inline(__always)
  func label(_ position: Int) -> Int32 { arrays.label(position) }
}
