import Synchronization

/// What a search is asked for: new points, or points of the tree.
public enum Queries<S: Scalar>: Sendable {
  case points(PointsView<S>)
  /// Points of the tree, by dataset index.
  case stored(StoredIndices)
  /// All points of the tree, in the order of their dataset indices.
  case allStored
}

/// Dataset indices that the caller owns.
public struct StoredIndices: @unchecked Sendable {
  let elements: UnsafeBufferPointer<Int64>

  public init(_ elements: UnsafeBufferPointer<Int64>) { self.elements = elements }
}

public struct SearchOptions: Sendable {
  /// Only points with a dataset index below the query's own. For stored queries.
  public var predecessorsOnly = false
  /// Not the query itself, told by its dataset index. For stored queries.
  public var excludesSelf = false
  /// Nothing farther than this.
  public var maximumDistance = Double.infinity

  public init() {}

  func check<S>(_ queries: Queries<S>) throws(CoverTreeError) {
    guard maximumDistance >= 0 else {
      throw CoverTreeError(.invalidArgument, "max_distance: expected a number from 0 up, got \(maximumDistance)")
    }
    guard case .points = queries else { return }
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
  /// What is above this, of squared distances or of negative inner products, is not wanted.
  var farthestScore: Double { maximumDistance * maximumDistance }

  func eligible<S>(_ query: QuerySet<S>.Query) -> Eligibility {
    Eligibility(before: predecessorsOnly ? query.index : Int32.max, excluded: excludesSelf ? query.index : -1)
  }
}

/// How much searching a tree has done.
final class SearchCounters: Sendable {
  let queries = Atomic<Int>(0)
  let points = Atomic<Int>(0)
  let boxes = Atomic<Int>(0)

  func add(queries: Int, points: Int, boxes: Int) {
    self.queries.wrappingAdd(queries, ordering: .relaxed)
    self.points.wrappingAdd(points, ordering: .relaxed)
    self.boxes.wrappingAdd(boxes, ordering: .relaxed)
  }
}
