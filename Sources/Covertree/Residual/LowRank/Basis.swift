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
  /// The pivots.
  let points: PackedPoints

  convenience init(_ factorisation: PivotedCholesky, _ model: ResidualModel) throws(CoverTreeError) {
    let factor = try CholeskyFactor(count: factorisation.rank) { row, column in
      factorisation.column(column)[factorisation.slots[row]]
    }
    try self.init(factorisation.pivots, factor, model)
  }

  /// - Parameter factor: the factor of the pivots' residual correlations.
  init(_ pivots: [Int32], _ factor: CholeskyFactor, _ model: ResidualModel) throws(CoverTreeError) {
    rank = pivots.count
    self.pivots = pivots
    self.factor = factor
    paddedRank = (rank + tileRows - 1) / tileRows * tileRows
    inverse = try factor.inverse()
    points = try PackedPoints(model, most: rank)
    points.load(rank) { model.point(at: Int(pivots[$0])) }
  }

  var byteCount: Int { inverse.byteCount + points.byteCount }
}
