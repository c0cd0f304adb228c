import CovertreeBase

extension PointsView {
  /// A fingerprint of a set of points: the sum over points of a hash of index and coordinates, as float64. So a batch adds its own sum,
  /// and the order of points does not matter.
  ///
  /// - Parameter index: the dataset index of a row; nil for one that is left out.
  public func hash(context: CallContext, index: (Int) -> Int? = { $0 }) throws(CoverTreeError) -> UInt64 {
    let grain = 1 << 14
    let sums = try Buffer<UInt64>(count: (count + grain - 1) / grain)
    try context.forEach(count, grain: grain) { (range, _) throws(CoverTreeError) in
      var sum: UInt64 = 0
      for row in range {
        guard let index = index(row) else { continue }
        sum &+= hashOfPoint(index, self.row(row), dim: dim)
      }
      sums[range.lowerBound / grain] = sum
    }
    return sums.elements.reduce(0, &+)
  }
}

/// A point's contribution to the fingerprint.
func hashOfPoint<S: Scalar>(_ index: Int, _ coordinates: UnsafePointer<S>, dim: Int) -> UInt64 {
  var hash = splitMix64(UInt64(index))
  // Adding zero makes one of the two zeros.
  for d in 0..<dim { hash = splitMix64(hash ^ (Double(coordinates[d]) + 0).bitPattern) }
  return hash
}
