/// The work of searches.
public struct ResidualStatistics: Sendable {
  public var queries = 0
  /// Blocks that were compared with a query through low-rank blocks, and by features.
  public var blocksEstimated = 0
  public var blocksCompared = 0
  /// Points whose |rho| was bounded, and computed in float64.
  public var bounded = 0
  public var exact = 0
  public var searchSeconds = 0.0

  /// Counts the comparison of one query with some points of a block by their features.
  mutating func count(compared points: Int) {
    blocksCompared += 1
    bounded += points
  }

  static func += (a: inout ResidualStatistics, b: ResidualStatistics) {
    a.queries += b.queries
    a.blocksEstimated += b.blocksEstimated
    a.blocksCompared += b.blocksCompared
    a.bounded += b.bounded
    a.exact += b.exact
    a.searchSeconds += b.searchSeconds
  }
}
