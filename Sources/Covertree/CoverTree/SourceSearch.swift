import CovertreeBase

/// One thread's searches among the sources of a level, for as many points together as a vector has lanes. A build spends most of its time
/// here.
///
/// A node or a leaf of the k-d tree is entered if its box is within the *limit* of a lane. The points of a leaf are compared, a vector at
/// a time, with each lane that wants it. Limits are small from the start (`LevelReach`). The few points within a limit are decided at once,
/// by their scores. `PacketSearch`, in contrast, begins without a limit and keeps the nearest in vectors.
///
/// Comparisons are a filter in the coordinates' own type that allows for its rounding (`RoundingBound`).
struct SourceSearch<S: Scalar, D: MetricSpace> {
  let tree: KDTree<S>
  private let arrays: SegmentArrays<S>
  private let rounding: RoundingBound<S>
  private var packet: Packet<S, D>
  private(set) var pointsCompared = 0

  init(_ tree: KDTree<S>, dimension: D) throws(CoverTreeError) {
    self.tree = tree
    arrays = SegmentArrays(tree)
    rounding = RoundingBound(dimension)
    packet = try Packet(dimension, depth: tree.depth)
  }

  /// Removes all points.
  @inline(__always)
  mutating func removeAll() { packet.removeAll() }

  /// Adds a point that wants no source with a score above `most`.
  @inline(__always)
  mutating func add(_ row: UnsafePointer<S>, within most: Double) {
    packet.add(row, limit: rounding.upperBound(of: most))
  }

  /// Loads the sources of a group of the tree, from the first position of the group on, as points with rows from `row`. Each wants sources
  /// within `most`.
  @inline(__always)
  mutating func load(group positions: Range<Int>, within most: Double, row: (Int) -> UnsafePointer<S>) {
    packet.load(
      arrays.coordinates + positions.lowerBound / S.width &* packet.dimension.count, count: positions.count,
      limit: rounding.upperBound(of: most)
    ) { row(positions.lowerBound &+ $0) }
  }

  /// Gives the handler every source that a lane could want: first those at the positions `guesses`, which may be near.
  @inline(__always)
  mutating func run<C: SourceHandler>(
    guesses: UnsafeBufferPointer<Int32>, into handler: inout C
  ) throws(CoverTreeError) {
    packet.close()
    for position in guesses { try compare(source: Int(position), into: &handler) }
    var reach = S.largest(packet.limits)
    // A limit may be infinite, and so is the distance of a lane without a child, which has no index.
    let latest = KDTree<S>.noIndex
    packet.push(arrays, childrenOf: 0, reach, latest)
    while let box = packet.pop(reach) {
      let wanting = S.maskLessOrEqual(packet.sums(arrays, to: box), packet.limits)
      guard wanting != 0 else { continue }
      if box.child >= 0 {
        packet.push(arrays, childrenOf: Int(box.child), reach, latest)
      } else {
        try scan(leaf: Int(~box.child), wanting, into: &handler)
        reach = S.largest(packet.limits)
      }
    }
  }

  /// Compares a leaf's points with each of the lanes that want them.
  @inline(__always)
  private mutating func scan<C: SourceHandler>(
    leaf: Int, _ wanting: UInt32, into handler: inout C
  ) throws(CoverTreeError) {
    let first = leaf &* arrays.leafSize
    let groups = arrays.coordinates + first / S.width &* packet.dimension.count
    pointsCompared &+= wanting.nonzeroBitCount &* arrays.leafSize
    for lane in SetBits(wanting) {
      var group = groups
      for position in stride(from: first, to: first &+ arrays.leafSize, by: S.width) {
        let sums = packet.sums(from: lane, to: group)
        let hits = S.maskLessOrEqual(sums, S.Lanes(repeating: packet.limit(lane)))
        for hit in SetBits(hits) { try insert(position &+ hit, to: lane, of: &handler) }
        group += packet.dimension.count
      }
    }
  }

  /// Compares a source with all lanes.
  @inline(__always)
  private mutating func compare<C: SourceHandler>(source position: Int, into handler: inout C)
    throws(CoverTreeError)
  {
    let sums = packet.sums(to: arrays.point(position, packet.dimension.count))
    let hits = S.maskLessOrEqual(sums, packet.limits)
    for lane in SetBits(hits) { try insert(position, to: lane, of: &handler) }
  }

  @inline(__always)
  private func insert<C: SourceHandler>(_ position: Int, to lane: Int, of handler: inout C) throws(CoverTreeError) {
    let score = packet.score(from: lane, to: arrays.point(position, packet.dimension.count))
    if let most = try handler.collect(score, lane, position) { packet.setLimit(lane, rounding.upperBound(of: most)) }
  }
}

/// Handles the sources that a search finds.
protocol SourceHandler {
  /// A source within the limit of a lane, in the filter, and its score. Some may be of no use, or come twice. Returns the new largest score
  /// of use to the lane; nil if it has not changed.
  mutating func collect(_ score: Double, _ lane: Int, _ position: Int) throws(CoverTreeError) -> Double?
}
