import CovertreeBase

/// Orthonormal vectors in the span of some points' unit vectors in feature space: the pivots.
///
/// With `g_i` the residual of point `i` in the process, vector `a` is `sum over pivots i of A[a, i] g_i`. So its inner product with `g_q` is
/// `sum over i of A[a, i] k(x_i, x_q) - W_a . v_q`, where `W = A V`: the features of pivots are needed once.
final class Basis: @unchecked Sendable {
  /// The number of vectors.
  let rank: Int
  /// `rank` rounded up to whole tiles; the extra vectors are zero.
  let paddedRank: Int
  /// The positions of the pivots.
  let pivots: [Int32]
  /// `A`, with padded columns.
  let combinations: Panels<Double>
  /// `W`.
  let features: Panels<Double>
  /// The coordinates of the pivots, as rows and in panels.
  let rows: Buffer<Double>
  let panels: Panels<Double>
  /// Bounds of the two terms of an inner product: of the covariances, which are added, and of the features, which are subtracted.
  private let reach: (added: Double, subtracted: Double)

  /// Directions in the span of a factorisation's pivots. The subspace's memory becomes the combinations.
  convenience init(
    _ factorisation: PivotedCholesky, _ subspace: PrincipalSubspace, _ model: ResidualModel
  ) throws(CoverTreeError) {
    let factor = try CholeskyFactor(count: factorisation.rank) { row, column in
      factorisation.column(column)[factorisation.slots[row]]
    }
    let (combinations, width) = (subspace.directions, PanelView<Double>.panelRows)
    for first in Swift.stride(from: 0, to: subspace.paddedRank, by: width) {
      let panel = combinations.view.row(first)
      factor.solveTransposed(panel)
      for (i, pivot) in factorisation.pivots.enumerated() {
        for lane in 0..<width { panel[i * width + lane] *= model.scale[Int(pivot)] }
      }
    }
    try self.init(factorisation.pivots, rank: subspace.rank, combinations, model)
  }

  /// - Parameter combinations: `A`.
  init(_ pivots: [Int32], rank: Int, _ combinations: Panels<Double>, _ model: ResidualModel) throws(CoverTreeError) {
    (self.rank, self.pivots, self.combinations) = (rank, pivots, combinations)
    paddedRank = (rank + tileRows - 1) / tileRows * tileRows
    rows = try Buffer(count: pivots.count * model.dim)
    panels = try Panels(rows: pivots.count, columns: model.dim)
    panels.view.pack(pivots.count) { model.point(at: Int(pivots[$0])).coordinates }
    for (i, pivot) in pivots.enumerated() {
      (rows.base + i * model.dim).update(from: model.point(at: Int(pivot)).coordinates, count: model.dim)
    }
    features = try Self.features(pivots, combinations, paddedRank, model)
    var (sums, lengths) = (0.0, 0.0)
    for a in 0..<rank {
      var sum = 0.0
      for i in 0..<pivots.count { sum += combinations.view.row(a)[i * PanelView<Double>.panelRows].magnitude }
      sums += sum * sum
    }
    for element in features.elements.elements { lengths += element * element }
    reach = ((model.variance * sums).squareRoot(), lengths.squareRoot())
  }

  /// `A V`.
  private static func features(
    _ pivots: [Int32], _ combinations: Panels<Double>, _ paddedRank: Int, _ model: ResidualModel
  ) throws(CoverTreeError) -> Panels<Double> {
    let width = PanelView<Double>.panelRows
    let stride = (model.rank + width - 1) / width * width
    let own = try Buffer<Double>(count: pivots.count * stride, filledWith: 0)
    for (i, pivot) in pivots.enumerated() {
      (own.base + i * stride).update(from: model.point(at: Int(pivot)).features, count: model.rank)
    }
    let result = try Panels<Double>(rows: paddedRank, columns: model.rank)
    result.elements.base.update(repeating: 0, count: result.elements.count)
    let tile = try Buffer<Double>(count: tileRows * width)
    for row in Swift.stride(from: 0, to: paddedRank, by: tileRows) {
      for column in Swift.stride(from: 0, to: model.rank, by: width) {
        let vectors = (own.base + column).vectors
        multiplyTile(
          UnsafePointer(combinations.view.row(row)), columnStride: width, UnsafePointer(vectors),
          UnsafePointer(vectors + 1), vectorStride: stride / 8, depth: pivots.count, into: tile.base, stride: width)
        for r in 0..<tileRows {
          let target = result.view.row(row + r)
          for lane in 0..<min(width, model.rank - column) { target[(column + lane) * width] = tile[r * width + lane] }
        }
      }
    }
    return result
  }

  /// The most by which rounding changes the squared length of a projection, and half of it an inner product of the vectors of two bases.
  ///
  /// Let `u = 2^-53`, `n` the number of pivots, `s` the roundings of a product of features, and `a`, `w` the bounds in `reach`. The
  /// covariances and their sums with `A` on both sides change by at most `(2 n + 16) u a a'`, `W` by `n u a`, the products of features by
  /// `s u w w'`, and the correlations in the Cholesky factor, which make the vectors orthonormal, by `(s + 16) u a a'`. For two bases half
  /// of the sum of both bounds is at least the bound of their product.
  ///
  /// - Parameter scale: `1 / sqrt(p)` of the projected point, times the root of the variance.
  func lost(scale: Double) -> Double {
    let sum = reach.added + reach.subtracted
    let products = Double(roundings(inProductOf: features.view.columns))
    let fixed = 2 * Double(max(64, pivots.count)) + products + 32
    return 0x1p-52 * (fixed * sum * max(sum, scale) + products * reach.subtracted * max(reach.subtracted, scale))
  }

  var byteCount: Int { combinations.byteCount + features.byteCount + rows.byteCount + panels.byteCount }
}
