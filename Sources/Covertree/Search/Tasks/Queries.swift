import CovertreeBase

/// The queries of a search: new points, or points of the tree.
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

  /// Throws unless all are dataset indices below `count`.
  func check(below count: Int, named name: String) throws(CoverTreeError) {
    for (row, index) in elements.enumerated() where index < 0 || index >= count {
      throw CoverTreeError(.notFound, "\(name)[\(row)]: expected a dataset index from 0 to \(count - 1), got \(index)")
    }
  }
}
