import CovertreeBase

/// Euclidean distance between the rows of a dense array, evaluated in float64 whatever their type.
///
/// Differences are squared directly (the form `|x|^2 + |y|^2 - 2xy` cancels) and summed over coordinates in order with one rounding each,
/// so every kernel gives the same bits for the same pair.
struct Euclidean<S: Scalar, D: MetricSpace>: Metric, @unchecked Sendable {
  private let points: UnsafePointer<S>
  fileprivate let dimension: D
  let pointCount: Int

  /// - Parameter points: row-major without gaps; they outlive the metric.
  init(points: UnsafePointer<S>, count: Int, dimension: D) {
    self.points = points
    self.dimension = dimension
    self.pointCount = count
  }

  @inline(__always)
  fileprivate func row(_ point: Int32) -> UnsafePointer<S> { points + Int(point) &* dimension.count }

  func sources(_ list: GrowableBuffer<Int32>, context: CallContext) throws(CoverTreeError) -> KDTree<S> {
    let dim = dimension.count
    let rows = try Buffer<S>(count: list.count * dim)
    try context.forEach(list.count, grain: 1 << 14) { (range, _) throws(CoverTreeError) in
      for position in range {
        let (target, source) = (rows.base + position &* dim, row(list[position]))
        for d in 0..<dim { target[d] = source[d] }
      }
    }
    defer { withExtendedLifetime(rows) {} }
    return try KDTree(
      PointsView(rows, count: list.count, dim: dim), leafSize: 4 * S.width, context: context)
  }

  func finder(_ sources: KDTree<S>) throws(CoverTreeError) -> EuclideanFinder<S, D> {
    EuclideanFinder(
      metric: self, search: try SourceSearch(sources, dimension: dimension), closest: try ClosestSources())
  }

  func operations(comparing count: Int) -> Int { count * dimension.count / S.width }

  func scores(from point: Int32, to others: UnsafeBufferPointer<Int32>, into scores: UnsafeMutablePointer<Double>) {
    for (slot, other) in others.enumerated() {
      scores[slot] = euclideanScore(row(point), row(other), dim: dimension.count)
    }
  }
}

struct EuclideanFinder<S: Scalar, D: MetricSpace>: SourceFinder {
  fileprivate let metric: Euclidean<S, D>
  fileprivate var search: SourceSearch<S, D>
  fileprivate var closest: ClosestSources<S>

  var distanceEvaluations: Int { search.pointsCompared }

  mutating func nearest(
    to points: UnsafeBufferPointer<Int32>, knowing known: KnownCenters, reach: LevelReach,
    found: (_ point: Int32, _ listed: Int32, _ score: Double) -> Void
  ) throws(CoverTreeError) {
    closest.half = reach.half.nextUp
    closest.forget()
    for first in stride(from: 0, to: points.count, by: S.width) {
      let together = points[first..<min(points.count, first + S.width)]
      closest.begin()
      search.removeAll()
      for (lane, point) in together.enumerated() {
        let bar = reach.bar(knowing: known.score[point])
        closest.bars[lane] = bar
        search.add(metric.row(point), within: bar)
      }
      try search.run(guesses: closest.guesses, into: &closest)
      for (lane, point) in together.enumerated() where closest.positions[lane] >= 0 {
        found(point, search.tree.indices[closest.positions[lane]], closest.scores[lane])
      }
    }
  }

  @inline(__always)
  mutating func neighbors(
    of positions: Range<Int>, in list: GrowableBuffer<Int32>, knowing known: KnownCenters?, within radius: Double,
    wanted: (_ position: Int32, _ neighbor: Int32) -> Bool,
    found: (_ position: Int32, _ neighbor: Int32) throws(CoverTreeError) -> Void
  ) throws(CoverTreeError) {
    let (metric, indices) = (metric, search.tree.indices)
    var within = try SourcesWithin(radius)
    for first in stride(from: positions.lowerBound, to: positions.upperBound, by: S.width) {
      let group = first..<min(positions.upperBound, first + S.width)
      search.load(group: group, within: radius) { metric.row(list[indices[$0]]) }
      within.pairs.removeAll()
      try search.run(guesses: UnsafeBufferPointer(start: nil, count: 0), into: &within)
      for pair in within.pairs.elements {
        let position = Int32(first) + pair.lane
        if pair.position != position, wanted(position, pair.position) { try found(position, pair.position) }
      }
    }
  }

  func listed(_ position: Int) -> Int { Int(search.tree.indices[position]) }
}

/// The nearest source of each lane, as far as that matters (`LevelReach`).
private struct ClosestSources<S: Scalar>: SourceHandler {
  /// The limit of a lane that has found a source.
  var half = 0.0
  private let arena: Arena
  // By lane: the score below which it wants sources, the position of the source that it found, or -1, and the score of that.
  let bars: UnsafeMutablePointer<Double>
  let positions: UnsafeMutablePointer<Int32>
  let scores: UnsafeMutablePointer<Double>
  private let last: UnsafeMutablePointer<Int32>
  private var lastCount = 0

  init() throws(CoverTreeError) {
    arena = try Arena(
      Arena.size(S.width, of: Double.self), Arena.size(S.width, of: Int32.self), Arena.size(S.width, of: Double.self),
      Arena.size(S.width, of: Int32.self))
    bars = arena.allocate(S.width)
    positions = arena.allocate(S.width)
    scores = arena.allocate(S.width)
    last = arena.allocate(S.width)
    forget()
  }

  /// The sources of the last lanes: consecutive points are near each other.
  var guesses: UnsafeBufferPointer<Int32> { UnsafeBufferPointer(start: last, count: lastCount) }

  @inline(__always)
  mutating func forget() {
    for lane in 0..<S.width { positions[lane] = -1 }
  }

  /// Begins with other points. The sources of the last ones are guesses for them.
  @inline(__always)
  mutating func begin() {
    lastCount = 0
    for lane in 0..<S.width where positions[lane] >= 0 {
      if lastCount == 0 || last[lastCount &- 1] != positions[lane] {
        last[lastCount] = positions[lane]
        lastCount &+= 1
      }
      positions[lane] = -1
    }
  }

  @inline(__always)
  mutating func collect(_ score: Double, _ lane: Int, _ position: Int) -> Double? {
    guard score < bars[lane] else { return nil }
    positions[lane] = Int32(truncatingIfNeeded: position)
    scores[lane] = score
    bars[lane] = score < half ? score : half
    return bars[lane]
  }
}

/// All sources within a radius.
private struct SourcesWithin: SourceHandler {
  struct Pair: BitwiseCopyable {
    var lane: Int32
    var position: Int32
  }

  private let radius: Double
  let pairs: GrowableBuffer<Pair>

  init(_ radius: Double) throws(CoverTreeError) {
    self.radius = radius
    pairs = try GrowableBuffer()
  }

  @inline(__always)
  mutating func collect(_ score: Double, _ lane: Int, _ position: Int) throws(CoverTreeError) -> Double? {
    if score <= radius {
      try pairs.append(Pair(lane: Int32(truncatingIfNeeded: lane), position: Int32(truncatingIfNeeded: position)))
    }
    return nil
  }
}
