import CovertreeBase

/// Checks the segments of a snapshot. Every point that searches find is in the leaves once, with the coordinates of the cover tree. Boxes
/// contain the points below them. Dataset indices are in the segments' ranges.
struct SegmentRules<S: Scalar> {
  private let snapshot: TreeSnapshot<S>
  private let cover: CoverArrays<S>?

  init(_ snapshot: TreeSnapshot<S>, _ cover: CoverArrays<S>?) { (self.snapshot, self.cover) = (snapshot, cover) }

  func check(_ context: CallContext) throws(CoverTreeError) {
    let positions = try Buffer<Int32>(count: snapshot.indexCount, filledWith: -1)
    var lowest = 0
    for view in snapshot.points.views {
      guard view.segment.indexRange.lowerBound >= lowest else { throw broken("segments overlap at", lowest) }
      lowest = view.segment.indexRange.upperBound
      for position in 0..<view.segment.count {
        let index = Int(view.segment.indices[position])
        guard view.segment.indexRange.contains(index), index < positions.count, positions[index] < 0 else {
          throw broken("leaf: holds", index)
        }
        positions[index] = Int32(view.firstPosition + position)
      }
      var next = 0
      try check(view.boxes, below: 0, next: &next)
      guard next == view.boxes.count else { throw broken("leaves: too few points after", next) }
    }
    if let cover { try checkCover(cover, positions, context) }
  }

  /// The nodes that are not removed are the points that searches find.
  private func checkCover(
    _ cover: CoverArrays<S>, _ positions: Buffer<Int32>, _ context: CallContext
  ) throws(CoverTreeError) {
    let (points, layout) = (snapshot.points, cover.layout)
    let live = layout.count - cover.removedCount
    guard live == points.liveCount else {
      throw CoverTreeError(.corrupt, "cover tree: has \(live) points, searches find \(points.liveCount)")
    }
    try context.forEach(layout.count, grain: 4096) { (range, _) throws(CoverTreeError) in
      for t in range where cover.removed?[t] != 1 {
        let position = Int(positions[layout.order[t]])
        guard position >= 0 else { throw broken("no leaf holds", Int(layout.order[t])) }
        let view = points.view(at: position)
        guard view.index(position - view.firstPosition) == layout.order[t] else {
          throw broken("searches do not find", Int(layout.order[t]))
        }
        let point = points.coordinates(at: position)
        for d in 0..<layout.dim where point[d * S.width] != layout.points[t * layout.dim + d] {
          throw broken("coordinates in a leaf: differ for", Int(layout.order[t]))
        }
      }
    }
  }

  /// Checks the boxes of a node and all below it, whose points begin at the position `next`.
  private func check(_ boxes: KDTree<S>, below node: Int, next: inout Int) throws(CoverTreeError) {
    for lane in 0..<S.width {
      let first = next
      let child = boxes.children[node * S.width + lane]
      // A lane without a child has no box, and points end before it.
      guard first < boxes.count else { return }
      if child >= 0 {
        try check(boxes, below: Int(child), next: &next)
      } else {
        guard Int(~child) * boxes.leafSize == next else { throw broken("leaf: begins after", next) }
        next += boxes.pointCount(ofLeaf: Int(~child))
      }
      var smallest = Int32.max
      for position in first..<next {
        smallest = min(smallest, boxes.indices[position])
        for d in 0..<boxes.dim {
          let sides = boxes.boxes.base + (node * boxes.dim + d) * 2
          let x = boxes.coordinates(at: position)[d * S.width]
          guard sides[0][lane] <= x, x <= sides[1][lane] else {
            throw broken("box: does not hold", Int(boxes.indices[position]))
          }
        }
      }
      guard smallest == boxes.smallestIndex[node * S.width + lane] else {
        throw broken("smallest index in a box: is wrong at", Int(boxes.indices[first]))
      }
    }
  }

  private func broken(_ rule: String, _ index: Int) -> CoverTreeError {
    CoverTreeError(.corrupt, "\(rule) point \(index)")
  }
}
