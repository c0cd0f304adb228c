import CovertreeBase

extension ResidualModel {
  /// Writes the least and then the largest coordinates of points.
  func fillBox(_ box: UnsafeMutablePointer<Double>, of positions: Range<Int>) {
    for d in 0..<dim { (box[d], box[dim + d]) = (.infinity, -.infinity) }
    for position in positions {
      let point = coordinates.base + position * dim
      for d in 0..<dim {
        box[d] = min(box[d], point[d])
        box[dim + d] = max(box[dim + d], point[d])
      }
    }
  }

  /// The boxes of all blocks.
  func boxesOfBlocks() throws(CoverTreeError) -> Buffer<Double> {
    let boxes = try Buffer<Double>(count: 2 * dim * blockCount)
    for block in 0..<blockCount { fillBox(boxes.base + 2 * dim * block, of: positions(ofBlock: block)) }
    return boxes
  }
}
