/// What the host gave, as it gave it: a file of the model is to have it.
final class ModelInputs: @unchecked Sendable {
  /// `count x dim`, by dataset index.
  let points: Buffer<Double>
  /// Rows of `dim`.
  let inducing: Buffer<Double>
  let pointHash: UInt64

  init(points: Buffer<Double>, inducing: Buffer<Double>, pointHash: UInt64) {
    (self.points, self.inducing, self.pointHash) = (points, inducing, pointHash)
  }

  convenience init(
    _ points: PointsView<Double>, _ source: FeatureSource, context: CallContext
  ) throws(CoverTreeError) {
    let inducing: Buffer<Double>
    if case .inducing(let view, _) = source { inducing = try view.copied() } else { inducing = try Buffer(count: 0) }
    try self.init(copying: points, inducing, context)
  }

  private convenience init(
    copying points: PointsView<Double>, _ inducing: Buffer<Double>, _ context: CallContext
  ) throws(CoverTreeError) {
    let copy = try points.copied()
    let view = PointsView(base: UnsafePointer(copy.base), count: points.count, dim: points.dim)
    try view.checkCoordinates(named: "points", context: context)
    self.init(points: copy, inducing: inducing, pointHash: try view.hash(context: context))
  }

  /// The points from an index on.
  func view(from first: Int = 0, dim: Int) -> PointsView<Double> {
    PointsView(base: UnsafePointer(points.base) + first * dim, count: points.count / dim - first, dim: dim)
  }

  func inducingView(dim: Int) -> PointsView<Double> {
    PointsView(base: UnsafePointer(inducing.base), count: inducing.count / dim, dim: dim)
  }

  /// Other points of the same process.
  func over(_ points: PointsView<Double>, context: CallContext) throws(CoverTreeError) -> ModelInputs {
    try ModelInputs(copying: points, inducing, context)
  }

  /// Some of the points, by dataset index.
  func alone(_ indices: [Int32], dim: Int) throws(CoverTreeError) -> ModelInputs {
    let some = try Buffer<Double>(count: indices.count * dim)
    for (row, index) in indices.enumerated() {
      (some.base + row * dim).update(from: points.base + Int(index) * dim, count: dim)
    }
    let view = PointsView(base: UnsafePointer(some.base), count: indices.count, dim: dim)
    return ModelInputs(
      points: some, inducing: try Buffer(count: 0), pointHash: try view.hash(context: CallContext()))
  }

  /// With more points.
  func extended(by points: PointsView<Double>, context: CallContext) throws(CoverTreeError) -> ModelInputs {
    let old = self.points
    let all = try Buffer<Double>(count: old.count + points.count * points.dim)
    all.base.update(from: old.base, count: old.count)
    points.copy(to: all.base + old.count)
    let first = old.count / points.dim
    let new = PointsView(base: UnsafePointer(all.base) + old.count, count: points.count, dim: points.dim)
    try new.checkCoordinates(named: "points", context: context)
    return ModelInputs(
      points: all, inducing: inducing, pointHash: pointHash &+ (try new.hash(context: context) { first + $0 }))
  }
}

/// Points by place: in the order of `BlockOrder`.
struct ArrangedPoints {
  let order: Buffer<Int32>
  let positions: Buffer<Int32>
  let coordinates: Buffer<Double>

  /// Whose places are known, from a file.
  ///
  /// - Returns: nil where the order is none: an index is out of range, or there twice.
  init?(order: Buffer<Int32>, coordinates: Buffer<Double>) throws(CoverTreeError) {
    (self.order, self.coordinates) = (order, coordinates)
    positions = try Buffer(count: order.count, filledWith: -1)
    for place in 0..<order.count {
      guard (0..<Int32(order.count)).contains(order[place]), positions[order[place]] < 0 else { return nil }
      positions[order[place]] = Int32(place)
    }
  }

  /// In the order of their indices.
  init(asTheyAre scaled: Buffer<Double>, count: Int) throws(CoverTreeError) {
    order = try Buffer(count: count)
    for index in 0..<count { order[index] = Int32(index) }
    (positions, coordinates) = (order, scaled)
  }

  /// - Parameter scaled: `count x dim`, by index.
  init(
    _ scaled: Buffer<Double>, count: Int, dim: Int, blockSize: Int, context: CallContext
  ) throws(CoverTreeError) {
    let view = PointsView(base: UnsafePointer(scaled.base), count: count, dim: dim)
    order = try BlockOrder(view, blockSize: blockSize, context: context).order
    positions = try Buffer(count: count)
    coordinates = try Buffer(count: count * dim)
    for place in 0..<count {
      positions[order[place]] = Int32(place)
      (coordinates.base + place * dim).update(from: scaled.base + Int(order[place]) * dim, count: dim)
    }
  }
}

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
  case .host(let host):
    // The host gives blocks of pairs; of small ones little but the diagonal is computed in vain.
    let diagonal = try Buffer<Double>(count: count)
    let side = 32
    let block = try Buffer<Double>(count: side * side)
    for first in Swift.stride(from: 0, to: count, by: side) {
      try context.poll()
      let inUse = min(side, count - first)
      try host.fill(points + first * dim, inUse, points + first * dim, inUse, block.base)
      for i in 0..<inUse { diagonal[first + i] = block[i * inUse + i] }
    }
    return diagonal
  }
}
