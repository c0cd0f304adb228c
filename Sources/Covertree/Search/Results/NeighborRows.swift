import CovertreeBase

/// Writes the neighbours of queries. Use it through the concrete type.
protocol NeighborRows<S> {
  associatedtype S: Scalar
  func write(_ found: SortedNeighbors, _ query: QuerySet<S>.Query) throws(CoverTreeError)
}
