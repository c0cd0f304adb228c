import CovertreeBase

/// Projects points onto bases exactly: `E = L^-1 rho(P, q)`. One thread uses it, for up to `most` points at a time.
final class Projector {
  private let model: ResidualModel
  private let points: PackedPoints
  private let stride: Int
  private var products: Buffer<Double>
  private var covariances: Buffer<Double>
  private var solved: Buffer<Double>
  private var capacity = 0
  private(set) var count = 0

  init(_ model: ResidualModel, most: Int) throws(CoverTreeError) {
    self.model = model
    stride = (most + 31) / 32 * 32
    points = try PackedPoints(model, most: most)
    (products, covariances, solved) = (try Buffer(count: 0), try Buffer(count: 0), try Buffer(count: 0))
  }

  func load(_ count: Int, _ point: (Int) -> ExactQuery) {
    self.count = count
    points.load(count, point)
  }

  /// Loads points of the model.
  func load(_ positions: Range<Int>) { load(positions.count) { model.point(at: positions.lowerBound + $0) } }

  /// A bound of the rounding of a squared projection: solving for coordinates increases the errors of the correlations with pivots.
  func lost(_ i: Int, largestScale: Double) -> Double {
    0x1p-40 * model.variance * points.scales[i] * max(points.scales[i], largestScale)
  }

  /// - Parameters:
  ///   - target: panels of 32 points, `paddedRank` coordinates each.
  ///   - squaredLengths: of the projections; nil if they are not wanted.
  func project(
    onto basis: Basis, into target: UnsafeMutablePointer<Float>, squaredLengths: UnsafeMutablePointer<Double>? = nil
  ) throws(CoverTreeError) {
    let (count, rank) = (count, basis.paddedRank)
    try makeRoom(rank)
    multiply(
      basis.points.features.view, rows: 0..<basis.rank, points.features.view, into: products.base, stride: stride
    ) { _ in count }
    try model.covariance.fill(
      rows: basis.points.rows.base, rowCount: basis.rank, columns: points.rows.base, panels: points.panels.view,
      columnCount: count, into: covariances.base, stride: stride)
    let (narrow, wide) = (PanelView<Double>.panelRows, PanelView<Float>.panelRows)
    let panel = solved.base
    for first in Swift.stride(from: 0, to: count, by: narrow) {
      panel.update(repeating: 0, count: rank * narrow)
      for t in 0..<basis.rank {
        let row = t * stride + first
        for lane in 0..<narrow {
          panel[t * narrow + lane] =
            (covariances[row + lane] - products[row + lane]) * (basis.points.scales[t] * points.scales[first + lane])
        }
      }
      basis.factor.solve(panel)
      let to = target + (first / wide * rank * wide + first % wide)
      for t in 0..<rank {
        for lane in 0..<narrow { to[t * wide + lane] = Float(panel[t * narrow + lane]) }
      }
      guard let squaredLengths else { continue }
      for lane in 0..<min(narrow, count - first) {
        var sum = 0.0
        for t in 0..<basis.rank { sum += panel[t * narrow + lane] * panel[t * narrow + lane] }
        squaredLengths[first + lane] = sum
      }
    }
  }

  private func makeRoom(_ rank: Int) throws(CoverTreeError) {
    guard rank > capacity else { return }
    capacity = rank
    products = try Buffer(count: (rank + tileRows) * stride)
    covariances = try Buffer(count: rank * stride)
    solved = try Buffer(count: rank * PanelView<Double>.panelRows)
  }
}
