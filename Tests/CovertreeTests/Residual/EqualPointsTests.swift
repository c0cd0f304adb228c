import Testing

@testable import Covertree
@testable import CovertreeBase

/// Copies that searches leave out.
@Suite struct EqualPointsTests {
  /// 600 equal points; features of every third, which the caller gives, are others.
  private func model() throws -> ResidualModel {
    let count = 600
    let points = [Double](repeating: 0.5, count: 2 * count)
    let features = (0..<count).map { $0 % 3 == 0 ? 0.5 : -0.5 }
    let variances = [Double](repeating: 1.75, count: count)
    return try points.withUnsafeBufferPointer { points in
      try features.withUnsafeBufferPointer { features in
        try variances.withUnsafeBufferPointer { variances in
          try ResidualModel(
            PointsView(base: points.baseAddress!, count: count, dim: 2),
            covariance: .kernel(Kernel(shape: .rbf, variance: 2, lengthscale: [0.8])),
            source: .given(
              .float64(PointsView(base: features.baseAddress!, count: count, dim: 1)),
              residualVariance: variances.baseAddress!, kernelDiagonal: nil),
            blockSize: 64, context: CallContext())
        }
      }
    }
  }

  @Test(arguments: [1, 4, 100], [false, true])
  func theFirstCopiesOfEachPointCount(_ k: Int, excludesSelf: Bool) throws {
    let model = try model()
    let equal = try EqualPoints(model, context: CallContext())
    let copies = try #require(equal.first(k, excludesSelf: excludesSelf))
    let kept = k + (excludesSelf ? 1 : 0)
    for block in 0..<model.blockCount {
      var some = false
      for position in model.positions(ofBlock: block) {
        let index = Int(model.order[position])
        let earlier = index % 3 == 0 ? index / 3 : index - index / 3 - 1
        #expect(copies.has(position: position) == (earlier < kept))
        if earlier < kept { some = true }
      }
      #expect(copies.hasNone(inBlock: block) == !some)
    }
  }

  @Test func allCountWhereAsManyAreWanted() throws {
    #expect(try EqualPoints(model(), context: CallContext()).first(400, excludesSelf: false) == nil)
    #expect(try EqualPoints(model(), context: CallContext()).first(399, excludesSelf: false) != nil)
  }
}
