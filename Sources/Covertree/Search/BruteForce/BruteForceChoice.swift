import CovertreeBase

/// Whether to walk boxes or to compare with all points: the first queries of a call tell how much boxes keep out.
enum BruteForceChoice {
  /// So many queries tell.
  static var pilots: Int { 16 }
  /// Where a query is compared with more than this share of the points, comparing it with all of them by products of
  /// matrices costs less.
  static var share: Double { 0.25 }
  /// From so many dimensions on.
  static var dimensions: Int { 16 }

  /// Whether so many queries are worth pilots.
  static func isOpen(dim: Int, queries: Int) -> Bool { dim >= dimensions && queries >= 8 * pilots }

  static func favorsComparing(compared: Int, queries: Int, points: Int) -> Bool {
    Double(compared) > share * Double(queries * points)
  }

  /// Walks for each of some queries, or compares them with all points.
  ///
  /// - Parameters:
  ///   - walk: returns with how many points queries were compared.
  ///   - compare: returns false where it cannot.
  static func run(
    queries: Int, dim: Int, points: Int, walk: (Range<Int>) throws(CoverTreeError) -> Int,
    compare: (Range<Int>) throws(CoverTreeError) -> Bool
  ) throws(CoverTreeError) {
    guard isOpen(dim: dim, queries: queries) else {
      _ = try walk(0..<queries)
      return
    }
    let compared = try walk(0..<pilots)
    let rest = pilots..<queries
    if favorsComparing(compared: compared, queries: pilots, points: points), try compare(rest) { return }
    _ = try walk(rest)
  }
}
