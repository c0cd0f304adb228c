import Testing

@testable import Covertree
@testable import CovertreeBase

@Suite struct CoverTreeTests {
  @Test(arguments: [1, 2, 3, 40, 3000], [1, 2, 3, 4, 7, 8, 20])
  func treesAreValidAndSearchesExact(count: Int, dim: Int) throws {
    try check(PointSet<Float>(count: count, dim: dim, seed: 1, duplicated: count > 5))
    try check(PointSet<Double>(count: count, dim: dim, seed: 2, duplicated: count > 5))
  }

  private func check<S: Scalar>(_ points: PointSet<S>) throws {
    for order in [PointOrder.hilbert, .natural, .random] {
      var options = TreeOptions()
      options.order = order
      options.seed = 11
      let tree = try points.tree(options)
      try tree.validate(context: CallContext())
      let k = 5
      let nearest = try Buffer<Int64>(count: points.count * k)
      try tree.nearest(
        .allStored, k: k, options: SearchOptions(), context: CallContext(), rows: points.count,
        indices: nearest.base, distances: nil)
      for row in stride(from: 0, to: points.count, by: max(1, points.count / 20)) {
        let expected = points.sorted(from: points, row).prefix(k)
        for (rank, index) in expected.enumerated() {
          let found = Int(nearest[row * k + rank])
          #expect(points.squared(found, points, row) == points.squared(index, points, row))
        }
      }
    }
  }

  @Test(arguments: [1, 2, 4])
  func insertionKeepsEveryRule(threads: Int) throws {
    let points = PointSet<Float>(count: 3000, dim: 3, seed: 4, duplicated: true)
    let context = CallContext(threads: threads)
    let tree = try PointSet<Float>(count: 100, dim: 3, values: Array(points.values.prefix(300))).tree(threads: threads)
    var first = 100
    for size in [1, 10, 500, 2389] {
      let given = try points.withView {
        try tree.insert(.float32(PointsView(base: $0.row(first), count: size, dim: 3)), context: context)
      }
      #expect(given == first)
      first += size
      try tree.validate(context: context)
    }
    #expect(tree.info.pointCount == 3000)
  }

  @Test func theNumberOfThreadsIsNoPartOfTheTree() throws {
    let points = PointSet<Double>(count: 5000, dim: 3, seed: 12)
    let layouts = try [1, 2, 5].map { try points.tree(threads: $0).export(context: CallContext(threads: $0)) }
    for arrays in layouts.dropFirst() {
      for node in 0..<5000 {
        #expect(arrays.order[node] == layouts[0].order[node])
        #expect(arrays.levels[node] == layouts[0].levels[node])
        #expect(arrays.parents[node] == layouts[0].parents[node])
      }
    }
  }

  @Test func aDistanceWhoseSquareUnderflowsHasALevel() throws {
    let points = PointSet<Double>(count: 3, dim: 1, values: [0, 0x1p-600, 1])
    let tree = try points.tree()
    try tree.validate(context: CallContext())
    let levels = try tree.export(context: CallContext()).levels
    #expect((0..<3).map { levels[$0] }.min() == -601)
  }
}
