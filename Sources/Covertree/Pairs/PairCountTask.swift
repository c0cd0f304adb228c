import CovertreeBase

/// Counts the ordered pairs of points of two trees, or of a tree with itself, by distance: for each of several ascending limits, the pairs
/// within it and beyond the one before. With weights, it sums the products of the points' weights.
///
/// The points of a leaf share one walk. The boxes of a node and of the leaf decide on some limits for all pairs between them, and a walk
/// goes on with the others. So the time depends on the pairs near a limit, and not on those within it.
///
/// A. W. Moore et al., "Fast algorithms and efficient statistics: N-point correlation functions" (2001).
struct PairCountTask<S: Scalar>: DimensionTask {
  let first: WholeTree<S>
  let second: WholeTree<S>
  /// The largest score within each limit, ascending.
  let limits: Buffer<Double>
  /// By row; nil for weights of 1.
  let weights: Buffer<Double>?
  let otherWeights: Buffer<Double>?
  /// Whether both trees and their weights are the same, so that each pair counts for its mirror image.
  let isSymmetric: Bool
  let context: CallContext

  /// The most chunks of leaves. They do not depend on the number of threads, because sums are by chunk.
  private static var mostChunks: Int { 1024 }
  /// Leaves of a chunk, unless these would be too many chunks.
  private static var grain: Int { 8 }

  /// Returns a count for each limit, or a sum.
  func run<D: MetricSpace>(_ dimension: D) throws(CoverTreeError) -> PairSums {
    let leaves = first.tree.leafCount
    let grain = max(Self.grain, (leaves + Self.mostChunks - 1) / Self.mostChunks)
    let chunks = (leaves + grain - 1) / grain
    let isWeighted = weights != nil || otherWeights != nil
    let sums = try PairSums(rows: chunks, columns: limits.count, isWeighted: isWeighted)
    let sides = (
      try PointWeights(second.tree, otherWeights), try PointWeights(first.tree, weights)
    )
    let scans = PerThread<PairCounter<S, D>>(count: context.threads)
    try context.forEach(leaves, grain: grain) { (range, slot) throws(CoverTreeError) in
      let scan = try scans.value(slot) { () throws(CoverTreeError) in
        try PairCounter(self, own: sides.1, others: sides.0, dimension)
      }
      for leaf in range {
        try context.poll(inSlot: slot, share: Double(leaf) / Double(leaves))
        try scan.run(leaf, into: sums.row(range.lowerBound / grain), context, slot: slot)
      }
    }
    return try sums.total()
  }
}

/// Counts of pairs, or sums of their weights, by chunk and limit.
public final class PairSums: @unchecked Sendable {
  let counts: Buffer<Int64>?
  let sums: Buffer<Double>?
  private let rows: Int
  private let columns: Int

  init(rows: Int, columns: Int, isWeighted: Bool) throws(CoverTreeError) {
    (self.rows, self.columns) = (rows, columns)
    counts = isWeighted ? nil : try Buffer(count: rows * columns, filledWith: 0)
    sums = isWeighted ? try Buffer(count: rows * columns, filledWith: 0) : nil
  }

  /// The elements of a chunk.
  struct Row {
    let counts: UnsafeMutablePointer<Int64>?
    let sums: UnsafeMutablePointer<Double>?
  }

  func row(_ number: Int) -> Row {
    Row(counts: counts.map { $0.base + number * columns }, sums: sums.map { $0.base + number * columns })
  }

  /// One row: the sums of all, in their order.
  func total() throws(CoverTreeError) -> PairSums {
    let total = try PairSums(rows: 1, columns: columns, isWeighted: sums != nil)
    for slot in 0..<rows * columns {
      if let counts { total.counts![slot % columns] += counts[slot] }
      if let sums { total.sums![slot % columns] += sums[slot] }
    }
    return total
  }

  /// Writes one row, of `Int64` or of `Double`.
  public func copy(to target: UnsafeMutableRawPointer) {
    if let counts { target.copyMemory(from: counts.base, byteCount: counts.byteCount) }
    if let sums { target.copyMemory(from: sums.base, byteCount: sums.byteCount) }
  }
}

/// Weights by position, and their sums below each lane of the nodes; or the numbers of points, if all weights are 1.
struct PointWeights<S: Scalar>: @unchecked Sendable {
  let positions: Buffer<Double>?
  private let slots: Buffer<Double>?
  private let tree: KDTree<S>

  init(_ tree: KDTree<S>, _ weights: Buffer<Double>?) throws(CoverTreeError) {
    self.tree = tree
    guard let weights else {
      (positions, slots) = (nil, nil)
      return
    }
    let positions = try Buffer<Double>(count: tree.indices.count, filledWith: 0)
    for position in 0..<tree.count { positions[position] = weights[tree.indices[position]] }
    let slots = try Buffer<Double>(count: tree.children.count, filledWith: 0)
    // Children come after their parents.
    for slot in stride(from: slots.count - 1, through: 0, by: -1) where tree.smallestIndex[slot] != KDTree<S>.noIndex {
      let child = tree.children[slot]
      if child >= 0 {
        slots[slot] = (0..<S.width).reduce(0) { $0 + slots[Int(child) * S.width + $1] }
      } else {
        slots[slot] = tree.positions(ofLeaf: Int(~child)).reduce(0) { $0 + positions[$1] }
      }
    }
    (self.positions, self.slots) = (positions, slots)
  }

  @inline(__always)
  func weight(_ position: Int) -> Double { positions?[position] ?? 1 }

  /// The weight of all points below a lane.
  func weight(below slot: Int) -> Double { slots?[slot] ?? Double(tree.positions(below: tree.children[slot]).count) }

  /// The weight of all points of a leaf.
  func weight(ofLeaf leaf: Int) -> Double {
    guard let positions else { return Double(tree.pointCount(ofLeaf: leaf)) }
    return tree.positions(ofLeaf: leaf).reduce(0) { $0 + positions[$1] }
  }
}
