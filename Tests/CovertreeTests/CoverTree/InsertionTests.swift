import Testing

@testable import Covertree
@testable import CovertreeBase

/// Queries of the insertion, and layouts that several threads make together.
@Suite struct InsertionTests {
  @Test(arguments: [0.05, 0.4, 2.0], [2, 3, 5])
  func aSearchFindsASourceWithinReachAndTheNearestWithinHalf(radius: Double, dim: Int) throws {
    try check(PointSet<Float>(count: 900, dim: dim, seed: 21, duplicated: true), radius)
    try check(PointSet<Double>(count: 900, dim: dim, seed: 22), radius)
  }

  /// Every third point is a source, the others look for one.
  private func check<S: Scalar>(_ points: PointSet<S>, _ radius: Double) throws {
    var reach = LevelReach(ofLevel: 0)
    (reach.radius, reach.half) = (radius * radius, radius * radius / 4)
    let sources = try GrowableBuffer<Int32>()
    let seekers = try GrowableBuffer<Int32>()
    for point in 0..<points.count { try (point % 3 == 0 ? sources : seekers).append(Int32(point)) }
    // Some know a source out of reach, others one within it.
    let known = try Buffer<Double>(count: points.count)
    for point in 0..<points.count { known[point] = reach.radius * [0.1, 0.5, 4][point % 7 % 3] }
    let found = try Buffer<Int32>(count: points.count, filledWith: -1)
    try points.withView { view in
      let metric = Euclidean(points: view.base, count: view.count, dimension: RuntimeDimension(count: view.dim))
      var finder = try metric.finder(metric.sources(sources, context: CallContext()))
      try finder.nearest(to: seekers.elements, knowing: KnownCenters(center: found, score: known), reach: reach) {
        (point, listed, score) in
        #expect(score == self.score(points, point, sources[listed]))
        found[point] = listed
      }
    }
    for seeker in seekers.elements {
      let scores = sources.elements.map { score(points, seeker, $0) }
      let nearest = scores.min()!
      if nearest < known[seeker] && nearest <= reach.half {
        try #expect(scores[Int(#require(found[seeker] >= 0 ? found[seeker] : nil))] == nearest)
      } else if known[seeker] > reach.radius && nearest <= reach.radius {
        try #expect(scores[Int(#require(found[seeker] >= 0 ? found[seeker] : nil))] <= reach.radius)
      } else {
        #expect(found[seeker] == -1)
      }
    }
  }

  private func score<S: Scalar>(_ points: PointSet<S>, _ a: Int32, _ b: Int32) -> Double {
    points.withView { euclideanScore($0.row(Int(a)), $0.row(Int(b)), dim: points.dim) }
  }

  @Test func verticesAreAShareOfEachCentersMembers() throws {
    let count = 40_000
    let nearest = try Buffer<Int32>(count: count)
    let squared = try Buffer<Double>(count: count)
    let pending = try GrowableBuffer<Int32>()
    // Runs of 50: centre 0 has half of all pending points, ten others a few each; every fifth pending point is covered.
    for point in 0..<count {
      nearest[point] = point / 50 % 2 == 0 ? 0 : Int32(1 + point / 4000)
      squared[point] = point % 5 == 0 ? 1 : 3
      if point >= 11 { try pending.append(Int32(point)) }
    }
    let lists = try [1, 2, 5].map { threads in
      let uncovered = try UncoveredPoints(
        nearest: nearest, nearestSquared: squared, maxLevel: Buffer(count: count, filledWith: 3),
        context: CallContext(threads: threads))
      try uncovered.find(among: pending.elements, level: 0)
      #expect(uncovered.elements.allSatisfy { squared[$0] > 1 })
      #expect(uncovered.count == pending.elements.count { squared[$0] > 1 })
      let some = try uncovered.vertices(share: 200, seed: 5)
      let few = (0..<some.count).map { some[$0] }
      #expect((1..<few.count).allSatisfy { few[$0 - 1] < few[$0] })
      for center in 0...10 {
        let chosen = few.count { nearest[$0] == Int32(center) }
        #expect(chosen > 120 && chosen < 280, "of centre \(center)")
      }
      // More than any centre has.
      let all = try uncovered.vertices(share: 20_000, seed: 5)
      #expect(all.count == uncovered.count && (0..<all.count).allSatisfy { all[$0] == uncovered.elements[$0] })
      return few
    }
    #expect(lists[1] == lists[0] && lists[2] == lists[0])
  }

  @Test func thereIsAVertexWhereverSomebodyIsUncovered() throws {
    let count = 3000
    // Runs of one, so that none of them may be due.
    let nearest = try Buffer<Int32>(count: count)
    for point in 0..<count { nearest[point] = Int32(point % 2) }
    let uncovered = try UncoveredPoints(
      nearest: nearest, nearestSquared: Buffer(count: count, filledWith: 2),
      maxLevel: Buffer(count: count, filledWith: 0), context: CallContext())
    let pending = try GrowableBuffer<Int32>()
    for point in 1..<count { try pending.append(Int32(point)) }
    try uncovered.find(among: pending.elements, level: 1)
    #expect(uncovered.count == 0)
    #expect(try uncovered.vertices(share: 1, seed: 0).count == 0)
    try uncovered.find(among: pending.elements, level: 0)
    for seed in 0..<20 { #expect(try uncovered.vertices(share: 1, seed: UInt64(seed)).count > 0) }
  }

  /// Subtrees reach over many of the chunks that threads lay out.
  @Test(arguments: [1, 2, 3])
  func largeLayoutsAreSound(threads: Int) throws {
    let spread = PointSet<Float>(count: 60_000, dim: 2, seed: 31, duplicated: true)
    let equal = PointSet<Float>(count: 50_000, dim: 2, values: (0..<100_000).map { $0 < 1000 ? Float($0 / 2) : 7 })
    for points in [spread, equal] {
      try points.tree(threads: threads).validate(context: CallContext())
    }
  }

  @Test func aLargeBatchEntersALargeTree() throws {
    let points = PointSet<Double>(count: 40_000, dim: 3, seed: 33, duplicated: true)
    let exports = try [1, 3].map { threads in
      let first = PointSet<Double>(count: 15_000, dim: 3, values: Array(points.values.prefix(45_000)))
      let tree = try first.tree(threads: threads)
      _ = try tree.export(context: CallContext(threads: threads))
      try points.withView { view in
        _ = try tree.insert(.float64(view.rows(15_000..<40_000)), context: CallContext(threads: threads))
      }
      try tree.validate(context: CallContext())
      return try tree.export(context: CallContext(threads: threads))
    }
    #expect((0..<40_000).allSatisfy { exports[0].parents[$0] == exports[1].parents[$0] })
  }
}
