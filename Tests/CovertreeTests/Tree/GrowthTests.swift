import Testing

@testable import Covertree
@testable import CovertreeBase

/// Trees that are changed by batches of all sizes, compared with a brute force over the points that they should have.
@Suite struct GrowthTests {
  /// A tree, and all points that ever came to it.
  private struct Grown<S: Scalar> {
    let tree: CoverTree<S>
    let points: PointSet<S>
    private(set) var count: Int
    private(set) var isThere: [Bool]

    init(_ points: PointSet<S>, first: Int) throws {
      self.points = points
      count = first
      isThere = Array(repeating: true, count: first)
      tree = try points.withView {
        try CoverTree(points: $0.rows(0..<first), options: TreeOptions(), context: CallContext(threads: 2))
      }
    }

    mutating func insert(_ size: Int) throws {
      let given = try points.withView {
        try tree.insert($0.rows(count..<count + size), context: CallContext(threads: 2))
      }
      #expect(given == count)
      count += size
      isThere += Array(repeating: true, count: size)
    }

    mutating func remove(_ indices: [Int]) throws {
      try indices.map { Int64($0) }.withUnsafeBufferPointer { try tree.remove($0, context: CallContext(threads: 2)) }
      for index in indices { isThere[index] = false }
    }

    var living: [Int] { (0..<count).filter { isThere[$0] } }

    /// All ways to search, with ties to the lower index.
    func check(_ k: Int = 7) throws {
      #expect(tree.count == living.count)
      let rows = stride(from: 0, to: living.count, by: max(1, living.count / 3))
      let sorted = rows.map { row in
        (row, points.sorted(from: points, living[row]).filter { $0 < count && isThere[$0] })
      }
      var predecessors = SearchOptions()
      predecessors.predecessorsOnly = true
      for (k, options) in [(k, SearchOptions()), (1, predecessors), (k, predecessors), (200, SearchOptions())] {
        try check(k, sorted, options)
      }
    }

    /// - Parameter sorted: rows, and the points by their distance from each.
    private func check(_ k: Int, _ sorted: [(row: Int, points: [Int])], _ options: SearchOptions) throws {
      let living = living
      let found = try Buffer<Int64>(count: living.count * k)
      try tree.nearest(
        .allStored, k: k, options: options, context: CallContext(threads: 2), rows: living.count, indices: found.base,
        distances: nil)
      for (row, points) in sorted {
        let expected = points.filter { !options.predecessorsOnly || $0 < living[row] }.prefix(k)
        let wanted = expected.map { Int64($0) } + Array(repeating: -1, count: k - expected.count)
        #expect(Array(found.elements[row * k..<(row + 1) * k]) == wanted)
      }
    }
  }

  @Test(arguments: [(1, 2), (3, 17)])
  func treesThatGrowAndShrinkAgreeWithABruteForce(seed: UInt64, dim: Int) throws {
    try grow(PointSet<Float>(count: 2200, dim: dim, seed: seed, duplicated: true))
    try grow(PointSet<Double>(count: 2200, dim: dim, seed: seed, duplicated: true))
  }

  private func grow<S: Scalar>(_ points: PointSet<S>) throws {
    var grown = try Grown(points, first: 700)
    var generator = SeededGenerator(seed: 5)
    for size in [1, 30, 120, 1, 600, 3, 1, 127, 100] {
      try grown.insert(size)
      try grown.remove(Array(grown.living.shuffled(using: &generator).prefix(size / 3)))
      try grown.check()
    }
    try grown.tree.validate(context: CallContext(threads: 2))
    // Nearly all of the oldest segment, and of the buffer.
    try grown.remove(Array(grown.living.filter { $0 < 600 }))
    try grown.check()
    try grown.remove(Array(grown.living.suffix(40)))
    try grown.check()
    try grown.tree.validate(context: CallContext(threads: 2))
    try grown.remove(grown.living)
    #expect(grown.tree.count == 0)
    try grown.tree.validate(context: CallContext(threads: 2))
    try grown.insert(20)
    try grown.check()
  }

  @Test func sizesOfSegmentsFall() throws {
    let points = PointSet<Float>(count: 30_000, dim: 3, seed: 8)
    var grown = try Grown(points, first: 20_000)
    while grown.count < 30_000 {
      try grown.insert(min(37, 30_000 - grown.count))
      let sizes = grown.tree.snapshot.points.views.map(\.segment.count)
      #expect(sizes.count <= 4 && sizes.reduce(0, +) == grown.count)
      let ratio = SnapshotBuilder<Float>.sizeRatio
      for (older, newer) in zip(sizes, sizes.dropFirst()) { #expect(newer < 128 || older >= ratio * newer) }
    }
  }

  @Test func aFailedRemovalLeavesNoMarks() throws {
    let points = PointSet<Float>(count: 2000, dim: 3, seed: 9)
    var grown = try Grown(points, first: 1500)
    try grown.insert(100)
    for wrong in [[3, 1550, 4, 3], [3, 1599, 1600], [7, -1]] {
      let error = failure { try grown.remove(wrong) }
      #expect(error?.message.hasPrefix("indices[") == true)
      for index in wrong where grown.isThere.indices.contains(index) { #expect(grown.isThere[index]) }
    }
    try grown.check()
    try grown.remove([3, 1550, 4])
    try grown.check()
  }

  @Test func searchesOfAnOldSnapshotDoNotSeeLaterRemovals() throws {
    let points = PointSet<Float>(count: 300, dim: 2, seed: 10)
    var grown = try Grown(points, first: 300)
    let before = grown.tree.snapshot
    try grown.remove([0, 1, 2])
    #expect(before.points.liveCount == 300 && grown.tree.snapshot.points.liveCount == 297)
    #expect(before.points.views[0].segment === grown.tree.snapshot.points.views[0].segment)
    let first = try #require(try PointLocator(before.points).position(0))
    #expect(before.points.views[0].index(first) == 0)
    #expect(try PointLocator(grown.tree.snapshot.points).position(0) == nil)
  }

  @Test func removalsAreNumberedAnewBeforeTheNumbersEnd() throws {
    let points = PointSet<Float>(count: 400, dim: 2, seed: 11)
    let grown = try Grown(points, first: 400)
    let snapshot = grown.tree.snapshot
    let late = TreeSnapshot(
      SearchPoints(snapshot.points.views.map(\.segment), removedCounts: [0], time: .max), indexCount: 400, time: .max)
    let change = SnapshotBuilder<Float>(options: TreeOptions(), context: CallContext(threads: 2))
    let next = try [Int64(17)].withUnsafeBufferPointer { try change.remove($0, from: late) }
    #expect(next.time == 1 && next.points.liveCount == 399)
    #expect(try PointLocator(next.points).position(17) == nil)
  }
}
