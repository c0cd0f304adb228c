import CovertreeBase
import CovertreeFiles

/// The hashes of vectors, by slot.
protocol Hashes: AnyObject, Sendable {
  func extend(to count: Int, context: CallContext) throws(CoverTreeError)
  /// Sets the hash of a slot from its signed distances from the planes; several threads may set at once.
  func set(_ slot: Int, _ distances: UnsafePointer<Float>)
  /// Called after the slots from `first` on were set.
  func link(from first: Int) throws(CoverTreeError)
  func truncate(to count: Int)
  /// Prepares for a compaction of the table, as `IndexStructure.compaction` does.
  func compaction(_ map: Buffer<Int32>) throws(CoverTreeError) -> () -> Void
  func own() throws(CoverTreeError)
  /// Makes the searchers of a call's threads.
  ///
  /// - Parameter copies: the number of equal vectors to find, the first ones.
  func seekers(
    for search: IndexSearch, wanted: Int, probes: Int, copies: Int
  ) throws(CoverTreeError) -> () throws(CoverTreeError) -> any CandidateSeeker
  var sections: [Section] { get }
  func read(_ file: StoredFile, count: Int, context: CallContext) throws(CoverTreeError)
  var byteCount: Int { get }
}

protocol CandidateSeeker: AnyObject {
  /// Adds admitted slots that are probably near a query to the list, each once. The queries of a batch come one after the other.
  func find(_ index: Int, of queries: ProjectedQueries, _ list: Shortlist) throws(CoverTreeError)
  /// Adds all slots that can matter to the list.
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
