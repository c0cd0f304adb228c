import CovertreeBase

/// Sums of outer products of rows: `sum over i of left_i right_i^T`.
///
/// Rows are in a fixed number of groups, whatever the number of threads, each with sums of its own: so sums do not depend on threads.
final class GramAccumulator {
  /// Rows that are multiplied at a time: they stay in the second-level cache.
  static let chunk = 128
  private static let groups = 16

  /// The ranges of `count` rows whose sums are added in this order.
  static func groups(of count: Int) -> [Range<Int>] {
    let size = max(chunk, (count + groups - 1) / groups)
    return Swift.stride(from: 0, to: count, by: size).map { $0..<min(count, $0 + size) }
  }

  let rank: Int
  let stride: Int
  let sums: Buffer<Double>

  init(rank: Int) throws(CoverTreeError) {
    self.rank = rank
    stride = (rank + 15) / 16 * 16
    sums = try Buffer(count: (rank + tileRows) * stride, filledWith: 0)
  }

  /// Adds the products of `count` rows.
  ///
  /// - Parameters:
  ///   - left, right: `count x stride`, zeros after `rank` columns.
  ///   - isSymmetric: if both are equal, so that the lower triangle suffices.
  func add(
    _ left: UnsafePointer<Double>, _ right: UnsafePointer<Double>, count: Int, isSymmetric: Bool
  ) {
    for row in Swift.stride(from: 0, to: rank, by: tileRows) {
      for column in Swift.stride(from: 0, to: isSymmetric ? row + tileRows : rank, by: 16) {
        let vectors = (right + column).vectors
        multiplyTile(
          left + row, columnStride: stride, vectors, vectors + 1, vectorStride: stride / 8, depth: count,
          into: sums.base + row * stride + column, stride: stride, adding: true)
      }
    }
  }

  func add(_ other: GramAccumulator) {
    for element in 0..<sums.count { sums[element] += other.sums[element] }
  }
}
