import CovertreeBase

/// One thread's counts of the pairs between the points of a leaf and all points of a tree.
final class PairCounter<S: Scalar, D: MetricSpace> {
  /// A box, and the limits that are open between it and the leaf: no pair is within the limits before them, and all are within those after.
  private struct Open: BitwiseCopyable {
    var slot: Int32
    var first: Int32
    var end: Int32
  }

  private let tree: KDTree<S>
  private let queries: KDTree<S>
  private let own: PointWeights<S>
  private let others: PointWeights<S>
  private let isWeighted: Bool
  private let isSymmetric: Bool
  private let dimension: D
  /// The metric of the filter, for the points of the leaf.
  private var space: D
  private let limitCount: Int
  /// By limit: the largest score within it; sums of the filter up to which a pair may be within it, and up to which it is.
  private let worst: UnsafePointer<Double>
  private let possible: UnsafeMutablePointer<S>
  private let certain: UnsafeMutablePointer<S>
  private var exact: ScoredQuery<S, D>
  /// The sums from a point to the points of a leaf, with room for whole blocks.
  private let near: UnsafeMutablePointer<S.Lanes>
  /// The scores of a point and a block.
  private let scores: UnsafeMutablePointer<SIMD8<Double>>
  private let low: UnsafeMutablePointer<S.Lanes>
  private let high: UnsafeMutablePointer<S.Lanes>
  private let query: UnsafeMutablePointer<S.Lanes>
  private let row: UnsafeMutablePointer<S>
  private let stack: UnsafeMutablePointer<Open>
  private let arena: Arena
  private var leafWeight = 0.0

  /// Points that are counted together: each is a bit of a mask. A loop that ends for all of them ends as predicted more often.
  private static var block: Int { UInt32.bitWidth }

  init(
    _ task: PairCountTask<S>, own: PointWeights<S>, others: PointWeights<S>, _ dimension: D
  ) throws(CoverTreeError) {
    (queries, tree) = (task.first.tree, task.second.tree)
    (self.own, self.others, self.dimension, space) = (own, others, dimension, dimension)
    isWeighted = own.positions != nil || others.positions != nil
    isSymmetric = task.isSymmetric
    limitCount = task.limits.count
    worst = UnsafePointer(task.limits.base)
    let (dim, entries) = (dimension.count, (tree.depth + 1) * S.width)
    let sumCount = (tree.leafSize + Self.block - 1) / Self.block * Self.block / S.width
    let scoreCount = Self.block / ScoredQuery<S, D>.width
    arena = try Arena(
      Arena.size(limitCount, of: S.self), Arena.size(limitCount, of: S.self),
      Arena.size(sumCount, of: S.Lanes.self), Arena.size(scoreCount, of: SIMD8<Double>.self),
      Arena.size(dim, of: S.Lanes.self),
      Arena.size(dim, of: S.Lanes.self), Arena.size(dim, of: S.Lanes.self), Arena.size(dim, of: S.self),
      Arena.size(entries, of: Open.self))
    possible = arena.allocate(limitCount)
    certain = arena.allocate(limitCount)
    near = arena.allocate(sumCount)
    scores = arena.allocate(scoreCount)
    low = arena.allocate(dim)
    high = arena.allocate(dim)
    query = arena.allocate(dim)
    row = arena.allocate(dim)
    stack = arena.allocate(entries)
    exact = try ScoredQuery(dimension)
    let rounding = RoundingBound<S>(dimension)
    for limit in 0..<limitCount {
      possible[limit] = rounding.upperBound(of: worst[limit])
      certain[limit] = rounding.lowerBound(of: worst[limit])
    }
  }

  /// Counts the pairs whose first point is in a leaf.
  func run(_ leaf: Int, into sums: PairSums.Row, _ context: CallContext, slot: Int) throws(CoverTreeError) {
    let positions = queries.positions(ofLeaf: leaf)
    guard !positions.isEmpty, limitCount > 0 else { return }
    queries.copyBox(ofLeaf: leaf, into: low, high)
    space = dimension.straight(low, high, within: possible[limitCount - 1])
    leafWeight = own.weight(ofLeaf: leaf)
    var top = 0
    visit(node: 0, 0, limitCount, leaf, sums, &top)
    var steps = 0
    while top > 0 {
      top &-= 1
      let open = stack[top]
      let child = tree.children[Int(open.slot)]
      if child >= 0 {
        visit(node: Int(child), Int(open.first), Int(open.end), leaf, sums, &top)
      } else {
        compare(leaf, with: Int(~child), Int(open.first), Int(open.end), sums)
      }
      steps &+= 1
      if steps & 0xFF == 0 { try context.poll(inSlot: slot) }
    }
  }

  /// Decides on the children of a node, or pushes them.
  private func visit(node: Int, _ first: Int, _ end: Int, _ leaf: Int, _ sums: PairSums.Row, _ top: inout Int) {
    let boxes = UnsafePointer(tree.boxes.base) + node &* dimension.count &* 2
    let near = space.sums(S.self, low, high, toBoxes: boxes)
    let far = space.sums(S.self, low, high, across: boxes)
    for lane in 0..<S.width where tree.smallestIndex[node &* S.width &+ lane] != KDTree<S>.noIndex {
      let slot = node &* S.width &+ lane
      let first = Self.lowerBound(of: near[lane], in: possible, first..<end)
      let end = Self.lowerBound(of: far[lane], in: certain, first..<end)
      guard first < limitCount else { continue }
      let mirrored = isSymmetric ? mirror(slot, leaf) : .none
      if mirrored == .skipped { continue }
      if first < end || mirrored == .partly {
        stack[top] = Open(slot: Int32(slot), first: Int32(first), end: Int32(end))
        top &+= 1
      } else {
        add(leafWeight * others.weight(below: slot), mirrored == .whole, to: first, sums)
      }
    }
  }

  /// How pairs with the points of a box count if each counts for its mirror image.
  private enum Mirror {
    case none, whole, partly, skipped
  }

  /// Pairs with later leaves count twice, with earlier ones not at all.
  private func mirror(_ slot: Int, _ leaf: Int) -> Mirror {
    let positions = tree.positions(below: tree.children[slot])
    let own = tree.positions(ofLeaf: leaf)
    if positions.upperBound <= own.lowerBound { return .skipped }
    if positions.lowerBound >= own.upperBound { return .whole }
    return positions == own ? .none : .partly
  }

  /// The first of some ascending limits that is not below a distance.
  private static func lowerBound(of distance: S, in limits: UnsafePointer<S>, _ range: Range<Int>) -> Int {
    var (low, high) = (range.lowerBound, range.upperBound)
    while low < high {
      let middle = (low &+ high) >> 1
      if limits[middle] < distance { low = middle &+ 1 } else { high = middle }
    }
    return low
  }

  @inline(__always)
  private func add(_ weight: Double, _ isTwice: Bool, to limit: Int, _ sums: PairSums.Row) {
    guard limit < limitCount else { return }
    let weight = isTwice ? 2 * weight : weight
    // A product of two numbers of points of a leaf and of a tree is exact.
    if isWeighted { sums.sums![limit] += weight } else { sums.counts![limit] += Int64(weight) }
  }

  /// Compares the points of a leaf with those of another one.
  private func compare(_ leaf: Int, with other: Int, _ first: Int, _ end: Int, _ sums: PairSums.Row) {
    let isTwice = isSymmetric && other != leaf
    for position in queries.positions(ofLeaf: leaf) {
      queries.copyPoint(at: position, into: row, query, dimension)
      exact.set(row)
      let start = other &* tree.leafSize
      space.sums(
        S.self, query, toGroups: UnsafePointer(tree.coordinates.base) + start / S.width &* dimension.count,
        count: tree.leafSize / S.width, into: near)
      for offset in stride(from: 0, to: tree.pointCount(ofLeaf: other), by: Self.block) {
        count(start, offset, from: position, first, end, isTwice, sums)
      }
    }
  }

  /// Counts the pairs of a point and a block of a leaf, which begins `offset` after the first position of the leaf.
  @inline(__always)
  private func count(
    _ leafStart: Int, _ offset: Int, from position: Int, _ first: Int, _ end: Int, _ isTwice: Bool, _ sums: PairSums.Row
  ) {
    let (start, sumsOfBlock) = (leafStart &+ offset, near + offset / S.width)
    let points = min(Self.block, tree.leafSize &- offset)
    var (left, limit, isScored) = (UInt32(0), end, false)
    for lane in stride(from: 0, to: points, by: S.width) {
      left |= S.maskAdmitted(tree.indices.base + start + lane, below: KDTree<S>.noIndex, except: -1) &<< UInt32(lane)
    }
    // From the largest limit down, within which most blocks have no point.
    while limit > first && left != 0 {
      limit &-= 1
      var within = Self.mask(sumsOfBlock, within: possible[limit]) & left
      let close = within & ~Self.mask(sumsOfBlock, within: certain[limit])
      if close != 0 {
        if !isScored { score(start, points) }
        isScored = true
        within &= mask(ofScoresWithin: worst[limit])
      }
      add(left & ~within, start, position, isTwice, to: limit &+ 1, sums)
      left = within
    }
    add(left, start, position, isTwice, to: first, sums)
  }

  /// The points of a block within a sum, and any bits for lanes after the leaf.
  @inline(__always)
  private static func mask(_ sums: UnsafePointer<S.Lanes>, within limit: S) -> UInt32 {
    var mask: UInt32 = 0
    for group in 0..<block / S.width {
      let lanes = S.maskLessOrEqual(sums[group], S.Lanes(repeating: limit))
      mask |= lanes &<< UInt32(truncatingIfNeeded: group &* S.width)
    }
    return mask
  }

  /// Computes the scores of a block.
  @inline(never)
  private func score(_ start: Int, _ points: Int) {
    for group in 0..<points / S.width {
      let lanes = UnsafePointer(tree.coordinates.base) + (start / S.width &+ group) &* dimension.count
      for part in 0..<ScoredQuery<S, D>.parts {
        scores[group &* ScoredQuery<S, D>.parts &+ part] = exact.scores(lanes, part: part)
      }
    }
  }

  /// The points of a block within a score, and any bits for lanes after the leaf.
  @inline(__always)
  private func mask(ofScoresWithin limit: Double) -> UInt32 {
    (0..<Self.block / ScoredQuery<S, D>.width).reduce(0) { mask, number in
      mask | ScoredQuery<S, D>.mask(scores[number], number, within: limit)
    }
  }

  /// Adds the pairs of a point with some points of a block.
  @inline(__always)
  private func add(
    _ lanes: UInt32, _ start: Int, _ position: Int, _ isTwice: Bool, to limit: Int, _ sums: PairSums.Row
  ) {
    guard lanes != 0, limit < limitCount else { return }
    guard isWeighted else {
      sums.counts![limit] &+= Int64(isTwice ? 2 &* lanes.nonzeroBitCount : lanes.nonzeroBitCount)
      return
    }
    var weight = 0.0
    for lane in SetBits(lanes) { weight += others.weight(start &+ lane) }
    add(own.weight(position) * weight, isTwice, to: limit, sums)
  }
}
