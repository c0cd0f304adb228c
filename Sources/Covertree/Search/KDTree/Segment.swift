/// A k-d tree of points whose dataset indices lie in a range, and which of them have been removed.
///
/// The points of a tree are in a list of segments, the oldest and largest first. A segment never changes but for the marks of removed points,
/// which only later snapshots see. So snapshots share segments.
final class Segment<S: Scalar>: @unchecked Sendable {
  let boxes: KDTree<S>
  /// By place: the dataset index, or `noLabel` for places that hold no point that counts.
  let labels: Buffer<Int32>
  /// All labels are in this range.
  let indices: Range<Int>
  private let placeTable = Lazy<Buffer<Int32>>()
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

  /// The place of each dataset index of the range, -1 for those without a point. It is made when it is first asked for: O(n).
  func places() throws(CoverTreeError) -> Buffer<Int32> {
    try placeTable.get { () throws(CoverTreeError) in
      let table = try Buffer<Int32>(count: indices.count, filledWith: -1)
      for place in 0..<count where labels[place] != KDTree<S>.noLabel {
        table[Int(labels[place]) - indices.lowerBound] = Int32(place)
      }
      return table
    }
  }

  var byteCount: Int {
    boxes.byteCount + (placeTable.known?.byteCount ?? 0) + (graves.known?.byteCount ?? 0)
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
  /// Its first place, as all segments are numbered in a row.
  let firstPlace: Int
  /// The least index that a point of it may have; segments before it have lower ones.
  let firstLabel: Int
  private unowned(unsafe) let tombstones: Tombstones?
  private let time: UInt32

  /// A tree that is alone, and from which nothing is removed.
  init(_ tree: KDTree<S>) { self.init(tree, tree.labels, firstPlace: 0, firstLabel: 0, nil, 0) }

  /// - Parameter tombstones: nil if no point is removed.
  fileprivate init(_ segment: Segment<S>, firstPlace: Int, _ tombstones: Tombstones?, _ time: UInt32) {
    self.init(
      segment.boxes, segment.labels, firstPlace: firstPlace, firstLabel: segment.indices.lowerBound, tombstones, time)
  }

  private init(
    _ tree: KDTree<S>, _ labels: Buffer<Int32>, firstPlace: Int, firstLabel: Int, _ tombstones: Tombstones?,
    _ time: UInt32
  ) {
    boxes = UnsafePointer(tree.boxes.base)
    children = UnsafePointer(tree.children.base)
    smallestLabel = UnsafePointer(tree.smallestLabel.base)
    coordinates = UnsafePointer(tree.coordinates.base)
    self.labels = UnsafePointer(labels.base)
    (count, leafSize) = (tree.count, tree.leafSize)
    (self.firstPlace, self.firstLabel) = (firstPlace, firstLabel)
    (self.tombstones, self.time) = (tombstones, time)
  }

  /// The coordinates of the point at a place of the segment: every `width`-th scalar from here.
  @inline(__always)
  func point(_ place: Int, _ dim: Int) -> UnsafePointer<S> {
    // Without a sign: the division is a shift.
    let (group, lane) = UInt(bitPattern: place).quotientAndRemainder(dividingBy: UInt(S.width))
    return UnsafeRawPointer(coordinates + Int(bitPattern: group) &* dim).assumingMemoryBound(to: S.self)
      + Int(bitPattern: lane)
  }

  /// The dataset index of a point, by its place in the segment; `noLabel` if there is none, or it is removed.
  @inline(__always)
  func label(_ place: Int) -> Int32 {
    if let tombstones, tombstones.isRemoved(place, by: time) { return KDTree<S>.noLabel }
    return labels[place]
  }

  /// Which of the points of a group count for a query.
  ///
  /// - Parameter place: of the first.
  @inline(__always)
  func admitted(_ place: Int, _ eligible: IndexFilter) -> UInt32 {
    let lanes = S.maskAdmitted(labels + place, below: eligible.upperIndex, except: eligible.excludedIndex)
    guard let tombstones else { return lanes }
    return tombstones.remaining(lanes, from: place, by: time)
  }
}

extension Array {
  /// The segment in which a place is, and the number of the place in it.
  @inline(__always)
  func locate<S>(_ place: Int) -> (SegmentArrays<S>, Int) where Element == SegmentArrays<S> {
    var number = count &- 1
    while self[number].firstPlace > place { number &-= 1 }
    return (self[number], place &- self[number].firstPlace)
  }
}

/// A segment as one snapshot of a tree sees it.
struct SegmentView<S: Scalar>: @unchecked Sendable {
  let segment: Segment<S>
  let arrays: SegmentArrays<S>
  let removedCount: Int

  /// - Parameters:
  ///   - firstPlace: its first place, as all segments are numbered in a row.
  ///   - time: the last change that the snapshot sees.
  init(_ segment: Segment<S>, firstPlace: Int, removedCount: Int, time: UInt32) {
    (self.segment, self.removedCount) = (segment, removedCount)
    arrays = SegmentArrays(
      segment, firstPlace: firstPlace, removedCount == 0 ? nil : segment.tombstones, time)
  }

  var boxes: KDTree<S> { segment.boxes }
  var firstPlace: Int { arrays.firstPlace }
  var liveCount: Int { segment.count - removedCount }
  var places: Range<Int> { firstPlace..<firstPlace + segment.labels.count }

  /// The dataset index of a point, by its place in the segment; `noLabel` if there is none, or it is removed.
  @inline(__always)
  func label(_ place: Int) -> Int32 { arrays.label(place) }
}
