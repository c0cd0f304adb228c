import CNumerics
import CovertreeBase

/// A point of the model, or a new one, from which exact distances are measured.
struct ExactQuery: BitwiseCopyable {
  let coordinates: UnsafePointer<Double>
  let features: UnsafePointer<Double>
  let residualVariance: Double
  /// Its dataset index; -1 for a new point.
  let index: Int32
}

extension ResidualModel {
  /// Squared residual-correlation distances in float64: the one formula by which neighbours are decided.
  ///
  /// - Parameters:
  ///   - positions: of up to eight points.
  ///   - covariances: with these points, if the caller's kernel has given them.
  func squaredDistances(
    from query: ExactQuery, to positions: SIMD8<Int32>, count: Int,
    covariances: SIMD8<Double> = SIMD8(repeating: 0)
  ) -> SIMD8<Double> {
    var covariances = covariances
    if case .kernel(let kernel) = covariance {
      var squared = SIMD8<Double>(repeating: 0)
      for lane in 0..<count {
        squared[lane] = squaredEuclidean(coordinates.base + Int(positions[lane]) &* dim, query.coordinates, dim: dim)
      }
      covariances = kernel.value(atSquared: squared)
    }
    let least = Self.relativeFloor * variance
    var squares = SIMD8<Double>(repeating: .infinity)
    for lane in 0..<count {
      let position = Int(positions[lane])
      if lane + 1 < count {
        let next = features.base + Int(positions[lane + 1]) &* rank
        cn_prefetch(next, Int64(min(1024, rank &* 8)))
      }
      let product = dot(query.features, features.base + position &* rank, count: rank)
      let norm = (query.residualVariance * residualVariance[position]).squareRoot()
      let rho = norm < least ? 0 : min(1, ((covariances[lane] - product) / norm).magnitude)
      squares[lane] = order[position] == query.index ? 0 : 1 - rho
    }
    return squares
  }
}

extension ResidualModel {
  func point(at position: Int) -> ExactQuery {
    ExactQuery(
      coordinates: UnsafePointer(coordinates.base) + position * dim,
      features: UnsafePointer(features.base) + position * rank, residualVariance: residualVariance[position],
      index: order[position])
  }

  /// The squared distance of two points of the model, by positions; for kernels of the library.
  func squaredDistance(_ a: Int32, _ b: Int32) -> Double {
    let (from, to) = (Int(min(a, b)), max(a, b))
    return squaredDistances(from: point(at: from), to: SIMD8(repeating: to), count: 1)[0]
  }
}

extension ResidualSearch {
  /// Distances of points of the dataset from `width` others each. For the index -1 they are infinite.
  public func distances(
    from rows: StoredIndices, to others: UnsafeBufferPointer<Int64>, width: Int, context: CallContext,
    distances: UnsafeMutablePointer<Double>
  ) throws(CoverTreeError) {
    try check(rows, named: "rows")
    for (slot, index) in others.enumerated() where index != -1 && !finds(index) {
      throw CoverTreeError(
        .notFound,
        "others[\(slot / width), \(slot % width)]: expected the index of a point below \(nextIndex), got \(index)")
    }
    let (ownRows, ownOthers) = (try numbers(rows.elements), try numbers(others))
    defer { withExtendedLifetime((ownRows, ownOthers)) {} }
    let (model, others) = (model, ownOthers?.elements ?? others)
    let elements = ownRows?.elements ?? rows.elements
    try context.forEach(elements.count, grain: 64) { (range, _) throws(CoverTreeError) in
      for row in range {
        for first in stride(from: 0, to: width, by: 8) {
          let count = min(8, width - first)
          try fill(
            UnsafeMutableBufferPointer(start: distances + row * width + first, count: count),
            from: Int(model.positionOfIndex[Int(elements[row])]), to: others.baseAddress! + row * width + first)
        }
      }
    }
  }

  private func fill(
    _ distances: UnsafeMutableBufferPointer<Double>, from position: Int, to others: UnsafePointer<Int64>
  ) throws(CoverTreeError) {
    var positions = SIMD8<Int32>(repeating: 0)
    for lane in 0..<distances.count { positions[lane] = model.positionOfIndex[Int(max(0, others[lane]))] }
    let query = model.point(at: position)
    var covariances = SIMD8<Double>(repeating: 0)
    if case .callback(let callback) = model.covariance {
      let points = try Buffer<Double>(count: distances.count * model.dim)
      for lane in 0..<distances.count {
        (points.base + lane * model.dim).update(
          from: model.coordinates.base + Int(positions[lane]) * model.dim, count: model.dim)
      }
      let block = try Buffer<Double>(count: distances.count)
      try callback.fill(query.coordinates, 1, points.base, distances.count, block.base)
      for lane in 0..<distances.count { covariances[lane] = block[lane] }
    }
    let found = model.squaredDistances(
      from: query, to: positions, count: distances.count, covariances: covariances)
    for lane in 0..<distances.count {
      distances[lane] = others[lane] < 0 ? .infinity : found[lane].squareRoot()
    }
  }
}
