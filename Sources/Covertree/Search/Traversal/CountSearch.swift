import CovertreeBase

/// Counts the points within a score of a query, one query at a time.
///
/// A box that lies inside and whose indices all count is counted without a visit: it is a range of positions. So the time depends on the
/// number of points near the limit, not of those inside.
struct CountSearch<S: Scalar, D: MetricSpace> {
  /// A segment, and the data to count its boxes without a visit.
  private struct Counted {
    let arrays: SegmentArrays<S>
    let boxes: KDTree<S>
    /// Of each lane of a node the largest index below it; nil if all indices count for all queries.
    let largestIndex: Buffer<Int32>?
    /// The number of points that count before each leaf; nil if all do.
    let liveBefore: Buffer<Int32>?
  }

  private let points: SearchPoints<S>
  private let segments: [Counted]
  private let rounding: RoundingBound<S>
  private var exact: ScoredQuery<S, D>
  private let leafSums: LeafSums<S, D>
  private let query: UnsafeMutablePointer<S.Lanes>
  private let stack: UnsafeMutablePointer<Int32>
  private let arena: Arena
  private(set) var pointsCompared = 0
  private(set) var boxesCompared = 0

  private var dimension: D { exact.dimension }
  /// The metric of the filter, for the query.
  private var space: D

  /// - Parameter bounded: whether queries have upper indices.
  init(_ points: SearchPoints<S>, bounded: Bool, dimension: D) throws(CoverTreeError) {
    self.points = points
    rounding = RoundingBound(dimension)
    var (segments, depth): ([Counted], Int) = ([], 0)
    for (number, view) in points.views.enumerated() {
      segments.append(
        Counted(
          arrays: view.arrays, boxes: view.boxes, largestIndex: bounded ? try view.boxes.largestIndex() : nil,
          liveBefore: try points.liveBeforeLeaves(number)))
      depth = max(depth, view.boxes.depth)
    }
    self.segments = segments
    exact = try ScoredQuery(dimension)
    space = dimension
    leafSums = try LeafSums(leafSize: points.arrays.reduce(0) { max($0, $1.leafSize) }, dimension)
    let entries = (depth + 1) * S.width
    arena = try Arena(Arena.size(dimension.count, of: S.Lanes.self), Arena.size(entries, of: Int32.self))
    query = arena.allocate(dimension.count)
    stack = arena.allocate(entries)
  }

  /// Limits in the filter: points and corners of boxes beyond `possible` are outside, those up to `certain` are inside, and scores decide
  /// between the two.
  private struct Limits {
    let worst: Double
    let possible: S
    let certain: S
  }

  /// The number of eligible points within a score of a query in the type of the points.
  mutating func count(_ row: UnsafePointer<S>, _ eligible: IndexFilter, within worst: Double) -> Int64 {
    exact.set(row)
    let limits = Limits(worst: worst, possible: rounding.upperBound(of: worst), certain: rounding.lowerBound(of: worst))
    return count(row, eligible, limits)
  }

  /// The same for a rounded query, with the scores of the query itself: no point within `worst` of it has a score above `reach` from the
  /// rounded one.
  mutating func count(
    _ row: UnsafePointer<Double>, rounded: UnsafePointer<S>, _ eligible: IndexFilter, within worst: Double,
    reach: Double
  ) -> Int64 {
    exact.set(row)
    return count(rounded, eligible, Limits(worst: worst, possible: rounding.upperBound(of: reach), certain: -1))
  }

  @inline(__always)
  private mutating func count(_ row: UnsafePointer<S>, _ eligible: IndexFilter, _ limits: Limits) -> Int64 {
    for d in 0..<dimension.summed { query[d] = S.Lanes(repeating: row[d]) }
    space = dimension.straight(query, query, within: limits.possible)
    var count = 0
    for number in segments.indices {
      let segment = segments[number]
      var top = 1
      stack[0] = 0
      while top > 0 {
        top &-= 1
        let child = stack[top]
        count &+=
          child >= 0
          ? visit(segment, node: Int(child), eligible, limits, &top)
          : scan(segment.arrays, leaf: Int(~child), eligible, limits)
      }
    }
    // A query is inside its own limit, so it was counted if its index counts.
    let countedItself = eligible.excludedIndex >= 0 && eligible.excludedIndex < eligible.upperIndex
    if countedItself && dimension.score(row, row, stride: 1) <= limits.worst { count &-= 1 }
    return Int64(count)
  }

  /// Counts the points of boxes inside the limit, and pushes boxes that may be partly inside.
  @inline(__always)
  private mutating func visit(
    _ segment: borrowing Counted, node: Int, _ eligible: IndexFilter, _ limits: Limits, _ top: inout Int
  ) -> Int {
    let tree = segment.arrays
    let boxes = tree.boxes + node &* dimension.count &* 2
    let nearest = space.sums(S.self, query, query, toBoxes: boxes)
    let farthest = space.sums(S.self, query, query, across: boxes)
    boxesCompared &+= 1
    let lane0 = node &* S.width
    var hits = S.maskLessOrEqual(nearest, S.Lanes(repeating: limits.possible))
    hits &= S.maskAdmitted(tree.smallestIndex + lane0, below: eligible.upperIndex, except: -1)
    var inside = hits & inside(boxes, farthest, limits)
    if inside != 0, let largestIndex = segment.largestIndex {
      inside &= S.maskAdmitted(largestIndex.base + lane0, below: eligible.upperIndex, except: -1)
    }
    for lane in SetBits(hits & ~inside) {
      stack[top] = tree.children[lane0 &+ lane]
      top &+= 1
    }
    var count = 0
    for lane in SetBits(inside) { count &+= liveCount(segment, below: tree.children[lane0 &+ lane]) }
    return count
  }

  /// The number of points that count below a lane.
  @inline(__always)
  private func liveCount(_ segment: borrowing Counted, below child: Int32) -> Int {
    let positions = segment.boxes.positions(below: child)
    guard let liveBefore = segment.liveBefore else { return positions.count }
    let leafSize = segment.arrays.leafSize
    let end = (positions.upperBound &+ leafSize &- 1) / leafSize
    return Int(liveBefore[end] &- liveBefore[positions.lowerBound / leafSize])
  }

  /// The boxes whose farthest corner is within the limit.
  @inline(__always)
  private func inside(_ boxes: UnsafePointer<S.Lanes>, _ farthest: S.Lanes, _ limits: Limits) -> UInt32 {
    var inside = S.maskLessOrEqual(farthest, S.Lanes(repeating: limits.certain))
    if S.maskLessOrEqual(farthest, S.Lanes(repeating: limits.possible)) & ~inside != 0 {
      for part in 0..<ScoredQuery<S, D>.parts {
        inside |= within(exact.largest(boxes, part: part), part, limits)
      }
    }
    return inside
  }

  @inline(__always)
  private func within(_ scores: SIMD8<Double>, _ part: Int, _ limits: Limits) -> UInt32 {
    ScoredQuery<S, D>.mask(scores, part, within: limits.worst)
  }

  @inline(__always)
  private mutating func scan(_ tree: SegmentArrays<S>, leaf: Int, _ eligible: IndexFilter, _ limits: Limits) -> Int {
    let first = leaf &* tree.leafSize
    var group = tree.coordinates + first / S.width &* dimension.count
    var count = 0
    pointsCompared &+= tree.leafSize
    leafSums.begin(query, group, leafSize: tree.leafSize, in: space)
    for position in stride(from: first, to: first &+ tree.leafSize, by: S.width) {
      let sum = leafSums.sums(query, toGroup: group, number: (position &- first) / S.width)
      var hits = S.maskLessOrEqual(sum, S.Lanes(repeating: limits.possible))
      if hits & ~S.maskLessOrEqual(sum, S.Lanes(repeating: limits.certain)) != 0 {
        var decided = UInt32(0)
        for part in 0..<ScoredQuery<S, D>.parts { decided |= within(exact.scores(group, part: part), part, limits) }
        hits &= decided
      }
      if hits != 0 {
        hits &= tree.admitted(position, IndexFilter(upperIndex: eligible.upperIndex))
        count &+= hits.nonzeroBitCount
      }
      group += dimension.count
    }
    return count
  }
}
