/// One thread's searches for several queries that lie together, a query a lane: the core for many queries that want little
/// each, as the nearest point or all within a small radius.
///
/// One walk serves `width` queries. A node or a leaf is entered while its box is within what any lane still wants. A leaf's
/// points are compared one after the other with all lanes, or, where few lanes want it, `width` at a time with each of those.
/// As in `BoxSearch` comparisons are a filter in the coordinates' own type, with its rounding error allowed for.
struct LaneSearch<S: Scalar, D: Dimension> {
  private struct Entry: BitwiseCopyable {
    var bound: S
    /// A node, or a leaf complemented.
    var child: Int32
    /// Where the box around it is: the lane `box % width` of the node `box / width`.
    var box: Int32
  }

  /// A leaf that no more lanes want than this is compared with each of them.
  private static var fewLanes: Int { S.width / 2 }
  /// From so many leaves on, lanes that are undecided want no more: they may lie among any number of equal points.
  private static var manyLeaves: Int { 32 }

  let dimension: D
  let slack: FilterSlack<S>
  /// The trees, the largest first.
  private let trees: [SegmentArrays<S>]
  private let first: SegmentArrays<S>
  /// Keeps their arrays.
  private let owner: AnyObject
  private let arena: Arena
  private let stack: UnsafeMutablePointer<Entry>
  /// Coordinate by coordinate, a query a lane.
  private let queries: UnsafeMutablePointer<S.Lanes>
  /// The box around the queries, each side in all lanes.
  private let low: UnsafeMutablePointer<S.Lanes>
  private let high: UnsafeMutablePointer<S.Lanes>
  // Of each lane: the query, how far away a point may show to be, and the points that count for it.
  private let rows: UnsafeMutablePointer<UnsafePointer<S>>
  private let wanted: UnsafeMutablePointer<S>
  private let before: UnsafeMutablePointer<Int32>
  private let excluded: UnsafeMutablePointer<Int32>
  private var lanesInUse = 0
  private(set) var pointsCompared = 0
  private(set) var boxesCompared = 0

  init(_ tree: BoxTree<S>, dimension: D) throws(CoverTreeError) {
    try self.init([SegmentArrays(tree)], depth: tree.depth, owner: tree, dimension)
  }

  init(_ points: SearchPoints<S>, dimension: D) throws(CoverTreeError) {
    try self.init(
      points.views.map { SegmentArrays($0) }, depth: points.views.reduce(0) { max($0, $1.boxes.depth) }, owner: points,
      dimension)
  }

  private init(
    _ trees: [SegmentArrays<S>], depth: Int, owner: AnyObject, _ dimension: D
  ) throws(CoverTreeError) {
    (self.trees, first, self.owner, self.dimension) = (trees, trees[0], owner, dimension)
    slack = FilterSlack(dim: dimension.count)
    let (entries, panel) = (depth * S.width, dimension.count)
    arena = try Arena(
      Arena.size(entries, of: Entry.self), Arena.size(3 * panel, of: S.Lanes.self),
      Arena.size(S.width, of: UnsafePointer<S>.self), Arena.size(S.width, of: S.self),
      Arena.size(S.width, of: Int32.self), Arena.size(S.width, of: Int32.self))
    stack = arena.take(entries)
    queries = arena.take(3 * panel)
    (low, high) = (queries + panel, queries + 2 * panel)
    rows = arena.take(S.width)
    wanted = arena.take(S.width)
    (before, excluded) = (arena.take(S.width), arena.take(S.width))
  }

  /// Begins anew, without a query.
  @inline(__always)
  mutating func removeAll() { lanesInUse = 0 }

  /// Adds a query that wants nothing farther than `bound`, squared: one of up to `width` that are searched for together.
  @inline(__always)
  mutating func add(_ row: UnsafePointer<S>, bound: Double, _ eligible: Eligibility = Eligibility()) {
    let lane = lanesInUse
    let scalars = UnsafeMutableRawPointer(queries).assumingMemoryBound(to: S.self)
    for d in 0..<dimension.count { scalars[d &* S.width &+ lane] = row[d] }
    rows[lane] = row
    wanted[lane] = slack.shown(bound)
    before[lane] = eligible.before
    excluded[lane] = eligible.excluded
    lanesInUse &+= 1
  }

  /// Offers the collector every point that a lane could want.
  @inline(__always)
  mutating func run<C: LaneCollector>(into collector: inout C) throws(CoverTreeError) where C.S == S {
    fillUnusedLanes()
    surround()
    collector.begin(self)
    var latest = Int32.min
    for lane in 0..<lanesInUse { latest = max(latest, before[lane]) }
    try walk(first, latest, into: &collector)
    if trees.count > 1 { try walkOthers(latest, into: &collector) }
  }

  /// The trees after the first.
  @inline(never)
  private mutating func walkOthers<C: LaneCollector>(
    _ latest: Int32, into collector: inout C
  ) throws(CoverTreeError) where C.S == S {
    for tree in trees.dropFirst() { try walk(tree, latest, into: &collector) }
  }

  @inline(__always)
  private mutating func walk<C: LaneCollector>(
    _ tree: SegmentArrays<S>, _ latest: Int32, into collector: inout C
  ) throws(CoverTreeError) where C.S == S {
    var threshold = collector.threshold
    var reach = S.largest(threshold)
    var top = 0
    var leaves = 0
    push(tree, childrenOf: 0, reach, latest, &top)
    while top > 0 {
      top &-= 1
      let entry = stack[top]
      guard entry.bound <= reach else { continue }
      var wanting = S.maskLessOrEqual(squaredDistances(tree, toBox: Int(entry.box)), threshold)
      if leaves >= Self.manyLeaves { wanting &= lanes(admitting: tree.smallestLabel[Int(entry.box)]) }
      guard wanting != 0 else { continue }
      if entry.child >= 0 {
        push(tree, childrenOf: Int(entry.child), reach, latest, &top)
      } else {
        try scan(tree, leaf: Int(~entry.child), wanting, threshold, into: &collector)
        leaves &+= 1
        if leaves % Self.manyLeaves == 0 { collector.giveUpUndecided() }
        threshold = collector.threshold
        reach = S.largest(threshold)
      }
    }
  }

  /// The lanes for which some labels from this one on count.
  @inline(never)
  private func lanes(admitting label: Int32) -> UInt32 {
    (0..<lanesInUse).reduce(0) { $0 | (label < before[$1] ? 1 &<< UInt32(truncatingIfNeeded: $1) : 0) }
  }

  /// Lanes without a query repeat the first one and want nothing.
  @inline(__always)
  private func fillUnusedLanes() {
    let scalars = UnsafeMutableRawPointer(queries).assumingMemoryBound(to: S.self)
    for lane in lanesInUse..<S.width {
      for d in 0..<dimension.count { scalars[d &* S.width &+ lane] = scalars[d &* S.width] }
      wanted[lane] = -1
      before[lane] = Int32.min
      excluded[lane] = -1
    }
  }

  @inline(__always)
  private func surround() {
    for d in 0..<dimension.count {
      low[d] = S.Lanes(repeating: -S.largest(-queries[d]))
      high[d] = S.Lanes(repeating: S.largest(queries[d]))
    }
  }

  /// Pushes the children of a node that can matter, the nearest last.
  @inline(__always)
  private mutating func push(
    _ tree: SegmentArrays<S>, childrenOf node: Int, _ reach: S, _ latest: Int32, _ top: inout Int
  ) {
    let boxes = tree.boxes + node &* dimension.count &* 2
    let zero = S.Lanes(repeating: 0)
    var bound = zero
    for d in 0..<dimension.count {
      let outside = S.maximum(S.maximum(boxes[2 &* d] - high[d], low[d] - boxes[2 &* d &+ 1]), zero)
      bound = S.multiplyAdd(outside, outside, bound)
    }
    boxesCompared &+= 1
    var hits = S.maskLessOrEqual(bound, S.Lanes(repeating: reach))
    let first = top
    while hits != 0 {
      let lane = hits.trailingZeroBitCount
      hits &= hits &- 1
      let box = node &* S.width &+ lane
      guard tree.smallestLabel[box] < latest else { continue }
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

  /// From each query to a box.
  @inline(__always)
  private mutating func squaredDistances(_ tree: SegmentArrays<S>, toBox box: Int) -> S.Lanes {
    let sides =
      UnsafeRawPointer(tree.boxes + box / S.width &* dimension.count &* 2).assumingMemoryBound(to: S.self)
      + box % S.width
    let zero = S.Lanes(repeating: 0)
    var bound = zero
    for d in 0..<dimension.count {
      let lower = S.Lanes(repeating: sides[2 &* d &* S.width])
      let upper = S.Lanes(repeating: sides[(2 &* d &+ 1) &* S.width])
      let outside = S.maximum(S.maximum(lower - queries[d], queries[d] - upper), zero)
      bound = S.multiplyAdd(outside, outside, bound)
    }
    boxesCompared &+= 1
    return bound
  }

  @inline(__always)
  private mutating func scan<C: LaneCollector>(
    _ tree: SegmentArrays<S>, leaf: Int, _ wanting: UInt32, _ threshold: S.Lanes, into collector: inout C
  ) throws(CoverTreeError) where C.S == S {
    let first = leaf &* tree.leafSize
    guard wanting.nonzeroBitCount <= Self.fewLanes else {
      try scan(tree, from: first, into: &collector)
      return
    }
    var lanes = wanting
    while lanes != 0 {
      let lane = lanes.trailingZeroBitCount
      lanes &= lanes &- 1
      try scan(tree, from: first, lane: lane, threshold[lane], into: &collector)
    }
  }

  /// Each point with all lanes.
  @inline(__always)
  private mutating func scan<C: LaneCollector>(
    _ tree: SegmentArrays<S>, from first: Int, into collector: inout C
  ) throws(CoverTreeError) where C.S == S {
    // Four at a time, as a sum waits for its last addition.
    for place in stride(from: first, to: first &+ tree.leafSize, by: 4) {
      let points = tree.point(place, dimension.count)
      var sums = (S.Lanes(repeating: 0), S.Lanes(repeating: 0), S.Lanes(repeating: 0), S.Lanes(repeating: 0))
      for d in 0..<dimension.count {
        let (own, others) = (queries[d], points + d &* S.width)
        let differences = (
          own - S.Lanes(repeating: others[0]), own - S.Lanes(repeating: others[1]),
          own - S.Lanes(repeating: others[2]), own - S.Lanes(repeating: others[3])
        )
        sums.0 = S.multiplyAdd(differences.0, differences.0, sums.0)
        sums.1 = S.multiplyAdd(differences.1, differences.1, sums.1)
        sums.2 = S.multiplyAdd(differences.2, differences.2, sums.2)
        sums.3 = S.multiplyAdd(differences.3, differences.3, sums.3)
      }
      try collector.take(admitted(tree, sums.0, place), tree.firstPlace &+ place)
      try collector.take(admitted(tree, sums.1, place &+ 1), tree.firstPlace &+ place &+ 1)
      try collector.take(admitted(tree, sums.2, place &+ 2), tree.firstPlace &+ place &+ 2)
      try collector.take(admitted(tree, sums.3, place &+ 3), tree.firstPlace &+ place &+ 3)
    }
    pointsCompared &+= S.width &* tree.leafSize
  }

  /// `width` points at a time with one lane.
  @inline(__always)
  private mutating func scan<C: LaneCollector>(
    _ tree: SegmentArrays<S>, from first: Int, lane: Int, _ threshold: S, into collector: inout C
  ) throws(CoverTreeError) where C.S == S {
    let row = rows[lane]
    var group = tree.coordinates + first / S.width &* dimension.count
    for place in stride(from: first, to: first &+ tree.leafSize, by: S.width) {
      var sum = S.Lanes(repeating: 0)
      for d in 0..<dimension.count {
        let difference = group[d] - S.Lanes(repeating: row[d])
        sum = S.multiplyAdd(difference, difference, sum)
      }
      var hits = S.maskLessOrEqual(sum, S.Lanes(repeating: threshold))
      if hits != 0 { hits &= tree.admitted(place, .init(before: before[lane], excluded: excluded[lane])) }
      while hits != 0 {
        let hit = hits.trailingZeroBitCount
        hits &= hits &- 1
        try collector.take(S.inLane(lane, sum[hit]), tree.firstPlace &+ place &+ hit)
      }
      group += dimension.count
    }
    pointsCompared &+= tree.leafSize
  }

  /// What lanes for which the point at a place does not count have from it: infinity.
  @inline(__always)
  private func admitted(_ tree: SegmentArrays<S>, _ squared: S.Lanes, _ place: Int) -> S.Lanes {
    S.admitted(
      squared, tree.label(place), below: UnsafeRawPointer(before).load(as: S.Places.self),
      except: UnsafeRawPointer(excluded).load(as: S.Places.self))
  }
}

extension LaneSearch {
  /// How far away a point may show to be that each lane wants; below 0 where there is no query.
  var limits: S.Lanes { UnsafeRawPointer(wanted).load(as: S.Lanes.self) }

  /// From each lane to the point at a place, as the filter has it; infinity where it does not count.
  @inline(__always)
  func squaredDistances(to place: Int) -> S.Lanes {
    let (tree, inside) = locate(place)
    let point = tree.point(inside, dimension.count)
    var sum = S.Lanes(repeating: 0)
    for d in 0..<dimension.count {
      let difference = queries[d] - S.Lanes(repeating: point[d &* S.width])
      sum = S.multiplyAdd(difference, difference, sum)
    }
    return admitted(tree, sum, inside)
  }

  /// The tree in which a place is, and the number of the place in it.
  @inline(__always)
  private func locate(_ place: Int) -> (SegmentArrays<S>, Int) {
    guard trees.count > 1 else { return (first, place) }
    var number = trees.count &- 1
    while trees[number].firstPlace > place { number &-= 1 }
    return (trees[number], place &- trees[number].firstPlace)
  }

  /// The score that decisions are made by, from a lane to the point at a place.
  @inline(__always)
  func squared(_ lane: Int, _ place: Int) -> Double {
    let (tree, inside) = locate(place)
    return euclideanScore(rows[lane], tree.point(inside, dimension.count), stride: S.width, dim: dimension.count)
  }
}

/// What a search of several lanes does with the points it finds.
protocol LaneCollector {
  associatedtype S: Scalar
  /// Points and boxes that show more to a lane are of no use to it any more.
  var threshold: S.Lanes { get }
  mutating func begin<D: Dimension>(_ search: borrowing LaneSearch<S, D>)
  /// A point, with the squared distance that it shows to each lane; infinity where it does not matter.
  mutating func take(_ squared: S.Lanes, _ place: Int) throws(CoverTreeError)
  /// Lanes for which the search is likely to be in vain want no more.
  mutating func giveUpUndecided()
}

/// The nearest point of each lane.
///
/// A lane knows the point that shows least and what the next one shows. Where rounding could have put the two in the wrong
/// order, or they are equally near, the lane is *undecided* and has to be searched for by itself.
struct ClosestLanes<S: Scalar>: LaneCollector {
  enum Outcome {
    case nothing
    /// A place, and the score that decisions are made by.
    case found(Int, squared: Double)
    case undecided
  }

  private let slack: FilterSlack<S>
  private var wanted = S.Lanes(repeating: -1)
  private var nearest = S.Lanes(repeating: .infinity)
  private var next = S.Lanes(repeating: .infinity)
  private var places = S.Places(repeating: -1)
  /// Lanes that were given up, a bit each.
  private var givenUp = UInt32(0)

  init(_ slack: FilterSlack<S>) { self.slack = slack }

  @inline(__always)
  var threshold: S.Lanes { S.minimum(wanted, slack.shown(beside: nearest)) }

  /// The points that the last queries found are near to these, and none is wanted that is farther away.
  @inline(__always)
  mutating func begin<D: Dimension>(_ search: borrowing LaneSearch<S, D>) {
    var seen = S.Lanes(repeating: .infinity)
    for lane in 0..<S.width where places[lane] >= 0 {
      seen = S.minimum(seen, search.squaredDistances(to: Int(places[lane])))
    }
    wanted = S.minimum(search.limits, slack.shown(beside: seen))
    givenUp = 0
    nearest = S.Lanes(repeating: .infinity)
    next = nearest
    places = S.Places(repeating: -1)
  }

  @inline(__always)
  mutating func take(_ squared: S.Lanes, _ place: Int) {
    next = S.minimum(next, S.maximum(nearest, squared))
    places = S.place(Int32(truncatingIfNeeded: place), whereLess: squared, nearest, places)
    nearest = S.minimum(squared, nearest)
  }

  @inline(never)
  mutating func giveUpUndecided() {
    for lane in 0..<S.width where nearest[lane] < .infinity && next[lane] <= slack.shown(beside: nearest[lane]) {
      wanted[lane] = -1
      givenUp |= 1 &<< UInt32(truncatingIfNeeded: lane)
    }
  }

  /// What the search found for the query that was added as the `lane`-th.
  @inline(__always)
  func outcome<D: Dimension>(_ lane: Int, of search: borrowing LaneSearch<S, D>) -> Outcome {
    if givenUp & (1 &<< UInt32(truncatingIfNeeded: lane)) != 0 { return .undecided }
    guard nearest[lane] <= wanted[lane] else { return .nothing }
    guard next[lane] > slack.shown(beside: nearest[lane]) else { return .undecided }
    let place = Int(places[lane])
    return .found(place, squared: search.squared(lane, place))
  }
}
