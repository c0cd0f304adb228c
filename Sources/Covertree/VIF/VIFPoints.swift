import CovertreeBase

/// What a model keeps if its hyperparameters change: points, their order and conditioning sets, and inducing points.
///
/// Points are stored in blocks of near ones, so that the points of a set are near in memory: a *position* is a place there, a *rank* a
/// place in the order of the approximation, a *row* a place in the caller's arrays.
final class VIFPoints: @unchecked Sendable {
  private static let blockSize = 256

  let count: Int
  let dim: Int
  /// By position, as given.
  let points: Buffer<Double>
  let positionOfRow: Buffer<Int32>
  let rowOfPosition: Buffer<Int32>
  let positionOfRank: Buffer<Int32>
  let graph: ConditioningGraph
  /// Rows of `dim`.
  let inducing: Buffer<Double>
  /// Relative to the variance.
  let jitter: Double
  let memory = RecycledMemory()

  /// Points in blocks that are near over the lengthscales.
  convenience init(_ inputs: VIFModel.Inputs, context: CallContext) throws(CoverTreeError) {
    let (given, dim) = (inputs.points, inputs.points.dim)
    context.stage(from: 0, to: 0.1)
    // Everything is made from a copy, which is checked: another thread may write to the caller's array.
    let copy = try given.copied()
    let points = PointsView(copy, count: given.count, dim: dim)
    try points.checkCoordinates(named: "points", context: context)
    let scaled = try scaledCoordinates(points, inputs.covariance, context)
    defer { withExtendedLifetime((copy, scaled)) {} }
    let near = PointsView(scaled, count: given.count, dim: dim)
    let rowOfPosition = try BlockPartition(near, blockSize: Self.blockSize, context: context).order
    try self.init(points, inputs, rowOfPosition, context)
    context.stage(from: 0.1, to: 1)
  }

  /// - Parameters:
  ///   - points: checked, by row.
  ///   - rowOfPosition: each row once.
  init(
    _ points: PointsView<Double>, _ inputs: VIFModel.Inputs, _ rowOfPosition: Buffer<Int32>, _ context: CallContext
  ) throws(CoverTreeError) {
    (count, dim, self.rowOfPosition, jitter) = (points.count, points.dim, rowOfPosition, inputs.jitter)
    positionOfRow = try Buffer(count: count)
    self.points = try Buffer(count: count * dim)
    for position in 0..<count {
      let row = Int(rowOfPosition[position])
      positionOfRow[row] = Int32(position)
      (self.points.base + position * dim).update(from: points.row(row), count: dim)
    }
    positionOfRank = try Self.positions(inputs.order, positionOfRow)
    graph = try ConditioningGraph(offsets: inputs.offsets, ranks: inputs.neighbors, positionOfRank: positionOfRank)
    try inputs.inducing.checkCoordinates(named: "inducing_points", context: context)
    inducing = try inputs.inducing.copied()
  }

  private static func positions(
    _ order: UnsafeBufferPointer<Int64>?, _ positionOfRow: Buffer<Int32>
  ) throws(CoverTreeError) -> Buffer<Int32> {
    let count = positionOfRow.count
    let positions = try Buffer<Int32>(count: count)
    guard let order else {
      positions.base.update(from: positionOfRow.base, count: count)
      return positions
    }
    guard order.count == count else {
      throw CoverTreeError(.shape, "order: expected \(count) rows, one for each point, got \(order.count)")
    }
    let isUsed = try Buffer<Bool>(count: count, filledWith: false)
    for rank in 0..<count {
      guard (0..<Int64(count)).contains(order[rank]), !isUsed[Int(order[rank])] else {
        throw CoverTreeError(
          .invalidArgument, "order: expected every row from 0 to \(count - 1) once, got \(order[rank])")
      }
      isUsed[Int(order[rank])] = true
      positions[rank] = positionOfRow[Int(order[rank])]
    }
    return positions
  }

  var inducingCount: Int { inducing.count / dim }

  var view: PointsView<Double> { PointsView(points, count: count, dim: dim) }
  var inducingView: PointsView<Double> { PointsView(inducing, count: inducingCount, dim: dim) }

  var byteCount: Int { points.byteCount + 3 * positionOfRow.byteCount + graph.byteCount + inducing.byteCount }
}
