import CovertreeBase

/// An estimate of the distances of neighbours from a few queries: in many dimensions without structure, distances differ little.
struct RadiusEstimate<S: Scalar> {
  let bytes: QuantizedPoints<S>
  let products: Bool
  /// The k-th neighbour's squared distance less the query's from the points' centre; for products, the score relative to the query's
  /// length.
  let excess: Double

  func score(_ query: UnsafePointer<S>) -> Double {
    products ? excess * lengthOf(query, bytes.dim) : bytes.squaredLength(query) + excess
  }
}

/// The first queries of a call, and the distances of their last neighbours.
final class PilotQueries<S: Scalar>: @unchecked Sendable {
  private let dim: Int
  private let queries: Buffer<S>
  private let farthest: Buffer<Double>
  private let recorded = Counter()

  init(_ count: Int, dim: Int) throws(CoverTreeError) {
    self.dim = dim
    queries = try Buffer(count: count * dim)
    farthest = try Buffer(count: count)
  }

  /// Records the neighbours of one query.
  func record(_ found: SortedNeighbors, _ query: QuerySet<S>.Query) {
    guard found.count > 0 else { return }
    let position = recorded.next()
    (queries.base + position * dim).update(from: query.coordinates, count: dim)
    farthest[position] = found.squares[found.count - 1]
  }

  /// - Returns: nil if the rounding to bytes is large compared with what the pilots found.
  func estimate<Points: BruteForcePoints<S>>(_ points: Points, _ bytes: QuantizedPoints<S>) -> RadiusEstimate<S>? {
    var (excess, sizes) = (-Double.infinity, 0.0)
    for pilot in 0..<recorded.value {
      let query = UnsafePointer(queries.base + pilot * dim)
      if points.products {
        let length = lengthOf(query, points.dim)
        excess = max(excess, length > 0 ? farthest[pilot] / length : 0)
        sizes += points.longest
      } else {
        excess = max(excess, farthest[pilot] - bytes.squaredLength(query))
        sizes += farthest[pilot].squareRoot()
      }
    }
    guard bytes.suit(recorded.value, distances: sizes) else { return nil }
    return RadiusEstimate(bytes: bytes, products: points.products, excess: excess)
  }
}
