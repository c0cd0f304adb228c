import CNumerics

/// A norm of the differences of coordinates, with a weight and maybe a period for each.
struct NormSpace<D: Dimension, N: Norm>: MetricSpace, @unchecked Sendable {
  let dimension: D
  let norm: N
  let coefficients: NormCoefficients

  @inline(__always) static var isEuclidean: Bool { false }
  @inline(__always) static var isMonotone: Bool { N.isMonotone }
  @inline(__always) var count: Int { dimension.count }

  func errors<S: Scalar>(_: S.Type) -> SumErrors {
    if S.self == Float.self { return coefficients.floatErrors }
    return N.isMonotone ? SumErrors() : coefficients.doubleErrors
  }

  @inline(__always)
  func adding<S: Scalar>(_: S.Type, _ difference: S.Lanes, _ d: Int, to sum: S.Lanes) -> S.Lanes {
    var apart = S.magnitude(difference)
    if N.wraps {
      let period: S = coefficients.period(d)
      apart = S.minimum(apart, S.magnitude(S.Lanes(repeating: period) - apart))
    }
    return norm.adding(S.self, apart, weight: S.Lanes(repeating: coefficients.weight(d)), to: sum)
  }

  @inline(__always)
  func addingOutside<S: Scalar>(_: S.Type, below: S.Lanes, above: S.Lanes, _ d: Int, to sum: S.Lanes) -> S.Lanes {
    var outside = S.maximum(below, above)
    if N.wraps {
      // A point before the box may be nearer to its far end, through the boundary of the period.
      let period = S.Lanes(repeating: coefficients.period(d))
      outside = S.maximum(S.minimum(below, period + above), S.minimum(above, period + below))
    }
    outside = S.maximum(outside, S.Lanes(repeating: 0))
    return norm.adding(S.self, outside, weight: S.Lanes(repeating: coefficients.weight(d)), to: sum)
  }

  @inline(__always)
  func addingFarthest<S: Scalar>(_: S.Type, _ difference: S.Lanes, _ d: Int, to sum: S.Lanes) -> S.Lanes {
    var most = difference
    if N.wraps {
      let period: S = coefficients.period(d)
      most = S.minimum(difference, S.Lanes(repeating: period / 2))
    }
    return norm.adding(S.self, most, weight: S.Lanes(repeating: coefficients.weight(d)), to: sum)
  }

  @inline(__always)
  func score<A: Scalar, B: Scalar>(_ x: UnsafePointer<A>, _ y: UnsafePointer<B>, stride: Int) -> Double {
    scoreByLanes(x, y, stride: stride)
  }
}

/// Weights and periods of coordinates, in both types, and bounds of the errors of sums. `TreeMetric` keeps the arrays alive.
struct NormCoefficients: @unchecked Sendable {
  let count: Int
  /// `count` weights, then as many periods; infinite without one.
  let floats: UnsafePointer<Float>
  let doubles: UnsafePointer<Double>
  let floatErrors: SumErrors
  let doubleErrors: SumErrors

  @inline(__always)
  func weight<S: Scalar>(_ d: Int) -> S { base(S.self)[d] }

  @inline(__always)
  func period<S: Scalar>(_ d: Int) -> S { base(S.self)[count &+ d] }

  @inline(__always)
  private func base<S: Scalar>(_: S.Type) -> UnsafePointer<S> {
    (S.self == Float.self ? UnsafeRawPointer(floats) : UnsafeRawPointer(doubles)).assumingMemoryBound(to: S.self)
  }
}

/// A sum over the differences of coordinates.
protocol Norm: Sendable {
  /// Whether coordinates may have periods.
  static var wraps: Bool { get }
  /// Whether a larger difference never has a smaller term, after rounding.
  static var isMonotone: Bool { get }
  /// Adds the term of a difference of at least 0.
  func adding<S: Scalar>(_: S.Type, _ apart: S.Lanes, weight: S.Lanes, to sum: S.Lanes) -> S.Lanes
}

/// Manhattan distance: the sum of `w |d|`.
struct AbsoluteNorm: Norm {
  @inline(__always) static var wraps: Bool { false }
  @inline(__always) static var isMonotone: Bool { true }

  @inline(__always)
  func adding<S: Scalar>(_: S.Type, _ apart: S.Lanes, weight: S.Lanes, to sum: S.Lanes) -> S.Lanes {
    S.multiplyAdd(weight, apart, sum)
  }
}

/// Chebyshev distance: the largest `w |d|`.
struct LargestNorm: Norm {
  @inline(__always) static var wraps: Bool { false }
  @inline(__always) static var isMonotone: Bool { true }

  @inline(__always)
  func adding<S: Scalar>(_: S.Type, _ apart: S.Lanes, weight: S.Lanes, to sum: S.Lanes) -> S.Lanes {
    S.maximum(weight * apart, sum)
  }
}

/// The square of Euclidean distance in a periodic box or with weights: the sum of `w d^2`.
struct PeriodicSquareNorm: Norm {
  @inline(__always) static var wraps: Bool { true }
  @inline(__always) static var isMonotone: Bool { true }

  @inline(__always)
  func adding<S: Scalar>(_: S.Type, _ apart: S.Lanes, weight: S.Lanes, to sum: S.Lanes) -> S.Lanes {
    S.multiplyAdd(weight * apart, apart, sum)
  }
}

/// Any norm, with or without periods: the sum of `w |d|^p` or `(w |d|)^p`, or the largest `w |d|`.
struct AnyNorm: Norm {
  enum Exponent: Sendable {
    case one, two, three, four, largest
    case other(Double)
  }

  let exponent: Exponent

  @inline(__always) static var wraps: Bool { true }
  @inline(__always) static var isMonotone: Bool { false }

  @inline(__always)
  func adding<S: Scalar>(_: S.Type, _ apart: S.Lanes, weight: S.Lanes, to sum: S.Lanes) -> S.Lanes {
    switch exponent {
    case .one: S.multiplyAdd(weight, apart, sum)
    case .two: S.multiplyAdd(weight * apart, apart, sum)
    // The weight first, so that a weight of 0 times a power that overflows is 0.
    case .three: S.multiplyAdd(weight * apart * apart, apart, sum)
    case .four: S.multiplyAdd(weight * apart * apart * apart, apart, sum)
    case .largest: S.maximum(weight * apart, sum)
    // The weight is a factor of the difference.
    case .other(let p): sum + S.power(weight * apart, p)
    }
  }
}
