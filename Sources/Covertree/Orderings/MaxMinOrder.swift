import CovertreeBase

/// Max-min distance ordering: the point nearest to the centroid, then always the point farthest from all before it.
///
/// F. Schaefer, M. Katzfuss and H. Owhadi, "Sparse Cholesky factorization by Kullback-Leibler minimization", SIAM J. Sci. Comput. 43
/// (2021). A new point can only be nearer than earlier ones to points within the distance at which it was chosen, so a radius search
/// finds all changes: O(n log n) updates for a bounded intrinsic dimension. Ties go to the lower index; duplicates come last, by index.
///
/// If distances hardly differ, as in many dimensions without structure, that radius excludes nothing, and the work is O(n^2). Then the
/// next points are chosen in blocks (`MaxMinBlocks`), which makes the work many times less, but still quadratic.
public func maxMinOrder(
  _ points: PointsView<Double>, context: CallContext, order: UnsafeMutablePointer<Int64>
) throws(CoverTreeError) {
  let rows = try points.copied()
  let view = PointsView(rows, count: points.count, dim: points.dim)
  try view.checkCoordinates(named: "points", context: context)
  let central = Int32(centralPoint(view))
  // Near points have near positions, so that searches and updates find them in the same cache lines.
  let numbers = try sortedOrder(
    ofKeys: HilbertCurve(through: view, context: context).keys(of: view, context: context), context: context)
  let sorted = try Buffer<Double>(count: rows.count)
  for (position, number) in numbers.elements.enumerated() {
    (sorted.base + position * points.dim).update(from: view.row(Int(number)), count: points.dim)
  }
  try specialized(
    points.dim,
    MaxMinTask(
      points: PointsView(sorted, count: points.count, dim: points.dim), numbers: numbers,
      central: numbers.elements.firstIndex(of: central)!, context: context, order: order))
  for rank in 0..<points.count { order[rank] = Int64(numbers[Int(order[rank])]) }
  withExtendedLifetime((rows, sorted)) {}
}

/// The point nearest to the centroid.
private func centralPoint(_ points: PointsView<Double>) -> Int {
  let dim = points.dim
  var center = [Double](repeating: 0, count: dim)
  for index in 0..<points.count {
    for d in 0..<dim { center[d] += points.row(index)[d] / Double(points.count) }
  }
  var (nearest, least) = (0, Double.infinity)
  for index in 0..<points.count {
    let squared = euclideanScore(center, points.row(index), dim: dim)
    if squared < least { (nearest, least) = (index, squared) }
  }
  return nearest
}

/// The order as positions along the Hilbert curve.
private struct MaxMinTask: DimensionTask {
  /// By position.
  let points: PointsView<Double>
  /// The caller's number of each point, by position. It decides ties.
  let numbers: Buffer<Int32>
  /// The position of the first point.
  let central: Int
  let context: CallContext
  let order: UnsafeMutablePointer<Int64>

  /// Points that are chosen by walks before the costs of the two ways are compared again.
  private static var stretch: Int { 8 }

  func run<D: MetricSpace>(_ dimension: D) throws(CoverTreeError) {
    let count = points.count
    let boxes = try KDTree(points, leafSize: KDTree<Double>.defaultLeafSize, context: context)
    var search = try KDTreeSearch(boxes, dimension: dimension)
    let queue = try FarthestQueue(numbers: numbers)
    var choice = MaxMinChoice(most: MaxMinBlocks.size(context))
    var blocks: MaxMinBlocks?
    var rank = 0
    while rank < count {
      try context.poll(share: Double(rank) / Double(count))
      if choice.favorsBlocks(chosen: rank, of: count), let farthest = queue.farthest(),
        !Score.isZero(queue.distance[farthest])
      {
        if blocks == nil { blocks = try MaxMinBlocks(points, queue, context) }
        let block = try blocks!.choose(choice.size, into: order + rank)
        rank += block.chosen
        choice.note(block, of: count)
        continue
      }
      let (first, compared) = (rank, search.pointsCompared)
      for _ in 0..<min(Self.stretch, count - rank) {
        let next = rank == 0 ? central : queue.farthest()!
        order[rank] = Int64(next)
        rank += 1
        let reach = queue.distance[next]
        queue.choose(next)
        var handler = NearerHandler(worst: reach, queue: queue)
        if !Score.isZero(reach) { try search.run(points.row(next), into: &handler) }
      }
      choice.noteWalk(compared: search.pointsCompared - compared, chosen: rank - first)
    }
  }
}

/// The cheaper way to choose the next points, by the costs of the last ones. A cost is in comparisons of a walk per chosen point.
private struct MaxMinChoice {
  /// The size of the next block.
  private(set) var size = 16
  private let most: Int
  private var walk = 0.0
  /// nil if it is unknown.
  private var block: Double?
  /// The rank at which both ways are tried again.
  private var review = 0

  /// The cost of a comparison by products, and of a decision.
  private static var share: Double { 0.2 }
  private static var decision: Double { 4 }
  /// Fewer points are chosen by walks. So are the first ones, which are near to many.
  private static var fewest: Int { 512 }
  private static var first: Int { 64 }

  init(most: Int) { self.most = most }

  mutating func favorsBlocks(chosen: Int, of count: Int) -> Bool {
    guard count >= Self.fewest, chosen >= Self.first else { return false }
    if chosen >= review {
      // Each way is tried again when a quarter more points are chosen.
      review = chosen + max(1024, chosen / 4)
      if let block, block < walk { return false }
      block = nil
    }
    // Half a block may be wasted.
    return (block ?? 2 * Self.share * Double(count)) < walk
  }

  mutating func noteWalk(compared: Int, chosen: Int) { walk = Double(compared) / Double(chosen) }

  mutating func note(_ block: MaxMinBlocks.Outcome, of count: Int) {
    let cost = Self.share * Double(block.compared) + Self.decision * Double(block.decided)
    self.block = cost / Double(block.chosen)
    size = block.chosen * 2 > size ? min(most, 2 * size) : max(8, size / 2)
  }
}

/// Lowers the distances of points that a new one is nearer to.
private struct NearerHandler: ExactHandler {
  typealias S = Double
  let worst: Double
  let queue: FarthestQueue

  @inline(__always)
  mutating func insert(_ squared: Double, _ index: Int32) {
    if squared < queue.distance[index] { queue.distance[index] = squared }
  }
}
