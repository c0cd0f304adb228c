import CNumerics

/// Every query is compared with every vector: exact, and what the other kinds are measured by.
///
/// Many queries are compared in batches, as a product of matrices that bounds each score from below (`DenseTask`), in bytes where
/// the processor multiplies them; what stays below the limit is decided in float64. A few go through the rows one
/// by one, at the speed of memory.
final class BruteForce: IndexStructure, @unchecked Sendable {
  private let table: VectorTable
  /// What comparing in batches needs, made when the first one comes.
  private var parts = Once<Parts>()
  private let compared = Counter()

  /// So many queries are worth a batch, and for so many neighbours candidates of a batch can be held at once.
  private static var fewestInBatches: Int { 32 }
  private static var mostNeighbors: Int { 1024 }
  /// Queries whose neighbours tell how far the others may have to look, in batches of their own.
  private static var probes: Int { 16 }
  private static var probesTogether: Int { 8 }
  /// Rows that a thread takes where threads share one query.
  private static var fewestRows: Int { 1024 }

  private final class Parts {
    let bytes: DenseBytes<Float>?
    let norms: DenseNorms<Float>?
    let longest: Double

    init(_ points: RowPoints, longest: Double, _ context: CallContext) throws(CoverTreeError) {
      self.longest = longest
      bytes = try DenseBytes(points, context: context)
      norms = bytes == nil ? try DenseNorms(points, context: context) : nil
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
    let parts = try parts.get { () throws(CoverTreeError) in
      let longest = try table.options.metric.comparesProducts ? self.longest(context) : 0
      return try Parts(RowPoints(table, nil, longest: longest), longest: longest, context)
    }
    let points = try RowPoints(table, search.admitted, longest: parts.longest)
    let padded = try PaddedQueries(search.queries, points.coordinates)
    defer { withExtendedLifetime(padded) {} }
    let set = QuerySet(new: padded.view, sequence: nil)
    let task = DenseTask(
      points: points, set: set, k: k, options: SearchOptions(), context: context,
      counters: SearchCounters(), rows: rows)
    guard let bytes = parts.bytes else {
      guard let norms = parts.norms else { return false }
      try task.run(0..<set.count, guess: nil) { (batch) throws(CoverTreeError) in try DenseScan(norms, batch) }
      return true
    }
    let probes = try Probes<Float>(Self.probes)
    let probing = DenseTask(
      points: points, set: set, k: k, options: task.options, context: context, counters: task.counters,
      rows: RecordedRows(rows: rows, probes: probes))
    let first = 0..<min(Self.probes, set.count)
    try probing.run(first, batchSize: Self.probesTogether, guess: nil) { (batch) throws(CoverTreeError) in
      try ByteScan(bytes, batch)
    }
    let guess = probes.guess(points, bytes)
    try task.run(first.upperBound..<set.count, guess: guess) { (batch) throws(CoverTreeError) in
      try ByteScan(bytes, batch)
    }
    return true
  }

  private func longest(_ context: CallContext) throws(CoverTreeError) -> Double {
    let points = try RowPoints(table, nil, longest: 0)
    let lengths = try Buffer<Double>(count: context.threads, filledWith: 0)
    let scratch = try Buffer<Float>(count: context.threads * points.coordinates)
    try context.forEach(table.count, grain: 1024) { (range, thread) throws(CoverTreeError) in
      let row = scratch.base + thread * points.coordinates
      for slot in range {
        points.copy(slot, into: row)
        lengths[thread] = max(lengths[thread], lengthOf(row, table.dim))
      }
    }
    return lengths.elements.max()!
  }

  /// A query a thread.
  private func compareOneByOne(_ search: IndexSearch, _ k: Int, _ rows: ResultRows) throws(CoverTreeError) {
    let scans = PerThread<RowScan>(count: search.context.threads)
    try search.context.forEach(search.queries.count, grain: 1) { (range, thread) throws(CoverTreeError) in
      let scan = try scans.value(thread) { () throws(CoverTreeError) in try RowScan(table, k: k) }
      for row in range {
        scan.query.take(search.queries.row(row))
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
        all[index].query.take(search.queries.row(row))
        found[index] = all[index].nearest(index * part..<min(table.count, (index + 1) * part), search)
      }
    }
    var nearest = NearestCollector(try NearestCollector.Room(k: k), bound: .infinity)
    for list in found.elements {
      for rank in 0..<list.count { nearest.offer(list.squares[rank], Int32(list.labels[rank])) }
    }
    rows.write(nearest.finished(), row)
    withExtendedLifetime(all) {}
  }

  func within(_ search: IndexSearch, score: Double) throws(CoverTreeError) -> ScoredLists {
    compared.add(search.queries.count * table.count)
    let lists = try ScoredLists(queries: search.queries.count)
    let ranking = try Ranking(table)
    try search.context.forEach(search.queries.count, grain: 1) { (range, _) throws(CoverTreeError) in
      let query = try RowQuery(table)
      for row in range {
        query.take(search.queries.row(row))
        for slot in 0..<Int32(table.count) where search.admits(slot) {
          let decided = query.scores.decided(slot)
          if decided <= score { try lists.found[row].append(Candidate(squared: decided, index: slot)) }
        }
        ranking.order(lists.found[row].all)
      }
    }
    return lists
  }

  // MARK: Changes

  private func forget() { parts = Once() }

  func insert(from first: Int, context: CallContext) throws(CoverTreeError) { forget() }
  func truncate(to first: Int) { forget() }
  var wantsCompaction: Bool { table.deadCount * 4 > table.count }
  func forgetDead(context: CallContext) throws(CoverTreeError) {}
  func renumber(_ map: Buffer<Int32>, context: CallContext) throws(CoverTreeError) { forget() }
  func removeAll() throws(CoverTreeError) { forget() }
  func optimize(context: CallContext) throws(CoverTreeError) -> Bool { false }
  func own() throws(CoverTreeError) {}

  var sections: [Section] { [] }
  var byteCount: Int { 0 }
  var comparisons: Int { compared.value }
}

/// One thread's way through the rows.
private final class RowScan {
  let query: RowQuery
  private let room: NearestCollector.Room

  init(_ table: VectorTable, k: Int) throws(CoverTreeError) {
    query = try RowQuery(table)
    room = try NearestCollector.Room(k: k)
  }

  /// The nearest of some slots.
  func nearest(_ slots: Range<Int>, _ search: IndexSearch) -> SortedNeighbors {
    var nearest = NearestCollector(room, bound: .infinity)
    let scores = query.scores
    for slot in slots where search.admits(Int32(slot)) { nearest.offer(scores.decided(Int32(slot)), Int32(slot)) }
    return nearest.finished()
  }
}

/// Results that are written, and taken down as those of probes.
private struct RecordedRows: NeighborRows {
  let rows: ResultRows
  let probes: Probes<Float>

  func write(_ found: SortedNeighbors, _ query: QuerySet<Float>.Query) {
    rows.write(found, query)
    probes.take(found, query)
  }
}

/// The rows of a table, whatever they are stored in, for comparison in batches. Labels are slots.
private final class RowPoints: DensePoints, @unchecked Sendable {
  let count: Int
  let dim: Int
  let labels: Buffer<Int32>
  let products: Bool
  let longest: Double
  let coordinates: Int
  private let decisive: VectorRows
  private let memory: Buffer<UInt8>
  private let rows: UnsafePointer<cn_rows>

  init(_ table: VectorTable, _ admitted: Buffer<UInt8>?, longest: Double) throws(CoverTreeError) {
    (count, dim, products) = (table.count, table.dim, table.options.metric.comparesProducts)
    (decisive, self.longest) = (table.decisive, longest)
    coordinates = decisive.coordinates
    labels = try Buffer(count: count)
    for slot in 0..<count { labels[slot] = admitted?[slot] == 0 ? BoxTree<Float>.noLabel : Int32(slot) }
    memory = try Buffer(count: MemoryLayout<cn_rows>.stride)
    let view = UnsafeMutableRawPointer(memory.base).bindMemory(to: cn_rows.self, capacity: 1)
    view.pointee = decisive.view
    rows = UnsafePointer(view)
  }

  func copy(_ place: Int, into target: UnsafeMutablePointer<Float>) {
    for d in stride(from: 0, to: dim, by: 16) {
      let lanes = cn_row_lanes(rows, rows.pointee.kind, Int64(place), Int64(d))
      for lane in 0..<min(16, dim - d) { target[d + lane] = lanes[lane] }
    }
  }

  func lanes(
    ofGroup group: Int, _ scratch: UnsafeMutablePointer<SIMD16<Float>>
  ) -> UnsafePointer<SIMD16<Float>> {
    let columns = UnsafeMutableRawPointer(scratch).assumingMemoryBound(to: Float.self)
    cn_transpose_rows(rows, Int64(group * 16), Int64(count), Int64(dim), columns)
    return UnsafePointer(scratch)
  }

  @inline(__always)
  func prefetch(_ label: Int32) { cn_prefetch_row(rows, Int64(label)) }

  func quick(_ query: UnsafePointer<Float>, _ label: Int32) -> Float {
    Float(cn_decided_score(rows, query, Int64(label)))
  }

  func decided(_ query: UnsafePointer<Float>, _ labels: SIMD4<Int32>) -> SIMD4<Double> {
    SIMD4(
      cn_decided_score(rows, query, Int64(labels[0])), cn_decided_score(rows, query, Int64(labels[1])),
      cn_decided_score(rows, query, Int64(labels[2])), cn_decided_score(rows, query, Int64(labels[3])))
  }
}

/// Queries with zeros behind them, as the kernels read them.
private final class PaddedQueries {
  let view: PointsView<Float>
  private let rows: Buffer<Float>

  init(_ queries: PointsView<Float>, _ coordinates: Int) throws(CoverTreeError) {
    rows = try Buffer(count: queries.count * coordinates, filledWith: 0)
    for row in 0..<queries.count {
      (rows.base + row * coordinates).update(from: queries.row(row), count: queries.dim)
    }
    view = PointsView(
      base: UnsafePointer(rows.base), count: queries.count, dim: queries.dim, stride: coordinates)
  }
}
