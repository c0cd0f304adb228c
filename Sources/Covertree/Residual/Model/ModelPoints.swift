import CovertreeBase

/// Coordinates divided by the kernel's lengthscale.
func scaledCoordinates(
  _ points: PointsView<Double>, _ covariance: Covariance, _ context: CallContext
) throws(CoverTreeError) -> Buffer<Double> {
  let dim = points.dim
  let scaled = try Buffer<Double>(count: points.count * dim)
  let lengthscale = (0..<dim).map { covariance.lengthscale(ofDimension: $0) }
  try context.forEach(points.count, grain: 1 << 14) { (range, _) throws(CoverTreeError) in
    for index in range {
      let row = points.row(index)
      for d in 0..<dim {
        let x = row[d] / lengthscale[d]
        guard x.magnitude <= Double.coordinateLimit else {
          throw CoverTreeError(
            .invalidArgument, "points[\(index), \(d)]: \(row[d]) over the lengthscale \(lengthscale[d]) is beyond 2^500"
          )
        }
        scaled[index * dim + d] = x
      }
    }
  }
  return scaled
}

/// `k(x, x)` of each point.
func kernelDiagonal(
  _ covariance: Covariance, _ points: UnsafePointer<Double>, count: Int, dim: Int, context: CallContext
) throws(CoverTreeError) -> Buffer<Double> {
  switch covariance {
  case .kernel(let kernel): return try Buffer(count: count, filledWith: kernel.variance)
  case .callback(let callback):
    // The caller's kernel fills blocks of pairs. In small blocks little more than the diagonal is computed.
    let diagonal = try Buffer<Double>(count: count)
    let side = 32
    let block = try Buffer<Double>(count: side * side)
    for first in Swift.stride(from: 0, to: count, by: side) {
      try context.poll()
      let inUse = min(side, count - first)
      try callback.fill(points + first * dim, inUse, points + first * dim, inUse, block.base)
      for i in 0..<inUse { diagonal[first + i] = block[i * inUse + i] }
    }
    return diagonal
  }
}
