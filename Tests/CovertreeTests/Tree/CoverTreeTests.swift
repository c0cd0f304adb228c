import Testing

@testable import Covertree

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
    let tree = try points.withView {
      try CoverTree(points: PointsView(base: $0.base, count: 100, dim: 3), options: TreeOptions(), context: context)
    }
    var first = 100
    for size in [1, 10, 500, 2389] {
      let given = try points.withView {
        try tree.insert(PointsView(base: $0.row(first), count: size, dim: 3), context: context)
      }
      #expect(given == first)
      first += size
      try tree.validate(context: context)
    }
    #expect(tree.count == 3000)
  }

  @Test func theNumberOfThreadsIsNoPartOfTheTree() throws {
    let points = PointSet<Double>(count: 5000, dim: 3, seed: 12)
    let trees = try [1, 2, 5].map { try points.tree(threads: $0) }
    for tree in trees.dropFirst() {
      #expect(tree.snapshot.layout.order.elements.elementsEqual(trees[0].snapshot.layout.order.elements))
      #expect(tree.snapshot.layout.levels.elements.elementsEqual(trees[0].snapshot.layout.levels.elements))
      #expect(tree.snapshot.layout.parents.elements.elementsEqual(trees[0].snapshot.layout.parents.elements))
    }
  }

  @Test func aDistanceThatUnderflowsIsAnError() {
    let points = PointSet<Double>(count: 3, dim: 1, values: [0, 0x1p-600, 1])
    #expect(failure { _ = try points.tree() }?.message.contains("rescale") == true)
  }
}
