/// The few points of a block that span the others, nearly, in the residual process.
///
/// With unit vectors `u_j` in feature space, `u_i . u_j = rho_ij`, a pivoted Cholesky factorisation of the block's residual
/// correlations picks pivots until every vector is within `tolerance` of their span. In an orthonormal basis of that span a
/// point has the coordinates `f_j` (a row of the factor), and what is left of it has the length `e_j`:
/// `|f_j|^2 + e_j^2 = |u_j|^2`. So for points of two blocks, where `B` has the inner products of the two bases,
///
///     | rho_ij - f_i^T B f_j |  <=  e_i |u_j| + |f_i| e_j  <=  (e_i + e_j) * 1.
///
/// Harbrecht, Peters and Schneider, "On the low-rank approximation by the pivoted Cholesky decomposition" (2012).
final class BlockSkeleton: @unchecked Sendable {
  /// Pivots.
  let rank: Int
  /// `rank` filled up to whole tiles; basis vectors that are there for that are zero.
  let paddedRank: Int
  /// `L` of the pivots' residual correlations: from values at the pivots to coordinates in the basis.
  let factor: CholeskyFactor
  /// `L^-1`, its rows in panels.
  let inverse: Panels<Double>
  /// `f_j` of each point of the block.
  let coordinates: Panels<Float>
  /// `e_j` of each point, rounded up; whole vectors.
  let errors: Buffer<Float>
  let largestError: Float
  let typicalError: Float
  /// What sums in float32 may lose of an estimate.
  let rounding: Float
  /// Of the pivots: features, coordinates as rows and in panels, `1 / sqrt(p)`.
  let pivotFeatures: Panels<Double>
  let pivotRows: Buffer<Double>
  let pivotPanels: Panels<Double>
  let pivotScales: Buffer<Double>

  /// - Parameter mostPivots: with so many the factorisation ends, whatever is left.
  init(
    of block: Int, in model: ResidualModel, tolerance: Double, mostPivots: Int, scratch: Scratch
  ) throws(CoverTreeError) {
    let places = model.places(ofBlock: block)
    let count = places.count
    let pivots = try scratch.factorise(places, of: model, tolerance: tolerance, mostPivots: mostPivots)
    rank = pivots.count
    paddedRank = (rank + tileRows - 1) / tileRows * tileRows
    let (columns, stride) = (scratch.columns.base, model.blockSize)
    factor = try CholeskyFactor(count: rank) { row, column in columns[column * stride + Int(pivots[row])] }

    inverse = try factor.inverse()
    coordinates = try Panels(rows: model.blockSize, columns: paddedRank)
    let rank = rank
    coordinates.elements.base.update(repeating: 0, count: coordinates.elements.count)
    for j in 0..<count {
      let target = coordinates.view.row(j)
      for k in 0..<rank { target[k * PanelView<Float>.panelRows] = Float(columns[k * stride + j]) }
    }
    errors = try Buffer(count: (model.blockSize + 15) / 16 * 16, filledWith: 0)
    // Sums of `rank` products of float32 numbers, twice: vectors of length 1, so this bounds what they lose.
    rounding = Float(2 * paddedRank + 16) * 0x1p-24
    for j in 0..<count {
      // The diagonal is a difference of numbers of the size of the variance, divided by p.
      let lost = 0x1p-46 * model.variance / model.residualVariance[places.lowerBound + j]
      errors[j] = Float.roundedUp((max(0, scratch.left[j]) + lost).squareRoot()) + rounding
    }
    largestError = errors.elements.max()!
    typicalError = errors.elements.prefix(count).sorted()[count / 2]

    let (dim, features) = (model.dim, UnsafePointer(model.features.base))
    pivotFeatures = try Panels(rows: rank, columns: model.rank)
    pivotFeatures.view.pack(rank) { features + (places.lowerBound + Int(pivots[$0])) * model.rank }
    pivotRows = try Buffer(count: rank * dim)
    pivotScales = try Buffer(count: (rank + 15) / 16 * 16, filledWith: 0)
    for k in 0..<rank {
      let place = places.lowerBound + Int(pivots[k])
      (pivotRows.base + k * dim).update(from: model.coordinates.base + place * dim, count: dim)
      pivotScales[k] = model.scale[place]
    }
    let rows = pivotRows
    pivotPanels = try Panels(rows: rank, columns: dim)
    pivotPanels.view.pack(rank) { UnsafePointer(rows.base) + $0 * dim }
  }

  var byteCount: Int {
    inverse.elements.byteCount + coordinates.elements.byteCount + errors.byteCount + pivotFeatures.elements.byteCount
      + pivotRows.byteCount
      + pivotPanels.elements.byteCount + pivotScales.byteCount
  }

  /// What one thread needs to make one skeleton after the other.
  final class Scratch {
    fileprivate let correlations: Buffer<Double>
    fileprivate let covariances: Buffer<Double>
    fileprivate let columns: Buffer<Double>
    fileprivate let left: Buffer<Double>
    private let features: Panels<Double>
    private let pivots: Buffer<Int32>

    init(_ model: ResidualModel) throws(CoverTreeError) {
      let size = model.blockSize
      correlations = try Buffer(count: size * size)
      covariances = try Buffer(count: size)
      columns = try Buffer(count: size * size)
      left = try Buffer(count: size)
      features = try Panels(rows: size, columns: model.rank)
      pivots = try Buffer(count: size)
    }

    /// Pivoted Cholesky of a block's residual correlations: column `k` of the factor is left in `columns`, and what
    /// remains of the diagonal in `left`.
    fileprivate func factorise(
      _ places: Range<Int>, of model: ResidualModel, tolerance: Double, mostPivots: Int
    ) throws(CoverTreeError) -> UnsafeBufferPointer<Int32> {
      let (count, stride) = (places.count, model.blockSize)
      try fillCorrelations(places, of: model)
      for j in 0..<count { left[j] = correlations[j * stride + j] }
      var found = 0
      while found < min(count, mostPivots) {
        var pivot = 0
        for j in 1..<max(1, count) where left[j] > left[pivot] { pivot = j }
        guard left[pivot] > tolerance * tolerance else { break }
        let column = columns.base + found * stride
        // Only the lower triangle of the correlations is there.
        for j in 0..<count { column[j] = correlations[max(j, pivot) * stride + min(j, pivot)] }
        for k in 0..<found {
          let before = columns.base + k * stride
          let factor = before[pivot]
          for j in 0..<count { column[j] -= before[j] * factor }
        }
        let inverse = 1 / left[pivot].squareRoot()
        for j in 0..<count {
          column[j] *= inverse
          left[j] -= column[j] * column[j]
        }
        left[pivot] = 0
        for k in 0..<found { columns[found * stride + Int(pivots[k])] = 0 }
        pivots[found] = Int32(pivot)
        found += 1
      }
      return UnsafeBufferPointer(start: pivots.base, count: found)
    }

    private func fillCorrelations(_ places: Range<Int>, of model: ResidualModel) throws(CoverTreeError) {
      let (count, stride) = (places.count, model.blockSize)
      let rows = UnsafePointer(model.features.base) + places.lowerBound * model.rank
      features.view.pack(count) { rows + $0 * model.rank }
      multiply(features.view, rows: 0..<count, features.view, into: correlations.base, stride: stride) { tile in
        min(tile + tileRows, count)
      }
      let panels = model.coordinatePanels.view.from(row: places.lowerBound)
      for i in 0..<count {
        let place = places.lowerBound + i
        try model.covariance.fill(
          rows: model.coordinates.base + place * model.dim, rowCount: 1,
          columns: model.coordinates.base + places.lowerBound * model.dim, panels: panels, columnCount: i + 1,
          into: covariances.base, stride: stride)
        let row = correlations.base + i * stride
        for j in 0...i {
          row[j] = (covariances[j] - row[j]) * (model.scale[place] * model.scale[places.lowerBound + j])
        }
      }
    }
  }
}
