import CNumerics

/// The sum over the coordinates of a pair of points, and the formula of its score. `TreeMetric` keeps the arrays alive.
struct MetricTerms: @unchecked Sendable {
  /// The term of a coordinate of weight `w`, for a difference `x` of at least 0.
  enum Term {
    /// `x^2`, without a weight.
    case plainSquare
    /// `w x`
    case absolute
    /// `w x^2`
    case square
    case cube
    case fourth
    /// The largest `w x`.
    case largest
    /// `(w x)^p`
    case power
  }

  enum Formula {
    /// The score is the sum.
    case sum
    /// Of latitudes and longitudes.
    case haversine
    /// The quadratic form of the inverse covariance.
    case quadratic
  }

  let term: Term
  let formula: Formula
  /// The first coordinates of a row, over which sums run. The rest is for the formula.
  let summed: Int
  /// Whether coordinates may have periods.
  let wraps: Bool
  let exponent: Double
  /// The coordinates that have weights and periods.
  let dim: Int
  /// `dim` weights, then as many periods; infinite without one.
  let floats: UnsafePointer<Float>
  let doubles: UnsafePointer<Double>
  let floatErrors: SumErrors
  let doubleErrors: SumErrors
  /// Radians in a unit of latitude.
  let unit: Double
  let inverseCovariance: UnsafePointer<Double>
}

extension MetricTerms {
  /// Adds the terms of all coordinates.
  ///
  /// - Parameter apart: the differences of a coordinate, at least 0.
  @inline(__always)
  func total<S: Scalar>(_: S.Type, _ apart: (Int) -> S.Lanes) -> S.Lanes {
    switch term {
    case .plainSquare: return sum(S.self, apart) { (x, _, sum) in S.multiplyAdd(x, x, sum) }
    case .absolute: return sum(S.self, apart) { (x, d, sum) in S.multiplyAdd(weight(S.self, d), x, sum) }
    case .square: return sum(S.self, apart) { (x, d, sum) in S.multiplyAdd(weight(S.self, d) * x, x, sum) }
    case .largest: return sum(S.self, apart) { (x, d, sum) in S.maximum(weight(S.self, d) * x, sum) }
    case .cube, .fourth, .power: break
    }
    // These are not worth unrolling. The weight comes first, so that a weight of 0 times a power that overflows is 0.
    var sum = S.Lanes(repeating: 0)
    for d in 0..<summed {
      let x = apart(d)
      let weighted = weight(S.self, d) * x
      if term == .power {
        sum += S.power(weighted, exponent)
      } else {
        sum = S.multiplyAdd(term == .cube ? weighted * x : weighted * x * x, x, sum)
      }
    }
    return sum
  }

  /// A sum, unrolled for the most common dimensions.
  @inline(__always)
  private func sum<S: Scalar>(
    _: S.Type, _ apart: (Int) -> S.Lanes, _ adding: (S.Lanes, Int, S.Lanes) -> S.Lanes
  ) -> S.Lanes {
    let zero = S.Lanes(repeating: 0)
    if summed == 3 { return adding(apart(2), 2, adding(apart(1), 1, adding(apart(0), 0, zero))) }
    if summed == 2 { return adding(apart(1), 1, adding(apart(0), 0, zero)) }
    var sum = zero
    for d in 0..<summed { sum = adding(apart(d), d, sum) }
    return sum
  }

  @inline(__always)
  private func weight<S: Scalar>(_: S.Type, _ d: Int) -> S.Lanes { S.Lanes(repeating: coefficients(S.self)[d]) }

  @inline(__always)
  func period<S: Scalar>(_: S.Type, _ d: Int) -> S.Lanes { S.Lanes(repeating: coefficients(S.self)[dim &+ d]) }

  @inline(__always)
  private func coefficients<S: Scalar>(_: S.Type) -> UnsafePointer<S> {
    (S.self == Float.self ? UnsafeRawPointer(floats) : UnsafeRawPointer(doubles)).assumingMemoryBound(to: S.self)
  }

  /// The magnitude of a difference, through the boundary of the period if that is shorter.
  @inline(__always)
  func wrapped<S: Scalar>(_: S.Type, _ difference: S.Lanes, _ d: Int) -> S.Lanes {
    let apart = S.magnitude(difference)
    return S.minimum(apart, S.magnitude(period(S.self, d) - apart))
  }

  /// A bound for differences up to one of at least 0.
  @inline(__always)
  func farthest<S: Scalar>(_: S.Type, _ difference: S.Lanes, _ d: Int) -> S.Lanes {
    wraps ? S.minimum(difference, period(S.self, d) * S.Lanes(repeating: 0.5)) : difference
  }
}

extension MetricTerms {
  /// The float64 scores of eight pairs of points. `x` and `y` return a coordinate of all pairs.
  @inline(__always)
  func scores(_ x: (Int) -> SIMD8<Double>, _ y: (Int) -> SIMD8<Double>) -> SIMD8<Double> {
    switch formula {
    case .sum:
      wraps
        ? total(Double.self) { wrapped(Double.self, y($0) - x($0), $0) }
        : total(Double.self) { Double.magnitude(y($0) - x($0)) }
    case .haversine: haversines(x, y)
    case .quadratic: quadraticForms(x, y)
    }
  }

  /// Squared chords, four times the haversine of the angle. The haversine formula is precise for near points.
  @inline(__always)
  private func haversines(_ x: (Int) -> SIMD8<Double>, _ y: (Int) -> SIMD8<Double>) -> SIMD8<Double> {
    let (latitude, other) = (x(summed) * unit, y(summed) * unit)
    let cosines = cn_f64x8_cosine(latitude) * cn_f64x8_cosine(other)
    let along = cn_f64x8_squared_sine((other - latitude) * 0.5)
    let across = cn_f64x8_squared_sine((y(summed &+ 1) * unit - x(summed &+ 1) * unit) * 0.5)
    return 4 * Double.multiplyAdd(cosines, across, along)
  }

  @inline(__always)
  private func quadraticForms(_ x: (Int) -> SIMD8<Double>, _ y: (Int) -> SIMD8<Double>) -> SIMD8<Double> {
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
}
