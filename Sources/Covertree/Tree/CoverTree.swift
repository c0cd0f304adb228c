import CovertreeBase

/// Points, exact searches among them, and their compressed cover tree, which is made on first use.
///
/// Searches walk k-d trees (`SearchPoints`, `KDTreeSearch`). Changes are by batches (`SnapshotBuilder`).
///
/// **Definition** of the compressed cover tree (Elkin and Kurlin, 2023). Every point is one node with one integer level:
/// - the root's level is above all others;
/// - *covering*: `d(q, parent(q)) <= 2^(level(q) + 1)` and `level(q) < level(parent(q))`;
/// - *separation*: two nodes of level `i` or above are more than `2^i` apart, for every `i`;
/// - points at distance 0 from a node hang under it as duplicates, on the lowest level (`Int32.min`), outside
///   separation.
///
/// Its arrays are a `TreeLayout`. **Building** is insertion into the empty tree (`CoverBuild`, `Inserter`). **Checking**: `validate`.
///
/// A tree has a current `TreeSnapshot`, which searches use and changes replace. Searches never wait. If two changes run at once, the
/// second fails with `.busy`.
public final class CoverTree<S: Scalar>: @unchecked Sendable {
  public let dim: Int
  public let options: TreeOptions
  private let state: CurrentState<TreeSnapshot<S>>
  let searches = SearchCounters()

  /// Builds a tree of all points. O(n log n).
  public init(points: PointsView<S>, options: TreeOptions, context: CallContext) throws(CoverTreeError) {
    let start = monotonicSeconds()
    dim = points.dim
    var options = options
    options.metric = try options.metric?.fitted(to: points, context: context)
    self.options = options
    let rows = try options.rows(of: points, context: context)
    defer { withExtendedLifetime(rows) {} }
    state = CurrentState(
      try SnapshotBuilder<S>(options: options, context: context).build(rows.view), seconds: monotonicSeconds() - start)
  }

  /// A tree from a file.
  init(_ snapshot: TreeSnapshot<S>, options: TreeOptions) {
    dim = options.metric?.dim ?? snapshot.points.dim
    self.options = options
    state = CurrentState(snapshot, seconds: 0)
  }

  var snapshot: TreeSnapshot<S> { state.current }

  /// Points that searches find.
  public var count: Int { snapshot.points.liveCount }
  /// Seconds of the last build, insertion or removal.
  var changeSeconds: Double { state.changeSeconds }

  /// Adds points, which get consecutive dataset indices. Returns the first. O(log^2 n) per point on average.
  public func insert(_ points: PointsView<S>, context: CallContext) throws(CoverTreeError) -> Int {
    guard points.dim == dim else { throw CoverTreeError(.shape, "points: expected \(dim) columns, got \(points.dim)") }
    let rows = try options.rows(of: points, context: context)
    defer { withExtendedLifetime(rows) {} }
    var first = 0
    try state.change { (snapshot) throws(CoverTreeError) in
      first = snapshot.indexCount
      let total = first + points.count
      guard total < Int(Int32.max) else {
        throw CoverTreeError(
          .invalidArgument, "points: the tree would hold \(total) points, at most 2^31 - 2 are possible")
      }
      return try SnapshotBuilder<S>(options: options, context: context).insert(rows.view, into: snapshot)
    }
    return first
  }

  /// Removes points, by dataset index. Other points keep their indices. O(log n) per point on average.
  public func remove(_ indices: UnsafeBufferPointer<Int64>, context: CallContext) throws(CoverTreeError) {
    try state.change { (snapshot) throws(CoverTreeError) in
      try SnapshotBuilder<S>(options: options, context: context).remove(indices, from: snapshot)
    }
  }

  /// The largest magnitude of each coordinate less the origin, in a tree and in queries.
  func reach<Q: Scalar>(_ points: SearchPoints<S>, _ queries: PointsView<Q>?) -> [Double] {
    guard let metric = options.metric else { return [] }
    var reach = points.reach(from: metric)
    guard let queries else { return reach }
    for d in 0..<dim {
      let origin = metric.parameters.origins[d]
      for row in 0..<queries.count {
        reach[d] = max(reach[d], abs(Double(queries.row(row)[metric.firstGiven + d]) - origin))
      }
    }
    return reach
  }
}
