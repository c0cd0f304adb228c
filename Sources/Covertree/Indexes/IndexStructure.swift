import CovertreeBase
import CovertreeFiles

/// What an index keeps beside its table of vectors, so that they are found: the one protocol of the four, which know nothing of
/// each other.
///
/// Changes exclude everything else; the table is changed first, then the structure is told. Searches run in parallel.
protocol IndexStructure: AnyObject, Sendable {
  /// Takes in the vectors of the table from a slot on.
  func insert(from first: Int, context: CallContext) throws(CoverTreeError)
  /// Takes back what `insert` has done with the vectors from a slot on: it failed.
  func truncate(to first: Int)
  /// Whether there are enough dead vectors in the table to be forgotten.
  var wantsCompaction: Bool { get }
  /// Prepares for a compaction of the table, after which nothing may lead to the dead. If this fails, the structure has not changed.
  ///
  /// - Parameter map: the new slot of each vector, -1 for the dead.
  /// - Returns: a function to be called right after the table has been compacted. It cannot fail.
  func compaction(_ map: Buffer<Int32>, context: CallContext) throws(CoverTreeError) -> () -> Void
  /// Forgets everything, as for an empty table.
  func removeAll() throws(CoverTreeError)
  /// Puts near vectors near in memory; false where that changes nothing.
  func optimize(context: CallContext) throws(CoverTreeError) -> Bool

  func nearest(_ search: IndexSearch, k: Int, into rows: ResultRows) throws(CoverTreeError)
  func within(_ search: IndexSearch, score: Double) throws(CoverTreeError) -> ScoredLists

  /// Makes what came from a file its own, before it is changed.
  func own() throws(CoverTreeError)
  /// Is called after every change, even if it failed: the table's rows may have moved in memory.
  func findRows()
  var sections: [Section] { get }
  var byteCount: Int { get }
  /// Vectors that were compared with queries since the index was made.
  var comparisons: Int { get }
}

/// One search: queries as they are compared, which slots may be found, and how.
struct IndexSearch: @unchecked Sendable {
  let queries: PointsView<Float>
  /// By slot: 1 for those that may be found; nil for all.
  let admitted: Buffer<UInt8>?
  /// How many may be found.
  let admittedCount: Int
  let options: IndexSearchOptions
  let context: CallContext

  @inline(__always)
  func admits(_ slot: Int32) -> Bool { admitted.map { $0[slot] != 0 } ?? true }
}

/// Where the neighbours of each query are written: ids and distances, -1 and infinity where there are none.
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
    for rank in 0..<found.count { write(row, rank, slot: Int(found.labels[rank]), score: found.squares[rank]) }
    end(row, found.count)
  }

  @inline(__always)
  func write(_ found: SortedNeighbors, _ query: QuerySet<Float>.Query) { write(found, query.row) }

  /// Ends a row with so many neighbours.
  @inline(__always)
  func end(_ row: Int, _ count: Int) {
    for rank in count..<k {
      ids[row &* k &+ rank] = -1
      distances?[row &* k &+ rank] = .infinity
    }
  }
}

/// Neighbours of each query in lists of their own lengths, by score: as they are found, in any order.
final class ScoredLists: @unchecked Sendable {
  let found: [GrowableBuffer<Candidate>]

  init(queries: Int) throws(CoverTreeError) {
    var lists: [GrowableBuffer<Candidate>] = []
    for _ in 0..<queries { lists.append(try GrowableBuffer()) }
    found = lists
  }
}
