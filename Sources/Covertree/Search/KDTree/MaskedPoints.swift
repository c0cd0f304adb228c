import CovertreeBase

// Points that a mask admits, for the queries of one call. Searches of them are searches of any points.

/// The points that are admitted, and how a k-d tree of them would be made.
struct PointMask {
  /// By index: 0 for points that are not admitted.
  let bytes: UnsafeBufferPointer<UInt8>
  let leafSize: Int
  let scales: [Double]?

  /// A k-d tree of the admitted points pays if this share of their number is below the number of queries, times the ratio of points that
  /// are not admitted to those that are, times the dimensions from the third on. Measured for 3 and for 8 dimensions.
  private static var buildingShare: Double { 0.5 }
  /// It also pays if less than this share of the points are admitted: to mark the others takes longer.
  private static var fewShare: Double { 0.05 }

  /// Removed points count as admitted if their bytes are not 0.
  fileprivate func paysToGather(of count: Int, dim: Int, queries: Int) -> Bool {
    let admitted = Double(max(1, self.count))
    let ratio = max(0, Double(count) - admitted) / admitted
    return admitted < Self.fewShare * Double(count)
      || Double(queries * max(1, dim - 2)) * ratio > Self.buildingShare * admitted
  }

  /// The number of indices whose bytes are not 0.
  private var count: Int {
    var count = 0
    for byte in bytes { count &+= byte == 0 ? 0 : 1 }
    return count
  }

  fileprivate func indices() throws(CoverTreeError) -> Buffer<Int32> {
    let indices = try Buffer<Int32>(count: count)
    let raw = UnsafeRawBufferPointer(bytes)
    let size = MemoryLayout<UInt64>.size
    let words = raw.count / size
    var next = 0
    // Eight zeros at a time are skipped.
    for word in 0...words where word == words || raw.loadUnaligned(fromByteOffset: word * size, as: UInt64.self) != 0 {
      for index in word * size..<min(raw.count, (word + 1) * size) where bytes[index] != 0 {
        indices[next] = Int32(index)
        next += 1
      }
    }
    return indices
  }
}

extension SearchPoints {
  /// The points that a mask admits. O(n), or O(n + m log m) for `m` admitted points that are few, or searched by many queries.
  func admitted(by mask: PointMask, queries: Int, context: CallContext) throws(CoverTreeError) -> SearchPoints {
    if mask.paysToGather(of: liveCount, dim: dim, queries: queries), let part = try gathered(mask, context) {
      return part
    }
    return try masked(by: mask.bytes, context)
  }

  /// The same k-d trees with other indices: `noIndex` for points that are not admitted, which searches skip as they skip positions without a
  /// point, and for boxes without admitted points, which they do not enter.
  private func masked(
    by mask: UnsafeBufferPointer<UInt8>, _ context: CallContext
  ) throws(CoverTreeError) -> SearchPoints {
    var (segments, left): ([Segment<S>], [Int]) = ([], [])
    for view in views {
      let (segment, count) = try view.masked(by: mask, context)
      segments.append(segment)
      left.append(view.segment.count - count)
    }
    return SearchPoints(segments, removedCounts: left, time: 0, whole: self)
  }

  /// A k-d tree of the points that a mask admits; nil if it admits no point.
  private func gathered(_ mask: PointMask, _ context: CallContext) throws(CoverTreeError) -> SearchPoints? {
    let points = try GatheredPoints(self, of: mask.indices(), context: context)
    guard points.count > 0 else { return nil }
    let boxes = try KDTree(
      points.view, indices: points.indices.base, leafSize: mask.leafSize, scales: mask.scales, context: context)
    return SearchPoints([Segment(boxes, indexRange: 0..<mask.bytes.count)], removedCounts: [0], time: 0)
  }
}

extension SegmentView {
  /// The points that a mask admits, and their number.
  fileprivate func masked(
    by mask: UnsafeBufferPointer<UInt8>, _ context: CallContext
  ) throws(CoverTreeError) -> (Segment<S>, count: Int) {
    let indices = try Buffer<Int32>(count: segment.indices.count)
    let (target, arrays, none) = (indices.base, arrays, KDTree<S>.noIndex)
    let admitted = Counter()
    try context.forEach(indices.count, grain: 1 << 14) { (range, _) throws(CoverTreeError) in
      var count = 0
      for position in range {
        // Without branches, which a mask at random would mispredict: all bits or none.
        let index = arrays.index(position)
        let isThere: Int32 = index == none ? 0 : -1
        let counts = isThere & (mask[Int(index & isThere)] == 0 ? 0 : -1)
        target[position] = index & counts | none & ~counts
        count &-= Int(counts)
      }
      admitted.add(count)
    }
    let smallest = try boxes.smallestIndex(of: indices)
    return (Segment(segment, indices: indices, smallestIndex: smallest), admitted.value)
  }
}

extension KDTree {
  /// By lane: the smallest of other indices of the points below it; `noIndex` if they have none.
  fileprivate func smallestIndex(of indices: Buffer<Int32>) throws(CoverTreeError) -> Buffer<Int32> {
    let smallest = try Buffer<Int32>(count: children.count, filledWith: Self.noIndex)
    // Children come after their parent.
    for lane in stride(from: children.count - 1, through: 0, by: -1) where smallestIndex[lane] != Self.noIndex {
      let child = Int(children[lane])
      let inner = UnsafePointer(child >= 0 ? smallest.base + child * S.width : indices.base + ~child * leafSize)
      var least = Self.noIndex
      for index in 0..<(child >= 0 ? S.width : leafSize) { least = min(least, inner[index]) }
      smallest[lane] = least
    }
    return smallest
  }
}
