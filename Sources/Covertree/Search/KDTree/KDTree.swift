import CovertreeBase

/// Points as Euclidean searches walk them: leaves of near points under wide nodes of boxes.
///
/// Points stand in the order of a k-d tree's leaves (`KDPartition`), whose boxes overlap least; a point's *position* is its
/// number in that order. A *leaf* is `leafSize` points that follow each other, in groups of one vector width; a group holds
/// one vector a coordinate. A *node* is `width` children that follow each other, leaves or nodes; the boxes around them
/// stand lane by lane, so that one sweep compares a query with all of them. Node 0 is the root, children come after their
/// parent.
///
/// Inside a leaf points stand by their labels, so equal points, which are cut by row, have ascending labels if rows have.
///
/// Memory: the coordinates once, a label a point, and about `(2 dim + 2) / leafSize` scalars a point.
final class KDTree<S: Scalar>: @unchecked Sendable {
  let count: Int
  let dim: Int
  /// A multiple of the vector width.
  let leafSize: Int
  /// Coordinates in groups; NaN in lanes beyond the last point.
  let coordinates: Buffer<S.Lanes>
  /// What searches report for each point, by position; `noLabel` in lanes beyond the last point.
  let labels: Buffer<Int32>
  /// `boxes[(node * dim + d) * 2]` has the lower sides in coordinate `d`, `+ 1` the upper ones; in lanes
  /// without a child they are infinitely far from everything.
  let boxes: Buffer<S.Lanes>
  /// Of each lane: a node, or a leaf complemented (below 0).
  let children: Buffer<Int32>
  /// Of each lane: the smallest label below it.
  let smallestLabel: Buffer<Int32>
  /// Levels of nodes.
  let depth: Int
  private let latest = Lazy<Buffer<Int32>>()

  static var width: Int { S.width }
  static var defaultLeafSize: Int { 32 }
  /// Comes before no bound on labels, so it stands for no point.
  static var noLabel: Int32 { Int32.max }

  /// - Parameters:
  ///   - labels: by row of `points`; nil for the row itself.
  ///   - leafSize: rounded up to whole vectors.
  convenience init(
    _ points: PointsView<S>, labels: UnsafePointer<Int32>? = nil, leafSize: Int, rule: SplitRule = .medianOfExtent,
    context: CallContext
  ) throws(CoverTreeError) {
    // A leaf need not be larger than all points together.
    let blockSize = Self.wholeVectors(min(leafSize, max(1, points.count)))
    let order = try KDPartition(points, blockSize: blockSize, fanout: S.width, rule: rule, context: context)
    try self.init(emptyFor: points.count, dim: points.dim, leafSize: leafSize)
    try specialized(dim, FilledNodes(tree: self, placed: order, given: labels, context: context))
    try fillUpperNodes(context)
  }

  /// Memory for so many points, with nodes that lead to their children.
  private init(emptyFor count: Int, dim: Int, leafSize: Int) throws(CoverTreeError) {
    (self.count, self.dim) = (count, dim)
    self.leafSize = Self.wholeVectors(min(leafSize, max(1, count)))
    let levels = Self.levelSizes(leaves: max(1, (count + self.leafSize - 1) / self.leafSize))
    depth = levels.count - 1
    let nodes = levels.dropFirst().reduce(0, +)
    coordinates = try Buffer(count: levels[0] * (self.leafSize / S.width) * dim)
    labels = try Buffer(count: levels[0] * self.leafSize)
    boxes = try Buffer(count: nodes * dim * 2)
    children = try Buffer(count: nodes * S.width)
    smallestLabel = try Buffer(count: nodes * S.width)
    coordinates.preferLargePages()
    linkNodes(levels)
  }

  /// Boxes that are known, from a file. What is in them is not looked at: searches that are led astray find other points.
  ///
  /// - Parameter leafSize: as it was given when they were made.
  /// - Returns: nil where the arrays are not as long as those of so many points are, or lead to children that are not there.
  init?(
    count: Int, dim: Int, leafSize: Int, coordinates: Buffer<S.Lanes>, labels: Buffer<Int32>, boxes: Buffer<S.Lanes>,
    smallestLabel: Buffer<Int32>
  ) throws(CoverTreeError) {
    (self.count, self.dim) = (count, dim)
    self.leafSize = Self.wholeVectors(min(leafSize, max(1, count)))
    let levels = Self.levelSizes(leaves: max(1, (count + self.leafSize - 1) / self.leafSize))
    depth = levels.count - 1
    let nodes = levels.dropFirst().reduce(0, +)
    (self.coordinates, self.labels, self.boxes, self.smallestLabel) = (coordinates, labels, boxes, smallestLabel)
    guard labels.count == levels[0] * self.leafSize, coordinates.count * S.width == labels.count * dim,
      boxes.count == nodes * dim * 2, smallestLabel.count == nodes * S.width
    else { return nil }
    children = try Buffer(count: nodes * S.width)
    linkNodes(levels)
    guard leavesNothingBehind(levels) else { return nil }
  }

  /// Whether lanes without a child, which only the last node of a level has, are infinitely far, and have no label.
  private func leavesNothingBehind(_ levels: [Int]) -> Bool {
    (1..<levels.count).allSatisfy { level in
      let node = Self.firstNode(level, levels) + levels[level] - 1
      return (levels[level - 1] - (levels[level] - 1) * S.width..<S.width).allSatisfy { lane in
        smallestLabel[node * S.width + lane] == Self.noLabel
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
    // Without a sign: the division is a shift.
    let (group, lane) = UInt(bitPattern: position).quotientAndRemainder(dividingBy: UInt(S.width))
    return UnsafeRawPointer(coordinates.base + Int(bitPattern: group) &* dim).assumingMemoryBound(to: S.self)
      + Int(bitPattern: lane)
  }

  /// How many leaves, nodes above them, nodes above those, up to the root.
  private static func levelSizes(leaves: Int) -> [Int] {
    var sizes = [leaves]
    repeat { sizes.append((sizes[sizes.count - 1] + width - 1) / width) } while sizes[sizes.count - 1] > 1
    return sizes
  }

  /// The first node of a level: they are numbered level by level from the root.
  private static func firstNode(_ level: Int, _ levels: [Int]) -> Int { levels[(level + 1)...].reduce(0, +) }

  /// Children follow from the numbers of nodes.
  private func linkNodes(_ levels: [Int]) {
    for level in 1..<levels.count {
      let first = Self.firstNode(level, levels)
      let below = level == 1 ? 0 : Self.firstNode(level - 1, levels)
      for slot in 0..<levels[level] * S.width {
        children[first * S.width + slot] = level == 1 ? ~Int32(slot) : Int32(below + slot)
      }
    }
  }

  /// Fills the nodes above those that lead to leaves, up to the root.
  private func fillUpperNodes(_ context: CallContext) throws(CoverTreeError) {
    let levels = Self.levelSizes(leaves: labels.count / leafSize)
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
    let sides = UnsafeMutableRawPointer(boxes.base + node * dim * 2).assumingMemoryBound(to: S.self)
    for lane in 0..<inUse {
      let child = Int(children[node * width + lane])
      let inner = smallestLabel.base + child * width
      for index in 0..<width {
        smallestLabel[node * width + lane] = min(smallestLabel[node * width + lane], inner[index])
      }
      for d in 0..<dim {
        let (low, high) = extent(ofNode: child, d)
        sides[2 * d * width + lane] = low
        sides[(2 * d + 1) * width + lane] = high
      }
    }
  }

  /// No lane of the node has a child.
  func clearBoxes(ofNode node: Int) {
    for d in 0..<dim {
      boxes[(node * dim + d) * 2] = S.Lanes(repeating: .infinity)
      boxes[(node * dim + d) * 2 + 1] = S.Lanes(repeating: -.infinity)
    }
    for lane in 0..<S.width { smallestLabel[node * S.width + lane] = Self.noLabel }
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

  /// Of each lane: the largest label below it. Made when it is first asked for, as only counts of points before others do.
  func largestLabel() throws(CoverTreeError) -> Buffer<Int32> {
    try latest.get { () throws(CoverTreeError) in
      let largest = try Buffer<Int32>(count: children.count, filledWith: -1)
      // Children come after their parent.
      for lane in stride(from: children.count - 1, through: 0, by: -1) where smallestLabel[lane] != Self.noLabel {
        let child = Int(children[lane])
        let inner = child >= 0 ? largest.base + child * S.width : labels.base + ~child * leafSize
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
    coordinates.byteCount + labels.byteCount + boxes.byteCount + children.byteCount + smallestLabel.byteCount
  }
}
