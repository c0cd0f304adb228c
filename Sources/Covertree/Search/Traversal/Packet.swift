import CovertreeBase

/// A packet: points that are searched for together, one in each lane of a vector, and the boxes still to be visited for them.
///
/// A box is within reach if it is within the *limit* of a lane: the largest sum of the filter of use to it.
struct Packet<S: Scalar, D: MetricSpace> {
  struct Box: BitwiseCopyable {
    /// The distance from the box around all lanes.
    var bound: S
    /// A node, or a leaf complemented.
    var child: Int32
    /// The number of its box: lane `number % width` of node `number / width`.
    var number: Int32
  }

  let dimension: D
  /// The metric of the filter, for these points.
  private var space: D
  private let arena: Arena
  private let stack: UnsafeMutablePointer<Box>
  private var top = 0
  /// One vector for each coordinate, a point per lane.
  private let lanes: UnsafeMutablePointer<S.Lanes>
  /// The box around the points, each side in all lanes.
  private let low: UnsafeMutablePointer<S.Lanes>
  private let high: UnsafeMutablePointer<S.Lanes>
  private let rows: UnsafeMutablePointer<UnsafePointer<S>>
  private let limitsOfLanes: UnsafeMutablePointer<S>
  /// Points or sides of a box, each coordinate in all lanes, and the sums of a call: for other metrics.
  private let spread: UnsafeMutablePointer<S.Lanes>
  private let sums: UnsafeMutablePointer<S.Lanes>
  /// Lanes in use.
  private(set) var count = 0
  private(set) var boxesCompared = 0

  /// - Parameter depth: of the deepest tree that is walked.
  init(_ dimension: D, depth: Int) throws(CoverTreeError) {
    (self.dimension, space) = (dimension, dimension)
    let (entries, dim) = (depth * S.width, dimension.count)
    arena = try Arena(
      Arena.size(entries, of: Box.self), Arena.size(3 * dim, of: S.Lanes.self),
      Arena.size(S.width, of: UnsafePointer<S>.self), Arena.size(S.width, of: S.self),
      Arena.size(4 * dim, of: S.Lanes.self), Arena.size(4, of: S.Lanes.self))
    stack = arena.allocate(entries)
    lanes = arena.allocate(3 * dim)
    (low, high) = (lanes + dim, lanes + 2 * dim)
    rows = arena.allocate(S.width)
    limitsOfLanes = arena.allocate(S.width)
    spread = arena.allocate(4 * dim)
    sums = arena.allocate(4)
  }

  /// Empties all lanes.
  @inline(__always)
  mutating func removeAll() { count = 0 }

  /// Adds a point to the next lane, of `width`.
  @inline(__always)
  mutating func add(_ row: UnsafePointer<S>, limit: S) {
    let scalars = lanes.scalars
    for d in 0..<dimension.summed { scalars[d &* S.width &+ count] = row[d] }
    rows[count] = row
    limitsOfLanes[count] = limit
    count &+= 1
  }

  /// Replaces the points by the first points of a group of a tree.
  @inline(__always)
  mutating func load(_ group: UnsafePointer<S.Lanes>, count: Int, limit: S, row: (Int) -> UnsafePointer<S>) {
    for d in 0..<dimension.count { lanes[d] = group[d] }
    for lane in 0..<count {
      rows[lane] = row(lane)
      limitsOfLanes[lane] = limit
    }
    self.count = count
  }

  /// Ends the adding. Lanes without a point repeat the first one and have a negative limit.
  @inline(__always)
  func close() {
    let scalars = lanes.scalars
    for lane in count..<S.width {
      for d in 0..<dimension.summed { scalars[d &* S.width &+ lane] = scalars[d &* S.width] }
      limitsOfLanes[lane] = -1
    }
    for d in 0..<dimension.summed {
      low[d] = S.Lanes(repeating: -S.largest(-lanes[d]))
      high[d] = S.Lanes(repeating: S.largest(lanes[d]))
    }
  }

  /// Begins a search within the largest limit of a lane.
  @inline(__always)
  mutating func begin(within reach: S) { space = dimension.straight(low, high, within: reach) }

  /// Below 0 in lanes without a point.
  @inline(__always)
  var limits: S.Lanes { UnsafeRawPointer(limitsOfLanes).load(as: S.Lanes.self) }

  @inline(__always)
  func limit(_ lane: Int) -> S { limitsOfLanes[lane] }

  @inline(__always)
  func setLimit(_ lane: Int, _ limit: S) { limitsOfLanes[lane] = limit }
}

extension Packet {
  /// Pushes the children of a node that can matter, the nearest last.
  ///
  /// - Parameters:
  ///   - reach: the largest limit of a lane.
  ///   - latest: indices from here on matter to no lane.
  @inline(__always)
  mutating func push(_ tree: SegmentArrays<S>, childrenOf node: Int, _ reach: S, _ latest: Int32) {
    let boxes = tree.boxes + node &* dimension.count &* 2
    let bound = space.sums(S.self, low, high, toBoxes: boxes)
    boxesCompared &+= 1
    let first = top
    for lane in SetBits(S.maskLessOrEqual(bound, S.Lanes(repeating: reach))) {
      let number = node &* S.width &+ lane
      guard tree.smallestIndex[number] < latest else { continue }
      let box = Box(bound: bound[lane], child: tree.children[number], number: Int32(truncatingIfNeeded: number))
      var slot = top
      while slot > first && stack[slot &- 1].bound < box.bound {
        stack[slot] = stack[slot &- 1]
        slot &-= 1
      }
      stack[slot] = box
      top &+= 1
    }
  }

  /// The next box, if it is within reach.
  @inline(__always)
  mutating func pop(_ reach: S) -> Box? {
    while top > 0 {
      top &-= 1
      if stack[top].bound <= reach { return stack[top] }
    }
    return nil
  }

  /// Sums from each lane to a box.
  @inline(__always)
  mutating func sums(_ tree: SegmentArrays<S>, to box: Box) -> S.Lanes {
    let number = Int(box.number)
    let sides = (tree.boxes + number / S.width &* dimension.count &* 2).scalars + number % S.width
    boxesCompared &+= 1
    guard D.isEuclidean else {
      for side in 0..<2 &* dimension.summed { spread[side] = S.Lanes(repeating: sides[side &* S.width]) }
      return space.sums(S.self, lanes, lanes, toBoxes: spread)
    }
    let zero = S.Lanes(repeating: 0)
    var bound = zero
    for d in 0..<dimension.count {
      let lower = S.Lanes(repeating: sides[2 &* d &* S.width])
      let upper = S.Lanes(repeating: sides[(2 &* d &+ 1) &* S.width])
      let outside = S.maximum(S.maximum(lower - lanes[d], lanes[d] - upper), zero)
      bound = S.multiplyAdd(outside, outside, bound)
    }
    return bound
  }

  /// Sums from each lane to a point: every `width`-th scalar from `point`.
  @inline(__always)
  func sums(to point: UnsafePointer<S>) -> S.Lanes {
    guard D.isEuclidean else {
      for d in 0..<dimension.summed { spread[d] = S.Lanes(repeating: point[d &* S.width]) }
      return dimension.sums(S.self, lanes, toGroup: spread)
    }
    var sum = S.Lanes(repeating: 0)
    for d in 0..<dimension.count {
      let difference = lanes[d] - S.Lanes(repeating: point[d &* S.width])
      sum = S.multiplyAdd(difference, difference, sum)
    }
    return sum
  }

  /// Sums from each lane to four consecutive points of a group: four at a time, because each is a chain of additions.
  @inline(__always)
  func sums(toFourFrom point: UnsafePointer<S>) -> (S.Lanes, S.Lanes, S.Lanes, S.Lanes) {
    guard D.isEuclidean else {
      for d in 0..<dimension.summed {
        for next in 0..<4 {
          spread[next &* dimension.count &+ d] = S.Lanes(repeating: point[d &* S.width &+ next])
        }
      }
      space.sums(S.self, lanes, toGroups: spread, count: 4, into: sums)
      return (sums[0], sums[1], sums[2], sums[3])
    }
    var sums = (S.Lanes(repeating: 0), S.Lanes(repeating: 0), S.Lanes(repeating: 0), S.Lanes(repeating: 0))
    for d in 0..<dimension.count {
      let (own, others) = (lanes[d], point + d &* S.width)
      let differences = (
        own - S.Lanes(repeating: others[0]), own - S.Lanes(repeating: others[1]),
        own - S.Lanes(repeating: others[2]), own - S.Lanes(repeating: others[3])
      )
      sums.0 = S.multiplyAdd(differences.0, differences.0, sums.0)
      sums.1 = S.multiplyAdd(differences.1, differences.1, sums.1)
      sums.2 = S.multiplyAdd(differences.2, differences.2, sums.2)
      sums.3 = S.multiplyAdd(differences.3, differences.3, sums.3)
    }
    return sums
  }

  /// Sums from one lane to the points of a group.
  @inline(__always)
  func sums(from lane: Int, to group: UnsafePointer<S.Lanes>) -> S.Lanes {
    let row = rows[lane]
    guard D.isEuclidean else {
      for d in 0..<dimension.summed { spread[d] = S.Lanes(repeating: row[d]) }
      return space.sums(S.self, spread, toGroup: group)
    }
    var sum = S.Lanes(repeating: 0)
    for d in 0..<dimension.count {
      let difference = group[d] - S.Lanes(repeating: row[d])
      sum = S.multiplyAdd(difference, difference, sum)
    }
    return sum
  }

  /// The score of one lane and a point, which decides.
  @inline(__always)
  func score(from lane: Int, to point: UnsafePointer<S>) -> Double {
    dimension.score(rows[lane], point, stride: S.width)
  }
}
