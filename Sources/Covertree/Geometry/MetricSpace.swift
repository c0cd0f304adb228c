/// The metric of a search, known to the compiler: how the distance of two points is summed over their coordinates.
///
/// Searches are generic over it. A *sum* is a number that grows with the distance, such as the square of the Euclidean one. The filter sums
/// in the coordinates' own type, and decisions sum in float64; both use the same three functions.
protocol MetricSpace: Dimension {
  /// Euclidean distance between the coordinates as they are. Its scores are those of `Score`.
  static var isEuclidean: Bool { get }
  /// Whether float64 sums of boxes bound the scores of their points to the bit. Otherwise `errors` bounds the difference.
  static var isMonotone: Bool { get }
  /// Whether a float64 sum of a point is its score. Otherwise `scores` decides by a formula of its own.
  static var decidesBySum: Bool { get }

  /// The first coordinates, over which sums run. The rest of a row is for `scores`.
  var summed: Int { get }
  /// Bounds for the difference between sums in a type and scores.
  func errors<S: Scalar>(_: S.Type) -> SumErrors

  /// Adds the term of a coordinate, from the difference of two points.
  func adding<S: Scalar>(_: S.Type, _ difference: S.Lanes, _ d: Int, to sum: S.Lanes) -> S.Lanes
  /// Adds the least term of a coordinate that points of a box can have. Before the box, `below` is above 0; after it, `above` is.
  func addingOutside<S: Scalar>(
    _: S.Type, below: S.Lanes, above: S.Lanes, _ d: Int, to sum: S.Lanes
  ) -> S.Lanes
  /// Adds a bound of the terms of a coordinate for differences up to one of at least 0.
  func addingFarthest<S: Scalar>(_: S.Type, _ difference: S.Lanes, _ d: Int, to sum: S.Lanes) -> S.Lanes

  /// The float64 scores of eight pairs of points, which decide about them. `x` and `y` return a coordinate of all pairs.
  func scores(_ x: (Int) -> SIMD8<Double>, _ y: (Int) -> SIMD8<Double>) -> SIMD8<Double>
  /// The score of one pair: bit for bit the same.
  ///
  /// - Parameter stride: scalars from one coordinate of `y` to the next.
  func score<A: Scalar, B: Scalar>(_ x: UnsafePointer<A>, _ y: UnsafePointer<B>, stride: Int) -> Double
}

/// A sum is at most `factor * score + offset`, and a score at most `factor * sum + offset`.
struct SumErrors {
  var factor = 1.0
  var offset = 0.0
}

extension MetricSpace {
  @inline(__always) static var isEuclidean: Bool { true }
  @inline(__always) static var isMonotone: Bool { true }
  @inline(__always) static var decidesBySum: Bool { true }
  @inline(__always) var summed: Int { count }

  @inline(__always)
  func errors<S: Scalar>(_: S.Type) -> SumErrors {
    // `dim + 2` roundings of half an ulp each, and a margin. Squares may underflow. In float64 rounding is monotone, so a box is never
    // farther than a point in it.
    if S.self == Double.self { return SumErrors() }
    return SumErrors(factor: 1 + Double(count + 4) * Double(S.ulpOfOne), offset: Double(S.leastNormalMagnitude))
  }

  @inline(__always)
  func adding<S: Scalar>(_: S.Type, _ difference: S.Lanes, _ d: Int, to sum: S.Lanes) -> S.Lanes {
    S.multiplyAdd(difference, difference, sum)
  }

  @inline(__always)
  func addingOutside<S: Scalar>(_: S.Type, below: S.Lanes, above: S.Lanes, _ d: Int, to sum: S.Lanes) -> S.Lanes {
    let outside = S.maximum(S.maximum(below, above), S.Lanes(repeating: 0))
    return S.multiplyAdd(outside, outside, sum)
  }

  @inline(__always)
  func addingFarthest<S: Scalar>(_: S.Type, _ difference: S.Lanes, _ d: Int, to sum: S.Lanes) -> S.Lanes {
    S.multiplyAdd(difference, difference, sum)
  }

  @inline(__always)
  func scores(_ x: (Int) -> SIMD8<Double>, _ y: (Int) -> SIMD8<Double>) -> SIMD8<Double> {
    var sum = SIMD8<Double>(repeating: 0)
    for d in 0..<summed { sum = adding(Double.self, y(d) - x(d), d, to: sum) }
    return sum
  }
}

extension FixedDimension: MetricSpace {
  @inline(__always)
  func score<A: Scalar, B: Scalar>(_ x: UnsafePointer<A>, _ y: UnsafePointer<B>, stride: Int) -> Double {
    euclideanScore(x, y, stride: stride, dim: count)
  }
}

extension RuntimeDimension: MetricSpace {
  @inline(__always)
  func score<A: Scalar, B: Scalar>(_ x: UnsafePointer<A>, _ y: UnsafePointer<B>, stride: Int) -> Double {
    euclideanScore(x, y, stride: stride, dim: count)
  }
}

extension MetricSpace {
  /// The score of one pair, by the scores of eight equal ones.
  @inline(__always)
  func scoreByLanes<A: Scalar, B: Scalar>(_ x: UnsafePointer<A>, _ y: UnsafePointer<B>, stride: Int) -> Double {
    scores({ SIMD8(repeating: Double(x[$0])) }, { SIMD8(repeating: Double(y[$0 &* stride])) })[0]
  }
}
