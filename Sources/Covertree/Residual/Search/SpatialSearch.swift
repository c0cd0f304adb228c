import CovertreeBase

/// The search of a model without features whose kernel is one of the library. Its residual correlation is the kernel's own, which falls
/// with distance, so neighbours are sorted by their distances in space, over the lengthscales.
///
/// Far away a correlation is so small that `sqrt(1 - rho)` rounds to 1 for all points, or that it underflows, but distances in space
/// still differ. The search walks boxes and compares points by these distances, which are its scores.
final class SpatialSearch: @unchecked Sendable {
  private let model: ResidualModel
  private let points: SearchPoints<Double>
  private let counters = SearchCounters()

  init(_ model: ResidualModel, context: CallContext) throws(CoverTreeError) {
    self.model = model
    let view = PointsView(model.coordinates, count: model.count, dim: model.dim)
    let boxes = try KDTree(view, indices: model.order.base, leafSize: KDTree<Double>.defaultLeafSize, context: context)
    points = SearchPoints(
      boxes, indices: boxes.indices,
      rows: RowsElsewhere(rows: view, positionOfIndex: model.positionOfIndex, owner: model)
    )
  }

  var byteCount: Int { points.byteCount }

  /// - Parameter indices: dataset indices of the queries, one per row; nil for all points of the model.
  func nearest(
    toStored indices: UnsafeBufferPointer<Int64>?, k: Int, options: SearchOptions, context: CallContext,
    into rows: CorrelationRows
  ) throws(CoverTreeError) {
    guard let indices else { return try run(QuerySet(allOf: points), k, options, context, rows) }
    try run(QuerySet(stored: indices, in: points, context: context), k, options, context, rows)
  }

  func nearest(
    to new: NewPoints, k: Int, options: SearchOptions, context: CallContext, into rows: CorrelationRows
  ) throws(CoverTreeError) {
    let view = PointsView(new.coordinates, count: new.count, dim: model.dim)
    defer { withExtendedLifetime(new.coordinates) {} }
    try run(QuerySet(new: view, for: points, context: context), k, options, context, rows)
  }

  private func run(
    _ set: QuerySet<Double>, _ k: Int, _ options: SearchOptions, _ context: CallContext, _ rows: CorrelationRows
  ) throws(CoverTreeError) {
    try options.check(rows: set.count)
    try specialized(
      model.dim,
      NearestTask(set: set, points: points, k: k, options: options, context: context, counters: counters, rows: rows))
  }
}

/// The output arrays: dataset indices, residual-correlation distances, and scores, which are squared distances in space.
struct CorrelationRows: NeighborRows {
  typealias S = Double

  let model: ResidualModel
  let k: Int
  let indices: UnsafeMutablePointer<Int64>
  let distances: UnsafeMutablePointer<Double>?
  let scores: UnsafeMutablePointer<Double>?

  func write(_ found: SortedNeighbors, _ query: QuerySet<Double>.Query) throws(CoverTreeError) {
    let first = query.row &* k
    for rank in 0..<found.count { indices[first + rank] = found.indices[rank] }
    for rank in found.count..<k { indices[first + rank] = -1 }
    if let scores {
      for rank in 0..<found.count {
        scores[first + rank] = Score.reported(found.squares[rank])
      }
      for rank in found.count..<k { scores[first + rank] = .infinity }
    }
    guard let distances else { return }
    for rank in stride(from: 0, to: found.count, by: 8) { fill(distances + first, from: rank, found, query) }
    // The kernel is rounded, but a farther point must not get a smaller distance.
    for rank in stride(from: 1, to: found.count, by: 1) {
      distances[first + rank] = max(distances[first + rank], distances[first + rank - 1])
    }
    for rank in found.count..<k { distances[first + rank] = .infinity }
  }

  private func fill(
    _ distances: UnsafeMutablePointer<Double>, from rank: Int, _ found: SortedNeighbors, _ query: QuerySet<Double>.Query
  ) {
    let count = min(8, found.count - rank)
    var positions = SIMD8<Int32>(repeating: 0)
    for lane in 0..<count { positions[lane] = model.positionOfIndex[Int(found.indices[rank + lane])] }
    let squares = model.squaredDistances(
      from: ExactQuery(
        coordinates: query.coordinates, features: UnsafePointer(model.features.base),
        residualVariance: model.variance, index: query.index),
      to: positions, count: count)
    for lane in 0..<count { distances[rank + lane] = squares[lane].squareRoot() }
  }
}
