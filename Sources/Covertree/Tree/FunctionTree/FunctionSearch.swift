import CovertreeBase
import Synchronization

/// The searches of a call in a tree of a caller's metric. The walks of some queries go on in step, and their pairs are evaluated together.
struct FunctionSearch {
  /// Queries of a thread's chunk.
  static let chunk = 128

  let snapshot: FunctionSnapshot
  let function: DistanceFunction
  var queries: FunctionQueries
  let options: SearchOptions
  /// nil if all objects may be found.
  let admitted: AdmittedNodes?
  let context: CallContext
  var counters: SearchCounters

  /// Runs the walks of all queries.
  ///
  /// - Parameters:
  ///   - begin: makes the results of a chunk of queries.
  ///   - end: takes them.
  func run<R: FunctionResult>(
    begin: (Range<Int>) throws(CoverTreeError) -> [R], end: (Range<Int>, inout [R]) throws(CoverTreeError) -> Void
  ) throws(CoverTreeError) {
    try context.forEach(queries.count, grain: Self.chunk) { (range, slot) throws(CoverTreeError) in
      let evaluator = try PairEvaluator(function, snapshot.objects.type, context: context)
      let embeddings = try queries.embeddings(range, evaluator)
      var results = try begin(range)
      var walks = try range.map { (_) throws(CoverTreeError) in try FunctionWalk(snapshot, admitted) }
      for slot in 0..<range.count {
        let row = range.lowerBound + slot
        try walks[slot].begin(embeddings[slot], eligible(row), into: &results[slot])
      }
      var open = Array(0..<range.count)
      while !open.isEmpty {
        for slot in open {
          try walks[slot].advance(into: &results[slot])
          let query = queries.row(range.lowerBound + slot)
          for needed in 0..<walks[slot].needed {
            try evaluator.add(query, snapshot.objects.row(walks[slot].needed(needed)))
          }
        }
        let distances = try evaluator.run()
        var next = 0
        for slot in open {
          let count = walks[slot].needed
          let mine = UnsafeBufferPointer(rebasing: distances[next..<next + count])
          try walks[slot].take(mine, into: &results[slot])
          next += count
        }
        open.removeAll { walks[$0].needed == 0 }
      }
      withExtendedLifetime(embeddings) {}
      try end(range, &results)
      counters.add(queries: range.count, points: evaluator.evaluations, boxes: 0)
    }
  }

  /// The same search for other queries.
  func of(_ queries: FunctionQueries) -> FunctionSearch {
    var search = self
    search.queries = queries
    return search
  }

  private func eligible(_ row: Int) -> IndexFilter {
    let index = queries.index(row)
    return IndexFilter(
      upperIndex: options.upperIndex(ofRow: row, index: index), excludedIndex: options.excludesSelf ? index : -1)
  }
}

extension SearchCounters {
  var evaluations: Int { points.load(ordering: .relaxed) }

  func add(_ other: SearchCounters) {
    add(queries: other.queries.load(ordering: .relaxed), points: other.evaluations, boxes: 0)
  }
}

/// The queries of a call: new objects, or nodes of the tree.
struct FunctionQueries: @unchecked Sendable {
  let snapshot: FunctionSnapshot
  /// nil for nodes.
  private let objects: ObjectRows?
  private let nodes: Buffer<Int32>
  let count: Int

  init(_ objects: ObjectRows, in snapshot: FunctionSnapshot) throws(CoverTreeError) {
    (self.snapshot, self.objects, count) = (snapshot, objects, objects.count)
    nodes = try Buffer(count: 0)
  }

  init(nodes: Buffer<Int32>, in snapshot: FunctionSnapshot) {
    (self.snapshot, objects, self.nodes, count) = (snapshot, nil, nodes, nodes.count)
  }

  /// Points of the tree by dataset index; nil for all.
  init(stored indices: StoredIndices?, in snapshot: FunctionSnapshot) throws(CoverTreeError) {
    (self.snapshot, objects) = (snapshot, nil)
    guard let indices = indices?.elements else {
      let nodes = try GrowableBuffer<Int32>()
      for node in snapshot.nodes.elements where node >= 0 { try nodes.append(node) }
      (self.nodes, count) = (nodes.buffer, nodes.count)
      return
    }
    nodes = try Buffer(count: indices.count)
    for (row, index) in indices.enumerated() { nodes[row] = try snapshot.node(index, named: "queries", row: row) }
    count = indices.count
  }

  func row(_ row: Int) -> UnsafeRawPointer {
    objects?.row(Int32(row)) ?? snapshot.objects.row(nodes[row])
  }

  /// The node of a query that is one.
  func node(_ row: Int) -> Int32 { nodes[row] }

  /// The dataset index of a query; -1 for new objects.
  func index(_ row: Int) -> Int32 { objects == nil ? snapshot.layout.order[nodes[row]] : -1 }

  /// The embeddings of some queries. Nodes have one already.
  func embeddings(_ range: Range<Int>, _ evaluator: PairEvaluator) throws(CoverTreeError) -> Embeddings {
    guard objects != nil else { return Embeddings(range.map { snapshot.embedding(nodes[$0]) }, owner: snapshot) }
    let pivots = snapshot.pivots
    let made = try Buffer<Double>(count: range.count * pivots.columns, filledWith: 0)
    for pivot in 0..<pivots.count {
      for query in range { try evaluator.add(row(query), pivots.rows.row(Int32(pivot))) }
    }
    let distances = try evaluator.run()
    for pivot in 0..<pivots.count {
      for slot in 0..<range.count { made[slot * pivots.columns + pivot] = distances[pivot * range.count + slot] }
    }
    return Embeddings((0..<range.count).map { UnsafePointer(made.base) + $0 * pivots.columns }, owner: made)
  }
}

/// Embeddings in memory that an owner keeps.
struct Embeddings {
  private let pointers: [UnsafePointer<Double>]
  private let owner: AnyObject

  init(_ pointers: [UnsafePointer<Double>], owner: AnyObject) { (self.pointers, self.owner) = (pointers, owner) }

  subscript(slot: Int) -> UnsafePointer<Double> { pointers[slot] }
}
