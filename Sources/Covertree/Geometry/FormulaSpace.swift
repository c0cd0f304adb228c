import CNumerics

/// Great circles. A row of the tree has a unit vector, and then latitude and longitude.
///
/// Sums are squared chords, four times the haversine of the angle. Scores are that by the haversine formula, from latitudes and longitudes,
/// which is precise for near points.
struct SphereSpace: MetricSpace {
  /// The coordinates of the unit vector.
  static var dimensions: Int { 3 }

  /// Radians in a unit of latitude.
  let unit: Double

  @inline(__always) static var isEuclidean: Bool { false }
  @inline(__always) static var isMonotone: Bool { false }
  @inline(__always) static var decidesBySum: Bool { false }
  @inline(__always) var count: Int { Self.dimensions + 2 }
  @inline(__always) var summed: Int { Self.dimensions }

  /// A coordinate of a unit vector has an error below `2^-51`, and differences of longitudes have one below `2^-49`. So distances have
  /// one below `2^-47` in all. See `TreeMetric` for the bound by a share of the distance.
  func errors<S: Scalar>(_: S.Type) -> SumErrors { SumErrors(factor: 1 + 0x1p-19, offset: 0x1p-94 * 0x1p20) }

  @inline(__always)
  func scores(_ x: (Int) -> SIMD8<Double>, _ y: (Int) -> SIMD8<Double>) -> SIMD8<Double> {
    let (latitude, other) = (x(3) * unit, y(3) * unit)
    let cosines = cn_f64x8_cosine(latitude) * cn_f64x8_cosine(other)
    let along = cn_f64x8_squared_sine((other - latitude) * 0.5)
    let across = cn_f64x8_squared_sine((y(4) * unit - x(4) * unit) * 0.5)
    return 4 * Double.multiplyAdd(cosines, across, along)
  }

  @inline(__always)
  func score<A: Scalar, B: Scalar>(_ x: UnsafePointer<A>, _ y: UnsafePointer<B>, stride: Int) -> Double {
    scoreByLanes(x, y, stride: stride)
  }
}

/// Directions. A row of the tree has a vector of length 1, and then the vector that was given. Scores are squared chords.
struct DirectionSpace: MetricSpace {
  let summed: Int

  @inline(__always) static var isEuclidean: Bool { false }
  @inline(__always) var count: Int { 2 &* summed }

  func errors<S: Scalar>(_: S.Type) -> SumErrors { SumErrors() }

  @inline(__always)
  func score<A: Scalar, B: Scalar>(_ x: UnsafePointer<A>, _ y: UnsafePointer<B>, stride: Int) -> Double {
    scoreByLanes(x, y, stride: stride)
  }
}

/// Mahalanobis distance. A row of the tree has `L^T (x - c)` for the Cholesky factor `L` of the inverse covariance, and then `x`. Scores are
/// the quadratic form of the inverse covariance.
struct QuadraticSpace: MetricSpace, @unchecked Sendable {
  let summed: Int
  let inverseCovariance: UnsafePointer<Double>
  let bounds: SumErrors

  @inline(__always) static var isEuclidean: Bool { false }
  @inline(__always) static var isMonotone: Bool { false }
  @inline(__always) static var decidesBySum: Bool { false }
  @inline(__always) var count: Int { 2 &* summed }

  func errors<S: Scalar>(_: S.Type) -> SumErrors { bounds }

  @inline(__always)
  func scores(_ x: (Int) -> SIMD8<Double>, _ y: (Int) -> SIMD8<Double>) -> SIMD8<Double> {
    var sum = SIMD8<Double>(repeating: 0)
    for row in 0..<summed {
      var product = SIMD8<Double>(repeating: 0)
      for column in 0..<summed {
        let weight = SIMD8(repeating: inverseCovariance[row &* summed &+ column])
        product = Double.multiplyAdd(weight, y(summed &+ column) - x(summed &+ column), product)
      }
      sum = Double.multiplyAdd(product, y(summed &+ row) - x(summed &+ row), sum)
    }
    return Double.maximum(sum, SIMD8(repeating: 0))
  }

  @inline(__always)
  func score<A: Scalar, B: Scalar>(_ x: UnsafePointer<A>, _ y: UnsafePointer<B>, stride: Int) -> Double {
    scoreByLanes(x, y, stride: stride)
  }
}
