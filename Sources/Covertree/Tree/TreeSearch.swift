/// One thread's search of one tree for Euclidean neighbours.
///
/// Depth first from the root, nearest box first; a box is entered while its distance is not above the collector's `worst`. Bounds are
/// computed in the coordinates' own type, as a filter with its rounding error allowed for; points that pass are decided by
/// their float64 distance. So the answer is that of a float64 brute force, whatever the type.
struct TreeSearch<S: Scalar, D: Dimension> {
  /// Which points count for a query.
  struct Eligibility {
    /// Dataset indices below this count.
    var before = Int32.max
    /// A dataset index that does not.
    var excluded: Int32 = -1
  }

  private struct Entry: BitwiseCopyable {
    var bound: S
    var child: Int32
  }

  private let blocks: SearchBlocks<S>
  private let dimension: D
  private let order: UnsafePointer<Int32>
  private let removed: UnsafePointer<UInt8>?
  /// The query's coordinates, each in all lanes of a vector.
  private let query: Buffer<S.Lanes>
  private let stack: Buffer<Entry>
  private let squared: Buffer<Double>
  private(set) var pointsCompared = 0
  private(set) var boxesCompared = 0

  init(_ snapshot: TreeSnapshot<S>, dimension: D) throws(CoverTreeError) {
    blocks = snapshot.blocks
    self.dimension = dimension
    order = UnsafePointer(snapshot.layout.order.base)
    removed = snapshot.removed.map { UnsafePointer($0.base) }
    query = try Buffer(count: dimension.count)
    stack = try Buffer(count: (blocks.depth + 1) * S.width)
    squared = try Buffer(count: 16)
  }

  /// Offers the collector every eligible point that it could want.
  mutating func run<C: Collector>(
    _ row: UnsafePointer<S>, _ eligible: Eligibility, into collector: inout C
  ) throws(CoverTreeError) {
    for d in 0..<dimension.count { query.base[d] = S.Lanes(repeating: row[d]) }
    var top = 0
    var threshold = self.threshold(collector.worst)
    try visit(node: 0, eligible, threshold, &top)
    while top > 0 {
      top &-= 1
      let entry = stack.base[top]
      guard entry.bound <= threshold else { continue }
      if entry.child >= 0 {
        try visit(node: Int(entry.child), eligible, threshold, &top)
      } else {
        try scan(leaf: blocks.leaves[Int(~entry.child)], eligible, &threshold, into: &collector)
      }
    }
  }

  /// The largest computed distance that a true one of at most `worst` can show, squared: `dim + 2` roundings, a half ulp each,
  /// and what underflow may add.
  @inline(__always)
  private func threshold(_ worst: Double) -> S {
    if S.self == Double.self { return S(worst) }
    let slack = 1 + Double(dimension.count + 4) * Double(S.ulpOfOne)
    return S.roundedUp(worst * slack + Double(S.leastNormalMagnitude))
  }

  /// Pushes the lanes of a node that can matter, the nearest last.
  @inline(__always)
  private mutating func visit(
    node: Int, _ eligible: Eligibility, _ threshold: S, _ top: inout Int
  ) throws(CoverTreeError) {
    let dim = dimension.count
    let boxes = blocks.boxes.base + node &* dim &* 2
    let zero = S.Lanes(repeating: 0)
    var bound = zero
    for d in 0..<dim {
      let q = query.base[d]
      let outside = S.maximum(S.maximum(boxes[2 &* d] - q, q - boxes[2 &* d &+ 1]), zero)
      bound = S.multiplyAdd(outside, outside, bound)
    }
    boxesCompared &+= 1
    var hits = S.maskLessOrEqual(bound, S.Lanes(repeating: threshold)) & blocks.lanesInUse[node]
    let first = top
    let children = blocks.children.base + node &* S.width
    let smallest = blocks.smallestIndex.base + node &* S.width
    while hits != 0 {
      let lane = hits.trailingZeroBitCount
      hits &= hits &- 1
      guard smallest[lane] < eligible.before else { continue }
      let entry = Entry(bound: bound[lane], child: children[lane])
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
    leaf: SearchBlocks<S>.Leaf, _ eligible: Eligibility, _ threshold: inout S, into collector: inout C
  ) throws(CoverTreeError) {
    let dim = dimension.count
    pointsCompared &+= Int(leaf.count)
    var group = blocks.coordinates.base + Int(leaf.group) &* dim
    var first = Int(leaf.begin)
    let end = first &+ Int(leaf.count)
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
      let t = first &+ lane
      let index = order[t]
      guard squared.base[lane] <= collector.worst, index < eligible.before, index != eligible.excluded else { continue }
      if let removed, removed[t] != 0 { continue }
      try collector.offer(squared.base[lane], index)
    }
  }
}
