import CovertreeBase

/// Points as searches see them: the segments of one snapshot of a tree, or one k-d tree over rows that something else has.
///
/// A point has a *position*, its number among the positions of all segments, one segment after the other, and a *label*, its dataset index.
/// Immutable.
final class SearchPoints<S: Scalar>: @unchecked Sendable {
  /// The oldest first, whose indices are the lowest; it is the largest, too.
  let views: [SegmentView<S>]
  /// Where the segments' arrays are.
  let arrays: [SegmentArrays<S>]
  let dim: Int
  /// Points that searches find.
  let liveCount: Int
  /// Where the rows are that something else has; nil for points of a tree.
  private let rows: RowsElsewhere<S>?
  /// Of each segment: of each leaf, how many points before it count.
  private let liveBefore: [Lazy<Buffer<Int32>>]
  private let flattened = Lazy<FlatPoints<S>>()

  /// Segments of a tree, one or more.
  ///
  /// - Parameters:
  ///   - removedCounts: how many points of each segment are removed.
  ///   - time: the last change that searches see.
  init(_ segments: [Segment<S>], removedCounts: [Int], time: UInt32) {
    var (views, first): ([SegmentView<S>], Int) = ([], 0)
    views.reserveCapacity(segments.count)
    for (segment, removedCount) in zip(segments, removedCounts) {
      views.append(SegmentView(segment, firstPosition: first, removedCount: removedCount, time: time))
      first += segment.labels.count
    }
    self.views = views
    arrays = views.map(\.arrays)
    liveBefore = views.map { _ in Lazy() }
    dim = views[0].boxes.dim
    liveCount = views.reduce(0) { $0 + $1.liveCount }
    rows = nil
  }

  /// A k-d tree over rows that something else has.
  ///
  /// - Parameter labels: by position in the boxes; `noLabel` for points that do not count.
  init(_ boxes: KDTree<S>, labels: Buffer<Int32>, rows: RowsElsewhere<S>) {
    let segment = Segment(boxes, labels: labels, indices: 0..<rows.indexCount)
    views = [SegmentView(segment, firstPosition: 0, removedCount: 0, time: 0)]
    arrays = [views[0].arrays]
    liveBefore = [Lazy()]
    dim = boxes.dim
    liveCount = boxes.count
    self.rows = rows
  }

  /// Positions from the first one to that of the last point.
  var positionCount: Int { views[views.count - 1].firstPosition + views[views.count - 1].segment.count }

  /// The segment in which a position is.
  @inline(__always)
  func view(at position: Int) -> SegmentView<S> {
    var number = views.count &- 1
    while views[number].firstPosition > position { number &-= 1 }
    return views[number]
  }

  /// The coordinates of the point at a position: every `width`-th scalar from here.
  @inline(__always)
  func coordinates(at position: Int) -> UnsafePointer<S> {
    let (segment, inside) = arrays.locate(position)
    return segment.point(inside, dim)
  }

  /// The dataset index of the point at a position, removed or not.
  @inline(__always)
  func label(at position: Int) -> Int32 {
    let (segment, inside) = arrays.locate(position)
    return segment.labels[inside]
  }

  /// Copies the coordinates of the point at a position; of the segment's first point if there is none.
  @inline(__always)
  func copy(_ position: Int, into target: UnsafeMutablePointer<S>) {
    let (segment, inside) = arrays.locate(position)
    let point = segment.point(inside < segment.count ? inside : 0, dim)
    for d in 0..<dim { target[d] = point[d &* S.width] }
  }

  /// Positions of points that searches find, in the order of the leaves; nil if they are 0 ..< `liveCount`.
  func livePositions() throws(CoverTreeError) -> Buffer<Int32>? {
    if views.count == 1 && views[0].removedCount == 0 { return nil }
    let positions = try Buffer<Int32>(count: liveCount)
    var next = 0
    for view in views {
      for position in 0..<view.segment.count where view.label(position) != KDTree<S>.noLabel {
        positions[next] = Int32(view.firstPosition + position)
        next += 1
      }
    }
    return positions
  }

  /// How many points of a segment before each of its leaves, and all of them, count; nil where all points do.
  func liveBeforeLeaves(_ number: Int) throws(CoverTreeError) -> Buffer<Int32>? {
    let view = views[number]
    guard view.removedCount > 0 || view.segment.labels !== view.boxes.labels else { return nil }
    return try liveBefore[number].get { () throws(CoverTreeError) in
      let size = view.boxes.leafSize
      let before = try Buffer<Int32>(count: view.segment.labels.count / size + 1, filledWith: 0)
      for leaf in 0..<before.count - 1 {
        let live = (leaf * size..<(leaf + 1) * size).count { view.label($0) != KDTree<S>.noLabel }
        before[leaf + 1] = before[leaf] + Int32(live)
      }
      return before
    }
  }

  /// The points as a scan of all of them needs them, made when the first one comes.
  func flat(_ context: CallContext) throws(CoverTreeError) -> FlatPoints<S> {
    try flattened.get { () throws(CoverTreeError) in try FlatPoints(self, rows, context: context) }
  }

  /// Queries that a thread takes at a time: many neighbours along the curve, but fewer where one may scan for long.
  var queriesPerChunk: Int { CallContext.grain(operationsPerItem: positionCount * dim / S.width, most: 128) }

  /// Memory for the segments, and what was made of them.
  var byteCount: Int {
    views.reduce(flattened.known?.byteCount ?? 0) { $0 + $1.segment.byteCount }
  }
}

/// Rows that something else has, by label.
struct RowsElsewhere<S: Scalar>: @unchecked Sendable {
  let rows: PointsView<S>
  /// Label to row; nil if it is the row.
  let positionOfIndex: Buffer<Int32>?
  /// Keeps the rows.
  let owner: AnyObject

  var indexCount: Int { positionOfIndex?.count ?? rows.count }

  @inline(__always)
  subscript(label: Int32) -> UnsafePointer<S> { rows.row(positionOfIndex.map { Int($0[label]) } ?? Int(label)) }
}
