import CovertreeBase

/// The finished compressed cover tree of one state of a tree.
final class CoverArrays<S: Scalar>: @unchecked Sendable {
  let layout: TreeLayout<S>
  /// By tree index: 1 for removed points; nil if no point is removed.
  let removed: Buffer<UInt8>?
  let removedCount: Int
  /// Later dataset indices are not in it.
  let indexCount: Int
  let statistics: CoverStatistics

  init(
    _ layout: TreeLayout<S>, removed: Buffer<UInt8>?, indexCount: Int, statistics: CoverStatistics = CoverStatistics()
  ) {
    (self.layout, self.removed, self.indexCount, self.statistics) = (layout, removed, indexCount, statistics)
    removedCount = removed.map { $0.elements.reduce(0) { $0 + Int($1) } } ?? 0
  }

  var byteCount: Int { layout.byteCount + (removed?.byteCount ?? 0) }
}

/// The cost of a build of the cover tree.
public struct CoverStatistics: Sendable {
  public var insertion = InsertionStatistics()
  public var orderSeconds = 0.0
  public var layoutSeconds = 0.0
}
