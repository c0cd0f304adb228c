import CovertreeBase
import CovertreeFiles

/// What vectors are hashed to, by slot.
protocol Hashes: AnyObject, Sendable {
  func extend(to count: Int, context: CallContext) throws(CoverTreeError)
  /// Sets the hash of a slot from its signed distances from the planes; several threads may set at once.
  func set(_ slot: Int, _ distances: UnsafePointer<Float>)
  /// The slots from one on have been set.
  func link(from first: Int) throws(CoverTreeError)
  func truncate(to count: Int)
  /// Prepares for a compaction of the table, as `IndexStructure.compaction` does.
  func compaction(_ map: Buffer<Int32>) throws(CoverTreeError) -> () -> Void
  func own() throws(CoverTreeError)
  /// Makes what each thread of a call seeks with.
  ///
  /// - Parameter copies: how many of equal vectors are wanted, the first ones.
  func seekers(
    for search: IndexSearch, wanted: Int, probes: Int, copies: Int
  ) throws(CoverTreeError) -> () throws(CoverTreeError) -> any CandidateSeeker
  var sections: [Section] { get }
  func read(_ file: StoredFile, count: Int, context: CallContext) throws(CoverTreeError)
  var byteCount: Int { get }
}

protocol CandidateSeeker: AnyObject {
  /// Puts slots that may be found and are likely to be near a query on the list, none of them twice. The queries of a batch are
  /// asked for one after the other.
  func find(
    _ index: Int, of queries: ProjectedQueries, _ list: Shortlist
  ) throws(CoverTreeError)
  /// Puts all slots that can matter on a list.
  func findAll(_ list: Shortlist) throws(CoverTreeError)
}

/// A batch of queries as signed distances from the planes.
struct ProjectedQueries {
  let base: UnsafePointer<Float>
  let stride: Int
  let count: Int

  @inline(__always)
  subscript(index: Int) -> UnsafePointer<Float> { base + index &* stride }
}
