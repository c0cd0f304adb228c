import CovertreeBase

/// The nearest of all points to each query of a set: queries are compared with all points in batches.
struct BruteForceTask<Points: BruteForcePoints, Rows: NeighborRows> where Rows.S == Points.S {
  typealias S = Points.S

  let points: Points
  let set: QuerySet<S>
  /// At most the number of points.
  let k: Int
  let options: SearchOptions
  let context: CallContext
  let counters: SearchCounters
  let rows: Rows

  /// - Parameters:
  ///   - batchSize: queries that are compared together, at most a batch's.
  ///   - estimate: an estimate of the distance of a query's k-th neighbour. A query that finds fewer than `k` points within it is
  ///     compared again without. If there are many of these, the rest of the call uses no estimate.
  func run<B: BatchScan>(
    _ positions: Range<Int>, batchSize: Int = BruteForceBatch<Points>.size, estimate: RadiusEstimate<S>?,
    _ make: (BruteForceBatch<Points>) throws(CoverTreeError) -> B
  ) throws(CoverTreeError) where B.Batch == BruteForceBatch<Points> {
    let scanners = PerThread<BruteForceScanner<Points, B>>(count: context.threads)
    try context.forEach((positions.count + batchSize - 1) / batchSize, grain: 1) {
      (range, slot) throws(CoverTreeError) in
      let scanner = try scanners.value(slot) { () throws(CoverTreeError) in
        BruteForceScanner(try make(BruteForceBatch(points, k: k)), estimates: estimate != nil)
      }
      for chunk in range {
        let first = positions.lowerBound + chunk * batchSize
        let numbers = first..<min(positions.upperBound, first + batchSize)
        let rows = try set.queries(numbers)
        let queries = numbers.map { rows[$0] }
        let missed = try scanner.search(queries, options, k) {
          let farthest = options.farthestScore($0.row, S.self)
          return scanner.estimates ? min(farthest, estimate!.score($0.coordinates)) : farthest
        } write: { (found, query) throws(CoverTreeError) in
          try self.rows.write(found, query)
        }
        if missed.count * 4 > queries.count { scanner.estimates = false }
        _ = try scanner.search(missed, options, 0) {
          options.farthestScore($0.row, S.self)
        } write: { (found, query) throws(CoverTreeError) in
          try self.rows.write(found, query)
        }
        withExtendedLifetime(rows) {}
        counters.add(queries: queries.count, points: (queries.count + missed.count) * points.count, boxes: 0)
      }
    }
  }
}

/// A thread's scan of batches.
private final class BruteForceScanner<Points: BruteForcePoints, B: BatchScan>
where B.Batch == BruteForceBatch<Points> {
  typealias Query = QuerySet<Points.S>.Query

  private let scan: B
  var estimates: Bool

  init(_ scan: B, estimates: Bool) { (self.scan, self.estimates) = (scan, estimates) }

  /// Searches for the nearest points within a bound of each query. Returns queries that found fewer than `enough`: nothing is written.
  func search(
    _ queries: [Query], _ options: SearchOptions, _ enough: Int, within bound: (Query) -> Double,
    write: (SortedNeighbors, Query) throws(CoverTreeError) -> Void
  ) throws(CoverTreeError) -> [Query] {
    guard !queries.isEmpty else { return [] }
    scan.batch.begin(queries.map { .init(query: $0, eligible: options.eligible($0), bound: bound($0)) })
    try scan.run()
    var missed: [Query] = []
    for (i, query) in queries.enumerated() {
      let found = try scan.batch.decided(i)
      if found.count >= enough || !estimates { try write(found, query) } else { missed.append(query) }
    }
    return missed
  }
}
