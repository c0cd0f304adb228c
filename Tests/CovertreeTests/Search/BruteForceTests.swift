import Testing

@testable import Covertree
@testable import CovertreeBase

/// Both scans of all points, each on its own: the processor and the data decide which one a search uses.
@Suite struct BruteForceTests {
  private static let k = 9

  @Test(arguments: [(40, 16), (700, 17), (333, 130), (1000, 5)], [false, true])
  func scansAgreeWithABruteForce(size: (count: Int, dim: Int), far: Bool) throws {
    try check(PointSet<Float>(count: size.count, dim: size.dim, seed: 1, duplicated: true), far)
    try check(PointSet<Double>(count: size.count, dim: size.dim, seed: 2, duplicated: true), far)
  }

  /// The points of a search keep the points for brute force, which must not keep them in turn.
  @Test func pointsAreFreedAfterABruteForce() throws {
    weak var kept: SearchPoints<Float>?
    try PointSet<Float>(count: 100, dim: 20, seed: 4).withView { view in
      let tree = try CoverTree(points: view, options: TreeOptions(), context: CallContext())
      let searched = tree.snapshot.points
      _ = try searched.flat(CallContext()).bruteForceNorms(CallContext())
      kept = searched
    }
    #expect(kept == nil)
  }

  private func check<S: Scalar>(_ points: PointSet<S>, _ far: Bool) throws {
    let context = CallContext(threads: 2)
    let near = PointSet<S>(count: 50, dim: points.dim, seed: 3)
    // The bytes of far queries are clamped.
    let queries = PointSet<S>(count: 50, dim: points.dim, values: near.values.map { far ? $0 * 40 : $0 })
    try points.withView { view in
      let tree = try CoverTree(points: view, options: TreeOptions(), context: context)
      let all = try tree.snapshot.points.flat(context)
      let batch = try BruteForceBatch(all, k: min(Self.k, points.count))
      let norms = try BruteForceNorms(all, context: context)
      let products = try BruteForceScan(#require(norms), batch)
      try compare(batch, points, queries) { () throws(CoverTreeError) in try products.run() }
      guard let bytes = try QuantizedPoints(all, context: context) else { return }
      let byteScan = try QuantizedScan(bytes, batch)
      try compare(batch, points, queries) { () throws(CoverTreeError) in try byteScan.run() }
    }
  }

  private func compare<S: Scalar>(
    _ batch: BruteForceBatch<FlatPoints<S>>, _ points: PointSet<S>, _ queries: PointSet<S>, _ run: () throws -> Void
  ) throws {
    try queries.withView { view in
      let asked = (0..<queries.count).map { row in
        // Some ask for indices below a bound, but for one.
        let eligible =
          row % 2 == 0 ? IndexFilter() : IndexFilter(upperIndex: Int32(points.count / 2 + 3), excludedIndex: 2)
        let query = QuerySet<S>.Query(row: row, coordinates: view.row(row), index: -1)
        return BatchQuery<S>(query: query, eligible: eligible, bound: .infinity)
      }
      batch.begin(asked)
      try run()
      for (row, query) in asked.enumerated() {
        let expected = points.sorted(from: queries, row).filter { query.eligible.admits(Int32($0)) }.prefix(Self.k)
        let found = try batch.decided(row)
        #expect((0..<found.count).map { Int(found.indices[$0]) } == Array(expected))
      }
    }
  }
}
