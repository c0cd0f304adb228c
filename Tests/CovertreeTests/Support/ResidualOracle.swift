import Testing

@testable import Covertree
@testable import CovertreeBase

extension ResidualModel {
  /// Seeded points in a cube, the first of which are inducing points.
  static func uniform(
    _ shape: Kernel.Shape, count: Int, dim: Int, inducing: Int, in side: ClosedRange<Double>, seed: UInt64,
    blockSize: Int, change: (inout [Double]) -> Void = { _ in }
  ) throws -> ResidualModel {
    var generator = SeededGenerator(seed: seed)
    var points = (0..<count * dim).map { _ in Double.random(in: side, using: &generator) }
    change(&points)
    return try points.withUnsafeBufferPointer { base in
      let view = PointsView(base: base.baseAddress!, count: count, dim: dim)
      return try ResidualModel(
        view, covariance: .kernel(Kernel(shape: shape, variance: 3, lengthscale: [1])),
        source: .inducing(PointsView(base: base.baseAddress!, count: inducing, dim: dim), jitter: 1e-6),
        blockSize: blockSize, context: CallContext())
    }
  }

  /// The residual correlation of two positions, in float64.
  func rho(_ i: Int, _ j: Int) -> Double {
    let squared = squaredEuclidean(coordinates.base + i * dim, coordinates.base + j * dim, dim: dim)
    guard case .kernel(let kernel) = covariance else { return .nan }
    let product = dot(features.base + i * rank, features.base + j * rank, count: rank)
    let norm = (residualVariance[i] * residualVariance[j]).squareRoot()
    return (kernel.value(atSquared: SIMD8(repeating: squared))[0] - product) / norm
  }
}

extension ResidualSearch {
  /// Expects that a search for all points finds what a comparison with every point finds.
  func expectExact(k: Int, predecessorsOnly: Bool) throws {
    var options = SearchOptions()
    options.predecessorsOnly = predecessorsOnly
    let indices = try Buffer<Int64>(count: model.count * k)
    try nearest(
      .allStored, k: k, options: options, context: CallContext(), rows: model.count, indices: indices.base,
      distances: nil)
    for index in 0..<model.count {
      let position = Int(model.positionOfIndex[index])
      var pairs: [(distance: Double, index: Int)] = []
      for other in 0..<(predecessorsOnly ? index : model.count) {
        let squared = 1 - min(1, model.rho(position, Int(model.positionOfIndex[other])).magnitude)
        pairs.append((other == index ? 0 : squared.squareRoot(), other))
      }
      pairs.sort { $0 < $1 }
      let found = (0..<k).map { Int(indices[index * k + $0]) }
      #expect(found == pairs.prefix(k).map(\.index) + Array(repeating: -1, count: max(0, k - pairs.count)))
    }
  }
}
