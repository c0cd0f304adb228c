import CovertreeBase

/// A k-d tree: exact, for few dimensions.
///
/// It is the library's `KDTree`, cut by the index's rule. Vectors added after the build are compared one by one, until they are enough for
/// a rebuild of the tree. In many dimensions without structure, queries are compared with all vectors in batches instead, as in a search of
/// a cover tree.
final class KDTreeIndex: IndexStructure, @unchecked Sendable {
  let table: VectorTable
  /// Earlier slots are in the boxes.
  private var covered = 0
  private(set) var boxes: KDTree<Float>?
  /// For searches that may find all; others have index arrays of their own.
  private var points: SearchPoints<Float>?
  /// The address of the rows when `points` was made.
  private var found: UnsafePointer<Float>?
  private let counters = SearchCounters()
  /// The slots of a store's rows.
  private var storeSlots: Buffer<Int32>?

  /// The tree is rebuilt for this many vectors, or for this share.
  private static var fewestWaiting: Int { 512 }
  private static var waitingShare: Int { 8 }

  init(_ table: VectorTable, _ boxes: KDTree<Float>? = nil) throws(CoverTreeError) {
    (self.table, self.boxes, covered) = (table, boxes, boxes?.count ?? 0)
    storeSlots = try pinnedSlots()
    view()
  }

  func insert(from first: Int, context: CallContext) throws(CoverTreeError) {
    let waiting = table.count - covered
    if waiting > max(Self.fewestWaiting, covered / Self.waitingShare) { try build(context) } else { view() }
  }

  private func build(_ context: CallContext) throws(CoverTreeError) {
    // Rows of a store are copied side by side during the build.
    let scratch = try Buffer<Float>(count: table.exact!.source == nil ? 0 : table.count * table.dim)
    let together = table.exact!.points(0..<table.count, into: scratch.base, scratch: scratch.base)
    let built = try boxTree(together, context)
    withExtendedLifetime(scratch) {}
    (storeSlots, boxes, covered) = (try pinnedSlots(), built, table.count)
    view()
  }

  private func boxTree(_ points: PointsView<Float>, _ context: CallContext) throws(CoverTreeError) -> KDTree<Float> {
    try KDTree(points, leafSize: table.options.leafSize, rule: table.options.split, context: context)
  }

  private func pinnedSlots() throws(CoverTreeError) -> Buffer<Int32>? {
    guard let exact = table.exact, exact.source != nil else { return nil }
    return try exact.storeSlots(table.count)
  }

  /// Rows, by slot of the index or of the store.
  private var rows: PointsView<Float> {
    let exact = table.exact!
    return PointsView(base: exact.firstFloats, count: table.count, dim: table.dim, stride: exact.floatStride)
  }

  /// Rows move when the table grows.
  private func view() {
    points = boxes.map { view($0, indices: $0.indices) }
    found = rows.base
  }

  private func view(_ boxes: KDTree<Float>, indices: Buffer<Int32>) -> SearchPoints<Float> {
    SearchPoints(boxes, indices: indices, rows: RowsElsewhere(rows: rows, positionOfIndex: storeSlots, owner: table))
  }

  func truncate(to first: Int) {
    if first < covered { forget() }
    view()
  }

  /// Builds new boxes of the living from a copy of their rows, because the table has not moved these yet.
  func compaction(_ map: Buffer<Int32>, context: CallContext) throws(CoverTreeError) -> () -> Void {
    let (exact, dim) = (table.exact!, table.dim)
    let count = table.liveCount
    guard count > 0 else { return { self.forget() } }
    let rows = try Buffer<Float>(count: count * dim)
    let storeSlots = try exact.source.map { (_) throws(CoverTreeError) in try Buffer<Int32>(count: count) }
    for slot in 0..<map.count where map[slot] >= 0 {
      // The table of a k-d tree has float32 rows, which need no scratch.
      exact.decode(slot, into: rows.base + Int(map[slot]) * dim, scratch: rows.base)
      storeSlots?[map[slot]] = Int32(exact.storeSlot(slot))
    }
    let built = try boxTree(PointsView(base: UnsafePointer(rows.base), count: count, dim: dim), context)
    withExtendedLifetime(rows) {}
    return {
      (self.storeSlots, self.boxes, self.covered) = (storeSlots, built, count)
      self.view()
    }
  }

  private func forget() { (boxes, points, storeSlots, covered) = (nil, nil, nil, 0) }
  func own() throws(CoverTreeError) { findRows() }
  func findRows() { if rows.base != found { view() } }

  func nearest(_ search: IndexSearch, k: Int, into rows: ResultRows) throws(CoverTreeError) {
    let room = min(k, search.admittedCount)
    guard let points = try points(search), room > 0 else {
      let all = Tail(table: table, from: 0, search: search, k: max(room, 1), rows: rows)
      return try search.context.forEach(search.queries.count, grain: 16) { (range, _) throws(CoverTreeError) in
        for row in range { try all.write(nil, row, search.queries.row(row)) }
      }
    }
    let set = try QuerySet(new: search.queries, for: points, context: search.context)
    func run(_ rows: some NeighborRows<Float>) throws(CoverTreeError) {
      let task = NearestTask(
        set: set, points: points, k: k, options: SearchOptions(), context: search.context, counters: counters,
        rows: rows)
      try specialized(table.dim, task)
    }
    if covered == table.count {
      try run(rows)
    } else {
      try run(Tail(table: table, from: covered, search: search, k: room, rows: rows))
    }
  }

  /// The points in boxes, with the indices of admitted vectors; nil without boxes.
  private func points(_ search: IndexSearch) throws(CoverTreeError) -> SearchPoints<Float>? {
    guard let boxes, let admitted = search.admitted else { return points }
    let indices = try Buffer<Int32>(count: boxes.indices.count)
    for position in 0..<indices.count {
      let index = boxes.indices[position]
      indices[position] = index == KDTree<Float>.noIndex || admitted[index] == 0 ? KDTree<Float>.noIndex : index
    }
    return view(boxes, indices: indices)
  }

  func within(_ search: IndexSearch, score: Double) throws(CoverTreeError) -> ScoredLists {
    let lists = try ScoredLists(queries: search.queries.count)
    let ranking = try Ranking(table)
    if let points = try points(search) {
      try specialized(
        table.dim, WithinTask(points: points, search: search, score: score, lists: lists, counters: counters))
    }
    for row in 0..<search.queries.count {
      for slot in covered..<table.count where search.admits(Int32(slot)) {
        let squared = squaredEuclidean(search.queries.row(row), table.exact!.floats(slot), dim: table.dim)
        if squared <= score { try lists.found[row].append(Candidate(squared: squared, index: Int32(slot))) }
      }
      ranking.order(lists.found[row].all)
    }
    return lists
  }

  var byteCount: Int { (boxes?.byteCount ?? 0) + (storeSlots?.byteCount ?? 0) }
  var comparisons: Int { counters.points.load(ordering: .relaxed) }
}

/// Merges neighbours in the boxes with those among later vectors, and writes them.
private struct Tail: NeighborRows {
  let table: VectorTable
  let from: Int
  let search: IndexSearch
  let k: Int
  let rows: ResultRows

  func write(_ found: SortedNeighbors, _ query: QuerySet<Float>.Query) throws(CoverTreeError) {
    try write(found, query.row, query.coordinates)
  }

  func write(_ found: SortedNeighbors?, _ row: Int, _ query: UnsafePointer<Float>) throws(CoverTreeError) {
    var nearest = TopK(try TopK.Scratch(k: k), bound: .infinity)
    for rank in 0..<(found?.count ?? 0) { nearest.insert(found!.squares[rank], Int32(found!.indices[rank])) }
    for slot in from..<table.count where search.admits(Int32(slot)) {
      nearest.insert(squaredEuclidean(query, table.exact!.floats(slot), dim: table.dim), Int32(slot))
    }
    rows.write(nearest.finished(), row)
  }
}

/// All points in boxes within a score of each query.
private struct WithinTask: DimensionTask {
  let points: SearchPoints<Float>
  let search: IndexSearch
  let score: Double
  let lists: ScoredLists
  let counters: SearchCounters

  func run<D: MetricSpace>(_ dimension: D) throws(CoverTreeError) {
    let set = QuerySet(new: search.queries, sequence: nil)
    let reach = QueryReach<Float>(bound: { [score] _ in score }, decision: nil)
    try BruteForceChoice.run(D.self, queries: set.count, dim: points.dim, points: points.positionCount) {
      (rows) throws(CoverTreeError) in
      try walk(rows, dimension)
    } compare: { (rows) throws(CoverTreeError) in
      try BruteForceRadius(
        points: points.flat(search.context), set: set, options: SearchOptions(), reach: reach, lists: true,
        context: search.context, counters: counters
      ).run(rows) { (query, within) throws(CoverTreeError) in
        try lists.found[query.row].append(UnsafeBufferPointer(within.neighbors))
      }
    }
  }

  /// Walks the boxes for each query.
  ///
  /// - Returns: the number of points that queries were compared with.
  private func walk<D: MetricSpace>(_ rows: Range<Int>, _ dimension: D) throws(CoverTreeError) -> Int {
    let compared = Counter()
    try search.context.forEach(rows.count, grain: points.queriesPerChunk) { (range, _) throws(CoverTreeError) in
      var boxes = try KDTreeSearch(points, dimension: dimension)
      for row in range.lowerBound + rows.lowerBound..<range.upperBound + rows.lowerBound {
        var handler = RadiusHandler<Float>(found: lists.found[row], worst: score, rounding: boxes.rounding)
        try boxes.run(search.queries.row(row), into: &handler)
      }
      counters.add(queries: range.count, points: boxes.pointsCompared, boxes: boxes.boxesCompared)
      compared.add(boxes.pointsCompared)
    }
    return compared.value
  }
}
