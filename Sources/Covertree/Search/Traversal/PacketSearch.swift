import CovertreeBase

/// One thread's searches for packets of queries, as in ray tracing: queries that lie together, one in each lane of a vector.
/// It serves many queries that want little each, as the nearest point or all within a small radius.
///
/// One walk serves the `width` queries of a packet. A node or a leaf is entered while its box is within what any lane still wants. A leaf's
/// points are compared one after the other with all lanes, or, where few lanes want it, `width` at a time with each of those.
/// As in `KDTreeSearch` comparisons are a filter in the coordinates' own type, with its rounding error allowed for.
struct PacketSearch<S: Scalar, D: Dimension> {
  /// A leaf that no more lanes want than this is compared with each of them.
  private static var fewLanes: Int { S.width / 2 }
  /// From so many leaves on, lanes that are undecided want no more: they may lie among any number of equal points.
  private static var manyLeaves: Int { 32 }

  let rounding: RoundingBound<S>
  private var packet: Packet<S, D>
  /// The trees, the largest first.
  private let trees: [SegmentArrays<S>]
  private let first: SegmentArrays<S>
  /// Keeps their arrays.
  private let owner: SearchPoints<S>
  private let arena: Arena
  // Of each lane: the points that count for it.
  private let before: UnsafeMutablePointer<Int32>
  private let excluded: UnsafeMutablePointer<Int32>
  private(set) var pointsCompared = 0

  init(_ points: SearchPoints<S>, dimension: D) throws(CoverTreeError) {
    owner = points
    trees = points.arrays
    first = trees[0]
    rounding = RoundingBound(dim: dimension.count)
    packet = try Packet(dimension, depth: points.views.reduce(0) { max($0, $1.boxes.depth) })
    arena = try Arena(Arena.size(S.width, of: Int32.self), Arena.size(S.width, of: Int32.self))
    (before, excluded) = (arena.allocate(S.width), arena.allocate(S.width))
  }

  var boxesCompared: Int { packet.boxesCompared }

  /// Begins anew, without a query.
  @inline(__always)
  mutating func removeAll() { packet.removeAll() }

  /// Adds a query that wants nothing farther than `bound`, squared: one of up to `width` that are searched for together.
  @inline(__always)
  mutating func add(_ row: UnsafePointer<S>, bound: Double, _ eligible: IndexFilter = IndexFilter()) {
    before[packet.count] = eligible.upperIndex
    excluded[packet.count] = eligible.excludedIndex
    packet.add(row, limit: rounding.upperBound(of: bound))
  }

  /// Offers the collector every point that a lane could want.
  @inline(__always)
  mutating func run<C: PacketCollector>(into collector: inout C) throws(CoverTreeError) where C.S == S {
    packet.close()
    for lane in packet.count..<S.width {
      before[lane] = Int32.min
      excluded[lane] = -1
    }
    collector.begin(self)
    var latest = Int32.min
    for lane in 0..<packet.count { latest = max(latest, before[lane]) }
    try walk(first, latest, into: &collector)
    if trees.count > 1 { try walkOthers(latest, into: &collector) }
  }

  /// The trees after the first.
  @inline(never)
  private mutating func walkOthers<C: PacketCollector>(
    _ latest: Int32, into collector: inout C
  ) throws(CoverTreeError) where C.S == S {
    for tree in trees.dropFirst() { try walk(tree, latest, into: &collector) }
  }

  @inline(__always)
  private mutating func walk<C: PacketCollector>(
    _ tree: SegmentArrays<S>, _ latest: Int32, into collector: inout C
  ) throws(CoverTreeError) where C.S == S {
    var threshold = collector.threshold
    var reach = S.largest(threshold)
    var leaves = 0
    packet.push(tree, childrenOf: 0, reach, latest)
    while let box = packet.pop(reach) {
      var wanting = S.maskLessOrEqual(packet.squaredDistances(tree, to: box), threshold)
      if leaves >= Self.manyLeaves { wanting &= lanes(admitting: tree.smallestLabel[Int(box.number)]) }
      guard wanting != 0 else { continue }
      if box.child >= 0 {
        packet.push(tree, childrenOf: Int(box.child), reach, latest)
      } else {
        try scan(tree, leaf: Int(~box.child), wanting, threshold, into: &collector)
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
    (0..<packet.count).reduce(0) { $0 | (label < before[$1] ? 1 &<< UInt32(truncatingIfNeeded: $1) : 0) }
  }

  @inline(__always)
  private mutating func scan<C: PacketCollector>(
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
  private mutating func scan<C: PacketCollector>(
    _ tree: SegmentArrays<S>, from first: Int, into collector: inout C
  ) throws(CoverTreeError) where C.S == S {
    for position in stride(from: first, to: first &+ tree.leafSize, by: 4) {
      let squares = packet.squaredDistances(toFourFrom: tree.point(position, packet.dimension.count))
      try collector.collect(admitted(tree, squares.0, position), tree.firstPosition &+ position)
      try collector.collect(admitted(tree, squares.1, position &+ 1), tree.firstPosition &+ position &+ 1)
      try collector.collect(admitted(tree, squares.2, position &+ 2), tree.firstPosition &+ position &+ 2)
      try collector.collect(admitted(tree, squares.3, position &+ 3), tree.firstPosition &+ position &+ 3)
    }
    pointsCompared &+= S.width &* tree.leafSize
  }

  /// `width` points at a time with one lane.
  @inline(__always)
  private mutating func scan<C: PacketCollector>(
    _ tree: SegmentArrays<S>, from first: Int, lane: Int, _ threshold: S, into collector: inout C
  ) throws(CoverTreeError) where C.S == S {
    var group = tree.coordinates + first / S.width &* packet.dimension.count
    for position in stride(from: first, to: first &+ tree.leafSize, by: S.width) {
      let squares = packet.squaredDistances(from: lane, to: group)
      var hits = S.maskLessOrEqual(squares, S.Lanes(repeating: threshold))
      if hits != 0 { hits &= tree.admitted(position, .init(upperIndex: before[lane], excludedIndex: excluded[lane])) }
      while hits != 0 {
        let hit = hits.trailingZeroBitCount
        hits &= hits &- 1
        try collector.collect(S.inLane(lane, squares[hit]), tree.firstPosition &+ position &+ hit)
      }
      group += packet.dimension.count
    }
    pointsCompared &+= tree.leafSize
  }

  /// What lanes for which the point at a position does not count have from it: infinity.
  @inline(__always)
  private func admitted(_ tree: SegmentArrays<S>, _ squared: S.Lanes, _ position: Int) -> S.Lanes {
    S.admitted(
      squared, tree.label(position), below: UnsafeRawPointer(before).load(as: S.Positions.self),
      except: UnsafeRawPointer(excluded).load(as: S.Positions.self))
  }
}

extension PacketSearch {
  /// How far away a point may show to be that each lane wants; below 0 where there is no query.
  var limits: S.Lanes { packet.limits }

  /// From each lane to the point at a position, as the filter has it; infinity where it does not count.
  @inline(__always)
  func squaredDistances(to position: Int) -> S.Lanes {
    let (tree, inside) = locate(position)
    return admitted(tree, packet.squaredDistances(to: tree.point(inside, packet.dimension.count)), inside)
  }

  /// The score that decisions are made by, from a lane to the point at a position.
  @inline(__always)
  func squared(_ lane: Int, _ position: Int) -> Double {
    let (tree, inside) = locate(position)
    return packet.score(from: lane, to: tree.point(inside, packet.dimension.count))
  }

  @inline(__always)
  private func locate(_ position: Int) -> (SegmentArrays<S>, Int) {
    trees.count > 1 ? trees.locate(position) : (first, position)
  }
}

/// What a search of several lanes does with the points it finds.
protocol PacketCollector {
  associatedtype S: Scalar
  /// Points and boxes that show more to a lane are of no use to it any more.
  var threshold: S.Lanes { get }
  mutating func begin<D: Dimension>(_ search: borrowing PacketSearch<S, D>)
  /// A point, with the squared distance that it shows to each lane; infinity where it does not matter.
  mutating func collect(_ squared: S.Lanes, _ position: Int) throws(CoverTreeError)
  /// Lanes for which the search is likely to be in vain want no more.
  mutating func giveUpUndecided()
}
