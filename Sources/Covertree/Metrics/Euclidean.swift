import CNumerics

/// Euclidean distance between the rows of a dense array, evaluated in float64 whatever the rows are stored in.
///
/// Differences are taken directly (the form `|x|^2 + |y|^2 - 2xy` cancels) and summed over coordinates in order with
/// one rounding each, so that every kernel gives the same bits for the same pair.
struct Euclidean<S: Scalar, D: Dimension>: Metric, @unchecked Sendable {
  private let points: UnsafePointer<S>
  private let dimension: D
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
    try BoxTree(
      points: points, dim: dimension.count, count: list.count, sequence: UnsafePointer(list.base), labels: nil,
      leafSize: S.width, context: context)
  }

  func finder(_ sources: BoxTree<S>) throws(CoverTreeError) -> EuclideanFinder<S, D> {
    EuclideanFinder(metric: self, search: try BoxSearch(sources, dimension: dimension))
  }

  func operations(comparing count: Int) -> Int { count * dimension.count / S.width }

  func squaredDistance(_ a: Int32, _ b: Int32) -> Double {
    squaredEuclidean(row(a), row(b), dim: dimension.count)
  }

  func identical(_ a: Int32, _ b: Int32) -> Bool {
    let x = row(a)
    let y = row(b)
    for d in 0..<dimension.count where x[d] != y[d] { return false }
    return true
  }
}

struct EuclideanFinder<S: Scalar, D: Dimension>: SourceFinder {
  fileprivate let metric: Euclidean<S, D>
  fileprivate var search: BoxSearch<S, D>

  var distanceEvaluations: Int { search.pointsCompared }

  @inline(__always)
  mutating func nearest(
    to point: Int32, closerThan bound: Double
  ) throws(CoverTreeError) -> (place: Int32, squared: Double)? {
    var closest = ClosestCollector(worst: bound)
    try search.run(metric.row(point), into: &closest)
    return closest.place < 0 ? nil : (closest.place, closest.worst)
  }

  @inline(__always)
  mutating func append(
    within squaredRadius: Double, of point: Int32, except place: Int32, to list: Stack<Int32>
  ) throws(CoverTreeError) {
    var collector = ListCollector(worst: squaredRadius, list: list)
    try search.run(metric.row(point), .init(excluded: place), into: &collector)
  }
}

/// The nearest point closer than a bound, the lowest label of several.
private struct ClosestCollector: Collector {
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

/// The labels of all points within a radius.
private struct ListCollector: Collector {
  let worst: Double
  let list: Stack<Int32>

  @inline(__always)
  mutating func offer(_ squared: Double, _ label: Int32) throws(CoverTreeError) { try list.append(label) }
}

/// Squared Euclidean distance in float64: the value that every decision about a pair is made by.
@inline(__always)
func squaredEuclidean<S: Scalar>(_ x: UnsafePointer<S>, _ y: UnsafePointer<S>, dim: Int) -> Double {
  var sum = 0.0
  for d in 0..<dim {
    let difference = Double(x[d]) - Double(y[d])
    sum = cn_f64_fma(difference, difference, sum)
  }
  return sum
}
