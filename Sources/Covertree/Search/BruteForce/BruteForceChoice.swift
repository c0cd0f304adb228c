import CovertreeBase

/// Whether to walk boxes or to compare with all points. The first queries of a call show how many points the boxes exclude.
enum BruteForceChoice {
  /// The number of pilot queries.
  static var pilots: Int { 16 }
  /// If a walk compares a query with more than this share of the points, products of matrices with all of them cost less.
  static var share: Double { 0.25 }
  /// The least number of dimensions.
  static var dimensions: Int { 16 }

  /// Whether a call has enough queries for pilots to pay. Products of matrices are for Euclidean distance.
  @inline(__always)
  static func isOpen<D: MetricSpace>(_: D.Type, dim: Int, queries: Int) -> Bool {
    D.isEuclidean && dim >= dimensions && queries >= 8 * pilots
  }

  /// Walks for each of some queries, or compares them with all points.
  ///
  /// - Parameters:
  ///   - walk: returns the number of points that queries were compared with.
  ///   - compare: returns false if it cannot.
  @inline(__always)
  static func run<D: MetricSpace>(
    _ space: D.Type, queries: Int, dim: Int, points: Int, walk: (Range<Int>) throws(CoverTreeError) -> Int,
    compare: (Range<Int>) throws(CoverTreeError) -> Bool
  ) throws(CoverTreeError) {
    guard isOpen(space, dim: dim, queries: queries) else {
      _ = try walk(0..<queries)
      return
    }
    let compared = try walk(0..<pilots)
    let rest = pilots..<queries
    if Double(compared) > share * Double(pilots * points), try compare(rest) { return }
    _ = try walk(rest)
  }
}
