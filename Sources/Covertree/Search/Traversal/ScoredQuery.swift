import CovertreeBase

/// A query in float64, the type of all decisions: the scores of points, and the least and the largest score of points in a box.
///
/// All three are sums over the differences to a point or to the nearest or farthest corner of a box. If rounding is monotone, the sums of a
/// box bound the scores of its points to the bit; otherwise `BoxBound` allows for the difference.
struct ScoredQuery<S: Scalar, D: MetricSpace> {
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
  private let bound: BoxBound<D>

  init(_ dimension: D) throws(CoverTreeError) {
    self.dimension = dimension
    bound = BoxBound(dimension)
    arena = try Arena(Arena.size(dimension.count, of: SIMD8<Double>.self))
    query = arena.allocate(dimension.count)
  }

  /// - Parameter row: in the type of the points, or in float64.
  @inline(__always)
  mutating func set<A: Scalar>(_ row: UnsafePointer<A>) {
    for d in 0..<dimension.count { query[d] = SIMD8(repeating: Double(row[d])) }
    losesDigits = D.isEuclidean && (A.self == Double.self || S.self == Double.self)
  }

  /// The scores of eight points of a group.
  @inline(__always)
  func scores(_ group: UnsafePointer<S.Lanes>, part: Int) -> SIMD8<Double> {
    guard D.isEuclidean else {
      return dimension.scores {
        query[$0]
      } _: {
        S.widened(group[$0], part: part)
      }
    }
    return squares { d in S.widened(group[d], part: part) - query[d] }
  }

  /// The least scores that points in eight boxes of a node can have.
  @inline(__always)
  func least(_ boxes: UnsafePointer<S.Lanes>, part: Int) -> SIMD8<Double> {
    guard D.isEuclidean else {
      var sum = SIMD8<Double>(repeating: 0)
      for d in 0..<dimension.summed {
        sum = dimension.addingOutside(
          Double.self, below: S.widened(boxes[2 &* d], part: part) - query[d],
          above: query[d] - S.widened(boxes[2 &* d &+ 1], part: part), d, to: sum)
      }
      return bound.least(sum)
    }
    return squares { d in
      let below = S.widened(boxes[2 &* d], part: part) - query[d]
      let above = query[d] - S.widened(boxes[2 &* d &+ 1], part: part)
      return Double.maximum(Double.maximum(below, above), SIMD8(repeating: 0))
    }
  }

  /// The largest scores that points in eight boxes of a node can have.
  @inline(__always)
  func largest(_ boxes: UnsafePointer<S.Lanes>, part: Int) -> SIMD8<Double> {
    @inline(__always) func across(_ d: Int) -> SIMD8<Double> {
      let low = query[d] - S.widened(boxes[2 &* d], part: part)
      let high = S.widened(boxes[2 &* d &+ 1], part: part) - query[d]
      return Double.maximum(low, high)
    }
    guard D.isEuclidean else {
      var sum = SIMD8<Double>(repeating: 0)
      for d in 0..<dimension.summed { sum = dimension.addingFarthest(Double.self, across(d), d, to: sum) }
      return bound.largest(sum)
    }
    return squares(across)
  }

  /// Sums of squares, as scores.
  @inline(__always)
  private func squares(_ difference: (Int) -> SIMD8<Double>) -> SIMD8<Double> {
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
