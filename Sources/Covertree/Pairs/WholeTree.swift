import CovertreeBase

/// All points of a tree in one k-d tree, for questions on pairs: the tree's own if it has one segment and all its points, otherwise one that
/// is built for the call.
///
/// A point's *row* is its rank among the dataset indices. Ties by row are ties by dataset index.
struct WholeTree<S: Scalar>: @unchecked Sendable {
  /// One segment, whose indices are rows.
  let points: SearchPoints<S>
  let tree: KDTree<S>
  /// The dataset index of each row; nil if it is the row.
  private let datasetIndices: Buffer<Int32>?
  /// nil for Euclidean distance.
  let metric: TreeMetric?

  init(
    _ points: SearchPoints<S>, leafSize: Int, metric: TreeMetric?, context: CallContext
  ) throws(CoverTreeError) {
    let view = points.views[0]
    if points.views.count == 1 && view.removedCount == 0 && view.segment.indexRange == 0..<view.segment.count {
      self.init(points: points, tree: view.boxes, datasetIndices: nil, metric)
    } else {
      try self.init(copying: points, leafSize: leafSize, metric: metric, context: context)
    }
  }

  private init(points: SearchPoints<S>, tree: KDTree<S>, datasetIndices: Buffer<Int32>?, _ metric: TreeMetric?) {
    (self.points, self.tree, self.datasetIndices, self.metric) = (points, tree, datasetIndices, metric)
  }

  /// A copy, in a type that has every number of the other one.
  ///
  /// - Parameter isMoved: whether the rows are for another origin than that of `metric`.
  init<Stored: Scalar>(
    copying points: SearchPoints<Stored>, leafSize: Int, metric: TreeMetric?, isMoved: Bool = false,
    context: CallContext
  ) throws(CoverTreeError) {
    // Rows for another origin are made again, from the coordinates that the caller gave.
    let first = isMoved ? metric?.firstGiven ?? 0 : 0
    let (count, dim) = (points.liveCount, points.dim - first)
    let indices = try Buffer<Int32>(count: count)
    let coordinates = try Buffer<S>(count: count * dim)
    let lowest = points.views[0].segment.indexRange.lowerBound
    let positions = try Buffer<Int32>(
      count: points.views[points.views.count - 1].segment.indexRange.upperBound - lowest, filledWith: -1)
    for view in points.views {
      for inside in 0..<view.segment.count where view.index(inside) != KDTree<Stored>.noIndex {
        positions[Int(view.index(inside)) - lowest] = Int32(view.firstPosition + inside)
      }
    }
    var row = 0
    for offset in 0..<positions.count where positions[offset] >= 0 {
      indices[row] = Int32(lowest + offset)
      let point = points.coordinates(at: Int(positions[offset]))
      for d in 0..<dim { coordinates[row * dim + d] = S(point[(first + d) * Stored.width]) }
      row += 1
    }
    let copied = PointsView(coordinates, count: count, dim: dim)
    let rows =
      isMoved ? try metric?.rows(of: copied, named: "other", asQueries: false, context: context) : MetricRows(copied)
    let tree = try KDTree(rows?.view ?? copied, leafSize: leafSize, scales: metric?.scales, context: context)
    withExtendedLifetime((coordinates, rows)) {}
    self.init(
      points: SearchPoints([Segment(tree, indexRange: 0..<count)], removedCounts: [0], time: 0), tree: tree,
      datasetIndices: indices, metric)
  }

  var count: Int { tree.count }

  @inline(__always)
  func datasetIndex(_ row: Int32) -> Int64 { Int64(datasetIndices?[row] ?? row) }
}

/// The metric of the points.
extension WholeTree {
  /// The largest score that is reported as a distance of at most this.
  func largestScore(withinDistance distance: Double) -> Double {
    metric?.largestScore(withinDistance: distance, S.self) ?? S.largestScore(withinDistance: distance)
  }

  /// The distance of a score.
  @inline(__always)
  func distance<D: MetricSpace>(_ score: Double, _: D) -> S {
    S(D.isEuclidean ? Score.distance(score) : metric!.distance(score))
  }

  /// Whether the coordinates of two points are equal, so that their scores to any other one are, if their own score is 0. In other metrics
  /// than plain Euclidean distance a score of 0 may also be that of a difference whose power underflows.
  func areEqual(_ a: Int, _ b: Int) -> Bool {
    guard let metric else { return true }
    let (x, y) = (tree.coordinates(at: a), tree.coordinates(at: b))
    return metric.deciding.allSatisfy { x[$0 * S.width] == y[$0 * S.width] }
  }

  /// Work on pairs of points in this tree, and in another one in the same metric: compiled for the dimensions of space and of the plane,
  /// for all others together, and for all other metrics.
  func specialized<Task: DimensionTask>(
    with other: WholeTree<S>?, _ task: Task
  ) throws(CoverTreeError) -> Task.Result {
    // Of two trees the second is searched, and its points may be in another period.
    if let metric = (other ?? self).metric {
      return try metric.specialized(task) {
        let reach = points.reach(from: metric)
        guard let other else { return reach }
        return zip(reach, other.points.reach(from: metric)).map { max($0, $1) }
      }
    }
    return switch tree.dim {
    case 2: try task.run(FixedDimension<2>())
    case 3: try task.run(FixedDimension<3>())
    default: try task.run(RuntimeDimension(count: tree.dim))
    }
  }
}

extension KDTree {
  var leafCount: Int { indices.count / leafSize }

  @inline(__always)
  func positions(ofLeaf leaf: Int) -> Range<Int> {
    leaf &* leafSize..<leaf &* leafSize &+ pointCount(ofLeaf: leaf)
  }

  /// Copies the coordinates of a point, and each of them to all lanes of a vector.
  @inline(__always)
  func copyPoint<D: MetricSpace>(
    at position: Int, into row: UnsafeMutablePointer<S>, _ lanes: UnsafeMutablePointer<S.Lanes>, _ dimension: D
  ) {
    let point = coordinates(at: position)
    for d in 0..<dimension.count {
      row[d] = point[d &* S.width]
      lanes[d] = S.Lanes(repeating: row[d])
    }
  }

  /// Copies the sides of the box around a leaf, each to all lanes of a vector.
  @inline(__always)
  func copyBox(ofLeaf leaf: Int, into low: UnsafeMutablePointer<S.Lanes>, _ high: UnsafeMutablePointer<S.Lanes>) {
    let nodes = children.count / S.width
    // The nodes above leaves are the last ones.
    let node = nodes &- (leafCount &+ S.width &- 1) / S.width &+ leaf / S.width
    let sides = (boxes.base + node &* dim &* 2).scalars + leaf % S.width
    for d in 0..<dim {
      low[d] = S.Lanes(repeating: sides[2 &* d &* S.width])
      high[d] = S.Lanes(repeating: sides[(2 &* d &+ 1) &* S.width])
    }
  }
}
