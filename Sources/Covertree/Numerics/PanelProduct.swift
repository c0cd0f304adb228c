import CNumerics

/// Rows of the left side of a tile.
let tileRows = 8

/// Columns that are summed before they are added to the result. This part of a right panel stays in the first-level cache, and rounding
/// errors of float32 stay small.
let depthOfTile = 128

/// The most roundings of a sum over `depth` columns in `multiply`, for its error bound.
func roundings(inProductOf depth: Int) -> Int { min(depth, depthOfTile) + (depth + depthOfTile - 1) / depthOfTile }

/// `result[i, j] = left[i] . right[j]`: the product of one matrix with the transpose of another.
///
/// A tile of 8 rows by 2 vectors, or a part of it that fits, is kept in 16 registers. Each column of a whole one costs 2 loads, 8
/// broadcasts and 16 fused multiply-adds (Goto and van de Geijn, 2008).
///
/// - Parameters:
///   - rows: of the left side, from 0; they are rounded up to whole tiles.
///   - columns: the number of rows of the right side for the tile of the left side that begins at a row.
///   - result: row-major; `stride` is a multiple of a panel's rows, and there is room for whole tiles.
@inline(__always)
func multiply<S: Scalar>(
  _ left: PanelView<S>, rows: Range<Int>, _ right: PanelView<S>, into result: UnsafeMutablePointer<S>, stride: Int,
  columns: (_ tile: Int) -> Int
) {
  let depth = left.columns
  let width = PanelView<S>.panelRows
  let first = rows.lowerBound / tileRows * tileRows
  let wanted = rows.isEmpty ? 0 : mostColumns(first, rows.upperBound, columns)
  var from = 0
  repeat {
    let length = min(depthOfTile, depth &- from)
    for panel in 0..<(wanted &+ width &- 1) / width {
      let column = panel &* width
      let vectors = (right.row(column) + from &* width).vectors
      var row = first
      while row < rows.upperBound {
        if column < columns(row) {
          let factors: UnsafeMutablePointer<S> = left.row(row) + from &* width
          let position: Int = row &* stride &+ column
          multiplyTile(
            factors, columnStride: width, vectors, depth: length, into: result + position, stride: stride,
            adding: from > 0)
        }
        row &+= tileRows
      }
    }
    from &+= depthOfTile
  } while from < depth
}

@inline(__always)
private func mostColumns(_ first: Int, _ end: Int, _ columns: (Int) -> Int) -> Int {
  var most = 0
  for row in Swift.stride(from: first, to: end, by: tileRows) { most = max(most, columns(row)) }
  return most
}

/// One tile: `result[r, :] (+)= sum over k of left[r, k] * right[k, :]` for 8 rows `r` and two vectors of columns.
///
/// - Parameters:
///   - rowStride, columnStride: from one row of the left side to the next, and from one column to the next.
@inline(__always)
func multiplyTile<S: Scalar>(
  _ left: UnsafePointer<S>, rowStride: Int = 1, columnStride: Int, _ right: UnsafePointer<S.Lanes>, depth: Int,
  into result: UnsafeMutablePointer<S>, stride: Int, adding: Bool = false
) {
  multiplyTile(
    left, rowStride: rowStride, columnStride: columnStride, right, right + 1, vectorStride: 2, depth: depth,
    into: result, stride: stride, adding: adding)
}

/// As above, if the two vectors of a column are not side by side; `vectorStride` is from one column of the right side to the next.
@inline(__always)
func multiplyTile<S: Scalar>(
  _ left: UnsafePointer<S>, rowStride: Int = 1, columnStride: Int, _ low: UnsafePointer<S.Lanes>,
  _ high: UnsafePointer<S.Lanes>, vectorStride: Int, depth: Int, into result: UnsafeMutablePointer<S>, stride: Int,
  adding: Bool = false
) {
  guard cn_has_wide_registers() else {
    let zeros = zerosOfPart(S.self)
    for first in Swift.stride(from: 0, to: tileRows, by: zeros.count) {
      let (left, result) = (left + first &* rowStride, result + first &* stride)
      for half in 0..<2 {
        multiplyPart(
          zeros, left, rowStride: rowStride, columnStride: columnStride, half == 0 ? low : high,
          vectorStride: vectorStride, depth: depth, into: result + half &* S.width, stride: stride, adding: adding)
      }
    }
    return
  }
  let zero = S.Lanes(repeating: 0)
  var sums = InlineArray<16, S.Lanes>(repeating: zero)
  var left = left
  var (nextLow, nextHigh) = (low, high)
  for _ in 0..<depth {
    let (low, high) = (nextLow.pointee, nextHigh.pointee)
    for r in 0..<tileRows {
      let factor = S.Lanes(repeating: left[r &* rowStride])
      sums[2 &* r] = S.multiplyAdd(factor, low, sums[2 &* r])
      sums[2 &* r &+ 1] = S.multiplyAdd(factor, high, sums[2 &* r &+ 1])
    }
    left += columnStride
    nextLow += vectorStride
    nextHigh += vectorStride
  }
  for r in 0..<tileRows {
    let row = (result + r &* stride).vectors
    row[0] = adding ? row[0] + sums[2 &* r] : sums[2 &* r]
    row[1] = adding ? row[1] + sums[2 &* r &+ 1] : sums[2 &* r &+ 1]
  }
}

/// As above, for the first vector of columns alone.
@inline(__always)
func multiplyNarrowTile<S: Scalar>(
  _ left: UnsafePointer<S>, rowStride: Int, columnStride: Int, _ right: UnsafePointer<S.Lanes>, depth: Int,
  into result: UnsafeMutablePointer<S>, stride: Int
) {
  guard cn_has_wide_registers() else {
    let zeros = zerosOfPart(S.self)
    for first in Swift.stride(from: 0, to: tileRows, by: zeros.count) {
      multiplyPart(
        zeros, left + first &* rowStride, rowStride: rowStride, columnStride: columnStride, right,
        vectorStride: 2, depth: depth, into: result + first &* stride, stride: stride, adding: false)
    }
    return
  }
  multiplyPart(
    InlineArray<8, S.Lanes>(repeating: S.Lanes(repeating: 0)), left, rowStride: rowStride, columnStride: columnStride,
    right, vectorStride: 2, depth: depth, into: result, stride: stride, adding: false)
}

/// The sums of a part of a tile, 4 rows by one vector. If a vector is two registers, they fit 8 of the 16 registers. The sums of a whole
/// tile would be written to memory and read again with each column, at a quarter of the speed.
@inline(__always)
private func zerosOfPart<S: Scalar>(_: S.Type) -> InlineArray<4, S.Lanes> {
  InlineArray(repeating: S.Lanes(repeating: 0))
}

/// A part of a tile: some rows by one vector. `zeros` has one vector for each row.
@inline(__always)
private func multiplyPart<S: Scalar, let rows: Int>(
  _ zeros: InlineArray<rows, S.Lanes>, _ left: UnsafePointer<S>, rowStride: Int, columnStride: Int,
  _ right: UnsafePointer<S.Lanes>, vectorStride: Int, depth: Int, into result: UnsafeMutablePointer<S>, stride: Int,
  adding: Bool
) {
  var sums = zeros
  var (left, right) = (left, right)
  for _ in 0..<depth {
    let vector = right.pointee
    for r in 0..<rows {
      sums[r] = S.multiplyAdd(S.Lanes(repeating: left[r &* rowStride]), vector, sums[r])
    }
    left += columnStride
    right += vectorStride
  }
  for r in 0..<rows {
    let row = (result + r &* stride).vectors
    row[0] = adding ? row[0] + sums[r] : sums[r]
  }
}
