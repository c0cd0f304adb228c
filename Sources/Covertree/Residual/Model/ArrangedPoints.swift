import CovertreeBase

/// Points by position: in the order of `BlockPartition`.
struct ArrangedPoints {
  let order: Buffer<Int32>
  let positionOfIndex: Buffer<Int32>
  let coordinates: Buffer<Double>

  /// Points in an order from a file. Returns nil if an index of the order is out of range, or there twice.
  init?(order: Buffer<Int32>, coordinates: Buffer<Double>) throws(CoverTreeError) {
    (self.order, self.coordinates) = (order, coordinates)
    positionOfIndex = try Buffer(count: order.count, filledWith: -1)
    for position in 0..<order.count {
      guard (0..<Int32(order.count)).contains(order[position]), positionOfIndex[order[position]] < 0 else { return nil }
      positionOfIndex[order[position]] = Int32(position)
    }
  }

  /// Points in the order of their indices.
  init(asTheyAre scaled: Buffer<Double>, count: Int) throws(CoverTreeError) {
    order = try Buffer(counting: count)
    (positionOfIndex, coordinates) = (order, scaled)
  }

  /// - Parameter scaled: `count x dim`, by index.
  init(_ scaled: Buffer<Double>, count: Int, dim: Int, blockSize: Int, context: CallContext) throws(CoverTreeError) {
    let view = PointsView(scaled, count: count, dim: dim)
    order = try BlockPartition(view, blockSize: blockSize, context: context).order
    positionOfIndex = try Buffer(count: count)
    coordinates = try Buffer(count: count * dim)
    for position in 0..<count {
      positionOfIndex[order[position]] = Int32(position)
      (coordinates.base + position * dim).update(from: scaled.base + Int(order[position]) * dim, count: dim)
    }
  }
}
