/// Points of one group that passed the filter.
struct Hits<S: Scalar, D: MetricSpace> {
  /// A bit for each point.
  let lanes: UInt32
  /// Squared distances of all lanes in the filter.
  let filtered: S.Lanes
  let group: UnsafePointer<S.Lanes>
  let query: UnsafePointer<S>
  let dimension: D
  /// The position of the first lane, counted through all trees.
  let position: Int
  let indices: UnsafePointer<Int32>

  /// The score that all searches decide by, bit for bit, except in the lanes of `near`.
  @inline(__always)
  func squared(_ lane: Int) -> Double {
    if S.self == Double.self && dimension.decidesBySum { return Double(filtered[lane]) }
    return dimension.score(query, point(lane), stride: S.width)
  }

  @inline(__always)
  private func point(_ lane: Int) -> UnsafePointer<S> {
    group.scalars + lane
  }

  /// The points whose squares have lost digits.
  @inline(__always)
  var near: UInt32 {
    guard S.self == Double.self && D.isEuclidean else { return 0 }
    return lanes & S.maskLessOrEqual(filtered, S.Lanes(repeating: S(Score.leastSquare.nextDown)))
  }

  /// The score of a lane of `near`.
  @inline(never)
  func scoreOfNear(_ lane: Int) -> Double {
    Covertree.scoreOfNear(query, point(lane), stride: S.width, dim: dimension.count)
  }

  @inline(__always)
  func index(_ lane: Int) -> Int32 { indices[lane] }
}
