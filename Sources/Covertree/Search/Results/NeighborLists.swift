import CovertreeBase

/// Neighbours of each query, nearest first: query `i` has the range `offsets[i]..<offsets[i + 1]`.
public final class NeighborLists<S: Scalar>: @unchecked Sendable {
  /// `queries + 1` of them.
  public let offsets: Buffer<Int64>
  public let indices: Buffer<Int64>
  public let distances: Buffer<S>
  /// In float64; nil if the caller did not ask for them.
  public let scores: Buffer<Double>?

  init(offsets: Buffer<Int64>, keepsScores: Bool) throws(CoverTreeError) {
    let total = Int(offsets[offsets.count - 1])
    self.offsets = offsets
    indices = try Buffer(count: total)
    distances = try Buffer(count: total)
    scores = keepsScores ? try Buffer(count: total) : nil
  }
}
