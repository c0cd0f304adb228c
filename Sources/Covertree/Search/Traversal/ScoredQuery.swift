import CovertreeBase

/// A query in float64, the type of all decisions: the scores of points, and the least and the largest score of points in a box.
///
/// In Euclidean space all three are the sum of `euclideanScore`, over the differences to a point or to the nearest or farthest corner of a
/// box. Rounding is monotone, so the scores of a box bound the scores of its points, to the bit. Other metrics have sums and `BoxBound`.
struct ScoredQuery<S: Scalar, D: MetricSpace> {
  /// The width of a vector of scores.
  static var width: Int { 8 }
  /// The vectors of scores in a vector of coordinates.
  static var parts: Int { S.width / width }

  let dimension: D
  /// Each coordinate in all lanes.
  private let query: UnsafeMutablePointer<SIMD8<Double>>
  /// For other metrics: the coordinates, and the boxes of a node in float64.
  private let row: UnsafeMutablePointer<Double>
  private let sides: UnsafeMutablePointer<SIMD8<Double>>
  private let bound: BoxBound
  private let arena: Arena
  /// Whether squares that have lost digits are replaced. Squares between float32 points keep theirs.
  private var losesDigits = false

  init(_ dimension: D) throws(CoverTreeError) {
    self.dimension = dimension
    bound = BoxBound(dimension.errors(Double.self))
    let (dim, other) = (dimension.count, D.isEuclidean ? 0 : dimension.count)
    arena = try Arena(
      Arena.size(dim, of: SIMD8<Double>.self), Arena.size(other, of: Double.self),
      Arena.size(2 * other, of: SIMD8<Double>.self))
    query = arena.allocate(dim)
    row = arena.allocate(other)
    sides = arena.allocate(2 * other)
  }

  /// - Parameter row: in the type of the points, or in float64.
  @inline(__always)
  mutating func set<A: Scalar>(_ row: UnsafePointer<A>) {
    for d in 0..<dimension.count { query[d] = SIMD8(repeating: Double(row[d])) }
    losesDigits = A.self == Double.self || S.self == Double.self
    if !D.isEuclidean {
      for d in 0..<dimension.count { self.row[d] = Double(row[d]) }
    }
  }

  /// The scores of eight points of a group.
  @inline(__always)
  func scores(_ group: UnsafePointer<S.Lanes>, part: Int) -> SIMD8<Double> {
    guard D.isEuclidean else {
      return dimension.scores(UnsafePointer(row), group.scalars + part &* Self.width, stride: S.width)
    }
    return sum { d in S.widened(group[d], part: part) - query[d] }
  }

  /// The lanes of a vector of coordinates whose scores, eight of them, are within a limit.
  @inline(__always)
  static func mask(_ scores: SIMD8<Double>, _ part: Int, within worst: Double) -> UInt32 {
    Double.maskLessOrEqual(scores, SIMD8(repeating: worst)) &<< UInt32(truncatingIfNeeded: part &* width)
  }

  /// The least scores that points in eight boxes of a node can have.
  @inline(__always)
  func least(_ boxes: UnsafePointer<S.Lanes>, part: Int) -> SIMD8<Double> {
    guard D.isEuclidean else {
      return bound.least(dimension.sums(Double.self, query, query, toBoxes: widened(boxes, part)))
    }
    return sum { d in
      let below = S.widened(boxes[2 &* d], part: part) - query[d]
      let above = query[d] - S.widened(boxes[2 &* d &+ 1], part: part)
      return Double.maximum(Double.maximum(below, above), SIMD8(repeating: 0))
    }
  }

  /// The largest scores that points in eight boxes of a node can have.
  @inline(__always)
  func largest(_ boxes: UnsafePointer<S.Lanes>, part: Int) -> SIMD8<Double> {
    guard D.isEuclidean else {
      return bound.largest(dimension.sums(Double.self, query, query, across: widened(boxes, part)))
    }
    return sum { d in
      let low = query[d] - S.widened(boxes[2 &* d], part: part)
      let high = S.widened(boxes[2 &* d &+ 1], part: part) - query[d]
      return Double.maximum(low, high)
    }
  }

  @inline(__always)
  private func widened(_ boxes: UnsafePointer<S.Lanes>, _ part: Int) -> UnsafePointer<SIMD8<Double>> {
    for side in 0..<2 &* dimension.count { sides[side] = S.widened(boxes[side], part: part) }
    return UnsafePointer(sides)
  }

  @inline(__always)
  private func sum(_ difference: (Int) -> SIMD8<Double>) -> SIMD8<Double> {
    var sum = SIMD8<Double>(repeating: 0)
    for d in 0..<dimension.count {
      let difference = difference(d)
      sum = Double.multiplyAdd(difference, difference, sum)
    }
    guard losesDigits else { return sum }
    let near = Double.maskLessOrEqual(sum, SIMD8(repeating: Score.leastSquare.nextDown))
    guard near != 0 else { return sum }
    var magnified = SIMD8<Double>(repeating: 0)
    for d in 0..<dimension.count {
      let difference = difference(d) * Score.magnification
      magnified = Double.multiplyAdd(difference, difference, magnified)
    }
    for lane in SetBits(near) { sum[lane] = Score.ofMagnified(square: magnified[lane]) }
    return sum
  }
}
