import CNumerics
import CovertreeBase

/// Inner products of some rows with each other: `result[i, j] = row(i) . row(j)` for `j <= i`.
///
/// Tiles of 4 x 4 products are sums of vectors along the rows. So rows need no packing, and tiles follow the diagonal closely: few rows with
/// many columns cost less than by `multiply`.
///
/// - Parameters:
///   - columns: a multiple of 8.
///   - result: `count`, rounded up to 4, rows of `stride` numbers; what is right of the diagonal may be anything.
@inline(__always)
func multiplyRows(
  _ count: Int, columns: Int, into result: UnsafeMutablePointer<Double>, stride: Int,
  _ row: (Int) -> UnsafePointer<Double>
) {
  let zero = SIMD8<Double>(repeating: 0)
  for first in Swift.stride(from: 0, to: count, by: 4) {
    let a = RowTile { row(min(first &+ $0, count &- 1)).vectors }
    for second in Swift.stride(from: 0, through: first, by: 4) {
      let b = RowTile { row(min(second &+ $0, count &- 1)).vectors }
      let target = result + (first &* stride &+ second)
      if cn_has_wide_registers() {
        let zeros = InlineArray<16, SIMD8<Double>>(repeating: zero)
        multiply(zeros, side: 4, a, 0, b, 0, vectors: columns / 8, into: target, stride: stride)
      } else {
        // The sums of a whole tile do not fit the registers.
        let zeros = InlineArray<4, SIMD8<Double>>(repeating: zero)
        for i in [0, 2] {
          for j in [0, 2] {
            multiply(
              zeros, side: 2, a, i, b, j, vectors: columns / 8, into: target + (i &* stride &+ j), stride: stride)
          }
        }
      }
    }
  }
}

private typealias RowTile = InlineArray<4, UnsafePointer<SIMD8<Double>>>

/// The products of `side` rows of one tile with as many of another. `zeros` has one vector for each product.
@inline(__always)
private func multiply<let products: Int>(
  _ zeros: InlineArray<products, SIMD8<Double>>, side: Int, _ a: RowTile, _ firstOfA: Int, _ b: RowTile,
  _ firstOfB: Int, vectors: Int, into result: UnsafeMutablePointer<Double>, stride: Int
) {
  var sums = zeros
  for vector in 0..<vectors {
    for i in 0..<side {
      let left = a[firstOfA &+ i][vector]
      for j in 0..<side {
        sums[side &* i &+ j] = Double.multiplyAdd(left, b[firstOfB &+ j][vector], sums[side &* i &+ j])
      }
    }
  }
  for i in 0..<side {
    for j in 0..<side {
      let sum = sums[side &* i &+ j]
      let half = sum.lowHalf + sum.highHalf
      let quarter = half.lowHalf + half.highHalf
      result[i &* stride &+ j] = quarter[0] + quarter[1]
    }
  }
}
