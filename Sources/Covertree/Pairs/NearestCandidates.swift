import CovertreeBase

/// The first neighbours of each point, with which most edges of a spanning tree are found.
///
/// By position, like all arrays of a spanning tree. The list of a point is sorted by (score, row).
final class NearestCandidates<S: Scalar>: @unchecked Sendable {
  /// Neighbours in a list.
  let kept: Int
  /// Positions of neighbours, `kept` a point.
  let targets: Buffer<Int32>
  let scores: Buffer<Double>
  /// By point: no neighbour that is not in its list has a lower score.
  let rest: Buffer<Double>
  /// By point: neighbours in its list with a lower score come before all that are not in the list.
  let certain: Buffer<Double>
  /// By point: the score of the distance to the `mutualCount`-th neighbour; nil without mutual reachability.
  let cores: Buffer<Double>?

  /// - Parameter mutualCount: 0 for distance, otherwise below the number of points.
  init(_ found: FoundNeighbors<S>, mutualCount: Int, context: CallContext) throws(CoverTreeError) {
    let (count, searched) = (found.count, found.searched)
    kept = min(searched, FoundNeighbors<S>.most)
    targets = try Buffer(count: count * kept)
    scores = try Buffer(count: count * kept)
    rest = try Buffer(count: count)
    certain = try Buffer(count: count)
    cores = mutualCount > 0 ? try Buffer(count: count) : nil
    if let cores {
      try context.forEach(count, grain: 1 << 12) { (range, _) throws(CoverTreeError) in
        for position in range { cores[position] = found.score(position, mutualCount - 1) }
      }
    }
    try context.forEach(count, grain: 1 << 12) { (range, _) throws(CoverTreeError) in
      for position in range { fill(position, found, isAll: searched == count - 1) }
    }
  }

  private func fill(_ position: Int, _ found: FoundNeighbors<S>, isAll: Bool) {
    let (targets, scores) = (targets.base + position * kept, scores.base + position * kept)
    let farthest = found.score(position, found.searched - 1)
    guard let cores else {
      for rank in 0..<kept {
        targets[rank] = found.target(position, rank)
        scores[rank] = found.score(position, rank)
      }
      (rest[position], certain[position]) = (isAll ? .infinity : farthest, .infinity)
      return
    }
    // The first ones by an insertion sort.
    var (count, dropped) = (0, Double.infinity)
    for rank in 0..<found.searched {
      let target = found.target(position, rank)
      let score = max(found.score(position, rank), max(cores[position], cores[target]))
      var at = count
      while at > 0 && found.precedes((score, target), (scores[at - 1], targets[at - 1])) { at -= 1 }
      guard at < kept else {
        dropped = min(dropped, score)
        continue
      }
      if count == kept { dropped = min(dropped, scores[kept - 1]) } else { count += 1 }
      for moved in stride(from: count - 1, to: at, by: -1) {
        scores[moved] = scores[moved - 1]
        targets[moved] = targets[moved - 1]
      }
      (scores[at], targets[at]) = (score, target)
    }
    certain[position] = isAll ? .infinity : max(cores[position], farthest)
    rest[position] = min(dropped, certain[position])
  }
}

/// The nearest neighbours of all points, as a search reports them: by row.
struct FoundNeighbors<S: Scalar>: @unchecked Sendable {
  /// Neighbours of a point.
  let searched: Int
  private let tree: KDTree<S>
  private let isEuclidean: Bool
  private let rows: Buffer<Int64>
  private let scores: Buffer<Double>
  /// By row.
  private let positions: Buffer<Int32>

  /// More neighbours than this in a list cost more than they save.
  static var most: Int { 8 }

  init<D: MetricSpace>(
    _ whole: WholeTree<S>, mutualCount: Int, _ dimension: D, context: CallContext
  ) throws(CoverTreeError) {
    // Neighbours farther than the core distance have scores of their own.
    searched = min(whole.count - 1, max(Self.most, mutualCount + 2))
    (tree, isEuclidean) = (whole.tree, D.isEuclidean)
    rows = try Buffer(count: whole.count * searched)
    scores = try Buffer(count: whole.count * searched)
    positions = try whole.points.views[0].segment.positions()
    var options = SearchOptions()
    options.excludesSelf = true
    let task = NearestTask(
      set: try QuerySet(allOf: whole.points), points: whole.points, k: searched,
      options: try options.reporting(in: S.self, whole.metric, context), context: context, counters: SearchCounters(),
      rows: TreeRows<S>(k: searched, indices: rows.base, distances: nil, scores: scores.base, root: whole.metric?.root))
    // Searches are compiled for more dimensions than questions on pairs.
    if D.isEuclidean { try specialized(tree.dim, task) } else { try task.run(dimension) }
  }

  var count: Int { tree.count }

  @inline(__always)
  func target(_ position: Int, _ rank: Int) -> Int32 {
    positions[Int(rows[Int(tree.indices[position]) &* searched &+ rank])]
  }

  @inline(__always)
  func score(_ position: Int, _ rank: Int) -> Double {
    let reported = scores[Int(tree.indices[position]) &* searched &+ rank]
    // A reported score below the least square has lost digits; those of other metrics are reported as they are.
    return reported >= Score.leastSquare || !isEuclidean ? reported : tree.score(position, Int(target(position, rank)))
  }

  @inline(__always)
  func precedes(_ a: (Double, Int32), _ b: (Double, Int32)) -> Bool {
    a.0 < b.0 || (a.0 == b.0 && tree.indices[a.1] < tree.indices[b.1])
  }
}

extension KDTree {
  /// The score of the points at two positions, by Euclidean distance.
  @inline(__always)
  func score(_ a: Int, _ b: Int) -> Double {
    euclideanScore(coordinates(at: a), own: S.width, coordinates(at: b), stride: S.width, dim: dim)
  }
}
