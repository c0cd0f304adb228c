/// Max-min distance ordering: the point nearest to the centroid, then always the point farthest from all before it.
///
/// F. Schaefer, M. Katzfuss and H. Owhadi, "Sparse Cholesky factorization by Kullback-Leibler minimization", SIAM J. Sci.
/// Comput. 43 (2021). A new point can only come nearest to points within the distance at which it was itself
/// taken, so a radius search finds all that change: O(n log n) updates for a bounded doubling dimension. Ties go to the
/// lower index; duplicates come last, by index.
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

  func run<D: Dimension>(_ dimension: D) throws(CoverTreeError) {
    let count = points.count
    let boxes = try BoxTree(points, leafSize: TreeOptions.defaultLeafSize, context: context)
    var search = try BoxSearch(boxes, dimension: dimension)
    let queue = try FarthestQueue(count: count)
    var next = centralPoint()
    for rank in 0..<count {
      if rank % 1024 == 0 { try context.poll(share: Double(rank) / Double(count)) }
      order[rank] = Int64(next)
      let reach = queue.distance[next]
      queue.take(next)
      var collector = NearerCollector(worst: reach, queue: queue)
      if !Score.isZero(reach) { try search.run(points.row(next), into: &collector) }
      if rank + 1 < count { next = queue.farthest() }
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

/// Lowers the distances of points that a new one is nearer to.
private struct NearerCollector: DecidingCollector {
  typealias S = Double
  let worst: Double
  let queue: FarthestQueue

  @inline(__always)
  mutating func offer(_ squared: Double, _ index: Int32) {
    if squared < queue.distance[index] { queue.distance[index] = squared }
  }
}

/// Points by their distance from those taken, the farthest on top: a binary heap whose keys may be too large, as distances
/// only fall; what comes to the top is put in its place before it is believed.
private final class FarthestQueue {
  /// Scores; the lowest number for points that were taken.
  let distance: Buffer<Double>
  private let key: Buffer<Double>
  private let heap: Buffer<Int32>
  private var count: Int

  init(count: Int) throws(CoverTreeError) {
    self.count = count
    distance = try Buffer(count: count, filledWith: .infinity)
    key = try Buffer(count: count, filledWith: .infinity)
    heap = try Buffer(count: count)
    for index in 0..<count { heap[index] = Int32(index) }
  }

  func take(_ index: Int) { distance[index] = -.infinity }

  /// The farthest point that has not been taken.
  func farthest() -> Int {
    while true {
      let top = heap[0]
      let known = distance[top]
      if known == -.infinity {
        count -= 1
        heap[0] = heap[count]
      } else if known == key[top] {
        return Int(top)
      } else {
        key[top] = known
      }
      siftDown()
    }
  }

  @inline(__always)
  private func precedes(_ a: Int32, _ b: Int32) -> Bool { key[a] > key[b] || (key[a] == key[b] && a < b) }

  private func siftDown() {
    let moved = heap[0]
    var place = 0
    while true {
      var child = 2 &* place &+ 1
      guard child < count else { break }
      if child &+ 1 < count && precedes(heap[child &+ 1], heap[child]) { child &+= 1 }
      guard precedes(heap[child], moved) else { break }
      heap[place] = heap[child]
      place = child
    }
    heap[place] = moved
  }
}
