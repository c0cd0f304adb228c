import CovertreeBase
import CovertreeFiles

/// A structure over a table of vectors: the one protocol of the four kinds, which know nothing of each other.
///
/// A change excludes everything else; it changes the table first and then the structure. Searches run in parallel.
protocol IndexStructure: AnyObject, Sendable {
  var table: VectorTable { get }

  /// Inserts the vectors of the table from a slot on.
  func insert(from first: Int, context: CallContext) throws(CoverTreeError)
  /// Removes the vectors from a slot on: all, or the vectors of a failed `insert`.
  func truncate(to first: Int)
  /// Whether there are enough dead vectors in the table for a compaction.
  var wantsCompaction: Bool { get }
  /// Prepares for a compaction of the table, after which nothing may refer to the dead. On failure the structure is unchanged.
  ///
  /// - Parameter map: the new slot of each vector, -1 for the dead.
  /// - Returns: a function to call right after the compaction of the table. It cannot fail.
  func compaction(_ map: Buffer<Int32>, context: CallContext) throws(CoverTreeError) -> () -> Void
  /// Moves near vectors together in memory.
  func optimize(context: CallContext) throws(CoverTreeError)

  func nearest(_ search: IndexSearch, k: Int, into rows: ResultRows) throws(CoverTreeError)
  func within(_ search: IndexSearch, score: Double) throws(CoverTreeError) -> ScoredLists

  /// Copies arrays of a file, before they are changed.
  func own() throws(CoverTreeError)
  /// Called after every change, even a failed one: the table's rows may have moved in memory.
  func findRows()
  var sections: [Section] { get }
  var byteCount: Int { get }
  /// Comparisons of vectors with queries since the index was made.
  var comparisons: Int { get }
}

extension IndexStructure {
  var wantsCompaction: Bool { table.deadCount * 4 > table.count }
  func optimize(context: CallContext) throws(CoverTreeError) {}
  func own() throws(CoverTreeError) {}
  func findRows() {}
}

/// One search: prepared queries, admitted slots, and options.
struct IndexSearch: @unchecked Sendable {
  let queries: PointsView<Float>
  /// By slot: 1 for vectors that may be found; nil for all.
  let admitted: Buffer<UInt8>?
  /// The number of vectors that may be found.
  let admittedCount: Int
  /// With the index's options in place of zeros.
  let options: IndexSearchOptions
  let context: CallContext

  @inline(__always)
  func admits(_ slot: Int32) -> Bool { admitted.map { $0[slot] != 0 } ?? true }
}

/// The output arrays: the ids and distances of each query's neighbours, then -1 and infinity.
struct ResultRows: NeighborRows, @unchecked Sendable {
  let ids: UnsafeMutablePointer<Int64>
  let distances: UnsafeMutablePointer<Float>?
  let k: Int
  let idOf: UnsafePointer<Int64>
  let metric: IndexMetric

  /// Writes one neighbour; they come in order.
  @inline(__always)
  func write(_ row: Int, _ rank: Int, slot: Int, score: Double) {
    ids[row &* k &+ rank] = idOf[slot]
    distances?[row &* k &+ rank] = metric.distance(ofScore: score)
  }

  func write(_ found: SortedNeighbors, _ row: Int) {
    for rank in 0..<found.count { write(row, rank, slot: Int(found.indices[rank]), score: found.squares[rank]) }
    end(row, found.count)
  }

  @inline(__always)
  func write(_ found: SortedNeighbors, _ query: QuerySet<Float>.Query) { write(found, query.row) }

  /// Ends a row with `count` neighbours.
  @inline(__always)
  func end(_ row: Int, _ count: Int) {
    for rank in count..<k {
      ids[row &* k &+ rank] = -1
      distances?[row &* k &+ rank] = .infinity
    }
  }
}

/// Neighbours of each query, with scores, in the order in which they are found.
final class ScoredLists: @unchecked Sendable {
  let found: [GrowableBuffer<Candidate>]

  init(queries: Int) throws(CoverTreeError) {
    var lists: [GrowableBuffer<Candidate>] = []
    for _ in 0..<queries { lists.append(try GrowableBuffer()) }
    found = lists
  }
}
