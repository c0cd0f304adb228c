import Glibc

/// What a search does with the points it finds: one traversal serves nearest neighbours, radius search and counting.
protocol Collector {
  /// Points and subtrees farther than this (squared) are of no use any more.
  var worst: Double { get }
  /// A point with its dataset index and squared distance. It may turn out to be of no use.
  mutating func offer(_ squared: Double, _ index: Int32) throws(CoverTreeError)
}

/// A neighbour while it is being searched for. Neighbours are ordered by distance, then by index.
struct Candidate: BitwiseCopyable {
  var squared: Double
  var index: Int32

  @inline(__always)
  static func < (a: Candidate, b: Candidate) -> Bool {
    a.squared < b.squared || (a.squared == b.squared && a.index < b.index)
  }
}

/// The `k` nearest of the points offered.
///
/// Up to `sortedLimit` they are kept sorted by insertion; beyond that in a binary heap with the farthest on top,
/// sorted at the end. O(min(k, sortedLimit)) or O(log k) a point that is kept, one comparison for one that is not.
struct NearestCollector: Collector {
  private static let sortedLimit = 128

  private let items: UnsafeMutablePointer<Candidate>
  private let k: Int
  private(set) var count = 0
  private(set) var worst: Double

  /// - Parameters:
  ///   - items: room for `k`.
  ///   - bound: a squared distance beyond which nothing is wanted.
  init(items: UnsafeMutablePointer<Candidate>, k: Int, bound: Double) {
    self.items = items
    self.k = k
    worst = bound
  }

  subscript(rank: Int) -> Candidate { items[rank] }

  @inline(__always)
  mutating func offer(_ squared: Double, _ index: Int32) {
    let candidate = Candidate(squared: squared, index: index)
    guard squared <= worst else { return }
    if k <= Self.sortedLimit { insertSorted(candidate) } else { insertIntoHeap(candidate) }
  }

  @inline(__always)
  private mutating func insertSorted(_ candidate: Candidate) {
    var place = count
    if count == k {
      guard candidate < items[k &- 1] else { return }
      place = k &- 1
    } else {
      count &+= 1
    }
    while place > 0 && candidate < items[place &- 1] {
      items[place] = items[place &- 1]
      place &-= 1
    }
    items[place] = candidate
    if count == k { worst = items[k &- 1].squared }
  }

  private mutating func insertIntoHeap(_ candidate: Candidate) {
    if count < k {
      var place = count
      count &+= 1
      while place > 0 && items[(place &- 1) >> 1] < candidate {
        items[place] = items[(place &- 1) >> 1]
        place = (place &- 1) >> 1
      }
      items[place] = candidate
    } else {
      guard candidate < items[0] else { return }
      siftDown(candidate, size: k)
    }
    if count == k { worst = items[0].squared }
  }

  /// Puts `candidate` in place of the top of the heap.
  private func siftDown(_ candidate: Candidate, size: Int) {
    var place = 0
    while true {
      var child = 2 &* place &+ 1
      guard child < size else { break }
      if child &+ 1 < size && items[child] < items[child &+ 1] { child &+= 1 }
      guard candidate < items[child] else { break }
      items[place] = items[child]
      place = child
    }
    items[place] = candidate
  }

  /// Sorts what was found. Nothing may be offered afterwards.
  mutating func finish() {
    guard k > Self.sortedLimit else { return }
    var size = count
    while size > 1 {
      size &-= 1
      let farthest = items[0]
      siftDown(items[size], size: size)
      items[size] = farthest
    }
  }
}

/// All points within a radius.
struct RadiusCollector: Collector {
  let found: Stack<Candidate>
  let worst: Double

  @inline(__always)
  mutating func offer(_ squared: Double, _ index: Int32) throws(CoverTreeError) {
    try found.append(Candidate(squared: squared, index: index))
  }

  /// Sorts what was found from `first` on.
  func sort(from first: Int) {
    var tail = UnsafeMutableBufferPointer(start: found.base + first, count: found.count - first)
    tail.sort { $0 < $1 }
  }
}

/// How many points lie within a radius.
struct CountCollector: Collector {
  private(set) var count: Int64 = 0
  let worst: Double

  init(worst: Double) { self.worst = worst }

  @inline(__always)
  mutating func offer(_ squared: Double, _ index: Int32) { count &+= 1 }
}
