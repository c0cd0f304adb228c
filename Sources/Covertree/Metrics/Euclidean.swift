import CNumerics

/// Euclidean distance between the rows of a dense array, evaluated in float64 whatever the rows are stored in.
///
/// Differences are taken directly (the form `|x|^2 + |y|^2 - 2xy` cancels) and summed over coordinates in order with
/// one rounding each, so that every kernel gives the same bits for the same pair.
struct Euclidean<S: Scalar, D: Dimension>: Metric, @unchecked Sendable {
  private let points: UnsafePointer<S>
  fileprivate let dimension: D
  let pointCount: Int

  /// - Parameter points: row-major without gaps; they outlive the metric.
  init(points: UnsafePointer<S>, count: Int, dimension: D) {
    self.points = points
    self.dimension = dimension
    self.pointCount = count
  }

  @inline(__always)
  fileprivate func row(_ point: Int32) -> UnsafePointer<S> { points + Int(point) &* dimension.count }

  func sources(_ list: Stack<Int32>, context: CallContext) throws(CoverTreeError) -> BoxTree<S> {
    let dim = dimension.count
    let rows = try Buffer<S>(count: list.count * dim)
    for place in 0..<list.count { (rows.base + place * dim).update(from: row(list[place]), count: dim) }
    defer { withExtendedLifetime(rows) {} }
    return try BoxTree(
      PointsView(base: UnsafePointer(rows.base), count: list.count, dim: dim), leafSize: 4 * S.width, context: context)
  }

  func finder(_ sources: BoxTree<S>) throws(CoverTreeError) -> EuclideanFinder<S, D> {
    EuclideanFinder(
      metric: self, search: try BoxSearch(sources, dimension: dimension),
      lanes: try LaneSearch(sources, dimension: dimension))
  }

  func operations(comparing count: Int) -> Int { count * dimension.count / S.width }

  func squaredDistance(_ a: Int32, _ b: Int32) -> Double {
    euclideanScore(row(a), row(b), dim: dimension.count)
  }
}

struct EuclideanFinder<S: Scalar, D: Dimension>: SourceFinder {
  fileprivate let metric: Euclidean<S, D>
  fileprivate var search: BoxSearch<S, D>
  fileprivate var lanes: LaneSearch<S, D>

  var distanceEvaluations: Int { search.pointsCompared + lanes.pointsCompared }

  mutating func nearest(
    to points: UnsafeBufferPointer<Int32>, closerThan bounds: Buffer<Double>,
    found: (_ point: Int32, _ place: Int32, _ squared: Double) -> Void
  ) throws(CoverTreeError) {
    var closest = ClosestLanes<S>(lanes.slack)
    for first in stride(from: 0, to: points.count, by: S.width) {
      let together = points[first..<min(points.count, first + S.width)]
      lanes.removeAll()
      for point in together { lanes.add(metric.row(point), bound: bounds[point]) }
      try lanes.run(into: &closest)
      for (lane, point) in together.enumerated() {
        switch closest.outcome(lane, of: lanes) {
        case .nothing: continue
        case .found(let place, let squared):
          if squared < bounds[point] { found(point, lanes.label(place), squared) }
        case .undecided:
          var collector = ClosestCollector<S>(worst: bounds[point])
          try search.run(metric.row(point), into: &collector)
          if collector.place >= 0 { found(point, collector.place, collector.worst) }
        }
      }
    }
  }

  @inline(__always)
  mutating func neighbors(
    of places: Range<Int>, in list: Stack<Int32>, within squaredRadius: Double,
    found: (_ place: Int32, _ neighbor: Int32) throws(CoverTreeError) -> Void
  ) throws(CoverTreeError) {
    var within = try LanesWithin<S>()
    for first in stride(from: places.lowerBound, to: places.upperBound, by: S.width) {
      lanes.removeAll()
      for place in first..<min(places.upperBound, first + S.width) {
        lanes.add(metric.row(list[place]), bound: squaredRadius, .init(excluded: Int32(place)))
      }
      try lanes.run(into: &within)
      for hit in within.hits.elements where lanes.squared(Int(hit.lane), Int(hit.place)) <= squaredRadius {
        let (place, neighbor) = (Int32(first) + hit.lane, lanes.label(Int(hit.place)))
        // Where squares overflow in the filter, a source shows to be as near to itself as to others.
        if neighbor != place { try found(place, neighbor) }
      }
    }
  }
}

/// The nearest point closer than a bound, the lowest label of several.
private struct ClosestCollector<S: Scalar>: DecidingCollector {
  var worst: Double
  var place: Int32 = -1

  init(worst: Double) { self.worst = worst }

  @inline(__always)
  mutating func offer(_ squared: Double, _ label: Int32) {
    guard squared < worst || (squared == worst && label < place) else { return }
    worst = squared
    place = label
  }
}

/// The score of a pair of points, by which every decision about it is made: their squared Euclidean distance in float64, and below
/// 2^-480 what keeps its digits there; see `Score`.
///
/// - Parameter stride: scalars from one coordinate of `y` to the next.
@inline(__always)
func euclideanScore<A: Scalar, B: Scalar>(
  _ x: UnsafePointer<A>, _ y: UnsafePointer<B>, stride: Int = 1, dim: Int
) -> Double {
  let square = squaredEuclidean(x, y, stride: stride, dim: dim)
  if A.self == Float.self && B.self == Float.self { return square }
  return square < Score.leastSquare ? scoreOfNear(x, y, stride: stride, dim: dim) : square
}

/// The same of two points whose squared distance is below `Score.leastSquare`.
@inline(never)
func scoreOfNear<A: Scalar, B: Scalar>(
  _ x: UnsafePointer<A>, _ y: UnsafePointer<B>, stride: Int = 1, dim: Int
) -> Double {
  var sum = 0.0
  for d in 0..<dim {
    let difference = (Double(x[d]) - Double(y[d &* stride])) * Score.magnification
    sum = cn_f64_fma(difference, difference, sum)
  }
  return Score.ofMagnified(square: sum)
}

/// Squared Euclidean distance in float64, which may underflow.
@inline(__always)
func squaredEuclidean<A: Scalar, B: Scalar>(
  _ x: UnsafePointer<A>, _ y: UnsafePointer<B>, stride: Int = 1, dim: Int
) -> Double {
  var sum = 0.0
  for d in 0..<dim {
    let difference = Double(x[d]) - Double(y[d &* stride])
    sum = cn_f64_fma(difference, difference, sum)
  }
  return sum
}

/// The same of four points at once: every lane is the sum that one point has.
@inline(__always)
func squaredEuclidean<S: Scalar>(
  _ x: UnsafePointer<S>, _ a: UnsafePointer<S>, _ b: UnsafePointer<S>, _ c: UnsafePointer<S>, _ d: UnsafePointer<S>,
  dim: Int
) -> SIMD4<Double> {
  var sums = (0.0, 0.0, 0.0, 0.0)
  for i in 0..<dim {
    let own = Double(x[i])
    let differences = (own - Double(a[i]), own - Double(b[i]), own - Double(c[i]), own - Double(d[i]))
    sums.0 = cn_f64_fma(differences.0, differences.0, sums.0)
    sums.1 = cn_f64_fma(differences.1, differences.1, sums.1)
    sums.2 = cn_f64_fma(differences.2, differences.2, sums.2)
    sums.3 = cn_f64_fma(differences.3, differences.3, sums.3)
  }
  return SIMD4(sums.0, sums.1, sums.2, sums.3)
}
