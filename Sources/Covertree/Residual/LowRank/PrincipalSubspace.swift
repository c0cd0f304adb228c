import CovertreeBase

/// The directions in the span of some pivots that hold most of all points' coordinates there.
///
/// A pivoted Cholesky factorisation needs about a third more pivots for an error than the best subspace needs dimensions. So there are
/// more pivots than wanted directions, and orthogonal iteration from the span of the first pivots improves it (Golub and Van Loan, "Matrix
/// Computations", 8.2.4). The directions need not be exact eigenvectors, only orthonormal.
struct PrincipalSubspace {
  private static let iterations = 2

  /// The number of directions.
  let rank: Int
  /// Each as coordinates in the basis of the pivots' Cholesky factor: `rank x pivots`, both padded with zeros to whole tiles.
  private(set) var directions: Panels<Double>

  var paddedRank: Int { (rank + tileRows - 1) / tileRows * tileRows }

  /// The span of the first pivots.
  init(_ rank: Int, of pivots: Int) throws(CoverTreeError) {
    self.rank = rank
    directions = try Self.zeros(rank, of: pivots)
    for i in 0..<rank { directions.view.row(i)[i * PanelView<Double>.panelRows] = 1 }
  }

  /// - Parameter rank: the number of directions.
  init(_ rank: Int, of factorisation: PivotedCholesky, context: CallContext) throws(CoverTreeError) {
    try self.init(rank, of: factorisation.rank)
    guard rank < factorisation.rank else { return }
    let moments = try Self.moments(factorisation)
    var directions = directions
    for iteration in 1...Self.iterations {
      var next = try Self.product(directions, moments, rank)
      // The second time removes the rounding of the first.
      for _ in 0..<(iteration < Self.iterations ? 1 : 2) {
        guard let orthonormal = try Self.orthonormal(next, rank, context: context) else { return }
        next = orthonormal
      }
      directions = next
    }
    self.directions = directions
  }

  private static func zeros(_ rank: Int, of pivots: Int) throws(CoverTreeError) -> Panels<Double> {
    let panels = try Panels<Double>(
      rows: (rank + tileRows - 1) / tileRows * tileRows, columns: (pivots + tileRows - 1) / tileRows * tileRows)
    panels.elements.base.update(repeating: 0, count: panels.elements.count)
    return panels
  }

  /// Sums over all candidates of the products of their coordinates.
  private static func moments(_ factorisation: PivotedCholesky) throws(CoverTreeError) -> Panels<Double> {
    let (pivots, width) = (factorisation.rank, PanelView<Double>.panelRows)
    let coordinates = try Panels<Double>(rows: pivots, columns: factorisation.candidateCount)
    coordinates.view.pack(pivots) { factorisation.column($0) }
    let stride = (pivots + width - 1) / width * width
    let products = try Buffer<Double>(count: stride * stride)
    multiply(coordinates.view, rows: 0..<pivots, coordinates.view, into: products.base, stride: stride) { _ in pivots }
    let moments = try zeros(pivots, of: pivots)
    for row in 0..<pivots {
      let target = moments.view.row(row)
      for column in 0..<pivots { target[column * width] = products[row * stride + column] }
    }
    return moments
  }

  /// The directions times a symmetric matrix.
  private static func product(
    _ directions: Panels<Double>, _ matrix: Panels<Double>, _ rank: Int
  ) throws(CoverTreeError) -> Panels<Double> {
    let (columns, width) = (matrix.view.columns, PanelView<Double>.panelRows)
    let stride = (columns + width - 1) / width * width
    let products = try Buffer<Double>(count: (rank + tileRows) * stride)
    multiply(directions.view, rows: 0..<rank, matrix.view, into: products.base, stride: stride) { _ in columns }
    let result = try zeros(rank, of: columns)
    result.view.pack(rank) { UnsafePointer(products.base) + $0 * stride }
    return result
  }

  /// An orthonormal basis of the span of some rows, by a Cholesky factorisation of their products. Returns nil if they are nearly
  /// linearly dependent.
  private static func orthonormal(
    _ rows: Panels<Double>, _ rank: Int, context: CallContext
  ) throws(CoverTreeError) -> Panels<Double>? {
    let (columns, width) = (rows.view.columns, PanelView<Double>.panelRows)
    let stride = (rank + width - 1) / width * width
    let products = try Buffer<Double>(count: (rank + tileRows) * stride)
    multiply(rows.view, rows: 0..<rank, rows.view, into: products.base, stride: stride) { _ in rank }
    guard let factor = try CholeskyFactor(products.base, count: rank, stride: stride, added: 0, context: context)
    else { return nil }
    let result = try zeros(rank, of: columns)
    let panel = try Buffer<Double>(count: factor.paddedCount * width, filledWith: 0)
    for first in Swift.stride(from: 0, to: columns, by: width) {
      let inUse = min(width, columns - first)
      for row in 0..<rank {
        let source = rows.view.row(row)
        for lane in 0..<inUse { panel[row * width + lane] = source[(first + lane) * width] }
      }
      factor.solve(panel.base)
      for row in 0..<rank {
        let target = result.view.row(row)
        for lane in 0..<inUse { target[(first + lane) * width] = panel[row * width + lane] }
      }
    }
    return result
  }

  /// Writes the coordinates of all candidates along the directions. Returns the squared length of the rest of each candidate's coordinates
  /// in the basis of the factor.
  func project(_ factorisation: PivotedCholesky, into coordinates: Panels<Float>) throws(CoverTreeError) -> [Double] {
    let (count, width) = (factorisation.candidateCount, PanelView<Double>.panelRows)
    let stride = factorisation.stride
    let products = try Buffer<Double>(count: tileRows * width)
    var left = [Double](repeating: 0, count: count)
    for k in 0..<factorisation.rank {
      let column = factorisation.column(k)
      for j in 0..<count { left[j] += column[j] * column[j] }
    }
    coordinates.elements.base.update(repeating: 0, count: coordinates.elements.count)
    for first in Swift.stride(from: 0, to: count, by: width) {
      let right = UnsafePointer(UnsafeMutablePointer(mutating: factorisation.column(0) + first).vectors)
      for row in Swift.stride(from: 0, to: paddedRank, by: tileRows) {
        multiplyTile(
          UnsafePointer(directions.view.row(row)), columnStride: width, right, right + 1, vectorStride: stride / 8,
          depth: factorisation.rank, into: products.base, stride: width)
        for r in 0..<tileRows {
          for lane in 0..<min(width, count - first) {
            let coordinate = products[r * width + lane]
            left[first + lane] -= coordinate * coordinate
            coordinates.view.row(first + lane)[(row + r) * PanelView<Float>.panelRows] = Float(coordinate)
          }
        }
      }
    }
    return left
  }
}
