import CovertreeBase

/// Rows and dataset indices of the points of segments, and of new ones after them.
struct GatheredPoints<S: Scalar> {
  let view: PointsView<S>
  let indices: Buffer<Int32>
  private let rows: Buffer<S>

  var count: Int { view.count }

  init(
    _ views: ArraySlice<SegmentView<S>>, adding new: PointsView<S>?, from first: Int, context: CallContext
  ) throws(CoverTreeError) {
    let old = views.reduce(0) { $0 + $1.liveCount }
    let count = old + (new?.count ?? 0)
    let dim = new?.dim ?? views.first?.boxes.dim ?? 0
    rows = try Buffer(count: count * dim)
    indices = try Buffer(count: count)
    view = PointsView(rows, count: count, dim: dim)
    var next = 0
    for segment in views {
      try Self.copy(segment, to: rows.base + next * dim, indices.base + next, context)
      next += segment.liveCount
    }
    guard let new else { return }
    new.copy(to: rows.base + old * dim)
    for row in 0..<new.count { indices[old + row] = Int32(first + row) }
    // The copy is checked: the caller's array may change.
    try PointsView(base: rows.base + old * dim, count: new.count, dim: dim)
      .checkCoordinates(named: "points", context: context)
  }

  /// The points of some indices, in their order. O(n) for the first time, then O(m) for `m` indices.
  init(_ points: SearchPoints<S>, of given: Buffer<Int32>, context: CallContext) throws(CoverTreeError) {
    let (locator, dim) = (try PointLocator(points), points.dim)
    let copies = try PointCopies<S>(given.count, context) { number in
      guard let found = locator.locate(Int(given[number])) else { return nil }
      return (points.views[found.segment].boxes.coordinates(at: found.position), given[number])
    }
    rows = try Buffer(count: copies.count * dim)
    indices = try Buffer(count: copies.count)
    view = PointsView(rows, count: copies.count, dim: dim)
    try copies.copy(to: rows.base, indices.base, dim: dim, context)
  }

  private static func copy(
    _ view: SegmentView<S>, to rows: UnsafeMutablePointer<S>, _ indices: UnsafeMutablePointer<Int32>,
    _ context: CallContext
  ) throws(CoverTreeError) {
    let boxes = view.boxes
    let copies = try PointCopies<S>(boxes.count, context) { position in
      let index = view.index(position)
      return index == KDTree<S>.noIndex ? nil : (boxes.coordinates(at: position), index)
    }
    try copies.copy(to: rows, indices, dim: boxes.dim, context)
  }
}

/// Copies of the points that some numbers stand for, such as positions, in the order of the numbers.
private struct PointCopies<S: Scalar> {
  /// The coordinates of a point, every `width`-th scalar, and its index; nil if it is not copied.
  typealias Find = (Int) -> (coordinates: UnsafePointer<S>, index: Int32)?

  private let find: Find
  private let numbers: Int
  /// The number of points before each chunk of numbers, and in all.
  private let starts: Buffer<Int>

  private static var grain: Int { 1 << 14 }
  private var chunks: Int { starts.count - 1 }
  var count: Int { starts[chunks] }

  @inline(__always)
  init(_ numbers: Int, _ context: CallContext, _ find: @escaping Find) throws(CoverTreeError) {
    (self.numbers, self.find) = (numbers, find)
    let starts = try Buffer<Int>(count: (numbers + Self.grain - 1) / Self.grain + 1, filledWith: 0)
    try context.forEach(starts.count - 1, grain: 1) { (range, _) throws(CoverTreeError) in
      for chunk in range {
        for number in chunk * Self.grain..<min(numbers, (chunk + 1) * Self.grain) where find(number) != nil {
          starts[chunk + 1] += 1
        }
      }
    }
    for chunk in 0..<starts.count - 1 { starts[chunk + 1] += starts[chunk] }
    self.starts = starts
  }

  @inline(__always)
  func copy(
    to rows: UnsafeMutablePointer<S>, _ indices: UnsafeMutablePointer<Int32>, dim: Int, _ context: CallContext
  ) throws(CoverTreeError) {
    try context.forEach(chunks, grain: 1) { (range, _) throws(CoverTreeError) in
      for chunk in range {
        var next = starts[chunk]
        for number in chunk * Self.grain..<min(numbers, (chunk + 1) * Self.grain) {
          guard let (point, index) = find(number) else { continue }
          for d in 0..<dim { rows[next * dim + d] = point[d * S.width] }
          indices[next] = index
          next += 1
        }
      }
    }
  }
}
