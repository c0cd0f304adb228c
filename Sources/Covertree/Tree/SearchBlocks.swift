/// The tree as searches walk it: its subtrees gathered into wide nodes, one lane of a vector a subtree, over leaf blocks.
///
/// A cover-tree node has few or many children, and small ones among them; a vector has `width` lanes. So runs of adjacent
/// subtrees are put together until each *lane* of a *wide node* stands for about as many points as the others. A lane
/// bounds its points by a box; all boxes of a node are compared with a query in one sweep. A run of at most `leafSize` points is a
/// *leaf block*, scanned whole: groups of `width` points, in each group one vector a coordinate.
///
/// Lanes of a node: `boxes[(node * dim + d) * 2]` holds the lower and `+ 1` the upper sides in coordinate `d`. A child is a wide node (>= 0) or,
/// complemented, a leaf (< 0).
final class SearchBlocks<S: Scalar>: @unchecked Sendable {
  struct Leaf: BitwiseCopyable {
    /// Tree indices of the points.
    var begin: Int32
    var count: Int32
    /// Number of the first group.
    var group: Int32
  }

  let dim: Int
  let boxes: Stack<S.Lanes>
  let children: Stack<Int32>
  /// Bits of the lanes that are in use, by node.
  let lanesInUse: Stack<UInt32>
  /// Of each lane: the smallest dataset index below it.
  let smallestIndex: Stack<Int32>
  let leaves: Stack<Leaf>
  /// Coordinates of leaf blocks; NaN in lanes beyond a block's last point.
  let coordinates: Buffer<S.Lanes>
  /// Levels of wide nodes, at least 1.
  private(set) var depth = 1

  static var width: Int { S.width }

  init(_ layout: TreeLayout<S>, leafSize: Int, context: CallContext) throws(CoverTreeError) {
    dim = layout.dim
    boxes = try Stack()
    children = try Stack()
    lanesInUse = try Stack()
    smallestIndex = try Stack()
    leaves = try Stack()
    var groups: Int32 = 0
    var builder = Builder(layout: layout, leafSize: leafSize, children: children, lanesInUse: lanesInUse, leaves: leaves)
    depth = try builder.build(groups: &groups)
    coordinates = try Buffer(count: Int(groups) * dim)
    try boxes.resize(to: lanesInUse.count * dim * 2)
    try smallestIndex.resize(to: children.count)
    try fillLeaves(layout, context)
    fillBoxes(layout)
  }

  private func fillLeaves(_ layout: TreeLayout<S>, _ context: CallContext) throws(CoverTreeError) {
    let (leaves, coordinates, dim) = (leaves, coordinates, dim)
    try context.forEach(leaves.count, grain: 256) { (range, _) throws(CoverTreeError) in
      for index in range {
        let leaf = leaves[index]
        let lanes = coordinates.base + Int(leaf.group) * dim
        let groups = (Int(leaf.count) + Self.width - 1) / Self.width
        for vector in 0..<groups * dim { lanes[vector] = S.Lanes(repeating: .nan) }
        let scalars = UnsafeMutableRawPointer(lanes).assumingMemoryBound(to: S.self)
        for point in 0..<Int(leaf.count) {
          let row = layout.points.base + (Int(leaf.begin) + point) * dim
          let (group, lane) = (point / Self.width, point % Self.width)
          for d in 0..<dim { scalars[(group * dim + d) * Self.width + lane] = row[d] }
        }
      }
    }
  }

  /// Boxes from the leaves up. Nodes are numbered from the root down, so going backwards meets children first.
  private func fillBoxes(_ layout: TreeLayout<S>) {
    let sides = UnsafeMutableRawPointer(boxes.base).assumingMemoryBound(to: S.self)
    let width = Self.width
    func low(_ node: Int, _ lane: Int, _ d: Int) -> Int { ((node * dim + d) * 2) * width + lane }
    for node in stride(from: lanesInUse.count - 1, through: 0, by: -1) {
      for lane in 0..<width {
        let child = children[node * width + lane]
        for d in 0..<dim {
          sides[low(node, lane, d)] = .infinity
          sides[low(node, lane, d) + width] = -.infinity
        }
        smallestIndex[node * width + lane] = Int32.max
        guard lanesInUse[node] & (1 << UInt32(lane)) != 0 else { continue }
        if child >= 0 {
          for inner in 0..<width where lanesInUse[Int(child)] & (1 << UInt32(inner)) != 0 {
            for d in 0..<dim {
              let (mine, its) = (low(node, lane, d), low(Int(child), inner, d))
              sides[mine] = min(sides[mine], sides[its])
              sides[mine + width] = max(sides[mine + width], sides[its + width])
            }
            smallestIndex[node * width + lane] = min(
              smallestIndex[node * width + lane], smallestIndex[Int(child) * width + inner])
          }
        } else {
          let leaf = leaves[Int(~child)]
          for t in Int(leaf.begin)..<Int(leaf.begin + leaf.count) {
            let row = layout.points.base + t * dim
            for d in 0..<dim {
              let mine = low(node, lane, d)
              sides[mine] = min(sides[mine], row[d])
              sides[mine + width] = max(sides[mine + width], row[d])
            }
            smallestIndex[node * width + lane] = min(smallestIndex[node * width + lane], layout.order[t])
          }
        }
      }
    }
  }

  /// Cuts the tree into runs of adjacent subtrees.
  private struct Builder {
    let layout: TreeLayout<S>
    let leafSize: Int
    let children: Stack<Int32>
    let lanesInUse: Stack<UInt32>
    let leaves: Stack<Leaf>

    /// A whole subtree, or the single point at the top of one that was taken apart.
    struct Piece {
      var begin: Int32
      var end: Int32
      var size: Int { Int(end - begin) }
    }

    /// Makes node 0 and all below it; returns the number of levels.
    mutating func build(groups: inout Int32) throws(CoverTreeError) -> Int {
      try addNode()
      var waiting: [(node: Int, pieces: [Piece], depth: Int)] = [
        (0, [Piece(begin: 0, end: Int32(layout.count))], 1)
      ]
      var deepest = 1
      var next = 0
      while next < waiting.count {
        let (node, pieces, depth) = waiting[next]
        waiting[next].pieces = []
        next += 1
        deepest = max(deepest, depth)
        for (lane, run) in split(pieces).enumerated() {
          lanesInUse[node] |= 1 << UInt32(lane)
          let begin = run[run.startIndex].begin
          let size = Int(run[run.endIndex - 1].end - begin)
          if size <= leafSize {
            children[node * width + lane] = ~Int32(leaves.count)
            try leaves.append(Leaf(begin: begin, count: Int32(size), group: groups))
            groups += Int32((size + width - 1) / width)
          } else {
            children[node * width + lane] = Int32(lanesInUse.count)
            waiting.append((lanesInUse.count, Array(run), depth + 1))
            try addNode()
          }
        }
      }
      return deepest
    }

    private var width: Int { SearchBlocks.width }

    private func addNode() throws(CoverTreeError) {
      try lanesInUse.append(0)
      for _ in 0..<width { try children.append(0) }
    }

    /// At most `width` runs of adjacent pieces that together make `pieces`, which hold more than `leafSize` points or are
    /// all there is.
    private func split(_ pieces: [Piece]) -> [ArraySlice<Piece>] {
      let total = Int(pieces[pieces.count - 1].end - pieces[0].begin)
      // Full subtrees below: a run holds leafSize * width^h points for the largest h that leaves several runs.
      var target = leafSize
      while target * width < total { target *= width }
      let fine = expand(pieces, above: target)
      while true {
        let runs = join(fine, upTo: target)
        if runs.count <= width { return runs }
        target += max(1, target / 8)
      }
    }

    /// Takes subtrees of more than `target` points apart, into their top and the subtrees of its children.
    private func expand(_ pieces: [Piece], above target: Int) -> [Piece] {
      var fine: [Piece] = []
      var stack = Array(pieces.reversed())
      while let piece = stack.popLast() {
        if piece.size <= target {
          fine.append(piece)
          continue
        }
        fine.append(Piece(begin: piece.begin, end: piece.begin + 1))
        let kids = layout.childrenOffsets[piece.begin]..<layout.childrenOffsets[piece.begin + 1]
        for index in kids.reversed() {
          let child = layout.children[index]
          stack.append(Piece(begin: child, end: layout.subtreeEnd[child]))
        }
      }
      return fine
    }

    private func join(_ pieces: [Piece], upTo target: Int) -> [ArraySlice<Piece>] {
      var runs: [ArraySlice<Piece>] = []
      var first = 0
      for index in pieces.indices where index > first {
        if Int(pieces[index].end - pieces[first].begin) > target {
          runs.append(pieces[first..<index])
          first = index
        }
      }
      runs.append(pieces[first...])
      return runs
    }
  }
}
