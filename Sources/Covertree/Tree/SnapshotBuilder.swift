import CovertreeBase

/// Builds the next snapshot of a tree: from points, by insertion, or by removal.
///
/// The points are in segments whose sizes fall by a factor. New points go to the last, small one, the *buffer*, which is rebuilt with
/// each batch. A full buffer is merged with the segments before it that are not much larger, so each point is moved a few times in all. A
/// removed point is marked, and a segment is rebuilt when a quarter of it is removed. So the cost of a change depends on its size,
/// O(log^2 n) per point on average, and not on the size of the tree.
///
/// J. L. Bentley, J. B. Saxe, "Decomposable searching problems I: static-to-dynamic transformation", J. Algorithms 1 (1980); R.
/// Yesantharao, Y. Wang, L. Dhulipala, J. Shun, "Parallel batch-dynamic kd-trees" (2021).
struct SnapshotBuilder<S: Scalar> {
  let options: TreeOptions
  let context: CallContext

  /// A segment is merged with later segments unless it is larger by this factor. A large factor keeps segments few, and moves each point
  /// more often.
  static var sizeRatio: Int { 16 }
  /// A buffer has fewer points than this.
  private static var bufferPoints: Int { 128 }

  /// A tree of the given points, with the dataset indices 0 ..< count.
  func build(_ points: PointsView<S>) throws(CoverTreeError) -> TreeSnapshot<S> {
    try points.checkCoordinates(named: "points", context: context)
    let boxes = try KDTree(points, leafSize: options.leafSize, scales: options.metric?.scales, context: context)
    // The caller's array may have changed since it was checked.
    guard try boxes.isUsable(context) else { throw .changing("points") }
    let segment = Segment(boxes, indexRange: 0..<points.count)
    return TreeSnapshot(SearchPoints([segment], removedCounts: [0], time: 0), indexCount: points.count, time: 0)
  }

  /// The tree with a batch of points added under the next dataset indices.
  func insert(_ points: PointsView<S>, into base: TreeSnapshot<S>) throws(CoverTreeError) -> TreeSnapshot<S> {
    guard points.count > 0 else { return base }
    let views = base.points.views
    var keep = views.count
    if views[keep - 1].segment.count < Self.bufferPoints { keep -= 1 }
    let coming = points.count + liveCount(views[keep...])
    if coming >= Self.bufferPoints { keep = reduced(keep, views, below: coming) }
    return try base.replacing(
      try merged(views[keep...], adding: points, from: base.indexCount), from: keep,
      indexCount: base.indexCount + points.count)
  }

  /// The tree without some of its points, by dataset index.
  func remove(
    _ indices: UnsafeBufferPointer<Int64>, from given: TreeSnapshot<S>
  ) throws(CoverTreeError) -> TreeSnapshot<S> {
    guard !indices.isEmpty else { return given }
    let base = given.time < .max ? given : try renumbered(given)
    let locator = try PointLocator(base.points)
    var removedCounts = base.points.views.map(\.removedCount)
    var marked = 0
    do throws(CoverTreeError) {
      while marked < indices.count {
        let index = indices[marked]
        guard let found = locator.locate(Int(index)) else {
          throw CoverTreeError(.notFound, "indices[\(marked)]: the tree has no point \(index)")
        }
        guard
          try base.points.views[found.segment].segment.makeTombstones().mark(found.position, at: base.time + 1)
        else {
          throw CoverTreeError(.invalidArgument, "indices[\(marked)]: point \(index) is named twice")
        }
        removedCounts[found.segment] += 1
        marked += 1
      }
      return try compacted(
        TreeSnapshot(
          SearchPoints(base.points.views.map(\.segment), removedCounts: removedCounts, time: base.time + 1),
          indexCount: base.indexCount, time: base.time + 1, earlierCover: base.latestCover))
    } catch {
      for index in indices.prefix(marked) {
        guard let found = locator.locate(Int(index)) else { continue }
        base.points.views[found.segment].segment.tombstones?.unmark(found.position)
      }
      throw error
    }
  }

  private func liveCount(_ views: ArraySlice<SegmentView<S>>) -> Int { views.reduce(0) { $0 + $1.liveCount } }

  /// The number of first segments to keep if a segment of `coming` points follows them.
  private func reduced(_ kept: Int, _ views: [SegmentView<S>], below coming: Int) -> Int {
    var (keep, coming) = (kept, coming)
    while keep > 0 && views[keep - 1].liveCount < Self.sizeRatio * coming {
      keep -= 1
      coming += views[keep].liveCount
    }
    return keep
  }

  /// Rebuilds segments of which a quarter is removed, and those after them.
  private func compacted(_ base: TreeSnapshot<S>) throws(CoverTreeError) -> TreeSnapshot<S> {
    let views = base.points.views
    guard base.points.liveCount > 0, let sparse = views.firstIndex(where: { $0.removedCount * 4 > $0.segment.count })
    else { return base }
    let keep = reduced(sparse, views, below: liveCount(views[sparse...]))
    return try base.replacing(try merged(views[keep...], adding: nil, from: 0), from: keep, indexCount: base.indexCount)
  }

  /// The same points in one segment.
  func united(_ base: TreeSnapshot<S>) throws(CoverTreeError) -> TreeSnapshot<S> {
    guard base.points.views.count > 1 else { return base }
    guard base.points.liveCount > 0 else { return base.keepingOneSegment() }
    return try inOneSegment(base, time: base.time)
  }

  /// The same points without marks, so that removals are numbered from one again.
  private func renumbered(_ base: TreeSnapshot<S>) throws(CoverTreeError) -> TreeSnapshot<S> {
    guard base.points.liveCount > 0 else { return base }
    return try inOneSegment(base, time: 0)
  }

  private func inOneSegment(_ base: TreeSnapshot<S>, time: UInt32) throws(CoverTreeError) -> TreeSnapshot<S> {
    let segment = try merged(base.points.views[...], adding: nil, from: 0)
    return try base.replacing(segment, from: 0, indexCount: base.indexCount, time: time)
  }

  /// One segment of the points of several segments, and of new points with dataset indices from `first` on; nil without points.
  private func merged(
    _ views: ArraySlice<SegmentView<S>>, adding new: PointsView<S>?, from first: Int
  ) throws(CoverTreeError) -> Segment<S>? {
    let gathered = try GatheredPoints(views, adding: new, from: first, context: context)
    guard gathered.count > 0 else { return nil }
    let lowest = gathered.indices.elements.min() ?? 0
    let upper = max(views.last?.segment.indexRange.upperBound ?? 0, first + (new?.count ?? 0))
    let boxes = try KDTree(
      gathered.view, indices: gathered.indices.base, leafSize: options.leafSize, scales: options.metric?.scales,
      context: context)
    return Segment(boxes, indexRange: Int(lowest)..<upper)
  }
}

extension TreeSnapshot {
  /// The first segment of a state in which all points are removed.
  fileprivate func keepingOneSegment() -> TreeSnapshot<S> {
    let first = points.views[0]
    return TreeSnapshot(
      SearchPoints([first.segment], removedCounts: [first.removedCount], time: time), indexCount: indexCount,
      time: time)
  }

  /// The state with a segment in place of those from `first` on.
  fileprivate func replacing(
    _ segment: Segment<S>?, from keep: Int, indexCount: Int, time: UInt32? = nil
  ) throws(CoverTreeError) -> TreeSnapshot<S> {
    let kept = points.views[..<keep]
    let time = time ?? self.time
    let next = SearchPoints(
      kept.map(\.segment) + (segment.map { [$0] } ?? []),
      removedCounts: kept.map(\.removedCount) + (segment == nil ? [] : [0]), time: time)
    return TreeSnapshot(next, indexCount: indexCount, time: time, earlierCover: latestCover)
  }
}

extension KDTree {
  /// Whether all coordinates are finite and can be squared.
  func isUsable(_ context: CallContext) throws(CoverTreeError) -> Bool {
    let (coordinates, count, dim) = (coordinates, count, dim)
    let limit = S.Lanes(repeating: S(S.coordinateLimit))
    let unusable = Counter()
    try context.forEach((count + S.width - 1) / S.width, grain: 1 << 12) { (range, _) throws(CoverTreeError) in
      for group in range {
        var usable = UInt32.max
        for d in 0..<dim {
          let lanes = coordinates[group * dim + d]
          usable &= S.maskLessOrEqual(S.maximum(lanes, -lanes), limit)
        }
        let points = min(S.width, count - group * S.width)
        let all = UInt32(truncatingIfNeeded: (1 << points) - 1)
        if usable & all != all { unusable.add(1) }
      }
    }
    return unusable.value == 0
  }
}
