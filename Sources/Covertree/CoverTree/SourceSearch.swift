import CovertreeBase

/// One thread's searches among the sources of a level, for as many points together as a vector has lanes: what building a tree
/// spends its time on.
///
/// A node or a leaf of the box tree is entered while its box is within the *limit* of a lane; a leaf's points are compared, a
/// vector at a time, with each lane that wants it. Limits are small from the start (`LevelReach`), so that few points
/// are within one: those are decided about at once, by their scores. That is what tells it from `PacketSearch`, which begins
/// without a limit and keeps the nearest in vectors.
///
/// Comparisons are a filter in the coordinates' own type, with its rounding error allowed for (`RoundingBound`).
struct SourceSearch<S: Scalar, D: Dimension> {
  let tree: KDTree<S>
  private let arrays: SegmentArrays<S>
  private let rounding: RoundingBound<S>
  private var packet: Packet<S, D>
  private(set) var pointsCompared = 0

  init(_ tree: KDTree<S>, dimension: D) throws(CoverTreeError) {
    self.tree = tree
    arrays = SegmentArrays(tree)
    rounding = RoundingBound(dim: dimension.count)
    packet = try Packet(dimension, depth: tree.depth)
  }

  /// Begins anew, without a point.
  @inline(__always)
  mutating func removeAll() { packet.removeAll() }

  /// Adds a point that wants no source with a score above `most`.
  @inline(__always)
  mutating func add(_ row: UnsafePointer<S>, within most: Double) {
    packet.add(row, limit: rounding.upperBound(of: most))
  }

  /// Takes the sources of a group of the tree for the points, their rows from `row`, each of which wants what is within `most`.
  ///
  /// - Parameter positions: where the sources are, from the first of the group on.
  @inline(__always)
  mutating func load(group positions: Range<Int>, within most: Double, row: (Int) -> UnsafePointer<S>) {
    packet.load(
      arrays.coordinates + positions.lowerBound / S.width &* packet.dimension.count, count: positions.count,
      limit: rounding.upperBound(of: most)
    ) { row(positions.lowerBound &+ $0) }
  }

  /// Offers the collector every source that a lane could want.
  ///
  /// - Parameter guesses: positions of sources that may be near: they are offered first.
  @inline(__always)
  mutating func run<C: SourceCollector>(
    guesses: UnsafeBufferPointer<Int32>, into collector: inout C
  ) throws(CoverTreeError) {
    packet.close()
    for position in guesses { try compare(source: Int(position), into: &collector) }
    var reach = S.largest(packet.limits)
    // A limit may be infinite, and so is the distance of a lane without a child: it has no label.
    let latest = KDTree<S>.noLabel
    packet.push(arrays, childrenOf: 0, reach, latest)
    while let box = packet.pop(reach) {
      let wanting = S.maskLessOrEqual(packet.squaredDistances(arrays, to: box), packet.limits)
      guard wanting != 0 else { continue }
      if box.child >= 0 {
        packet.push(arrays, childrenOf: Int(box.child), reach, latest)
      } else {
        try scan(leaf: Int(~box.child), wanting, into: &collector)
        reach = S.largest(packet.limits)
      }
    }
  }

  /// A leaf's points with each of the lanes that want them.
  @inline(__always)
  private mutating func scan<C: SourceCollector>(
    leaf: Int, _ wanting: UInt32, into collector: inout C
  ) throws(CoverTreeError) {
    let first = leaf &* arrays.leafSize
    let groups = arrays.coordinates + first / S.width &* packet.dimension.count
    pointsCompared &+= wanting.nonzeroBitCount &* arrays.leafSize
    var wanting = wanting
    while wanting != 0 {
      let lane = wanting.trailingZeroBitCount
      wanting &= wanting &- 1
      var group = groups
      for position in stride(from: first, to: first &+ arrays.leafSize, by: S.width) {
        let squares = packet.squaredDistances(from: lane, to: group)
        var hits = S.maskLessOrEqual(squares, S.Lanes(repeating: packet.limit(lane)))
        while hits != 0 {
          let hit = hits.trailingZeroBitCount
          hits &= hits &- 1
          try offer(position &+ hit, to: lane, of: &collector)
        }
        group += packet.dimension.count
      }
    }
  }

  /// A source with all lanes.
  @inline(__always)
  private mutating func compare<C: SourceCollector>(source position: Int, into collector: inout C)
    throws(CoverTreeError)
  {
    let squares = packet.squaredDistances(to: arrays.point(position, packet.dimension.count))
    var hits = S.maskLessOrEqual(squares, packet.limits)
    while hits != 0 {
      let lane = hits.trailingZeroBitCount
      hits &= hits &- 1
      try offer(position, to: lane, of: &collector)
    }
  }

  @inline(__always)
  private func offer<C: SourceCollector>(
    _ position: Int, to lane: Int, of collector: inout C
  ) throws(CoverTreeError) {
    let score = packet.score(from: lane, to: arrays.point(position, packet.dimension.count))
    if let most = try collector.collect(score, lane, position) { packet.setLimit(lane, rounding.upperBound(of: most)) }
  }
}

/// What a search among sources does with those it finds.
protocol SourceCollector {
  /// A source that shows to be within the limit of a lane, and its score. Some may turn out to be of no use, or come twice.
  ///
  /// - Returns: the score above which the lane wants nothing any more; nil where that has not changed.
  mutating func collect(_ score: Double, _ lane: Int, _ position: Int) throws(CoverTreeError) -> Double?
}
