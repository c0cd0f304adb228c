import CNumerics
import CovertreeBase

/// Components that Boruvka's algorithm joins to a spanning tree: each round adds the least edge that leaves each component, until one is
/// left.
///
/// O. Boruvka (1926). W. B. March, P. Ram and A. G. Gray, "Fast Euclidean minimum spanning tree: algorithm, analysis, and applications",
/// KDD (2010).
///
/// A component is known by the position of one of its points. Edges are totally ordered, so there is one least tree, and it does not
/// matter when a component is joined, or which thread found an edge.
///
/// A point whose shortest edge has the length 0 and leads to an equal point of a lower row is a *follower* of the lowest such point. This
/// edge is in the tree, and of all other edges those of the lowest point come first. So followers are in no component, and many equal points
/// do not make many equal edges.
final class SpanningForest<S: Scalar>: @unchecked Sendable {
  let tree: KDTree<S>
  let nearest: NearestCandidates<S>
  /// By position; `noComponent` for followers, and in lanes without a point.
  let components: Buffer<Int32>
  /// By position: the best edge of a point to another component that is known. It is infinite if none is.
  let scores: Buffer<Double>
  let targets: Buffer<Int32>
  /// By position: no unknown edge of the point to another component is better.
  let unknown: Buffer<Double>
  /// By component: a score that its least edge does not exceed.
  let bounds: Buffer<Double>
  let edges: GrowableBuffer<TreeEdge>
  /// The components.
  private(set) var roots: Buffer<Int32>
  private(set) var rootCount: Int
  /// By position: the number of neighbours in its list that are in its component, which it has passed.
  private let passed: Buffer<Int32>
  /// By component.
  private let least: Buffer<TreeEdge>
  private let leastTargets: Buffer<Int32>
  private let leastUnknown: Buffer<Double>
  private let parents: Buffer<Int32>

  static var noComponent: Int32 { Int32.max }
  private static var grain: Int { 1 << 13 }

  init(_ whole: WholeTree<S>, _ nearest: NearestCandidates<S>) throws(CoverTreeError) {
    tree = whole.tree
    let count = tree.count
    self.nearest = nearest
    components = try Buffer(count: tree.indices.count, filledWith: Self.noComponent)
    scores = try Buffer(count: count, filledWith: .infinity)
    targets = try Buffer(count: count, filledWith: 0)
    unknown = try Buffer(count: count)
    bounds = try Buffer(count: count)
    edges = try GrowableBuffer()
    roots = try Buffer(count: count)
    rootCount = 0
    passed = try Buffer(count: count, filledWith: 0)
    least = try Buffer(count: count)
    leastTargets = try Buffer(count: count)
    leastUnknown = try Buffer(count: count)
    parents = try Buffer(counting: count)
    for position in 0..<count {
      let (shortest, target) = (nearest.scores[position * nearest.kept], nearest.targets[position * nearest.kept])
      let isLower = tree.indices[target] < tree.indices[position]
      if isLower && Score.isZero(shortest) && whole.areEqual(position, Int(target)) {
        try edges.append(TreeEdge(score: shortest, between: tree.indices[target], and: tree.indices[position]))
        (scores[position], unknown[position]) = (.infinity, .infinity)
      } else {
        components[position] = Int32(position)
        roots[rootCount] = Int32(position)
        rootCount += 1
      }
    }
  }

  /// The score of an edge, from that of the distance of its points.
  @inline(__always)
  func score(_ score: Double, _ a: Int, _ b: Int) -> Double {
    guard let cores = nearest.cores else { return score }
    return max(score, max(cores[a], cores[b]))
  }

  /// Takes the next edge of each point from its list, where the last one has come to lie inside a component.
  func readLists(_ context: CallContext) throws(CoverTreeError) {
    let kept = nearest.kept
    try context.forEach(tree.count, grain: Self.grain) { (range, _) throws(CoverTreeError) in
      for position in range {
        let component = components[position]
        guard component != Self.noComponent else { continue }
        var next = Int(passed[position])
        let list = position &* kept
        while next < kept {
          let other = components[nearest.targets[list &+ next]]
          guard other == component || other == Self.noComponent else { break }
          next &+= 1
        }
        passed[position] = Int32(truncatingIfNeeded: next)
        if next < kept {
          scores[position] = nearest.scores[list &+ next]
          targets[position] = nearest.targets[list &+ next]
          unknown[position] = scores[position] < nearest.certain[position] ? .infinity : nearest.certain[position]
        } else {
          if components[targets[position]] == component { scores[position] = .infinity }
          unknown[position] = nearest.rest[position]
        }
      }
    }
  }

  /// Finds the least known edge of each component.
  func findLeast() {
    for number in 0..<rootCount {
      let root = Int(roots[number])
      least[root] = .none
      leastUnknown[root] = .infinity
    }
    for position in 0..<tree.count where components[position] != Self.noComponent {
      let component = Int(components[position])
      if unknown[position] < leastUnknown[component] { leastUnknown[component] = unknown[position] }
      guard scores[position] <= least[component].score, scores[position] < .infinity else { continue }
      let edge = TreeEdge(
        score: scores[position], between: tree.indices[position], and: tree.indices[targets[position]])
      guard edge < least[component] else { continue }
      least[component] = edge
      leastTargets[component] = targets[position]
    }
    for number in 0..<rootCount { bounds[Int(roots[number])] = least[Int(roots[number])].score }
  }

  /// The components whose least edge is known.
  var certainCount: Int {
    (0..<rootCount).count { least[Int(roots[$0])].score < leastUnknown[Int(roots[$0])] }
  }

  /// Joins components by their least edges.
  ///
  /// - Parameter all: whether the least edges of all components are known.
  func join(all: Bool, _ context: CallContext) throws(CoverTreeError) {
    for number in 0..<rootCount {
      let root = Int(roots[number])
      guard all || least[root].score < leastUnknown[root] else { continue }
      let (own, other) = (find(Int32(root)), find(components[leastTargets[root]]))
      // Two components may have the same edge.
      guard own != other else { continue }
      parents[max(own, other)] = min(own, other)
      try edges.append(least[root])
    }
    var left = 0
    for number in 0..<rootCount {
      let root = roots[number]
      let top = find(root)
      parents[root] = top
      if top == root {
        roots[left] = root
        left += 1
      }
    }
    rootCount = left
    try context.forEach(tree.count, grain: Self.grain) { (range, _) throws(CoverTreeError) in
      for position in range where components[position] != Self.noComponent {
        components[position] = parents[components[position]]
      }
    }
  }

  /// The root of a component.
  private func find(_ component: Int32) -> Int32 {
    var at = component
    while parents[at] != at {
      parents[at] = parents[parents[at]]
      at = parents[at]
    }
    return at
  }
}
