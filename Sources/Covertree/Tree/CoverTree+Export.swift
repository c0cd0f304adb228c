/// What a tree is and has done, in numbers.
public struct TreeInfo: Sendable {
  public let pointCount: Int
  public let nodeCount: Int
  public let nextIndex: Int
  public let dim: Int
  public let rootLevel: Int32
  public let options: TreeOptions
  public let memoryBytes: Int
  public let lastChange: ChangeStatistics
  public let queries: Int
  public let pointsCompared: Int
  public let boxesCompared: Int
}

/// A tree's arrays, in tree order, as `TreeLayout` defines them. They live as long as `owner`.
public struct TreeArrays: @unchecked Sendable {
  public let owner: AnyObject
  public let nodeCount: Int
  public let dim: Int
  public let points: UnsafeRawPointer
  public let order: UnsafePointer<Int32>
  public let levels: UnsafePointer<Int32>
  public let parents: UnsafePointer<Int32>
  public let childrenOffsets: UnsafePointer<Int32>
  public let children: UnsafePointer<Int32>
  public let radius: UnsafeRawPointer
  public let subtreeEnd: UnsafePointer<Int32>
  public let subtreeMin: UnsafePointer<Int32>
  public let subtreeMax: UnsafePointer<Int32>
  public let removed: UnsafePointer<UInt8>?
  /// Whether the tree is still as these arrays show it.
  public let isCurrent: @Sendable () -> Bool

  init<S: Scalar>(
    _ layout: TreeLayout<S>, owner: AnyObject, removed: Buffer<UInt8>?, isCurrent: @escaping @Sendable () -> Bool
  ) {
    self.owner = owner
    self.isCurrent = isCurrent
    (nodeCount, dim) = (layout.count, layout.dim)
    points = UnsafeRawPointer(layout.points.base)
    order = UnsafePointer(layout.order.base)
    levels = UnsafePointer(layout.levels.base)
    parents = UnsafePointer(layout.parents.base)
    childrenOffsets = UnsafePointer(layout.childrenOffsets.base)
    children = UnsafePointer(layout.children.base)
    radius = UnsafeRawPointer(layout.radius.base)
    subtreeEnd = UnsafePointer(layout.subtreeEnd.base)
    subtreeMin = UnsafePointer(layout.subtreeMin.base)
    subtreeMax = UnsafePointer(layout.subtreeMax.base)
    self.removed = removed.map { UnsafePointer($0.base) }
  }
}

extension CoverTree {
  public var info: TreeInfo {
    let snapshot = snapshot
    return TreeInfo(
      pointCount: snapshot.liveCount, nodeCount: snapshot.layout.count, nextIndex: snapshot.indexCount, dim: dim,
      rootLevel: snapshot.layout.levels[0], options: options, memoryBytes: snapshot.byteCount,
      lastChange: changeStatistics, queries: searches.queries.load(ordering: .relaxed),
      pointsCompared: searches.points.load(ordering: .relaxed), boxesCompared: searches.boxes.load(ordering: .relaxed))
  }

  /// Shows the arrays of the tree as it stands; nothing is copied, and no later change touches them.
  public func export() -> TreeArrays {
    let snapshot = snapshot
    return TreeArrays(snapshot.layout, owner: snapshot, removed: snapshot.removed) { [weak self] in
      self?.snapshot === snapshot
    }
  }
}

extension TreeSnapshot {
  /// Memory that the arrays of this snapshot take.
  var byteCount: Int {
    layout.byteCount + boxes.byteCount + positions.byteCount + (removed?.byteCount ?? 0)
      + (sparseIndices?.byteCount ?? 0)
  }
}

extension TreeLayout {
  var byteCount: Int {
    let perNode = [order, levels, parents, childrenOffsets, children, subtreeEnd, subtreeMin, subtreeMax]
    return perNode.reduce(points.byteCount + radius.byteCount) { $0 + $1.byteCount }
  }
}
