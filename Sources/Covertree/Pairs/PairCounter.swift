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
  private let limitCount: Int
  /// By limit: the largest score within it; sums of the filter up to which a pair may be within it, and up to which it is.
  private let worst: UnsafePointer<Double>
  private let possible: UnsafeMutablePointer<S>
  private let certain: UnsafeMutablePointer<S>
  private var exact: ScoredQuery<S, D>
  private let scores: UnsafeMutablePointer<SIMD8<Double>>
  private let low: UnsafeMutablePointer<S.Lanes>
  private let high: UnsafeMutablePointer<S.Lanes>
  private let leafSums: LeafSums<S, D>
  private let query: UnsafeMutablePointer<S.Lanes>
  private let row: UnsafeMutablePointer<S>
  private let stack: UnsafeMutablePointer<Open>
  private let arena: Arena
  private var leafWeight = 0.0

  init(
    _ task: PairCountTask<S>, own: PointWeights<S>, others: PointWeights<S>, _ dimension: D
  ) throws(CoverTreeError) {
    (queries, tree, self.own, self.others, self.dimension) = (
      task.first.tree, task.second.tree, own, others, dimension
    )
    isWeighted = own.positions != nil || others.positions != nil
    isSymmetric = task.isSymmetric
    limitCount = task.limits.count
    worst = UnsafePointer(task.limits.base)
    let (dim, entries) = (dimension.count, (tree.depth + 1) * S.width)
    arena = try Arena(
      Arena.size(limitCount, of: S.self), Arena.size(limitCount, of: S.self),
      Arena.size(ScoredQuery<S, D>.parts, of: SIMD8<Double>.self), Arena.size(dim, of: S.Lanes.self),
      Arena.size(dim, of: S.Lanes.self), Arena.size(dim, of: S.Lanes.self), Arena.size(dim, of: S.self),
      Arena.size(entries, of: Open.self))
    possible = arena.allocate(limitCount)
    certain = arena.allocate(limitCount)
    scores = arena.allocate(ScoredQuery<S, D>.parts)
    low = arena.allocate(dim)
    high = arena.allocate(dim)
    query = arena.allocate(dim)
    row = arena.allocate(dim)
    stack = arena.allocate(entries)
    exact = try ScoredQuery(dimension)
    leafSums = try LeafSums(leafSize: tree.leafSize, dimension)
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
    let near = dimension.sums(S.self, low, high, toBoxes: boxes)
    let far = dimension.sums(S.self, low, high, across: boxes)
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
      var group = UnsafePointer(tree.coordinates.base) + start / S.width &* dimension.count
      leafSums.begin(query, group, leafSize: tree.leafSize)
      for position2 in stride(from: start, to: start &+ tree.pointCount(ofLeaf: other), by: S.width) {
        let near = leafSums.sums(query, toGroup: group, number: (position2 &- start) / S.width)
        count(group, near, at: position2, from: position, first, end, isTwice, sums)
        group += dimension.count
      }
    }
  }

  @inline(__always)
  private func count(
    _ group: UnsafePointer<S.Lanes>, _ sum: S.Lanes, at start: Int, from position: Int, _ first: Int, _ end: Int,
    _ isTwice: Bool, _ sums: PairSums.Row
  ) {
    let all = S.maskAdmitted(tree.indices.base + start, below: KDTree<S>.noIndex, except: -1)
    var isScored = false
    // From the largest limit down, within which most groups have no point.
    var (left, limit) = (all, end)
    while limit > first && left != 0 {
      limit &-= 1
      var within = S.maskLessOrEqual(sum, S.Lanes(repeating: possible[limit])) & all
      let close = within & ~S.maskLessOrEqual(sum, S.Lanes(repeating: certain[limit]))
      if close != 0 {
        if !isScored { for part in 0..<ScoredQuery<S, D>.parts { scores[part] = exact.scores(group, part: part) } }
        isScored = true
        var decided: UInt32 = 0
        for part in 0..<ScoredQuery<S, D>.parts {
          decided |= ScoredQuery<S, D>.mask(scores[part], part, within: worst[limit])
        }
        within &= decided
      }
      within &= left
      add(left & ~within, start, position, isTwice, to: limit &+ 1, sums)
      left = within
    }
    add(left, start, position, isTwice, to: first, sums)
  }

  /// Adds the pairs of a point with some lanes of a group.
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
