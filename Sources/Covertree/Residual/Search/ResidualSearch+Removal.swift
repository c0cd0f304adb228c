import CovertreeBase

/// Removal of points. A search without some points shares all structures of the search that has them, and leaves the points out of its
/// candidates; so a removal costs a few bytes a point.
extension ResidualSearch {
  /// The same search without some more points, by dataset index.
  public func removing(_ indices: UnsafeBufferPointer<Int64>) throws(CoverTreeError) -> ResidualSearch {
    let start = monotonicSeconds()
    return try leavingOut(RemovedPoints(indices, of: model.count, and: removed), since: start)
  }

  /// The number of points that searches find.
  var remainingCount: Int { removed?.remaining.count ?? model.count }

  /// Throws unless all are dataset indices of points that searches find.
  func check(_ list: StoredIndices, named name: String) throws(CoverTreeError) {
    try list.check(below: model.count, named: name)
    guard let removed else { return }
    for (row, index) in list.elements.enumerated() where removed.has(Int32(index)) {
      throw CoverTreeError(.notFound, "\(name)[\(row)]: point \(index) was removed")
    }
  }
}
