import CovertreeBase

/// A few vectors in the span of the points of a block, or of a region of several blocks, that nearly contain all points.
///
/// With unit vectors `u_j` in feature space, `u_i . u_j = rho_ij`, a pivoted Cholesky factorisation of residual correlations picks pivots
/// until every vector is near their span, and `PrincipalSubspace` the part of it that matters. In an orthonormal basis of that part a point
/// has the coordinates `f_j`, and its residual has the norm `e_j`: `|f_j|^2 + e_j^2 = |u_j|^2`. So for points of two low-rank blocks, if `B`
/// has the inner products of the two bases,
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

  /// Of the tolerance: what the pivots may leave, and what their first ones leave that are as many as the basis has vectors.
  private static let (ofPivots, ofFirstPivots) = (0.8, 1.65)

  /// A low-rank block of one block: any of its points may be a pivot, up to `mostPivots`. The factorisation gives all coordinates.
  convenience init(
    ofBlock positions: Range<Int>, in model: ResidualModel, tolerance: Double, mostPivots: Int,
    factorisation: PivotedCholesky, context: CallContext
  ) throws(CoverTreeError) {
    try factorisation.run(
      positions.map { Int32($0) }, tolerance: tolerance * Self.ofPivots, mostPivots: mostPivots)
    let subspace = try PrincipalSubspace(
      factorisation.rank(tolerance: tolerance * Self.ofFirstPivots), of: factorisation, context: context)
    let coordinates = try Panels<Float>(rows: positions.count, columns: subspace.paddedRank)
    let gains = try subspace.project(factorisation, into: coordinates)
    let basis = try Basis(factorisation, subspace, model)
    let root = model.variance.squareRoot()
    try self.init(positions, basis, coordinates) { j in
      // The diagonal is a difference of two numbers as large as the variance, divided by p.
      let scale = root * model.scale[positions.lowerBound + j]
      return factorisation.residualNormsSquared[j] + gains[j] + 0x1p-46 * scale * scale + basis.lost(scale: scale)
    }
  }

  /// A low-rank block of a region: its pivots are pivots of its blocks, and every point is projected onto their span.
  convenience init(
    ofRegion blocks: ArraySlice<LowRankBlock>, in model: ResidualModel, tolerance: Double,
    factorisation: PivotedCholesky, projector: Projector, context: CallContext
  ) throws(CoverTreeError) {
    let positions = blocks.first!.positions.lowerBound..<blocks.last!.positions.upperBound
    let candidates = blocks.flatMap(\.basis.pivots)
    try factorisation.run(candidates, tolerance: tolerance * Self.ofPivots, mostPivots: candidates.count)
    let subspace = try PrincipalSubspace(
      factorisation.rank(tolerance: tolerance * Self.ofFirstPivots), of: factorisation, context: context)
    let basis = try Basis(factorisation, subspace, model)
    let coordinates = try Panels<Float>(rows: positions.count, columns: basis.paddedRank)
    let lengths = try Buffer<Double>(count: positions.count)
    for block in blocks {
      let first = block.positions.lowerBound - positions.lowerBound
      projector.load(block.positions)
      try projector.project(onto: basis, into: coordinates.view.row(first), squaredLengths: lengths.base + first)
    }
    let root = model.variance.squareRoot()
    try self.init(positions, basis, coordinates) { j in
      let position = positions.lowerBound + j
      return model.squaredLength(ofPosition: position) - lengths[j] + basis.lost(scale: root * model.scale[position])
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
