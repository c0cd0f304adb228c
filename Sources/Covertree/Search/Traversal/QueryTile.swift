import CovertreeBase

/// Queries that follow each other and begin their searches together: the box around them, and how many are worth it.
final class QueryTile<S: Scalar> {
  private static var largest: Int { 32 }

  let low: UnsafeMutablePointer<S>
  let high: UnsafeMutablePointer<S>
  private let arena: Arena
  /// Halved whenever the frontier of a tile has no room: queries that lie far apart search one by one.
  private var size = QueryTile.largest

  init(dim: Int) throws(CoverTreeError) {
    arena = try Arena(Arena.size(dim, of: S.self), Arena.size(dim, of: S.self))
    (low, high) = (arena.allocate(dim), arena.allocate(dim))
  }

  /// Takes the next queries of a range.
  ///
  /// - Returns: which; empty where each is to search alone.
  @inline(__always)
  func next<D: Dimension>(
    from range: Range<Int>, _ dimension: D, row: (Int) -> UnsafePointer<S>
  ) -> Range<Int> {
    let taken = range.prefix(size)
    guard taken.count > 1 else { return range.prefix(0) }
    for d in 0..<dimension.count {
      low[d] = .infinity
      high[d] = -.infinity
    }
    for query in taken {
      let row = row(query)
      for d in 0..<dimension.count {
        low[d] = low[d] < row[d] ? low[d] : row[d]
        high[d] = high[d] > row[d] ? high[d] : row[d]
      }
    }
    return taken
  }

  /// Gathers the frontier of the queries that were taken, none of which wants what is farther than `reach`.
  @inline(__always)
  func gather<D: Dimension>(reach: S, _ search: inout KDTreeSearch<S, D>) throws(CoverTreeError) -> Bool {
    if try search.gather(low, high, reach: reach) { return true }
    size /= 2
    return false
  }
}
