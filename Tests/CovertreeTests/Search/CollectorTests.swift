import Testing

@testable import Covertree

@Suite struct NearestCollectorTests {
  /// Sorted insertion and the heap meet at 128.
  @Test(arguments: [1, 2, 10, 127, 128, 129, 500, 2000])
  func keepsTheNearestAndBreaksTiesByIndex(k: Int) throws {
    var generator = SeededGenerator(seed: UInt64(k))
    let offered = (0..<1500).shuffled(using: &generator).map {
      Candidate(squared: Double(Int.random(in: 0..<200, using: &generator)), index: Int32($0))
    }
    var nearest = NearestCollector(try NearestCollector.Room(k: k), bound: 150)
    for candidate in offered { nearest.offer(candidate.squared, candidate.index) }
    nearest.finish()
    let expected = offered.filter { $0.squared <= 150 }.sorted { $0 < $1 }.prefix(k)
    #expect((0..<nearest.count).map { nearest[$0].index } == expected.map(\.index))
  }
}

@Suite struct BoxSearchTests {
  @Test(arguments: [(1, 1), (5, 2), (300, 3), (2000, 4), (500, 8), (100, 33)], [1, 16, 20, 100])
  func findsWhatABruteForceFinds(size: (count: Int, dim: Int), leafSize: Int) throws {
    try check(PointSet<Float>(count: size.count, dim: size.dim, seed: 3, duplicated: true), leafSize)
    try check(PointSet<Double>(count: size.count, dim: size.dim, seed: 4, duplicated: true), leafSize)
  }

  private func check<S: Scalar>(_ points: PointSet<S>, _ leafSize: Int) throws {
    let queries = PointSet<S>(count: 20, dim: points.dim, seed: 9)
    let context = CallContext(threads: 2)
    try points.withView { view in
      let tree = try BoxTree(
        points: view.base, dim: view.dim, count: view.count, sequence: nil, labels: nil, leafSize: leafSize,
        context: context)
      var search = try BoxSearch(tree, dimension: RuntimeDimension(count: view.dim))
      let k = min(7, points.count)
      let room = try NearestCollector.Room(k: k)
      for row in 0..<queries.count {
        let sorted = points.sorted(from: queries, row)
        var nearest = NearestCollector(room, bound: .infinity)
        try queries.withView { try search.run($0.row(row), into: &nearest) }
        #expect((0..<k).map { Int(nearest[$0].index) } == Array(sorted.prefix(k)))

        // Labels below a bound, and not one of them.
        let before = points.count / 2 + 1
        let excluded = sorted.first { $0 < before } ?? 0
        var count = CountCollector(worst: .infinity)
        try queries.withView {
          try search.run($0.row(row), .init(before: Int32(before), excluded: Int32(excluded)), into: &count)
        }
        #expect(count.count == Int64(before - 1))
      }
    }
  }
}
