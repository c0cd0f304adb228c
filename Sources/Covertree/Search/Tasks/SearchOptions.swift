import CovertreeBase

public struct SearchOptions: @unchecked Sendable {
  /// Only points with a dataset index below the query's own. For stored queries.
  public var predecessorsOnly = false
  /// Excludes the query itself, by its dataset index. For stored queries.
  public var excludesSelf = false
  /// The largest distance of a neighbour.
  public var maximumDistance = Double.infinity
  /// For each row: the largest distance of a neighbour, instead of that.
  public var maximumDistances: UnsafeBufferPointer<Double>?
  /// For each dataset index: 0 if the point is not found; nil if all points are.
  public var admitted: UnsafeBufferPointer<UInt8>?
  /// For each row: only points with a dataset index below this.
  public var before: UnsafeBufferPointer<Int64>?
  /// The largest score within that distance; it depends on the type of the reported distances.
  var farthest = Double.infinity
  /// The same for each row, if rows have largest distances of their own. A pointer, because threads would contend for the reference count of
  /// a buffer.
  private(set) var farthestOfRows: UnsafePointer<Double>?
  private var farthestOwner: Buffer<Double>?
  /// For each row: the largest score of a neighbour.
  public var limits: UnsafeBufferPointer<Double>?
  /// Output for the scores of neighbours, `rows x k`.
  public var scores: UnsafeMutablePointer<Double>?
  /// Whether lists of neighbours include scores.
  public var listsScores = false

  public init() {}

  func check<S>(_ queries: Queries<S>, _ metric: TreeMetric?) throws(CoverTreeError) {
    guard metric == nil || limits == nil && scores == nil && !listsScores else {
      throw CoverTreeError(.unsupported, "metric: scores and limits are for plain Euclidean distance")
    }
    if case .points = queries { try check(areNew: true) } else { try check(areNew: false) }
  }

  /// - Parameter areNew: whether queries are not points of the tree.
  func check(areNew: Bool) throws(CoverTreeError) {
    try checkBounds()
    guard areNew else { return }
    if predecessorsOnly {
      throw CoverTreeError(
        .invalidArgument,
        "predecessor_mode: only points of the tree have predecessors; give dataset indices as queries, or none for all points"
      )
    }
    if excludesSelf {
      throw CoverTreeError(
        .invalidArgument,
        "exclude_self: new points are not in the tree; give dataset indices as queries, or none for all points")
    }
  }
}

func checkRadius(_ radius: Double) throws(CoverTreeError) {
  guard radius >= 0 else {
    throw CoverTreeError(.invalidArgument, "radius: expected a number from 0 up, got \(radius)")
  }
}

extension SearchOptions {
  /// The options of a search within a radius, unless each row has a largest distance of its own.
  func within(_ radius: Double) throws(CoverTreeError) -> SearchOptions {
    if maximumDistances == nil { try checkRadius(radius) }
    var options = self
    options.maximumDistance = maximumDistances == nil ? radius : .infinity
    return options
  }

  /// The options of a search that reports distances in the type `S`.
  func reporting<S: Scalar>(
    in type: S.Type, _ metric: TreeMetric?, _ context: CallContext
  ) throws(CoverTreeError) -> SearchOptions {
    func largestScore(_ distance: Double) -> Double {
      metric?.largestScore(withinDistance: distance, type) ?? S.largestScore(withinDistance: distance)
    }
    var options = self
    options.farthest = largestScore(maximumDistance)
    guard let maximumDistances else { return options }
    let scores = try Buffer<Double>(count: maximumDistances.count)
    try context.forEach(scores.count, grain: 1024) { (range, _) throws(CoverTreeError) in
      for row in range { scores[row] = largestScore(maximumDistances[row]) }
    }
    options.setFarthest(scores)
    return options
  }

  /// Sets the largest score of a neighbour of each row.
  private mutating func setFarthest(_ scores: Buffer<Double>) {
    (farthestOfRows, farthestOwner) = (UnsafePointer(scores.base), scores)
  }

  /// The options of a search that reports distances in float64, for scores in the scale of float32, in which that of a distance of zero
  /// is 0.
  func amongFloat32() throws(CoverTreeError) -> SearchOptions {
    var options = self
    options.farthest = max(farthest, 0)
    guard let farthestOwner else { return options }
    let scores = try Buffer<Double>(count: farthestOwner.count)
    for row in 0..<scores.count { scores[row] = max(farthestOwner[row], 0) }
    options.setFarthest(scores)
    return options
  }

  /// The same options with these limits, scores, as the only ones.
  func limited(to scores: UnsafeBufferPointer<Double>) -> SearchOptions {
    var options = self
    (options.limits, options.farthest) = (scores, .infinity)
    (options.farthestOfRows, options.farthestOwner) = (nil, nil)
    return options
  }

  /// The largest distance of a neighbour of a row.
  @inline(__always)
  func maximumDistance(ofRow row: Int) -> Double { maximumDistances?[row] ?? maximumDistance }

  /// The largest score, or negative inner product, of a neighbour of a row, if queries are compared in the type `S`.
  @inline(__always)
  func farthestScore<S: Scalar>(_ row: Int, _: S.Type) -> Double {
    let farthest = farthestOfRows.map { $0[row] } ?? self.farthest
    guard let limits else { return farthest }
    let limit = Score.largest(reportedWithin: limits[row])
    // Between float32 points the score of a distance of zero is 0.
    return min(farthest, S.self == Float.self && limit >= Score.ofZero ? max(limit, 0) : limit)
  }

  @inline(__always)
  func eligible<S>(_ query: QuerySet<S>.Query) -> IndexFilter {
    IndexFilter(
      upperIndex: upperIndex(ofRow: query.row, index: query.index),
      excludedIndex: excludesSelf && isAdmitted(query.index) ? query.index : -1)
  }

  /// Whether the filter of the call admits a point.
  @inline(__always)
  private func isAdmitted(_ index: Int32) -> Bool { admitted.map { $0[Int(index)] != 0 } ?? true }

  /// The upper index of a query.
  @inline(__always)
  func upperIndex(ofRow row: Int, index: Int32) -> Int32 {
    if let before { return Int32(max(0, min(before[row], Int64(Int32.max)))) }
    return predecessorsOnly ? index : Int32.max
  }

  /// Whether indices exclude some points.
  var areSomeTooLate: Bool { predecessorsOnly || before != nil }

  /// Checks that options have one entry per query: for all points of a tree, their number may have changed.
  func check(rows: Int) throws(CoverTreeError) {
    for count in [before?.count, limits?.count, maximumDistances?.count] {
      guard count ?? rows == rows else {
        throw CoverTreeError(
          .busy, "before, limits, max_distances: there are \(rows) queries, they are for \(count!)")
      }
    }
  }

  /// Checks that the mask has one entry per dataset index.
  func check(indexCount: Int) throws(CoverTreeError) {
    guard let admitted, admitted.count != indexCount else { return }
    throw CoverTreeError(
      .shape, "admitted: expected \(indexCount) entries, one for each dataset index, got \(admitted.count)")
  }

  func checkBounds() throws(CoverTreeError) {
    guard maximumDistance >= 0 else {
      throw CoverTreeError(.invalidArgument, "max_distance: expected a number from 0 up, got \(maximumDistance)")
    }
    if predecessorsOnly && before != nil {
      throw CoverTreeError(
        .invalidArgument, "before: cannot be combined with predecessor_mode, which sets upper indices itself")
    }
    if let limits, let row = limits.firstIndex(where: \.isNaN) {
      throw CoverTreeError(.invalidArgument, "limits[\(row)]: expected a number, got \(limits[row])")
    }
    if let maximumDistances, let row = maximumDistances.firstIndex(where: { !($0 >= 0) }) {
      throw CoverTreeError(
        .invalidArgument, "max_distances[\(row)]: expected a number from 0 up, got \(maximumDistances[row])")
    }
  }
}
