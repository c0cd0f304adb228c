import CovertreeBase

/// How far the neighbours of queries may be, from those of a few: many dimensions without structure leave little between them.
struct RadiusEstimate<S: Scalar> {
  let bytes: QuantizedPoints<S>
  let products: Bool
  /// By how much a squared distance exceeds that from the points' centre; or what a product is beside the query's length.
  let excess: Double

  func score(_ query: UnsafePointer<S>) -> Double {
    products ? excess * lengthOf(query, bytes.dim) : bytes.squaredLength(query) + excess
  }
}

/// The first queries of a call, and how far their last neighbours were.
final class PilotQueries<S: Scalar>: @unchecked Sendable {
  private let dim: Int
  private let queries: Buffer<S>
  private let farthest: Buffer<Double>
  private let taken = Counter()

  /// Bytes are compared where rounding to them hides no more than this share of a neighbour's distance.
  private static var hiddenShare: Double { 0.05 }

  init(_ count: Int, dim: Int) throws(CoverTreeError) {
    self.dim = dim
    queries = try Buffer(count: count * dim)
    farthest = try Buffer(count: count)
  }

  /// Takes down what one has found.
  func record(_ found: SortedNeighbors, _ query: QuerySet<S>.Query) {
    guard found.count > 0 else { return }
    let position = taken.next()
    (queries.base + position * dim).update(from: query.coordinates, count: dim)
    farthest[position] = found.squares[found.count - 1]
  }

  /// - Returns: nil where bytes hide too much beside what the pilots found.
  func estimate<Points: BruteForcePoints<S>>(_ points: Points, _ bytes: QuantizedPoints<S>) -> RadiusEstimate<S>? {
    var (excess, sizes) = (-Double.infinity, 0.0)
    for pilot in 0..<taken.value {
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
    guard bytes.remainder * Double(taken.value) <= Self.hiddenShare * sizes else { return nil }
    return RadiusEstimate(bytes: bytes, products: points.products, excess: excess)
  }
}
