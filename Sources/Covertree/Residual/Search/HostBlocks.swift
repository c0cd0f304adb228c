import CovertreeBase

/// The block that represents each of some queries that are not points of the model: the one whose box is nearest.
///
/// If the points of a model are dense, a query lies among the points of one block, whose basis nearly contains it. Then the products of bases
/// serve it as they serve the points of the block, and it is projected onto one basis in place of all.
struct HostBlocks {
  /// The least number of queries for each block: products of bases serve whole groups.
  private static let leastShare = 16

  let blocks: Buffer<Int32>

  /// Returns nil if there are too few queries, or no products of bases.
  init?(
    _ queries: OutsideQueries, _ lowRankBlocks: LowRankBlocks?, in model: ResidualModel, context: CallContext
  ) throws(CoverTreeError) {
    let (dim, count) = (model.dim, queries.count)
    guard let lowRankBlocks, lowRankBlocks.blocksPerRegion == 1, count >= Self.leastShare * model.blockCount else {
      return nil
    }
    let boxes = try model.boxesOfBlocks()
    let blocks = try Buffer<Int32>(count: count)
    try context.forEach(count, grain: 1 << 10) { (range, slot) throws(CoverTreeError) in
      try context.poll(inSlot: slot)
      for query in range {
        let point = queries.points[query].coordinates
        var nearest = Double.infinity
        for block in 0..<model.blockCount {
          let box = boxes.base + block * 2 * dim
          var squared = 0.0
          for d in 0..<dim {
            let beyond = max(0, box[d] - point[d], point[d] - box[dim + d])
            squared += beyond * beyond
          }
          if squared < nearest { (nearest, blocks[query]) = (squared, Int32(block)) }
        }
      }
    }
    self.blocks = blocks
  }
}
