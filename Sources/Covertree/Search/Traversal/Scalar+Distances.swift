/// Sums of the filter (`MetricSpace`), squared distances in the Euclidean case: in the coordinates' own type, `width` at a time.
extension Scalar {
  /// Distances from a query, each coordinate in all lanes, to the points of a group.
  @inline(__always)
  static func squaredDistances<D: MetricSpace>(
    _ query: UnsafePointer<Lanes>, toGroup group: UnsafePointer<Lanes>, _ dimension: D
  ) -> Lanes {
    var sum = Lanes(repeating: 0)
    for d in 0..<dimension.summed {
      sum = dimension.adding(Self.self, group[d] - query[d], d, to: sum)
    }
    return sum
  }

  /// Distances from a box to the boxes of a node, whose lower and upper sides alternate.
  ///
  /// - Parameters:
  ///   - low: the lower sides of the box, each in all lanes. A query is a box with equal sides.
  ///   - high: the upper ones.
  @inline(__always)
  static func squaredDistances<D: MetricSpace>(
    _ low: UnsafePointer<Lanes>, _ high: UnsafePointer<Lanes>, toBoxes boxes: UnsafePointer<Lanes>, _ dimension: D
  ) -> Lanes {
    var sum = Lanes(repeating: 0)
    for d in 0..<dimension.summed {
      sum = dimension.addingOutside(
        Self.self, below: boxes[2 &* d] - high[d], above: low[d] - boxes[2 &* d &+ 1], d, to: sum)
    }
    return sum
  }
}
