import Testing

@testable import Covertree
@testable import CovertreeBase

@Suite struct TopKTests {
  /// Sorted insertion and the heap meet at 128.
  @Test(arguments: [1, 2, 10, 127, 128, 129, 500, 2000])
  func keepsTheNearestAndBreaksTiesByIndex(k: Int) throws {
    var generator = SeededGenerator(seed: UInt64(k))
    let given = (0..<1500).shuffled(using: &generator).map {
      Candidate(squared: Double(Int.random(in: 0..<200, using: &generator)), index: Int32($0))
    }
    var nearest = TopK(try TopK.Scratch(k: k), bound: 150)
    for candidate in given { nearest.insert(candidate.squared, candidate.index) }
    let found = nearest.finished()
    let expected = given.filter { $0.squared <= 150 }.sorted { $0 < $1 }.prefix(k)
    #expect((0..<found.count).map { Int32(found.indices[$0]) } == expected.map(\.index))
  }
}

@Suite struct KDTreeSearchTests {
  @Test(arguments: [(1, 1), (5, 2), (300, 3), (2000, 4), (500, 8), (100, 33)], [1, 16, 20, 100])
  func agreesWithABruteForce(size: (count: Int, dim: Int), leafSize: Int) throws {
    try check(PointSet<Float>(count: size.count, dim: size.dim, seed: 3, duplicated: true), leafSize)
    try check(PointSet<Double>(count: size.count, dim: size.dim, seed: 4, duplicated: true), leafSize)
  }

  private func check<S: Scalar>(_ points: PointSet<S>, _ leafSize: Int) throws {
    let queries = PointSet<S>(count: 20, dim: points.dim, seed: 9)
    try points.withView { view in
      let tree = try KDTree(view, leafSize: leafSize, context: CallContext(threads: 2))
      let all = SearchPoints([Segment(tree, indexRange: 0..<view.count)], removedCounts: [0], time: 0)
      var search = try KDTreeSearch(all, dimension: RuntimeDimension(count: view.dim))
      for row in 0..<queries.count {
        let sorted = points.sorted(from: queries, row)
        try queries.withView { try check($0.row(row), all, &search, sorted) }
      }
    }
  }

  /// - Parameter sorted: the points by their distance from the query.
  private func check<S: Scalar>(
    _ query: UnsafePointer<S>, _ all: SearchPoints<S>, _ search: inout KDTreeSearch<S, RuntimeDimension>,
    _ sorted: [Int]
  ) throws {
    let k = min(7, sorted.count)
    let scratch = try CandidateBuffer<S>.Scratch(k: k)
    var candidates = CandidateBuffer(scratch, bound: .infinity, rounding: search.rounding)
    try search.run(query, into: &candidates)
    let reranker = try ExactReranker<S>(dim: search.dimension.count, k: k)
    let found = try candidates.decided(search, query, bound: .infinity, into: reranker)
    #expect((0..<found.count).map { Int(found.indices[$0]) } == Array(sorted.prefix(k)))

    var exact = try ExactSearch(all, k: k, dimension: RuntimeDimension(count: all.dim))
    let decided = try exact.nearest(to: query, .init(), bound: .infinity)
    #expect((0..<decided.count).map { Int(decided.indices[$0]) } == Array(sorted.prefix(k)))

    // Indices below a bound, without one index.
    let before = sorted.count / 2 + 1
    let excluded = sorted.first { $0 < before } ?? 0
    let some = try exact.nearest(
      to: query, .init(upperIndex: Int32(before), excludedIndex: Int32(excluded)), bound: .infinity)
    let expected = sorted.filter { $0 < before && $0 != excluded }.prefix(k)
    #expect((0..<some.count).map { Int(some.indices[$0]) } == Array(expected))
  }
}
