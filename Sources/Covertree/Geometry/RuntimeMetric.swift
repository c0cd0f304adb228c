/// Any other metric than plain Euclidean distance, known at run time.
///
/// Sums and scores are calls, once for each vector of points or boxes, which choose a loop over the coordinates. So the code of searches is
/// compiled once for all of these metrics.
struct RuntimeMetric: MetricSpace, @unchecked Sendable {
  /// The coordinates of a row of the tree.
  let count: Int
  /// The owner keeps them alive during a search.
  let terms: UnsafePointer<MetricTerms>

  @inline(__always) static var isEuclidean: Bool { false }
  @inline(__always) var decidesBySum: Bool { terms.pointee.formula == .sum }

  func errors<S: Scalar>(_: S.Type) -> SumErrors {
    S.self == Float.self ? terms.pointee.floatErrors : terms.pointee.doubleErrors
  }

  @inline(never)
  func sums<S: Scalar>(
    _: S.Type, _ query: UnsafePointer<S.Lanes>, toGroup group: UnsafePointer<S.Lanes>
  ) -> S.Lanes {
    let terms = terms.pointee
    guard terms.wraps else { return terms.total(S.self) { S.magnitude(group[$0] - query[$0]) } }
    return terms.total(S.self) { terms.wrapped(S.self, group[$0] - query[$0], $0) }
  }

  @inline(never)
  func sums<S: Scalar>(
    _: S.Type, _ low: UnsafePointer<S.Lanes>, _ high: UnsafePointer<S.Lanes>, toBoxes boxes: UnsafePointer<S.Lanes>
  ) -> S.Lanes {
    let (terms, zero) = (terms.pointee, S.Lanes(repeating: 0))
    guard terms.wraps else {
      return terms.total(S.self) { d in
        S.maximum(S.maximum(boxes[2 &* d] - high[d], low[d] - boxes[2 &* d &+ 1]), zero)
      }
    }
    return terms.total(S.self) { d in
      // A point before the box may be nearer to its far end, through the boundary of the period.
      let (below, above) = (boxes[2 &* d] - high[d], low[d] - boxes[2 &* d &+ 1])
      let period = terms.period(S.self, d)
      return S.maximum(S.maximum(S.minimum(below, period + above), S.minimum(above, period + below)), zero)
    }
  }

  @inline(never)
  func sums<S: Scalar>(
    _: S.Type, _ low: UnsafePointer<S.Lanes>, _ high: UnsafePointer<S.Lanes>, across boxes: UnsafePointer<S.Lanes>
  ) -> S.Lanes {
    let terms = terms.pointee
    return terms.total(S.self) { d in
      terms.farthest(S.self, S.maximum(high[d] - boxes[2 &* d], boxes[2 &* d &+ 1] - low[d]), d)
    }
  }

  @inline(never)
  func sums<S: Scalar>(
    fromBox low: UnsafePointer<S>, _ high: UnsafePointer<S>, across points: UnsafePointer<S>, stride: Int
  ) -> S.Lanes {
    let terms = terms.pointee
    return terms.total(S.self) { d in
      let x = UnsafeRawPointer(points + d &* stride).load(as: S.Lanes.self)
      return terms.farthest(S.self, S.maximum(x - S.Lanes(repeating: low[d]), S.Lanes(repeating: high[d]) - x), d)
    }
  }

  @inline(never)
  func scores<A: Scalar, B: Scalar>(
    _ row: UnsafePointer<A>, _ points: UnsafePointer<B>, stride: Int
  ) -> SIMD8<Double> {
    terms.pointee.scores {
      SIMD8(repeating: A.widened(row + $0))
    } _: {
      B.widenedEight(points + $0 &* stride)
    }
  }

  @inline(never)
  func score<A: Scalar, B: Scalar>(_ row: UnsafePointer<A>, _ point: UnsafePointer<B>, stride: Int) -> Double {
    terms.pointee.scores {
      SIMD8(repeating: A.widened(row + $0))
    } _: {
      SIMD8(repeating: B.widened(point + $0 &* stride))
    }[0]
  }
}
