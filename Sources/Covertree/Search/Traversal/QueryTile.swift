import CovertreeBase

/// Consecutive queries that begin their searches together, and the box around them.
final class QueryTile<S: Scalar> {
  private static var largest: Int { 32 }

  let low: UnsafeMutablePointer<S>
  let high: UnsafeMutablePointer<S>
  private let arena: Arena
  /// Halved if the frontier of a tile has no room: queries far apart are searched one by one.
  private var size = QueryTile.largest

  init(dim: Int) throws(CoverTreeError) {
    arena = try Arena(Arena.size(dim, of: S.self), Arena.size(dim, of: S.self))
    (low, high) = (arena.allocate(dim), arena.allocate(dim))
  }

  /// The next queries of a range. Returns their range; empty if each is searched alone.
  @inline(__always)
  func next<D: MetricSpace>(from range: Range<Int>, _ dimension: D, row: (Int) -> UnsafePointer<S>) -> Range<Int> {
    let tile = range.prefix(size)
    guard tile.count > 1 else { return range.prefix(0) }
    for d in 0..<dimension.summed {
      low[d] = .infinity
      high[d] = -.infinity
    }
    for query in tile {
      let row = row(query)
      for d in 0..<dimension.summed {
        low[d] = low[d] < row[d] ? low[d] : row[d]
        high[d] = high[d] > row[d] ? high[d] : row[d]
      }
    }
    return tile
  }

  /// Collects the frontier of the queries of the tile, each of which wants points within `reach`.
  @inline(__always)
  func gather<D: MetricSpace>(reach: S, _ search: inout KDTreeSearch<S, D>) throws(CoverTreeError) -> Bool {
    if try search.gather(low, high, reach: reach) { return true }
    size /= 2
    return false
  }
}
