import Testing

@testable import Covertree
@testable import CovertreeBase

@Suite struct ConflictGraphTests {
  @Test(arguments: [1, 2, 4], [0.1, 0.5, 3.0])
  func theSetIsTheOneThatGoingThroughByPriorityGives(threads: Int, radius: Double) throws {
    let points = PointSet<Double>(count: 700, dim: 2, seed: 8)
    let seed: UInt64 = 77
    let context = CallContext(threads: threads)
    try points.withView { view in
      let metric = Euclidean(points: view.base, count: view.count, dimension: FixedDimension<2>())
      let vertices = try GrowableBuffer<Int32>()
      for point in stride(from: 0, to: 700, by: 2) { try vertices.append(Int32(point)) }
      let graph = try ConflictGraph(
        vertices, within: radius * radius, metric: metric, seed: seed, context: context)
      let chosen = try graph.independentSet(context: context)

      let priority = vertices.elements.map { splitMix64(seed ^ UInt64($0)) }
      var expected = Set<Int>()
      var edges = 0
      for vertex in (0..<vertices.count).sorted(by: { priority[$0] > priority[$1] }) {
        let free = expected.allSatisfy {
          points.squared(Int(vertices[vertex]), points, Int(vertices[$0])) > radius * radius
        }
        if free { expected.insert(vertex) }
        for other in 0..<vertex
        where points.squared(Int(vertices[vertex]), points, Int(vertices[other])) <= radius * radius { edges += 1 }
      }
      #expect(Set((0..<vertices.count).filter { chosen[$0] }) == expected)
      #expect(graph.edgeCount == edges)
    }
  }
}
