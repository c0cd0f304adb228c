import CNumerics
import CovertreeBase

/// Fills the leaves of a tree, and the nodes right above them, one after the other.
struct FilledNodes<S: Scalar>: DimensionTask {
  let tree: KDTree<S>
  let partition: KDPartition<S>
  /// By row; nil for the row itself.
  let given: UnsafePointer<Int32>?
  let context: CallContext

  /// The most points of a thread's chunk. The memory of large inputs is released chunk by chunk.
  private static var mostPoints: Int { 1 << 17 }
  private static var leastPoints: Int { 1 << 12 }
  /// The number of chunks, if their size is between the two.
  private static var shares: Int { 64 }

  func run<D: MetricSpace>(_ dimension: D) throws(CoverTreeError) {
    let leaves = tree.indices.count / tree.leafSize
    let nodes = (leaves + S.width - 1) / S.width
    // The nodes above leaves are the last ones.
    let firstNode = tree.children.count / S.width - nodes
    let pointsOfNode = tree.leafSize * S.width
    let points = min(Self.mostPoints, max(Self.leastPoints, tree.count / Self.shares))
    try context.forEach(nodes, grain: max(1, points / pointsOfNode)) { (range, _) throws(CoverTreeError) in
      let slots = try LeafSlots(count: tree.leafSize)
      for index in range {
        tree.clearBoxes(ofNode: firstNode + index)
        for leaf in index * S.width..<min(leaves, (index + 1) * S.width) {
          fill(leaf, slots, dimension)
          fillBox(ofLeaf: leaf, inLane: leaf - index * S.width, ofNode: firstNode + index, dimension)
        }
      }
      partition.release(range.lowerBound * pointsOfNode..<min(tree.count, range.upperBound * pointsOfNode))
    }
  }

  /// Fills a leaf with its points, sorted by index.
  @inline(__always)
  private func fill<D: MetricSpace>(_ leaf: Int, _ slots: LeafSlots, _ dimension: D) {
    let (first, count) = (leaf &* tree.leafSize, tree.pointCount(ofLeaf: leaf))
    for slot in 0..<count {
      let row = partition.row(at: first &+ slot)
      slots.indices[slot] = given?[Int(row)] ?? row
    }
    slots.rank(count)
    let (indices, scalars) = (tree.indices.base + first, scalars(ofLeaf: leaf))
    for slot in 0..<tree.leafSize {
      // Slots after the last point have copies of the first one until the box is computed.
      let from = slot < count ? slot : 0
      let to = slot < count ? Int(slots.ranks[slot]) : slot
      indices[to] = slot < count ? slots.indices[slot] : KDTree<S>.noIndex
      guard count > 0 else { continue }
      let point = partition.coordinates(at: first &+ from)
      let target = scalars + lane(to)
      for d in 0..<dimension.count { target[d &* S.width] = point[d] }
    }
  }

  private func scalars(ofLeaf leaf: Int) -> UnsafeMutablePointer<S> {
    (tree.coordinates.base + leaf &* tree.groupsPerLeaf &* tree.dim).scalars
  }

  /// The offset of a slot's first coordinate in its leaf.
  @inline(__always)
  private func lane(_ slot: Int) -> Int {
    let (group, lane) = UInt(bitPattern: slot).quotientAndRemainder(dividingBy: UInt(S.width))
    return Int(bitPattern: group) &* tree.dim &* S.width &+ Int(bitPattern: lane)
  }

  /// Stores the box around a leaf in a lane of a node, and marks the slots without a point.
  @inline(__always)
  private func fillBox<D: MetricSpace>(ofLeaf leaf: Int, inLane lane: Int, ofNode node: Int, _ dimension: D) {
    let count = tree.pointCount(ofLeaf: leaf)
    guard count > 0 else {
      for vector in 0..<tree.groupsPerLeaf &* dimension.count { tree.coordinates[vector] = S.Lanes(repeating: .nan) }
      return
    }
    let groups = tree.coordinates.base + leaf &* tree.groupsPerLeaf &* dimension.count
    let sides = (tree.boxes.base + node &* dimension.count &* 2).scalars
    for d in 0..<dimension.count {
      var (low, high) = (groups[d], groups[d])
      for group in 1..<max(1, tree.groupsPerLeaf) {
        low = S.minimum(low, groups[group &* dimension.count &+ d])
        high = S.maximum(high, groups[group &* dimension.count &+ d])
      }
      sides[2 &* d &* S.width &+ lane] = -S.largest(-low)
      sides[(2 &* d &+ 1) &* S.width &+ lane] = S.largest(high)
    }
    let indices = tree.indices.base + leaf &* tree.leafSize
    tree.smallestIndex[node &* S.width &+ lane] = indices[0]
    let scalars = scalars(ofLeaf: leaf)
    for slot in count..<tree.leafSize {
      for d in 0..<dimension.count { scalars[self.lane(slot) &+ d &* S.width] = .nan }
    }
  }
}

/// The unsorted indices of a leaf, and the rank of each.
private struct LeafSlots {
  let indices: UnsafeMutablePointer<Int32>
  let ranks: UnsafeMutablePointer<Int32>
  private let memory: Buffer<Int32>

  /// The most indices that are ranked by comparing each with all.
  private static var compared: Int { 64 }

  init(count: Int) throws(CoverTreeError) {
    let room = (count + 15) / 16 * 16
    memory = try Buffer(count: 2 * room)
    indices = memory.base
    ranks = memory.base + room
  }

  /// Ranks the first indices; equal ones by slot.
  @inline(__always)
  func rank(_ count: Int) {
    if count > Self.compared || !cn_rank_i32(indices, count, ranks) { sort(count) }
  }

  @inline(never)
  private func sort(_ count: Int) {
    let sorted = (0..<count).sorted { (indices[$0], $0) < (indices[$1], $1) }
    for (rank, slot) in sorted.enumerated() { ranks[slot] = Int32(rank) }
  }
}
