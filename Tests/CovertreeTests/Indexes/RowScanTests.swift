import Testing

@testable import Covertree
@testable import CovertreeBase

/// Both comparisons of a batch with all rows, each on its own: the processor decides which one a search uses.
@Suite struct RowScanTests {
  private static let k = 7

  @Test(arguments: [IndexMetric.squaredEuclidean, .innerProduct], [VectorStorage.float32, .float16, .int8])
  func scansAgreeWithABruteForce(metric: IndexMetric, storage: VectorStorage) throws {
    try check(metric, storage, count: 20, dim: 16)
    try check(metric, storage, count: 700, dim: 33)
    try check(metric, storage, count: 400, dim: 100)
  }

  private func check(_ metric: IndexMetric, _ storage: VectorStorage, count: Int, dim: Int) throws {
    let context = CallContext(threads: 2)
    let rows = try rows(metric, storage, PointSet<Float>(count: count, dim: dim, seed: 11, duplicated: true), context)
    let queries = PointSet<Float>(count: 40, dim: dim, seed: 12)
    let padded = try queries.withView { try PaddedQueries($0, rows.coordinates) }
    try checkProducts(rows, padded, context)
    try checkBytes(rows, padded, context)
  }

  private func rows(
    _ metric: IndexMetric, _ storage: VectorStorage, _ points: PointSet<Float>, _ context: CallContext
  ) throws -> RowPoints {
    var options = IndexOptions()
    (options.metric, options.storage) = (metric, storage)
    let table = try VectorTable(dim: points.dim, options: options, source: nil)
    _ = try points.withView { try table.append(.rows($0), ids: nil, context: context) }
    return try RowPoints(table, nil, longest: RowPoints.longest(table, context))
  }

  private func checkProducts(_ rows: RowPoints, _ queries: PaddedQueries, _ context: CallContext) throws {
    let batch = try BruteForceBatch(rows, k: Self.k)
    let norms = try BruteForceNorms(rows, context: context)
    let scan = try BruteForceScan(#require(norms), batch)
    try compare(batch, rows, queries.view) { try scan.run() }
  }

  private func checkBytes(_ rows: RowPoints, _ queries: PaddedQueries, _ context: CallContext) throws {
    guard let bytes = try QuantizedPoints(rows, context: context) else { return }
    let batch = try BruteForceBatch(rows, k: Self.k)
    let scan = try QuantizedScan(bytes, batch)
    try compare(batch, rows, queries.view) { try scan.run() }
  }

  private func compare(
    _ batch: BruteForceBatch<RowPoints>, _ rows: RowPoints, _ queries: PointsView<Float>, _ run: () throws -> Void
  ) throws {
    batch.begin(
      (0..<queries.count).map { row in
        .init(
          query: .init(row: row, coordinates: queries.row(row), index: -1), eligible: IndexFilter(), bound: .infinity)
      })
    try run()
    for row in 0..<queries.count {
      let scores = (0..<Int32(rows.count)).map { rows.decided(queries.row(row), SIMD4(repeating: $0))[0] }
      let expected = (0..<rows.count).sorted { (scores[$0], $0) < (scores[$1], $1) }.prefix(Self.k)
      let found = try batch.decided(row)
      #expect((0..<found.count).map { Int(found.indices[$0]) } == Array(expected))
    }
  }
}
