/// Points as Euclidean searches walk them: leaves of consecutive points under wide nodes of boxes.
///
/// The sequence of the points is all there is to the shape, so it should keep near points together, as tree order and
/// the Hilbert curve do. A *leaf* is `leafSize` points that follow each other, in groups of one vector width; a group
/// holds one vector a coordinate. A *node* is `width` children that follow each other, leaves or nodes; the boxes
/// around them stand lane by lane, so that one sweep compares a query with all of them. Node 0 is the root, children
/// come after their parent.
///
/// Memory: the coordinates once, and about `(2 dim + 2) / leafSize` scalars a point.
final class BoxTree<S: Scalar>: @unchecked Sendable {
  let count: Int
  let dim: Int
  let leafSize: Int
  /// Coordinates in groups; NaN in lanes beyond the last point of a leaf.
  let coordinates: Buffer<S.Lanes>
  /// `boxes[(node * dim + d) * 2]` has the lower sides in coordinate `d`, `+ 1` the upper ones.
  let boxes: Buffer<S.Lanes>
  /// The first child of a node: a node, or a leaf complemented (below 0).
  let firstChild: Buffer<Int32>
  let childCount: Buffer<Int32>
  /// Of each lane: the smallest label below it.
  let smallestLabel: Buffer<Int32>
  /// What searches report for each point, by its place in the sequence.
  let labels: Buffer<Int32>?
  /// Levels of nodes.
  let depth: Int

  static var width: Int { S.width }

  /// - Parameters:
  ///   - points: rows of `dim` coordinates.
  ///   - sequence: which rows, in which sequence; nil for all `count` of them as they stand.
  ///   - labels: by place in the sequence; nil for the place itself.
  init(
    points: UnsafePointer<S>, dim: Int, count: Int, sequence: UnsafePointer<Int32>?, labels: Buffer<Int32>?,
    leafSize: Int, context: CallContext
  ) throws(CoverTreeError) {
    self.count = count
    self.dim = dim
    // One leaf need not be larger than all points together.
    let leafSize = min(leafSize, max(1, count))
    self.leafSize = leafSize
    self.labels = labels
    let levels = Self.levelSizes(leaves: max(1, (count + leafSize - 1) / leafSize))
    depth = levels.count - 1
    let nodes = levels.dropFirst().reduce(0, +)
    coordinates = try Buffer(count: levels[0] * ((leafSize + S.width - 1) / S.width) * dim)
    boxes = try Buffer(count: nodes * dim * 2)
    firstChild = try Buffer(count: nodes)
    childCount = try Buffer(count: nodes)
    smallestLabel = try Buffer(count: nodes * S.width)
    number(levels)
    try fillLeaves(points, sequence, context)
    try fillBoxes(levels, context)
  }

  /// Groups of one vector width in a leaf.
  @inline(__always)
  var groupsPerLeaf: Int { (leafSize &+ S.width &- 1) / S.width }

  @inline(__always)
  func pointCount(ofLeaf leaf: Int) -> Int { min(leafSize, count &- leaf &* leafSize) }

  /// How many leaves, nodes above them, nodes above those, up to the root.
  private static func levelSizes(leaves: Int) -> [Int] {
    var sizes = [leaves]
    repeat { sizes.append((sizes[sizes.count - 1] + width - 1) / width) } while sizes[sizes.count - 1] > 1
    return sizes
  }

  /// The number of the first node of each level of nodes; levels count from the leaves, which are level 0.
  private func firstNode(ofLevel level: Int, _ levels: [Int]) -> Int { levels[(level + 1)...].reduce(0, +) }

  private func number(_ levels: [Int]) {
    for level in 1..<levels.count {
      let first = firstNode(ofLevel: level, levels)
      for index in 0..<levels[level] {
        let child = index * Self.width
        childCount[first + index] = Int32(min(Self.width, levels[level - 1] - child))
        firstChild[first + index] = level == 1 ? ~Int32(child) : Int32(firstNode(ofLevel: level - 1, levels) + child)
      }
    }
  }

  private func fillLeaves(
    _ points: UnsafePointer<S>, _ sequence: UnsafePointer<Int32>?, _ context: CallContext
  ) throws(CoverTreeError) {
    let (coordinates, dim, width) = (coordinates, dim, Self.width)
    let vectors = groupsPerLeaf * dim
    try context.forEach(coordinates.count / vectors, grain: 256) { (range, _) throws(CoverTreeError) in
      for leaf in range {
        let lanes = coordinates.base + leaf * vectors
        let inUse = pointCount(ofLeaf: leaf)
        if inUse < groupsPerLeaf * width { lanes.update(repeating: S.Lanes(repeating: .nan), count: vectors) }
        let scalars = UnsafeMutableRawPointer(lanes).assumingMemoryBound(to: S.self)
        for place in 0..<max(0, inUse) {
          let global = leaf * leafSize + place
          let row = points + (sequence.map { Int($0[global]) } ?? global) * dim
          let first = scalars + (place / width * dim * width + place % width)
          for d in 0..<dim { first[d * width] = row[d] }
        }
      }
    }
  }

  private func fillBoxes(_ levels: [Int], _ context: CallContext) throws(CoverTreeError) {
    for level in 1..<levels.count {
      let first = firstNode(ofLevel: level, levels)
      try context.forEach(levels[level], grain: 64) { (range, _) throws(CoverTreeError) in
        for node in range.lowerBound + first..<range.upperBound + first { fillBoxes(ofNode: node) }
      }
    }
  }

  private func fillBoxes(ofNode node: Int) {
    let width = Self.width
    let sides = UnsafeMutableRawPointer(boxes.base + node * dim * 2).assumingMemoryBound(to: S.self)
    for side in 0..<dim * 2 * width { sides[side] = .nan }
    for lane in 0..<Int(childCount[node]) {
      let child = Int(firstChild[node]) >= 0 ? Int(firstChild[node]) + lane : Int(~firstChild[node]) + lane
      var smallest = Int32.max
      if firstChild[node] >= 0 {
        for inner in 0..<Int(childCount[child]) { smallest = min(smallest, smallestLabel[child * width + inner]) }
        for d in 0..<dim {
          let inner = boxes.base + (child * dim + d) * 2
          sides[2 * d * width + lane] = least(inner[0], Int(childCount[child]))
          sides[(2 * d + 1) * width + lane] = -least(-inner[1], Int(childCount[child]))
        }
      } else {
        let first = child * leafSize
        for place in 0..<max(0, pointCount(ofLeaf: child)) {
          smallest = min(smallest, labels?[first + place] ?? Int32(first + place))
        }
        fillBox(sides, lane: lane, leaf: child)
      }
      smallestLabel[node * width + lane] = smallest
    }
  }

  /// The box around a leaf, group by group.
  private func fillBox(_ sides: UnsafeMutablePointer<S>, lane: Int, leaf: Int) {
    let groups = coordinates.base + leaf * groupsPerLeaf * dim
    for d in 0..<dim {
      var low = S.infinity
      var high = -S.infinity
      var left = pointCount(ofLeaf: leaf)
      var group = 0
      while left > 0 {
        let vector = groups[group * dim + d]
        low = min(low, least(vector, min(left, Self.width)))
        high = max(high, -least(-vector, min(left, Self.width)))
        left -= Self.width
        group += 1
      }
      sides[2 * d * Self.width + lane] = low
      sides[(2 * d + 1) * Self.width + lane] = high
    }
  }

  /// The squared diagonal of the box around all points.
  var squaredDiagonal: Double {
    (0..<dim).reduce(0) { sum, d in
      let (low, high) = (least(boxes[2 * d], Int(childCount[0])), -least(-boxes[2 * d + 1], Int(childCount[0])))
      return sum + (Double(high) - Double(low)) * (Double(high) - Double(low))
    }
  }

  /// The smallest of the first `count` lanes.
  @inline(__always)
  private func least(_ lanes: S.Lanes, _ count: Int) -> S {
    var smallest = lanes[0]
    for lane in 1..<max(1, count) where lanes[lane] < smallest { smallest = lanes[lane] }
    return smallest
  }

  var byteCount: Int {
    coordinates.byteCount + boxes.byteCount + firstChild.byteCount + childCount.byteCount + smallestLabel.byteCount
  }
}
