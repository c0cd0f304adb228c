import Testing

@testable import Covertree
@testable import CovertreeBase

@Suite struct HilbertTests {
  /// Along a Hilbert curve every step goes to a neighbouring cell, by definition.
  @Test(arguments: [(2, 16), (2, 64), (3, 8), (3, 16), (4, 4), (5, 4), (6, 2), (10, 2)])
  func neighboursAlongTheCurveAreNeighboursInSpace(dim: Int, side: Int) throws {
    var count = 1
    for _ in 0..<dim { count *= side }
    var values = [Double](repeating: 0, count: count * dim)
    for cell in 0..<count {
      var rest = cell
      for d in 0..<dim {
        values[cell * dim + d] = Double(rest % side)
        rest /= side
      }
    }
    let grid = PointSet<Double>(count: count, dim: dim, values: values)
    let context = CallContext(threads: 2)
    try grid.withView { view in
      let keys = try HilbertCurve(through: view, context: context).keys(of: view, context: context)
      let order = try sortedOrder(ofKeys: keys, context: context)
      for position in 1..<count {
        #expect(grid.squared(Int(order[position - 1]), grid, Int(order[position])) == 1)
      }
    }
  }

  @Test(arguments: [1, 2, 3, 63, 64, 65, 384])
  func anyDimensionHasACurve(dim: Int) throws {
    let points = PointSet<Float>(count: 100, dim: dim, seed: 1)
    let context = CallContext(threads: 1)
    try points.withView { view in
      let keys = try HilbertCurve(through: view, context: context).keys(of: view, context: context)
      #expect(Set(keys.elements).count > 50)
    }
  }

  @Test func equalPointsShareAKey() throws {
    let points = PointSet<Float>(count: 5, dim: 2, values: Array(repeating: 3, count: 10))
    let context = CallContext(threads: 1)
    try points.withView { view in
      let keys = try HilbertCurve(through: view, context: context).keys(of: view, context: context)
      #expect(Set(keys.elements) == [keys[0]])
    }
  }
}
