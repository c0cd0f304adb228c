/// One state of a tree: immutable, shared by the searches that run on it and the views that were exported from it.
///
/// Insertion and removal make a new snapshot. What ran on the old one ends on the old one.
final class TreeSnapshot<S: Scalar>: @unchecked Sendable {
  let layout: TreeLayout<S>
  let boxes: BoxTree<S>
  /// By tree index: 1 for points that were removed; nil while there are none.
  let removed: Buffer<UInt8>?
  let removedCount: Int
  /// Dataset indices ever given: they stay below this.
  let indexCount: Int
  /// Dataset indices of the points, ascending; nil while they are 0 ..< count.
  let sparseIndices: Buffer<Int32>?
  /// Dataset index to tree index; -1 for points that are gone.
  let positions: Buffer<Int32>
  /// What searches see: labels are dataset indices.
  let points: SearchPoints<S>

  /// Points that searches find.
  var liveCount: Int { layout.count - removedCount }

  init(
    layout: TreeLayout<S>, boxes: BoxTree<S>, removed: Buffer<UInt8>?, indexCount: Int, context: CallContext
  ) throws(CoverTreeError) {
    self.layout = layout
    self.boxes = boxes
    self.removed = removed
    self.indexCount = indexCount
    removedCount = removed.map { $0.elements.reduce(0) { $0 + Int($1) } } ?? 0
    let positions = try Buffer<Int32>(count: indexCount, filledWith: -1)
    try context.forEach(layout.count, grain: 1 << 16) { (range, _) throws(CoverTreeError) in
      for t in range where removed?[t] != 1 { positions[layout.order[t]] = Int32(t) }
    }
    self.positions = positions
    points = SearchPoints(
      boxes, labels: try removedCount == 0 ? boxes.labels : Self.labels(of: boxes, withoutThoseAt: positions),
      rows: PointsView(base: UnsafePointer(layout.points.base), count: layout.count, dim: layout.dim),
      positions: positions, owner: layout)
    if layout.count - removedCount == indexCount {
      sparseIndices = nil
    } else {
      let indices = try Buffer<Int32>(count: layout.count - removedCount)
      var next = 0
      for index in 0..<indexCount where positions[index] >= 0 {
        indices[next] = Int32(index)
        next += 1
      }
      sparseIndices = indices
    }
  }

  /// The labels of boxes, `noLabel` in place of those that have no position any more.
  private static func labels(
    of boxes: BoxTree<S>, withoutThoseAt positions: Buffer<Int32>
  ) throws(CoverTreeError) -> Buffer<Int32> {
    let labels = try Buffer<Int32>(count: boxes.labels.count)
    for place in 0..<labels.count {
      let label = boxes.labels[place]
      labels[place] = label == BoxTree<S>.noLabel || positions[label] < 0 ? BoxTree<S>.noLabel : label
    }
    return labels
  }
}
