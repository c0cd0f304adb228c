import Glibc
import Testing

@testable import Covertree
@testable import CovertreeBase

/// The bounds by which points and blocks are skipped, compared with every pair.
@Suite struct LowRankTests {
  private func model(_ shape: Kernel.Shape, count: Int, inducing: Int) throws -> ResidualModel {
    var generator = SeededGenerator(seed: 5)
    let points = (0..<count * 2).map { _ in Double.random(in: -2...2, using: &generator) }
    return try points.withUnsafeBufferPointer { base in
      let view = PointsView(base: base.baseAddress!, count: count, dim: 2)
      return try ResidualModel(
        view, covariance: .kernel(Kernel(shape: shape, variance: 2, lengthscale: [0.8])),
        source: .inducing(PointsView(base: base.baseAddress!, count: inducing, dim: 2), jitter: 1e-6), blockSize: 256,
        context: CallContext())
    }
  }

  private func lowRankBlocks(_ model: ResidualModel, mostBlocks: Int) throws -> LowRankBlocks {
    try #require(try LowRankBlocks(model, mostBlocks: mostBlocks, worth: .infinity, context: CallContext()))
  }

  @Test(arguments: [Kernel.Shape.rbf, .matern12, .matern32, .matern52], [512, 2])
  func boundsHoldForEveryPair(_ shape: Kernel.Shape, mostBlocks: Int) throws {
    let model = try model(shape, count: 1500, inducing: 30)
    let lowRankBlocks = try lowRankBlocks(model, mostBlocks: mostBlocks)
    #expect(lowRankBlocks.blocksPerRegion == (mostBlocks == 2 ? 2 : 1))
    let regions = try lowRankBlocks.regions(CallContext())
    var useful = 0
    for (region, lowRankBlock) in regions.lowRankBlocks.enumerated() {
      let bounds = regions.products.bounds(with: region)
      for i in 0..<model.count {
        let largest = lowRankBlock.positions.map { model.rho(i, $0).magnitude }.max()!
        #expect(Double(bounds[i]) / 255 >= min(1, largest) - 1e-9)
        if bounds[i] < 255 { useful += 1 }
      }
    }
    #expect(useful > 0)
  }

  @Test(arguments: [Kernel.Shape.rbf, .matern52])
  func coordinatesAndErrorsGiveTheCorrelationsWithinALowRankBlock(_ shape: Kernel.Shape) throws {
    let model = try model(shape, count: 700, inducing: 30)
    let lowRankBlocks = try lowRankBlocks(model, mostBlocks: 1)
    for lowRankBlock in try lowRankBlocks.blocks + lowRankBlocks.regions(CallContext()).lowRankBlocks {
      let positions = lowRankBlock.positions
      for i in 0..<positions.count {
        for j in 0..<positions.count {
          var estimate = 0.0
          for k in 0..<lowRankBlock.rank {
            let (a, b) = (lowRankBlock.coordinates.view.row(i), lowRankBlock.coordinates.view.row(j))
            estimate += Double(a[k * 32]) * Double(b[k * 32])
          }
          let off = (estimate - model.rho(positions.lowerBound + i, positions.lowerBound + j)).magnitude
          #expect(off <= Double(lowRankBlock.residualNorms[i] * lowRankBlock.residualNorms[j] + lowRankBlock.rounding))
        }
      }
    }
  }

  /// Including points next to inducing points, whose residual variance is so small that sums over pivots cancel.
  @Test(arguments: [Kernel.Shape.rbf, .matern12, .matern52], [30, 300])
  func basesAreOrthonormalUpToTheRoundingThatErrorsInclude(_ shape: Kernel.Shape, inducing: Int) throws {
    let model = try model(shape, count: 900, inducing: inducing)
    let lowRankBlocks = try lowRankBlocks(model, mostBlocks: 2)
    let bases = try (lowRankBlocks.blocks + lowRankBlocks.regions(CallContext()).lowRankBlocks).map(\.basis)
    let maker = try BasisProductMaker(model, bases)
    for basis in bases {
      #expect(basis.rank <= basis.pivots.count)
      let product = try Buffer<Float>(count: basis.paddedRank * basis.paddedRank)
      try maker.make(basis, basis, into: product.base)
      for a in 0..<basis.paddedRank {
        for b in 0..<basis.paddedRank {
          let off = Double(product[a * basis.paddedRank + b]) - (a == b && a < basis.rank ? 1 : 0)
          #expect(off.magnitude <= basis.lost(scale: 0) + 0x1p-22)
        }
      }
    }
  }

  @Test func residualNormsAreNearTheTolerance() throws {
    let model = try model(.matern52, count: 2000, inducing: 30)
    for tau in [0.05, 0.2] {
      let made = try LowRankBlocks(model, mostBlocks: 512, worth: .infinity, tau: tau, context: CallContext())
      for lowRankBlock in try #require(made).blocks {
        #expect((tau / 2...tau * 1.5).contains(Double(lowRankBlock.maxResidualNorm)))
      }
    }
  }

  /// On one level and on two, with the early points in a search of their own, and theirs again.
  @Test func sizesChangeNoNeighbour() throws {
    let model = try model(.rbf, count: 10_000, inducing: 30)
    let k = 20
    var options = SearchOptions()
    options.predecessorsOnly = true
    let sizes = [
      ResidualSearch.Sizes(), ResidualSearch.Sizes(blocks: 8), ResidualSearch.Sizes(early: 100, direct: 500, blocks: 3),
    ]
    let answers = try sizes.map { sizes in
      let search = try ResidualSearch(model, since: 0, sizes: sizes, context: CallContext())
      let indices = try Buffer<Int64>(count: model.count * k)
      let distances = try Buffer<Double>(count: model.count * k)
      try search.nearest(
        .allStored, k: k, options: options, context: CallContext(), rows: model.count, indices: indices.base,
        distances: distances.base)
      #expect(search.info.statistics.blocksEstimated > 0)
      #expect(search.info.statistics.queries == model.count)
      return (Array(indices.elements), Array(distances.elements))
    }
    for answer in answers { #expect(answer == answers[0]) }
  }

  @Test func newPointsFindTheSameThroughRegions() throws {
    let model = try model(.matern52, count: 4000, inducing: 30)
    let queries = (0..<600).map { Double($0 % 37) * 0.09 - 1.7 }
    let k = 10
    let answers = try [512, 2].map { blocks in
      let search = try ResidualSearch(
        model, since: 0, sizes: ResidualSearch.Sizes(blocks: blocks), context: CallContext())
      let indices = try Buffer<Int64>(count: 300 * k)
      try queries.withUnsafeBufferPointer { base in
        try search.nearest(
          .points(
            PointsView(base: base.baseAddress!, count: 300, dim: 2), features: nil, residualVariance: nil), k: k,
          options: SearchOptions(),
          context: CallContext(), rows: 300, indices: indices.base, distances: nil)
      }
      #expect(search.info.statistics.blocksEstimated > 0)
      return Array(indices.elements)
    }
    #expect(answers[0] == answers[1])
  }

  @Test func blocksHaveTheirPointsInOrderAndAllOfThem() throws {
    let model = try model(.rbf, count: 1000, inducing: 5)
    #expect(Set(model.order.elements) == Set(0..<1000))
    for block in 0..<model.blockCount {
      let indices = model.positions(ofBlock: block).map { model.order[$0] }
      #expect(indices == indices.sorted())
    }
  }
}
