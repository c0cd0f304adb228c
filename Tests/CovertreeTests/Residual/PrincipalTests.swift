import Testing

@testable import Covertree
@testable import CovertreeBase

/// Comparisons by few principal directions and in float32.
@Suite struct PrincipalTests {
  private static let shapes: [Kernel.Shape] = [.rbf, .matern12, .matern32, .matern52]

  /// Points in 8 dimensions, a few lengthscales apart; the last two are far outside.
  private func model(_ shape: Kernel.Shape) throws -> ResidualModel {
    // A process as smooth as RBF has few degrees of freedom in a small cube.
    let side = shape == .rbf ? 1.6 : 0.8
    return try ResidualModel.uniform(
      shape, count: 1300, dim: 8, inducing: 120, in: -side...side, seed: 3, blockSize: 64
    ) { points in
      for d in 0..<8 { (points[1299 * 8 + d], points[1298 * 8 + d]) = (200, -30) }
    }
  }

  @Test(arguments: shapes)
  func correlationsInSingleAreNearThoseInDouble(_ shape: Kernel.Shape) throws {
    let kernel = try Kernel(shape: shape, variance: 1, lengthscale: [1])
    var vectors: [SIMD16<Float>] = []
    for step in 0..<4000 {
      let base = Float(step) * 0.01
      vectors.append(SIMD16((0..<16).map { (base + Float($0) * 0.0005) * (base + Float($0) * 0.0005) }))
    }
    vectors.append(SIMD16((0..<16).map { $0 == 0 ? -1e-6 : Float.greatestFiniteMagnitude / Float($0) }))
    let squared = vectors
    vectors.withUnsafeMutableBufferPointer { kernel.correlate($0.baseAddress!, count: $0.count) }
    var largest = 0.0
    for (found, squared) in zip(vectors, squared) {
      for lane in 0..<16 {
        let exact = kernel.value(atSquared: SIMD8(repeating: Double(max(0, squared[lane]))))[0]
        largest = max(largest, (Double(found[lane]) - exact).magnitude)
      }
    }
    #expect(largest < 0x1p-19)
    #expect(largest > 0x1p-26)
  }

  @Test func remaindersBoundWhatDirectionsLeave() throws {
    let model = try model(.matern32)
    let principal = try #require(try PrincipalFeatures(model, context: CallContext()))
    #expect(principal.rank < model.rank * 3 / 4)
    let (width, root) = (PanelView<Float>.panelRows, model.variance.squareRoot())
    var tight = 0
    for i in stride(from: 0, to: model.count, by: 7) {
      for j in stride(from: i, to: model.count, by: 5) {
        let (a, b) = (principal.features.view.row(i), principal.features.view.row(j))
        let held = (0..<principal.rank).reduce(0.0) { $0 + Double(a[$1 * width]) * Double(b[$1 * width]) }
        let all = dot(model.features.base + i * model.rank, model.features.base + j * model.rank, count: model.rank)
        let missing = (all / model.variance - held).magnitude * model.scale[i] * model.scale[j] * model.variance
        let bound = Double(principal.remainders[i]) * Double(principal.remainders[j])
        let rounding = 0x1p-22 * model.scale[i] * model.scale[j] * root * root
        #expect(missing <= bound + rounding)
        // With itself the bound is sharp.
        if missing > 0.9 * bound { tight += 1 }
      }
    }
    #expect(tight >= model.count / 7)
  }

  /// Estimates with all features: the error is within the bound of the query, but for points outside.
  @Test(arguments: shapes)
  func estimatesInSingleAreWithinTheirErrors(_ shape: Kernel.Shape) throws {
    let model = try model(shape)
    let correlations = try #require(try SingleCorrelations(model, groupSize: 64))
    let rows = try Buffer<Int32>(counting: model.count)
    let set = try ResidualQuerySet(
      nil, rows: rows.elements, in: model, options: SearchOptions(), groupSize: 64, context: CallContext())
    let outside = model.centred.unknown.elements.prefix(model.count).filter { $0 > 0 }.count
    #expect(outside == 2)
    let (products, estimates) = (try Buffer<Float>(count: 64), try Buffer<Float>(count: 64))
    for number in stride(from: 0, to: set.groupCount, by: 4) {
      let group = set[number]
      correlations.begin(group)
      for block in 0..<model.blockCount {
        let positions = model.positions(ofBlock: block)
        correlations.multiply(0..<group.count, positions) { _ in positions.count }
        for i in 0..<group.count {
          let own = Int(group.queries[i].position)
          for (j, position) in positions.enumerated() {
            let product = dot(
              model.features.base + own * model.rank, model.features.base + position * model.rank, count: model.rank)
            products[j] = Float(product / model.variance)
          }
          correlations.estimate(i, products.base, positions, count: positions.count, into: estimates.base)
          for (j, position) in positions.enumerated() where model.centred.unknown[position] == 0 {
            let scale = Double(model.scaleAbove[position])
            let allowed = (correlations.errors[i] + 0x1p-23 * Double(model.scaleAbove[own])) * scale
            let exact = model.rho(own, position)
            #expect((Double(estimates[j]) - exact).magnitude <= allowed + 0x1p-21 * exact.magnitude)
          }
        }
      }
    }
  }

  /// The answers of searches by few directions, against a comparison with every point.
  @Test(arguments: shapes, [false, true])
  func nothingIsLost(_ shape: Kernel.Shape, predecessorsOnly: Bool) throws {
    let search = try ResidualSearch(
      model(shape), since: 0, sizes: ResidualSearch.Sizes(early: 100), context: CallContext())
    #expect(search.principal != nil)
    try search.expectExact(k: 5, predecessorsOnly: predecessorsOnly)
    let done = search.info.statistics
    #expect(done.exact > done.queries * 5)
    #expect(done.exact < done.bounded / 3)
  }
}
