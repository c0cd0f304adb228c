/// Points by place: in the order of `BlockOrder`.
struct ArrangedPoints {
  let order: Buffer<Int32>
  let positionOfIndex: Buffer<Int32>
  let coordinates: Buffer<Double>

  /// Whose places are known, from a file.
  ///
  /// - Returns: nil where the order is none: an index is out of range, or there twice.
  init?(order: Buffer<Int32>, coordinates: Buffer<Double>) throws(CoverTreeError) {
    (self.order, self.coordinates) = (order, coordinates)
    positionOfIndex = try Buffer(count: order.count, filledWith: -1)
    for place in 0..<order.count {
      guard (0..<Int32(order.count)).contains(order[place]), positionOfIndex[order[place]] < 0 else { return nil }
      positionOfIndex[order[place]] = Int32(place)
    }
  }

  /// In the order of their indices.
  init(asTheyAre scaled: Buffer<Double>, count: Int) throws(CoverTreeError) {
    order = try Buffer(count: count)
    for index in 0..<count { order[index] = Int32(index) }
    (positionOfIndex, coordinates) = (order, scaled)
  }

  /// - Parameter scaled: `count x dim`, by index.
  init(
    _ scaled: Buffer<Double>, count: Int, dim: Int, blockSize: Int, context: CallContext
  ) throws(CoverTreeError) {
    let view = PointsView(base: UnsafePointer(scaled.base), count: count, dim: dim)
    order = try BlockOrder(view, blockSize: blockSize, context: context).order
    positionOfIndex = try Buffer(count: count)
    coordinates = try Buffer(count: count * dim)
    for place in 0..<count {
      positionOfIndex[order[place]] = Int32(place)
      (coordinates.base + place * dim).update(from: scaled.base + Int(order[place]) * dim, count: dim)
    }
  }
}
