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
  var wraps: Bool
  let exponent: Double
  /// The coordinates that have weights and periods.
  let dim: Int
  /// `dim` weights, then as many periods, infinite without one, and the ends of the period of the points; see `periodStart`.
  let floats: UnsafePointer<Float>
  let doubles: UnsafePointer<Double>
  let floatErrors: SumErrors
  let doubleErrors: SumErrors
  /// Radians in a unit of latitude.
  let unit: Double
  let inverseCovariance: UnsafePointer<Double>
}

extension MetricTerms {
  @inline(__always)
  func fold<Fold: TermsFold>(_ terms: Fold) -> Fold.S.Lanes {
    let weights = coefficients(Fold.S.self)
    switch term {
    case .plainSquare: return terms.fold(PlainSquares<Fold.S>(), count: summed)
    case .absolute: return terms.fold(AbsoluteTerms<Fold.S>(weights: weights), count: summed)
    case .square: return terms.fold(SquareTerms<Fold.S>(weights: weights), count: summed)
    case .cube: return terms.fold(CubeTerms<Fold.S>(weights: weights), count: summed)
    case .fourth: return terms.fold(FourthTerms<Fold.S>(weights: weights), count: summed)
    case .largest: return terms.fold(LargestTerms<Fold.S>(weights: weights), count: summed)
    case .power: return terms.fold(PowerTerms<Fold.S>(weights: weights, exponent: exponent), count: summed)
    }
  }

  @inline(__always)
  func period<S: Scalar>(_: S.Type, _ d: Int) -> S.Lanes { S.Lanes(repeating: coefficients(S.self)[dim &+ d]) }

  /// A little above the lower end of the period of the points.
  @inline(__always)
  func periodStart<S: Scalar>(_: S.Type, _ d: Int) -> S.Lanes {
    S.Lanes(repeating: coefficients(S.self)[2 &* dim &+ d])
  }

  /// A little below the upper end.
  @inline(__always)
  func periodEnd<S: Scalar>(_: S.Type, _ d: Int) -> S.Lanes {
    S.Lanes(repeating: coefficients(S.self)[3 &* dim &+ d])
  }

  @inline(__always)
  private func coefficients<S: Scalar>(_: S.Type) -> UnsafePointer<S> {
    (S.self == Float.self ? UnsafeRawPointer(floats) : UnsafeRawPointer(doubles)).assumingMemoryBound(to: S.self)
  }
}

extension UnsafePointer<MetricTerms> {
  /// Adds the terms of all coordinates: of the first differences or, if coordinates have periods, of the second ones.
  @inline(__always)
  func total<Apart: MetricDifferences, Wrapped: MetricDifferences>(
    _ apart: Apart, inPeriods wrapped: Wrapped
  ) -> Apart.S.Lanes where Wrapped.S == Apart.S {
    pointee.wraps ? pointee.fold(TermsTotal(apart: wrapped)) : pointee.fold(TermsTotal(apart: apart))
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
