import CovertreeBase

/// What a model keeps if its hyperparameters change: points, their order and conditioning sets, and inducing points.
///
/// Points are stored in blocks of near ones, so that the points of a set are near in memory: a *position* is a place there, a *rank* a
/// place in the order of the approximation, a *row* a place in the caller's arrays.
///
/// A part of a model (`VIFPart`) has points of its own, and behind them a *halo*: points of other parts that are in sets of its own. In the
/// caller's arrays the halo comes first. A whole model has no halo.
final class VIFPoints: @unchecked Sendable {
  private static let blockSize = 256

  let count: Int
  /// Positions below this are the model's own, the others are its halo.
  let ownCount: Int
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
  /// Of rows, for errors.
  private let names: Buffer<Int64>?
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
    let rowOfPosition = try Self.arranged(scaled, dim: dim, haloCount: inputs.haloCount, context)
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
    ownCount = points.count - inputs.haloCount
    names = try Self.copied(inputs.names)
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

  /// The row of each position: first the model's own points in blocks of near ones, then the halo.
  ///
  /// - Parameter scaled: `count x dim`, by row.
  private static func arranged(
    _ scaled: Buffer<Double>, dim: Int, haloCount: Int, _ context: CallContext
  ) throws(CoverTreeError) -> Buffer<Int32> {
    let count = scaled.count / dim
    let rowOfPosition = try Buffer<Int32>(count: count)
    var position = 0
    for rows in [haloCount..<count, 0..<haloCount] where !rows.isEmpty {
      let some = PointsView(
        base: UnsafePointer(scaled.base) + rows.lowerBound * dim, count: rows.count, dim: dim, stride: dim)
      let blocks = try BlockPartition(some, blockSize: blockSize, context: context)
      for row in blocks.order.elements {
        rowOfPosition[position] = Int32(rows.lowerBound) + row
        position += 1
      }
    }
    return rowOfPosition
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

  private static func copied(_ names: UnsafeBufferPointer<Int64>?) throws(CoverTreeError) -> Buffer<Int64>? {
    guard let names, let base = names.baseAddress else { return nil }
    let copy = try Buffer<Int64>(count: names.count)
    copy.base.update(from: base, count: names.count)
    return copy
  }

  /// What an error calls a position.
  func name(of position: Int) -> Int64 {
    let row = rowOfPosition[position]
    return names?[row] ?? Int64(row)
  }

  var inducingCount: Int { inducing.count / dim }

  var view: PointsView<Double> { PointsView(points, count: count, dim: dim) }
  var inducingView: PointsView<Double> { PointsView(inducing, count: inducingCount, dim: dim) }

  var byteCount: Int { points.byteCount + 3 * positionOfRow.byteCount + graph.byteCount + inducing.byteCount }
}
