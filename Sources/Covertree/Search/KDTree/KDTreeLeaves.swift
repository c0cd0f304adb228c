import CNumerics
import CovertreeBase

/// The leaves of a tree, and the nodes that lead to them, filled one after the other.
struct FilledNodes<S: Scalar>: DimensionTask {
  let tree: KDTree<S>
  let placed: KDPartition<S>
  /// By row; nil for the row itself.
  let given: UnsafePointer<Int32>?
  let context: CallContext

  /// Points that a thread takes at a time: where there are many, their memory is given back meanwhile.
  private static var mostPoints: Int { 1 << 17 }
  private static var leastPoints: Int { 1 << 12 }
  /// Of how many shares a thread takes one, if that is between the two.
  private static var shares: Int { 64 }

  func run<D: Dimension>(_ dimension: D) throws(CoverTreeError) {
    let leaves = tree.labels.count / tree.leafSize
    let nodes = (leaves + S.width - 1) / S.width
    // Nodes that lead to leaves are the last ones.
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
      placed.release(range.lowerBound * pointsOfNode..<min(tree.count, range.upperBound * pointsOfNode))
    }
  }

  /// Fills a leaf, its points by their labels.
  @inline(__always)
  private func fill<D: Dimension>(_ leaf: Int, _ slots: LeafSlots, _ dimension: D) {
    let (first, count) = (leaf &* tree.leafSize, tree.pointCount(ofLeaf: leaf))
    for slot in 0..<count {
      let row = placed.row(at: first &+ slot)
      slots.labels[slot] = given?[Int(row)] ?? row
    }
    slots.rank(count)
    let (labels, scalars) = (tree.labels.base + first, scalars(ofLeaf: leaf))
    for slot in 0..<tree.leafSize {
      // Beyond the last point there are copies of the first one, until the box is known.
      let from = slot < count ? slot : 0
      let to = slot < count ? Int(slots.ranks[slot]) : slot
      labels[to] = slot < count ? slots.labels[slot] : KDTree<S>.noLabel
      guard count > 0 else { continue }
      let point = placed.coordinates(at: first &+ from)
      let target = scalars + lane(to)
      for d in 0..<dimension.count { target[d &* S.width] = point[d] }
    }
  }

  private func scalars(ofLeaf leaf: Int) -> UnsafeMutablePointer<S> {
    UnsafeMutableRawPointer(tree.coordinates.base + leaf &* tree.groupsPerLeaf &* tree.dim).assumingMemoryBound(
      to: S.self)
  }

  /// Where the first coordinate of a slot stands in its leaf.
  @inline(__always)
  private func lane(_ slot: Int) -> Int {
    let (group, lane) = UInt(bitPattern: slot).quotientAndRemainder(dividingBy: UInt(S.width))
    return Int(bitPattern: group) &* tree.dim &* S.width &+ Int(bitPattern: lane)
  }

  /// Puts the box around a leaf in a lane of a node, and marks the slots without a point.
  @inline(__always)
  private func fillBox<D: Dimension>(ofLeaf leaf: Int, inLane lane: Int, ofNode node: Int, _ dimension: D) {
    let count = tree.pointCount(ofLeaf: leaf)
    guard count > 0 else {
      for vector in 0..<tree.groupsPerLeaf &* dimension.count { tree.coordinates[vector] = S.Lanes(repeating: .nan) }
      return
    }
    let groups = tree.coordinates.base + leaf &* tree.groupsPerLeaf &* dimension.count
    let sides = UnsafeMutableRawPointer(tree.boxes.base + node &* dimension.count &* 2).assumingMemoryBound(to: S.self)
    for d in 0..<dimension.count {
      var (low, high) = (groups[d], groups[d])
      for group in 1..<max(1, tree.groupsPerLeaf) {
        low = S.minimum(low, groups[group &* dimension.count &+ d])
        high = S.maximum(high, groups[group &* dimension.count &+ d])
      }
      sides[2 &* d &* S.width &+ lane] = -S.largest(-low)
      sides[(2 &* d &+ 1) &* S.width &+ lane] = S.largest(high)
    }
    let labels = tree.labels.base + leaf &* tree.leafSize
    tree.smallestLabel[node &* S.width &+ lane] = labels[0]
    let scalars = scalars(ofLeaf: leaf)
    for slot in count..<tree.leafSize {
      for d in 0..<dimension.count { scalars[self.lane(slot) &+ d &* S.width] = .nan }
    }
  }
}

/// The labels of a leaf as they come, and where each stands among them.
private struct LeafSlots {
  let labels: UnsafeMutablePointer<Int32>
  let ranks: UnsafeMutablePointer<Int32>
  private let memory: Buffer<Int32>

  /// Labels of which each is compared with all of them.
  private static var compared: Int { 64 }

  init(count: Int) throws(CoverTreeError) {
    let room = (count + 15) / 16 * 16
    memory = try Buffer(count: 2 * room)
    labels = memory.base
    ranks = memory.base + room
  }

  /// Ranks the first labels; equal ones by slot.
  @inline(__always)
  func rank(_ count: Int) {
    if count > Self.compared || !cn_rank_i32(labels, Int64(count), ranks) { sort(count) }
  }

  @inline(never)
  private func sort(_ count: Int) {
    let sorted = (0..<count).sorted { (labels[$0], $0) < (labels[$1], $1) }
    for (rank, slot) in sorted.enumerated() { ranks[slot] = Int32(rank) }
  }
}
