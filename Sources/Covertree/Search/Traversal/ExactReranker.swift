import CNumerics
import CovertreeBase

/// Sorts points near a query by exact distance. The same points bound the next query's search, because its `k` nearest are not farther
/// than the farthest of any `k` points.
final class ExactReranker<S: Scalar> {
  private let k: Int
  private let capacity: Int
  /// `capacity` points for each coordinate.
  private let coordinates: UnsafeMutablePointer<S>
  private let indices: UnsafeMutablePointer<Int32>
  /// Squared distances of the filter, and exact ones.
  private let filtered: UnsafeMutablePointer<S>
  private let squares: UnsafeMutablePointer<Double>
  private let sortedSquares: UnsafeMutablePointer<Double>
  private let sortedIndices: UnsafeMutablePointer<Int64>
  private let arena: Arena
  private(set) var count = 0
  /// The largest index.
  private var latest: Int32 = -1

  init(dim: Int, k: Int) throws(CoverTreeError) {
    self.k = k
    // More than `k`: some points are within rounding of the k-th, and one is the last query.
    capacity = (k / S.width + 2) * S.width
    arena = try Arena(
      Arena.size(capacity * dim, of: S.self), Arena.size(capacity, of: Int32.self),
      Arena.size(capacity, of: S.self), Arena.size(capacity, of: Double.self),
      Arena.size(capacity, of: Double.self), Arena.size(capacity, of: Int64.self))
    coordinates = arena.allocate(capacity * dim)
    indices = arena.allocate(capacity)
    filtered = arena.allocate(capacity)
    squares = arena.allocate(capacity)
    sortedSquares = arena.allocate(capacity)
    sortedIndices = arena.allocate(capacity)
  }

  @inline(__always)
  func removeAll() {
    count = 0
    latest = -1
  }

  /// Adds a point, or returns false if full.
  @inline(__always)
  func append<D: MetricSpace>(
    _ point: UnsafePointer<S>, stride: Int, _ index: Int32, filtered distance: S, _ dimension: D
  ) -> Bool {
    guard count < capacity else { return false }
    for d in 0..<dimension.count { coordinates[d &* capacity &+ count] = point[d &* stride] }
    indices[count] = index
    filtered[count] = distance
    latest = max(latest, index)
    count &+= 1
    return true
  }

  /// Completes the points for the next queries. A query that does not count for itself may be among them: `spare` replaces it.
  @inline(__always)
  func close<D: MetricSpace>(spare: (point: UnsafePointer<S>, index: Int32)?, _ dimension: D) {
    if let spare, count < k || !append(spare.point, stride: 1, spare.index, filtered: 0, dimension) { removeAll() }
    // Lanes after the last point repeat it.
    for slot in count..<max(count, (count &+ S.width &- 1) / S.width &* S.width) {
      for d in 0..<dimension.count { coordinates[d &* capacity &+ slot] = coordinates[d &* capacity &+ count &- 1] }
    }
  }

  /// Whether there are `k` points.
  @inline(__always)
  var isFull: Bool { count >= k }

  /// Whether there are `k` points, all with indices below `before`.
  @inline(__always)
  func serves(before: Int32) -> Bool { count >= k && latest < before }

  /// The first `k` by distance from a query, of those within a score. Equal ones are sorted by index.
  @inline(__always)
  func sorted<D: MetricSpace>(from row: UnsafePointer<S>, _ dimension: D, within bound: Double) -> SortedNeighbors {
    fillSquares(from: row, dimension)
    var rankSum = 0
    for first in stride(from: 0, to: count, by: S.width) {
      // The number of points with a smaller distance in the filter.
      let ranks = S.ranks(UnsafeRawPointer(filtered + first).load(as: S.Lanes.self), among: filtered, count)
      for lane in 0..<min(S.width, count &- first) {
        let rank = Int(ranks[lane])
        rankSum &+= rank
        sortedSquares[rank] = squares[first &+ lane]
        sortedIndices[rank] = Int64(indices[first &+ lane])
      }
    }
    if 2 &* rankSum != count &* (count &- 1) || !ascends() { sortOneByOne() }
    if S.self == Double.self && D.isEuclidean && count > 0 && sortedSquares[0] < Score.leastSquare {
      settleNear(from: row, dimension)
    }
    var found = min(k, count)
    while found > 0 && sortedSquares[found &- 1] > bound { found &-= 1 }
    return SortedNeighbors(count: found, squares: sortedSquares, indices: sortedIndices)
  }

  /// Copies the result of a handler.
  func sorted(_ handler: consuming TopK) -> SortedNeighbors {
    let found = handler.finished()
    sortedSquares.update(from: found.squares, count: found.count)
    sortedIndices.update(from: found.indices, count: found.count)
    return SortedNeighbors(count: found.count, squares: sortedSquares, indices: sortedIndices)
  }

  /// Replaces squares that have lost digits by scores, and sorts by these.
  @inline(never)
  private func settleNear<D: MetricSpace>(from row: UnsafePointer<S>, _ dimension: D) {
    var near = 0
    for slot in 0..<count where squares[slot] < Score.leastSquare {
      squares[slot] = scoreOfNear(row, coordinates + slot, stride: capacity, dim: dimension.count)
      sortedSquares[0] = squares[slot]
      near &+= 1
    }
    // A single one, such as the query itself, is the first anyway.
    if near > 1 { sortOneByOne() }
  }

  /// Scores, bit for bit as by `MetricSpace.score`, except for Euclidean ones below the least square.
  @inline(__always)
  private func fillSquares<D: MetricSpace>(from row: UnsafePointer<S>, _ dimension: D) {
    for first in stride(from: 0, to: count, by: S.width) {
      for part in 0..<S.width / 8 {
        let slot = first &+ 8 &* part
        let scores = dimension.scores(row, UnsafePointer(coordinates + slot), stride: capacity)
        UnsafeMutableRawPointer(squares + slot).storeBytes(of: scores, as: SIMD8<Double>.self)
      }
    }
  }

  /// Whether the exact squares ascend in the order of the filter.
  @inline(__always)
  private func ascends() -> Bool {
    var falls = UInt32(0)
    for first in stride(from: 1, to: count, by: 8) {
      let before = UnsafeRawPointer(sortedSquares + (first &- 1)).loadUnaligned(as: SIMD8<Double>.self)
      var mask = cn_f64x8_mask_not_less(
        before, UnsafeRawPointer(sortedSquares + first).loadUnaligned(as: SIMD8<Double>.self))
      if count &- first < 8 { mask &= (1 &<< UInt32(truncatingIfNeeded: count &- first)) &- 1 }
      falls |= mask
    }
    return falls == 0
  }

  @inline(never)
  private func sortOneByOne() {
    for slot in 0..<count {
      let (square, index) = (squares[slot], Int64(indices[slot]))
      var position = slot
      while position > 0,
        sortedSquares[position - 1] > square
          || (sortedSquares[position - 1] == square && sortedIndices[position - 1] > index)
      {
        sortedSquares[position] = sortedSquares[position - 1]
        sortedIndices[position] = sortedIndices[position - 1]
        position -= 1
      }
      sortedSquares[position] = square
      sortedIndices[position] = index
    }
  }

  /// The squared distance, in the filter, of the farthest point from any point of a box. A query is a box with equal sides.
  @inline(__always)
  func farthest<D: MetricSpace>(from low: UnsafePointer<S>, _ high: UnsafePointer<S>, _ dimension: D) -> S {
    var farthest = S.Lanes(repeating: 0)
    for first in stride(from: 0, to: count, by: S.width) {
      let sums = dimension.sums(fromBox: low, high, across: UnsafePointer(coordinates + first), stride: capacity)
      farthest = S.maximum(farthest, sums)
    }
    return S.largest(farthest)
  }
}
