import CNumerics

/// The metric of a search: Euclidean distance, with the dimension known to the compiler, or any other one (`RuntimeMetric`).
///
/// Searches are generic over it. A *sum* is a number that grows with the distance, such as the square of the Euclidean one. The filter sums
/// in the coordinates' own type, for `width` points or boxes at a time, and decisions are made in float64.
protocol MetricSpace: Dimension {
  /// Euclidean distance between the coordinates as they are. Its scores are those of `Score`.
  static var isEuclidean: Bool { get }
  /// The number of coordinates over which sums run: the first ones of a row.
  var summed: Int { get }
  /// Whether a float64 sum of a point is its score. Otherwise `scores` decides by a formula of its own.
  var decidesBySum: Bool { get }
  /// Bounds for the difference between sums in a type and scores.
  func errors<S: Scalar>(_: S.Type) -> SumErrors

  /// The metric for searches from the points of a box for points within a sum: without periods if all of these are reached without
  /// crossing the end of a period. Farther points are then too far in it, too, and nearer ones have the same sums up to `errors`.
  func straight<S: Scalar>(_ low: UnsafePointer<S.Lanes>, _ high: UnsafePointer<S.Lanes>, within sum: S) -> Self

  /// Sums from a query, each coordinate in all lanes, to the points of a group.
  func sums<S: Scalar>(
    _: S.Type, _ query: UnsafePointer<S.Lanes>, toGroup group: UnsafePointer<S.Lanes>
  ) -> S.Lanes
  /// The same for the groups of a leaf, which are consecutive.
  func sums<S: Scalar>(
    _: S.Type, _ query: UnsafePointer<S.Lanes>, toGroups groups: UnsafePointer<S.Lanes>, count: Int,
    into sums: UnsafeMutablePointer<S.Lanes>
  )
  /// The least sums from the points of a box to the points of the boxes of a node, whose lower and upper sides alternate.
  ///
  /// - Parameters:
  ///   - low: the lower sides of the box, each in all lanes. A query is a box with equal sides.
  ///   - high: the upper ones.
  func sums<S: Scalar>(
    _: S.Type, _ low: UnsafePointer<S.Lanes>, _ high: UnsafePointer<S.Lanes>, toBoxes boxes: UnsafePointer<S.Lanes>
  ) -> S.Lanes
  /// Upper bounds of the sums from the points of a box to the points of the boxes of a node.
  func sums<S: Scalar>(
    _: S.Type, _ low: UnsafePointer<S.Lanes>, _ high: UnsafePointer<S.Lanes>, across boxes: UnsafePointer<S.Lanes>
  ) -> S.Lanes
  /// Upper bounds of the sums from the points of a box, with a number for each side, to `width` points.
  ///
  /// - Parameter stride: scalars from one coordinate of the points to the next.
  func sums<S: Scalar>(
    fromBox low: UnsafePointer<S>, _ high: UnsafePointer<S>, across points: UnsafePointer<S>, stride: Int
  ) -> S.Lanes

  /// The scores of eight points, which decide about them. Euclidean ones below the least square have lost digits.
  func scores<A: Scalar, B: Scalar>(
    _ row: UnsafePointer<A>, _ points: UnsafePointer<B>, stride: Int
  ) -> SIMD8<Double>
  /// The score of one point: bit for bit the same, with all digits.
  func score<A: Scalar, B: Scalar>(_ row: UnsafePointer<A>, _ point: UnsafePointer<B>, stride: Int) -> Double
}

/// A sum is at most `factor * score + offset`, and a score at most `factor * sum + offset`.
struct SumErrors {
  var factor = 1.0
  var offset = 0.0

  /// Whether sums of boxes bound the scores of their points to the bit.
  var areNone: Bool { factor == 1 && offset == 0 }
}

/// Euclidean distance.
extension MetricSpace {
  @inline(__always) static var isEuclidean: Bool { true }
  @inline(__always) var summed: Int { count }
  @inline(__always) var decidesBySum: Bool { true }

  @inline(__always)
  func errors<S: Scalar>(_: S.Type) -> SumErrors {
    // `dim + 2` roundings of half an ulp each, and a margin. Squares may underflow. In float64 rounding is monotone, so a box is never
    // farther than a point in it.
    if S.self == Double.self { return SumErrors() }
    return SumErrors(factor: 1 + Double(count + 4) * Double(S.ulpOfOne), offset: Double(S.leastNormalMagnitude))
  }

  @inline(__always)
  func straight<S: Scalar>(_ low: UnsafePointer<S.Lanes>, _ high: UnsafePointer<S.Lanes>, within sum: S) -> Self {
    self
  }

  @inline(__always)
  func sums<S: Scalar>(
    _: S.Type, _ query: UnsafePointer<S.Lanes>, toGroup group: UnsafePointer<S.Lanes>
  ) -> S.Lanes {
    S.squaredDistances(query, toGroup: group, self)
  }

  @inline(__always)
  func sums<S: Scalar>(
    _: S.Type, _ query: UnsafePointer<S.Lanes>, toGroups groups: UnsafePointer<S.Lanes>, count: Int,
    into sums: UnsafeMutablePointer<S.Lanes>
  ) {
    for number in 0..<count {
      sums[number] = S.squaredDistances(query, toGroup: groups + number &* self.count, self)
    }
  }

  @inline(__always)
  func sums<S: Scalar>(
    _: S.Type, _ low: UnsafePointer<S.Lanes>, _ high: UnsafePointer<S.Lanes>, toBoxes boxes: UnsafePointer<S.Lanes>
  ) -> S.Lanes {
    S.squaredDistances(low, high, toBoxes: boxes, self)
  }

  @inline(__always)
  func sums<S: Scalar>(
    _: S.Type, _ low: UnsafePointer<S.Lanes>, _ high: UnsafePointer<S.Lanes>, across boxes: UnsafePointer<S.Lanes>
  ) -> S.Lanes {
    var sum = S.Lanes(repeating: 0)
    for d in 0..<count {
      let across = S.maximum(high[d] - boxes[2 &* d], boxes[2 &* d &+ 1] - low[d])
      sum = S.multiplyAdd(across, across, sum)
    }
    return sum
  }

  @inline(__always)
  func sums<S: Scalar>(
    fromBox low: UnsafePointer<S>, _ high: UnsafePointer<S>, across points: UnsafePointer<S>, stride: Int
  ) -> S.Lanes {
    var sum = S.Lanes(repeating: 0)
    for d in 0..<count {
      let x = UnsafeRawPointer(points + d &* stride).load(as: S.Lanes.self)
      let across = S.maximum(x - S.Lanes(repeating: low[d]), S.Lanes(repeating: high[d]) - x)
      sum = S.multiplyAdd(across, across, sum)
    }
    return sum
  }

  @inline(__always)
  func scores<A: Scalar, B: Scalar>(
    _ row: UnsafePointer<A>, _ points: UnsafePointer<B>, stride: Int
  ) -> SIMD8<Double> {
    var sum = SIMD8<Double>(repeating: 0)
    for d in 0..<count {
      let difference = B.widenedEight(points + d &* stride) - SIMD8(repeating: A.widened(row + d))
      sum = Double.multiplyAdd(difference, difference, sum)
    }
    return sum
  }

  @inline(__always)
  func score<A: Scalar, B: Scalar>(_ row: UnsafePointer<A>, _ point: UnsafePointer<B>, stride: Int) -> Double {
    euclideanScore(row, point, stride: stride, dim: count)
  }
}

extension FixedDimension: MetricSpace {}
extension RuntimeDimension: MetricSpace {}

extension Scalar {
  /// Eight consecutive scalars in float64, from the first or the middle of a vector on.
  @inline(__always)
  static func widenedEight(_ scalars: UnsafePointer<Self>) -> SIMD8<Double> {
    if Self.self == Double.self { return UnsafeRawPointer(scalars).load(as: SIMD8<Double>.self) }
    return cn_f32x8_widen(UnsafeRawPointer(scalars).load(as: SIMD8<Float>.self))
  }

  /// A scalar in float64. Unspecialised code, such as that of tests, would convert it in stack memory of a size that is known at run time,
  /// and then pass vectors that are not aligned.
  @inline(__always)
  static func widened(_ scalar: UnsafePointer<Self>) -> Double {
    if Self.self == Double.self { return UnsafeRawPointer(scalar).load(as: Double.self) }
    return Double(UnsafeRawPointer(scalar).load(as: Float.self))
  }
}
