import CovertreeBase

/// Points as Euclidean searches walk them: leaves of near points under wide nodes of boxes.
///
/// Points are in the order of a k-d tree's leaves (`KDPartition`), whose boxes overlap least. A point's *position* is its number in that
/// order. A *leaf* is `leafSize` consecutive points, in groups of one vector width; a group has one vector per coordinate. A *node* is
/// `width` consecutive children, leaves or nodes. Their boxes are stored lane by lane, so one sweep compares a query with all of them.
/// Node 0 is the root, and children come after their parent.
///
/// Inside a leaf points are sorted by index, so equal points, which are cut by row, have ascending indices if rows have.
///
/// Memory: the coordinates once, an index per point, and about `(2 dim + 2) / leafSize` scalars per point.
final class KDTree<S: Scalar>: @unchecked Sendable {
  let count: Int
  let dim: Int
  /// A multiple of the vector width.
  let leafSize: Int
  /// Coordinates in groups; NaN in lanes beyond the last point.
  let coordinates: Buffer<S.Lanes>
  /// The number that searches report for each point, by position; `noIndex` in lanes beyond the last point.
  let indices: Buffer<Int32>
  /// `boxes[(node * dim + d) * 2]` has the lower sides in coordinate `d`, `+ 1` the upper ones. In lanes without a child they are
  /// infinitely far from everything.
  let boxes: Buffer<S.Lanes>
  /// By lane: a node, or a leaf complemented (below 0).
  let children: Buffer<Int32>
  /// By lane: the smallest index below it.
  let smallestIndex: Buffer<Int32>
  /// Levels of nodes.
  let depth: Int
  private let latest = Lazy<Buffer<Int32>>()

  static var width: Int { S.width }
  static var defaultLeafSize: Int { 32 }
  /// Above every bound on indices, so it marks positions without a point.
  static var noIndex: Int32 { Int32.max }

  /// - Parameters:
  ///   - indices: by row of `points`; nil for the row itself.
  ///   - leafSize: rounded up to whole vectors.
  ///   - scales: the lengths of units of the coordinates, by which extents are compared; nil if they are equal.
  convenience init(
    _ points: PointsView<S>, indices: UnsafePointer<Int32>? = nil, leafSize: Int, rule: SplitRule = .medianOfExtent,
    scales: [Double]? = nil, context: CallContext
  ) throws(CoverTreeError) {
    // A leaf need not be larger than the number of points.
    let blockSize = Self.wholeVectors(min(leafSize, max(1, points.count)))
    let partition = try KDPartition(
      points, blockSize: blockSize, fanout: S.width, rule: rule, scales: scales, context: context)
    try self.init(emptyFor: points.count, dim: points.dim, leafSize: leafSize)
    try specialized(dim, FilledNodes(tree: self, partition: partition, given: indices, context: context))
    try fillUpperNodes(context)
  }

  /// Memory for `count` points, with nodes linked to their children.
  private init(emptyFor count: Int, dim: Int, leafSize: Int) throws(CoverTreeError) {
    (self.count, self.dim) = (count, dim)
    self.leafSize = Self.wholeVectors(min(leafSize, max(1, count)))
    let levels = Self.levelSizes(leaves: max(1, (count + self.leafSize - 1) / self.leafSize))
    depth = levels.count - 1
    let nodes = levels.dropFirst().reduce(0, +)
    coordinates = try Buffer(count: levels[0] * (self.leafSize / S.width) * dim)
    indices = try Buffer(count: levels[0] * self.leafSize)
    boxes = try Buffer(count: nodes * dim * 2)
    children = try Buffer(count: nodes * S.width)
    smallestIndex = try Buffer(count: nodes * S.width)
    coordinates.preferLargePages()
    linkNodes(levels)
  }

  /// A tree from a file. The values of boxes are not checked: wrong ones make searches find other points, and no more.
  ///
  /// - Parameter leafSize: as given when the tree was made.
  /// - Returns: nil if the lengths of the arrays do not fit `count` points, or children are out of range.
  init?(
    count: Int, dim: Int, leafSize: Int, coordinates: Buffer<S.Lanes>, indices: Buffer<Int32>, boxes: Buffer<S.Lanes>,
    smallestIndex: Buffer<Int32>
  ) throws(CoverTreeError) {
    (self.count, self.dim) = (count, dim)
    self.leafSize = Self.wholeVectors(min(leafSize, max(1, count)))
    let levels = Self.levelSizes(leaves: max(1, (count + self.leafSize - 1) / self.leafSize))
    depth = levels.count - 1
    let nodes = levels.dropFirst().reduce(0, +)
    (self.coordinates, self.indices, self.boxes, self.smallestIndex) = (coordinates, indices, boxes, smallestIndex)
    guard indices.count == levels[0] * self.leafSize, coordinates.count * S.width == indices.count * dim,
      boxes.count == nodes * dim * 2, smallestIndex.count == nodes * S.width
    else { return nil }
    children = try Buffer(count: nodes * S.width)
    linkNodes(levels)
    guard leavesNothingBehind(levels) else { return nil }
  }

  /// Whether lanes without a child, which only the last node of a level has, are infinitely far and have no index.
  private func leavesNothingBehind(_ levels: [Int]) -> Bool {
    (1..<levels.count).allSatisfy { level in
      let node = Self.firstNode(level, levels) + levels[level] - 1
      return (levels[level - 1] - (levels[level] - 1) * S.width..<S.width).allSatisfy { lane in
        smallestIndex[node * S.width + lane] == Self.noIndex
          && (0..<dim).allSatisfy { d in
            let sides = boxes.base + (node * dim + d) * 2
            return sides[0][lane] == .infinity && sides[1][lane] == -.infinity
          }
      }
    }
  }

  private static func wholeVectors(_ count: Int) -> Int { (count + S.width - 1) / S.width * S.width }

  /// Groups of one vector width in a leaf.
  @inline(__always)
  var groupsPerLeaf: Int { leafSize / S.width }

  @inline(__always)
  func pointCount(ofLeaf leaf: Int) -> Int { min(leafSize, count &- leaf &* leafSize) }

  /// The coordinates of the point at a position: every `width`-th scalar from here.
  @inline(__always)
  func coordinates(at position: Int) -> UnsafePointer<S> {
    UnsafePointer(coordinates.base).point(position, dim)
  }

  /// The number of leaves, of nodes above them, of nodes above those, up to the root.
  private static func levelSizes(leaves: Int) -> [Int] {
    var sizes = [leaves]
    repeat { sizes.append((sizes[sizes.count - 1] + width - 1) / width) } while sizes[sizes.count - 1] > 1
    return sizes
  }

  /// The first node of a level. Nodes are numbered level by level from the root.
  private static func firstNode(_ level: Int, _ levels: [Int]) -> Int { levels[(level + 1)...].reduce(0, +) }

  /// Links nodes to children, which follow from the sizes of the levels.
  private func linkNodes(_ levels: [Int]) {
    for level in 1..<levels.count {
      let first = Self.firstNode(level, levels)
      let below = level == 1 ? 0 : Self.firstNode(level - 1, levels)
      for slot in 0..<levels[level] * S.width {
        children[first * S.width + slot] = level == 1 ? ~Int32(slot) : Int32(below + slot)
      }
    }
  }

  /// Fills the nodes above the parents of leaves, up to the root.
  private func fillUpperNodes(_ context: CallContext) throws(CoverTreeError) {
    let levels = Self.levelSizes(leaves: indices.count / leafSize)
    for level in levels.indices.dropFirst(2) {
      let first = Self.firstNode(level, levels)
      try context.forEach(levels[level], grain: 64) { (range, _) throws(CoverTreeError) in
        for index in range {
          fillBoxes(ofNode: first + index, inUse: min(S.width, levels[level - 1] - index * S.width))
        }
      }
    }
  }

  private func fillBoxes(ofNode node: Int, inUse: Int) {
    let width = S.width
    clearBoxes(ofNode: node)
    let sides = (boxes.base + node * dim * 2).scalars
    for lane in 0..<inUse {
      let child = Int(children[node * width + lane])
      let inner = smallestIndex.base + child * width
      for index in 0..<width {
        smallestIndex[node * width + lane] = min(smallestIndex[node * width + lane], inner[index])
      }
      for d in 0..<dim {
        let (low, high) = extent(ofNode: child, d)
        sides[2 * d * width + lane] = low
        sides[(2 * d + 1) * width + lane] = high
      }
    }
  }

  /// Makes a node without children.
  func clearBoxes(ofNode node: Int) {
    for d in 0..<dim {
      boxes[(node * dim + d) * 2] = S.Lanes(repeating: .infinity)
      boxes[(node * dim + d) * 2 + 1] = S.Lanes(repeating: -.infinity)
    }
    for lane in 0..<S.width { smallestIndex[node * S.width + lane] = Self.noIndex }
  }

  /// The sides of the box around a node, in a coordinate.
  func extent(ofNode node: Int, _ d: Int) -> (low: S, high: S) {
    let sides = boxes.base + (node * dim + d) * 2
    return (-S.largest(-sides[0]), S.largest(sides[1]))
  }

  /// The positions of the points below a lane.
  @inline(__always)
  func positions(below child: Int32) -> Range<Int> {
    var (first, size) = (child, leafSize)
    while first >= 0 {
      first = children[Int(first) &* S.width]
      size &*= S.width
    }
    let position = Int(~first) &* leafSize
    return position..<min(count, position &+ size)
  }

  /// By lane: the largest index below it. Computed on first use, because only counts with an upper index need it.
  func largestIndex() throws(CoverTreeError) -> Buffer<Int32> {
    try latest.get { () throws(CoverTreeError) in
      let largest = try Buffer<Int32>(count: children.count, filledWith: -1)
      // Children come after their parent.
      for lane in stride(from: children.count - 1, through: 0, by: -1) where smallestIndex[lane] != Self.noIndex {
        let child = Int(children[lane])
        let inner = child >= 0 ? largest.base + child * S.width : indices.base + ~child * leafSize
        let innerCount = child >= 0 ? S.width : pointCount(ofLeaf: ~child)
        for index in 0..<innerCount { largest[lane] = max(largest[lane], inner[index]) }
      }
      return largest
    }
  }

  /// The squared diagonal of the box around all points.
  var squaredDiagonal: Double {
    (0..<dim).reduce(0) { sum, d in
      let (low, high) = extent(ofNode: 0, d)
      return sum + (Double(high) - Double(low)) * (Double(high) - Double(low))
    }
  }

  var byteCount: Int {
    coordinates.byteCount + indices.byteCount + boxes.byteCount + children.byteCount + smallestIndex.byteCount
  }
}
