import CovertreeBase

/// One thread's sums from a query to the points of a leaf.
///
/// Euclidean ones are computed when a search reads them, in its own loop. For other metrics one call computes them for all groups of a
/// leaf.
struct LeafSums<S: Scalar, D: MetricSpace> {
  private let dimension: D
  private let sums: UnsafeMutablePointer<S.Lanes>
  private let arena: Arena

  /// - Parameter leafSize: the largest.
  init(leafSize: Int, _ dimension: D) throws(CoverTreeError) {
    self.dimension = dimension
    let groups = leafSize / S.width
    arena = try Arena(Arena.size(groups, of: S.Lanes.self))
    sums = arena.allocate(groups)
  }

  /// Begins with a leaf. The query's coordinates are each in all lanes.
  ///
  /// - Parameter space: the metric, or its `straight` form.
  @inline(__always)
  func begin(_ query: UnsafePointer<S.Lanes>, _ leaf: UnsafePointer<S.Lanes>, leafSize: Int, in space: D) {
    guard !D.isEuclidean else { return }
    space.sums(S.self, query, toGroups: leaf, count: leafSize / S.width, into: sums)
  }

  /// The sums to a group of that leaf.
  @inline(__always)
  func sums(_ query: UnsafePointer<S.Lanes>, toGroup group: UnsafePointer<S.Lanes>, number: Int) -> S.Lanes {
    D.isEuclidean ? dimension.sums(S.self, query, toGroup: group) : sums[number]
  }
}
