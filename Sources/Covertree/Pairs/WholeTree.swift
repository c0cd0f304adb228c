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

  init(_ points: SearchPoints<S>, leafSize: Int, context: CallContext) throws(CoverTreeError) {
    let view = points.views[0]
    if points.views.count == 1 && view.removedCount == 0 && view.segment.indexRange == 0..<view.segment.count {
      self.init(points: points, tree: view.boxes, datasetIndices: nil)
    } else {
      try self.init(copying: points, leafSize: leafSize, context: context)
    }
  }

  private init(points: SearchPoints<S>, tree: KDTree<S>, datasetIndices: Buffer<Int32>?) {
    (self.points, self.tree, self.datasetIndices) = (points, tree, datasetIndices)
  }

  /// A copy, in a type that has every number of the other one.
  init<Stored: Scalar>(
    copying points: SearchPoints<Stored>, leafSize: Int, context: CallContext
  ) throws(CoverTreeError) {
    let (count, dim) = (points.liveCount, points.dim)
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
      for d in 0..<dim { coordinates[row * dim + d] = S(point[d * Stored.width]) }
      row += 1
    }
    let tree = try KDTree(PointsView(coordinates, count: count, dim: dim), leafSize: leafSize, context: context)
    withExtendedLifetime(coordinates) {}
    self.init(
      points: SearchPoints([Segment(tree, indexRange: 0..<count)], removedCounts: [0], time: 0), tree: tree,
      datasetIndices: indices)
  }

  var count: Int { tree.count }

  @inline(__always)
  func datasetIndex(_ row: Int32) -> Int64 { Int64(datasetIndices?[row] ?? row) }
}

/// Work on pairs of points, compiled for the dimensions of space and of the plane, and for all others together.
func specializedForPairs<Task: DimensionTask>(_ dim: Int, _ task: Task) throws(CoverTreeError) -> Task.Result {
  switch dim {
  case 2: try task.run(FixedDimension<2>())
  case 3: try task.run(FixedDimension<3>())
  default: try task.run(RuntimeDimension(count: dim))
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
