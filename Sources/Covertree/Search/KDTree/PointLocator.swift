/// Finds points by their labels, for as long as the points are there.
struct PointLocator<S: Scalar>: @unchecked Sendable {
  private let views: [SegmentView<S>]
  /// Of each segment: places by label, less the lowest one.
  private let tables: [Buffer<Int32>]

  /// The tables of the segments are made when they are first needed: O(n).
  init(_ points: SearchPoints<S>) throws(CoverTreeError) {
    views = points.views
    var tables: [Buffer<Int32>] = []
    for view in views { tables.append(try view.segment.places()) }
    self.tables = tables
  }

  /// The segment of a point that searches find, by its number, and the place in it; nil if there is no point of this label.
  @inline(__always)
  func locate(_ label: Int) -> (segment: Int, place: Int)? {
    var number = views.count &- 1
    while number > 0 && views[number].segment.indices.lowerBound > label { number &-= 1 }
    guard views[number].segment.indices.contains(label) else { return nil }
    let place = Int(tables[number][label &- views[number].segment.indices.lowerBound])
    guard place >= 0, views[number].label(place) != KDTree<S>.noLabel else { return nil }
    return (number, place)
  }

  /// The place of a point among those of all segments.
  func place(_ label: Int) -> Int? { locate(label).map { views[$0.segment].firstPlace + $0.place } }

  /// The coordinates of a point that a search has found: every `width`-th scalar from here.
  @inline(__always)
  func coordinates(_ label: Int32) -> UnsafePointer<S> {
    let found = locate(Int(label))!
    return views[found.segment].boxes.coordinates(at: found.place)
  }
}
