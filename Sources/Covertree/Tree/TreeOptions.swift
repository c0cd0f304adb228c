import CovertreeBase

/// The order in which points are preferred as centres when a tree is built.
public enum PointOrder: Int32, Sendable {
  case hilbert = 0
  case natural = 1
  case random = 2
}

public struct TreeOptions: Sendable {
  public var order = PointOrder.hilbert
  public var leafSize = KDTree<Float>.defaultLeafSize
  public var seed: UInt64 = 0
  /// nil for Euclidean distance.
  public var metric: TreeMetric?

  public init() {}

  /// The rows of a tree for some points.
  func rows<S: Scalar>(
    of points: PointsView<S>, context: CallContext
  ) throws(CoverTreeError) -> MetricRows<S> {
    try metric?.rows(of: points, named: "points", asQueries: false, context: context) ?? MetricRows(points)
  }
}
