import CovertreeBase

/// An orthonormal basis of the span of some points' unit vectors in feature space: the pivots.
final class Basis: @unchecked Sendable {
  /// The number of pivots.
  let rank: Int
  /// `rank` rounded up to whole tiles; the extra basis vectors are zero.
  let paddedRank: Int
  /// The positions of the pivots.
  let pivots: [Int32]
  /// `L` of the pivots' residual correlations: it turns values at the pivots into coordinates in the basis.
  let factor: CholeskyFactor
  /// `L^-1`, its rows in panels.
  let inverse: Panels<Double>
  /// For the pivots: features, coordinates as rows and in panels, `1 / sqrt(p)`.
  let features: Panels<Double>
  let rows: Buffer<Double>
  let panels: Panels<Double>
  let scales: Buffer<Double>

  convenience init(_ factorisation: PivotedCholesky, _ model: ResidualModel) throws(CoverTreeError) {
    let factor = try CholeskyFactor(count: factorisation.rank) { row, column in
      factorisation.column(column)[factorisation.slots[row]]
    }
    try self.init(factorisation.pivots, factor, model)
  }

  /// - Parameter factor: the factor of the pivots' residual correlations.
  init(_ pivots: [Int32], _ factor: CholeskyFactor, _ model: ResidualModel) throws(CoverTreeError) {
    let (rank, dim) = (pivots.count, model.dim)
    self.rank = rank
    self.pivots = pivots
    self.factor = factor
    paddedRank = (rank + tileRows - 1) / tileRows * tileRows
    inverse = try factor.inverse()
    let (all, coordinates) = (UnsafePointer(model.features.base), UnsafePointer(model.coordinates.base))
    features = try Panels(rows: rank, columns: model.rank)
    features.view.pack(rank) { all + Int(pivots[$0]) * model.rank }
    rows = try Buffer(count: rank * dim)
    scales = try Buffer(count: (rank + 15) / 16 * 16, filledWith: 0)
    for k in 0..<rank {
      (rows.base + k * dim).update(from: coordinates + Int(pivots[k]) * dim, count: dim)
      scales[k] = model.scale[Int(pivots[k])]
    }
    panels = try Panels(rows: rank, columns: dim)
    panels.view.pack(rank) { coordinates + Int(pivots[$0]) * dim }
  }

  var byteCount: Int {
    inverse.elements.byteCount + features.elements.byteCount + rows.byteCount + panels.elements.byteCount
      + scales.byteCount
  }
}
