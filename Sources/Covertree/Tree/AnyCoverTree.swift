import CovertreeBase

/// A cover tree of either coordinate type: the interface of the core.
///
/// Code behind it is generic and specialised in this module; its callers need not know the type. Results are written through raw pointers
/// to scalars of the tree's type.
public enum AnyCoverTree: Sendable {
  case float32(CoverTree<Float>)
  case float64(CoverTree<Double>)
  /// Objects of any kind, by a metric of the caller.
  case function(FunctionTree)

  public static func build(
    _ points: AnyPoints, options: TreeOptions, context: CallContext
  ) throws(CoverTreeError) -> AnyCoverTree {
    switch points {
    case .float32(let view):
      guard options.metric?.isInFloat32 ?? true else {
        throw CoverTreeError(.unsupported, "points: expected float64 for this metric, got float32")
      }
      return .float32(try CoverTree(points: view, options: options, context: context))
    case .float64(let view): return .float64(try CoverTree(points: view, options: options, context: context))
    }
  }

  public func insert(_ points: AnyPoints, context: CallContext) throws(CoverTreeError) -> Int {
    switch (self, points) {
    case (.function(let tree), _): try tree.insert(ObjectsView(points), context: context)
    case (.float32(let tree), .float32(let view)): try tree.insert(view, context: context)
    case (.float64(let tree), .float64(let view)): try tree.insert(view, context: context)
    default: throw wrongType("points")
    }
  }

  /// Adds numbers of objects to a tree of a distance function.
  public func insert(_ objects: ObjectsView, context: CallContext) throws(CoverTreeError) -> Int {
    guard case .function(let tree) = self else { throw Self.unexpectedObjects("points") }
    return try tree.insert(objects, context: context)
  }

  fileprivate static func unexpectedObjects(_ argument: String) -> CoverTreeError {
    CoverTreeError(.invalidArgument, "\(argument): expected coordinates, got numbers of objects")
  }

  public func remove(_ indices: UnsafeBufferPointer<Int64>, context: CallContext) throws(CoverTreeError) {
    switch self {
    case .float32(let tree): try tree.remove(indices, context: context)
    case .float64(let tree): try tree.remove(indices, context: context)
    case .function(let tree): try tree.remove(indices, context: context)
    }
  }

  public func validate(context: CallContext) throws(CoverTreeError) {
    switch self {
    case .float32(let tree): try tree.validate(context: context)
    case .float64(let tree): try tree.validate(context: context)
    case .function(let tree): try tree.validate(context: context)
    }
  }

  /// Queries of a type that is known only at run time.
  public enum Queries: Sendable {
    case points(AnyPoints)
    /// Numbers that stand for objects of the caller.
    case objects(ObjectsView)
    case stored(StoredIndices)
    case allStored

    /// Whether they are not points of the tree.
    var areNew: Bool {
      switch self {
      case .points, .objects: true
      case .stored, .allStored: false
      }
    }
  }

  /// `distances` points to scalars of the tree's type, or to float64 if the queries are.
  public func nearest(
    _ queries: Queries, k: Int, options: SearchOptions, context: CallContext, rows: Int,
    indices: UnsafeMutablePointer<Int64>, distances: UnsafeMutableRawPointer?
  ) throws(CoverTreeError) {
    switch self {
    case .float32(let tree):
      if case .points(.float64(let view)) = queries {
        return try tree.nearest(
          view, k: k, options: options, context: context, indices: indices,
          distances: distances?.assumingMemoryBound(to: Double.self))
      }
      try tree.nearest(
        typed(queries), k: k, options: options, context: context, rows: rows, indices: indices,
        distances: distances?.assumingMemoryBound(to: Float.self))
    case .float64(let tree):
      try tree.nearest(
        typed(queries), k: k, options: options, context: context, rows: rows, indices: indices,
        distances: distances?.assumingMemoryBound(to: Double.self))
    case .function(let tree):
      try tree.nearest(
        queries, k: k, options: options, context: context, rows: rows, indices: indices,
        distances: distances?.assumingMemoryBound(to: Double.self))
    }
  }

  public func within(
    _ radius: Double, of queries: Queries, options: SearchOptions, context: CallContext
  ) throws(CoverTreeError) -> AnyNeighborLists {
    switch self {
    case .float32(let tree):
      if case .points(.float64(let view)) = queries {
        return AnyNeighborLists(try tree.within(radius, of: view, options: options, context: context))
      }
      return AnyNeighborLists(try tree.within(radius, of: typed(queries), options: options, context: context))
    case .float64(let tree):
      return AnyNeighborLists(try tree.within(radius, of: typed(queries), options: options, context: context))
    case .function(let tree):
      return AnyNeighborLists(try tree.within(radius, of: queries, options: options, context: context))
    }
  }

  public func countWithin(
    _ radius: Double, of queries: Queries, options: SearchOptions, context: CallContext, rows: Int,
    counts: UnsafeMutablePointer<Int64>
  ) throws(CoverTreeError) {
    switch self {
    case .float32(let tree):
      if case .points(.float64(let view)) = queries {
        return try tree.countWithin(radius, of: view, options: options, context: context, counts: counts)
      }
      try tree.countWithin(radius, of: typed(queries), options: options, context: context, rows: rows, counts: counts)
    case .float64(let tree):
      try tree.countWithin(radius, of: typed(queries), options: options, context: context, rows: rows, counts: counts)
    case .function(let tree):
      try tree.countWithin(radius, of: queries, options: options, context: context, rows: rows, counts: counts)
    }
  }

  public var isFloat32: Bool {
    if case .float32 = self { true } else { false }
  }

  public var info: TreeInfo {
    switch self {
    case .float32(let tree): tree.info
    case .float64(let tree): tree.info
    case .function(let tree): tree.info
    }
  }

  public func export(context: CallContext) throws(CoverTreeError) -> TreeArrays {
    switch self {
    case .float32(let tree): try tree.export(context: context)
    case .float64(let tree): try tree.export(context: context)
    case .function(let tree): try tree.export(context: context)
    }
  }

  public func copyIndices(
    inLeafOrder: Bool, count: Int, into indices: UnsafeMutablePointer<Int64>
  ) throws(CoverTreeError) {
    switch self {
    case .float32(let tree): try tree.copyIndices(inLeafOrder: inLeafOrder, count: count, into: indices)
    case .float64(let tree): try tree.copyIndices(inLeafOrder: inLeafOrder, count: count, into: indices)
    case .function(let tree): try tree.copyIndices(inLeafOrder: inLeafOrder, count: count, into: indices)
    }
  }

  /// `rows` points to scalars of the tree's type.
  public func copyPoints(
    _ indices: UnsafeBufferPointer<Int64>, into rows: UnsafeMutableRawPointer, context: CallContext
  ) throws(CoverTreeError) {
    switch self {
    case .float32(let tree):
      try tree.copyPoints(indices, into: rows.assumingMemoryBound(to: Float.self), context: context)
    case .float64(let tree):
      try tree.copyPoints(indices, into: rows.assumingMemoryBound(to: Double.self), context: context)
    case .function(let tree): try tree.copyObjects(indices, into: rows)
    }
  }

  private func wrongType(_ argument: String) -> CoverTreeError {
    CoverTreeError(
      .invalidArgument, "\(argument): the tree holds \(isFloat32 ? "float32" : "float64") points, got the other type")
  }

  private func typed(_ queries: Queries) throws(CoverTreeError) -> Covertree.Queries<Float> {
    switch queries {
    case .points(.float32(let view)): .points(view)
    case .points: throw wrongType("queries")
    case .objects: throw Self.unexpectedObjects("queries")
    case .stored(let list): .stored(list)
    case .allStored: .allStored
    }
  }

  private func typed(_ queries: Queries) throws(CoverTreeError) -> Covertree.Queries<Double> {
    switch queries {
    case .points(.float64(let view)): .points(view)
    case .points: throw wrongType("queries")
    case .objects: throw Self.unexpectedObjects("queries")
    case .stored(let list): .stored(list)
    case .allStored: .allStored
    }
  }
}

/// Lists of neighbours with distances of either type.
public struct AnyNeighborLists: @unchecked Sendable {
  public let isFloat32: Bool
  public let offsets: Buffer<Int64>
  public let indices: Buffer<Int64>
  public let distances: UnsafeRawPointer
  public let scores: Buffer<Double>?
  private let owner: AnyObject

  public init<S: Scalar>(_ lists: NeighborLists<S>) {
    isFloat32 = S.self == Float.self
    (offsets, indices, scores, owner) = (lists.offsets, lists.indices, lists.scores, lists)
    distances = UnsafeRawPointer(lists.distances.base)
  }
}
