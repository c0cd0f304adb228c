import CovertreeBase

/// One state of a tree: immutable, and shared by its searches and exported arrays.
///
/// Insertion and removal make a new snapshot, which shares most segments with the old one. A search ends on the snapshot on which it
/// began.
final class TreeSnapshot<S: Scalar>: @unchecked Sendable {
  let points: SearchPoints<S>
  /// The number of dataset indices ever given.
  let indexCount: Int
  /// The number of the last removal.
  let time: UInt32
  /// The cover tree of an earlier state, if one was made. That of this state is made from it.
  private let earlierCover: CoverArrays<S>?
  private let cover: Lazy<CoverArrays<S>>

  /// - Parameter cover: of this state, if it is known.
  init(
    _ points: SearchPoints<S>, indexCount: Int, time: UInt32, earlierCover: CoverArrays<S>? = nil,
    cover: CoverArrays<S>? = nil
  ) {
    (self.points, self.indexCount, self.time, self.earlierCover) = (points, indexCount, time, earlierCover)
    self.cover = Lazy(cover)
  }

  /// The cover tree of this state, if it is made.
  var knownCover: CoverArrays<S>? { cover.known }
  /// The cover tree of the latest state up to this one that has one.
  var latestCover: CoverArrays<S>? { cover.known ?? earlierCover }

  /// The cover tree of this state, made on first use.
  func cover(_ options: TreeOptions, context: CallContext) throws(CoverTreeError) -> CoverArrays<S> {
    try cover.get { () throws(CoverTreeError) in
      try CoverBuild(options: options, context: context).cover(of: points, indexCount: indexCount, from: earlierCover)
    }
  }

  /// Memory of the arrays of this snapshot.
  var byteCount: Int { points.byteCount + (latestCover?.byteCount ?? 0) }
}
