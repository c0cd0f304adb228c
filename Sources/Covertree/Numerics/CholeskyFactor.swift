import CovertreeBase

/// The Cholesky factor of a positive definite matrix, `A = L L^T`, in the layout of the triangular solve: strips of 8 rows, column by
/// column inside a strip.
///
/// The padding to whole strips is rows of a unit matrix, so solving leaves zeros there. Left-looking by panels of 16 columns: each is
/// solved against the factor so far, like any other panel (Golub and Van Loan, "Matrix Computations", 4.2). O(n^3 / 3).
final class CholeskyFactor: @unchecked Sendable {
  let count: Int
  /// `count` rounded up to whole strips.
  var paddedCount: Int { (count + tileRows - 1) / tileRows * tileRows }
  let strips: Buffer<Double>

  private static let panel = PanelView<Double>.panelRows

  /// - Parameters:
  ///   - matrix: its lower triangle, row-major, `stride` from row to row.
  ///   - added: to the diagonal.
  /// - Returns: nil if the matrix is not positive definite.
  init?(
    _ matrix: UnsafePointer<Double>, count: Int, stride: Int, added: Double, context: CallContext
  ) throws(CoverTreeError) {
    self.count = count
    strips = try Buffer(count: Self.stripElements(count), filledWith: 0)
    let width = Self.panel
    let columns = try Panels<Double>(rows: width, columns: paddedCount + width)
    let square = try Buffer<Double>(count: width * width)
    for first in Swift.stride(from: 0, to: count, by: width) {
      try context.poll()
      let inUse = min(width, count - first)
      let x = columns.view.base
      x.update(repeating: 0, count: (first + width) * width)
      for lane in 0..<inUse {
        for k in 0..<first { x[k * width + lane] = matrix[(first + lane) * stride + k] }
      }
      solve(x, rows: first)
      for half in 0..<width / tileRows {
        multiplyTile(
          UnsafePointer(x) + half * tileRows, columnStride: width, x.vectors, depth: first,
          into: square.base + half * tileRows * width, stride: width)
      }
      for row in 0..<inUse {
        for k in 0..<first { self[first + row, k] = x[k * width + row] }
        for column in 0...row {
          var sum = matrix[(first + row) * stride + first + column] - square[row * width + column]
          if row == column { sum += added }
          for k in 0..<column { sum -= self[first + row, first + k] * self[first + column, first + k] }
          if column < row {
            self[first + row, first + column] = sum / self[first + column, first + column]
          } else {
            guard sum > 0, sum.isFinite else { return nil }
            self[first + row, first + row] = sum.squareRoot()
          }
        }
      }
    }
    for row in count..<paddedCount { self[row, row] = 1 }
  }

  /// A known factor: `lower[row, column]` for `column <= row < count`.
  init(count: Int, lower: (_ row: Int, _ column: Int) -> Double) throws(CoverTreeError) {
    self.count = count
    strips = try Buffer(count: Self.stripElements(count), filledWith: 0)
    for row in 0..<count {
      for column in 0...row { self[row, column] = lower(row, column) }
    }
    for row in count..<paddedCount { self[row, row] = 1 }
  }

  /// A factor in known strips.
  init(count: Int, strips: Buffer<Double>) {
    self.count = count
    self.strips = strips
  }

  /// The number of elements in the strips of a factor.
  static func stripElements(_ count: Int) -> Int { offset(ofStrip: (count + tileRows - 1) / tileRows) }

  private static func offset(ofStrip strip: Int) -> Int { tileRows * tileRows * (strip * (strip + 1) / 2) }

  subscript(row: Int, column: Int) -> Double {
    @inline(__always) get {
      strips[Self.offset(ofStrip: row / tileRows) + column * tileRows + row % tileRows]
    }
    @inline(__always) set {
      strips[Self.offset(ofStrip: row / tileRows) + column * tileRows + row % tileRows] = newValue
    }
  }

  /// Solves `L Y = X` for one panel of 16 columns in place: `x` is `paddedCount x 16`.
  func solve(_ x: UnsafeMutablePointer<Double>) { solve(x, rows: paddedCount) }

  private func solve(_ x: UnsafeMutablePointer<Double>, rows: Int) {
    let width = Self.panel
    let vectors = x.vectors
    withUnsafeTemporaryAllocation(of: SIMD8<Double>.self, capacity: 2 * tileRows) { sums in
      let product = sums.baseAddress!.scalars
      for strip in 0..<rows / tileRows {
        let first = strip &* tileRows
        let factor = strips.base + Self.offset(ofStrip: strip)
        multiplyTile(
          UnsafePointer(factor), columnStride: tileRows, UnsafePointer(vectors), depth: first, into: product,
          stride: width)
        for r in 0..<tileRows {
          let row = first &+ r
          var low = vectors[2 &* row] - sums[2 &* r]
          var high = vectors[2 &* row &+ 1] - sums[2 &* r &+ 1]
          for t in 0..<r {
            let c = SIMD8(repeating: -factor[(first &+ t) &* tileRows &+ r])
            low = Double.multiplyAdd(c, vectors[2 &* (first &+ t)], low)
            high = Double.multiplyAdd(c, vectors[2 &* (first &+ t) &+ 1], high)
          }
          let inverse = 1 / factor[row &* tileRows &+ r]
          vectors[2 &* row] = low * inverse
          vectors[2 &* row &+ 1] = high * inverse
        }
      }
    }
  }

  /// Solves `L^T Y = X` for one panel of 16 columns in place: `x` is `paddedCount x 16`.
  func solveTransposed(_ x: UnsafeMutablePointer<Double>) {
    let vectors = UnsafeMutableRawPointer(x).assumingMemoryBound(to: SIMD8<Double>.self)
    for strip in Swift.stride(from: paddedCount / tileRows - 1, through: 0, by: -1) {
      let first = strip &* tileRows
      let factor = strips.base + Self.offset(ofStrip: strip)
      for r in Swift.stride(from: tileRows - 1, through: 0, by: -1) {
        let row = first &+ r
        var (low, high) = (vectors[2 &* row], vectors[2 &* row &+ 1])
        for t in r &+ 1..<tileRows {
          let c = SIMD8(repeating: -factor[row &* tileRows &+ t])
          low = Double.multiplyAdd(c, vectors[2 &* (first &+ t)], low)
          high = Double.multiplyAdd(c, vectors[2 &* (first &+ t) &+ 1], high)
        }
        let inverse = 1 / factor[row &* tileRows &+ r]
        vectors[2 &* row] = low * inverse
        vectors[2 &* row &+ 1] = high * inverse
      }
      // Subtracts the solved rows from those before them.
      for half in 0..<2 {
        let solved = InlineArray<8, SIMD8<Double>> { vectors[2 &* (first &+ $0) &+ half] }
        for column in 0..<first {
          var sum = vectors[2 &* column &+ half]
          for t in 0..<tileRows {
            sum = Double.multiplyAdd(SIMD8(repeating: -factor[column &* tileRows &+ t]), solved[t], sum)
          }
          vectors[2 &* column &+ half] = sum
        }
      }
    }
  }

  /// An upper bound of the spectral norm of the matrix of the elements' absolute values.
  var normOfAbsoluteValues: Double {
    var columns = [Double](repeating: 0, count: count)
    var largestRow = 0.0
    for row in 0..<count {
      var sum = 0.0
      for column in 0...row {
        let value = self[row, column].magnitude
        sum += value
        columns[column] += value
      }
      largestRow = max(largestRow, sum)
    }
    return (largestRow * (columns.max() ?? 0)).squareRoot() * (1 + 0x1p-30)
  }

  /// `L^-1`, its rows in panels with `paddedCount` columns; the padding of the last panel is 0.
  func inverse() throws(CoverTreeError) -> Panels<Double> {
    let width = Self.panel
    let result = try Panels<Double>(rows: paddedCount, columns: paddedCount)
    result.elements.base.update(repeating: 0, count: result.elements.count)
    let x = try Buffer<Double>(count: paddedCount * width)
    for first in Swift.stride(from: 0, to: paddedCount, by: width) {
      x.base.update(repeating: 0, count: x.count)
      let inUse = min(width, paddedCount - first)
      for lane in 0..<inUse { x[(first + lane) * width + lane] = 1 }
      solve(x.base)
      for row in first..<paddedCount {
        let target = result.view.row(row)
        for lane in 0..<inUse { target[(first + lane) * width] = x[row * width + lane] }
      }
    }
    return result
  }
}
