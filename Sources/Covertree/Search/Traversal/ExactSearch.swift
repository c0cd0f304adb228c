import CovertreeBase

/// The `k` nearest points of one query at a time, for any number of equally distant points.
///
/// The search is best first: it visits the known node or leaf with the least possible score, and among equal scores the smallest index. It
/// ends if the next box cannot contain a point that comes before the k-th found one. So among equally distant points it visits only the
/// leaves of the `k` smallest indices.
///
/// `KDTreeSearch` is faster if few points are equally distant, because it decides only at the end.
struct ExactSearch<S: Scalar, D: MetricSpace> {
  private let segments: [SegmentArrays<S>]
  /// Keeps the arrays alive.
  private let points: SearchPoints<S>
  private var query: ScoredQuery<S, D>
  private let ahead: BoxHeap
  private let scratch: TopK.Scratch
  private(set) var pointsCompared = 0
  private(set) var boxesCompared = 0

  init(_ points: SearchPoints<S>, k: Int, dimension: D) throws(CoverTreeError) {
    self.points = points
    segments = points.arrays
    query = try ScoredQuery(dimension)
    ahead = try BoxHeap()
    scratch = try TopK.Scratch(k: k)
  }

  /// The `k` nearest eligible points within a score, valid until the next query. `row` is in the type of the points, or in float64.
  @inline(never)
  mutating func nearest<A: Scalar>(
    to row: UnsafePointer<A>, _ eligible: IndexFilter, bound: Double
  ) throws(CoverTreeError) -> SortedNeighbors {
    var nearest = TopK(scratch, bound: bound)
    query.set(row)
    ahead.removeAll()
    for segment in segments.indices { try visit(segment, node: 0, eligible, nearest) }
    while let box = ahead.popFirst(), nearest.wants(box.score, box.index) {
      if box.child >= 0 {
        try visit(Int(box.segment), node: Int(box.child), eligible, nearest)
      } else {
        scan(segments[Int(box.segment)], leaf: Int(~box.child), eligible, into: &nearest)
      }
    }
    return nearest.finished()
  }

  @inline(__always)
  private mutating func visit(
    _ number: Int, node: Int, _ eligible: IndexFilter, _ nearest: borrowing TopK
  ) throws(CoverTreeError) {
    let segment = segments[number]
    let boxes = segment.boxes + node &* query.dimension.count &* 2
    let smallestIndex = segment.smallestIndex + node &* S.width
    let admitted = S.maskAdmitted(smallestIndex, below: eligible.upperIndex, except: -1)
    let worst = SIMD8<Double>(repeating: nearest.worst)
    boxesCompared &+= 1
    for part in 0..<ScoredQuery<S, D>.parts {
      let first = part &* ScoredQuery<S, D>.width
      let scores = query.least(boxes, part: part)
      for lane in SetBits(Double.maskLessOrEqual(scores, worst) & (admitted &>> UInt32(truncatingIfNeeded: first))) {
        let index = smallestIndex[first &+ lane]
        guard nearest.wants(scores[lane], index) else { continue }
        try ahead.push(
          .init(
            score: scores[lane], index: index, child: segment.children[node &* S.width &+ first &+ lane],
            segment: Int32(truncatingIfNeeded: number)))
      }
    }
  }

  @inline(__always)
  private mutating func scan(
    _ segment: SegmentArrays<S>, leaf: Int, _ eligible: IndexFilter, into nearest: inout TopK
  ) {
    let first = leaf &* segment.leafSize
    var group = segment.coordinates + first / S.width &* query.dimension.count
    pointsCompared &+= segment.leafSize
    for position in stride(from: first, to: first &+ segment.leafSize, by: S.width) {
      let admitted = segment.admitted(position, eligible)
      for part in 0..<ScoredQuery<S, D>.parts {
        let firstLane = part &* ScoredQuery<S, D>.width
        let scores = query.scores(group, part: part)
        var lanes = Double.maskLessOrEqual(scores, SIMD8(repeating: nearest.worst))
        lanes &= admitted &>> UInt32(truncatingIfNeeded: firstLane)
        for lane in SetBits(lanes) { nearest.insert(scores[lane], segment.indices[position &+ firstLane &+ lane]) }
      }
      group += query.dimension.count
    }
  }
}

/// The known boxes, with the next one to visit on top: a binary heap.
private final class BoxHeap {
  struct Box: BitwiseCopyable {
    /// The least possible score of a point in it.
    var score: Double
    var index: Int32
    /// A node, or a leaf complemented.
    var child: Int32
    var segment: Int32

    @inline(__always)
    static func < (a: Box, b: Box) -> Bool { a.score < b.score || (a.score == b.score && a.index < b.index) }
  }

  private let boxes: GrowableBuffer<Box>

  init() throws(CoverTreeError) { boxes = try GrowableBuffer() }

  @inline(__always)
  func removeAll() { boxes.removeAll() }

  @inline(__always)
  func push(_ box: Box) throws(CoverTreeError) {
    try boxes.append(box)
    let base = boxes.base
    var position = boxes.count &- 1
    while position > 0 && box < base[(position &- 1) >> 1] {
      base[position] = base[(position &- 1) >> 1]
      position = (position &- 1) >> 1
    }
    base[position] = box
  }

  @inline(__always)
  func popFirst() -> Box? {
    guard boxes.count > 0 else { return nil }
    let base = boxes.base
    let (first, last) = (base[0], base[boxes.count &- 1])
    boxes.removeLast()
    let count = boxes.count
    guard count > 0 else { return first }
    var position = 0
    while true {
      var child = 2 &* position &+ 1
      guard child < count else { break }
      if child &+ 1 < count && base[child &+ 1] < base[child] { child &+= 1 }
      guard base[child] < last else { break }
      base[position] = base[child]
      position = child
    }
    base[position] = last
    return first
  }
}
