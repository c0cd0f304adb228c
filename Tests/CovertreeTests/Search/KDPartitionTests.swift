import Testing

@testable import Covertree
@testable import CovertreeBase

/// A k-d tree's blocks by sorting, written apart from the library.
private struct SortedCuts<S: Scalar> {
  let points: PointSet<S>
  let blockSize: Int
  let fanout: Int?
  let rule: SplitRule

  /// The rows of each block, in ascending order.
  func blocks() -> [[Int32]] { cut((0..<points.count).map { Int32($0) }) }

  private func cut(_ rows: [Int32]) -> [[Int32]] {
    let count = (rows.count + blockSize - 1) / blockSize
    guard count > 1 else { return rows.isEmpty ? [] : [rows.sorted()] }
    let extents = (0..<points.dim).map { d in
      let line = rows.map { coordinate($0, d) }
      return (low: Double(line.min()!), high: Double(line.max()!))
    }
    let widest = extents.indices.max {
      (extents[$0].high - extents[$0].low, $1) < (extents[$1].high - extents[$1].low, $0)
    }!
    let sorted = rows.sorted { (coordinate($0, widest), $0) < (coordinate($1, widest), $1) }
    let center = S(extents[widest].low + (extents[widest].high - extents[widest].low) / 2)
    let before = sorted.filter { coordinate($0, widest) < center }.count
    let share = rule == .slidingMidpoint ? Double(before) / Double(rows.count) : 0.5
    let middle = middle(count, share) * blockSize
    return cut(Array(sorted[..<middle])) + cut(Array(sorted[middle...]))
  }

  private func coordinate(_ row: Int32, _ d: Int) -> S { points.values[Int(row) * points.dim + d] }

  private func middle(_ blocks: Int, _ share: Double) -> Int {
    var unit = 1
    while let fanout, unit * fanout < blocks { unit *= fanout }
    let units = (blocks + unit - 1) / unit
    let before = share == 0.5 ? (units + 1) / 2 : Int((Double(units) * share).rounded())
    return max(1, min(units - 1, before)) * unit
  }
}

/// Coordinates of few different numbers, so that many are equal.
private func coarse<S: Scalar>(_ points: PointSet<S>) -> PointSet<S> {
  PointSet(count: points.count, dim: points.dim, values: points.values.map { ($0 * 2).rounded() })
}

@Suite struct KDPartitionTests {
  /// Blocks are cut along one coordinate after the other, whatever the number of threads, and points stay whole.
  @Test(arguments: [1, 31, 32, 33, 1000, 4097], [nil, 16])
  func blocksAreBoxesApart(count: Int, fanout: Int?) throws {
    for rule in [SplitRule.medianOfVariance, .slidingMidpoint, .medianOfExtent] { try check(count, fanout, rule) }
  }

  private func check(_ count: Int, _ fanout: Int?, _ rule: SplitRule) throws {
    let points = PointSet<Float>(count: count, dim: 1, seed: 5, duplicated: true)
    let order = try rows(points, fanout, rule, threads: 1)
    #expect(order == (try rows(points, fanout, rule, threads: 2)))
    #expect(order.sorted() == (0..<Int32(count)).map { $0 })
    // In one dimension blocks follow each other.
    var reached = -Float.infinity
    for first in stride(from: 0, to: count, by: 32) {
      let block = order[first..<min(count, first + 32)].map { points.values[Int($0)] }
      #expect(block.min()! >= reached)
      reached = block.max()!
    }
  }

  private func rows<S: Scalar>(
    _ points: PointSet<S>, _ fanout: Int?, _ rule: SplitRule, blockSize: Int = 32, threads: Int
  ) throws -> [Int32] {
    try points.withView { view in
      let context = CallContext(threads: threads)
      let partition = try KDPartition(view, blockSize: blockSize, fanout: fanout, rule: rule, context: context)
      let rows = try partition.rows(context: context)
      return (0..<rows.count).map { rows[$0] }
    }
  }

  /// The same points in each block as by sorting, equal coordinates by row: carried along or not, in chunks or not.
  @Test(arguments: [
    (33, 1), (700, 2), (5000, 3), (70_000, 3), (3000, 4), (70_000, 5), (2000, 9), (900, 20), (70_000, 18),
  ])
  func cutsWhereSortingDoes(count: Int, dim: Int) throws {
    try compare(PointSet<Float>(count: count, dim: dim, seed: 3))
    try compare(coarse(PointSet<Float>(count: count, dim: dim, seed: 4)))
    if count < 10_000 { try compare(PointSet<Double>(count: count, dim: dim, seed: 5, duplicated: true)) }
  }

  private func compare<S: Scalar>(_ points: PointSet<S>) throws {
    for rule in [SplitRule.slidingMidpoint, .medianOfExtent] {
      let order = try rows(points, 16, rule, threads: 2)
      let blocks = stride(from: 0, to: points.count, by: 32).map { first in
        order[first..<min(points.count, first + 32)].sorted()
      }
      #expect(blocks == SortedCuts(points: points, blockSize: 32, fanout: 16, rule: rule).blocks())
    }
  }

  /// Points that are all the same are cut by row, all of them and half of them.
  @Test(arguments: [3, 40])
  func equalPointsStayInOrder(dim: Int) throws {
    for (count, equal) in [(5000, 5000), (80_000, 80_000), (80_000, 40_000)] {
      var values = [Float](repeating: 0.25, count: count * dim)
      for position in equal * dim..<values.count { values[position] = Float(position % 1013) / 512 }
      let points = PointSet(count: count, dim: dim, values: values)
      let order = try rows(points, 16, .medianOfExtent, threads: 2)
      let blocks = stride(from: 0, to: count, by: 32).map { order[$0..<min(count, $0 + 32)].sorted() }
      #expect(blocks == SortedCuts(points: points, blockSize: 32, fanout: 16, rule: .medianOfExtent).blocks())
    }
  }

  /// The result of several threads does not depend on their number.
  @Test(arguments: [SplitRule.medianOfVariance, .slidingMidpoint, .medianOfExtent])
  func orderIsTheSameForAnyThreads(rule: SplitRule) throws {
    let points = coarse(PointSet<Float>(count: 150_000, dim: 3, seed: 8))
    let one = try rows(points, 16, rule, threads: 1)
    for threads in [2, 5] { #expect(one == (try rows(points, 16, rule, threads: threads))) }
  }
}

@Suite struct BoxTreeTests {
  @Test(arguments: [(1, 1), (33, 2), (700, 3), (5000, 3), (3000, 8), (600, 40), (70_000, 2)], [16, 32, 80])
  func leavesHoldEveryPointInTightBoxes(size: (count: Int, dim: Int), leafSize: Int) throws {
    try check(PointSet<Float>(count: size.count, dim: size.dim, seed: 11), leafSize)
    try check(coarse(PointSet<Double>(count: size.count, dim: size.dim, seed: 12)), leafSize)
  }

  private func check<S: Scalar>(_ points: PointSet<S>, _ leafSize: Int) throws {
    let indices = (0..<Int32(points.count)).map { Int32(points.count) - 1 - $0 }
    try points.withView { view in
      let tree = try KDTree(view, leafSize: leafSize, context: CallContext(threads: 2))
      checkPositions(tree, points) { Int($0) }
      checkBoxes(tree)
      for first in stride(from: 0, to: tree.indices.count, by: tree.leafSize) {
        #expect((first + 1..<first + tree.leafSize).allSatisfy { tree.indices[$0 - 1] <= tree.indices[$0] })
      }
      let indexed = try indices.withUnsafeBufferPointer {
        try KDTree(view, indices: $0.baseAddress, leafSize: leafSize, context: CallContext(threads: 1))
      }
      checkPositions(indexed, points) { points.count - 1 - Int($0) }
      checkBoxes(indexed)
    }
  }

  /// Each row is once in the tree, with its coordinates; lanes beyond the last point are empty.
  private func checkPositions<S: Scalar>(_ tree: KDTree<S>, _ points: PointSet<S>, row: (Int32) -> Int) {
    var seen = [Bool](repeating: false, count: points.count)
    var wrong = 0
    for position in 0..<tree.indices.count {
      let found = tree.coordinates(at: position)
      let index = tree.indices[position]
      if position >= points.count {
        wrong += index == KDTree<S>.noIndex && (0..<points.dim).allSatisfy { found[$0 * S.width].isNaN } ? 0 : 1
        continue
      }
      let row = row(index)
      wrong += seen[row] ? 1 : 0
      seen[row] = true
      for d in 0..<points.dim where found[d * S.width] != points.values[row * points.dim + d] { wrong += 1 }
    }
    #expect(wrong == 0)
  }

  /// Boxes and smallest indices belong to the points below; a lane without points has an empty box.
  private func checkBoxes<S: Scalar>(_ tree: KDTree<S>) {
    var sizes = [tree.indices.count / tree.leafSize]
    repeat { sizes.append((sizes.last! + S.width - 1) / S.width) } while sizes.last! > 1
    var (wrong, points) = (0, tree.leafSize)
    for level in 1..<sizes.count {
      // Nodes are numbered from the root down.
      let firstNode = sizes[(level + 1)...].reduce(0, +)
      for child in 0..<sizes[level] * S.width {
        let slot = firstNode * S.width + child
        let first = min(tree.count, child * points)
        let positions = first..<min(tree.count, first + points)
        wrong += tree.children[slot] == (level == 1 ? ~Int32(child) : Int32(firstNode + sizes[level] + child)) ? 0 : 1
        wrong += isTight(tree, slot, positions) ? 0 : 1
      }
      points *= S.width
    }
    #expect(wrong == 0)
  }

  private func isTight<S: Scalar>(_ tree: KDTree<S>, _ slot: Int, _ positions: Range<Int>) -> Bool {
    let (node, lane) = (slot / S.width, slot % S.width)
    let smallest = positions.map { tree.indices[$0] }.min() ?? KDTree<S>.noIndex
    return tree.smallestIndex[slot] == smallest
      && (0..<tree.dim).allSatisfy { d in
        let line = positions.map { tree.coordinates(at: $0)[d * S.width] }
        let sides = tree.boxes.base + (node * tree.dim + d) * 2
        return sides[0][lane] == line.min() ?? .infinity && sides[1][lane] == line.max() ?? -.infinity
      }
  }

  @Test func noPointsHaveAnEmptyLeaf() throws {
    try PointSet<Float>(count: 1, dim: 3, seed: 1).withView { view in
      let none = view.rows(0..<0)
      let tree = try KDTree(none, leafSize: 32, context: .brief)
      checkBoxes(tree)
      #expect(tree.indices.elements.allSatisfy { $0 == KDTree<Float>.noIndex })
      #expect(tree.coordinates(at: 0)[0].isNaN)
    }
  }

  /// Indices that occur more than once lead to all their points.
  @Test func equalIndicesKeepTheirPoints() throws {
    let points = PointSet<Float>(count: 500, dim: 3, seed: 2)
    let indices = (0..<500).map { Int32($0 / 100) }
    try points.withView { view in
      let tree = try indices.withUnsafeBufferPointer {
        try KDTree(view, indices: $0.baseAddress, leafSize: 32, context: CallContext(threads: 1))
      }
      let found = (0..<500).map { tree.coordinates(at: $0)[0] }
      #expect(found.sorted() == (0..<500).map { points.values[$0 * 3] }.sorted())
      #expect((0..<500).map { tree.indices[$0] }.sorted() == indices)
    }
  }
}
