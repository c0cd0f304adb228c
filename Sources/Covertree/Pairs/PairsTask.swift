import CovertreeBase

/// All pairs of points within a distance, in the order of their dataset indices: of two trees, or of one tree, where the first index of a
/// pair is the lower one.
///
/// The points of a leaf share one walk, which finds the leaves near theirs. Each point is compared with these leaves, and sorts what it
/// finds by row. Lists are made for chunks of leaves, and joined by the row of the first point.
struct PairsTask<S: Scalar>: DimensionTask {
  let first: WholeTree<S>
  /// nil for pairs of one tree.
  let second: WholeTree<S>?
  /// The largest score of a pair.
  let worst: Double
  let keepsDistances: Bool
  let context: CallContext

  /// Leaves of a chunk.
  private static var grain: Int { 8 }

  func run<D: MetricSpace>(_ dimension: D) throws(CoverTreeError) -> PairLists<S> {
    let leaves = first.tree.leafCount
    let grain = Self.grain
    let offsets = try Buffer<Int64>(count: first.count + 1, filledWith: 0)
    let chunks = try (0..<(leaves + grain - 1) / grain).map { (_) throws(CoverTreeError) in
      try FoundPairs(keepsScores: keepsDistances)
    }
    let scans = PerThread<PairScan<S, D>>(count: context.threads)
    context.stage(from: 0, to: 0.9)
    try context.forEach(leaves, grain: grain) { (range, slot) throws(CoverTreeError) in
      let scan = try scans.value(slot) { () throws(CoverTreeError) in try PairScan(self, dimension) }
      for leaf in range {
        try context.poll(inSlot: slot, share: Double(leaf) / Double(leaves))
        try scan.run(leaf, into: chunks[range.lowerBound / grain], counts: offsets.base + 1, context, slot)
      }
    }
    context.stage(from: 0.9, to: 1)
    return try joined(chunks, offsets, dimension)
  }

  private func joined<D: MetricSpace>(
    _ chunks: [FoundPairs], _ offsets: Buffer<Int64>, _ dimension: D
  ) throws(CoverTreeError) -> PairLists<S> {
    for row in 0..<first.count { offsets[row + 1] += offsets[row] }
    let pairs = try PairLists<S>(count: Int(offsets[first.count]), keepsDistances: keepsDistances)
    let (tree, other) = (first.tree, second ?? first)
    try context.forEach(chunks.count, grain: 1) { (range, _) throws(CoverTreeError) in
      for chunk in range {
        var next = 0
        for leaf in chunk * Self.grain..<min(tree.leafCount, (chunk + 1) * Self.grain) {
          for position in tree.positions(ofLeaf: leaf) {
            let row = tree.indices[position]
            for slot in Int(offsets[row])..<Int(offsets[row + 1]) {
              pairs.indices[2 * slot] = first.datasetIndex(row)
              pairs.indices[2 * slot + 1] = other.datasetIndex(chunks[chunk].rows[next])
              if let scores = chunks[chunk].scores { pairs.distances![slot] = first.distance(scores[next], dimension) }
              next += 1
            }
          }
        }
      }
    }
    return pairs
  }
}

/// The pairs of a chunk of leaves: the second row of each, point by point.
final class FoundPairs {
  let rows: GrowableBuffer<Int32>
  let scores: GrowableBuffer<Double>?

  init(keepsScores: Bool) throws(CoverTreeError) {
    rows = try GrowableBuffer()
    scores = keepsScores ? try GrowableBuffer() : nil
  }
}

/// One thread's comparisons of the points of a leaf with the leaves near it.
private final class PairScan<S: Scalar, D: MetricSpace> {
  private let first: KDTree<S>
  private let second: KDTree<S>
  /// Whether only rows above the first point's count.
  private let ascends: Bool
  private let worst: Double
  private let possible: S
  private let certain: S
  private var near: NearLeaves<S, D>
  private var exact: ScoredQuery<S, D>
  private let leafSums: LeafSums<S, D>
  private let query: UnsafeMutablePointer<S.Lanes>
  private let row: UnsafeMutablePointer<S>
  private let scores: UnsafeMutablePointer<SIMD8<Double>>
  private let arena: Arena
  private let sort: RowSort

  private var dimension: D { near.dimension }

  init(_ task: PairsTask<S>, _ dimension: D) throws(CoverTreeError) {
    first = task.first.tree
    second = (task.second ?? task.first).tree
    ascends = task.second == nil
    let rounding = RoundingBound<S>(dimension)
    worst = task.worst
    (possible, certain) = (rounding.upperBound(of: worst), rounding.lowerBound(of: worst))
    near = try NearLeaves(second, dimension)
    exact = try ScoredQuery(dimension)
    leafSums = try LeafSums(leafSize: second.leafSize, dimension)
    arena = try Arena(
      Arena.size(dimension.count, of: S.Lanes.self), Arena.size(dimension.count, of: S.self),
      Arena.size(ScoredQuery<S, D>.parts, of: SIMD8<Double>.self))
    query = arena.allocate(dimension.count)
    row = arena.allocate(dimension.count)
    scores = arena.allocate(ScoredQuery<S, D>.parts)
    sort = try RowSort()
  }

  /// Finds the pairs whose first point is in a leaf, and their number by row.
  func run(
    _ leaf: Int, into found: FoundPairs, counts: UnsafeMutablePointer<Int64>, _ context: CallContext, _ slot: Int
  ) throws(CoverTreeError) {
    try near.search(from: leaf, of: first, reach: possible)
    for position in first.positions(ofLeaf: leaf) {
      first.copyPoint(at: position, into: row, query, dimension)
      exact.set(row)
      let before = found.rows.count
      let lower = ascends ? first.indices[position] : -1
      for number in 0..<near.found.count {
        // A point of high dimension may be compared with all others.
        if number & 0xFFF == 0xFFF { try context.poll(inSlot: slot) }
        try compare(with: Int(near.found[number]), above: lower, into: found)
      }
      try sort.sort(found, from: before)
      counts[Int(first.indices[position])] = Int64(found.rows.count - before)
    }
  }

  @inline(__always)
  private func compare(with leaf: Int, above lower: Int32, into found: FoundPairs) throws(CoverTreeError) {
    let start = leaf &* second.leafSize
    var group = UnsafePointer(second.coordinates.base) + start / S.width &* dimension.count
    leafSums.begin(query, group, leafSize: second.leafSize, in: near.space)
    for position in stride(from: start, to: start &+ second.leafSize, by: S.width) {
      let sum = leafSums.sums(query, toGroup: group, number: (position &- start) / S.width)
      var hits = S.maskLessOrEqual(sum, S.Lanes(repeating: possible))
      let indices = second.indices.base + position
      // Rows up to the lower one do not count.
      if hits != 0 { hits &= ~S.maskAdmitted(indices, below: lower &+ 1, except: -1) }
      // In lanes without a point the coordinates are NaN, of which not all metrics make NaN.
      if !D.isEuclidean && hits != 0 { hits &= S.maskAdmitted(indices, below: KDTree<S>.noIndex, except: -1) }
      if hits != 0 {
        let isClose = hits & ~S.maskLessOrEqual(sum, S.Lanes(repeating: certain)) != 0
        if isClose || found.scores != nil { hits &= score(group) }
        try append(hits, indices, to: found)
      }
      group += dimension.count
    }
  }

  /// Computes the scores of a group. Returns the lanes within the limit.
  @inline(__always)
  private func score(_ group: UnsafePointer<S.Lanes>) -> UInt32 {
    var within: UInt32 = 0
    for part in 0..<ScoredQuery<S, D>.parts {
      scores[part] = exact.scores(group, part: part)
      within |= ScoredQuery<S, D>.mask(scores[part], part, within: worst)
    }
    return within
  }

  @inline(__always)
  private func append(_ hits: UInt32, _ indices: UnsafePointer<Int32>, to found: FoundPairs) throws(CoverTreeError) {
    let (rows, count) = (found.rows, found.rows.count)
    try rows.reserve(S.width)
    let lanes = UnsafeRawPointer(indices).load(as: S.Positions.self)
    S.store(lanes, hits, packedTo: rows.base + count)
    try rows.resize(to: count &+ hits.nonzeroBitCount)
    guard let kept = found.scores else { return }
    for lane in SetBits(hits) { try kept.append(scores.scalars(at: lane)) }
  }
}

extension UnsafeMutablePointer where Pointee == SIMD8<Double> {
  @inline(__always)
  fileprivate func scalars(at lane: Int) -> Double { self[lane &>> 3][lane & 7] }
}
