import CovertreeBase

/// The caller's input, unchanged, for files of the model.
final class ModelInputs: @unchecked Sendable {
  /// `count x dim`, by dataset index.
  let points: Buffer<Double>
  /// Rows of `dim`.
  let inducing: Buffer<Double>
  let pointHash: UInt64

  init(points: Buffer<Double>, inducing: Buffer<Double>, pointHash: UInt64) {
    (self.points, self.inducing, self.pointHash) = (points, inducing, pointHash)
  }

  convenience init(_ points: PointsView<Double>, _ source: FeatureSource, context: CallContext) throws(CoverTreeError) {
    let inducing: Buffer<Double>
    if case .inducing(let view, _) = source { inducing = try view.copied() } else { inducing = try Buffer(count: 0) }
    try self.init(copying: points, inducing, context)
  }

  private convenience init(
    copying points: PointsView<Double>, _ inducing: Buffer<Double>, _ context: CallContext
  ) throws(CoverTreeError) {
    let copy = try points.copied()
    let view = PointsView(copy, count: points.count, dim: points.dim)
    try view.checkCoordinates(named: "points", context: context)
    self.init(points: copy, inducing: inducing, pointHash: try view.hash(context: context))
  }

  /// The points from an index on.
  func view(from first: Int = 0, dim: Int) -> PointsView<Double> {
    PointsView(base: points.base + first * dim, count: points.count / dim - first, dim: dim)
  }

  func inducingView(dim: Int) -> PointsView<Double> {
    PointsView(inducing, count: inducing.count / dim, dim: dim)
  }

  /// Other points of the same process.
  func over(_ points: PointsView<Double>, context: CallContext) throws(CoverTreeError) -> ModelInputs {
    try ModelInputs(copying: points, inducing, context)
  }

  /// The input of some points, by index, with the inducing points. Its hash is not known: see `ResidualSearch.pointHash`.
  func keeping(_ indices: Buffer<Int64>, dim: Int) throws(CoverTreeError) -> ModelInputs {
    let some = try Buffer<Double>(count: indices.count * dim)
    for row in 0..<indices.count {
      (some.base + row * dim).update(from: points.base + Int(indices[row]) * dim, count: dim)
    }
    return ModelInputs(points: some, inducing: inducing, pointHash: 0)
  }

  /// The input of some points, by dataset index.
  func alone(_ indices: [Int32], dim: Int) throws(CoverTreeError) -> ModelInputs {
    let some = try Buffer<Double>(count: indices.count * dim)
    for (row, index) in indices.enumerated() {
      (some.base + row * dim).update(from: points.base + Int(index) * dim, count: dim)
    }
    let view = PointsView(some, count: indices.count, dim: dim)
    return ModelInputs(points: some, inducing: try Buffer(count: 0), pointHash: try view.hash(context: CallContext()))
  }

  /// The input with more points.
  func extended(by points: PointsView<Double>, context: CallContext) throws(CoverTreeError) -> ModelInputs {
    let old = self.points
    let all = try Buffer<Double>(count: old.count + points.count * points.dim)
    all.base.update(from: old.base, count: old.count)
    points.copy(to: all.base + old.count)
    let first = old.count / points.dim
    let new = PointsView(base: all.base + old.count, count: points.count, dim: points.dim)
    try new.checkCoordinates(named: "points", context: context)
    return ModelInputs(
      points: all, inducing: inducing, pointHash: pointHash &+ (try new.hash(context: context) { first + $0 }))
  }
}
