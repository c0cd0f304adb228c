import CovertreeBase

/// Points in the compact, equally large blocks of `KDPartition`. Inside a block they are sorted by index, so those before an index are
/// a prefix of it.
struct BlockPartition {
  let blockSize: Int
  /// Position to index.
  let order: Buffer<Int32>

  /// - Parameter points: all blocks but the last have exactly `blockSize` of them.
  init(_ points: PointsView<Double>, blockSize: Int, context: CallContext) throws(CoverTreeError) {
    self.blockSize = blockSize
    let order = try KDPartition(points, blockSize: blockSize, context: context).rows(context: context)
    self.order = order
    try context.forEach((points.count + blockSize - 1) / blockSize, grain: 16) { (range, _) throws(CoverTreeError) in
      for block in range {
        var members = UnsafeMutableBufferPointer(
          start: order.base + block * blockSize, count: min(blockSize, points.count - block * blockSize))
        members.sort()
      }
    }
  }
}
