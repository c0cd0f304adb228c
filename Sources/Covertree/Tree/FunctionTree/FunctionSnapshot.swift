import CovertreeBase

/// One state of a tree of a caller's metric: immutable, and shared by its searches.
final class FunctionSnapshot: @unchecked Sendable {
  /// Its points are the embeddings of the objects.
  let layout: TreeLayout<Double>
  /// In tree order.
  let objects: ObjectRows
  let pivots: PivotTable
  let links: NodeLinks
  /// By tree index: 1 for removed objects; nil if none is removed.
  let removed: Buffer<UInt8>?
  let liveCount: Int
  /// The number of dataset indices ever given.
  let indexCount: Int
  let statistics: CoverStatistics
  /// By dataset index: the tree index of an object that searches find, or -1.
  let nodes: Buffer<Int32>

  init(
    _ layout: TreeLayout<Double>, _ objects: ObjectRows, _ pivots: PivotTable, _ links: NodeLinks,
    removed: Buffer<UInt8>?, indexCount: Int, statistics: CoverStatistics
  ) throws(CoverTreeError) {
    (self.layout, self.objects, self.pivots, self.links) = (layout, objects, pivots, links)
    (self.removed, self.indexCount, self.statistics) = (removed, indexCount, statistics)
    nodes = try Buffer(count: indexCount, filledWith: -1)
    var live = 0
    for t in 0..<layout.count where (removed?[t] ?? 0) == 0 {
      nodes[layout.order[t]] = Int32(t)
      live += 1
    }
    liveCount = live
  }

  @inline(__always)
  func embedding(_ node: Int32) -> UnsafePointer<Double> {
    UnsafePointer(layout.points.base) + Int(node) &* pivots.columns
  }

  @inline(__always)
  func isLive(_ node: Int32) -> Bool { removed.map { $0[node] == 0 } ?? true }

  @inline(__always)
  func children(of node: Int32) -> UnsafeBufferPointer<Int32> {
    let first = Int(layout.childrenOffsets[node])
    return UnsafeBufferPointer(
      start: layout.children.base + first, count: Int(layout.childrenOffsets[Int(node) + 1]) - first)
  }

  /// The tree index of a dataset index that a caller gave.
  func node(_ index: Int64, named name: String, row: Int) throws(CoverTreeError) -> Int32 {
    guard index >= 0, index < indexCount, nodes[Int(index)] >= 0 else {
      throw CoverTreeError(.notFound, "\(name)[\(row)]: the tree has no point \(index)")
    }
    return nodes[Int(index)]
  }

  var byteCount: Int {
    layout.byteCount + objects.bytes.byteCount + links.byteCount + nodes.byteCount + (removed?.byteCount ?? 0)
  }
}

/// Distances that bound what a search meets below a node, by tree index.
struct NodeLinks {
  /// The distance to the parent; 0 for the root.
  let parentDistance: Buffer<Double>
  /// The largest difference to the embedding of a descendant.
  let reach: Buffer<Double>
  /// Whether some children are duplicates.
  let hasDuplicates: Buffer<UInt8>
  /// The number of the pivot that a node is, or -1.
  let pivot: Buffer<Int8>

  /// Links of a layout whose distances are known, or will be.
  init(
    _ layout: TreeLayout<Double>, parentDistance: Buffer<Double>, reach: Buffer<Double>, _ pivots: PivotTable
  ) throws(CoverTreeError) {
    (self.parentDistance, self.reach) = (parentDistance, reach)
    hasDuplicates = try Buffer(count: layout.count, filledWith: 0)
    pivot = try Buffer(count: layout.count, filledWith: -1)
    let pivotOfIndex = Dictionary(zip(pivots.indices, 0...)) { first, _ in first }
    for t in 0..<layout.count {
      if layout.levels[t] == TreeNodes.duplicate { hasDuplicates[layout.parents[t]] = 1 }
      if let number = pivotOfIndex[layout.order[t]] { pivot[t] = Int8(number) }
    }
  }

  var byteCount: Int { parentDistance.byteCount + reach.byteCount + hasDuplicates.byteCount + pivot.byteCount }
}
