import Glibc
import Synchronization

/// The sequence in which points are preferred as centres when a tree is built.
public enum PointOrder: Int32, Sendable {
  case hilbert = 0
  case natural = 1
  case random = 2
}

public struct TreeOptions: Sendable {
  public static let defaultLeafSize = 32

  public var order = PointOrder.hilbert
  public var leafSize = TreeOptions.defaultLeafSize
  public var seed: UInt64 = 0

  public init() {}
}

/// A compressed cover tree of points, and the searches on it.
///
/// **Definition** (Elkin and Kurlin, 2023). Every point is one node with one integer level:
/// - the root's level is above all others;
/// - *covering*: `d(q, parent(q)) <= 2^(level(q) + 1)` and `level(q) < level(parent(q))`;
/// - *separation*: two nodes of level `i` or above are more than `2^i` apart, for every `i`;
/// - points at distance 0 from a node hang under it as duplicates, on the lowest level (`Int32.min`), outside
///   separation.
///
/// **Layout**: `TreeLayout` (flat arrays in tree order) and `BoxTree` (what searches walk). **Building** is insertion
/// into the empty tree: `Inserter`. **Searching**: `BoxSearch`. **Checking**: `validate`.
///
/// A tree is a current `TreeSnapshot`: searches take it and run, changes put a new one in its place. Searches never
/// wait; of two changes at once the second fails with `.busy`.
public final class CoverTree<S: Scalar>: @unchecked Sendable {
  public let dim: Int
  public let options: TreeOptions
  /// Guarded by `processLock`.
  private var current: TreeSnapshot<S>
  private var lastChange: ChangeStatistics
  /// The process in which a change is under way, or 0. A forked child takes over from a parent's thread that it does
  /// not have.
  private let changing = Atomic<pid_t>(0)
  let searches = SearchCounters()

  /// Builds a tree of all points. O(c n log(spread)) distances for an expansion constant c of the data.
  public init(
    points: PointsView<S>, options: TreeOptions, context: CallContext
  ) throws(CoverTreeError) {
    try points.checkCoordinates(named: "points", context: context)
    dim = points.dim
    self.options = options
    let change = TreeChange<S>(options: options, context: context)
    (current, lastChange) = try change.build(points, ids: nil, indexCount: points.count)
  }

  /// A tree that is known, from a file.
  init(_ snapshot: TreeSnapshot<S>, options: TreeOptions) {
    dim = snapshot.layout.dim
    self.options = options
    (current, lastChange) = (snapshot, ChangeStatistics())
  }

  var snapshot: TreeSnapshot<S> { processLock.locked { current } }

  /// Points that searches find.
  public var count: Int { snapshot.liveCount }
  public var changeStatistics: ChangeStatistics { processLock.locked { lastChange } }

  /// Adds points; they get the dataset indices from the returned one on. O(n) beside the insertion itself: the layout
  /// is made anew.
  public func insert(_ points: PointsView<S>, context: CallContext) throws(CoverTreeError) -> Int {
    guard points.dim == dim else {
      throw CoverTreeError(.shape, "points: expected \(dim) columns, got \(points.dim)")
    }
    try points.checkCoordinates(named: "points", context: context)
    var first = 0
    try change { (snapshot) throws(CoverTreeError) in
      first = snapshot.indexCount
      let total = first + points.count
      guard total < Int(Int32.max) else {
        throw CoverTreeError(
          .invalidArgument, "points: the tree would hold \(total) points, at most 2^31 - 2 are possible")
      }
      return try TreeChange<S>(options: options, context: context).insert(points, into: snapshot)
    }
    return first
  }

  /// Takes points out, by dataset index. Other points keep their indices. They are marked, and the tree is rebuilt
  /// without them when a quarter is gone.
  public func remove(_ indices: UnsafeBufferPointer<Int64>, context: CallContext) throws(CoverTreeError) {
    try change { (snapshot) throws(CoverTreeError) in
      try TreeChange<S>(options: options, context: context).remove(indices, from: snapshot)
    }
  }

  private func change(
    _ body: (TreeSnapshot<S>) throws(CoverTreeError) -> (TreeSnapshot<S>, ChangeStatistics)
  ) throws(CoverTreeError) {
    let me = getpid()
    let (taken, holder) = changing.compareExchange(expected: 0, desired: me, ordering: .acquiring)
    if !taken {
      guard holder != me, changing.compareExchange(expected: holder, desired: me, ordering: .acquiring).exchanged else {
        throw CoverTreeError(.busy, "tree: another thread is changing it")
      }
    }
    defer { changing.store(0, ordering: .releasing) }
    let (next, statistics) = try body(snapshot)
    let replaced = processLock.locked {
      let replaced = current
      current = next
      lastChange = statistics
      return replaced
    }
    withExtendedLifetime(replaced) {}
  }
}

/// What the last build, insertion or removal took.
public struct ChangeStatistics: Sendable {
  public var insertion = InsertionStatistics()
  public var orderSeconds = 0.0
  public var layoutSeconds = 0.0
  public var totalSeconds = 0.0
}
