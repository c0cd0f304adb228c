import CovertreeBase

/// Points that must not enter the same level together, and the choice among them.
///
/// Vertices have random priorities: a seeded hash of their numbers. Only edges to vertices of higher priority are stored, because they
/// alone decide.
final class ConflictGraph {
  private struct Rivals: BitwiseCopyable {
    var begin: Int32
    var count: Int32
  }

  private struct Pair: BitwiseCopyable {
    var vertex: Int32
    var rival: Int32
  }

  private let count: Int
  /// Vertices of a thread's chunk; each chunk has one list of edges.
  private let chunk: Int
  /// Vertices have the numbers of the searches. For each: its position in the list of vertices.
  private let listed: Buffer<Int32>
  /// By vertex: the range of its neighbours of higher priority in the list of its chunk.
  private let rivals: Buffer<Rivals>
  private let edges: [GrowableBuffer<Int32>]
  let distanceEvaluations: Int

  var edgeCount: Int { edges.reduce(0) { $0 + $1.count } }

  /// The graph of these points with an edge between any two within a radius.
  init<M: Metric>(
    _ vertices: GrowableBuffer<Int32>, knowing known: KnownCenters? = nil, within radius: Double, metric: M,
    seed: UInt64,
    context: CallContext
  ) throws(CoverTreeError) {
    count = vertices.count
    // Searches compare 16 at a time.
    chunk = (CallContext.grain(operationsPerItem: metric.operations(comparing: count), most: 512) + 15) / 16 * 16
    rivals = try Buffer(count: count)
    listed = try Buffer(count: count)
    let priorities = try Buffer<UInt64>(count: count)
    edges = try (0..<(count + chunk - 1) / chunk).map { (_) throws(CoverTreeError) in try GrowableBuffer() }
    let sources = try metric.sources(vertices, context: context)
    let numbering = try metric.finder(sources)
    let evaluations = Counter()
    let (lists, rivals, listed, chunk) = (edges, rivals, listed, chunk)
    try context.forEach(count, grain: 1 << 14) { (range, _) throws(CoverTreeError) in
      for vertex in range {
        listed[vertex] = Int32(numbering.listed(vertex))
        // `splitMix64` is a bijection: no two vertices share a priority.
        priorities[vertex] = splitMix64(seed ^ UInt64(vertices[listed[vertex]]))
      }
    }
    try context.forEach(count, grain: chunk) { (range, _) throws(CoverTreeError) in
      var finder = try metric.finder(sources)
      let pairs = try GrowableBuffer<Pair>()
      for vertex in range { rivals[vertex] = Rivals(begin: 0, count: 0) }
      try finder.neighbors(of: range, in: vertices, knowing: known, within: radius) { (vertex, other) in
        priorities[other] > priorities[vertex]
      } found: { (vertex, other) throws(CoverTreeError) in
        try pairs.append(Pair(vertex: vertex, rival: other))
        rivals.base[Int(vertex)].count += 1
      }
      // In the order of vertices.
      let list = lists[range.lowerBound / chunk]
      try list.resize(to: pairs.count)
      var begin: Int32 = 0
      for vertex in range {
        rivals.base[vertex].begin = begin
        begin += rivals[vertex].count
        rivals.base[vertex].count = 0
      }
      for pair in pairs.elements {
        let mine = rivals[pair.vertex]
        list[Int(mine.begin + mine.count)] = pair.rival
        rivals.base[Int(pair.vertex)].count += 1
      }
      evaluations.add(finder.distanceEvaluations)
    }
    distanceEvaluations = evaluations.value
  }

  private enum State: UInt8 {
    case undecided, chosen, excluded
  }

  /// A maximal independent set, as a flag for each in the list of vertices. It is the set of a greedy pass from the highest priority
  /// down, which accepts each vertex without an accepted neighbour.
  ///
  /// Rounds find it in parallel: a vertex is decided after all its neighbours of higher priority. As priorities are random, an expected
  /// O(log n) rounds suffice (G. Blelloch, J. Fineman, J. Shun, "Greedy sequential maximal independent set and matching are parallel on
  /// average", SPAA 2012). The set does not depend on the schedule of the rounds.
  func independentSet(context: CallContext) throws(CoverTreeError) -> Buffer<Bool> {
    let state = try Buffer<State>(count: count, filledWith: .undecided)
    let decision = try Buffer<State>(count: count)
    var undecided = try context.collect(count) { Int32($0) }
    while undecided.count > 0 {
      let open = undecided
      try context.forEach(open.count, grain: 4096) { (range, _) throws(CoverTreeError) in
        for index in range { decision[open[index]] = decide(open[index], state) }
      }
      undecided = try context.collect(open.count) { index in
        let vertex = open[index]
        state[vertex] = decision[vertex]
        return decision[vertex] == .undecided ? vertex : nil
      }
    }
    let chosen = try Buffer<Bool>(count: count)
    try context.forEach(count, grain: 1 << 14) { (range, _) throws(CoverTreeError) in
      for vertex in range { chosen[listed[vertex]] = state[vertex] == .chosen }
    }
    return chosen
  }

  private func decide(_ vertex: Int32, _ state: Buffer<State>) -> State {
    let mine = rivals[vertex]
    let list = edges[Int(vertex) / chunk].base + Int(mine.begin)
    var decision = State.chosen
    for index in 0..<Int(mine.count) {
      switch state[list[index]] {
      case .chosen: return .excluded
      case .undecided: decision = .undecided
      case .excluded: continue
      }
    }
    return decision
  }
}
