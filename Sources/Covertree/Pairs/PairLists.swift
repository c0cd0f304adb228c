import CovertreeBase

/// Pairs of points and, if they were asked for, their distances.
public final class PairLists<S: Scalar>: @unchecked Sendable {
  public let count: Int
  /// Two dataset indices a pair.
  public let indices: Buffer<Int64>
  /// nil if the caller did not ask for them.
  public let distances: Buffer<S>?

  init(count: Int, keepsDistances: Bool) throws(CoverTreeError) {
    self.count = count
    indices = try Buffer(count: 2 * count)
    distances = keepsDistances ? try Buffer(count: count) : nil
  }
}

/// Pairs with distances of either type.
public struct AnyPairLists: @unchecked Sendable {
  public let isFloat32: Bool
  public let count: Int
  public let indices: UnsafePointer<Int64>
  public let distances: UnsafeRawPointer?
  private let owner: AnyObject

  init<S: Scalar>(_ lists: PairLists<S>) {
    isFloat32 = S.self == Float.self
    (count, indices, owner) = (lists.count, UnsafePointer(lists.indices.base), lists)
    distances = lists.distances.map { UnsafeRawPointer($0.base) }
  }
}
