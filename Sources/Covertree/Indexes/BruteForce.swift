import CNumerics
import CovertreeBase
import CovertreeFiles

/// Every query is compared with every vector: exact, and what the other kinds are measured by.
///
/// Many queries are compared in batches, as a product of matrices that bounds each score from below (`BruteForceTask`), in bytes where
/// the processor multiplies them; what stays below the limit is decided in float64. A few go through the rows one
/// by one, at the speed of memory.
///
/// Of many equal vectors only the first `k` take part in a batch: no bound tells the others from them, so all would be decided.
final class BruteForce: IndexStructure, @unchecked Sendable {
  private let table: VectorTable
  /// What comparing in batches needs, made when the first one comes.
  private var parts = Lazy<Parts>()
  private let compared = Counter()

  /// So many queries are worth a batch, and for so many neighbours candidates of a batch can be held at once.
  private static var fewestInBatches: Int { 32 }
  private static var mostNeighbors: Int { 1024 }
  /// Queries whose neighbours tell how far the others may have to look, in batches of their own.
  private static var pilots: Int { 16 }
  private static var pilotsTogether: Int { 8 }
  /// Rows that a thread takes where threads share one query.
  private static var fewestRows: Int { 1024 }

  private final class Parts {
    let bytes: QuantizedPoints<Float>?
    let norms: BruteForceNorms<Float>?
    let longest: Double
    /// nil where few vectors are equal.
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

  // MARK: Searching

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

  /// - Returns: false where bounds would tell too little.
  private func compareInBatches(_ search: IndexSearch, _ k: Int, _ rows: ResultRows) throws(CoverTreeError) -> Bool {
    let context = search.context
    let (parts, points) = try dense(search, first: k)
    let padded = try PaddedQueries(search.queries, points.coordinates)
    defer { withExtendedLifetime(padded) {} }
    let set = QuerySet(new: padded.view, sequence: nil)
    let task = BruteForceTask(
      points: points, set: set, k: k, options: SearchOptions(), context: context,
      counters: SearchCounters(), rows: rows)
    guard let bytes = parts.bytes else {
      guard let norms = parts.norms else { return false }
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

  /// What comparing in batches needs, and the rows as it sees them.
  ///
  /// - Parameter k: of equal vectors so many take part; nil for all.
  private func dense(_ search: IndexSearch, first k: Int? = nil) throws(CoverTreeError) -> (Parts, RowPoints) {
    let context = search.context
    let parts = try parts.get { () throws(CoverTreeError) in
      let longest = try RowPoints.longest(table, context)
      return try Parts(RowPoints(table, nil, longest: longest), table, longest: longest, context)
    }
    var admitted = search.admitted
    if let k, let twins = parts.twins { admitted = try twins.flags(ofFirst: k, among: admitted) }
    return (parts, try RowPoints(table, admitted, longest: parts.longest))
  }

  /// A query a thread.
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
  private func compareTogether(
    _ row: Int, _ search: IndexSearch, _ k: Int, _ rows: ResultRows
  ) throws(CoverTreeError) {
    let part = max(Self.fewestRows, table.count / (4 * search.context.threads))
    var scans: [RowScan] = []
    for _ in 0..<(table.count + part - 1) / part { scans.append(try RowScan(table, k: k)) }
    let all = scans
    let found = try Buffer<SortedNeighbors>(count: all.count)
    try search.context.forEach(all.count, grain: 1) { (range, _) throws(CoverTreeError) in
      for index in range {
        all[index].query.load(search.queries.row(row))
        found[index] = all[index].nearest(index * part..<min(table.count, (index + 1) * part), search)
      }
    }
    var nearest = TopK(try TopK.Scratch(k: k), bound: .infinity)
    for list in found.elements {
      for rank in 0..<list.count { nearest.insert(list.squares[rank], Int32(list.labels[rank])) }
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

  /// - Returns: false where bounds would tell too little.
  private func compareInBatches(
    _ search: IndexSearch, score: Double, _ lists: ScoredLists, _ ranking: Ranking
  ) throws(CoverTreeError) -> Bool {
    let (parts, points) = try dense(search)
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
    if let bytes = parts.bytes, try task.suits(bytes) {
      try task.run(all, { (batch) throws(CoverTreeError) in try QuantizedScan(bytes, batch) }, take: keep)
    } else if let norms = parts.norms {
      try task.run(all, { (batch) throws(CoverTreeError) in try BruteForceScan(norms, batch) }, take: keep)
    } else {
      return false
    }
    return true
  }

  // MARK: Changes

  private func forget() { parts = Lazy() }

  func insert(from first: Int, context: CallContext) throws(CoverTreeError) { forget() }
  func truncate(to first: Int) { forget() }
  var wantsCompaction: Bool { table.deadCount * 4 > table.count }
  func compaction(_ map: Buffer<Int32>, context: CallContext) throws(CoverTreeError) -> () -> Void {
    { self.forget() }
  }
  func removeAll() throws(CoverTreeError) { forget() }
  func optimize(context: CallContext) throws(CoverTreeError) -> Bool { false }
  func own() throws(CoverTreeError) {}
  func findRows() {}

  var sections: [Section] { [] }
  var byteCount: Int { 0 }
  var comparisons: Int { compared.value }
}

/// One thread's way through the rows.
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

/// Results that are written, and taken down as those of pilots.
private struct RecordedRows: NeighborRows {
  let rows: ResultRows
  let pilots: PilotQueries<Float>

  func write(_ found: SortedNeighbors, _ query: QuerySet<Float>.Query) {
    rows.write(found, query)
    pilots.record(found, query)
  }
}
