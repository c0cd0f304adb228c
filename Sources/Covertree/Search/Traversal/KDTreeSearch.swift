import CNumerics
import CovertreeBase

/// One thread's searches of points in k-d trees: the core of every search in space.
///
/// The largest tree comes first and leaves little to find in the others. A tree is walked depth first, the nearest box first. A box is
/// entered if its distance is not above the handler's threshold. Boxes and points are compared in the coordinates' own type. This is a
/// filter that allows for its rounding (`RoundingBound`); handlers decide by float64 distances. So for each type the result equals the
/// result of a float64 brute force.
///
/// A search begins at the root or, for queries near each other, at the *frontier* that they share.
struct KDTreeSearch<S: Scalar, D: MetricSpace> {
  let dimension: D
  let rounding: RoundingBound<S>
  /// The first tree, and its arrays.
  private let tree: KDTree<S>
  private let first: SegmentArrays<S>
  /// All trees, the first one included.
  private let trees: [SegmentArrays<S>]
  /// Keeps the arrays alive.
  private let owner: AnyObject
  /// The query's coordinates, each in all lanes of a vector; while a frontier is collected, the lower sides of its box and then the upper
  /// ones.
  private let query: UnsafeMutablePointer<S.Lanes>
  private let leafSums: LeafSums<S, D>
  private let stackBounds: UnsafeMutablePointer<S>
  private let stackChildren: UnsafeMutablePointer<Int32>
  private let arena: Arena
  private let frontier: Frontier<S>
  private(set) var pointsCompared = 0
  private(set) var boxesCompared = 0

  init(_ tree: KDTree<S>, dimension: D) throws(CoverTreeError) {
    try self.init(tree, [SegmentArrays(tree)], depth: tree.depth, owner: tree, dimension)
  }

  init(_ points: SearchPoints<S>, dimension: D) throws(CoverTreeError) {
    let depth = points.views.reduce(0) { max($0, $1.boxes.depth) }
    try self.init(points.views[0].boxes, points.arrays, depth: depth, owner: points, dimension)
  }

  private init(
    _ tree: KDTree<S>, _ trees: [SegmentArrays<S>], depth: Int, owner: AnyObject, _ dimension: D
  ) throws(CoverTreeError) {
    (self.tree, first, self.trees, self.owner, self.dimension) = (tree, trees[0], trees, owner, dimension)
    rounding = RoundingBound(dimension)
    leafSums = try LeafSums(leafSize: trees.reduce(0) { max($0, $1.leafSize) }, dimension)
    let entries = (depth + 1) * S.width + Frontier<S>.capacity
    arena = try Arena(
      Arena.size(2 * dimension.count, of: S.Lanes.self), Arena.size(entries, of: S.self),
      Arena.size(entries, of: Int32.self))
    query = arena.allocate(2 * dimension.count)
    stackBounds = arena.allocate(entries)
    stackChildren = arena.allocate(entries)
    frontier = Frontier(dim: dimension.count)
  }

  /// Adds the comparisons of another search.
  mutating func count(points: Int, boxes: Int) {
    pointsCompared += points
    boxesCompared += boxes
  }

  /// Passes the handler every eligible point that it could want, from the root on, or from the frontier of the last `gather`.
  @inline(__always)
  mutating func run<C: ResultHandler>(
    _ row: UnsafePointer<S>, _ eligible: IndexFilter = IndexFilter(), fromFrontier: Bool = false, into handler: inout C
  ) throws(CoverTreeError) where C.S == S {
    for d in 0..<dimension.summed { query[d] = S.Lanes(repeating: row[d]) }
    let space = dimension.straight(query, query, within: handler.threshold(rounding))
    try walk(first, row, eligible, space, fromFrontier: fromFrontier, into: &handler)
    if trees.count > 1 { try walkOthers(row, eligible, space, into: &handler) }
  }

  /// The trees after the first.
  @inline(never)
  private mutating func walkOthers<C: ResultHandler>(
    _ row: UnsafePointer<S>, _ eligible: IndexFilter, _ space: D, into handler: inout C
  ) throws(CoverTreeError) where C.S == S {
    for tree in trees.dropFirst() where tree.firstIndex < Int(eligible.upperIndex) {
      try walk(tree, row, eligible, space, fromFrontier: false, into: &handler)
    }
  }

  @inline(__always)
  private mutating func walk<C: ResultHandler>(
    _ tree: SegmentArrays<S>, _ row: UnsafePointer<S>, _ eligible: IndexFilter, _ space: D, fromFrontier: Bool,
    into handler: inout C
  ) throws(CoverTreeError) where C.S == S {
    var threshold = handler.threshold(rounding)
    var top = 0
    if fromFrontier {
      for group in 0..<frontier.groupCount {
        visit(
          frontier.boxes + group &* dimension.count &* 2, frontier.children + group &* S.width,
          frontier.smallestIndex + group &* S.width, eligible, space, threshold, &top)
      }
    } else {
      visit(tree, node: 0, eligible, space, threshold, &top)
    }
    while top > 0 {
      top &-= 1
      guard stackBounds[top] <= threshold else { continue }
      let child = stackChildren[top]
      if child >= 0 {
        visit(tree, node: Int(child), eligible, space, threshold, &top)
      } else {
        try scan(tree, leaf: Int(~child), row, eligible, space, &threshold, into: &handler)
      }
    }
  }

  @inline(__always)
  private mutating func visit(
    _ tree: SegmentArrays<S>, node: Int, _ eligible: IndexFilter, _ space: D, _ threshold: S, _ top: inout Int
  ) {
    visit(
      tree.boxes + node &* dimension.count &* 2, tree.children + node &* S.width,
      tree.smallestIndex + node &* S.width, eligible, space, threshold, &top)
  }

  /// Of `width` boxes, pushes each that can matter, the nearest last.
  @inline(__always)
  private mutating func visit(
    _ boxes: UnsafePointer<S.Lanes>, _ children: UnsafePointer<Int32>, _ smallestIndex: UnsafePointer<Int32>,
    _ eligible: IndexFilter, _ space: D, _ threshold: S, _ top: inout Int
  ) {
    let bound = space.sums(S.self, query, query, toBoxes: boxes)
    boxesCompared &+= 1
    let near = S.maskLessOrEqual(bound, S.Lanes(repeating: threshold))
    let hits = near & S.maskAdmitted(smallestIndex, below: eligible.upperIndex, except: -1)
    S.store(bound, hits, packedTo: stackBounds + top)
    S.store(UnsafeRawPointer(children).load(as: S.Positions.self), hits, packedTo: stackChildren + top)
    let count = hits.nonzeroBitCount
    if count > 1 {
      let least = -S.largest(-bound)
      let nearest = S.maskLessOrEqual(bound, S.Lanes(repeating: least)) & hits
      // None if the nearest box has no eligible index.
      if nearest != 0 {
        let at = top &+ (hits & (nearest & (0 &- nearest) &- 1)).nonzeroBitCount
        let last = top &+ count &- 1
        let child = stackChildren[at]
        stackChildren[at] = stackChildren[last]
        stackBounds[at] = stackBounds[last]
        stackChildren[last] = child
        stackBounds[last] = least
      }
    }
    top &+= count
  }

  @inline(__always)
  private mutating func scan<C: ResultHandler>(
    _ tree: SegmentArrays<S>, leaf: Int, _ row: UnsafePointer<S>, _ eligible: IndexFilter, _ space: D,
    _ threshold: inout S, into handler: inout C
  ) throws(CoverTreeError) where C.S == S {
    let first = leaf &* tree.leafSize
    var group = tree.coordinates + first / S.width &* dimension.count
    pointsCompared &+= tree.leafSize
    leafSums.begin(query, group, leafSize: tree.leafSize, in: space)
    for position in stride(from: first, to: first &+ tree.leafSize, by: S.width) {
      let sum = leafSums.sums(query, toGroup: group, number: (position &- first) / S.width)
      let near = S.maskLessOrEqual(sum, S.Lanes(repeating: threshold))
      if near != 0 {
        let hits = near & tree.admitted(position, eligible)
        // Decisions read coordinates that sums do not.
        let undecided = dimension.count &- dimension.summed
        if !D.isEuclidean && undecided > 0 {
          cn_prefetch(group + dimension.summed, Int64(undecided &* MemoryLayout<S.Lanes>.size))
        }
        try handler.collect(
          Hits(
            lanes: hits, filtered: sum, group: group, query: row, dimension: dimension,
            position: tree.firstPosition &+ position, indices: tree.indices + position))
        threshold = handler.threshold(rounding)
      }
      group += dimension.count
    }
  }
}

extension KDTreeSearch {
  /// The coordinates (every `width`-th scalar) and the index of the point at a position.
  @inline(__always)
  func point(at position: Int) -> (coordinates: UnsafePointer<S>, index: Int32) {
    let (tree, inside) = trees.count > 1 ? trees.locate(position) : (first, position)
    return (tree.point(inside, dimension.count), tree.indices[inside])
  }

  /// Collects the frontier: the nodes of the first tree where queries in a box begin, if each wants points within `reach`, squared, in the
  /// filter's scale. Returns false if the frontier has no room, or would leave out nothing.
  mutating func gather(_ low: UnsafePointer<S>, _ high: UnsafePointer<S>, reach: S) throws(CoverTreeError) -> Bool {
    try frontier.removeAll()
    // Lanes without a child are infinitely far, which is not beyond an infinite reach. Squares that overflow are infinite.
    guard tree.depth > 1, reach < .infinity else { return false }
    for d in 0..<dimension.summed {
      query[d] = S.Lanes(repeating: low[d])
      query[dimension.count &+ d] = S.Lanes(repeating: high[d])
    }
    let space = dimension.straight(query, query + dimension.count, within: reach)
    stackChildren[0] = 0
    var top = 1
    while top > 0 {
      top &-= 1
      let node = Int(stackChildren[top])
      let boxes = tree.boxes.base + node &* dimension.count &* 2
      let children = tree.children.base + node &* S.width
      let bound = space.sums(S.self, query, query + dimension.count, toBoxes: boxes)
      boxesCompared &+= 1
      for lane in SetBits(S.maskLessOrEqual(bound, S.Lanes(repeating: reach))) {
        let child = Int(children[lane])
        if tree.children[child &* S.width] >= 0 {
          stackChildren[top] = Int32(child)
          top &+= 1
        } else if !frontier.append(tree, node: node, lane: lane) {
          return false
        }
      }
    }
    frontier.close()
    return true
  }
}
