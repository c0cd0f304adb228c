import CovertreeBase

/// Finds points by index.
struct PointLocator<S: Scalar>: @unchecked Sendable {
  private let views: [SegmentView<S>]
  /// By segment: positions by index, less the lowest index.
  private let tables: [Buffer<Int32>]

  /// The tables of the segments are made on first use: O(n).
  init(_ points: SearchPoints<S>) throws(CoverTreeError) {
    views = points.views
    tables = try views.map { (view) throws(CoverTreeError) in try view.segment.positions() }
  }

  /// The number of the segment of a point that searches find, and the position in it; nil for other points.
  @inline(__always)
  func locate(_ index: Int) -> (segment: Int, position: Int)? {
    var number = views.count &- 1
    while number > 0 && views[number].segment.indexRange.lowerBound > index { number &-= 1 }
    guard views[number].segment.indexRange.contains(index) else { return nil }
    let position = Int(tables[number][index &- views[number].segment.indexRange.lowerBound])
    guard position >= 0, views[number].index(position) != KDTree<S>.noIndex else { return nil }
    return (number, position)
  }

  /// The position of a point, counted through all segments.
  func position(_ index: Int) -> Int? { locate(index).map { views[$0.segment].firstPosition + $0.position } }

  /// The coordinates of a point that a search has found: every `width`-th scalar from here.
  @inline(__always)
  func coordinates(_ index: Int32) -> UnsafePointer<S> {
    let found = locate(Int(index))!
    return views[found.segment].boxes.coordinates(at: found.position)
  }
}
