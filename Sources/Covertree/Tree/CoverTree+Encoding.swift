/// Trees as files. The sections are those of `docs/file-format.md`: the arrays of `TreeLayout` and `BoxTree` as they stand
/// in memory, so that a file that was opened is searched and exported where it lies.
extension CoverTree where S: StorableElement {
  /// The tree as it stands; its arrays are not copied.
  func image(context: CallContext) throws(CoverTreeError) -> FileImage {
    let snapshot = snapshot
    let (layout, boxes) = (snapshot.layout, snapshot.boxes)
    let settings = try Buffer<Int64>(count: TreeSettings.count)
    TreeSettings(
      type: S.elementType, dim: dim, indexCount: snapshot.indexCount, options: options
    ).write(to: settings)
    var sections = [
      Section("settings", settings),
      Section("points", layout.points, columns: dim),
      Section("order", layout.order),
      Section("levels", layout.levels),
      Section("parents", layout.parents),
      Section("children_offsets", layout.childrenOffsets),
      Section("children", layout.children),
      Section("radius", layout.radius),
      Section("subtree_end", layout.subtreeEnd),
      Section("subtree_min", layout.subtreeMin),
      Section("subtree_max", layout.subtreeMax),
      Section("boxes.coordinates", boxes.coordinates.scalars(S.self), columns: S.width),
      Section("boxes.labels", boxes.labels),
      Section("boxes.sides", boxes.boxes.scalars(S.self), columns: S.width),
      Section("boxes.smallest_label", boxes.smallestLabel),
    ]
    if let removed = snapshot.removed { sections.append(Section("removed", removed)) }
    return FileImage(kind: .tree, inputHash: try snapshot.inputHash(context: context), sections: sections)
  }

  /// Opens a tree that lies in a file. Checksums are compared, and every number that is used as a place in memory is looked
  /// at: O(n), at the speed of reading.
  fileprivate convenience init(
    _ file: StoredFile, _ settings: TreeSettings, context: CallContext
  ) throws(CoverTreeError) {
    let (dim, order) = (settings.dim, try file.buffer("order", of: Int32.self))
    let count = order.count
    guard count > 0, count < Int(Int32.max), settings.indexCount >= count else {
      throw file.corrupt("section \"order\": there are \(count) points and \(settings.indexCount) indices")
    }
    let layout = TreeLayout<S>(
      dim: dim,
      points: try file.numbers(
        "points", rows: count, columns: dim, within: S(S.coordinateLimit), context: context),
      order: order,
      levels: try file.buffer("levels", rows: count), parents: try file.buffer("parents", rows: count),
      childrenOffsets: try file.buffer("children_offsets", rows: count + 1),
      children: try file.buffer("children", rows: count - 1), radius: try file.buffer("radius", rows: count),
      subtreeEnd: try file.buffer("subtree_end", rows: count),
      subtreeMin: try file.buffer("subtree_min", rows: count), subtreeMax: try file.buffer("subtree_max", rows: count))
    guard
      let boxes = try BoxTree<S>(
        count: count, dim: dim, leafSize: settings.options.leafSize,
        coordinates: try file.buffer("boxes.coordinates", of: S.self, columns: S.width).vectors(),
        labels: try file.buffer("boxes.labels"),
        boxes: try file.buffer("boxes.sides", of: S.self, columns: S.width).vectors(),
        smallestLabel: try file.buffer("boxes.smallest_label"))
    else { throw file.corrupt("its boxes are not those of \(count) points") }
    let removed: Buffer<UInt8>? =
      file.section(named: "removed") == nil ? nil : try file.buffer("removed", rows: count)
    let places = PlacesInTree(layout: layout, boxes: boxes, removed: removed, indexCount: settings.indexCount)
    try places.check(file, context: context)
    let snapshot = try TreeSnapshot(
      layout: layout, boxes: boxes, removed: removed, indexCount: settings.indexCount, context: context)
    self.init(snapshot, options: settings.options)
  }
}

extension TreeSnapshot {
  /// Of the points that searches find, by dataset index.
  fileprivate func inputHash(context: CallContext) throws(CoverTreeError) -> UInt64 {
    let (layout, removed) = (layout, removed)
    let view = PointsView(base: UnsafePointer(layout.points.base), count: layout.count, dim: layout.dim)
    return try view.hash(context: context) { removed?[$0] == 1 ? nil : Int(layout.order[$0]) }
  }
}

/// What a tree is beside its arrays: the section "settings".
fileprivate struct TreeSettings {
  static let count = 6

  /// Of the points.
  let type: ElementType
  let dim: Int
  let indexCount: Int
  let options: TreeOptions

  init(type: ElementType, dim: Int, indexCount: Int, options: TreeOptions) {
    (self.type, self.dim, self.indexCount, self.options) = (type, dim, indexCount, options)
  }

  func write(to settings: Buffer<Int64>) {
    settings[0] = Int64(dim)
    settings[1] = Int64(indexCount)
    settings[2] = Int64(options.order.rawValue)
    settings[3] = Int64(options.leafSize)
    settings[4] = Int64(bitPattern: options.seed)
    settings[5] = Int64(type.rawValue)
  }

  init(_ file: StoredFile) throws(CoverTreeError) {
    try file.verify("settings")
    let settings: Buffer<Int64> = try file.buffer("settings", rows: Self.count)
    guard (1...65536).contains(settings[0]), (1..<Int64(Int32.max)).contains(settings[1]),
      let order = Int32(exactly: settings[2]).flatMap(PointOrder.init(rawValue:)), (1...65536).contains(settings[3]),
      let type = UInt32(exactly: settings[5]).flatMap(ElementType.init(rawValue:)), [.float32, .float64].contains(type)
    else { throw file.corrupt("section \"settings\" is out of range") }
    (self.type, dim, indexCount) = (type, Int(settings[0]), Int(settings[1]))
    var options = TreeOptions()
    (options.order, options.leafSize) = (order, Int(settings[3]))
    options.seed = UInt64(bitPattern: settings[4])
    self.options = options
  }
}

/// What in a tree says where something is: it must be so that it can be followed, whoever wrote the file.
private struct PlacesInTree<S: Scalar> {
  let layout: TreeLayout<S>
  let boxes: BoxTree<S>
  let removed: Buffer<UInt8>?
  let indexCount: Int

  func check(_ file: StoredFile, context: CallContext) throws(CoverTreeError) {
    guard removed?.elements.allSatisfy({ $0 <= 1 }) ?? true else {
      throw file.corrupt("section \"removed\" is no mask")
    }
    try checkLabels(file)
    try context.forEach(layout.count, grain: 1 << 14) { (range, _) throws(CoverTreeError) in
      for t in range where !isEnd(t) { throw file.corrupt("section \"subtree_end\": \(layout.subtreeEnd[t]) at \(t)") }
    }
    guard layout.subtreeEnd[0] == layout.count, layout.parents[0] == -1, layout.childrenOffsets[0] == 0,
      Self.isLevel(layout.levels[0])
    else { throw file.corrupt("its root is none") }
    try context.forEach(layout.count, grain: 1 << 14) { (range, _) throws(CoverTreeError) in
      for t in range where !hasItsChildren(t) { throw file.corrupt("node \(t) and its children contradict each other") }
    }
  }

  /// Levels of float64 distances are those of its exponents.
  private static func isLevel(_ level: Int32) -> Bool { (-1100...1100).contains(level) }

  private func isEnd(_ t: Int) -> Bool { (t + 1...layout.count).contains(Int(layout.subtreeEnd[t])) }

  /// Whether the nodes that follow one, subtree by subtree, are those that are listed as its children and know it as their
  /// parent. Where that holds for all, each node but the root is found once.
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

  /// Dataset indices are those of one node each, and of one place in the boxes.
  private func checkLabels(_ file: StoredFile) throws(CoverTreeError) {
    let seen = try Buffer<UInt8>(count: indexCount, filledWith: 0)
    func take(_ name: String, _ index: Int32, after before: UInt8) throws(CoverTreeError) {
      guard index >= 0, index < indexCount, seen[index] == before else {
        throw file.corrupt("section \"\(name)\": \(index) is out of range or there twice")
      }
      seen[index] += 1
    }
    for index in layout.order.elements { try take("order", index, after: 0) }
    for label in boxes.labels.elements.prefix(layout.count) { try take("boxes.labels", label, after: 1) }
    for label in boxes.labels.elements.dropFirst(layout.count) where label != BoxTree<S>.noLabel {
      throw file.corrupt("section \"boxes.labels\": \(label) is beyond the last point")
    }
  }
}

extension AnyCoverTree {
  public func image(context: CallContext) throws(CoverTreeError) -> FileImage {
    switch self {
    case .float32(let tree): try tree.image(context: context)
    case .float64(let tree): try tree.image(context: context)
    }
  }

  public init(_ file: StoredFile, context: CallContext) throws(CoverTreeError) {
    try file.expect(.tree)
    let settings = try TreeSettings(file)
    try file.verify(context: context)
    self =
      settings.type == .float32
      ? .float32(try CoverTree(file, settings, context: context))
      : .float64(try CoverTree(file, settings, context: context))
  }

  /// Throws where a file does not hold a tree, as far as can be told without reading it.
  public static func check(_ file: StoredFile) throws(CoverTreeError) {
    try file.expect(.tree)
    _ = try TreeSettings(file)
  }
}
