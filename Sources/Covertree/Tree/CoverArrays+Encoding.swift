import CovertreeBase
import CovertreeFiles

/// Cover trees in files: the arrays of `TreeLayout` as they are in memory.
extension CoverArrays where S: StorableElement {
  var sections: [Section] {
    let own = [
      Section("points", layout.points, columns: layout.dim),
      Section("order", layout.order),
      Section("levels", layout.levels),
      Section("parents", layout.parents),
      Section("children_offsets", layout.childrenOffsets),
      Section("children", layout.children),
      Section("radius", layout.radius),
      Section("subtree_end", layout.subtreeEnd),
      Section("subtree_min", layout.subtreeMin),
      Section("subtree_max", layout.subtreeMax),
    ]
    return own + (removed.map { [Section("removed", $0)] } ?? [])
  }

  /// The cover tree of some points, if a file has it.
  convenience init?(
    _ file: StoredFile, _ settings: TreeSettings, _ points: SearchPoints<S>, context: CallContext
  ) throws(CoverTreeError) {
    guard file.section(named: "order") != nil else { return nil }
    let (dim, order) = (settings.dim, try file.buffer("order", of: Int32.self))
    let count = order.count
    guard count > 0, count <= settings.indexCount else {
      throw file.corrupt("section \"order\": there are \(count) points and \(settings.indexCount) indices")
    }
    let layout = TreeLayout<S>(
      dim: dim,
      points: try file.numbers("points", rows: count, columns: dim, within: S(S.coordinateLimit), context: context),
      order: order, levels: try file.buffer("levels", rows: count), parents: try file.buffer("parents", rows: count),
      childrenOffsets: try file.buffer("children_offsets", rows: count + 1),
      children: try file.buffer("children", rows: count - 1), radius: try file.buffer("radius", rows: count),
      subtreeEnd: try file.buffer("subtree_end", rows: count),
      subtreeMin: try file.buffer("subtree_min", rows: count), subtreeMax: try file.buffer("subtree_max", rows: count))
    let removed: Buffer<UInt8>? =
      file.section(named: "removed") == nil ? nil : try file.buffer("removed", rows: count)
    try CheckedLayout(layout: layout, removed: removed, indexCount: settings.indexCount).check(
      file, points, context: context)
    self.init(layout, removed: removed, indexCount: settings.indexCount)
  }
}

/// A cover tree from a file. All numbers that are followed as offsets are checked, because a file may come from anywhere.
private struct CheckedLayout<S: Scalar> {
  let layout: TreeLayout<S>
  let removed: Buffer<UInt8>?
  let indexCount: Int

  func check(_ file: StoredFile, _ points: SearchPoints<S>, context: CallContext) throws(CoverTreeError) {
    guard removed?.elements.allSatisfy({ $0 <= 1 }) ?? true else {
      throw file.corrupt("section \"removed\": expected 0 or 1")
    }
    try checkOrder(file, points)
    try context.forEach(layout.count, grain: 1 << 14) { (range, _) throws(CoverTreeError) in
      for t in range where !isEnd(t) { throw file.corrupt("section \"subtree_end\": \(layout.subtreeEnd[t]) at \(t)") }
    }
    guard layout.subtreeEnd[0] == layout.count, layout.parents[0] == -1, layout.childrenOffsets[0] == 0,
      Self.isLevel(layout.levels[0])
    else { throw file.corrupt("invalid root node") }
    try context.forEach(layout.count, grain: 1 << 14) { (range, _) throws(CoverTreeError) in
      for t in range where !hasItsChildren(t) { throw file.corrupt("node \(t) and its children contradict each other") }
    }
  }

  /// Levels of float64 distances are float64 exponents.
  private static func isLevel(_ level: Int32) -> Bool { (-1100...1100).contains(level) }

  private func isEnd(_ t: Int) -> Bool { (t + 1...layout.count).contains(Int(layout.subtreeEnd[t])) }

  /// Whether the children of a node are listed as the subtrees that follow it, and know it as their parent. If so for all nodes, each
  /// node but the root is found once.
  private func hasItsChildren(_ t: Int) -> Bool {
    let end = layout.subtreeEnd[t]
    var (child, next) = (Int32(t + 1), layout.childrenOffsets[t])
    while child < end {
      let level = layout.levels[child]
      guard next >= 0, next < layout.children.count, layout.children[next] == child, layout.parents[child] == t,
        level == TreeNodes.duplicate || Self.isLevel(level) && level < layout.levels[t],
        layout.levels[t] != TreeNodes.duplicate
      else { return false }
      (child, next) = (layout.subtreeEnd[child], next + 1)
    }
    return child == end && layout.childrenOffsets[t + 1] == next
  }

  /// Checks that each dataset index has one node, and that searches find exactly the points of nodes that are not removed.
  private func checkOrder(_ file: StoredFile, _ points: SearchPoints<S>) throws(CoverTreeError) {
    let seen = try Buffer<UInt8>(count: indexCount, filledWith: 0)
    let locator = try PointLocator(points)
    var live = 0
    for (t, index) in layout.order.elements.enumerated() {
      guard index >= 0, index < indexCount, seen[index] == 0 else {
        throw file.corrupt("section \"order\": \(index) is out of range or there twice")
      }
      seen[index] = 1
      guard removed?[t] != 1 else { continue }
      guard locator.locate(Int(index)) != nil else {
        throw file.corrupt("section \"order\": no leaf has point \(index)")
      }
      live += 1
    }
    guard live == points.liveCount else {
      throw file.corrupt("section \"order\": there are \(live) points, leaves have \(points.liveCount)")
    }
  }
}
