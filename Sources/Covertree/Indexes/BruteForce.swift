import CNumerics
import CovertreeBase
import CovertreeFiles

/// Compares every query with every vector: exact, and the reference for the recall of the other kinds.
///
/// Many queries are compared in batches, as a product of matrices that bounds each score from below (`BruteForceTask`), in bytes if the
/// processor multiplies them. Scores that stay below the limit are decided in float64. A few queries go through the rows one by one, at
/// the speed of memory.
///
/// Of equal vectors only the first `k` are in a batch: bounds cannot separate the others from them, so all would be decided.
final class BruteForce: IndexStructure, @unchecked Sendable {
  let table: VectorTable
  /// The data for batches, made on first use.
  private var prepared = Lazy<Prepared>()
  private let compared = Counter()

  /// The least number of queries for batches, and the most neighbours whose candidates fit in memory.
  private static var fewestInBatches: Int { 32 }
  private static var mostNeighbors: Int { 1024 }
  /// Queries in batches of their own, whose neighbours give the radius estimate for the others.
  private static var pilots: Int { 16 }
  private static var pilotsTogether: Int { 8 }
  /// The fewest rows per thread if threads share one query.
  private static var fewestRows: Int { 1024 }

  private final class Prepared {
    let bytes: QuantizedPoints<Float>?
    let norms: BruteForceNorms<Float>?
    let longest: Double
    /// nil if few vectors are equal.
    let twins: Twins?

    init(_ points: RowPoints, _ table: VectorTable, longest: Double, _ context: CallContext) throws(CoverTreeError) {
      self.longest = longest
      twins = try Twins.areMany(in: table, context: context) ? Twins(table) : nil
      try twins?.extend(from: 0, context: context)
      bytes = try QuantizedPoints(points, context: context)
      norms = bytes == nil ? try BruteForceNorms(points, context: context) : nil
    }
  }

  init(_ table: VectorTable) { self.table = table }

  func nearest(_ search: IndexSearch, k: Int, into rows: ResultRows) throws(CoverTreeError) {
    compared.add(search.queries.count * table.count)
    let room = min(k, search.admittedCount)
    guard room > 0 else {
      for row in 0..<search.queries.count { rows.end(row, 0) }
      return
    }
    if search.queries.count >= Self.fewestInBatches, room <= Self.mostNeighbors,
      try compareInBatches(search, room, rows)
    {
      return
    }
    if search.queries.count < 2 * search.context.threads {
      for row in 0..<search.queries.count { try compareTogether(row, search, room, rows) }
    } else {
      try compareOneByOne(search, room, rows)
    }
  }

  /// - Returns: false if bounds would be too coarse.
  private func compareInBatches(_ search: IndexSearch, _ k: Int, _ rows: ResultRows) throws(CoverTreeError) -> Bool {
    let context = search.context
    let (prepared, points) = try dense(search, first: k)
    let padded = try PaddedQueries(search.queries, points.coordinates)
    defer { withExtendedLifetime(padded) {} }
    let set = QuerySet(new: padded.view, sequence: nil)
    let task = BruteForceTask(
      points: points, set: set, k: k, options: SearchOptions(), context: context,
      counters: SearchCounters(), rows: rows)
    guard let bytes = prepared.bytes else {
      guard let norms = prepared.norms else { return false }
      try task.run(0..<set.count, estimate: nil) { (batch) throws(CoverTreeError) in try BruteForceScan(norms, batch) }
      return true
    }
    let pilots = try PilotQueries<Float>(Self.pilots, dim: table.dim)
    let piloting = BruteForceTask(
      points: points, set: set, k: k, options: task.options, context: context, counters: task.counters,
      rows: RecordedRows(rows: rows, pilots: pilots))
    let first = 0..<min(Self.pilots, set.count)
    try piloting.run(first, batchSize: Self.pilotsTogether, estimate: nil) { (batch) throws(CoverTreeError) in
      try QuantizedScan(bytes, batch)
    }
    let estimate = pilots.estimate(points, bytes)
    try task.run(first.upperBound..<set.count, estimate: estimate) { (batch) throws(CoverTreeError) in
      try QuantizedScan(bytes, batch)
    }
    return true
  }

  /// The data for batches, and the rows in the form for them.
  ///
  /// - Parameter k: the number of equal vectors to include; nil for all.
  private func dense(_ search: IndexSearch, first k: Int? = nil) throws(CoverTreeError) -> (Prepared, RowPoints) {
    let context = search.context
    let prepared = try prepared.get { () throws(CoverTreeError) in
      let longest = try RowPoints.longest(table, context)
      return try Prepared(RowPoints(table, nil, longest: longest), table, longest: longest, context)
    }
    var admitted = search.admitted
    if let k, let twins = prepared.twins { admitted = try twins.flags(ofFirst: k, among: admitted) }
    return (prepared, try RowPoints(table, admitted, longest: prepared.longest))
  }

  /// One query per thread.
  private func compareOneByOne(_ search: IndexSearch, _ k: Int, _ rows: ResultRows) throws(CoverTreeError) {
    let scans = PerThread<RowScan>(count: search.context.threads)
    try search.context.forEach(search.queries.count, grain: 1) { (range, thread) throws(CoverTreeError) in
      let scan = try scans.value(thread) { () throws(CoverTreeError) in try RowScan(table, k: k) }
      for row in range {
        scan.query.load(search.queries.row(row))
        rows.write(scan.nearest(0..<table.count, search), row)
      }
    }
  }

  /// Threads share one query: each has some of the rows.
  private func compareTogether(_ row: Int, _ search: IndexSearch, _ k: Int, _ rows: ResultRows) throws(CoverTreeError) {
    let chunk = max(Self.fewestRows, table.count / (4 * search.context.threads))
    var scans: [RowScan] = []
    for _ in 0..<(table.count + chunk - 1) / chunk { scans.append(try RowScan(table, k: k)) }
    let all = scans
    let found = try Buffer<SortedNeighbors>(count: all.count)
    try search.context.forEach(all.count, grain: 1) { (range, _) throws(CoverTreeError) in
      for index in range {
        all[index].query.load(search.queries.row(row))
        found[index] = all[index].nearest(index * chunk..<min(table.count, (index + 1) * chunk), search)
      }
    }
    var nearest = TopK(try TopK.Scratch(k: k), bound: .infinity)
    for list in found.elements {
      for rank in 0..<list.count { nearest.insert(list.squares[rank], Int32(list.indices[rank])) }
    }
    rows.write(nearest.finished(), row)
    withExtendedLifetime(all) {}
  }

  func within(_ search: IndexSearch, score: Double) throws(CoverTreeError) -> ScoredLists {
    compared.add(search.queries.count * table.count)
    let lists = try ScoredLists(queries: search.queries.count)
    let ranking = try Ranking(table)
    if search.queries.count >= Self.fewestInBatches, try compareInBatches(search, score: score, lists, ranking) {
      return lists
    }
    try search.context.forEach(search.queries.count, grain: 1) { (range, _) throws(CoverTreeError) in
      let query = try RowQuery(table)
      for row in range {
        query.load(search.queries.row(row))
        for slot in 0..<Int32(table.count) where search.admits(slot) {
          let decided = query.scores.decided(slot)
          if decided <= score { try lists.found[row].append(Candidate(squared: decided, index: slot)) }
        }
        ranking.order(lists.found[row].all)
      }
    }
    return lists
  }

  /// - Returns: false if bounds would be too coarse.
  private func compareInBatches(
    _ search: IndexSearch, score: Double, _ lists: ScoredLists, _ ranking: Ranking
  ) throws(CoverTreeError) -> Bool {
    let (prepared, points) = try dense(search)
    let padded = try PaddedQueries(search.queries, points.coordinates)
    defer { withExtendedLifetime(padded) {} }
    let set = QuerySet(new: padded.view, sequence: nil)
    let task = BruteForceRadius(
      points: points, set: set, options: SearchOptions(),
      reach: QueryReach(bound: { _ in score }, decision: nil), lists: true, context: search.context,
      counters: SearchCounters())
    let keep = { (query: QuerySet<Float>.Query, within: FoundWithin) throws(CoverTreeError) in
      try lists.found[query.row].append(UnsafeBufferPointer(within.neighbors))
      ranking.order(lists.found[query.row].all)
    }
    let all = 0..<set.count
    if let bytes = prepared.bytes, try task.suits(bytes) {
      try task.run(all, { (batch) throws(CoverTreeError) in try QuantizedScan(bytes, batch) }, keep: keep)
    } else if let norms = prepared.norms {
      try task.run(all, { (batch) throws(CoverTreeError) in try BruteForceScan(norms, batch) }, keep: keep)
    } else {
      return false
    }
    return true
  }

  private func forget() { prepared = Lazy() }

  func insert(from first: Int, context: CallContext) throws(CoverTreeError) { forget() }
  func truncate(to first: Int) { forget() }
  func compaction(_ map: Buffer<Int32>, context: CallContext) throws(CoverTreeError) -> () -> Void {
    { self.forget() }
  }
  var sections: [Section] { [] }
  var byteCount: Int { 0 }
  var comparisons: Int { compared.value }
}

/// One thread's pass through the rows.
private final class RowScan {
  let query: RowQuery
  private let scratch: TopK.Scratch

  init(_ table: VectorTable, k: Int) throws(CoverTreeError) {
    query = try RowQuery(table)
    scratch = try TopK.Scratch(k: k)
  }

  /// The nearest of some slots.
  func nearest(_ slots: Range<Int>, _ search: IndexSearch) -> SortedNeighbors {
    var nearest = TopK(scratch, bound: .infinity)
    let scores = query.scores
    for slot in slots where search.admits(Int32(slot)) { nearest.insert(scores.decided(Int32(slot)), Int32(slot)) }
    return nearest.finished()
  }
}

/// Writes results, and records the results of pilots.
private struct RecordedRows: NeighborRows {
  let rows: ResultRows
  let pilots: PilotQueries<Float>

  func write(_ found: SortedNeighbors, _ query: QuerySet<Float>.Query) {
    rows.write(found, query)
    pilots.record(found, query)
  }
}
