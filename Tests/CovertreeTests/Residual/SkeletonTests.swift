import Glibc
import Testing

@testable import Covertree

/// The bounds by which points and blocks are skipped, against every pair they speak of.
@Suite struct SkeletonTests {
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

  private func rho(_ model: ResidualModel, _ i: Int, _ j: Int) -> Double {
    let squared = squaredEuclidean(model.coordinates.base + i * 2, model.coordinates.base + j * 2, dim: 2)
    guard case .kernel(let kernel) = model.covariance else { return .nan }
    let product = dot(model.features.base + i * model.rank, model.features.base + j * model.rank, count: model.rank)
    let norm = (model.residualVariance[i] * model.residualVariance[j]).squareRoot()
    return (kernel.value(atSquared: SIMD8(repeating: squared))[0] - product) / norm
  }

  @Test(arguments: [Kernel.Shape.rbf, .matern12, .matern32, .matern52])
  func boundsHoldForEveryPair(_ shape: Kernel.Shape) throws {
    let model = try model(shape, count: 1000, inducing: 30)
    let skeletons = try #require(try Skeletons(model, mostProductBytes: .max, worth: .infinity, context: CallContext()))
    let products = try #require(try skeletons.products(CallContext()))
    var useful = 0
    for i in 0..<model.count {
      let bounds = products.bounds(ofPlace: i)
      for block in 0..<model.blockCount {
        let largest = model.places(ofBlock: block).map { rho(model, i, $0).magnitude }.max()!
        #expect(Double(bounds[block]) / 255 >= min(1, largest) - 1e-9)
        if bounds[block] < 255 { useful += 1 }
      }
    }
    #expect(useful > 0)
  }

  @Test(arguments: [Kernel.Shape.rbf, .matern52])
  func coordinatesAndErrorsGiveTheCorrelationsWithinABlock(_ shape: Kernel.Shape) throws {
    let model = try model(shape, count: 700, inducing: 30)
    let skeletons = try #require(try Skeletons(model, mostProductBytes: .max, worth: .infinity, context: CallContext()))
    for (block, skeleton) in skeletons.blocks.enumerated() {
      let places = model.places(ofBlock: block)
      for i in 0..<places.count {
        for j in 0..<places.count {
          var estimate = 0.0
          for k in 0..<skeleton.rank {
            let (a, b) = (skeleton.coordinates.view.row(i), skeleton.coordinates.view.row(j))
            estimate += Double(a[k * 32]) * Double(b[k * 32])
          }
          let off = (estimate - rho(model, places.lowerBound + i, places.lowerBound + j)).magnitude
          #expect(off <= Double(skeleton.errors[i] * skeleton.errors[j] + skeleton.rounding))
        }
      }
    }
  }

  @Test func productsThatAreNotKeptGiveTheSameNeighbours() throws {
    let model = try model(.rbf, count: 10_000, inducing: 30)
    let k = 20
    var options = ResidualSearchOptions()
    options.predecessorsOnly = true
    let answers = try [Int.max, 0].map { bytes in
      let search = try ResidualSearch(model, since: 0, mostProductBytes: bytes, context: CallContext())
      let indices = try Buffer<Int64>(count: model.count * k)
      let distances = try Buffer<Double>(count: model.count * k)
      try search.nearest(
        .allStored, k: k, options: options, context: CallContext(), rows: model.count, indices: indices.base,
        distances: distances.base)
      #expect(search.info.statistics.blocksEstimated > 0)
      return (Array(indices.elements), Array(distances.elements))
    }
    #expect(answers[0] == answers[1])
  }

  @Test func blocksHaveTheirPointsInOrderAndAllOfThem() throws {
    let model = try model(.rbf, count: 1000, inducing: 5)
    #expect(Set(model.order.elements) == Set(0..<1000))
    for block in 0..<model.blockCount {
      let labels = model.places(ofBlock: block).map { model.order[$0] }
      #expect(labels == labels.sorted())
    }
  }
}
