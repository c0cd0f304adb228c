/// Differences of coordinates, of which a metric adds the terms: a vector of them for each coordinate, all at least 0.
///
/// These are types and not closures, because the compiler calls a closure that is used in many places.
protocol MetricDifferences {
  associatedtype S: Scalar
  subscript(_ d: Int) -> S.Lanes { get }
}

/// From a query, each coordinate in all lanes, to the points of a group.
struct GroupDifferences<S: Scalar>: MetricDifferences {
  let query: UnsafePointer<S.Lanes>
  let group: UnsafePointer<S.Lanes>

  @inline(__always)
  subscript(d: Int) -> S.Lanes { S.magnitude(group[d] - query[d]) }
}

/// The least ones from the points of a box to the points of the boxes of a node, whose lower and upper sides alternate.
struct BoxDifferences<S: Scalar>: MetricDifferences {
  let low: UnsafePointer<S.Lanes>
  let high: UnsafePointer<S.Lanes>
  let boxes: UnsafePointer<S.Lanes>

  @inline(__always)
  subscript(d: Int) -> S.Lanes {
    S.maximum(S.maximum(below(d), above(d)), S.Lanes(repeating: 0))
  }

  /// From the box up to a box that is after it.
  @inline(__always)
  func below(_ d: Int) -> S.Lanes { boxes[2 &* d] - high[d] }

  /// Down to a box that is before it.
  @inline(__always)
  func above(_ d: Int) -> S.Lanes { low[d] - boxes[2 &* d &+ 1] }
}

/// Upper bounds of those.
struct FarthestBoxDifferences<S: Scalar>: MetricDifferences {
  let low: UnsafePointer<S.Lanes>
  let high: UnsafePointer<S.Lanes>
  let boxes: UnsafePointer<S.Lanes>

  @inline(__always)
  subscript(d: Int) -> S.Lanes { S.maximum(high[d] - boxes[2 &* d], boxes[2 &* d &+ 1] - low[d]) }
}

/// Upper bounds from the points of a box, with a number for each side, to `width` points.
struct FarthestPointDifferences<S: Scalar>: MetricDifferences {
  let low: UnsafePointer<S>
  let high: UnsafePointer<S>
  let points: UnsafePointer<S>
  /// Scalars from one coordinate of the points to the next.
  let stride: Int

  @inline(__always)
  subscript(d: Int) -> S.Lanes {
    let x = UnsafeRawPointer(points + d &* stride).load(as: S.Lanes.self)
    return S.maximum(x - S.Lanes(repeating: low[d]), S.Lanes(repeating: high[d]) - x)
  }
}

/// The coordinates of eight pairs of points in float64.
protocol EightPairs {
  func first(_ d: Int) -> SIMD8<Double>
  func second(_ d: Int) -> SIMD8<Double>
}

/// Their differences.
struct PairDifferences<Pairs: EightPairs>: MetricDifferences {
  typealias S = Double
  let pairs: Pairs

  @inline(__always)
  subscript(d: Int) -> SIMD8<Double> { Double.magnitude(pairs.second(d) - pairs.first(d)) }
}

/// One row and eight points.
struct RowAndEight<A: Scalar, B: Scalar>: EightPairs {
  let row: UnsafePointer<A>
  let points: UnsafePointer<B>
  let stride: Int

  @inline(__always)
  func first(_ d: Int) -> SIMD8<Double> { SIMD8(repeating: A.widened(row + d)) }
  @inline(__always)
  func second(_ d: Int) -> SIMD8<Double> { B.widenedEight(points + d &* stride) }
}

/// One row and one point, in all lanes.
struct RowAndOne<A: Scalar, B: Scalar>: EightPairs {
  let row: UnsafePointer<A>
  let point: UnsafePointer<B>
  let stride: Int

  @inline(__always)
  func first(_ d: Int) -> SIMD8<Double> { SIMD8(repeating: A.widened(row + d)) }
  @inline(__always)
  func second(_ d: Int) -> SIMD8<Double> { SIMD8(repeating: B.widened(point + d &* stride)) }
}

/// Differences in periods: through the boundary of a period if that is shorter.
struct WrappedDifferences<Inside: MetricDifferences>: MetricDifferences {
  typealias S = Inside.S
  let inside: Inside
  let terms: UnsafePointer<MetricTerms>

  @inline(__always)
  subscript(d: Int) -> S.Lanes {
    let apart = inside[d]
    return S.minimum(apart, S.magnitude(terms.pointee.period(S.self, d) - apart))
  }
}

/// Least differences in periods: a point before a box may be nearer to its far end, through the boundary of the period.
struct WrappedBoxDifferences<S: Scalar>: MetricDifferences {
  let inside: BoxDifferences<S>
  let terms: UnsafePointer<MetricTerms>

  @inline(__always)
  subscript(d: Int) -> S.Lanes {
    let (below, above, period) = (inside.below(d), inside.above(d), terms.pointee.period(S.self, d))
    let least = S.maximum(S.minimum(below, period + above), S.minimum(above, period + below))
    return S.maximum(least, S.Lanes(repeating: 0))
  }
}

/// Bounds in periods: no difference is above half a period.
struct HalvedDifferences<Inside: MetricDifferences>: MetricDifferences {
  typealias S = Inside.S
  let inside: Inside
  let terms: UnsafePointer<MetricTerms>

  @inline(__always)
  subscript(d: Int) -> S.Lanes {
    S.minimum(inside[d], terms.pointee.period(S.self, d) * S.Lanes(repeating: 0.5))
  }
}

/// From a box to the nearer end of the period of the points. No point within it is nearer through that end. 0 if the box crosses an end.
struct EndDifferences<S: Scalar>: MetricDifferences {
  let low: UnsafePointer<S.Lanes>
  let high: UnsafePointer<S.Lanes>
  let terms: UnsafePointer<MetricTerms>

  @inline(__always)
  subscript(d: Int) -> S.Lanes {
    let below = low[d] - terms.pointee.periodStart(S.self, d)
    let above = terms.pointee.periodEnd(S.self, d) - high[d]
    return S.maximum(S.minimum(below, above), S.Lanes(repeating: 0))
  }
}
