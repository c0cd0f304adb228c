import CovertreeBase

/// What the pivots' bounds are worth for a spanning tree, by a sample of objects.
struct ConcentrationSample {
  private static let most = 64

  /// The share of pairs whose lower bound is below the length of a long edge, of which a tenth is longer: those between clusters decide about
  /// the last rounds. Near 1, a search for the least edges evaluates nearly all pairs; near 0, only those that are close.
  let share: Double

  /// - Parameter nodes: of the objects.
  init(_ search: FunctionSearch, nodes: Buffer<Int32>) throws(CoverTreeError) {
    let (snapshot, count) = (search.snapshot, min(Self.most, nodes.count / 5))
    guard count > 2, snapshot.pivots.count > 0 else {
      share = 1
      return
    }
    let sample = (0..<count).map { nodes[$0 * nodes.count / count] }
    let evaluator = try PairEvaluator(search.function, snapshot.objects.type, context: search.context)
    for i in 0..<count {
      for j in 0..<i { try evaluator.add(snapshot.objects.row(sample[i]), snapshot.objects.row(sample[j])) }
    }
    let distances = try evaluator.run()
    search.counters.add(queries: 0, points: evaluator.evaluations, boxes: 0)
    func distance(_ i: Int, _ j: Int) -> Double {
      i > j ? distances[i * (i - 1) / 2 + j] : distances[j * (j - 1) / 2 + i]
    }
    var (nearest, at, lengths) = ([Double](repeating: .infinity, count: count), 0, [Double]())
    var left = Array(1..<count)
    while !left.isEmpty {
      for other in left { nearest[other] = min(nearest[other], distance(at, other)) }
      let slot = left.indices.min { nearest[left[$0]] < nearest[left[$1]] }!
      at = left.remove(at: slot)
      lengths.append(nearest[at])
    }
    lengths.sort()
    let long = lengths[lengths.count * 9 / 10]
    var below = 0
    for i in 0..<count {
      for j in 0..<i where snapshot.pivots.bound(snapshot.embedding(sample[i]), snapshot.embedding(sample[j])) < long {
        below += 1
      }
    }
    share = Double(below) / Double(distances.count)
  }
}
