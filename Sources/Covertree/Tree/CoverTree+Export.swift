import CovertreeBase

/// Properties and counters of a tree.
public struct TreeInfo: Sendable {
  public let pointCount: Int
  public let segmentCount: Int
  /// Of the cover tree; nil until it is made.
  public let nodeCount: Int?
  public let nextIndex: Int
  public let dim: Int
  public let rootLevel: Int32?
  public let options: TreeOptions
  public let memoryBytes: Int
  public let cover: CoverStatistics
  /// Seconds of the last build, insertion or removal.
  public let changeSeconds: Double
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
  /// Whether the tree is still in this state.
  public let isCurrent: @Sendable () -> Bool

  /// - Parameter points: replace the points of the layout, with `dim` numbers each.
  init<S: Scalar>(
    _ layout: TreeLayout<S>, points: Buffer<S>? = nil, dim: Int? = nil, owner: AnyObject, removed: Buffer<UInt8>?,
    isCurrent: @escaping @Sendable () -> Bool
  ) {
    self.owner = owner
    self.isCurrent = isCurrent
    (nodeCount, self.dim) = (layout.count, dim ?? layout.dim)
    self.points = UnsafeRawPointer((points ?? layout.points).base)
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
    let cover = snapshot.knownCover
    return TreeInfo(
      pointCount: snapshot.points.liveCount, segmentCount: snapshot.points.views.count,
      nodeCount: cover?.layout.count, nextIndex: snapshot.indexCount, dim: dim, rootLevel: cover?.layout.levels[0],
      options: options, memoryBytes: snapshot.byteCount, cover: snapshot.latestCover?.statistics ?? CoverStatistics(),
      changeSeconds: changeSeconds, queries: searches.queries.load(ordering: .relaxed),
      pointsCompared: searches.points.load(ordering: .relaxed), boxesCompared: searches.boxes.load(ordering: .relaxed))
  }

  /// The arrays of the current state's cover tree, which is made on first use. Nothing is copied, and later changes do not affect them.
  public func export(context: CallContext) throws(CoverTreeError) -> TreeArrays {
    guard options.metric == nil else {
      throw CoverTreeError(.unsupported, "metric: cover trees are built for plain Euclidean distance only")
    }
    let snapshot = snapshot
    let cover = try snapshot.cover(options, context: context)
    return TreeArrays(cover.layout, owner: cover, removed: cover.removed) { [weak self] in
      self?.snapshot === snapshot
    }
  }

  /// The dataset indices of the points that searches find.
  ///
  /// - Parameters:
  ///   - inLeafOrder: whether consecutive points are near each other; otherwise indices ascend.
  ///   - indices: there is room for `count`; throws `.busy` if there are more or fewer points.
  public func copyIndices(
    inLeafOrder: Bool, count: Int, into indices: UnsafeMutablePointer<Int64>
  ) throws(CoverTreeError) {
    let points = snapshot.points
    guard points.liveCount == count else {
      throw CoverTreeError(.busy, "n_rows: the tree has \(points.liveCount) points, results are for \(count)")
    }
    var next = 0
    for view in points.views {
      // By position, or by dataset index.
      let table = inLeafOrder ? nil : try view.segment.positions()
      for number in 0..<(table?.count ?? view.segment.count) {
        let position = table.map { Int($0[number]) } ?? number
        guard position >= 0, view.index(position) != KDTree<S>.noIndex else { continue }
        indices[next] = Int64(view.segment.indices[position])
        next += 1
      }
    }
  }

  /// The coordinates of points, by dataset index, without gaps.
  public func copyPoints(
    _ indices: UnsafeBufferPointer<Int64>, into rows: UnsafeMutablePointer<S>, context: CallContext
  ) throws(CoverTreeError) {
    let points = snapshot.points
    let (locator, dim) = (try PointLocator(points), dim)
    let first = options.metric?.firstGiven ?? 0
    try context.forEach(indices.count, grain: 1 << 13) { (range, _) throws(CoverTreeError) in
      for row in range {
        guard let position = locator.position(Int(indices[row])) else {
          throw CoverTreeError(.notFound, "rows[\(row)]: the tree has no point \(indices[row])")
        }
        let point = points.coordinates(at: position)
        for d in 0..<dim { rows[row * dim + d] = point[(first + d) * S.width] }
      }
    }
  }
}

extension TreeLayout {
  var byteCount: Int {
    let perNode = [order, levels, parents, childrenOffsets, children, subtreeEnd, subtreeMin, subtreeMax]
    return perNode.reduce(points.byteCount + radius.byteCount) { $0 + $1.byteCount }
  }
}
