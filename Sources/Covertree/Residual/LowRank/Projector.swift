import CovertreeBase

/// Projects points onto bases exactly: `E = L^-1 rho(P, q)`. One thread uses it, for up to `most` points at a time.
final class Projector {
  private let model: ResidualModel
  private let features: Panels<Double>
  private let panels: Panels<Double>
  private let rows: Buffer<Double>
  private let scales: Buffer<Double>
  private let stride: Int
  private var products: Buffer<Double>
  private var covariances: Buffer<Double>
  private var solved: Buffer<Double>
  private var capacity = 0
  private(set) var count = 0

  init(_ model: ResidualModel, most: Int) throws(CoverTreeError) {
    self.model = model
    stride = (most + 31) / 32 * 32
    features = try Panels(rows: most, columns: model.rank)
    panels = try Panels(rows: most, columns: model.dim)
    rows = try Buffer(count: most * model.dim)
    scales = try Buffer(count: stride, filledWith: 0)
    (products, covariances, solved) = (try Buffer(count: 0), try Buffer(count: 0), try Buffer(count: 0))
  }

  /// Takes points of the model.
  func load(_ positions: Range<Int>) {
    let (all, coordinates) = (UnsafePointer(model.features.base), UnsafePointer(model.coordinates.base))
    let first = positions.lowerBound
    load(
      positions.count, features: { all + (first + $0) * model.rank },
      coordinates: { coordinates + (first + $0) * model.dim }, scale: { model.scale[first + $0] })
  }

  /// Takes new points.
  func load(_ group: QueryGroup) {
    load(
      group.count, features: { group.features[$0] }, coordinates: { group.coordinates[$0] },
      scale: { 1 / group.residualVariance[$0].squareRoot() })
  }

  func load(_ new: NewPoints, _ rows: Range<Int>) {
    let (first, rank, dim) = (rows.lowerBound, model.rank, model.dim)
    let (all, coordinates) = (UnsafePointer(new.features.base), UnsafePointer(new.coordinates.base))
    load(
      rows.count, features: { all + (first + $0) * rank }, coordinates: { coordinates + (first + $0) * dim },
      scale: { 1 / new.residualVariance[first + $0].squareRoot() })
  }

  /// A bound of the rounding of a squared projection: solving for coordinates increases the errors of the correlations with pivots.
  func lost(_ i: Int, largestScale: Double) -> Double {
    0x1p-40 * model.variance * scales[i] * max(scales[i], largestScale)
  }

  private func load(
    _ count: Int, features source: (Int) -> UnsafePointer<Double>, coordinates: (Int) -> UnsafePointer<Double>,
    scale: (Int) -> Double
  ) {
    self.count = count
    let dim = model.dim
    features.view.pack(count, source)
    panels.view.pack(count, coordinates)
    scales.base.update(repeating: 0, count: stride)
    for i in 0..<count {
      (rows.base + i * dim).update(from: coordinates(i), count: dim)
      scales[i] = scale(i)
    }
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
      basis.features.view, rows: 0..<basis.rank, features.view, into: products.base, stride: stride
    ) { _ in count }
    try model.covariance.fill(
      rows: basis.rows.base, rowCount: basis.rank, columns: rows.base, panels: panels.view, columnCount: count,
      into: covariances.base, stride: stride)
    let (narrow, wide) = (PanelView<Double>.panelRows, PanelView<Float>.panelRows)
    let panel = solved.base
    for first in Swift.stride(from: 0, to: count, by: narrow) {
      panel.update(repeating: 0, count: rank * narrow)
      for t in 0..<basis.rank {
        let row = t * stride + first
        for lane in 0..<narrow {
          panel[t * narrow + lane] =
            (covariances[row + lane] - products[row + lane]) * (basis.scales[t] * scales[first + lane])
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
