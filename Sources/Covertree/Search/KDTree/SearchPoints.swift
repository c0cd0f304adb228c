import CovertreeBase

/// The points of a search: the segments of one snapshot of a tree, or one k-d tree over rows that are stored elsewhere. Immutable.
///
/// A point has a *position*, counted through all segments, and an *index*: its dataset index, or its slot in a vector index.
final class SearchPoints<S: Scalar>: @unchecked Sendable {
  /// The oldest and largest segment, with the lowest indices, first.
  let views: [SegmentView<S>]
  /// The arrays of the segments.
  let arrays: [SegmentArrays<S>]
  let dim: Int
  /// Points that searches find.
  let liveCount: Int
  /// The rows that are stored elsewhere; nil for the points of a tree.
  private let rows: RowsElsewhere<S>?
  /// The points that these are some of, in the same positions; nil for all points.
  private let whole: SearchPoints?
  /// By segment: the number of points that count before each leaf.
  private let liveBefore: [Lazy<Buffer<Int32>>]
  private let flattened = Lazy<FlatPoints<S>>()

  /// One or more segments of a tree.
  ///
  /// - Parameters:
  ///   - removedCounts: the number of removed points of each segment.
  ///   - time: the last change that searches see.
  ///   - whole: the points that these are some of, in the same positions.
  init(_ segments: [Segment<S>], removedCounts: [Int], time: UInt32, whole: SearchPoints? = nil) {
    var (views, first): ([SegmentView<S>], Int) = ([], 0)
    views.reserveCapacity(segments.count)
    for (segment, removedCount) in zip(segments, removedCounts) {
      views.append(SegmentView(segment, firstPosition: first, removedCount: removedCount, time: time))
      first += segment.indices.count
    }
    self.views = views
    arrays = views.map(\.arrays)
    liveBefore = views.map { _ in Lazy() }
    dim = views[0].boxes.dim
    liveCount = views.reduce(0) { $0 + $1.liveCount }
    (rows, self.whole) = (nil, whole)
  }

  /// A k-d tree over rows that are stored elsewhere. `indices` is by position in the boxes, `noIndex` for points that do not count.
  init(_ boxes: KDTree<S>, indices: Buffer<Int32>, rows: RowsElsewhere<S>) {
    let segment = Segment(boxes, indices: indices, indexRange: 0..<rows.indexCount)
    views = [SegmentView(segment, firstPosition: 0, removedCount: 0, time: 0)]
    arrays = [views[0].arrays]
    liveBefore = [Lazy()]
    dim = boxes.dim
    liveCount = boxes.count
    (self.rows, whole) = (rows, nil)
  }

  /// The number of positions up to the last point.
  var positionCount: Int { views[views.count - 1].firstPosition + views[views.count - 1].segment.count }

  /// The segment of a position.
  @inline(__always)
  func view(at position: Int) -> SegmentView<S> {
    views.view(at: position)
  }

  /// The coordinates of the point at a position: every `width`-th scalar from here.
  @inline(__always)
  func coordinates(at position: Int) -> UnsafePointer<S> {
    let (segment, inside) = arrays.locate(position)
    return segment.point(inside, dim)
  }

  /// The dataset index of the point at a position, removed or not.
  @inline(__always)
  func index(at position: Int) -> Int32 {
    let (segment, inside) = arrays.locate(position)
    return segment.indices[inside]
  }

  /// Copies the coordinates of the point at a position, or of the segment's first point if the position is empty.
  @inline(__always)
  func copy(_ position: Int, into target: UnsafeMutablePointer<S>) {
    arrays.copy(position, dim: dim, into: target)
  }

  /// Positions of points that searches find, in the order of the leaves; nil if these are 0 ..< `liveCount`.
  func livePositions() throws(CoverTreeError) -> Buffer<Int32>? {
    if views.count == 1 && views[0].removedCount == 0 { return nil }
    let positions = try Buffer<Int32>(count: liveCount)
    var next = 0
    for view in views {
      for position in 0..<view.segment.count where view.index(position) != KDTree<S>.noIndex {
        positions[next] = Int32(view.firstPosition + position)
        next += 1
      }
    }
    return positions
  }

  /// The number of points that count before each leaf of a segment, and in all of it; nil if all points count.
  func liveBeforeLeaves(_ number: Int) throws(CoverTreeError) -> Buffer<Int32>? {
    let view = views[number]
    guard view.removedCount > 0 || view.segment.indices !== view.boxes.indices else { return nil }
    return try liveBefore[number].get { () throws(CoverTreeError) in
      let size = view.boxes.leafSize
      let before = try Buffer<Int32>(count: view.segment.indices.count / size + 1, filledWith: 0)
      for leaf in 0..<before.count - 1 {
        let live = (leaf * size..<(leaf + 1) * size).count { view.index($0) != KDTree<S>.noIndex }
        before[leaf + 1] = before[leaf] + Int32(live)
      }
      return before
    }
  }

  /// The points for brute-force searches, made on first use.
  func flat(_ context: CallContext) throws(CoverTreeError) -> FlatPoints<S> {
    try flattened.get { () throws(CoverTreeError) in
      if let whole { return try FlatPoints(self, someOf: whole.flat(context)) }
      return try FlatPoints(self, rows, context: context)
    }
  }

  /// Queries of a thread's chunk: many neighbours along the curve, but fewer if one query may scan for long.
  var queriesPerChunk: Int { CallContext.grain(operationsPerItem: positionCount * dim / S.width, most: 128) }

  /// By coordinate that the caller gives: the largest magnitude less the origin of a metric.
  func reach(from metric: TreeMetric) -> [Double] {
    (0..<metric.dim).map { d in
      let origin = metric.parameters.origins[d]
      return views.reduce(0.0) { most, view in
        guard view.boxes.count > 0 else { return most }
        let (low, high) = view.boxes.extent(ofNode: 0, metric.firstGiven + d)
        return max(most, abs(Double(low) - origin), abs(Double(high) - origin))
      }
    }
  }

  /// Memory of the segments and of the points for brute force.
  var byteCount: Int {
    views.reduce(flattened.known?.byteCount ?? 0) { $0 + $1.segment.byteCount }
  }
}

/// Rows that are stored elsewhere, by index.
struct RowsElsewhere<S: Scalar>: @unchecked Sendable {
  let rows: PointsView<S>
  /// Index to row; nil if it is the row.
  let positionOfIndex: Buffer<Int32>?
  /// Keeps the rows alive.
  let owner: AnyObject

  var indexCount: Int { positionOfIndex?.count ?? rows.count }

  @inline(__always)
  subscript(index: Int32) -> UnsafePointer<S> { rows.row(positionOfIndex.map { Int($0[index]) } ?? Int(index)) }
}
