import CovertreeBase

/// Where the neighbours of queries are written. To be known by its type where it is used.
protocol NeighborRows<S> {
  associatedtype S: Scalar
  func write(_ found: SortedNeighbors, _ query: QuerySet<S>.Query) throws(CoverTreeError)
}
