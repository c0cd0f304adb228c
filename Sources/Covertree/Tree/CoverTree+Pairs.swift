import CovertreeBase

// Questions on pairs of points.

extension CoverTree {
  /// The minimum spanning tree, sorted by (length, lower index, higher index).
  ///
  /// - Parameter mutualCount: 0 for distance; otherwise the number of the neighbour whose distance is the core distance of
  ///   mutual reachability.
  public func spanningTree(mutualCount: Int, context: CallContext) throws(CoverTreeError) -> PairLists<S> {
    let whole = try whole(options.metric, context)
    try checkMutualCount(mutualCount, points: whole.count)
    return try whole.specialized(with: nil, SpanningTreeTask(whole: whole, mutualCount: mutualCount, context: context))
  }

  /// The points of the tree as it is now, with rows that are comparable to those of a tree in `metric`, which may have another origin.
  fileprivate func whole(_ metric: TreeMetric?, _ context: CallContext) throws(CoverTreeError) -> WholeTree<S> {
    guard isMoved(metric) else {
      return try WholeTree(snapshot.points, leafSize: options.leafSize, metric: options.metric, context: context)
    }
    return try WholeTree(
      copying: snapshot.points, leafSize: options.leafSize, metric: metric, isMoved: true, context: context)
  }

  /// The points in float64.
  fileprivate func wholeInDouble(
    _ metric: TreeMetric?, _ context: CallContext
  ) throws(CoverTreeError) -> WholeTree<Double> {
    let isMoved = isMoved(metric)
    return try WholeTree(
      copying: snapshot.points, leafSize: options.leafSize, metric: isMoved ? metric : options.metric, isMoved: isMoved,
      context: context)
  }

  private func isMoved(_ metric: TreeMetric?) -> Bool {
    guard let metric, let own = options.metric else { return false }
    return !own.hasRows(of: metric)
  }
}

/// Checks the number of the neighbour whose distance is a core distance.
func checkMutualCount(_ mutualCount: Int, points: Int) throws(CoverTreeError) {
  guard mutualCount >= 0 else {
    throw CoverTreeError(.invalidArgument, "mutual_k: expected a number from 0 up, got \(mutualCount)")
  }
  guard mutualCount < max(1, points) else {
    throw CoverTreeError(
      .invalidArgument, "mutual_k: expected a number below that of the points, \(points), got \(mutualCount)")
  }
}

extension AnyCoverTree {
  /// The pairs of points within `radius` (inclusive), in the order of their dataset indices: of this tree and another one, or of this tree,
  /// the lower index first. If the types of the trees differ, distances are in float64.
  public func pairs(
    within radius: Double, of other: AnyCoverTree?, keepsDistances: Bool, context: CallContext
  ) throws(CoverTreeError) -> AnyPairLists {
    func pairs<S: Scalar>(_ first: WholeTree<S>, _ second: WholeTree<S>?) throws(CoverTreeError) -> AnyPairLists {
      AnyPairLists(
        try first.specialized(
          with: second,
          PairsTask(
            first: first, second: second, worst: first.largestScore(withinDistance: radius),
            keepsDistances: keepsDistances, context: context)))
    }
    try checkRadius(radius)
    try check(other)
    switch (self, other) {
    case (.float32(let tree), nil): return try pairs(try tree.whole(metric, context), nil)
    case (.float64(let tree), nil): return try pairs(try tree.whole(metric, context), nil)
    case (.float32(let tree), .float32(let other)):
      return try pairs(try tree.whole(metric, context), try other.whole(metric, context))
    case (.function(let tree), nil):
      return AnyPairLists(try tree.pairs(within: radius, of: nil, keepsDistances: keepsDistances, context: context))
    case (.function(let tree), .function(let other)):
      return AnyPairLists(try tree.pairs(within: radius, of: other, keepsDistances: keepsDistances, context: context))
    case (_, let other?): return try pairs(try inDouble(metric, context), try other.inDouble(metric, context))
    }
  }

  /// The minimum spanning tree, as `CoverTree` finds it.
  public func spanningTree(mutualCount: Int, context: CallContext) throws(CoverTreeError) -> AnyPairLists {
    switch self {
    case .float32(let tree): AnyPairLists(try tree.spanningTree(mutualCount: mutualCount, context: context))
    case .float64(let tree): AnyPairLists(try tree.spanningTree(mutualCount: mutualCount, context: context))
    case .function(let tree): AnyPairLists(try tree.spanningTree(mutualCount: mutualCount, context: context))
    }
  }

  /// Counts the ordered pairs of a point of this tree and a point of another one, or of this one, by distance: for each of several ascending
  /// radii, the pairs within it (inclusive) and beyond the one before. A pair counts with the product of its points' weights.
  public func pairCounts(
    within radii: UnsafeBufferPointer<Double>, of other: AnyCoverTree?, weights: PairWeights, context: CallContext
  ) throws(CoverTreeError) -> PairSums {
    for (number, radius) in radii.enumerated() {
      guard radius >= 0 else {
        throw CoverTreeError(.invalidArgument, "radii[\(number)]: expected a number from 0 up, got \(radius)")
      }
      guard number == 0 || radius >= radii[number - 1] else {
        throw CoverTreeError(
          .invalidArgument, "radii: expected ascending numbers, got \(radius) after \(radii[number - 1])")
      }
    }
    try check(other)
    switch (self, other) {
    case (.float32(let tree), nil): return try counts(try tree.whole(metric, context), nil, radii, weights, context)
    case (.float64(let tree), nil): return try counts(try tree.whole(metric, context), nil, radii, weights, context)
    case (.float32(let tree), .float32(let other)):
      return try counts(try tree.whole(metric, context), try other.whole(metric, context), radii, weights, context)
    case (.function(let tree), nil):
      return try tree.pairCounts(within: radii, of: nil, weights: weights, context: context)
    case (.function(let tree), .function(let other)):
      return try tree.pairCounts(within: radii, of: other, weights: weights, context: context)
    case (_, let other?):
      return try counts(try inDouble(metric, context), try other.inDouble(metric, context), radii, weights, context)
    }
  }

  private func counts<S: Scalar>(
    _ first: WholeTree<S>, _ second: WholeTree<S>?, _ radii: UnsafeBufferPointer<Double>, _ weights: PairWeights,
    _ context: CallContext
  ) throws(CoverTreeError) -> PairSums {
    let limits = try Buffer<Double>(count: radii.count)
    for (number, radius) in radii.enumerated() { limits[number] = first.largestScore(withinDistance: radius) }
    let own = try weights.own.map { (own) throws(CoverTreeError) in try own.copied(first.count, "weights") }
    let isShared = second == nil && weights.own?.baseAddress == weights.others?.baseAddress
    let others =
      isShared
      ? own
      : try weights.others.map { (others) throws(CoverTreeError) in
        try others.copied((second ?? first).count, "other_weights")
      }
    return try first.specialized(
      with: second,
      PairCountTask(
        first: first, second: second ?? first, limits: limits, weights: own, otherWeights: others,
        isSymmetric: isShared, context: context))
  }

  /// Checks that another tree has points of the same kind, in the same metric.
  private func check(_ other: AnyCoverTree?) throws(CoverTreeError) {
    guard let other else { return }
    if case .function(let tree) = self, case .function(let other) = other {
      return try tree.check(other)
    }
    guard !isOfFunction, !other.isOfFunction else {
      throw CoverTreeError(
        .unsupported,
        "other: expected a tree by the same metric, got one by \(other.isOfFunction ? "a" : "no") distance function")
    }
    guard other.dim == dim else {
      throw CoverTreeError(.shape, "other: expected a tree of \(dim) coordinates, got \(other.dim)")
    }
    try TreeMetric.check(metric, isThatOf: other.metric)
  }

  private var isOfFunction: Bool {
    if case .function = self { true } else { false }
  }

  private var metric: TreeMetric? {
    switch self {
    case .float32(let tree): tree.options.metric
    case .float64(let tree): tree.options.metric
    case .function: nil
    }
  }

  private var dim: Int {
    switch self {
    case .float32(let tree): tree.dim
    case .float64(let tree): tree.dim
    case .function(let tree): tree.type.columns
    }
  }

  private func inDouble(_ metric: TreeMetric?, _ context: CallContext) throws(CoverTreeError) -> WholeTree<Double> {
    switch self {
    case .float32(let tree): try tree.wholeInDouble(metric, context)
    case .float64(let tree): try tree.whole(metric, context)
    case .function: throw CoverTreeError(.unsupported, "metric: expected one of the library")
    }
  }
}

extension UnsafeBufferPointer<Double> {
  /// A copy of the weights of some points, which are checked.
  func copied(_ count: Int, _ name: String) throws(CoverTreeError) -> Buffer<Double> {
    guard self.count == count else {
      throw CoverTreeError(
        .busy, "\(name): the tree has \(count) points, there are weights for \(self.count); was it changed?")
    }
    let copy = try Buffer<Double>(count: count)
    for row in 0..<count {
      copy[row] = self[row]
      guard copy[row].isFinite else {
        throw CoverTreeError(.invalidArgument, "\(name)[\(row)]: expected a finite number, got \(copy[row])")
      }
    }
    return copy
  }
}

/// A weight for each point of two trees, in the order of the dataset indices; nil for weights of 1.
public struct PairWeights: @unchecked Sendable {
  let own: UnsafeBufferPointer<Double>?
  let others: UnsafeBufferPointer<Double>?

  public init(own: UnsafeBufferPointer<Double>?, others: UnsafeBufferPointer<Double>?) {
    (self.own, self.others) = (own, others)
  }
}
