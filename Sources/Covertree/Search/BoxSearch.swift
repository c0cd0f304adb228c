import CNumerics

/// One thread's searches of one box tree: the core that every Euclidean search goes through.
///
/// Depth first from the root, the nearest box first; a box is entered while its distance is not above the collector's
/// `worst`. Boxes and points are compared in the coordinates' own type, as a filter with its rounding error allowed
/// for; points that pass are decided by their float64 distance. So the answer is that of a float64 brute force,
/// whatever the type.
struct BoxSearch<S: Scalar, D: Dimension> {
  private struct Entry: BitwiseCopyable {
    var bound: S
    /// A node, or a leaf complemented.
    var child: Int32
  }

  private let tree: BoxTree<S>
  private let dimension: D
  private let labels: UnsafePointer<Int32>?
  /// By place in the sequence: 1 for points that do not count for any query.
  private let removed: Buffer<UInt8>?
  /// The query's coordinates, each in all lanes of a vector.
  private let query: Buffer<S.Lanes>
  private let stack: Buffer<Entry>
  private let squared: Buffer<Double>
  private(set) var pointsCompared = 0
  private(set) var boxesCompared = 0

  init(_ tree: BoxTree<S>, removed: Buffer<UInt8>? = nil, dimension: D) throws(CoverTreeError) {
    self.tree = tree
    self.dimension = dimension
    labels = tree.labels.map { UnsafePointer($0.base) }
    self.removed = removed
    query = try Buffer(count: dimension.count)
    stack = try Buffer(count: (tree.depth + 1) * S.width)
    squared = try Buffer(count: 16)
  }

  /// Offers the collector every eligible point that it could want.
  @inline(__always)
  mutating func run<C: Collector>(
    _ row: UnsafePointer<S>, _ eligible: Eligibility = Eligibility(), into collector: inout C
  ) throws(CoverTreeError) {
    for d in 0..<dimension.count { query.base[d] = S.Lanes(repeating: row[d]) }
    var threshold = self.threshold(collector.worst)
    var top = 0
    visit(node: 0, eligible, threshold, &top)
    while top > 0 {
      top &-= 1
      let entry = stack.base[top]
      guard entry.bound <= threshold else { continue }
      if entry.child >= 0 {
        visit(node: Int(entry.child), eligible, threshold, &top)
      } else {
        try scan(leaf: Int(~entry.child), eligible, &threshold, into: &collector)
      }
    }
  }

  /// The largest square that a true distance of at most `worst`, squared, can show in the filter: `dim + 2` roundings
  /// of half an ulp each, and what underflow may add. With float64 coordinates the filter is the decision itself;
  /// there a box is never farther than a point in it, as rounding is monotone.
  @inline(__always)
  private func threshold(_ worst: Double) -> S {
    if S.self == Double.self { return S(worst) }
    let slack = 1 + Double(dimension.count &+ 4) * Double(S.ulpOfOne)
    return S.roundedUp(worst * slack + Double(S.leastNormalMagnitude))
  }

  /// Pushes the children of a node that can matter, the nearest last.
  @inline(__always)
  private mutating func visit(node: Int, _ eligible: Eligibility, _ threshold: S, _ top: inout Int) {
    let dim = dimension.count
    let boxes = tree.boxes.base + node &* dim &* 2
    let zero = S.Lanes(repeating: 0)
    var bound = zero
    for d in 0..<dim {
      let q = query.base[d]
      let outside = S.maximum(S.maximum(boxes[2 &* d] - q, q - boxes[2 &* d &+ 1]), zero)
      bound = S.multiplyAdd(outside, outside, bound)
    }
    boxesCompared &+= 1
    let inUse = (UInt32(1) &<< UInt32(truncatingIfNeeded: tree.childCount[node])) &- 1
    var hits = S.maskLessOrEqual(bound, S.Lanes(repeating: threshold)) & inUse
    let first = top
    let firstChild = tree.firstChild[node]
    let smallest = tree.smallestLabel.base + node &* S.width
    while hits != 0 {
      let lane = hits.trailingZeroBitCount
      hits &= hits &- 1
      guard smallest[lane] < eligible.before else { continue }
      // Leaves are numbered downwards from -1.
      let step = Int32(truncatingIfNeeded: lane)
      let entry = Entry(bound: bound[lane], child: firstChild >= 0 ? firstChild &+ step : firstChild &- step)
      var place = top
      while place > first && stack.base[place &- 1].bound < entry.bound {
        stack.base[place] = stack.base[place &- 1]
        place &-= 1
      }
      stack.base[place] = entry
      top &+= 1
    }
  }

  @inline(__always)
  private mutating func scan<C: Collector>(
    leaf: Int, _ eligible: Eligibility, _ threshold: inout S, into collector: inout C
  ) throws(CoverTreeError) {
    let dim = dimension.count
    var group = tree.coordinates.base + leaf &* tree.groupsPerLeaf &* dim
    var first = leaf &* tree.leafSize
    let end = first &+ tree.pointCount(ofLeaf: leaf)
    pointsCompared &+= end &- first
    while first < end {
      var sum = S.Lanes(repeating: 0)
      for d in 0..<dim {
        let difference = group[d] - query.base[d]
        sum = S.multiplyAdd(difference, difference, sum)
      }
      let hits = S.maskLessOrEqual(sum, S.Lanes(repeating: threshold))
      if hits != 0 {
        try decide(hits, sum, group, first, eligible, into: &collector)
        threshold = self.threshold(collector.worst)
      }
      group += dim
      first &+= S.width
    }
  }

  /// Offers the lanes that passed the filter, by their float64 distances.
  @inline(__always)
  private mutating func decide<C: Collector>(
    _ hits: UInt32, _ filtered: S.Lanes, _ group: UnsafePointer<S.Lanes>, _ first: Int, _ eligible: Eligibility,
    into collector: inout C
  ) throws(CoverTreeError) {
    let vectors = UnsafeMutableRawPointer(squared.base).assumingMemoryBound(to: SIMD8<Double>.self)
    if S.self == Double.self {
      vectors[0] = S.widened(filtered, part: 0)
    } else {
      for part in 0..<S.width / 8 {
        var sum = SIMD8<Double>(repeating: 0)
        for d in 0..<dimension.count {
          let difference = S.widened(group[d], part: part) - S.widened(query.base[d], part: part)
          sum = Double.multiplyAdd(difference, difference, sum)
        }
        vectors[part] = sum
      }
    }
    var hits = hits
    while hits != 0 {
      let lane = hits.trailingZeroBitCount
      hits &= hits &- 1
      let place = first &+ lane
      guard squared.base[lane] <= collector.worst else { continue }
      let label = labels.map { $0[place] } ?? Int32(truncatingIfNeeded: place)
      guard eligible.admits(label) else { continue }
      if let removed, removed[place] != 0 { continue }
      try collector.offer(squared.base[lane], label)
    }
  }
}

/// Which points count for a query.
struct Eligibility {
  /// Labels below this.
  var before = Int32.max
  /// A label that does not count.
  var excluded: Int32 = -1

  @inline(__always)
  func admits(_ label: Int32) -> Bool { label < before && label != excluded }
}
