import CovertreeBase

/// The few points of a block, or of a region of several blocks, whose span in the residual process nearly contains the others.
///
/// With unit vectors `u_j` in feature space, `u_i . u_j = rho_ij`, a pivoted Cholesky factorisation of residual correlations picks pivots
/// until every vector is within a tolerance of their span. In an orthonormal basis of that span a point has the coordinates `f_j` (a row
/// of the factor), and its residual has the norm `e_j`: `|f_j|^2 + e_j^2 = |u_j|^2`. So for points of two low-rank blocks, if `B` has the
/// inner products of the two bases,
///
///     | rho_ij - f_i^T B f_j |  <=  e_i |u_j| + |f_i| e_j  <=  (e_i + e_j) * 1.
///
/// Harbrecht, Peters and Schneider, "On the low-rank approximation by the pivoted Cholesky decomposition" (2012).
final class LowRankBlock: @unchecked Sendable {
  /// The points of the block.
  let positions: Range<Int>
  let basis: Basis
  /// `f_j` of each point.
  let coordinates: Panels<Float>
  /// `e_j` of each point, rounded up; whole vectors.
  let residualNorms: Buffer<Float>
  let maxResidualNorm: Float
  let medianResidualNorm: Float
  /// The rounding of an estimate by sums in float32.
  let rounding: Float

  var rank: Int { basis.rank }
  /// `rank` rounded up to whole tiles.
  var paddedRank: Int { basis.paddedRank }

  /// A low-rank block of one block: any of its points may be a pivot, up to `mostPivots`. The factorisation gives all coordinates.
  convenience init(
    ofBlock positions: Range<Int>, in model: ResidualModel, tolerance: Double, mostPivots: Int,
    factorisation: PivotedCholesky
  ) throws(CoverTreeError) {
    try factorisation.run(positions.map { Int32($0) }, tolerance: tolerance, mostPivots: mostPivots)
    let basis = try Basis(factorisation, model)
    let coordinates = try Panels<Float>(rows: positions.count, columns: basis.paddedRank)
    coordinates.elements.base.update(repeating: 0, count: coordinates.elements.count)
    for j in 0..<positions.count {
      let target = coordinates.view.row(j)
      for k in 0..<basis.rank { target[k * PanelView<Float>.panelRows] = Float(factorisation.column(k)[j]) }
    }
    try self.init(positions, basis, coordinates) { j in
      // The diagonal is a difference of two numbers as large as the variance, divided by p.
      let scale = model.scale[positions.lowerBound + j]
      return factorisation.residualNormsSquared[j] + 0x1p-46 * model.variance * scale * scale
    }
  }

  /// A low-rank block of a region: its pivots are pivots of its blocks, and every point is projected onto their span.
  convenience init(
    ofRegion blocks: ArraySlice<LowRankBlock>, in model: ResidualModel, tolerance: Double,
    factorisation: PivotedCholesky, projector: Projector
  ) throws(CoverTreeError) {
    let positions = blocks.first!.positions.lowerBound..<blocks.last!.positions.upperBound
    let candidates = blocks.flatMap(\.basis.pivots)
    try factorisation.run(candidates, tolerance: tolerance, mostPivots: candidates.count)
    let basis = try Basis(factorisation, model)
    let coordinates = try Panels<Float>(rows: positions.count, columns: basis.paddedRank)
    let lengths = try Buffer<Double>(count: positions.count)
    for block in blocks {
      let first = block.positions.lowerBound - positions.lowerBound
      projector.load(block.positions)
      try projector.project(onto: basis, into: coordinates.view.row(first), squaredLengths: lengths.base + first)
    }
    let largestScale = basis.points.scales.elements.max() ?? 0
    try self.init(positions, basis, coordinates) { j in
      let position = positions.lowerBound + j
      // Solving for coordinates increases the rounding errors of the correlations with pivots.
      let lost = 0x1p-40 * model.variance * model.scale[position] * max(model.scale[position], largestScale)
      return model.squaredLength(ofPosition: position) - lengths[j] + lost
    }
  }

  /// - Parameter residualNormSquared: a lower bound of the squared residual norm of each point.
  private convenience init(
    _ positions: Range<Int>, _ basis: Basis, _ coordinates: Panels<Float>, residualNormSquared: (Int) -> Double
  ) throws(CoverTreeError) {
    let residualNorms = try Buffer<Float>(count: (positions.count + 15) / 16 * 16, filledWith: 0)
    let rounding = Self.rounding(basis)
    for j in 0..<positions.count {
      residualNorms[j] = Float.roundedUp(max(0, residualNormSquared(j)).squareRoot()) + rounding
    }
    self.init(positions, basis, coordinates, residualNorms)
  }

  /// A low-rank block of known arrays.
  init(_ positions: Range<Int>, _ basis: Basis, _ coordinates: Panels<Float>, _ residualNorms: Buffer<Float>) {
    self.positions = positions
    self.basis = basis
    self.coordinates = coordinates
    self.residualNorms = residualNorms
    rounding = Self.rounding(basis)
    maxResidualNorm = residualNorms.elements.max()!
    medianResidualNorm = residualNorms.elements.prefix(positions.count).sorted()[positions.count / 2]
  }

  /// The rounding of two sums of `rank` products of float32 numbers of vectors of length 1.
  private static func rounding(_ basis: Basis) -> Float { Float(2 * basis.paddedRank + 16) * 0x1p-24 }

  var byteCount: Int { coordinates.elements.byteCount + residualNorms.byteCount + basis.byteCount }
}
