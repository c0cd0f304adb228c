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
  try specialized(points.dim, MaxMinTask(points: view, context: context, order: order))
  withExtendedLifetime(rows) {}
}

private struct MaxMinTask: DimensionTask {
  let points: PointsView<Double>
  let context: CallContext
  let order: UnsafeMutablePointer<Int64>

  /// Points that are chosen by walks before the costs of the two ways are compared again.
  private static var stretch: Int { 8 }

  func run<D: Dimension>(_ dimension: D) throws(CoverTreeError) {
    let count = points.count
    let boxes = try KDTree(points, leafSize: KDTree<Double>.defaultLeafSize, context: context)
    var search = try KDTreeSearch(boxes, dimension: dimension)
    let queue = try FarthestQueue(count: count)
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
        let next = rank == 0 ? centralPoint() : queue.farthest()!
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

  private func centralPoint() -> Int {
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

/// Points by their distance from the chosen ones, the farthest on top: a binary heap. Its keys may be too large, because distances only
/// fall, so the top is moved down to its position before it is used.
final class FarthestQueue: @unchecked Sendable {
  /// Scores; the lowest number for chosen points.
  let distance: Buffer<Double>
  private let key: Buffer<Double>
  private let heap: Buffer<Int32>
  private var count: Int

  init(count: Int) throws(CoverTreeError) {
    (self.count, left) = (count, count)
    distance = try Buffer(count: count, filledWith: .infinity)
    key = try Buffer(count: count, filledWith: .infinity)
    heap = try Buffer(counting: count)
  }

  /// Whether all remaining points are set aside.
  var isEmpty: Bool { count == 0 }
  /// The number of points that are not chosen.
  private(set) var left: Int

  func choose(_ index: Int) {
    distance[index] = -.infinity
    left -= 1
  }

  func isChosen(_ index: Int) -> Bool { distance[index] == -.infinity }

  /// Whether one point comes before another.
  @inline(__always)
  func precedes(_ a: Int, _ b: Int) -> Bool {
    distance[a] > distance[b] || (distance[a] == distance[b] && a < b)
  }

  /// The farthest point that is not chosen; nil if all are.
  func farthest() -> Int? {
    while count > 0 {
      let top = heap[0]
      let known = distance[top]
      if known == -.infinity {
        removeTop()
      } else if known == key[top] {
        return Int(top)
      } else {
        key[top] = known
        siftDown()
      }
    }
    return nil
  }

  /// Removes the farthest point, until it is put back.
  func removeFarthest() -> Int? {
    guard let top = farthest() else { return nil }
    removeTop()
    return top
  }

  func putBack(_ index: Int) {
    key[index] = distance[index]
    var position = count
    count += 1
    while position > 0 && keyPrecedes(Int32(index), heap[(position &- 1) / 2]) {
      heap[position] = heap[(position &- 1) / 2]
      position = (position &- 1) / 2
    }
    heap[position] = Int32(index)
  }

  private func removeTop() {
    count -= 1
    heap[0] = heap[count]
    siftDown()
  }

  @inline(__always)
  private func keyPrecedes(_ a: Int32, _ b: Int32) -> Bool { key[a] > key[b] || (key[a] == key[b] && a < b) }

  private func siftDown() {
    let moved = heap[0]
    var position = 0
    while true {
      var child = 2 &* position &+ 1
      guard child < count else { break }
      if child &+ 1 < count && keyPrecedes(heap[child &+ 1], heap[child]) { child &+= 1 }
      guard keyPrecedes(heap[child], moved) else { break }
      heap[position] = heap[child]
      position = child
    }
    heap[position] = moved
  }
}
