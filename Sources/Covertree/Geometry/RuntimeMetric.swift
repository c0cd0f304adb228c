/// Any other metric than plain Euclidean distance, known at run time.
///
/// Sums and scores are calls, once for each leaf, vector of boxes or eight points, which choose a loop over the coordinates. So the code of
/// searches is compiled once for all of these metrics.
struct RuntimeMetric: MetricSpace, @unchecked Sendable {
  /// The coordinates of a row of the tree.
  let count: Int
  /// The owner keeps them alive during a search. The terms without periods follow if they have some.
  let terms: UnsafePointer<MetricTerms>
  /// Whether sums are plain squares of three coordinates: of points in boxes and on spheres. The loops of searches contain their code,
  /// because calls would take a third of the time.
  private let isPlainInSpace: Bool

  init(count: Int, terms: UnsafePointer<MetricTerms>) {
    (self.count, self.terms) = (count, terms)
    isPlainInSpace = terms.pointee.term == .plainSquare && terms.pointee.summed == 3 && !terms.pointee.wraps
  }

  @inline(__always) static var isEuclidean: Bool { false }
  @inline(__always) var summed: Int { terms.pointee.summed }
  @inline(__always) var decidesBySum: Bool { terms.pointee.formula == .sum }

  func errors<S: Scalar>(_: S.Type) -> SumErrors {
    S.self == Float.self ? terms.pointee.floatErrors : terms.pointee.doubleErrors
  }

  @inline(__always)
  func straight<S: Scalar>(
    _ low: UnsafePointer<S.Lanes>, _ high: UnsafePointer<S.Lanes>, within sum: S
  ) -> RuntimeMetric {
    guard terms.pointee.wraps, isInside(low, high, sum) else { return self }
    return RuntimeMetric(count: count, terms: terms + 1)
  }

  /// Whether the terms of each coordinate up to the ends of the period are above a sum.
  @inline(never)
  private func isInside<S: Scalar>(_ low: UnsafePointer<S.Lanes>, _ high: UnsafePointer<S.Lanes>, _ sum: S) -> Bool {
    let least = terms.pointee.fold(LeastTerm(apart: EndDifferences<S>(low: low, high: high, terms: terms)))
    return -S.largest(-least) > sum
  }

  @inline(__always)
  func sums<S: Scalar>(
    _: S.Type, _ query: UnsafePointer<S.Lanes>, toGroup group: UnsafePointer<S.Lanes>
  ) -> S.Lanes {
    if isPlainInSpace { return S.squaredDistances(query, toGroup: group, FixedDimension<3>()) }
    var sum = S.Lanes(repeating: 0)
    fill(&sum, query, group, 1, S.self)
    return sum
  }

  @inline(__always)
  func sums<S: Scalar>(
    _: S.Type, _ query: UnsafePointer<S.Lanes>, toGroups groups: UnsafePointer<S.Lanes>, count: Int,
    into sums: UnsafeMutablePointer<S.Lanes>
  ) {
    guard isPlainInSpace else { return fill(sums, query, groups, count, S.self) }
    for number in 0..<count {
      sums[number] = S.squaredDistances(query, toGroup: groups + number &* self.count, FixedDimension<3>())
    }
  }

  @inline(__always)
  func sums<S: Scalar>(
    _: S.Type, _ low: UnsafePointer<S.Lanes>, _ high: UnsafePointer<S.Lanes>, toBoxes boxes: UnsafePointer<S.Lanes>
  ) -> S.Lanes {
    if isPlainInSpace { return S.squaredDistances(low, high, toBoxes: boxes, FixedDimension<3>()) }
    var sum = S.Lanes(repeating: 0)
    fill(&sum, BoxDifferences<S>(low: low, high: high, boxes: boxes))
    return sum
  }

  @inline(__always)
  func sums<S: Scalar>(
    _: S.Type, _ low: UnsafePointer<S.Lanes>, _ high: UnsafePointer<S.Lanes>, across boxes: UnsafePointer<S.Lanes>
  ) -> S.Lanes {
    var sum = S.Lanes(repeating: 0)
    fill(&sum, FarthestBoxDifferences<S>(low: low, high: high, boxes: boxes))
    return sum
  }

  @inline(__always)
  func sums<S: Scalar>(
    fromBox low: UnsafePointer<S>, _ high: UnsafePointer<S>, across points: UnsafePointer<S>, stride: Int
  ) -> S.Lanes {
    var sum = S.Lanes(repeating: 0)
    fill(&sum, FarthestPointDifferences<S>(low: low, high: high, points: points, stride: stride))
    return sum
  }

  @inline(__always)
  func scores<A: Scalar, B: Scalar>(
    _ row: UnsafePointer<A>, _ points: UnsafePointer<B>, stride: Int
  ) -> SIMD8<Double> {
    var scores = SIMD8<Double>(repeating: 0)
    fill(&scores, RowAndEight(row: row, points: points, stride: stride))
    return scores
  }

  @inline(__always)
  func score<A: Scalar, B: Scalar>(_ row: UnsafePointer<A>, _ point: UnsafePointer<B>, stride: Int) -> Double {
    var scores = SIMD8<Double>(repeating: 0)
    fill(&scores, RowAndOne(row: row, point: point, stride: stride))
    return scores[0]
  }
}

/// The calls. Their results are in memory, because vectors cross calls in pieces.
extension RuntimeMetric {
  @inline(never)
  private func fill<S: Scalar>(
    _ sums: UnsafeMutablePointer<S.Lanes>, _ query: UnsafePointer<S.Lanes>, _ groups: UnsafePointer<S.Lanes>,
    _ count: Int, _: S.Type
  ) {
    for number in 0..<count {
      let apart = GroupDifferences<S>(query: query, group: groups + number &* self.count)
      sums[number] = terms.total(apart, inPeriods: WrappedDifferences(inside: apart, terms: terms))
    }
  }

  @inline(never)
  private func fill<S: Scalar>(_ sum: inout S.Lanes, _ apart: BoxDifferences<S>) {
    sum = terms.total(apart, inPeriods: WrappedBoxDifferences(inside: apart, terms: terms))
  }

  @inline(never)
  private func fill<S: Scalar>(_ sum: inout S.Lanes, _ apart: FarthestBoxDifferences<S>) {
    sum = terms.total(apart, inPeriods: HalvedDifferences(inside: apart, terms: terms))
  }

  @inline(never)
  private func fill<S: Scalar>(_ sum: inout S.Lanes, _ apart: FarthestPointDifferences<S>) {
    sum = terms.total(apart, inPeriods: HalvedDifferences(inside: apart, terms: terms))
  }

  @inline(never)
  private func fill<Pairs: EightPairs>(_ scores: inout SIMD8<Double>, _ pairs: Pairs) { scores = terms.scores(pairs) }
}
