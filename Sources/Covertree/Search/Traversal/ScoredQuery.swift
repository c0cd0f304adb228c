import CovertreeBase

/// A query in float64, the type of all decisions: the scores of points, and the least and the largest score of points in a box.
///
/// All three are the sum of `euclideanScore`, over the differences to a point or to the nearest or farthest corner of a box. Rounding is
/// monotone, so the scores of a box bound the scores of its points, to the bit.
struct ScoredQuery<S: Scalar, D: Dimension> {
  /// The width of a vector of scores.
  static var width: Int { 8 }
  /// The vectors of scores in a vector of coordinates.
  static var parts: Int { S.width / width }

  let dimension: D
  /// Each coordinate in all lanes.
  private let query: UnsafeMutablePointer<SIMD8<Double>>
  private let arena: Arena
  /// Whether squares that have lost digits are replaced. Squares between float32 points keep theirs.
  private var losesDigits = false

  init(_ dimension: D) throws(CoverTreeError) {
    self.dimension = dimension
    arena = try Arena(Arena.size(dimension.count, of: SIMD8<Double>.self))
    query = arena.allocate(dimension.count)
  }

  /// - Parameter row: in the type of the points, or in float64.
  @inline(__always)
  mutating func set<A: Scalar>(_ row: UnsafePointer<A>) {
    for d in 0..<dimension.count { query[d] = SIMD8(repeating: Double(row[d])) }
    losesDigits = A.self == Double.self || S.self == Double.self
  }

  /// The scores of eight points of a group.
  @inline(__always)
  func scores(_ group: UnsafePointer<S.Lanes>, part: Int) -> SIMD8<Double> {
    sum { d in S.widened(group[d], part: part) - query[d] }
  }

  /// The least scores that points in eight boxes of a node can have.
  @inline(__always)
  func least(_ boxes: UnsafePointer<S.Lanes>, part: Int) -> SIMD8<Double> {
    sum { d in
      let below = S.widened(boxes[2 &* d], part: part) - query[d]
      let above = query[d] - S.widened(boxes[2 &* d &+ 1], part: part)
      return Double.maximum(Double.maximum(below, above), SIMD8(repeating: 0))
    }
  }

  /// The largest scores that points in eight boxes of a node can have.
  @inline(__always)
  func largest(_ boxes: UnsafePointer<S.Lanes>, part: Int) -> SIMD8<Double> {
    sum { d in
      let low = query[d] - S.widened(boxes[2 &* d], part: part)
      let high = S.widened(boxes[2 &* d &+ 1], part: part) - query[d]
      return Double.maximum(low, high)
    }
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
