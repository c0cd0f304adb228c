import CovertreeBase

/// The `k` nearest of the points that are inserted, by distance and then by index.
///
/// Up to `sortedLimit` they are kept sorted: one sweep from the far end, eight positions at a time and without a branch, inserts a point.
/// Larger ones are a binary heap with the farthest on top, sorted at the end. O(k / 8) or O(log k) per point that is kept, one comparison
/// per other point.
struct TopK {
  static let sortedLimit = 128
  private static let width = 8

  /// Scratch for top-k lists of `k`, one after the other.
  final class Scratch {
    fileprivate let squared: Buffer<Double>
    fileprivate let indices: Buffer<Int64>
    fileprivate let k: Int

    init(k: Int) throws(CoverTreeError) {
      self.k = k
      // One position before the first, and whole vectors after the last.
      let positions = 2 * width + (k + width - 1) / width * width
      squared = try Buffer(count: positions)
      indices = try Buffer(count: positions)
    }
  }

  /// Keeps the memory of the pointers alive.
  private let scratch: Scratch
  private let squared: UnsafeMutablePointer<Double>
  private let indices: UnsafeMutablePointer<Int64>
  private let k: Int
  private let vectors: Int
  private(set) var count = 0
  private(set) var worst: Double

  /// - Parameter bound: points with a larger squared distance are not inserted.
  init(_ scratch: Scratch, bound: Double) {
    self.scratch = scratch
    k = scratch.k
    squared = scratch.squared.base + Self.width
    indices = scratch.indices.base + Self.width
    vectors = (k + Self.width - 1) / Self.width
    worst = bound
    guard k <= Self.sortedLimit else { return }
    // An empty list has sentinels that every point comes before.
    squared[-1] = -.infinity
    indices[-1] = -1
    for position in 0..<vectors * Self.width {
      squared[position] = .infinity
      indices[position] = Int64.max
    }
  }

  /// Whether a point of a score and an index comes before a kept point.
  @inline(__always)
  func wants(_ squared: Double, _ index: Int32) -> Bool {
    guard squared == worst && count == k else { return squared <= worst }
    return Int64(index) < indices[k <= Self.sortedLimit ? k &- 1 : 0]
  }

  @inline(__always)
  mutating func insert(_ squared: Double, _ index: Int32) {
    guard squared <= worst else { return }
    if k <= Self.sortedLimit { insertSorted(squared, Int64(index)) } else { insertIntoHeap(squared, Int64(index)) }
  }

  @inline(__always)
  private mutating func insertSorted(_ distance: Double, _ index: Int64) {
    if count == k {
      guard distance < squared[k &- 1] || index < indices[k &- 1] else { return }
    } else {
      count &+= 1
    }
    // Each position gets the point that belongs there: its own, the new one, or the point of the position before it.
    let x = SIMD8<Double>(repeating: distance)
    let xi = SIMD8<Int64>(repeating: index)
    var vector = vectors &- 1
    while vector >= 0 {
      let here = squared + vector &* Self.width
      let hereIndex = indices + vector &* Self.width
      let own = load(here)
      let ownIndex = load(hereIndex)
      let before = load(here - 1)
      let beforeIndex = load(hereIndex - 1)
      let keeps = (own .< x) .| ((own .== x) .& (ownIndex .< xi))
      let follows = (before .< x) .| ((before .== x) .& (beforeIndex .< xi))
      store(before.replacing(with: x, where: follows).replacing(with: own, where: keeps), here)
      store(beforeIndex.replacing(with: xi, where: follows).replacing(with: ownIndex, where: keeps), hereIndex)
      // If the position before comes before the new point, the new point is in this vector or after it.
      if (here - 1).pointee < distance { break }
      vector &-= 1
    }
    if count == k { worst = min(worst, squared[k &- 1]) }
  }

  @inline(__always)
  private func load<Scalar>(_ pointer: UnsafeMutablePointer<Scalar>) -> SIMD8<Scalar> {
    UnsafeRawPointer(pointer).loadUnaligned(as: SIMD8<Scalar>.self)
  }

  @inline(__always)
  private func store<Scalar>(_ vector: SIMD8<Scalar>, _ pointer: UnsafeMutablePointer<Scalar>) {
    UnsafeMutableRawPointer(pointer).storeBytes(of: vector, as: SIMD8<Scalar>.self)
  }

  private mutating func insertIntoHeap(_ distance: Double, _ index: Int64) {
    if count < k {
      var position = count
      count &+= 1
      while position > 0 && precedes((position &- 1) >> 1, distance, index) {
        move((position &- 1) >> 1, to: position)
        position = (position &- 1) >> 1
      }
      set(position, distance, index)
    } else {
      guard !precedes(0, distance, index) else { return }
      siftDown(distance, index, size: k)
    }
    if count == k { worst = min(worst, squared[0]) }
  }

  /// Whether the point at a position comes before another.
  @inline(__always)
  private func precedes(_ position: Int, _ distance: Double, _ index: Int64) -> Bool {
    squared[position] < distance || (squared[position] == distance && indices[position] < index)
  }

  @inline(__always)
  private func set(_ position: Int, _ distance: Double, _ index: Int64) {
    squared[position] = distance
    indices[position] = index
  }

  @inline(__always)
  private func move(_ position: Int, to target: Int) { set(target, squared[position], indices[position]) }

  /// Replaces the top of the heap.
  private func siftDown(_ distance: Double, _ index: Int64, size: Int) {
    var position = 0
    while true {
      var child = 2 &* position &+ 1
      guard child < size else { break }
      if child &+ 1 < size && precedes(child, squared[child &+ 1], indices[child &+ 1]) { child &+= 1 }
      guard !precedes(child, distance, index) else { break }
      move(child, to: position)
      position = child
    }
    set(position, distance, index)
  }

  /// The points, sorted. Nothing may be inserted afterwards.
  mutating func finished() -> SortedNeighbors {
    if k > Self.sortedLimit { sortHeap() }
    return SortedNeighbors(count: count, squares: squared, indices: indices)
  }

  private mutating func sortHeap() {
    var size = count
    while size > 1 {
      size &-= 1
      let (farthest, index) = (squared[0], indices[0])
      siftDown(squared[size], indices[size], size: size)
      set(size, farthest, index)
    }
  }
}
