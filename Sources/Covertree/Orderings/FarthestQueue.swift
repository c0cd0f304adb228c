import CovertreeBase

/// Points by their distance from the chosen ones, the farthest on top.
///
/// Distances only fall, so the farthest distance does, too: a monotone priority queue. *Buckets* have ranges of distances; only the points of
/// the highest one are in a heap, which is small and stays in the cache. The bucket and the key of a point may be too high, so the top of
/// the heap is moved down to its place before it is used.
///
/// R. K. Ahuja, K. Mehlhorn, J. Orlin and R. E. Tarjan, "Faster algorithms for the shortest path problem", J. ACM 37 (1990), on buckets for
/// monotone queues.
final class FarthestQueue: @unchecked Sendable {
  private struct Entry {
    var key: Double
    var point: Int32
  }

  /// Scores; the lowest number for chosen points.
  let distance: Buffer<Double>
  /// Of points with equal distances, the one with the lower number comes first.
  private let numbers: Buffer<Int32>
  /// By bucket: its first point, or -1. The highest bucket is in the heap.
  private let first: Buffer<Int32>
  /// By point: the next one in its bucket, or -1.
  private let next: Buffer<Int32>
  private var highest: Int
  private let heap: Buffer<Entry>
  private var heaped = 0
  /// Points in the heap and all buckets.
  private var count: Int
  /// The number of points that are not chosen.
  private(set) var left: Int

  /// A bucket for each of 64 ranges of scores between powers of two.
  private static var droppedBits: UInt64 { 52 - 6 }

  /// All points, with infinite distances.
  init(numbers: Buffer<Int32>) throws(CoverTreeError) {
    self.numbers = numbers
    (count, left) = (numbers.count, numbers.count)
    distance = try Buffer(count: count, filledWith: .infinity)
    highest = Self.bucket(.infinity)
    first = try Buffer(count: highest + 1, filledWith: -1)
    next = try Buffer(count: count)
    heap = try Buffer(count: count)
    for point in 0..<count { put(point) }
  }

  /// Whether all remaining points are set aside.
  var isEmpty: Bool { count == 0 }

  func choose(_ point: Int) {
    distance[point] = -.infinity
    left -= 1
  }

  func isChosen(_ point: Int) -> Bool { distance[point] == -.infinity }

  /// Whether one point comes before another.
  @inline(__always)
  func precedes(_ a: Int, _ b: Int) -> Bool {
    distance[a] > distance[b] || (distance[a] == distance[b] && numbers[a] < numbers[b])
  }

  /// The farthest point that is not chosen; nil if all are.
  func farthest() -> Int? {
    while count > 0 {
      guard heaped > 0 else {
        fillHeap()
        continue
      }
      let top = heap[0]
      let known = distance[top.point]
      if known == top.key { return Int(top.point) }
      if known > -.infinity, Self.bucket(known) >= highest {
        sink(Entry(key: known, point: top.point), at: 0)
      } else {
        removeTop()
        if known > -.infinity { putBack(Int(top.point)) }
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

  func putBack(_ point: Int) {
    count += 1
    put(point)
  }

  /// Scores below 0 are of distances that are nearly 0.
  @inline(__always)
  private static func bucket(_ score: Double) -> Int { score > 0 ? Int(score.bitPattern >> droppedBits) : 0 }

  /// Puts a point into its bucket.
  @inline(__always)
  private func put(_ point: Int) {
    let bucket = Self.bucket(distance[point])
    if bucket >= highest && heaped > 0 { return insert(Entry(key: distance[point], point: Int32(point))) }
    highest = max(highest, bucket)
    next[point] = first[bucket]
    first[bucket] = Int32(point)
  }

  /// Moves the points of the highest bucket that is not empty to the heap, or to their buckets.
  private func fillHeap() {
    while first[highest] < 0 { highest -= 1 }
    var point = first[highest]
    first[highest] = -1
    while point >= 0 {
      let (following, known) = (next[Int(point)], distance[point])
      if known == -.infinity {
        count -= 1
      } else if Self.bucket(known) == highest {
        heap[heaped] = Entry(key: known, point: point)
        heaped += 1
      } else {
        put(Int(point))
      }
      point = following
    }
    for position in stride(from: heaped / 2 - 1, through: 0, by: -1) { sink(heap[position], at: position) }
  }

  private func insert(_ entry: Entry) {
    var position = heaped
    heaped += 1
    while position > 0 && precedes(entry, heap[(position &- 1) / 2]) {
      heap[position] = heap[(position &- 1) / 2]
      position = (position &- 1) / 2
    }
    heap[position] = entry
  }

  private func removeTop() {
    count -= 1
    heaped -= 1
    if heaped > 0 { sink(heap[heaped], at: 0) }
  }

  @inline(__always)
  private func precedes(_ a: Entry, _ b: Entry) -> Bool {
    a.key > b.key || (a.key == b.key && numbers[a.point] < numbers[b.point])
  }

  /// Puts an entry at a position or below it.
  private func sink(_ entry: Entry, at start: Int) {
    var position = start
    while true {
      var child = 2 &* position &+ 1
      guard child < heaped else { break }
      if child &+ 1 < heaped && precedes(heap[child &+ 1], heap[child]) { child &+= 1 }
      guard precedes(heap[child], entry) else { break }
      heap[position] = heap[child]
      position = child
    }
    heap[position] = entry
  }
}
