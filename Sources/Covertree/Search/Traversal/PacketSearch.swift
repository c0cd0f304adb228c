import CovertreeBase

/// One thread's searches for packets of queries, as in ray tracing: near queries, one in each lane of a vector. It serves many queries
/// for the nearest point.
///
/// One walk serves the `width` queries of a packet. A node or a leaf is entered if its box is within the limit of any lane. The points of
/// a leaf are compared one by one with all lanes or, if few lanes want the leaf, `width` at a time with each of these. As in
/// `KDTreeSearch`, comparisons are a filter in the coordinates' own type that allows for its rounding.
struct PacketSearch<S: Scalar, D: MetricSpace> {
  /// If at most this many lanes want a leaf, it is compared with each of them.
  private static var fewLanes: Int { S.width / 2 }
  /// After this many leaves undecided lanes stop: they may be among any number of equal points.
  private static var manyLeaves: Int { 32 }

  let rounding: RoundingBound<S>
  private var packet: Packet<S, D>
  /// The trees, the largest first.
  private let trees: [SegmentArrays<S>]
  private let first: SegmentArrays<S>
  /// Keeps the arrays alive.
  private let owner: SearchPoints<S>
  private let arena: Arena
  // By lane: its upper index.
  private let before: UnsafeMutablePointer<Int32>
  private let excluded: UnsafeMutablePointer<Int32>
  private(set) var pointsCompared = 0

  init(_ points: SearchPoints<S>, dimension: D) throws(CoverTreeError) {
    owner = points
    trees = points.arrays
    first = trees[0]
    rounding = RoundingBound(dimension)
    packet = try Packet(dimension, depth: points.views.reduce(0) { max($0, $1.boxes.depth) })
    arena = try Arena(Arena.size(S.width, of: Int32.self), Arena.size(S.width, of: Int32.self))
    (before, excluded) = (arena.allocate(S.width), arena.allocate(S.width))
  }

  var boxesCompared: Int { packet.boxesCompared }

  /// Removes all queries.
  @inline(__always)
  mutating func removeAll() { packet.removeAll() }

  /// Adds a query that wants points with scores up to `bound`. Up to `width` queries are searched together.
  @inline(__always)
  mutating func add(_ row: UnsafePointer<S>, bound: Double, _ eligible: IndexFilter = IndexFilter()) {
    before[packet.count] = eligible.upperIndex
    excluded[packet.count] = eligible.excludedIndex
    packet.add(row, limit: rounding.upperBound(of: bound))
  }

  /// Passes the handler every point that a lane could want.
  @inline(__always)
  mutating func run<C: PacketHandler>(into handler: inout C) throws(CoverTreeError) where C.S == S {
    packet.close()
    for lane in packet.count..<S.width {
      before[lane] = Int32.min
      excluded[lane] = -1
    }
    handler.begin(self)
    packet.begin(within: S.largest(handler.threshold))
    var latest = Int32.min
    for lane in 0..<packet.count { latest = max(latest, before[lane]) }
    try walk(first, latest, into: &handler)
    if trees.count > 1 { try walkOthers(latest, into: &handler) }
  }

  /// The trees after the first.
  @inline(never)
  private mutating func walkOthers<C: PacketHandler>(
    _ latest: Int32, into handler: inout C
  ) throws(CoverTreeError) where C.S == S {
    for tree in trees.dropFirst() { try walk(tree, latest, into: &handler) }
  }

  @inline(__always)
  private mutating func walk<C: PacketHandler>(
    _ tree: SegmentArrays<S>, _ latest: Int32, into handler: inout C
  ) throws(CoverTreeError) where C.S == S {
    var threshold = handler.threshold
    var reach = S.largest(threshold)
    var leaves = 0
    packet.push(tree, childrenOf: 0, reach, latest)
    while let box = packet.pop(reach) {
      var wanting = S.maskLessOrEqual(packet.sums(tree, to: box), threshold)
      if leaves >= Self.manyLeaves { wanting &= lanes(admitting: tree.smallestIndex[Int(box.number)]) }
      guard wanting != 0 else { continue }
      if box.child >= 0 {
        packet.push(tree, childrenOf: Int(box.child), reach, latest)
      } else {
        try scan(tree, leaf: Int(~box.child), wanting, threshold, into: &handler)
        leaves &+= 1
        if leaves % Self.manyLeaves == 0 { handler.giveUpUndecided() }
        threshold = handler.threshold
        reach = S.largest(threshold)
      }
    }
  }

  /// The lanes with an upper index above this one.
  @inline(never)
  private func lanes(admitting index: Int32) -> UInt32 {
    (0..<packet.count).reduce(0) { $0 | (index < before[$1] ? 1 &<< UInt32(truncatingIfNeeded: $1) : 0) }
  }

  @inline(__always)
  private mutating func scan<C: PacketHandler>(
    _ tree: SegmentArrays<S>, leaf: Int, _ wanting: UInt32, _ threshold: S.Lanes, into handler: inout C
  ) throws(CoverTreeError) where C.S == S {
    let first = leaf &* tree.leafSize
    guard wanting.nonzeroBitCount <= Self.fewLanes else { return try scan(tree, from: first, into: &handler) }
    for lane in SetBits(wanting) { try scan(tree, from: first, lane: lane, threshold[lane], into: &handler) }
  }

  /// Compares each point with all lanes.
  @inline(__always)
  private mutating func scan<C: PacketHandler>(
    _ tree: SegmentArrays<S>, from first: Int, into handler: inout C
  ) throws(CoverTreeError) where C.S == S {
    for position in stride(from: first, to: first &+ tree.leafSize, by: 4) {
      let sums = packet.sums(toFourFrom: tree.point(position, packet.dimension.count))
      try handler.collect(admitted(tree, sums.0, position), tree.firstPosition &+ position)
      try handler.collect(admitted(tree, sums.1, position &+ 1), tree.firstPosition &+ position &+ 1)
      try handler.collect(admitted(tree, sums.2, position &+ 2), tree.firstPosition &+ position &+ 2)
      try handler.collect(admitted(tree, sums.3, position &+ 3), tree.firstPosition &+ position &+ 3)
    }
    pointsCompared &+= S.width &* tree.leafSize
  }

  /// Compares `width` points at a time with one lane.
  @inline(__always)
  private mutating func scan<C: PacketHandler>(
    _ tree: SegmentArrays<S>, from first: Int, lane: Int, _ threshold: S, into handler: inout C
  ) throws(CoverTreeError) where C.S == S {
    var group = tree.coordinates + first / S.width &* packet.dimension.count
    for position in stride(from: first, to: first &+ tree.leafSize, by: S.width) {
      let sums = packet.sums(from: lane, to: group)
      var hits = S.maskLessOrEqual(sums, S.Lanes(repeating: threshold))
      if hits != 0 { hits &= tree.admitted(position, .init(upperIndex: before[lane], excludedIndex: excluded[lane])) }
      for hit in SetBits(hits) {
        try handler.collect(S.inLane(lane, sums[hit]), tree.firstPosition &+ position &+ hit)
      }
      group += packet.dimension.count
    }
    pointsCompared &+= tree.leafSize
  }

  /// Sets the sum of lanes for which the point at a position does not count to infinity.
  @inline(__always)
  private func admitted(_ tree: SegmentArrays<S>, _ sums: S.Lanes, _ position: Int) -> S.Lanes {
    S.admitted(
      sums, tree.index(position), below: UnsafeRawPointer(before).load(as: S.Positions.self),
      except: UnsafeRawPointer(excluded).load(as: S.Positions.self))
  }
}

extension PacketSearch {
  /// The limit of each lane; below 0 without a query.
  var limits: S.Lanes { packet.limits }

  /// Sums from each lane to the point at a position, in the filter; infinity if the point does not count.
  @inline(__always)
  func sums(to position: Int) -> S.Lanes {
    let (tree, inside) = locate(position)
    return admitted(tree, packet.sums(to: tree.point(inside, packet.dimension.count)), inside)
  }

  /// The score of one lane and the point at a position, which decides.
  @inline(__always)
  func score(_ lane: Int, _ position: Int) -> Double {
    let (tree, inside) = locate(position)
    return packet.score(from: lane, to: tree.point(inside, packet.dimension.count))
  }

  @inline(__always)
  private func locate(_ position: Int) -> (SegmentArrays<S>, Int) {
    trees.count > 1 ? trees.locate(position) : (first, position)
  }
}

/// Handles the points that a search of several lanes finds.
protocol PacketHandler {
  associatedtype S: Scalar
  /// Points and boxes with a larger sum in the filter are of no use to a lane.
  var threshold: S.Lanes { get }
  mutating func begin<D: MetricSpace>(_ search: borrowing PacketSearch<S, D>)
  /// A point, with its sum from each lane in the filter; infinity for lanes that do not want it.
  mutating func collect(_ sums: S.Lanes, _ position: Int) throws(CoverTreeError)
  /// Stops the lanes that the search would probably not decide.
  mutating func giveUpUndecided()
}
