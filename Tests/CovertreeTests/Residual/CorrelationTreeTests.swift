import Testing

@testable import Covertree
@testable import CovertreeBase

/// Trees in the residual-correlation metric, and the errors that `validate` finds in one.
@Suite struct CorrelationTreeTests {
  private func search(count: Int) throws -> ResidualSearch {
    var generator = SeededGenerator(seed: 8)
    let points = (0..<count * 2).map { _ in Double.random(in: -2...2, using: &generator) }
    return try points.withUnsafeBufferPointer { base in
      try ResidualSearch(
        points: PointsView(base: base.baseAddress!, count: count, dim: 2),
        covariance: .kernel(Kernel(shape: .matern32, variance: 2, lengthscale: [0.5])),
        source: .inducing(PointsView(base: base.baseAddress!, count: 20, dim: 2), jitter: 1e-6), context: CallContext())
    }
  }

  private func message(breaking damage: (TreeLayout<Double>) -> Void) throws -> String {
    let search = try search(count: 800)
    let tree = try search.tree(options: TreeOptions(), context: CallContext())
    try search.validate(tree, context: CallContext())
    damage(tree.layout)
    return failure { try search.validate(tree, context: CallContext(threads: 2)) }?.message ?? ""
  }

  /// Whether near points are listed, compared on request, or both.
  @Test(arguments: [0, 12, NeighborGraph.mostListed])
  func graphHasEveryNearPair(mostListed: Int) throws {
    let search = try search(count: 700)
    let squared = 0.3
    let graph = try search.graph(within: squared, mostListed: mostListed, context: CallContext())
    let model = search.model
    let all = try NeighborGraph.Choice(model.count, in: model) { Int32($0) }
    let some = try NeighborGraph.Choice(model.count / 3, in: model) { Int32($0 * 3 + 1) }
    for a in 0..<Int32(model.count) {
      var found: [Int32: Double] = [:]
      try graph.forEach(of: a, among: all) { (position, number, squared) throws(CoverTreeError) in
        #expect(number == position)
        found[position] = squared
      }
      try graph.forEach(of: a, among: some) { (position, number, squared) throws(CoverTreeError) in
        #expect(position == number * 3 + 1 && found[position] == squared)
      }
      for b in 0..<Int32(model.count) where a != b {
        let distance = model.squaredDistance(a, b)
        #expect(found[b] == (distance <= squared ? distance : nil))
      }
    }
  }

  @Test func separation() throws {
    let text = try message { layout in
      for t in 1..<layout.count where layout.levels[t] > TreeNodes.duplicate && layout.levels[t] < -1 {
        layout.levels[t] += 1
      }
    }
    #expect(text.hasPrefix("separation: broken by point") || text.hasPrefix("level below"))
  }

  @Test func covering() throws {
    let text = try message { layout in
      for t in 1..<layout.count where layout.levels[t] > TreeNodes.duplicate { layout.levels[t] -= 20 }
    }
    #expect(text.hasPrefix("covering: broken by point"))
  }

  @Test func radii() throws {
    #expect(try message { $0.radius[0] *= 0.5 }.hasPrefix("radius: broken by point"))
  }

  @Test func anotherModel() throws {
    let tree = try search(count: 300).tree(options: TreeOptions(), context: CallContext())
    let other = try search(count: 301)
    let error = failure { try other.validate(tree, context: CallContext()) }
    #expect(error?.message.hasPrefix("tree: it has 300 points") == true)
  }
}
