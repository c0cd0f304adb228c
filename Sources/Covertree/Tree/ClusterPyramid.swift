/// The clusters of the level that a batch has come down to, under the clusters of the levels above.
///
/// A *cluster* is a node of the tree (its centre) with the points of the batch that are nearest to it. Clusters of one
/// level come from clusters of the level above: a centre stays, and new centres appear among its points. The pyramid
/// remembers these homes, and so answers the one question of an insertion, *which clusters are near which*, by walking
/// down pairs of levels instead of comparing all with all. It is the level cache of Gu, Napier, Sun and Wang (2022), and
/// it holds no lists of neighbours: they are made on the way down and forgotten.
///
/// A *pass* gives each cluster of the lowest level a reach as a target and a reach as a source (minus infinity for none).
/// Two clusters are near when the distance of their centres is at most the sum of the target's and the source's reach. A
/// cluster above reaches as far as the farthest below it does, by the triangle inequality, so no near pair is missed.
///
/// Levels grow at least twofold, so the pyramid is at most twice its lowest level.
final class ClusterPyramid<M: Metric> {
  final class Level {
    /// The point at the centre of each cluster.
    let centers: Buffer<Int32>
    /// Distance from each centre to that of its home.
    let toHome: Buffer<Double>
    let targetReach: Buffer<Double>
    let sourceReach: Buffer<Double>
    /// Where the clusters that came from each cluster begin on the level below; empty for the lowest level.
    var childOffsets: Buffer<Int32>?

    var count: Int { centers.count }

    init(centers: Buffer<Int32>) throws(CoverTreeError) {
      self.centers = centers
      toHome = try Buffer(count: centers.count, filledWith: 0)
      targetReach = try Buffer(count: centers.count)
      sourceReach = try Buffer(count: centers.count)
    }
  }

  private let metric: M
  private let context: CallContext
  private var levels: [Level]
  private let walkers: [Walker]

  /// A pyramid of one cluster.
  init(metric: M, root: Int32, context: CallContext) throws(CoverTreeError) {
    self.metric = metric
    self.context = context
    levels = [try Level(centers: Buffer(count: 1, filledWith: root))]
    var walkers: [Walker] = []
    for _ in 0..<context.threads { walkers.append(try Walker(metric: metric)) }
    self.walkers = walkers
  }

  /// The lowest level.
  var clusters: Level { levels[levels.count - 1] }

  var distanceEvaluations: Int { walkers.reduce(0) { $0 + $1.distanceEvaluations } }

  /// Adds a level: the clusters that come from the lowest level's, in the order of their homes. A level that the new one does not
  /// outgrow twofold is left out, its clusters' homes taking its place.
  func descend(to centers: Buffer<Int32>, childOffsets: Buffer<Int32>) throws(CoverTreeError) {
    var offsets = childOffsets
    while levels.count > 1 && centers.count < 2 * clusters.count {
      let dropped = levels.removeLast()
      let homes = clusters
      guard let droppedOffsets = homes.childOffsets else { break }
      _ = dropped
      let joined = try Buffer<Int32>(count: homes.count + 1)
      for home in 0...homes.count { joined[home] = offsets[droppedOffsets[home]] }
      offsets = joined
    }
    let homes = clusters
    homes.childOffsets = offsets
    let level = try Level(centers: centers)
    try context.forEach(homes.count, grain: 512) { (range, _) throws(CoverTreeError) in
      for home in range {
        for child in offsets[home]..<offsets[home + 1] {
          let center = centers[child]
          level.toHome[child] = metric.squaredDistance(center, homes.centers[home]).squareRoot()
        }
      }
    }
    levels.append(level)
  }

  /// Calls `body(cluster, near, slot)` for every target of the lowest level that has sources near it, with those sources.
  /// The reaches of the lowest level have been set. Targets come once each, from several threads, in any order.
  func forEachTarget(
    _ body: (Int32, UnsafeBufferPointer<Int32>, Int) throws(CoverTreeError) -> Void
  ) throws(CoverTreeError) {
    try spreadReach()
    let lowest = levels.count - 1
    guard levels[0].targetReach[0] >= 0, levels[0].sourceReach[0] >= 0 else { return }

    // Widen the top one level at a time until there are enough pieces to share out.
    let enoughPieces = 64
    let near = try Stack<Int32>()
    try near.append(0)
    var depth = 0
    var pieces = [(cluster: Int32(0), near: 0..<1)]
    while depth < lowest && pieces.count < enoughPieces {
      var next: [(cluster: Int32, near: Range<Int>)] = []
      for piece in pieces {
        let list = try Stack<Int32>()
        try list.append(UnsafeBufferPointer(rebasing: near.elements[piece.near]))
        try walkers[0].expand(levels, depth, piece.cluster, near: list.elements) {
          (child, found) throws(CoverTreeError) in
          next.append((child, near.count..<near.count + found.count))
          try near.append(found)
        }
      }
      pieces = next
      depth += 1
    }
    let (atDepth, shared) = (depth, pieces)
    try context.forEach(shared.count, grain: 1) { (range, slot) throws(CoverTreeError) in
      for index in range {
        try walkers[slot].walk(
          levels, atDepth, shared[index].cluster,
          near: UnsafeBufferPointer(rebasing: near.elements[shared[index].near])
        ) { (cluster, near) throws(CoverTreeError) in
          try body(cluster, near, slot)
        }
      }
    }
  }

  /// Sets the reaches above the lowest level from those below.
  private func spreadReach() throws(CoverTreeError) {
    for depth in stride(from: levels.count - 2, through: 0, by: -1) {
      let (above, below) = (levels[depth], levels[depth + 1])
      guard let offsets = above.childOffsets else { continue }
      try context.forEach(above.count, grain: 2048) { (range, _) throws(CoverTreeError) in
        for cluster in range {
          var target = -Double.infinity
          var source = -Double.infinity
          for child in offsets[cluster]..<offsets[cluster + 1] {
            target = max(target, below.targetReach[child] + below.toHome[child])
            source = max(source, below.sourceReach[child] + below.toHome[child])
          }
          above.targetReach[cluster] = target
          above.sourceReach[cluster] = source
        }
      }
    }
  }

  /// One thread's way down the pyramid, with scratch for every depth.
  private final class Walker {
    private struct Frame {
      /// Sources below the near clusters, by number, by centre, and by reach.
      let sources: Stack<Int32>
      let centers: Stack<Int32>
      let reach: Stack<SIMD8<Double>>
      let block: M.Block
      /// Those of them that one child is near to.
      let near: Stack<Int32>
    }

    private let metric: M
    private let distances: Stack<SIMD8<Double>>
    private var frames: [Frame] = []
    private(set) var distanceEvaluations = 0

    init(metric: M) throws(CoverTreeError) {
      self.metric = metric
      distances = try Stack()
    }

    private func frame(_ depth: Int) throws(CoverTreeError) -> Frame {
      while frames.count <= depth {
        frames.append(
          Frame(
            sources: try Stack(), centers: try Stack(), reach: try Stack(), block: try metric.makeBlock(),
            near: try Stack()))
      }
      return frames[depth]
    }

    /// Visits every target at or below `cluster`, whose near sources at its own depth are `near`.
    func walk(
      _ levels: [Level], _ depth: Int, _ cluster: Int32, near: UnsafeBufferPointer<Int32>,
      _ visit: (Int32, UnsafeBufferPointer<Int32>) throws(CoverTreeError) -> Void
    ) throws(CoverTreeError) {
      if depth == levels.count - 1 { return try visit(cluster, near) }
      try expand(levels, depth, cluster, near: near) { (child, near) throws(CoverTreeError) in
        try walk(levels, depth + 1, child, near: near, visit)
      }
    }

    /// Visits the targets one level below `cluster`, each with the sources of that level that it is near to.
    func expand(
      _ levels: [Level], _ depth: Int, _ cluster: Int32, near: UnsafeBufferPointer<Int32>,
      _ visit: (Int32, UnsafeBufferPointer<Int32>) throws(CoverTreeError) -> Void
    ) throws(CoverTreeError) {
      let below = levels[depth + 1]
      guard let offsets = levels[depth].childOffsets else { return }
      let frame = try frame(depth)
      try collectSources(below, offsets, near, into: frame)
      guard frame.sources.count > 0 else { return }
      let groups = vectorCount(frame.sources.count)
      try distances.resize(to: max(distances.count, groups))

      for child in offsets[cluster]..<offsets[cluster + 1] {
        let reach = below.targetReach[child]
        guard reach >= 0 else { continue }
        metric.squaredDistances(from: below.centers[child], to: frame.block, into: distances.base)
        distanceEvaluations &+= frame.sources.count
        try frame.near.resize(to: groups &* 8)
        var found = 0
        for group in 0..<groups {
          let limit = frame.reach[group] + reach
          var hits = Double.maskLessOrEqual(distances[group], limit * limit)
          while hits != 0 {
            frame.near[found] = frame.sources[group &* 8 &+ hits.trailingZeroBitCount]
            found &+= 1
            hits &= hits &- 1
          }
        }
        if found > 0 { try visit(child, UnsafeBufferPointer(start: frame.near.base, count: found)) }
      }
    }

    private func collectSources(
      _ below: Level, _ offsets: Buffer<Int32>, _ near: UnsafeBufferPointer<Int32>, into frame: Frame
    ) throws(CoverTreeError) {
      frame.sources.removeAll()
      frame.centers.removeAll()
      for home in near {
        for child in offsets[home]..<offsets[home + 1] where below.sourceReach[child] >= 0 {
          try frame.sources.append(child)
          try frame.centers.append(below.centers[child])
        }
      }
      try metric.fill(frame.block, with: frame.centers.elements)
      try frame.reach.resize(to: vectorCount(frame.sources.count))
      let reach = UnsafeMutableRawPointer(frame.reach.base).assumingMemoryBound(to: Double.self)
      for index in 0..<frame.sources.count {
        // A hair more than the sum, for the rounding in it.
        reach[index] = below.sourceReach[Int(frame.sources[index])] * (1 + 0x1p-40)
      }
    }
  }
}
