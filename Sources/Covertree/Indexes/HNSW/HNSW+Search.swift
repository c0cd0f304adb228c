import CovertreeBase

extension HNSW {
  /// A walk stops after comparisons with this share of the admitted vectors. Then all admitted vectors are compared. A walk reads memory at
  /// random, which makes its comparisons about eight times as slow.
  private static var budgetShare: Double { 0.125 }

  /// The method for the queries of a call.
  private struct Plan {
    /// The number of nodes that a walk keeps.
    let limit: Int
    /// By slot: 1 for nodes that may be found, or with a twin that may; nil for all.
    let admitted: Buffer<UInt8>?
    let members: Twins.Members
    /// These nodes, if all of them are compared; nil if walks find some.
    let nodes: GrowableBuffer<Int32>?
    /// The most comparisons of a walk among admitted vectors; 0 if all of these are compared.
    let budget: Int
    /// The expected number of comparisons of a query.
    let comparisons: Int

    init(_ graph: HNSW, _ search: IndexSearch, k: Int) throws(CoverTreeError) {
      limit = max(k, search.options.efSearch)
      admitted = try search.admitted.map { (flags) throws(CoverTreeError) in try graph.twins.nodes(among: flags) }
      members = try graph.twins.members(among: search.admitted)
      guard let admitted else {
        nodes = limit < search.admittedCount ? nil : try Self.nodes(graph) { _ in true }
        comparisons = nodes?.count ?? min(limit * graph.m, search.admittedCount)
        budget = nodes == nil ? search.admittedCount : 0
        return
      }
      let count = graph.twins.count == 0 ? search.admittedCount : admitted.elements.reduce(0) { $0 + Int($1) }
      // A walk has met about half of a vector's links before. The filter admits a share of the others.
      let share = Double(count) / Double(graph.nodeCount)
      let walk = Double(limit) * Double(graph.m) / share
      let most = Double(count) * HNSW.budgetShare
      let isExhaustive = limit >= count || walk >= most
      nodes = isExhaustive ? try Self.nodes(graph) { admitted[$0] != 0 } : nil
      budget = isExhaustive ? 0 : max(1, Int(most))
      comparisons = isExhaustive ? count : Int(walk)
    }

    private static func nodes(_ graph: HNSW, where holds: (Int) -> Bool) throws(CoverTreeError) -> GrowableBuffer<Int32>
    {
      let nodes = try GrowableBuffer<Int32>()
      for slot in 0..<graph.table.count where graph.twins.isNode(slot) && holds(slot) { try nodes.append(Int32(slot)) }
      return nodes
    }
  }

  func nearest(_ search: IndexSearch, k: Int, into rows: ResultRows) throws(CoverTreeError) {
    guard search.admittedCount > 0 else {
      for row in 0..<search.queries.count { rows.end(row, 0) }
      return
    }
    let plan = try Plan(self, search, k: k)
    let seekers = PerThread<Seeker>(count: search.context.threads)
    let grain = CallContext.grain(operationsPerItem: plan.comparisons * table.dim / 16, most: 16)
    try search.context.forEach(search.queries.count, grain: grain) { (range, thread) throws(CoverTreeError) in
      let seeker = try seekers.value(thread) { () throws(CoverTreeError) in
        try Seeker(self, capacity: plan.budget == 0 ? 1 : plan.limit)
      }
      for row in range {
        seeker.walker.query.load(search.queries.row(row))
        try seeker.find(search, k, plan)
        seeker.ranking.write(row, into: rows)
      }
    }
    for seeker in seekers.all { compared.add(seeker.walker.compared) }
  }

  /// Vectors within a score. The walk goes on until its beam reaches beyond the score.
  func within(_ search: IndexSearch, score: Double) throws(CoverTreeError) -> ScoredLists {
    let lists = try ScoredLists(queries: search.queries.count)
    guard search.admittedCount > 0 else { return lists }
    let members = try twins.members(among: search.admitted)
    let seekers = PerThread<Seeker>(count: search.context.threads)
    try search.context.forEach(search.queries.count, grain: 1) { (range, thread) throws(CoverTreeError) in
      var seeker = try seekers.value(thread) { () throws(CoverTreeError) in
        try Seeker(self, capacity: min(search.options.efSearch, table.count))
      }
      for row in range {
        seeker.walker.query.load(search.queries.row(row))
        var limit = seeker.walker.scratch.capacity
        while true {
          let beam = seeker.walker.walk(from: seeker.walker.start(), level: 0, limit: limit)
          // The beam reaches beyond the radius, or has met all vectors.
          let farthest = seeker.walker.query.scores.decided(beam.slot(beam.count - 1))
          guard beam.count < limit || limit >= table.count || farthest > score else {
            limit = min(table.count, limit * 2)
            if limit > seeker.walker.scratch.capacity {
              seeker = try Seeker(self, capacity: limit)
              seeker.walker.query.load(search.queries.row(row))
            }
            continue
          }
          try seeker.collect(beam, members, within: score, into: lists.found[row])
          break
        }
      }
      compared.add(seeker.walker.compared)
    }
    return lists
  }

  /// One thread's searches.
  private final class Seeker {
    let graph: HNSW
    let walker: Walker
    let ranking: Ranking
    let queue: MinHeap<UInt64>

    init(_ graph: HNSW, capacity: Int) throws(CoverTreeError) {
      self.graph = graph
      walker = try Walker(graph, capacity: capacity)
      ranking = try Ranking(graph.table)
      queue = try MinHeap()
    }

    /// Ranks the admitted vectors nearest to the query: at least `k`, or all if fewer are admitted.
    func find(_ search: IndexSearch, _ k: Int, _ plan: Plan) throws(CoverTreeError) {
      if plan.budget > 0, let beam = try walk(plan) {
        try rank(beam, plan, k)
        // A walk may end early if the graph is not connected.
        if ranking.count >= min(k, search.admittedCount) { return }
      }
      try rankAll(plan, k)
    }

    private func walk(_ plan: Plan) throws(CoverTreeError) -> Beam? {
      guard let admitted = plan.admitted else { return walker.walk(from: walker.start(), level: 0, limit: plan.limit) }
      return try walker.walk(from: walker.start(), limit: plan.limit, among: admitted, budget: plan.budget, queue)
    }

    private func rank(_ beam: Beam, _ plan: Plan, _ k: Int) throws(CoverTreeError) {
      ranking.removeAll()
      try ranking.add(beam.count, walker.query.scores, k, { (beam.slot($0), beam.score($0)) }) {
        (node, decided) throws(CoverTreeError) in
        try plan.members.forEach(of: node, most: k) { (slot) throws(CoverTreeError) in try ranking.add(slot, decided) }
      }
    }

    private func rankAll(_ plan: Plan, _ k: Int) throws(CoverTreeError) {
      ranking.removeAll()
      for position in 0..<(plan.nodes?.count ?? graph.table.count) {
        let node = plan.nodes?[position] ?? Int32(position)
        guard graph.twins.isNode(Int(node)), plan.admitted?[node] != 0 else { continue }
        let decided = walker.query.scores.decided(node)
        try plan.members.forEach(of: node, most: k) { (slot) throws(CoverTreeError) in
          try ranking.add(slot, decided, first: k)
        }
        walker.compared += 1
      }
    }

    /// Collects the vectors of a walk within a score, sorted.
    func collect(
      _ beam: Beam, _ members: Twins.Members, within score: Double, into found: GrowableBuffer<Candidate>
    ) throws(CoverTreeError) {
      for position in 0..<beam.count {
        let decided = walker.query.scores.decided(beam.slot(position))
        guard decided <= score else { continue }
        try members.forEach(of: beam.slot(position), most: .max) { (slot) throws(CoverTreeError) in
          try found.append(Candidate(squared: decided, index: slot))
        }
      }
      ranking.order(found.all)
    }
  }
}
