import CovertreeBase

extension FunctionTree {
  /// Checks the metric as far as the tree shows it, and every rule of the tree; throws `.corrupt` with the first objects that break one.
  ///
  /// Every object is compared with itself, with its parent in both directions, with the pivots, and with some others, at random; then every
  /// triangle of two of these objects and a pivot is checked. O(n depth) evaluations.
  func validate(context: CallContext) throws(CoverTreeError) {
    let snapshot = snapshot
    context.stage(from: 0, to: 0.2)
    try MetricRules(snapshot: snapshot, function: function, seed: options.seed, context: context).check()
    let crowding = try Crowding(snapshot, function, context)
    try Invariants<Double>(
      layout: snapshot.layout,
      space: .other(
        scores: { (t, others) throws(CoverTreeError) in
          let evaluator = try PairEvaluator(self.function, self.type, context: context)
          let row = snapshot.objects.row(Int32(t))
          for other in others { try evaluator.add(row, snapshot.objects.row(Int32(other))) }
          return try evaluator.run().map { Score.of(distance: $0) }
        }, crowding: { t in crowding.first[t] < 0 ? nil : Int(crowding.first[t]) }),
      indexCount: snapshot.indexCount, context: context
    ).check()
  }
}

/// Checks that the caller's function is a metric.
private struct MetricRules {
  /// Random objects with which each one is compared.
  private static let partners = 4
  /// Roundings of the function, as a share of distances.
  private static let tolerance = 2 * DistanceFunction.slack

  let snapshot: FunctionSnapshot
  let function: DistanceFunction
  let seed: UInt64
  let context: CallContext

  func check() throws(CoverTreeError) {
    let count = snapshot.layout.count
    try context.forEach(count, grain: 256) { (range, _) throws(CoverTreeError) in
      let evaluator = try PairEvaluator(function, snapshot.objects.type, context: context)
      for t in range { try evaluator.add(row(t), row(t)) }
      for (t, distance) in zip(range, try evaluator.run()) where distance != 0 {
        throw broken("d(x, x) = 0", "d(\(name(t)), \(name(t))) = \(distance)")
      }
      for t in range {
        let others = self.others(t)
        for other in others {
          try evaluator.add(row(t), row(other))
          try evaluator.add(row(other), row(t))
        }
        let distances = Array(try evaluator.run())
        for (slot, other) in others.enumerated() {
          try check(t, other, distances[2 * slot], back: distances[2 * slot + 1])
        }
      }
    }
  }

  /// The parent, and some objects at random.
  private func others(_ t: Int) -> [Int] {
    let parent = Int(snapshot.layout.parents[t])
    let random = (0..<Self.partners).map {
      Int(splitMix64(seed ^ UInt64(t * Self.partners + $0)) % UInt64(snapshot.layout.count))
    }
    return parent < 0 ? random : [parent] + random
  }

  private func check(_ t: Int, _ other: Int, _ distance: Double, back: Double) throws(CoverTreeError) {
    guard abs(distance - back) <= Self.tolerance * (distance + back) else {
      throw broken(
        "d(x, y) = d(y, x)",
        "d(\(name(t)), \(name(other))) = \(distance) and d(\(name(other)), \(name(t))) = \(back)")
    }
    let (mine, others) = (snapshot.embedding(Int32(t)), snapshot.embedding(Int32(other)))
    for (pivot, index) in snapshot.pivots.indices.enumerated() {
      // In each triangle no side is longer than the other two together.
      let sides = [
        (distance, name(t), name(other)), (mine[pivot], name(t), "\(index)"), (others[pivot], name(other), "\(index)"),
      ]
      let (longest, a, b) = sides.max { $0.0 < $1.0 }!
      let rest = sides.reduce(0) { $0 + $1.0 } - longest
      guard longest <= rest * (1 + Self.tolerance) + Self.tolerance * longest else {
        let third = [name(t), name(other), "\(index)"].first { $0 != a && $0 != b } ?? a
        throw broken(
          "the triangle inequality", "d(\(a), \(b)) = \(longest) is above \(rest), the way by \(third)")
      }
    }
  }

  private func row(_ t: Int) -> UnsafeRawPointer { snapshot.objects.row(Int32(t)) }
  private func name(_ t: Int) -> String { "\(snapshot.layout.order[t])" }

  private func broken(_ rule: String, _ detail: String) -> CoverTreeError {
    CoverTreeError(.corrupt, "metric: \(rule) is broken by points: \(detail)")
  }
}

/// The nodes that are too near to another node of their level or above.
private struct Crowding {
  /// By node: the first such node, or -1.
  let first: Buffer<Int32>

  init(_ snapshot: FunctionSnapshot, _ function: DistanceFunction, _ context: CallContext) throws(CoverTreeError) {
    let layout = snapshot.layout
    first = try Buffer(count: layout.count, filledWith: -1)
    let metric = try FunctionMetric(
      function, snapshot.pivots, snapshot.objects, rows: try Buffer(counting: layout.count),
      embedding: layout.points, context: context)
    let levels = Set(layout.levels.elements).subtracting([TreeNodes.duplicate]).sorted(by: >)
    // The nodes of a level come before those above it.
    var above = try GrowableBuffer<Int32>()
    for level in levels {
      let list = try GrowableBuffer<Int32>()
      for t in 0..<layout.count where layout.levels[t] == level { try list.append(Int32(t)) }
      let own = list.count
      try list.append(above.elements)
      let sources = try metric.sources(list, context: context)
      let first = first
      try context.forEach(own, grain: 256) { (range, _) throws(CoverTreeError) in
        var finder = try metric.finder(sources)
        try finder.neighbors(of: range, in: list, knowing: nil, within: radiusScore(ofLevel: level)) { (_, _) in
          true
        } found: { (position, other) in
          let (node, near) = (list[position], list[other])
          first[node] = first[node] < 0 ? near : min(first[node], near)
        }
      }
      above = list
    }
  }
}
