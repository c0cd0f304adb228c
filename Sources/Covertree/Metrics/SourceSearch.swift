/// One thread's searches among the sources of a level, for as many points together as a vector has lanes: what building a tree
/// spends its time on.
///
/// A node or a leaf of the box tree is entered while its box is within the *limit* of a lane; a leaf's points are compared, a
/// vector at a time, with each lane that wants it. Limits are small from the start (`LevelReach`), so that few points
/// are within one: those are decided about at once, by their scores. That is what tells it from `LaneSearch`, which begins
/// without a limit and keeps the nearest in vectors.
///
/// Comparisons are a filter in the coordinates' own type, with its rounding error allowed for (`FilterSlack`).
struct SourceSearch<S: Scalar, D: Dimension> {
  private struct Entry: BitwiseCopyable {
    var bound: S
    /// A node, or a leaf complemented.
    var child: Int32
    /// Where the box around it is: the lane `box % width` of the node `box / width`.
    var box: Int32
  }

  let tree: BoxTree<S>
  let slack: FilterSlack<S>
  private let dimension: D
  private let arena: Arena
  private let stack: UnsafeMutablePointer<Entry>
  /// Coordinate by coordinate, a point a lane.
  private let lanes: UnsafeMutablePointer<S.Lanes>
  /// The box around the points, each side in all lanes.
  private let low: UnsafeMutablePointer<S.Lanes>
  private let high: UnsafeMutablePointer<S.Lanes>
  // Of each lane: the point, and how far away a source may show to be.
  private let rows: UnsafeMutablePointer<UnsafePointer<S>>
  private let limits: UnsafeMutablePointer<S>
  private(set) var lanesInUse = 0
  private(set) var pointsCompared = 0

  init(_ tree: BoxTree<S>, dimension: D) throws(CoverTreeError) {
    self.tree = tree
    self.dimension = dimension
    slack = FilterSlack(dim: dimension.count)
    let (entries, panel) = (tree.depth * S.width, dimension.count)
    arena = try Arena(
      Arena.size(entries, of: Entry.self), Arena.size(3 * panel, of: S.Lanes.self),
      Arena.size(S.width, of: UnsafePointer<S>.self), Arena.size(S.width, of: S.self))
    stack = arena.take(entries)
    lanes = arena.take(3 * panel)
    (low, high) = (lanes + panel, lanes + 2 * panel)
    rows = arena.take(S.width)
    limits = arena.take(S.width)
  }

  /// Begins anew, without a point.
  @inline(__always)
  mutating func removeAll() { lanesInUse = 0 }

  /// Adds a point that wants no source with a score above `most`.
  @inline(__always)
  mutating func add(_ row: UnsafePointer<S>, within most: Double) {
    let scalars = UnsafeMutableRawPointer(lanes).assumingMemoryBound(to: S.self)
    for d in 0..<dimension.count { scalars[d &* S.width &+ lanesInUse] = row[d] }
    rows[lanesInUse] = row
    limits[lanesInUse] = slack.shown(most)
    lanesInUse &+= 1
  }

  /// Takes the sources of a group of the tree for the points, their rows from `row`, each of which wants what is within `most`.
  ///
  /// - Parameter places: where the sources are, from the first of the group on.
  @inline(__always)
  mutating func load(group places: Range<Int>, within most: Double, row: (Int) -> UnsafePointer<S>) {
    let group = tree.coordinates.base + places.lowerBound / S.width &* dimension.count
    for d in 0..<dimension.count { lanes[d] = group[d] }
    lanesInUse = places.count
    for (lane, place) in places.enumerated() { rows[lane] = row(place) }
    for lane in 0..<lanesInUse { limits[lane] = slack.shown(most) }
  }

  /// A lane wants no source with a score above `most` any more.
  @inline(__always)
  func limit(_ lane: Int, to most: Double) { limits[lane] = slack.shown(most) }

  /// Offers the collector every source that a lane could want.
  ///
  /// - Parameter guesses: places of sources that may be near: they are offered first.
  @inline(__always)
  mutating func run<C: SourceCollector>(
    guesses: UnsafeBufferPointer<Int32>, into collector: inout C
  ) throws(CoverTreeError) {
    fillUnusedLanes()
    for place in guesses { try compare(source: Int(place), into: &collector) }
    surround()
    var reach = S.largest(limitsOfLanes)
    var top = 0
    push(childrenOf: 0, reach, &top)
    while top > 0 {
      top &-= 1
      let entry = stack[top]
      guard entry.bound <= reach else { continue }
      let wanting = S.maskLessOrEqual(squaredDistances(toBox: Int(entry.box)), limitsOfLanes)
      guard wanting != 0 else { continue }
      if entry.child >= 0 {
        push(childrenOf: Int(entry.child), reach, &top)
      } else {
        try scan(leaf: Int(~entry.child), wanting, into: &collector)
        reach = S.largest(limitsOfLanes)
      }
    }
  }

  @inline(__always)
  private var limitsOfLanes: S.Lanes { UnsafeRawPointer(limits).load(as: S.Lanes.self) }

  /// Lanes without a point repeat the first one and want nothing.
  @inline(__always)
  private func fillUnusedLanes() {
    let scalars = UnsafeMutableRawPointer(lanes).assumingMemoryBound(to: S.self)
    for lane in lanesInUse..<S.width {
      for d in 0..<dimension.count { scalars[d &* S.width &+ lane] = scalars[d &* S.width] }
      limits[lane] = -1
    }
  }

  @inline(__always)
  private func surround() {
    for d in 0..<dimension.count {
      low[d] = S.Lanes(repeating: -S.largest(-lanes[d]))
      high[d] = S.Lanes(repeating: S.largest(lanes[d]))
    }
  }

  /// Pushes the children of a node that can matter, the nearest last.
  @inline(__always)
  private func push(childrenOf node: Int, _ reach: S, _ top: inout Int) {
    let boxes = tree.boxes.base + node &* dimension.count &* 2
    let zero = S.Lanes(repeating: 0)
    var bound = zero
    for d in 0..<dimension.count {
      let outside = S.maximum(S.maximum(boxes[2 &* d] - high[d], low[d] - boxes[2 &* d &+ 1]), zero)
      bound = S.multiplyAdd(outside, outside, bound)
    }
    var hits = S.maskLessOrEqual(bound, S.Lanes(repeating: reach))
    let first = top
    while hits != 0 {
      let lane = hits.trailingZeroBitCount
      hits &= hits &- 1
      let box = node &* S.width &+ lane
      // A limit may be infinite, and so is the distance of a lane without a child.
      guard tree.smallestLabel[box] != BoxTree<S>.noLabel else { continue }
      let entry = Entry(bound: bound[lane], child: tree.children[box], box: Int32(truncatingIfNeeded: box))
      var place = top
      while place > first && stack[place &- 1].bound < entry.bound {
        stack[place] = stack[place &- 1]
        place &-= 1
      }
      stack[place] = entry
      top &+= 1
    }
  }

  /// From each lane to a box.
  @inline(__always)
  private func squaredDistances(toBox box: Int) -> S.Lanes {
    let sides =
      UnsafeRawPointer(tree.boxes.base + box / S.width &* dimension.count &* 2).assumingMemoryBound(to: S.self)
      + box % S.width
    let zero = S.Lanes(repeating: 0)
    var bound = zero
    for d in 0..<dimension.count {
      let lower = S.Lanes(repeating: sides[2 &* d &* S.width])
      let upper = S.Lanes(repeating: sides[(2 &* d &+ 1) &* S.width])
      let outside = S.maximum(S.maximum(lower - lanes[d], lanes[d] - upper), zero)
      bound = S.multiplyAdd(outside, outside, bound)
    }
    return bound
  }

  /// A leaf's points with each of the lanes that want them.
  @inline(__always)
  private mutating func scan<C: SourceCollector>(
    leaf: Int, _ wanting: UInt32, into collector: inout C
  ) throws(CoverTreeError) {
    let first = leaf &* tree.leafSize
    let groups = tree.coordinates.base + first / S.width &* dimension.count
    let scalars = UnsafeRawPointer(lanes).assumingMemoryBound(to: S.self)
    pointsCompared &+= wanting.nonzeroBitCount &* tree.leafSize
    var wanting = wanting
    while wanting != 0 {
      let lane = wanting.trailingZeroBitCount
      wanting &= wanting &- 1
      var group = groups
      for place in stride(from: first, to: first &+ tree.leafSize, by: S.width) {
        var sum = S.Lanes(repeating: 0)
        for d in 0..<dimension.count {
          let difference = group[d] - S.Lanes(repeating: scalars[d &* S.width &+ lane])
          sum = S.multiplyAdd(difference, difference, sum)
        }
        var hits = S.maskLessOrEqual(sum, S.Lanes(repeating: limits[lane]))
        while hits != 0 {
          let hit = hits.trailingZeroBitCount
          hits &= hits &- 1
          try offer(place &+ hit, to: lane, of: &collector)
        }
        group += dimension.count
      }
    }
  }

  /// A source with all lanes.
  @inline(__always)
  private func compare<C: SourceCollector>(source place: Int, into collector: inout C) throws(CoverTreeError) {
    let source = tree.coordinates(at: place)
    var sum = S.Lanes(repeating: 0)
    for d in 0..<dimension.count {
      let difference = lanes[d] - S.Lanes(repeating: source[d &* S.width])
      sum = S.multiplyAdd(difference, difference, sum)
    }
    var hits = S.maskLessOrEqual(sum, limitsOfLanes)
    while hits != 0 {
      let lane = hits.trailingZeroBitCount
      hits &= hits &- 1
      try offer(place, to: lane, of: &collector)
    }
  }

  @inline(__always)
  private func offer<C: SourceCollector>(
    _ place: Int, to lane: Int, of collector: inout C
  ) throws(CoverTreeError) {
    let source = tree.coordinates(at: place)
    let score = euclideanScore(rows[lane], source, stride: S.width, dim: dimension.count)
    if let most = try collector.take(score, lane, place) { limit(lane, to: most) }
  }
}

/// What a search among sources does with those it finds.
protocol SourceCollector {
  /// A source that shows to be within the limit of a lane, and its score. Some may turn out to be of no use, or come twice.
  ///
  /// - Returns: the score above which the lane wants nothing any more; nil where that has not changed.
  mutating func take(_ score: Double, _ lane: Int, _ place: Int) throws(CoverTreeError) -> Double?
}
