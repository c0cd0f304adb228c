import CovertreeBase

public struct SearchOptions: @unchecked Sendable {
  /// Only points with a dataset index below the query's own. For stored queries.
  public var predecessorsOnly = false
  /// Excludes the query itself, by its dataset index. For stored queries.
  public var excludesSelf = false
  /// The largest distance of a neighbour.
  public var maximumDistance = Double.infinity
  /// For each row: only points with a dataset index below this.
  public var before: UnsafeBufferPointer<Int64>?
  /// The largest score within that distance; it depends on the type of the reported distances.
  var farthest = Double.infinity
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

extension SearchOptions {
  /// The options of a search that reports distances in the type `S`.
  func reporting<S: Scalar>(in type: S.Type, _ metric: TreeMetric?) -> SearchOptions {
    var options = self
    options.farthest =
      metric?.largestScore(withinDistance: maximumDistance, type) ?? S.largestScore(withinDistance: maximumDistance)
    return options
  }

  /// The largest score, or negative inner product, of a neighbour of a row, if queries are compared in the type `S`.
  @inline(__always)
  func farthestScore<S: Scalar>(_ row: Int, _: S.Type) -> Double {
    guard let limits else { return farthest }
    let limit = Score.largest(reportedWithin: limits[row])
    // Between float32 points the score of a distance of zero is 0.
    return min(farthest, S.self == Float.self && limit >= Score.ofZero ? max(limit, 0) : limit)
  }

  @inline(__always)
  func eligible<S>(_ query: QuerySet<S>.Query) -> IndexFilter {
    IndexFilter(
      upperIndex: upperIndex(ofRow: query.row, index: query.index), excludedIndex: excludesSelf ? query.index : -1)
  }

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
    guard before?.count ?? rows == rows, limits?.count ?? rows == rows else {
      throw CoverTreeError(
        .busy, "before, limits: there are \(rows) queries, they are for \(before?.count ?? limits!.count)")
    }
  }

  func checkBounds() throws(CoverTreeError) {
    guard maximumDistance >= 0 else {
      throw CoverTreeError(.invalidArgument, "max_distance: expected a number from 0 up, got \(maximumDistance)")
    }
    if predecessorsOnly && before != nil {
      throw CoverTreeError(
        .invalidArgument, "before: cannot be combined with predecessor_mode, which sets upper indices itself")
    }
    guard let limits, let row = limits.firstIndex(where: \.isNaN) else { return }
    throw CoverTreeError(.invalidArgument, "limits[\(row)]: expected a number, got \(limits[row])")
  }
}
