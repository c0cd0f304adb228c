/// Squared distances in the filter: in the coordinates' own type, `width` at a time.
extension Scalar {
  /// Distances from a query, each coordinate in all lanes, to the points of a group.
  @inline(__always)
  static func squaredDistances<D: Dimension>(
    _ query: UnsafePointer<Lanes>, toGroup group: UnsafePointer<Lanes>, _ dimension: D
  ) -> Lanes {
    var sum = Lanes(repeating: 0)
    for d in 0..<dimension.count {
      let difference = group[d] - query[d]
      sum = multiplyAdd(difference, difference, sum)
    }
    return sum
  }

  /// Distances from a box to the boxes of a node, whose lower and upper sides alternate.
  ///
  /// - Parameters:
  ///   - low: the lower sides of the box, each in all lanes. A query is a box with equal sides.
  ///   - high: the upper ones.
  @inline(__always)
  static func squaredDistances<D: Dimension>(
    _ low: UnsafePointer<Lanes>, _ high: UnsafePointer<Lanes>, toBoxes boxes: UnsafePointer<Lanes>, _ dimension: D
  ) -> Lanes {
    let zero = Lanes(repeating: 0)
    var sum = zero
    for d in 0..<dimension.count {
      let outside = maximum(maximum(boxes[2 &* d] - high[d], low[d] - boxes[2 &* d &+ 1]), zero)
      sum = multiplyAdd(outside, outside, sum)
    }
    return sum
  }
}
