import CovertreeBase
import CovertreeFiles

/// Cover trees in files: the arrays of `TreeLayout` as they are in memory.
extension TreeLayout where S: StorableElement {
  /// - Parameter points: the name of the section of the points.
  func sections(points name: String) -> [Section] {
    [
      Section(name, points, columns: dim),
      Section("order", order),
      Section("levels", levels),
      Section("parents", parents),
      Section("children_offsets", childrenOffsets),
      Section("children", children),
      Section("radius", radius),
      Section("subtree_end", subtreeEnd),
      Section("subtree_min", subtreeMin),
      Section("subtree_max", subtreeMax),
    ]
  }

  /// The arrays of a file, to be checked by `CheckedLayout`.
  ///
  /// - Parameters:
  ///   - name: of the section of the points.
  ///   - limit: of their numbers.
  ///   - indexCount: the dataset indices that were given.
  convenience init(
    _ file: StoredFile, points name: String, dim: Int, within limit: S, indexCount: Int, context: CallContext
  ) throws(CoverTreeError) {
    let order = try file.buffer("order", of: Int32.self)
    let count = order.count
    guard count > 0, count <= indexCount else {
      throw file.corrupt("section \"order\": there are \(count) points and \(indexCount) indices")
    }
    self.init(
      dim: dim, points: try file.numbers(name, rows: count, columns: dim, within: limit, context: context),
      order: order, levels: try file.buffer("levels", rows: count), parents: try file.buffer("parents", rows: count),
      childrenOffsets: try file.buffer("children_offsets", rows: count + 1),
      children: try file.buffer("children", rows: count - 1), radius: try file.buffer("radius", rows: count),
      subtreeEnd: try file.buffer("subtree_end", rows: count),
      subtreeMin: try file.buffer("subtree_min", rows: count), subtreeMax: try file.buffer("subtree_max", rows: count))
  }
}

extension CoverArrays where S: StorableElement {
  var sections: [Section] { layout.sections(points: "points") + (removed.map { [Section("removed", $0)] } ?? []) }

  /// The cover tree of some points, if a file has it.
  convenience init?(
    _ file: StoredFile, _ settings: TreeSettings, _ points: SearchPoints<S>, context: CallContext
  ) throws(CoverTreeError) {
    guard file.section(named: "order") != nil else { return nil }
    let layout = try TreeLayout<S>(
      file, points: "points", dim: settings.dim, within: S(S.coordinateLimit), indexCount: settings.indexCount,
      context: context)
    let checked = try CheckedLayout(layout, indexCount: settings.indexCount, file, context: context)
    try checked.check(points, file)
    self.init(layout, removed: checked.removed, indexCount: settings.indexCount)
  }
}

/// A cover tree from a file. All numbers that are followed as offsets are checked, because a file may come from anywhere. Each dataset index
/// has at most one node.
struct CheckedLayout<S: Scalar> {
  let layout: TreeLayout<S>
  /// By tree index: 1 for removed points; nil if there are none.
  let removed: Buffer<UInt8>?

  init(
    _ layout: TreeLayout<S>, indexCount: Int, _ file: StoredFile, context: CallContext
  ) throws(CoverTreeError) {
    self.layout = layout
    removed = file.section(named: "removed") == nil ? nil : try file.buffer("removed", rows: layout.count)
    guard removed?.elements.allSatisfy({ $0 <= 1 }) ?? true else {
      throw file.corrupt("section \"removed\": expected 0 or 1")
    }
    let seen = try Buffer<UInt8>(count: indexCount, filledWith: 0)
    for index in layout.order.elements {
      guard index >= 0, index < indexCount, seen[index] == 0 else {
        throw file.corrupt("section \"order\": \(index) is out of range or there twice")
      }
      seen[index] = 1
    }
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

  /// Checks that searches find exactly the points of nodes that are not removed.
  fileprivate func check(_ points: SearchPoints<S>, _ file: StoredFile) throws(CoverTreeError) {
    let locator = try PointLocator(points)
    var live = 0
    for (t, index) in layout.order.elements.enumerated() where removed?[t] != 1 {
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
