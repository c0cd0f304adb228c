import CovertreeBase

/// The output arrays of a search in a tree: dataset indices and distances.
struct TreeRows<S: Scalar>: NeighborRows {
  let k: Int
  let indices: UnsafeMutablePointer<Int64>
  let distances: UnsafeMutablePointer<S>?
  let scores: UnsafeMutablePointer<Double>?
  /// Of the metric; nil for Euclidean distance.
  let root: MetricRoot?

  @inline(__always)
  func write(_ found: SortedNeighbors, _ query: QuerySet<S>.Query) throws(CoverTreeError) {
    let indices = indices + query.row &* k
    for rank in 0..<found.count { indices[rank] = found.indices[rank] }
    for rank in found.count..<k { indices[rank] = -1 }
    if let root { return writeDistances(found, query, root) }
    // Distances whose squares would underflow come first.
    var near = 0
    while near < found.count && found.squares[near] < Score.leastSquare { near &+= 1 }
    if let scores = scores.map({ $0 + query.row &* k }) {
      for rank in 0..<near { scores[rank] = Score.reported(found.squares[rank]) }
      for rank in near..<found.count { scores[rank] = found.squares[rank] }
      for rank in found.count..<k { scores[rank] = .infinity }
    }
    guard let distances else { return }
    let row = distances + query.row &* k
    for rank in 0..<near { row[rank] = S(Score.distance(found.squares[rank])) }
    for rank in near..<found.count { row[rank] = S(found.squares[rank].squareRoot()) }
    for rank in found.count..<k { row[rank] = .infinity }
  }

  @inline(never)
  private func writeDistances(_ found: SortedNeighbors, _ query: QuerySet<S>.Query, _ root: MetricRoot) {
    if let scores = scores.map({ $0 + query.row &* k }) {
      for rank in 0..<found.count { scores[rank] = found.squares[rank] }
      for rank in found.count..<k { scores[rank] = .infinity }
    }
    guard let distances else { return }
    let row = distances + query.row &* k
    root.fill(row, of: found.squares, count: found.count)
    for rank in found.count..<k { row[rank] = .infinity }
  }
}
