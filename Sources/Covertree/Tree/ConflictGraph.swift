/// Points that may not enter the same level together, and the choice among them.
final class ConflictGraph {
  private struct Adjacency: BitwiseCopyable {
    var begin: Int
    var count: Int32
    var slot: Int32
  }

  private let adjacency: Buffer<Adjacency>
  /// Neighbours of vertices, in the lists of the threads that found them.
  var edges: [Stack<Int32>] = []

  var vertexCount: Int { adjacency.count }
  /// Each edge counts from both sides.
  var edgeCount: Int { edges.reduce(0) { $0 + $1.count } }

  init(vertices: Int, slots: Int) throws(CoverTreeError) {
    adjacency = try Buffer(count: vertices, filledWith: Adjacency(begin: 0, count: 0, slot: 0))
  }

  func setEdges(of vertex: Int, begin: Int, count: Int, slot: Int) {
    adjacency[vertex] = Adjacency(begin: begin, count: Int32(count), slot: Int32(slot))
  }

  private enum State {
    static let undecided: UInt8 = 0
    static let chosen: UInt8 = 1
    static let excluded: UInt8 = 2
  }

  /// A maximal independent set: 1 for each vertex in it.
  ///
  /// It is the set that one would get by going through the vertices in the order of a random priority, taking each that has no neighbour taken before it. Rounds find
  /// it in parallel (Blelloch, Fineman and Shun, "Greedy sequential maximal independent set and matching are parallel on
  /// average", SPAA 2012): a vertex is decided once all its neighbours of higher priority are. Expected O(log n) rounds, as the priorities are random; the set does
  /// not depend on how the rounds are run.
  func independentSet(
    seed: UInt64, points: Stack<Int32>, context: CallContext
  ) throws(CoverTreeError) -> Buffer<UInt8> {
    let state = try Buffer<UInt8>(count: vertexCount, filledWith: State.undecided)
    let decision = try Buffer<UInt8>(count: vertexCount)
    let priority = try Buffer<UInt64>(count: vertexCount)
    let undecided = try Buffer<Int32>(count: vertexCount)
    for vertex in 0..<vertexCount {
      priority[vertex] = mixed(seed ^ UInt64(points[vertex]))
      undecided[vertex] = Int32(vertex)
    }
    var count = vertexCount
    while count > 0 {
      try context.forEach(count, grain: 4096) { (range, _) throws(CoverTreeError) in
        for index in range {
          let vertex = Int(undecided[index])
          decision[vertex] = decide(vertex, state, priority)
        }
      }
      var left = 0
      for index in 0..<count {
        let vertex = undecided[index]
        state[vertex] = decision[vertex]
        if decision[vertex] == State.undecided {
          undecided[left] = vertex
          left += 1
        }
      }
      count = left
    }
    return state
  }

  private func decide(_ vertex: Int, _ state: Buffer<UInt8>, _ priority: Buffer<UInt64>) -> UInt8 {
    let mine = adjacency[vertex]
    let list = edges[Int(mine.slot)].base + mine.begin
    var waits = false
    for index in 0..<Int(mine.count) {
      let other = Int(list[index])
      // `mixed` is a bijection: two points never share a priority.
      guard priority[other] < priority[vertex] else { continue }
      if state[other] == State.chosen { return State.excluded }
      if state[other] == State.undecided { waits = true }
    }
    return waits ? State.undecided : State.chosen
  }
}
