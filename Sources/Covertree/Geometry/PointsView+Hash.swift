import CovertreeBase

extension PointsView {
  /// A fingerprint of a set of points: the sum over points of a hash of index and coordinates, as float64. So a batch adds its own sum,
  /// and the order of points does not matter.
  ///
  /// - Parameter index: the dataset index of a row; nil for an omitted row.
  public func hash(context: CallContext, index: (Int) -> Int? = { $0 }) throws(CoverTreeError) -> UInt64 {
    try sumOfHashes(count, context) { (row, _) in
      guard let index = index(row) else { return 0 }
      return hashOfPoint(index, self.row(row), dim: dim)
    }
  }
}

/// The sum of the hashes of points; `hash` gets the number of a point, and the slot of its thread.
@inline(__always)
func sumOfHashes(
  _ count: Int, _ context: CallContext, _ hash: (_ point: Int, _ slot: Int) -> UInt64
) throws(CoverTreeError) -> UInt64 {
  let grain = 1 << 14
  let sums = try Buffer<UInt64>(count: (count + grain - 1) / grain)
  try context.forEach(count, grain: grain) { (range, slot) throws(CoverTreeError) in
    sums[range.lowerBound / grain] = range.reduce(0) { $0 &+ hash($1, slot) }
  }
  return sums.elements.reduce(0, &+)
}

/// A point's contribution to the fingerprint.
func hashOfPoint<S: Scalar>(_ index: Int, _ coordinates: UnsafePointer<S>, dim: Int) -> UInt64 {
  var hash = splitMix64(UInt64(index))
  // Adding zero turns -0 into 0.
  for d in 0..<dim { hash = splitMix64(hash ^ (Double(coordinates[d]) + 0).bitPattern) }
  return hash
}
