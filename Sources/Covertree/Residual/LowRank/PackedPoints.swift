import CovertreeBase

/// Points in the forms that blocks of residual correlations are computed from.
struct PackedPoints {
  let features: Panels<Double>
  /// Coordinates as rows, and in panels.
  let rows: Buffer<Double>
  let panels: Panels<Double>
  /// `1 / sqrt(p)`; whole vectors, 0 after the last point.
  let scales: Buffer<Double>

  init(_ model: ResidualModel, most: Int) throws(CoverTreeError) {
    features = try Panels(rows: most, columns: model.rank)
    rows = try Buffer(count: most * model.dim)
    panels = try Panels(rows: most, columns: model.dim)
    scales = try Buffer(count: (most + 15) / 16 * 16)
  }

  @inline(__always)
  func load(_ count: Int, _ point: (Int) -> ExactQuery) {
    let dim = panels.view.columns
    features.view.pack(count) { point($0).features }
    panels.view.pack(count) { point($0).coordinates }
    scales.base.update(repeating: 0, count: scales.count)
    for i in 0..<count {
      let point = point(i)
      (rows.base + i * dim).update(from: point.coordinates, count: dim)
      scales[i] = 1 / point.residualVariance.squareRoot()
    }
  }

  var byteCount: Int {
    features.byteCount + rows.byteCount + panels.byteCount + scales.byteCount
  }
}
