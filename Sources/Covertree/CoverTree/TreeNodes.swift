import CovertreeBase

/// Parent and level of every point while a tree is being made, by the builder's numbers.
struct TreeNodes {
  /// The level of a point that is not in the tree yet.
  static let absent = Int32.max
  /// The level of a point at distance 0 from its parent.
  static let duplicate = Int32.min
  /// The level of a root with nothing to cover.
  static let lowestRootLevel: Int32 = 0

  let parent: Buffer<Int32>
  let level: Buffer<Int32>

  var count: Int { level.count }
}

/// The nodes of a tree before a batch enters, except the root and duplicates: level by level, the highest first.
struct OldNodes {
  struct Level {
    let level: Int32
    let points: GrowableBuffer<Int32>
  }

  let levels: [Level]

  init(_ nodes: TreeNodes) throws(CoverTreeError) {
    var byLevel: [Int32: GrowableBuffer<Int32>] = [:]
    for node in 0..<nodes.count {
      let level = nodes.level[node]
      guard level != TreeNodes.absent, level != TreeNodes.duplicate, nodes.parent[node] >= 0 else { continue }
      if byLevel[level] == nil { byLevel[level] = try GrowableBuffer() }
      try byLevel[level]!.append(Int32(node))
    }
    levels = byLevel.keys.sorted(by: >).map { Level(level: $0, points: byLevel[$0]!) }
  }
}

/// The cost of an insertion.
public struct InsertionStatistics: Sendable {
  public var distanceEvaluations = 0
  public var conflictEdges = 0
  public var rounds = 0
  public var levels = 0
  public var seconds = 0.0

  public init() {}
}
