import CovertreeBase

extension PointsView {
  /// A number by which a set of points is known again: the sum over points of a hash of index and coordinates, taken as
  /// float64. So a batch adds its own part, and the order in which points are looked at does not matter.
  ///
  /// - Parameter index: the dataset index of a row; nil for one that is left out.
  public func hash(context: CallContext, index: (Int) -> Int? = { $0 }) throws(CoverTreeError) -> UInt64 {
    let grain = 1 << 14
    let parts = try Buffer<UInt64>(count: (count + grain - 1) / grain)
    try context.forEach(count, grain: grain) { (range, _) throws(CoverTreeError) in
      var sum: UInt64 = 0
      for row in range {
        guard let index = index(row) else { continue }
        sum &+= hashOfPoint(index, self.row(row), dim: dim)
      }
      parts[range.lowerBound / grain] = sum
    }
    return parts.elements.reduce(0, &+)
  }
}

/// What one point adds to the number by which a set of points is known again.
func hashOfPoint<S: Scalar>(_ index: Int, _ coordinates: UnsafePointer<S>, dim: Int) -> UInt64 {
  var hash = splitMix64(UInt64(index))
  // Adding zero makes one of the two zeros.
  for d in 0..<dim { hash = splitMix64(hash ^ (Double(coordinates[d]) + 0).bitPattern) }
  return hash
}
