import CovertreeBase

/// Projects points onto bases exactly. One thread uses it, for up to `most` points at a time.
final class Projector {
  private let model: ResidualModel
  private let points: PackedPoints
  private let stride: Int
  private var products: Buffer<Double>
  private var covariances: Buffer<Double>
  private var sums: Buffer<Double>
  private let squares: Buffer<Double>
  private var capacity = 0
  private(set) var count = 0

  init(_ model: ResidualModel, most: Int) throws(CoverTreeError) {
    self.model = model
    stride = (most + 31) / 32 * 32
    points = try PackedPoints(model, most: most)
    (products, covariances, sums) = (try Buffer(count: 0), try Buffer(count: 0), try Buffer(count: 0))
    squares = try Buffer(count: stride)
  }

  func load(_ count: Int, _ point: (Int) -> ExactQuery) {
    self.count = count
    points.load(count, point)
  }

  /// Loads points of the model.
  func load(_ positions: Range<Int>) { load(positions.count) { model.point(at: positions.lowerBound + $0) } }

  /// A bound of the rounding of a squared projection.
  func lost(_ i: Int, _ basis: Basis) -> Double { basis.lost(scale: points.scales[i] * model.variance.squareRoot()) }

  /// - Parameters:
  ///   - target: panels of 32 points, `paddedRank` coordinates each.
  ///   - squaredLengths: of the projections; nil if they are not wanted.
  func project(
    onto basis: Basis, into target: UnsafeMutablePointer<Float>, squaredLengths: UnsafeMutablePointer<Double>? = nil
  ) throws(CoverTreeError) {
    let (count, rank, pivots) = (count, basis.paddedRank, basis.pivots.count)
    try makeRoom(rank, pivots)
    multiply(
      basis.features.view, rows: 0..<rank, points.features.view, into: products.base, stride: stride
    ) { _ in count }
    try model.covariance.fill(
      rows: basis.rows.base, rowCount: pivots, columns: points.rows.base, panels: points.panels.view,
      columnCount: count, into: covariances.base, stride: stride)
    let (narrow, wide) = (PanelView<Double>.panelRows, PanelView<Float>.panelRows)
    squares.base.update(repeating: 0, count: stride)
    for first in Swift.stride(from: 0, to: count, by: narrow) {
      let right = UnsafePointer((covariances.base + first).vectors)
      let (scales, lengths) = ((points.scales.base + first).vectors, (squares.base + first).vectors)
      let to = target + (first / wide &* rank &* wide + first % wide)
      for row in Swift.stride(from: 0, to: rank, by: tileRows) {
        multiplyTile(
          UnsafePointer(basis.combinations.view.row(row)), columnStride: narrow, right, right + 1,
          vectorStride: stride / 8, depth: pivots, into: sums.base, stride: narrow)
        for r in 0..<tileRows {
          let product = (products.base + ((row &+ r) &* stride &+ first)).vectors
          let sum = (sums.base + r &* narrow).vectors
          for half in 0..<2 {
            let coordinate = (sum[half] - product[half]) * scales[half]
            lengths[half] = Double.multiplyAdd(coordinate, coordinate, lengths[half])
            Float.store(coordinate, to + ((row &+ r) &* wide &+ half &* 8))
          }
        }
      }
    }
    squaredLengths?.update(from: squares.base, count: count)
  }

  private func makeRoom(_ rank: Int, _ pivots: Int) throws(CoverTreeError) {
    guard max(rank, pivots) > capacity else { return }
    capacity = max(rank, pivots)
    products = try Buffer(count: (capacity + tileRows) * stride)
    covariances = try Buffer(count: (capacity + tileRows) * stride)
    sums = try Buffer(count: tileRows * PanelView<Double>.panelRows)
  }
}
