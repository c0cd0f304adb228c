import CovertreeBase

/// Locality-sensitive hashing by random hyperplanes: vectors on the same side of most planes are likely to be near each other.
///
/// Candidates come from codes or from tables (`HammingCodes`, `HashTables`), and are ranked exactly.
final class LSH: IndexStructure, @unchecked Sendable {
  let table: VectorTable
  let planes: Hyperplanes
  let hashes: any Hashes
  private let compared = Counter()

  init(_ table: VectorTable) throws(CoverTreeError) {
    let options = table.options
    self.table = table
    let planeCount = options.lshMode == .codes ? options.bitCount : options.bitCount * options.tableCount
    planes = try Hyperplanes(
      count: planeCount, dim: table.dim, products: options.metric.comparesProducts, seed: options.seed)
    switch options.lshMode {
    case .codes: hashes = try HammingCodes(bits: options.bitCount)
    case .tables: hashes = try HashTables(table)
    }
  }

  func insert(from first: Int, context: CallContext) throws(CoverTreeError) {
    let (rows, batch, dim) = (table.decisive, Hyperplanes.batch, table.dim)
    let scratch = try Buffer<Float>(count: context.threads * (batch * dim + rows.coordinates))
    let projectors = PerThread<Hyperplanes.Projections>(count: context.threads)
    let make = { () throws(CoverTreeError) in try Hyperplanes.Projections(self.planes) }
    @inline(__always) func vectors(_ slots: Range<Int>, _ thread: Int) -> PointsView<Float> {
      let own = scratch.base + thread * (batch * dim + rows.coordinates)
      return rows.points(slots, into: own, scratch: own + batch * dim)
    }
    planes.setMiddles(table.count, try projectors.value(0, make: make)) { vectors($0..<$0 + 1, 0) }
    try hashes.extend(to: table.count, context: context)
    try context.forEach((table.count - first + batch - 1) / batch, grain: 1) { (range, thread) throws(CoverTreeError) in
      let projector = try projectors.value(thread, make: make)
      for chunk in range {
        let from = first + chunk * batch
        let slots = from..<min(table.count, from + batch)
        projector.run(vectors(slots, thread), queries: false)
        for slot in slots { hashes.set(slot, projector.values.base + (slot - from) * planes.stride) }
      }
    }
    try hashes.link(from: first)
  }

  func truncate(to first: Int) {
    hashes.truncate(to: first)
    if first == 0 { planes.unplace() }
  }

  func compaction(_ map: Buffer<Int32>, context: CallContext) throws(CoverTreeError) -> () -> Void {
    try hashes.compaction(map)
  }

  func own() throws(CoverTreeError) { try hashes.own() }

  func nearest(_ search: IndexSearch, k: Int, into rows: ResultRows) throws(CoverTreeError) {
    let wanted = max(k, search.options.candidateCount)
    try forEachQuery(search, candidates: wanted, copies: k) { (row, shortlist, candidates) throws(CoverTreeError) in
      // If too few vectors share a bucket with the query, all vectors are candidates.
      if shortlist.count < min(k, search.admittedCount) {
        shortlist.slots.removeAll()
        try candidates.findAll(shortlist)
      }
      try shortlist.rank(k)
      shortlist.ranking.write(row, into: rows)
    }
  }

  func within(_ search: IndexSearch, score: Double) throws(CoverTreeError) -> ScoredLists {
    let lists = try ScoredLists(queries: search.queries.count)
    try forEachQuery(search, candidates: search.options.candidateCount, copies: .max) {
      (row, shortlist, _) throws(CoverTreeError) in try shortlist.collect(within: score, into: lists.found[row])
    }
    return lists
  }

  /// Finds the candidates of each query, and passes them on.
  ///
  /// - Parameter copies: the number of equal vectors to find.
  private func forEachQuery(
    _ search: IndexSearch, candidates: Int, copies: Int,
    _ body: (Int, Shortlist, any CandidateSeeker) throws(CoverTreeError) -> Void
  ) throws(CoverTreeError) {
    let wanted = min(candidates, search.admittedCount)
    let makeSeeker = try hashes.seekers(for: search, wanted: wanted, probes: search.options.probeCount, copies: copies)
    let seekers = PerThread<Seeker>(count: search.context.threads)
    let batch = min(Hyperplanes.batch, max(1, search.queries.count / (4 * search.context.threads)))
    let batches = (search.queries.count + batch - 1) / batch
    try search.context.forEach(batches, grain: 1) { (range, thread) throws(CoverTreeError) in
      let seeker = try seekers.value(thread) { () throws(CoverTreeError) in
        Seeker(try Hyperplanes.Projections(planes), try Shortlist(table), try makeSeeker())
      }
      for chunk in range {
        let first = chunk * batch
        let count = min(batch, search.queries.count - first)
        seeker.projections.run(search.queries.rows(first..<first + count), queries: true)
        let projected = ProjectedQueries(base: seeker.projections.values.base, stride: planes.stride, count: count)
        for index in 0..<count {
          seeker.shortlist.begin(search.queries.row(first + index))
          try seeker.candidates.find(index, of: projected, seeker.shortlist)
          try body(first + index, seeker.shortlist, seeker.candidates)
          compared.add(seeker.shortlist.count)
        }
      }
    }
  }

  /// One thread's searches.
  private final class Seeker {
    let projections: Hyperplanes.Projections
    let shortlist: Shortlist
    let candidates: any CandidateSeeker

    init(_ projections: Hyperplanes.Projections, _ shortlist: Shortlist, _ candidates: any CandidateSeeker) {
      (self.projections, self.shortlist, self.candidates) = (projections, shortlist, candidates)
    }
  }

  var byteCount: Int { planes.byteCount + hashes.byteCount }
  var comparisons: Int { compared.value }
}
