import Testing

@testable import Covertree
@testable import CovertreeBase

/// The bounds by which far blocks are skipped, compared with every pair.
@Suite struct DecayBoundsTests {
  /// Points of a domain 40 lengthscales wide, the first of which are inducing points.
  private func model(_ shape: Kernel.Shape, dim: Int) throws -> ResidualModel {
    let count = 1500
    var generator = SeededGenerator(seed: 7)
    let points = (0..<count * dim).map { _ in Double.random(in: -20...20, using: &generator) }
    return try points.withUnsafeBufferPointer { base in
      let view = PointsView(base: base.baseAddress!, count: count, dim: dim)
      return try ResidualModel(
        view, covariance: .kernel(Kernel(shape: shape, variance: 3, lengthscale: [1])),
        source: .inducing(PointsView(base: base.baseAddress!, count: 60, dim: dim), jitter: 1e-6), blockSize: 64,
        context: CallContext())
    }
  }

  private func rho(_ model: ResidualModel, _ i: Int, _ j: Int) -> Double {
    1
      - model.squaredDistances(
        from: ExactQuery(
          coordinates: UnsafePointer(model.coordinates.base) + i * model.dim,
          features: UnsafePointer(model.features.base) + i * model.rank,
          residualVariance: model.residualVariance[i], index: -1),
        to: SIMD8(repeating: Int32(j)), count: 1, covariances: SIMD8(repeating: 0))[0]
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
          points.map { rho(model, Int(group.queries[i].position), $0).magnitude }.max() ?? 0
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
    let (model, k) = (try model(shape, dim: 2), 12)
    var options = SearchOptions()
    options.predecessorsOnly = predecessorsOnly
    let search = try ResidualSearch(
      model, since: 0, sizes: ResidualSearch.Sizes(early: 100), context: CallContext())
    let indices = try Buffer<Int64>(count: model.count * k)
    let distances = try Buffer<Double>(count: model.count * k)
    try search.nearest(
      .allStored, k: k, options: options, context: CallContext(), rows: model.count, indices: indices.base,
      distances: distances.base)
    #expect(search.info.statistics.blocksCompared < model.count * model.blockCount / 2)
    for index in 0..<model.count {
      let position = Int(model.positionOfIndex[index])
      var pairs: [(distance: Double, index: Int)] = []
      for other in 0..<(predecessorsOnly ? index : model.count) {
        let from = other == index ? 0 : 1 - rho(model, position, Int(model.positionOfIndex[other])).magnitude
        pairs.append((from.squareRoot(), other))
      }
      pairs.sort { $0 < $1 }
      let found = (0..<k).map { Int(indices[index * k + $0]) }
      #expect(found == pairs.prefix(k).map(\.index) + Array(repeating: -1, count: max(0, k - pairs.count)))
    }
  }
}
