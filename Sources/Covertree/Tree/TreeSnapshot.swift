import CovertreeBase

/// One state of a tree: immutable, shared by the searches that run on it and the views that were exported from it.
///
/// Insertion and removal make a new snapshot, which shares most of its segments with the old one. A search that began on the old one ends
/// on the old one.
final class TreeSnapshot<S: Scalar>: @unchecked Sendable {
  let points: SearchPoints<S>
  /// Dataset indices ever given: they stay below this.
  let indexCount: Int
  /// The number of the last removal.
  let time: UInt32
  /// The cover tree of an earlier state, if one was made: that of this one is made from it.
  private let earlierCover: CoverArrays<S>?
  private let cover: Lazy<CoverArrays<S>>

  /// - Parameter cover: of this very state, if it is known.
  init(
    _ points: SearchPoints<S>, indexCount: Int, time: UInt32, earlierCover: CoverArrays<S>? = nil,
    cover: CoverArrays<S>? = nil
  ) {
    (self.points, self.indexCount, self.time, self.earlierCover) = (points, indexCount, time, earlierCover)
    self.cover = Lazy(cover)
  }

  /// The cover tree of this state, if it has been made.
  var knownCover: CoverArrays<S>? { cover.known }
  /// The cover tree of the latest state up to this one that has one.
  var latestCover: CoverArrays<S>? { cover.known ?? earlierCover }

  /// The cover tree of this state, made when it is first asked for.
  func cover(_ options: TreeOptions, context: CallContext) throws(CoverTreeError) -> CoverArrays<S> {
    try cover.get { () throws(CoverTreeError) in
      try CoverBuild(options: options, context: context).cover(of: points, indexCount: indexCount, from: earlierCover)
    }
  }

  /// Memory that the arrays of this snapshot take.
  var byteCount: Int { points.byteCount + (latestCover?.byteCount ?? 0) }
}
