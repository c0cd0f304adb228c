/// The nearest of all points to each query of a set, by comparing queries with all of them in batches.
struct DenseTask<Points: DensePoints, Rows: NeighborRows> where Rows.S == Points.S {
  typealias S = Points.S

  let points: Points
  let set: QuerySet<S>
  /// At most as many as there are points.
  let k: Int
  let options: SearchOptions
  let context: CallContext
  let counters: SearchCounters
  let rows: Rows

  /// - Parameters:
  ///   - batchSize: queries that are compared together, at most a batch's.
  ///   - guess: how far a query's k-th neighbour may be. Queries that find fewer than `k` points within it are compared
  ///     again without; where those are many, nothing is guessed any more.
  func run<B: BatchScan>(
    _ places: Range<Int>, batchSize: Int = DenseBatch<Points>.size, guess: DenseGuess<S>?,
    _ make: (DenseBatch<Points>) throws(CoverTreeError) -> B
  ) throws(CoverTreeError) {
    let scanners = PerThread<DenseScanner<Points, B>>(count: context.threads)
    try context.forEach((places.count + batchSize - 1) / batchSize, grain: 1) { (range, slot) throws(CoverTreeError) in
      let scanner = try scanners.value(slot) { () throws(CoverTreeError) in
        let batch = try DenseBatch(points, k: k)
        return DenseScanner(batch, try make(batch), guesses: guess != nil)
      }
      for part in range {
        let first = places.lowerBound + part * batchSize
        let numbers = first..<min(places.upperBound, first + batchSize)
        let rows = try set.queries(numbers)
        let queries = numbers.map { rows[$0] }
        let missed = try scanner.search(queries, options, k) {
          let farthest = options.farthestScore($0.row, S.self)
          return scanner.guesses ? min(farthest, guess!.score($0.coordinates)) : farthest
        } write: { (found, query) throws(CoverTreeError) in
          try self.rows.write(found, query)
        }
        if missed.count * 4 > queries.count { scanner.guesses = false }
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

/// A thread's batch, and the scan that fills it.
private final class DenseScanner<Points: DensePoints, B: BatchScan> {
  typealias Query = QuerySet<Points.S>.Query

  private let batch: DenseBatch<Points>
  private let scan: B
  var guesses: Bool

  init(_ batch: DenseBatch<Points>, _ scan: B, guesses: Bool) {
    (self.batch, self.scan, self.guesses) = (batch, scan, guesses)
  }

  /// Searches for the nearest points within a bound of each query.
  ///
  /// - Returns: queries that found fewer than `enough`; nothing is written for them.
  func search(
    _ queries: [Query], _ options: SearchOptions, _ enough: Int, within bound: (Query) -> Double,
    write: (SortedNeighbors, Query) throws(CoverTreeError) -> Void
  ) throws(CoverTreeError) -> [Query] {
    guard !queries.isEmpty else { return [] }
    batch.begin(queries.map { .init(query: $0, eligible: options.eligible($0), bound: bound($0)) })
    try scan.run()
    var missed: [Query] = []
    for (i, query) in queries.enumerated() {
      let found = try batch.decided(i)
      if found.count >= enough || !guesses { try write(found, query) } else { missed.append(query) }
    }
    return missed
  }
}

/// How far the neighbours of queries may be, from those of a few: many dimensions without structure leave little between them.
struct DenseGuess<S: Scalar> {
  let bytes: DenseBytes<S>
  let products: Bool
  /// By how much a squared distance exceeds that from the points' centre; or what a product is beside the query's length.
  let excess: Double

  func score(_ query: UnsafePointer<S>) -> Double {
    products ? excess * lengthOf(query, bytes.dim) : bytes.squaredLength(query) + excess
  }
}

/// The first queries of a call, and how far their last neighbours were.
final class Probes<S: Scalar>: @unchecked Sendable {
  private let dim: Int
  private let queries: Buffer<S>
  private let farthest: Buffer<Double>
  private let taken = Counter()

  /// Bytes are compared where rounding to them hides no more than this share of a neighbour's distance.
  private static var hiddenShare: Double { 0.05 }

  init(_ count: Int, dim: Int) throws(CoverTreeError) {
    self.dim = dim
    queries = try Buffer(count: count * dim)
    farthest = try Buffer(count: count)
  }

  /// Takes down what one has found.
  func take(_ found: SortedNeighbors, _ query: QuerySet<S>.Query) {
    guard found.count > 0 else { return }
    let place = taken.next()
    (queries.base + place * dim).update(from: query.coordinates, count: dim)
    farthest[place] = found.squares[found.count - 1]
  }

  /// - Returns: nil where bytes hide too much beside what the probes found.
  func guess<Points: DensePoints<S>>(_ points: Points, _ bytes: DenseBytes<S>) -> DenseGuess<S>? {
    var (excess, sizes) = (-Double.infinity, 0.0)
    for probe in 0..<taken.value {
      let query = UnsafePointer(queries.base + probe * dim)
      if points.products {
        let length = lengthOf(query, points.dim)
        excess = max(excess, length > 0 ? farthest[probe] / length : 0)
        sizes += points.longest
      } else {
        excess = max(excess, farthest[probe] - bytes.squaredLength(query))
        sizes += farthest[probe].squareRoot()
      }
    }
    guard bytes.remainder * Double(taken.value) <= Self.hiddenShare * sizes else { return nil }
    return DenseGuess(bytes: bytes, products: points.products, excess: excess)
  }
}
