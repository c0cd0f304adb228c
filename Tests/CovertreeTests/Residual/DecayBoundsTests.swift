import Testing

@testable import Covertree
@testable import CovertreeBase

/// The bounds by which far blocks are skipped, compared with every pair.
@Suite struct DecayBoundsTests {
  /// Points of a domain 40 lengthscales wide, the first of which are inducing points.
  private func model(_ shape: Kernel.Shape, dim: Int) throws -> ResidualModel {
    try ResidualModel.uniform(shape, count: 1500, dim: dim, inducing: 60, in: -20...20, seed: 7, blockSize: 64)
  }

  /// Blocks, without their outliers, and outliers.
  private func points(of target: Int, _ bounds: DecayBounds, _ model: ResidualModel) -> [Int] {
    guard target < bounds.blockCount else { return [Int(bounds.outliers[target - bounds.blockCount])] }
    return model.positions(ofBlock: target).filter { !bounds.outliers.contains(Int32($0)) }
  }

  @Test(arguments: [Kernel.Shape.rbf, .matern12, .matern32, .matern52], [2, 3])
  func boundsHoldForEveryPair(_ shape: Kernel.Shape, dim: Int) throws {
    let model = try model(shape, dim: dim)
    let bounds = try #require(try DecayBounds(model, context: CallContext()))
    #expect(bounds.outliers.count >= 50)
    let comparison = try DecayComparison(model, bounds, groupSize: 64)
    let rows = try Buffer<Int32>(counting: model.count)
    let set = try ResidualQuerySet(
      nil, rows: rows.elements, in: model, options: SearchOptions(), groupSize: 64, context: CallContext())
    var (pairs, skipped, tight) = (0, 0, 0)
    for number in stride(from: 0, to: set.groupCount, by: 5) {
      let group = set[number]
      try comparison.begin(group)
      for target in 0..<bounds.targetCount {
        let points = points(of: target, bounds, model)
        let largest = (0..<group.count).map { i in
          points.map { model.rho(Int(group.queries[i].position), $0).magnitude }.max() ?? 0
        }
        #expect(Double(comparison.bound(target)) >= largest.max()!)
        let active = comparison.activeQueries(target) { Float($0 < group.count ? largest[$0] : 0).nextDown }
        #expect((0..<group.count).allSatisfy(active.contains))
        // Half of the bound would be too little for some.
        let twice = comparison.activeQueries(target) { 2 * Float(largest[$0]) }
        tight += group.count - twice.count
        let relevant = comparison.activeQueries(target) { _ in 0.1 }
        pairs += group.count
        skipped += group.count - relevant.count
      }
    }
    #expect(tight > 0)
    #expect(2 * skipped > pairs)
  }

  /// The answers of searches with bounds, against a comparison with every point.
  @Test(arguments: [Kernel.Shape.rbf, .matern12, .matern52], [false, true])
  func nothingIsLost(_ shape: Kernel.Shape, predecessorsOnly: Bool) throws {
    let model = try model(shape, dim: 2)
    let search = try ResidualSearch(
      model, since: 0, sizes: ResidualSearch.Sizes(early: 100), context: CallContext())
    try search.expectExact(k: 12, predecessorsOnly: predecessorsOnly)
    #expect(search.info.statistics.blocksCompared < model.count * model.blockCount / 2)
  }

  /// The features left out of products, and the sum that bounds rounding errors.
  @Test func featuresLeftOutChangeLittle() throws {
    let model = try model(.matern52, dim: 2)
    let bounds = try #require(try DecayBounds(model, context: CallContext()))
    let relevant = try #require(try RelevantFeatures(bounds))
    let rows = try Buffer<Int32>(counting: model.count)
    let set = try ResidualQuerySet(
      nil, rows: rows.elements, in: model, options: SearchOptions(), groupSize: 64, context: CallContext())
    var (leftOut, tight) = (0, 0)
    for number in 0..<set.groupCount {
      let group = set[number]
      relevant.begin(group)
      for block in stride(from: number % 3, to: model.blockCount, by: 3) {
        relevant.choose(block, least: 0.1)
        let chosen = Set(relevant.columns ?? Array(0..<model.rank))
        leftOut += model.rank - chosen.count
        #expect(relevant.leftOut <= 0.1 * 0x1p-11)
        for i in 0..<group.count {
          let (own, scale) = (Int(group.queries[i].position), model.scale[Int(group.queries[i].position)])
          for j in model.positions(ofBlock: block) {
            let products = (0..<model.rank).map {
              model.features[own * model.rank + $0] * model.features[j * model.rank + $0] * scale * model.scale[j]
            }
            let missing = products.indices.reduce(0.0) { chosen.contains($1) ? $0 : $0 + products[$1].magnitude }
            #expect(missing <= Double(relevant.leftOut))
            #expect(products.reduce(0) { $0 + $1.magnitude } <= relevant.crossing)
            if 2 * missing > Double(relevant.leftOut) && missing > 0 { tight += 1 }
          }
        }
      }
    }
    #expect(leftOut > model.rank * set.groupCount)
    #expect(tight > 0)
  }
}
