import CovertreeBase

/// A caller's metric over the objects of a build. Sources are found by a k-d tree of embeddings (`PivotTable`): bounds by the pivots exclude
/// most pairs, and the function evaluates the others.
struct FunctionMetric: Metric, @unchecked Sendable {
  let function: DistanceFunction
  let pivots: PivotTable
  let objects: ObjectRows
  /// By the builder's number: the row of the object, and its embedding.
  let rows: Buffer<Int32>
  let embedding: Buffer<Double>
  let context: CallContext
  private let space: TreeMetric

  init(
    _ function: DistanceFunction, _ pivots: PivotTable, _ objects: ObjectRows, rows: Buffer<Int32>,
    embedding: Buffer<Double>, context: CallContext
  ) throws(CoverTreeError) {
    (self.function, self.pivots, self.objects, self.context) = (function, pivots, objects, context)
    (self.rows, self.embedding) = (rows, embedding)
    space = try TreeMetric(.chebyshev, dim: pivots.columns, MetricParameters())
  }

  static var prefersCells: Bool { true }
  var pointCount: Int { rows.count }

  @inline(__always)
  func row(_ point: Int32) -> UnsafeRawPointer { objects.row(rows[point]) }

  @inline(__always)
  func embedding(_ point: Int32) -> UnsafePointer<Double> {
    UnsafePointer(embedding.base) + Int(point) &* pivots.columns
  }

  func sources(_ list: GrowableBuffer<Int32>, context: CallContext) throws(CoverTreeError) -> FunctionSources {
    let columns = pivots.columns
    let embeddings = try Buffer<Double>(count: list.count * columns)
    for position in 0..<list.count {
      (embeddings.base + position * columns).update(from: embedding(list[position]), count: columns)
    }
    defer { withExtendedLifetime(embeddings) {} }
    return FunctionSources(
      points: try list.copied(),
      tree: try KDTree(
        PointsView(embeddings, count: list.count, dim: columns), leafSize: KDTree<Double>.defaultLeafSize,
        context: context),
      reach: embeddings.elements.reduce(0, max))
  }

  func finder(_ sources: FunctionSources) throws(CoverTreeError) -> FunctionFinder {
    try FunctionFinder(metric: self, sources: sources, space: space)
  }

  func operations(comparing count: Int) -> Int { 1 << 14 }

  func scores(
    from point: Int32, to others: UnsafeBufferPointer<Int32>, into scores: UnsafeMutablePointer<Double>
  ) throws(CoverTreeError) {
    let evaluator = try evaluator()
    for other in others { try evaluator.add(row(point), row(other)) }
    for (slot, distance) in try evaluator.run().enumerated() { scores[slot] = Score.of(distance: distance) }
  }

  func evaluator() throws(CoverTreeError) -> PairEvaluator {
    try PairEvaluator(function, objects.type, context: context)
  }
}

/// Centres of a level, and the k-d tree of their embeddings.
struct FunctionSources: @unchecked Sendable {
  /// The builder's numbers.
  let points: GrowableBuffer<Int32>
  let tree: KDTree<Double>
  /// The largest number of an embedding.
  let reach: Double
}

/// One thread's searches among the centres of a level. A position of a source is its place in their list.
struct FunctionFinder: SourceFinder {
  private static let mostPoints = 2048
  private static let mostCandidates = 1 << 21

  private let metric: FunctionMetric
  private let sources: FunctionSources
  /// Owns memory of the search.
  private let space: (TreeMetric, AnyObject)
  private var search: KDTreeSearch<Double, RuntimeMetric>
  private let evaluator: PairEvaluator
  private let candidates: GrowableBuffer<Candidate>
  private let items: GrowableBuffer<Item>
  private let cells: CellBounds

  /// A point, and its candidates: by ascending bound of the distance.
  struct Item: BitwiseCopyable {
    /// What the caller calls it.
    var number: Int32
    var point: Int32
    var next: Int
    var end: Int
    /// No farther source is of use.
    var limit: Double
    /// The score below which it wants sources, its nearest one, and the score of that.
    var bar = 0.0
    var found: Int32 = -1
    var score = Double.infinity
    var asked = 0
    /// The first candidate that is not evaluated in this round.
    var until = 0
  }

  fileprivate init(metric: FunctionMetric, sources: FunctionSources, space: TreeMetric) throws(CoverTreeError) {
    (self.metric, self.sources) = (metric, sources)
    let (runtime, owner) = try space.space()
    self.space = (space, owner)
    search = try KDTreeSearch(sources.tree, dimension: runtime)
    evaluator = try metric.evaluator()
    candidates = try GrowableBuffer()
    items = try GrowableBuffer()
    cells = try CellBounds(metric, sources, evaluator)
  }

  var distanceEvaluations: Int { evaluator.evaluations }

  func listed(_ position: Int) -> Int { position }

  mutating func nearest(
    to points: UnsafeBufferPointer<Int32>, knowing known: KnownCenters, reach: LevelReach,
    found: (_ point: Int32, _ listed: Int32, _ score: Double) -> Void
  ) throws(CoverTreeError) {
    var next = 0
    while next < points.count {
      begin()
      while next < points.count, items.count < Self.mostPoints, candidates.count < Self.mostCandidates {
        let point = points[next]
        let bar = reach.bar(knowing: known.score[point])
        try findCandidates(Item(number: point, point: point, next: 0, end: 0, limit: Score.distance(bar), bar: bar)) {
          _ in true
        }
        next += 1
      }
      try cells.tighten(items, candidates, knowing: known)
      for item in items.elements {
        var mine = UnsafeMutableBufferPointer(rebasing: candidates.all[item.next..<item.end])
        mine.sort { $0 < $1 }
      }
      while try askOnce(half: reach.half.nextUp) {}
      for item in items.elements where item.found >= 0 { found(item.point, item.found, item.score) }
    }
  }

  /// Evaluates some candidates of each point. The more a point has asked, the more it asks at once. Returns false if none was left.
  private mutating func askOnce(half: Double) throws(CoverTreeError) -> Bool {
    for number in 0..<items.count {
      let most = 1 + items[number].asked / 4
      var until = items[number].next
      while until < items[number].end, until - items[number].next < most,
        Score.of(distance: max(0, candidates[until].squared)) < items[number].bar
      {
        try evaluator.add(metric.row(items[number].point), metric.row(sources.points[candidates[until].index]))
        until += 1
      }
      items.base[number].until = until
    }
    let distances = try evaluator.run()
    var next = 0
    for number in 0..<items.count {
      var item = items[number]
      item.asked += item.until - item.next
      for slot in item.next..<item.until {
        let score = Score.of(distance: distances[next])
        next += 1
        guard score < item.bar else { continue }
        (item.found, item.score) = (candidates[slot].index, score)
        item.bar = min(score, half)
      }
      item.next = item.until
      items[number] = item
    }
    return next > 0
  }

  mutating func neighbors(
    of positions: Range<Int>, in list: GrowableBuffer<Int32>, knowing known: KnownCenters?, within radius: Double,
    wanted: (_ position: Int32, _ neighbor: Int32) -> Bool,
    found: (_ position: Int32, _ neighbor: Int32) throws(CoverTreeError) -> Void
  ) throws(CoverTreeError) {
    var next = positions.lowerBound
    let limit = Score.distance(radius)
    while next < positions.upperBound {
      begin()
      while next < positions.upperBound, candidates.count < Self.mostCandidates {
        let position = Int32(next)
        try findCandidates(Item(number: position, point: list[next], next: 0, end: 0, limit: limit)) {
          $0 != position && wanted(position, $0)
        }
        next += 1
      }
      if let known { try cells.tighten(items, candidates, knowing: known) }
      for item in items.elements {
        for slot in item.next..<item.end {
          try evaluator.add(metric.row(item.point), metric.row(sources.points[candidates[slot].index]))
        }
      }
      let distances = try evaluator.run()
      var pair = 0
      for item in items.elements {
        for slot in item.next..<item.end {
          if Score.of(distance: distances[pair]) <= radius { try found(item.number, candidates[slot].index) }
          pair += 1
        }
      }
    }
  }

  private func begin() {
    items.removeAll()
    candidates.removeAll()
  }

  /// Appends a point, and the sources that may be within its limit, with lower bounds of their distances.
  private mutating func findCandidates(_ given: Item, wanted: (Int32) -> Bool) throws(CoverTreeError) {
    let (pivots, embedding, distance) = (metric.pivots, metric.embedding(given.point), given.limit)
    let most = (0..<pivots.columns).reduce(sources.reach) { max($0, embedding[$1]) }
    let first = candidates.count
    var handler = Near(found: candidates, worst: distance + 2 * DistanceFunction.slack * most)
    try search.run(embedding, into: &handler)
    var count = first
    for slot in first..<candidates.count {
      let position = candidates[slot].index
      let bound = pivots.bound(embedding, metric.embedding(sources.points[position]))
      guard bound <= distance, wanted(position) else { continue }
      candidates[count] = Candidate(squared: bound, index: position)
      count += 1
    }
    try candidates.resize(to: count)
    var item = given
    (item.next, item.end) = (first, count)
    try items.append(item)
  }

  /// All sources within a distance between embeddings.
  private struct Near: ExactHandler {
    typealias S = Double
    let found: GrowableBuffer<Candidate>
    let worst: Double

    mutating func insert(_ score: Double, _ index: Int32) throws(CoverTreeError) {
      try found.append(Candidate(squared: score, index: index))
    }
  }
}

/// Bounds of distances by the centres that points know: such a centre is one more pivot, for the points of its cell.
///
/// It is compared with a source once, for all points of the cell that have the source as a candidate. Where distances are nearly all alike,
/// pivots of the whole tree exclude little, but a centre is near its points, and far from most sources.
private final class CellBounds {
  /// Pairs that one comparison of the centre must concern.
  private static let worthwhile = 3

  private let metric: FunctionMetric
  private let sources: FunctionSources
  private let evaluator: PairEvaluator
  /// The items by their centres.
  private let order: GrowableBuffer<Int32>
  /// Sources that are candidates of a cell; by source: the number of the pair in the cell, or -1.
  private let members: GrowableBuffer<Int32>
  private let slots: Buffer<Int32>

  init(_ metric: FunctionMetric, _ sources: FunctionSources, _ evaluator: PairEvaluator) throws(CoverTreeError) {
    (self.metric, self.sources, self.evaluator) = (metric, sources, evaluator)
    order = try GrowableBuffer()
    members = try GrowableBuffer()
    slots = try Buffer(count: sources.points.count, filledWith: -1)
  }

  /// Raises the bounds of candidates, and removes those beyond the limits of their points.
  func tighten(
    _ items: GrowableBuffer<FunctionFinder.Item>, _ candidates: GrowableBuffer<Candidate>, knowing known: KnownCenters
  ) throws(CoverTreeError) {
    order.removeAll()
    for number in 0..<items.count { try order.append(Int32(number)) }
    var sorted = order.all
    sorted.sort { (known.center[items[$0].point], $0) < (known.center[items[$1].point], $1) }
    var first = 0
    while first < order.count {
      let center = known.center[items[order[first]].point]
      var (end, pairs) = (first, 0)
      while end < order.count, known.center[items[order[end]].point] == center {
        pairs += items[order[end]].end - items[order[end]].next
        end += 1
      }
      if end - first >= Self.worthwhile {
        try tighten(first..<end, of: center, pairs, items, candidates, known.score)
      }
      first = end
    }
  }

  private func tighten(
    _ cell: Range<Int>, of center: Int32, _ pairs: Int, _ items: GrowableBuffer<FunctionFinder.Item>,
    _ candidates: GrowableBuffer<Candidate>, _ scores: Buffer<Double>
  ) throws(CoverTreeError) {
    members.removeAll()
    defer { for member in members.elements { slots[member] = -1 } }
    for place in cell {
      let item = items[order[place]]
      for slot in item.next..<item.end where slots[candidates[slot].index] < 0 {
        slots[candidates[slot].index] = Int32(members.count)
        try members.append(candidates[slot].index)
      }
    }
    guard members.count * Self.worthwhile <= pairs else { return }
    for member in members.elements { try evaluator.add(metric.row(center), metric.row(sources.points[member])) }
    let distances = try evaluator.run()
    for place in cell {
      var item = items[order[place]]
      let apart = Score.distance(scores[item.point])
      var end = item.next
      for slot in item.next..<item.end {
        let index = candidates[slot].index
        let bound = max(candidates[slot].squared, thirdSide(distances[Int(slots[index])], apart))
        guard bound <= item.limit else { continue }
        candidates[end] = Candidate(squared: bound, index: index)
        end += 1
      }
      item.end = end
      items[Int(order[place])] = item
    }
  }
}
