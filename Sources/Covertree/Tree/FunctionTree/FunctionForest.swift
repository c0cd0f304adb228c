import CovertreeBase
import Glibc

/// The minimum spanning tree of the objects of a tree, by distance or by *mutual reachability*, found by Boruvka's algorithm: each round
/// adds the least edge that leaves each component, until one is left (`SpanningForest` does the same for points in space).
///
/// The function is evaluated as little as possible. Each object has a list of its first neighbours, an edge to the first of them that is in
/// another component, and a lower bound of its unknown edges. Only objects whose bound comes before the least known edge of their component
/// search, those with the lowest bounds first, and they skip subtrees that are in their component. What a search finds, or a higher bound
/// if it finds nothing, is kept for later rounds.
///
/// If this takes more evaluations than an allowance, the other edges are found by comparing all pairs (`FunctionPrim`).
///
/// Objects are known by their rows, in the order of the dataset indices. Edges are totally ordered, so there is one least tree.
final class FunctionForest: @unchecked Sendable {
  /// Labels of subtrees with objects of several components, and without objects.
  private static let (mixed, none): (Int32, Int32) = (-1, -2)
  /// Neighbours in a list, unless mutual reachability needs more. Longer lists cost more evaluations than the searches that they save.
  private static let neighbors = 4

  private let search: FunctionSearch
  private let lists: NearestLists
  let snapshot: FunctionSnapshot
  /// By row; by tree index, -1 for removed objects.
  private let nodes: Buffer<Int32>
  private let rows: Buffer<Int32>
  /// By row; a component is known by one of its rows.
  private let components: Buffer<Int32>
  /// By tree index: the component of the whole subtree, and the least core distance in it.
  private let labels: Buffer<Int32>
  private let leastCores: Buffer<Double>?
  /// By row: the best known edge to another component, and one that comes before all unknown ones; `none` if no better one is unknown.
  private let edges: Buffer<TreeEdge>
  private let bounds: Buffer<TreeEdge>
  /// By row: an edge that comes before all that are not in the list; and the neighbours in the list that have been passed.
  private let rest: Buffer<TreeEdge>
  private let passed: Buffer<Int32>
  /// By component: its least edge.
  private let least: Buffer<TreeEdge>
  private let parents: Buffer<Int32>
  private let found: GrowableBuffer<TreeEdge>
  /// The most evaluations of searches for edges, after those for lists.
  private let allowance: Int
  private let evaluationsOfLists: Int

  var count: Int { nodes.count }

  /// - Parameters:
  ///   - search: of all objects. Its counters are those of this call.
  ///   - nodes: by row.
  ///   - mutualCount: 0 for distance, otherwise below the number of objects, of which there are two or more.
  init(
    _ search: FunctionSearch, nodes: Buffer<Int32>, mutualCount: Int, allowance: Int
  ) throws(CoverTreeError) {
    (self.search, snapshot, self.nodes, self.allowance) = (search, search.snapshot, nodes, allowance)
    let count = nodes.count
    rows = try Buffer(count: snapshot.layout.count, filledWith: -1)
    for row in 0..<count { rows[nodes[row]] = Int32(row) }
    lists = try NearestLists(
      search, kept: min(count - 1, max(Self.neighbors, mutualCount + 2)), mutualCount: mutualCount, rows: rows)
    components = try Buffer(counting: count)
    parents = try Buffer(counting: count)
    labels = try Buffer(count: snapshot.layout.count)
    edges = try Buffer(count: count, filledWith: .none)
    bounds = try Buffer(count: count, filledWith: .none)
    rest = lists.rest
    passed = try Buffer(count: count, filledWith: 0)
    least = try Buffer(count: count)
    found = try GrowableBuffer()
    evaluationsOfLists = search.counters.evaluations
    leastCores = lists.cores == nil ? nil : try Buffer(count: snapshot.layout.count, filledWith: .infinity)
    if let cores = lists.cores, let leastCores {
      for row in 0..<count { leastCores[nodes[row]] = cores[row] }
      for t in stride(from: snapshot.layout.count - 1, to: 0, by: -1) {
        let parent = snapshot.layout.parents[t]
        leastCores[parent] = min(leastCores[parent], leastCores[t])
      }
    }
  }

  /// The edges of the spanning tree, between rows.
  func spanningTree() throws(CoverTreeError) -> GrowableBuffer<TreeEdge> {
    while found.count < count - 1 {
      let done = 0.4 + 0.6 * (1 - log(Double(count - found.count)) / log(Double(count)))
      search.context.stage(from: done, to: done)
      readLists()
      findLeast()
      label()
      let isCertain = try searchUnknown()
      if !isCertain { dropUncertain() }
      try join()
      guard isCertain else {
        try search.context.within(from: done, to: 1) { () throws(CoverTreeError) in
          try FunctionPrim(search, nodes: nodes, cores: lists.cores, components: components, found: found).run()
        }
        break
      }
    }
    return found
  }

  // MARK: Steps of a round

  /// Takes the next edge of each object from its list, where the last one has come to lie inside a component.
  private func readLists() {
    for row in 0..<count where !leaves(edges[row]) {
      var next = Int(passed[row])
      while next < lists.kept, components[lists.edge(row, next).other(than: Int32(row))] == components[row] {
        next += 1
      }
      passed[row] = Int32(next)
      edges[row] = next < lists.kept ? lists.edge(row, next) : .none
      bounds[row] = rest[row] < edges[row] ? rest[row] : .none
    }
  }

  /// Whether an edge is between two components.
  private func leaves(_ edge: TreeEdge) -> Bool {
    edge.score < .infinity && components[edge.low] != components[edge.high]
  }

  private func findLeast() {
    for row in 0..<count { least[row] = .none }
    for row in 0..<count where edges[row] < least[components[row]] { least[components[row]] = edges[row] }
  }

  /// Labels the subtrees.
  private func label() {
    for t in 0..<labels.count { labels[t] = rows[t] < 0 ? Self.none : components[rows[t]] }
    for t in stride(from: labels.count - 1, to: 0, by: -1) where labels[t] != Self.none {
      let parent = snapshot.layout.parents[t]
      if labels[parent] == Self.none { labels[parent] = labels[t] }
      if labels[parent] != labels[t] { labels[parent] = Self.mixed }
    }
  }

  /// Searches until the least edge of each component is known.
  ///
  /// Objects of all components search at once, at first one of each, then more. So the bounds, and with them the evaluations, do not depend
  /// on the number of threads. Returns false if the allowance has ended before.
  private func searchUnknown() throws(CoverTreeError) -> Bool {
    let open = try GrowableBuffer<Int32>()
    for row in 0..<count where isOpen(row) { try open.append(Int32(row)) }
    var sorted = open.all
    sorted.sort { a, b in
      guard components[a] == components[b] else { return components[a] < components[b] }
      return bounds[a] < bounds[b] || !(bounds[b] < bounds[a]) && a < b
    }
    // Where the objects of each component begin that have not searched yet.
    let starts = try GrowableBuffer<Int32>()
    for slot in 0..<open.count where slot == 0 || components[open[slot]] != components[open[slot - 1]] {
      try starts.append(Int32(slot))
    }
    var most = 1
    let asked = try GrowableBuffer<Int32>()
    repeat {
      asked.removeAll()
      for number in 0..<starts.count {
        guard starts[number] < open.count else { continue }
        let component = components[open[starts[number]]]
        var (slot, taken) = (Int(starts[number]), 0)
        while slot < open.count, components[open[slot]] == component, isOpen(Int(open[slot])), taken < most {
          try asked.append(open[slot])
          (slot, taken) = (slot + 1, taken + 1)
        }
        // Bounds ascend: if one is too high, all others are.
        let isDone = slot == open.count || components[open[slot]] != component || taken < most
        starts[number] = isDone ? Int32(open.count) : Int32(slot)
      }
      guard asked.count == 0 || search.counters.evaluations - evaluationsOfLists < allowance else {
        return false
      }
      try run(asked)
      most *= 2
    } while asked.count > 0
    return true
  }

  /// Forgets the edges of components that may have lesser ones.
  private func dropUncertain() {
    for row in 0..<count where isOpen(row) { least[Int(components[row])] = .none }
  }

  /// Whether an object may have an unknown edge that is the least of its component.
  private func isOpen(_ row: Int) -> Bool { bounds[row] < least[components[row]] }

  /// Searches for the least edges of some objects.
  private func run(_ asked: GrowableBuffer<Int32>) throws(CoverTreeError) {
    guard asked.count > 0 else { return }
    let asking = try Buffer<Int32>(count: asked.count)
    for slot in 0..<asked.count { asking[slot] = nodes[asked[slot]] }
    let search = search.of(FunctionQueries(nodes: asking, in: snapshot))
    try search.run { (range) throws(CoverTreeError) in
      range.map { LeastEdge(forest: self, row: asked[$0], best: least[components[asked[$0]]]) }
    } end: { (range, results) in
      for slot in range {
        let (row, result) = (Int(asked[slot]), results[slot - range.lowerBound])
        if rest[row] < result.best { rest[row] = result.best }
        if result.isFound { edges[row] = result.best }
        bounds[row] = rest[row] < edges[row] ? rest[row] : .none
      }
    }
    for row in asked.elements where edges[row] < least[components[row]] { least[Int(components[row])] = edges[row] }
  }

  /// Joins components by their least edges.
  private func join() throws(CoverTreeError) {
    for row in 0..<count where Int(components[row]) == row && least[row].score < .infinity {
      let (a, b) = (top(components[least[row].low]), top(components[least[row].high]))
      // Two components may have the same edge.
      guard a != b else { continue }
      parents[Int(max(a, b))] = min(a, b)
      try found.append(least[row])
    }
    for row in 0..<count { components[row] = top(components[row]) }
  }

  private func top(_ component: Int32) -> Int32 {
    var at = component
    while parents[at] != at {
      parents[Int(at)] = parents[parents[at]]
      at = parents[at]
    }
    return at
  }
}

extension FunctionForest {
  /// The edge of an object to one at a distance.
  @inline(__always)
  fileprivate func edge(_ row: Int32, toIndex index: Int32, _ distance: Double) -> TreeEdge {
    let other = rows[snapshot.nodes[index]]
    guard let cores = lists.cores else { return TreeEdge(score: distance, between: row, and: other) }
    return TreeEdge(score: max(distance, max(cores[row], cores[other])), between: row, and: other)
  }

  fileprivate func component(ofRow row: Int32) -> Int32 { components[row] }
  fileprivate func component(ofNode node: Int32) -> Int32 { components[rows[node]] }

  /// Whether a subtree may have objects of another component than a row, with an edge of at most a score.
  fileprivate func mayHold(_ subtree: Int32, outside component: Int32, within score: Double) -> Bool {
    labels[subtree] != component && labels[subtree] != Self.none && (leastCores?[subtree] ?? 0) <= score
  }
}

/// The least edge that leads from an object to another component, if it comes before a given one.
private struct LeastEdge: FunctionResult {
  let forest: FunctionForest
  let row: Int32
  let component: Int32
  private(set) var best: TreeEdge
  private(set) var isFound = false

  init(forest: FunctionForest, row: Int32, best: TreeEdge) {
    (self.forest, self.row, self.best) = (forest, row, best)
    component = forest.component(ofRow: row)
  }

  var reach: Double { best.score }
  func admits(_ node: Int32) -> Bool { forest.component(ofNode: node) != component }
  func mayUse(_ subtree: Int32) -> Bool { forest.mayHold(subtree, outside: component, within: best.score) }
  func wants(_ distance: Double, _ index: Int32) -> Bool { forest.edge(row, toIndex: index, distance) < best }
  mutating func add(_ distance: Double, _ index: Int32, at node: Int32) {
    let edge = forest.edge(row, toIndex: index, distance)
    if edge < best { (best, isFound) = (edge, true) }
  }
}

/// The nearest neighbours of all objects, as edges. The list of a row ascends.
private struct NearestLists {
  /// Edges of a list.
  let kept: Int
  /// By row: the distance of the `mutualCount`-th neighbour; nil without mutual reachability.
  let cores: Buffer<Double>?
  /// By row: an edge that comes before all that are not in the list.
  let rest: Buffer<TreeEdge>
  private let edges: Buffer<TreeEdge>

  /// - Parameter rows: by tree index.
  init(_ search: FunctionSearch, kept: Int, mutualCount: Int, rows: Buffer<Int32>) throws(CoverTreeError) {
    let count = search.queries.count
    self.kept = kept
    let edges = try Buffer<TreeEdge>(count: count * kept)
    search.context.stage(from: 0, to: 0.4)
    try search.run { (range) throws(CoverTreeError) in
      try range.map { (_) throws(CoverTreeError) in
        NearestObjects(nearest: TopK(try TopK.Scratch(k: kept), bound: .infinity))
      }
    } end: { (range, results) in
      for row in range {
        let found = results[row - range.lowerBound].nearest.finished()
        for rank in 0..<kept {
          // If the function is no metric, some may be missing.
          let isThere = rank < found.count
          let other = isThere ? rows[search.snapshot.nodes[Int(found.indices[rank])]] : Int32(row)
          edges[row * kept + rank] = TreeEdge(
            score: isThere ? found.squares[rank] : .infinity, between: Int32(row), and: other)
        }
      }
    }
    self.edges = edges
    rest = try Buffer(count: count, filledWith: .none)
    let isAll = kept == count - 1
    if !isAll { for row in 0..<count { rest[row] = edges[row * kept + kept - 1] } }
    guard mutualCount > 0 else {
      cores = nil
      return
    }
    let cores = try Buffer<Double>(count: count)
    self.cores = cores
    for row in 0..<count { cores[row] = edges[row * kept + mutualCount - 1].score }
    for row in 0..<count {
      if !isAll { rest[row] = TreeEdge(score: max(cores[row], rest[row].score), low: -1, high: -1) }
      var list = UnsafeMutableBufferPointer(
        rebasing: UnsafeMutableBufferPointer(
          start: edges.base, count: edges.count)[row * kept..<(row + 1) * kept])
      for rank in 0..<kept {
        list[rank].score = max(list[rank].score, max(cores[list[rank].low], cores[list[rank].high]))
      }
      list.sort { $0 < $1 }
    }
  }

  func edge(_ row: Int, _ rank: Int) -> TreeEdge { edges[row * kept + rank] }
}

extension TreeEdge {
  fileprivate func other(than row: Int32) -> Int32 { low == row ? high : low }
}
