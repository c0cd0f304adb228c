import Testing

@testable import Covertree
@testable import CovertreeBase

/// Searches among many equal points, or points equally far away, against a brute force.
@Suite struct CrowdTests {
  /// By eighths, so that squares and their sums are exact; scaled, they keep nothing of that in the filter.
  enum Crowd: CaseIterable {
    case onePosition, half, positions, grid, shell

    func points<S: Scalar>(_ count: Int, scale: Double) -> PointSet<S> {
      var generator = SeededGenerator(seed: 5)
      let dim = self == .shell ? 6 : 3
      var values: [Double] = []
      for row in 0..<count {
        let same = self == .onePosition || (self == .half && Bool.random(using: &generator))
        let position = Int.random(in: 0..<9, using: &generator)
        for d in 0..<dim {
          switch self {
          case .shell: values.append(row < 3 ? 0 : Bool.random(using: &generator) ? 1 : -1)
          case .positions: values.append(Double((position * 7 + d * 5) % 11) / 8)
          case .grid: values.append(Double(Int.random(in: 0..<4, using: &generator)))
          default: values.append(same ? 0.5 : Double(Int.random(in: -32..<32, using: &generator)) / 8)
          }
        }
      }
      return PointSet(count: count, dim: dim, values: values.map { S($0 * scale) })
    }
  }

  private static let count = 900

  @Test(arguments: Crowd.allCases, [1, 10, 150])
  func searchesAgreeWithABruteForce(crowd: Crowd, k: Int) throws {
    try check(crowd.points(Self.count, scale: 1) as PointSet<Float>, k, scale: 1)
    try check(crowd.points(Self.count, scale: 0x1p-80) as PointSet<Float>, k, scale: 0x1p-80)
    try check(crowd.points(Self.count, scale: 1) as PointSet<Double>, k, scale: 1)
    try check(crowd.points(Self.count, scale: 0x1p-600) as PointSet<Double>, k, scale: 0x1p-600)
  }

  private func check<S: Scalar>(_ points: PointSet<S>, _ k: Int, scale: Double) throws {
    try points.withView { view in
      let searched = try SearchedPoints(view)
      var options = [SearchOptions(), SearchOptions(), SearchOptions(), SearchOptions()]
      options[1].excludesSelf = true
      options[2].predecessorsOnly = true
      options[3].farthest = Score.largest(withinDistance: 1.5 * scale)
      for options in options {
        let found = try searched.nearest(k, options)
        let counts = try searched.counts(options)
        for row in stride(from: 0, to: points.count, by: 23) {
          let eligible = IndexFilter(
            upperIndex: options.predecessorsOnly ? Int32(row) : .max,
            excludedIndex: options.excludesSelf ? Int32(row) : -1)
          let candidates = (0..<points.count).map {
            Candidate(squared: euclideanScore(view.row(row), view.row($0), dim: points.dim), index: Int32($0))
          }
          let expected = candidates.filter { eligible.admits($0.index) && $0.squared <= options.farthest }
            .sorted { $0 < $1 }
          #expect(found[row] == expected.prefix(k).map(\.index))
          #expect(counts[row] == Int64(expected.count))
        }
      }
    }
  }

  /// No point of a box has a score below the least or above the largest one of the box, to the bit, and corners have them.
  @Test func boxesBoundTheScoresOfTheirPoints() throws {
    var generator = SeededGenerator(seed: 6)
    try checkBounds(PointSet<Float>(count: 3000, dim: 3, seed: 1, duplicated: true))
    for scale in [1, 0x1p-480, 0x1p-500] {
      let values = (0..<3000 * 3).map { _ in Double.random(in: -1...1, using: &generator) * scale }
      try checkBounds(PointSet<Double>(count: 3000, dim: 3, values: values))
    }
  }

  private func checkBounds<S: Scalar>(_ points: PointSet<S>) throws {
    try points.withView { view in
      let tree = try KDTree(view, leafSize: 32, context: CallContext(threads: 1))
      var exact = try ScoredQuery<S, RuntimeDimension>(RuntimeDimension(count: points.dim))
      for row in stride(from: 0, to: points.count, by: 500) {
        exact.set(view.row(row))
        for lane in 0..<tree.children.count where tree.smallestIndex[lane] != KDTree<S>.noIndex {
          let (boxes, within) = (tree.boxes.base + lane / S.width * points.dim * 2, lane % S.width)
          let least = exact.least(boxes, part: within / 8)[within % 8]
          let largest = exact.largest(boxes, part: within / 8)[within % 8]
          let scores = tree.positions(below: tree.children[lane]).map {
            euclideanScore(view.row(row), view.row(Int(tree.indices[$0])), dim: points.dim)
          }
          #expect(least <= scores.min()! && scores.max()! <= largest)
        }
      }
    }
  }

  /// A query among equal points is compared with as many of them, however many there are.
  @Test(arguments: [1, 10, 150])
  func equalPointsTakeLinearTime(k: Int) throws {
    func compared(_ count: Int) throws -> (nearest: Int, counts: Int) {
      try Crowd.onePosition.points(count, scale: 1).withView { (view: PointsView<Float>) in
        let searched = try SearchedPoints(view)
        _ = try searched.nearest(k, SearchOptions())
        let nearest = searched.counters.points.load(ordering: .relaxed)
        _ = try searched.counts(SearchOptions())
        return (nearest / count, (searched.counters.points.load(ordering: .relaxed) - nearest) / count)
      }
    }
    let (few, many) = (try compared(2000), try compared(8000))
    #expect(many.nearest <= few.nearest + 32)
    #expect(many.counts == 0)
  }
}

/// Points in boxes, and all of them as queries.
private struct SearchedPoints<S: Scalar> {
  let points: SearchPoints<S>
  let set: QuerySet<S>
  let counters = SearchCounters()
  private let context = CallContext(threads: 2)

  init(_ view: PointsView<S>) throws {
    // In two segments, so that ties are between them, too.
    let first = view.count * 2 / 3
    let indices = try Buffer<Int32>(count: view.count - first)
    for row in first..<view.count { indices[row - first] = Int32(row) }
    let older = try KDTree(view.rows(0..<first), leafSize: 32, context: context)
    let newer = try KDTree(view.rows(first..<view.count), indices: indices.base, leafSize: 32, context: context)
    points = SearchPoints(
      [Segment(older, indexRange: 0..<first), Segment(newer, indexRange: first..<view.count)], removedCounts: [0, 0],
      time: 0)
    set = try QuerySet(allOf: points)
  }

  /// By row.
  func nearest(_ k: Int, _ options: SearchOptions) throws -> [[Int32]] {
    let rows = try Rows<S>(count: set.count, k: k)
    try NearestTask(
      set: set, points: points, k: k, options: options, context: context, counters: counters, rows: rows
    ).run(RuntimeDimension(count: points.dim))
    return (0..<set.count).map { row in (0..<k).map { rows.indices[row * k + $0] }.filter { $0 >= 0 } }
  }

  func counts(_ options: SearchOptions) throws -> [Int64] {
    let counts = try Buffer<Int64>(count: set.count, filledWith: -1)
    try CountTask(
      set: set, points: points, options: options, context: context, counters: counters, counts: counts.base
    ).run(RuntimeDimension(count: points.dim))
    return Array(counts.elements)
  }
}

private struct Rows<S: Scalar>: NeighborRows {
  let k: Int
  let indices: Buffer<Int32>

  init(count: Int, k: Int) throws(CoverTreeError) {
    self.k = k
    indices = try Buffer(count: count * k, filledWith: -1)
  }

  func write(_ found: SortedNeighbors, _ query: QuerySet<S>.Query) {
    for rank in 0..<found.count { indices[query.row * k + rank] = Int32(found.indices[rank]) }
  }
}
