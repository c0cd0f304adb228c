import CovertreeBase
import CovertreeFiles

/// Trees as files. `docs/file-format.md` lists the sections. They are the arrays of `KDTree`, and of `TreeLayout` if the cover tree is
/// made, as they are in memory. So an open file is searched and exported without a copy.
extension CoverTree where S: StorableElement {
  /// The current state. The arrays of a single segment are not copied; several segments are merged into one.
  func image(context: CallContext) throws(CoverTreeError) -> FileImage {
    let current = snapshot
    let snapshot: TreeSnapshot<S> = try context.within(from: 0, to: 0.1) { () throws(CoverTreeError) in
      try SnapshotBuilder<S>(options: options, context: context).united(current)
    }
    let view = snapshot.points.views[0]
    let settings = try Buffer<Int64>(count: TreeSettings.count(options.metric))
    TreeSettings(
      type: S.elementType, dim: dim, indexCount: snapshot.indexCount, firstIndex: view.segment.indexRange.lowerBound,
      options: options
    ).write(to: settings)
    var sections = [
      Section("settings", settings),
      Section("boxes.coordinates", view.boxes.coordinates.scalars(S.self), columns: S.width),
      Section("boxes.labels", view.boxes.indices),
      Section("boxes.sides", view.boxes.boxes.scalars(S.self), columns: S.width),
      Section("boxes.smallest_label", view.boxes.smallestIndex),
    ]
    if let metric = options.metric { sections.append(Section("metric", try metric.numbers())) }
    if view.removedCount > 0 {
      let removed = try Buffer<UInt8>(count: view.segment.count)
      for position in 0..<removed.count { removed[position] = view.index(position) == KDTree<S>.noIndex ? 1 : 0 }
      sections.append(Section("boxes.removed", removed))
    }
    if snapshot.latestCover != nil {
      let cover: CoverArrays<S> = try context.within(from: 0.1, to: 0.3) { () throws(CoverTreeError) in
        try snapshot.cover(options, context: context)
      }
      sections += cover.sections
    }
    return FileImage(
      kind: .tree, inputHash: try snapshot.points.inputHash(options.metric, context: context), sections: sections)
  }

  /// Opens a tree in a file. Checksums are compared, and every number that is used as an offset is checked: O(n), at the speed of
  /// reading.
  fileprivate convenience init(
    _ file: StoredFile, _ settings: TreeSettings, context: CallContext
  ) throws(CoverTreeError) {
    let segment = try Segment<S>(file, settings, context: context)
    var removedCount = 0
    if file.section(named: "boxes.removed") != nil {
      let removed: Buffer<UInt8> = try file.buffer("boxes.removed", rows: segment.count)
      guard removed.elements.allSatisfy({ $0 <= 1 }) else {
        throw file.corrupt("section \"boxes.removed\": expected 0 or 1")
      }
      let tombstones = try segment.makeTombstones()
      for position in 0..<removed.count where removed[position] == 1 {
        removedCount += tombstones.mark(position, at: 1) ? 1 : 0
      }
    }
    let points = SearchPoints([segment], removedCounts: [removedCount], time: 1)
    let cover = try CoverArrays<S>(file, settings, points, context: context)
    self.init(TreeSnapshot(points, indexCount: settings.indexCount, time: 1, cover: cover), options: settings.options)
  }
}

extension Segment where S: StorableElement {
  fileprivate convenience init(
    _ file: StoredFile, _ settings: TreeSettings, context: CallContext
  ) throws(CoverTreeError) {
    let indices: Buffer<Int32> = try file.buffer("boxes.labels")
    let count = indices.elements.firstIndex(of: KDTree<S>.noIndex) ?? indices.count
    guard count > 0, count <= settings.indexCount - settings.firstIndex else {
      throw file.corrupt("section \"boxes.labels\": there are \(count) points and \(settings.indexCount) indices")
    }
    let scalars: Buffer<S> = try file.buffer("boxes.coordinates", columns: S.width)
    guard
      let boxes = try KDTree<S>(
        count: count, dim: settings.options.metric?.rowLength ?? settings.dim, leafSize: settings.options.leafSize,
        coordinates: scalars.vectors(),
        indices: indices, boxes: try file.buffer("boxes.sides", of: S.self, columns: S.width).vectors(),
        smallestIndex: try file.buffer("boxes.smallest_label"))
    else { throw file.corrupt("its boxes are not those of \(count) points") }
    guard try boxes.isUsable(context) else {
      throw file.corrupt("section \"boxes.coordinates\": expected finite coordinates")
    }
    self.init(boxes, indexRange: settings.firstIndex..<settings.indexCount)
    let seen = try Buffer<UInt8>(count: indexRange.count, filledWith: 0)
    for (position, index) in indices.elements.enumerated() {
      guard position < count else {
        guard index == KDTree<S>.noIndex else {
          throw file.corrupt("section \"boxes.labels\": \(index) is beyond the last point")
        }
        continue
      }
      guard indexRange.contains(Int(index)), seen[Int(index) - indexRange.lowerBound] == 0 else {
        throw file.corrupt("section \"boxes.labels\": \(index) is out of range or there twice")
      }
      seen[Int(index) - indexRange.lowerBound] = 1
    }
  }
}

extension SearchPoints {
  /// The hash of the points that searches find, by dataset index.
  fileprivate func inputHash(_ metric: TreeMetric?, context: CallContext) throws(CoverTreeError) -> UInt64 {
    let (first, given) = (metric?.firstGiven ?? 0, metric?.dim ?? dim)
    let rows = try Buffer<S>(count: context.threads * dim)
    return try sumOfHashes(positionCount, context) { (position, slot) in
      let (view, row) = (view(at: position), rows.base + slot * dim)
      let index = view.index(position - view.firstPosition)
      guard index != KDTree<S>.noIndex else { return 0 }
      copy(position, into: row)
      return hashOfPoint(Int(index), row + first, dim: given)
    }
  }
}

/// The section "settings".
struct TreeSettings {
  /// Files of other metrics than Euclidean distance have one number more, so that readers that do not know it refuse them.
  static func count(_ metric: TreeMetric?) -> Int { metric == nil ? 7 : 8 }

  /// The type of coordinates.
  let type: ElementType
  let dim: Int
  let indexCount: Int
  /// The lowest dataset index.
  let firstIndex: Int
  let options: TreeOptions

  func write(to settings: Buffer<Int64>) {
    settings[0] = Int64(dim)
    settings[1] = Int64(indexCount)
    settings[2] = Int64(options.order.rawValue)
    settings[3] = Int64(options.leafSize)
    settings[4] = Int64(bitPattern: options.seed)
    settings[5] = Int64(type.rawValue)
    settings[6] = Int64(firstIndex)
    if let metric = options.metric { settings[7] = Int64(metric.kind.rawValue) }
  }
}

extension TreeSettings {
  init(_ file: StoredFile) throws(CoverTreeError) {
    try file.verify("settings")
    let hasMetric = file.section(named: "metric") != nil
    let settings: Buffer<Int64> = try file.buffer("settings", rows: hasMetric ? 8 : 7)
    guard (1...65536).contains(settings[0]), (1..<Int64(Int32.max)).contains(settings[1]),
      let order = Int32(exactly: settings[2]).flatMap(PointOrder.init(rawValue:)), (1...65536).contains(settings[3]),
      let type = UInt32(exactly: settings[5]).flatMap(ElementType.init(rawValue:)),
      [.float32, .float64].contains(type),
      (0..<settings[1]).contains(settings[6])
    else { throw file.corrupt("section \"settings\" is out of range") }
    (self.type, dim, indexCount, firstIndex) = (type, Int(settings[0]), Int(settings[1]), Int(settings[6]))
    var options = TreeOptions()
    (options.order, options.leafSize) = (order, Int(settings[3]))
    options.seed = UInt64(bitPattern: settings[4])
    if hasMetric { options.metric = try TreeMetric(file, kind: settings[7], dim: dim) }
    guard options.metric?.isInFloat32 ?? true || type == .float64 else {
      throw file.corrupt("section \"settings\": expected float64 points for the metric")
    }
    self.options = options
  }
}

extension AnyCoverTree {
  public func image(context: CallContext) throws(CoverTreeError) -> FileImage {
    switch self {
    case .float32(let tree): try tree.image(context: context)
    case .float64(let tree): try tree.image(context: context)
    case .function(let tree): try tree.image(context: context)
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

  /// Throws unless a file has a tree, as far as its header shows.
  public static func check(_ file: StoredFile) throws(CoverTreeError) {
    guard file.kind != .function else {
      throw CoverTreeError(
        .invalidArgument, "metric: the file has a tree of a distance function; it is loaded with that function")
    }
    try file.expect(.tree)
    _ = try TreeSettings(file)
  }
}
