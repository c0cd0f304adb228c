import Testing

@testable import Covertree

@Suite struct MedianOrderTests {
  /// On a line, blocks are runs of the sorted points, by whichever rule they are cut.
  @Test(arguments: [SplitRule.medianOfVariance, .slidingMidpoint, .medianOfExtent], [1, 3])
  func blocksOnALineAreInOrder(rule: SplitRule, threads: Int) throws {
    try check(PointSet<Float>(count: 3000, dim: 1, seed: 1, duplicated: true), rule, threads)
    try check(PointSet<Double>(count: 1234, dim: 1, seed: 2), rule, threads)
  }

  private func check<S: Scalar>(_ points: PointSet<S>, _ rule: SplitRule, _ threads: Int) throws {
    for fanout in [nil, 8] {
      let order = try points.withView {
        try MedianOrder($0, blockSize: 16, fanout: fanout, rule: rule, context: CallContext(threads: threads))
      }
      let rows = order.rows.elements.map { Int($0) }
      #expect(rows.sorted() == Array(0..<points.count))
      var highest = -S.infinity
      for first in stride(from: 0, to: rows.count, by: 16) {
        let block = rows[first..<min(rows.count, first + 16)].map { points.values[$0] }
        #expect(block.min()! >= highest)
        highest = block.max()!
      }
    }
  }
}
