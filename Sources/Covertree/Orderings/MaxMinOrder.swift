import CovertreeBase

/// Max-min distance ordering: the point nearest to the centroid, then always the point farthest from all before it.
///
/// F. Schaefer, M. Katzfuss and H. Owhadi, "Sparse Cholesky factorization by Kullback-Leibler minimization", SIAM J. Sci.
/// Comput. 43 (2021). A new point can only come nearest to points within the distance at which it was itself
/// taken, so a radius search finds all that change: O(n log n) updates for a bounded intrinsic dimension. Ties go to the
/// lower index; duplicates come last, by index.
///
/// Where distances hardly differ, as in many dimensions without structure, that radius keeps nothing out, and no bound does:
/// the work is O(n^2). There the points that come next are taken in blocks (`MaxMinBlocks`), which makes it many times
/// less, but no less than quadratic.
public func maxMinOrder(
  _ points: PointsView<Double>, context: CallContext, order: UnsafeMutablePointer<Int64>
) throws(CoverTreeError) {
  let rows = try points.copied()
  let view = PointsView(base: UnsafePointer(rows.base), count: points.count, dim: points.dim)
  try view.checkCoordinates(named: "points", context: context)
  try specialized(points.dim, MaxMinTask(points: view, context: context, order: order))
  withExtendedLifetime(rows) {}
}

private struct MaxMinTask: DimensionTask {
  let points: PointsView<Double>
  let context: CallContext
  let order: UnsafeMutablePointer<Int64>

  /// Points that are taken by walks before the ways are weighed again.
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
      if choice.favorsBlocks(taken: rank, of: count), let farthest = queue.farthest(),
        !Score.isZero(queue.distance[farthest])
      {
        if blocks == nil { blocks = try MaxMinBlocks(points, queue, context) }
        let block = try blocks!.take(choice.size, into: order + rank)
        rank += block.taken
        choice.note(block, of: count)
        continue
      }
      let (first, compared) = (rank, search.pointsCompared)
      for _ in 0..<min(Self.stretch, count - rank) {
        let next = rank == 0 ? centralPoint() : queue.farthest()!
        order[rank] = Int64(next)
        rank += 1
        let reach = queue.distance[next]
        queue.take(next)
        var collector = NearerCollector(worst: reach, queue: queue)
        if !Score.isZero(reach) { try search.run(points.row(next), into: &collector) }
      }
      choice.noteWalk(compared: search.pointsCompared - compared, taken: rank - first)
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

/// Which way to take the next points, by what the last ones have cost. Costs are in comparisons of a walk, a point taken.
private struct MaxMinChoice {
  /// How many points the next block begins with.
  private(set) var size = 16
  private let most: Int
  private var walk = 0.0
  /// nil where it is to be found out.
  private var block: Double?
  /// The rank from which on walks, or blocks, are tried again.
  private var review = 0

  /// A comparison by products costs so much, and a decision about one pair.
  private static var share: Double { 0.2 }
  private static var decision: Double { 4 }
  /// Fewer are taken by walks, and so are the first, which are near to many.
  private static var fewest: Int { 512 }
  private static var first: Int { 64 }

  init(most: Int) { self.most = most }

  mutating func favorsBlocks(taken: Int, of count: Int) -> Bool {
    guard count >= Self.fewest, taken >= Self.first else { return false }
    if taken >= review {
      // Each way gets another chance when a quarter more are taken.
      review = taken + max(1024, taken / 4)
      if let block, block < walk { return false }
      block = nil
    }
    // Half a block may be taken in vain.
    return (block ?? 2 * Self.share * Double(count)) < walk
  }

  mutating func noteWalk(compared: Int, taken: Int) { walk = Double(compared) / Double(taken) }

  mutating func note(_ block: MaxMinBlocks.Outcome, of count: Int) {
    let cost = Self.share * Double(block.compared) + Self.decision * Double(block.decided)
    self.block = cost / Double(block.taken)
    size = block.taken * 2 > size ? min(most, 2 * size) : max(8, size / 2)
  }
}

/// Lowers the distances of points that a new one is nearer to.
private struct NearerCollector: DecidingCollector {
  typealias S = Double
  let worst: Double
  let queue: FarthestQueue

  @inline(__always)
  mutating func insert(_ squared: Double, _ index: Int32) {
    if squared < queue.distance[index] { queue.distance[index] = squared }
  }
}

/// Points by their distance from those taken, the farthest on top: a binary heap whose keys may be too large, as distances
/// only fall; what comes to the top is put in its place before it is believed.
final class FarthestQueue: @unchecked Sendable {
  /// Scores; the lowest number for points that were taken.
  let distance: Buffer<Double>
  private let key: Buffer<Double>
  private let heap: Buffer<Int32>
  private var count: Int

  init(count: Int) throws(CoverTreeError) {
    (self.count, left) = (count, count)
    distance = try Buffer(count: count, filledWith: .infinity)
    key = try Buffer(count: count, filledWith: .infinity)
    heap = try Buffer(count: count)
    for index in 0..<count { heap[index] = Int32(index) }
  }

  /// Whether nothing is left but what was put aside.
  var isEmpty: Bool { count == 0 }
  /// How many points have not been taken.
  private(set) var left: Int

  func take(_ index: Int) {
    distance[index] = -.infinity
    left -= 1
  }

  func isTaken(_ index: Int) -> Bool { distance[index] == -.infinity }

  /// Whether one point comes before another.
  @inline(__always)
  func precedes(_ a: Int, _ b: Int) -> Bool {
    distance[a] > distance[b] || (distance[a] == distance[b] && a < b)
  }

  /// The farthest point that has not been taken; nil where all have been.
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

  /// The same; it is put aside until it is put back.
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
