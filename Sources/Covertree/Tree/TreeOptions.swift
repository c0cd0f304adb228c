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

  public init() {}
}
