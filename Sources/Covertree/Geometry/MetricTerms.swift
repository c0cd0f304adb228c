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
  @inline(__always)
  func total<Apart: MetricDifferences>(_ apart: Apart) -> Apart.S.Lanes {
    switch term {
    case .plainSquare: return sum(apart, PlainSquares<Apart.S>())
    case .absolute: return sum(apart, AbsoluteTerms<Apart.S>(weights: coefficients(Apart.S.self)))
    case .square: return sum(apart, SquareTerms<Apart.S>(weights: coefficients(Apart.S.self)))
    case .largest: return sum(apart, LargestTerms<Apart.S>(weights: coefficients(Apart.S.self)))
    case .cube, .fourth, .power: return powers(apart)
    }
  }

  /// A sum, unrolled for the most common dimensions.
  @inline(__always)
  private func sum<Apart: MetricDifferences, Added: AddedTerms>(
    _ apart: Apart, _ added: Added
  ) -> Apart.S.Lanes where Added.S == Apart.S {
    var sum = added.add(apart[0], 0, to: Apart.S.Lanes(repeating: 0))
    if summed == 3 { return added.add(apart[2], 2, to: added.add(apart[1], 1, to: sum)) }
    for d in 1..<max(1, summed) { sum = added.add(apart[d], d, to: sum) }
    return sum
  }

  /// These are not worth unrolling. The weight comes first, so that a weight of 0 times a power that overflows is 0.
  @inline(__always)
  private func powers<Apart: MetricDifferences>(_ apart: Apart) -> Apart.S.Lanes {
    let weights = coefficients(Apart.S.self)
    var sum = Apart.S.Lanes(repeating: 0)
    for d in 0..<summed {
      let x = apart[d]
      let weighted = Apart.S.Lanes(repeating: weights[d]) * x
      if term == .power {
        sum += Apart.S.power(weighted, exponent)
      } else {
        sum = Apart.S.multiplyAdd(term == .cube ? weighted * x : weighted * x * x, x, sum)
      }
    }
    return sum
  }

  @inline(__always)
  func period<S: Scalar>(_: S.Type, _ d: Int) -> S.Lanes { S.Lanes(repeating: coefficients(S.self)[dim &+ d]) }

  @inline(__always)
  private func coefficients<S: Scalar>(_: S.Type) -> UnsafePointer<S> {
    (S.self == Float.self ? UnsafeRawPointer(floats) : UnsafeRawPointer(doubles)).assumingMemoryBound(to: S.self)
  }
}

/// Adds the term of a coordinate to a sum.
private protocol AddedTerms<S> {
  associatedtype S: Scalar
  func add(_ x: S.Lanes, _ d: Int, to sum: S.Lanes) -> S.Lanes
}

private struct PlainSquares<S: Scalar>: AddedTerms {
  @inline(__always)
  func add(_ x: S.Lanes, _ d: Int, to sum: S.Lanes) -> S.Lanes { S.multiplyAdd(x, x, sum) }
}

private struct AbsoluteTerms<S: Scalar>: AddedTerms {
  let weights: UnsafePointer<S>
  @inline(__always)
  func add(_ x: S.Lanes, _ d: Int, to sum: S.Lanes) -> S.Lanes {
    S.multiplyAdd(S.Lanes(repeating: weights[d]), x, sum)
  }
}

private struct SquareTerms<S: Scalar>: AddedTerms {
  let weights: UnsafePointer<S>
  @inline(__always)
  func add(_ x: S.Lanes, _ d: Int, to sum: S.Lanes) -> S.Lanes {
    S.multiplyAdd(S.Lanes(repeating: weights[d]) * x, x, sum)
  }
}

private struct LargestTerms<S: Scalar>: AddedTerms {
  let weights: UnsafePointer<S>
  @inline(__always)
  func add(_ x: S.Lanes, _ d: Int, to sum: S.Lanes) -> S.Lanes { S.maximum(S.Lanes(repeating: weights[d]) * x, sum) }
}

extension UnsafePointer<MetricTerms> {
  /// Adds the terms of all coordinates: of the first differences or, if coordinates have periods, of the second ones.
  @inline(__always)
  func total<Apart: MetricDifferences, Wrapped: MetricDifferences>(
    _ apart: Apart, inPeriods wrapped: Wrapped
  ) -> Apart.S.Lanes where Wrapped.S == Apart.S {
    pointee.wraps ? pointee.total(wrapped) : pointee.total(apart)
  }

  /// The float64 scores of eight pairs of points.
  @inline(__always)
  func scores<Pairs: EightPairs>(_ pairs: Pairs) -> SIMD8<Double> {
    switch pointee.formula {
    case .sum:
      let apart = PairDifferences(pairs: pairs)
      return total(apart, inPeriods: WrappedDifferences(inside: apart, terms: self))
    case .haversine: return pointee.haversines(pairs)
    case .quadratic: return pointee.quadraticForms(pairs)
    }
  }
}

extension MetricTerms {
  /// Squared chords, four times the haversine of the angle. The haversine formula is precise for near points.
  @inline(__always)
  fileprivate func haversines<Pairs: EightPairs>(_ pairs: Pairs) -> SIMD8<Double> {
    let (latitude, other) = (pairs.first(summed) * unit, pairs.second(summed) * unit)
    let cosines = cn_f64x8_cosine(latitude) * cn_f64x8_cosine(other)
    let along = cn_f64x8_squared_sine((other - latitude) * 0.5)
    let across = cn_f64x8_squared_sine((pairs.second(summed &+ 1) * unit - pairs.first(summed &+ 1) * unit) * 0.5)
    return 4 * Double.multiplyAdd(cosines, across, along)
  }

  @inline(__always)
  fileprivate func quadraticForms<Pairs: EightPairs>(_ pairs: Pairs) -> SIMD8<Double> {
    var sum = SIMD8<Double>(repeating: 0)
    for row in 0..<summed {
      var product = SIMD8<Double>(repeating: 0)
      for column in 0..<summed {
        let weight = SIMD8(repeating: inverseCovariance[row &* summed &+ column])
        product = Double.multiplyAdd(weight, pairs.second(summed &+ column) - pairs.first(summed &+ column), product)
      }
      sum = Double.multiplyAdd(product, pairs.second(summed &+ row) - pairs.first(summed &+ row), sum)
    }
    return Double.maximum(sum, SIMD8(repeating: 0))
  }
}
