import CovertreeBase

/// Counts of pairs by distance.
///
/// Each object walks the tree. The distance to the root of a subtree, and the radius of that, bound all distances in it: if no radius of the
/// call lies between the bounds, all pairs count at once. So the function is evaluated for pairs with distances near a radius. In one tree
/// each node walks the nodes before it in tree order, which include whole subtrees.
extension FunctionTree {
  /// Counts the ordered pairs of two trees, or of one: see `AnyCoverTree.pairCounts`.
  func pairCounts(
    within radii: UnsafeBufferPointer<Double>, of other: FunctionTree?, weights: PairWeights, context: CallContext
  ) throws(CoverTreeError) -> PairSums {
    let options = try SearchOptions().within(radii.last ?? 0)
    let search =
      if let other { try other.search(of: self, options, context).0 } else {
        try self.search(.allStored, options, context, rows: nil)
      }
    let (count, objects) = (search.queries.count, search.snapshot.liveCount)
    let own = try weights.own.map { (own) throws(CoverTreeError) in try own.copied(count, "weights") }
    let others = try weights.others.map { (others) throws(CoverTreeError) in
      try others.copied(objects, "other_weights")
    }
    let chunks = (count + FunctionSearch.chunk - 1) / FunctionSearch.chunk
    let isWeighted = own != nil || others != nil
    let sums = try PairSums(rows: chunks, columns: radii.count, isWeighted: isWeighted)
    guard radii.count > 0 else { return try sums.total() }
    let bins = PairBins(
      limits: radii, own: own, others: others, isMirrored: other == nil,
      objects: try SubtreeWeights(search.snapshot, isWeighted: isWeighted, weights: others),
      firsts: other == nil && isWeighted
        ? try SubtreeWeights(search.snapshot, isWeighted: true, weights: own) : nil)
    try search.run { (range) throws(CoverTreeError) in
      let row = sums.row(range.lowerBound / FunctionSearch.chunk)
      return range.map { query in
        if bins.isMirrored { bins.addItself(query, to: row) }
        return ObjectsInBins(
          bins: bins, sums: row, query: query, end: bins.isMirrored ? search.queries.node(query) : Int32.max)
      }
    } end: { (_, _) in
    }
    return try sums.total()
  }
}

/// The weights of a tree's objects, and their sums in subtrees. Those of pivots are not in the sums: walks know their distances.
private final class SubtreeWeights: @unchecked Sendable {
  /// By tree index, and one more: the objects before it.
  private let before: Buffer<Int32>
  /// By tree index; nil if objects are only counted.
  private let weights: Buffer<Double>?
  private let sums: Buffer<Double>?
  private let ends: Buffer<Int32>

  /// - Parameter weights: by object, in the order of the dataset indices; nil for weights of 1.
  init(_ snapshot: FunctionSnapshot, isWeighted: Bool, weights given: Buffer<Double>?) throws(CoverTreeError) {
    let layout = snapshot.layout
    ends = layout.subtreeEnd
    before = try Buffer(count: layout.count + 1)
    var count: Int32 = 0
    func isSummed(_ t: Int) -> Bool { snapshot.isLive(Int32(t)) && snapshot.links.pivot[t] < 0 }
    for t in 0..<layout.count {
      before[t] = count
      if isSummed(t) { count += 1 }
    }
    before[layout.count] = count
    guard isWeighted else {
      (weights, sums) = (nil, nil)
      return
    }
    let weights = try Buffer<Double>(count: layout.count, filledWith: 0)
    var row = 0
    for node in snapshot.nodes.elements where node >= 0 {
      weights[Int(node)] = given?[row] ?? 1
      row += 1
    }
    let sums = try Buffer<Double>(count: layout.count, filledWith: 0)
    for t in stride(from: layout.count - 1, through: 0, by: -1) {
      if isSummed(t) { sums[t] += weights[t] }
      if layout.parents[t] >= 0 { sums[Int(layout.parents[t])] += sums[t] }
    }
    (self.weights, self.sums) = (weights, sums)
  }

  @inline(__always)
  func count(below node: Int32) -> Int { Int(before[ends[node]] - before[node]) }
  @inline(__always)
  func weight(_ node: Int32) -> Double { weights![node] }
  @inline(__always)
  func weight(below node: Int32) -> Double { sums![node] }
}

/// Adds pairs to counts by distance.
private struct PairBins: @unchecked Sendable {
  /// Ascending.
  let limits: UnsafeBufferPointer<Double>
  /// By row, as first and as second points of pairs; nil for weights of 1.
  let own: Buffer<Double>?
  let others: Buffer<Double>?
  /// Whether each pair counts in both directions.
  let isMirrored: Bool
  /// The weights of objects as second points and, if pairs are mirrored and weighted, as first points.
  let objects: SubtreeWeights
  let firsts: SubtreeWeights?

  /// The first limit that is not below a distance.
  @inline(__always)
  func bin(_ distance: Double) -> Int {
    var (bin, end) = (0, limits.count)
    while bin < end {
      let middle = (bin &+ end) / 2
      if limits[middle] < distance { bin = middle &+ 1 } else { end = middle }
    }
    return bin
  }

  /// Adds the pair of a row with itself.
  func addItself(_ row: Int, to sums: PairSums.Row) {
    sums.counts?[0] += 1
    sums.sums?[0] += (own?[row] ?? 1) * (others?[row] ?? 1)
  }

  /// Adds the pairs of a row and some objects: their number, and the sums of their weights.
  @inline(__always)
  func add(_ row: Int, _ count: Int, _ second: Double, _ first: Double, to bin: Int, _ sums: PairSums.Row) {
    sums.counts?[bin] += Int64(isMirrored ? 2 * count : count)
    guard let sums = sums.sums else { return }
    sums[bin] += (own?[row] ?? 1) * second + (isMirrored ? first * (others?[row] ?? 1) : 0)
  }
}

/// Counts the objects that a query finds.
private struct ObjectsInBins: FunctionResult {
  static var isOrdered: Bool { false }
  static var takesSubtrees: Bool { true }

  let bins: PairBins
  let sums: PairSums.Row
  /// The row of the query.
  let query: Int
  /// The nodes that count are before it.
  let end: Int32

  var reach: Double { bins.limits[bins.limits.count - 1] }
  func admits(_ other: Int32) -> Bool { other < end }
  /// A subtree begins with its root.
  func mayUse(_ subtree: Int32) -> Bool { subtree < end }
  func wants(_ distance: Double, _ node: Int32) -> Bool { distance <= reach }

  mutating func add(_ distance: Double, _ index: Int32, at node: Int32) {
    guard distance <= reach else { return }
    let isWeighted = sums.sums != nil
    bins.add(
      query, 1, isWeighted ? bins.objects.weight(node) : 0, bins.firsts?.weight(node) ?? 0, to: bins.bin(distance), sums
    )
  }

  mutating func take(_ subtree: Int32, end: Int32, from least: Double, to most: Double) -> Bool {
    guard end <= self.end else { return false }
    let bin = bins.bin(least)
    guard bin < bins.limits.count else { return true }
    guard most <= bins.limits[bin] else { return false }
    bins.add(
      query, bins.objects.count(below: subtree), sums.sums == nil ? 0 : bins.objects.weight(below: subtree),
      bins.firsts?.weight(below: subtree) ?? 0, to: bin, sums)
    return true
  }
}
