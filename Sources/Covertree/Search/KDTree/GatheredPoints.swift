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

  private static func copy(
    _ view: SegmentView<S>, to rows: UnsafeMutablePointer<S>, _ indices: UnsafeMutablePointer<Int32>,
    _ context: CallContext
  ) throws(CoverTreeError) {
    let (boxes, grain) = (view.boxes, 1 << 14)
    let chunks = (boxes.count + grain - 1) / grain
    let starts = try Buffer<Int>(count: chunks + 1, filledWith: 0)
    try context.forEach(chunks, grain: 1) { (range, _) throws(CoverTreeError) in
      for chunk in range {
        for position in chunk * grain..<min(boxes.count, (chunk + 1) * grain)
        where view.index(position) != KDTree<S>.noIndex {
          starts[chunk + 1] += 1
        }
      }
    }
    for chunk in 0..<chunks { starts[chunk + 1] += starts[chunk] }
    try context.forEach(chunks, grain: 1) { (range, _) throws(CoverTreeError) in
      for chunk in range {
        var next = starts[chunk]
        for position in chunk * grain..<min(boxes.count, (chunk + 1) * grain) {
          let index = view.index(position)
          guard index != KDTree<S>.noIndex else { continue }
          let point = boxes.coordinates(at: position)
          for d in 0..<boxes.dim { rows[next * boxes.dim + d] = point[d * S.width] }
          indices[next] = index
          next += 1
        }
      }
    }
  }
}
