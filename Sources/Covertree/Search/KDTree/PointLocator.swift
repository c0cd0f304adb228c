import CovertreeBase

/// Finds points by their labels, for as long as the points are there.
struct PointLocator<S: Scalar>: @unchecked Sendable {
  private let views: [SegmentView<S>]
  /// Of each segment: positions by label, less the lowest one.
  private let tables: [Buffer<Int32>]

  /// The tables of the segments are made when they are first needed: O(n).
  init(_ points: SearchPoints<S>) throws(CoverTreeError) {
    views = points.views
    var tables: [Buffer<Int32>] = []
    for view in views { tables.append(try view.segment.positions()) }
    self.tables = tables
  }

  /// The segment of a point that searches find, by its number, and the position in it; nil if there is no point of this label.
  @inline(__always)
  func locate(_ label: Int) -> (segment: Int, position: Int)? {
    var number = views.count &- 1
    while number > 0 && views[number].segment.indices.lowerBound > label { number &-= 1 }
    guard views[number].segment.indices.contains(label) else { return nil }
    let position = Int(tables[number][label &- views[number].segment.indices.lowerBound])
    guard position >= 0, views[number].label(position) != KDTree<S>.noLabel else { return nil }
    return (number, position)
  }

  /// The position of a point among those of all segments.
  func position(_ label: Int) -> Int? { locate(label).map { views[$0.segment].firstPosition + $0.position } }

  /// The coordinates of a point that a search has found: every `width`-th scalar from here.
  @inline(__always)
  func coordinates(_ label: Int32) -> UnsafePointer<S> {
    let found = locate(Int(label))!
    return views[found.segment].boxes.coordinates(at: found.position)
  }
}
