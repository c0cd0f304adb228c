import CNumerics
import CovertreeBase

/// Vectors that are added to an index.
public enum NewVectors: @unchecked Sendable {
  case rows(PointsView<Float>)
  /// Slots of the store of the index.
  case slots(UnsafeBufferPointer<Int64>)

  var count: Int {
    switch self {
    case .rows(let rows): rows.count
    case .slots(let slots): slots.count
    }
  }
}

/// The path of new vectors into a table: checks and preparation.
extension VectorTable {
  /// The vectors from a slot on in the order in which they were added, counted from that slot; nil if slots have this order.
  func arrivalOrder(from first: Int, context: CallContext) throws(CoverTreeError) -> Buffer<Int32>? {
    if (first + 1..<max(first + 1, count)).allSatisfy({ serials[$0 - 1] < serials[$0] }) { return nil }
    let keys = try Buffer<UInt64>(count: count - first)
    for slot in first..<count { keys[slot - first] = UInt64(serials[slot]) }
    return try sortedOrder(ofKeys: keys, context: context)
  }

  private static var largestHalf: Float { 65504 }

  /// Rows prepared for comparison, and the owner of their memory.
  struct Prepared: @unchecked Sendable {
    let view: PointsView<Float>
    let owner: Buffer<Float>?
    /// The largest coordinate.
    let limit: Float
  }

  /// New vectors prepared for comparison.
  enum PendingVectors: @unchecked Sendable {
    case rows(Prepared)
    case pinned(RowLease)

    var lease: RowLease? { if case .pinned(let lease) = self { lease } else { nil } }

    /// A row in place, or written to `scratch` with padding.
    @inline(__always)
    func row(_ position: Int, or scratch: UnsafeMutablePointer<Float>) -> UnsafePointer<Float> {
      switch self {
      case .rows(let prepared): prepared.view.row(position)
      case .pinned(let lease): lease.row(position, or: scratch)
      }
    }

    /// A row that does not change: the caller's array may have changed since it was checked, and may still change.
    @inline(__always)
    func stableRow(
      _ position: Int, copiedTo scratch: UnsafeMutablePointer<Float>, _ dim: Int
    ) throws(CoverTreeError) -> UnsafePointer<Float> {
      guard case .rows(let prepared) = self else { return row(position, or: scratch) }
      scratch.update(from: prepared.view.row(position), count: dim)
      guard isUsable(UnsafePointer(scratch), dim, within: prepared.limit) else { throw .changing("vectors") }
      return UnsafePointer(scratch)
    }
  }

  /// Checks new vectors. Those of a store stay pinned until they are dropped or kept.
  func pendingVectors(_ vectors: NewVectors, context: CallContext) throws(CoverTreeError) -> PendingVectors {
    switch (vectors, exact?.source) {
    case (.rows(let rows), nil): .rows(try prepared(rows, named: "vectors", context: context))
    case (.slots(let slots), let source?): .pinned(try source.lease(slots, within: limit, context: context))
    case (.rows, _?):
      throw CoverTreeError(.unsupported, "vectors: this index is over a store; add them there, then their slots here")
    case (.slots, nil):
      throw CoverTreeError(.unsupported, "slots: this index has vectors of its own; it is not over a store")
    }
  }

  /// The largest coordinate.
  private var limit: Float {
    options.storage == .float16 && !options.metric.normalizes ? Self.largestHalf : Self.coordinateLimit
  }

  /// Checks rows, and normalises them if the metric requires it.
  func prepared(
    _ rows: PointsView<Float>, named name: String, context: CallContext
  ) throws(CoverTreeError) -> Prepared {
    guard rows.dim == dim else { throw CoverTreeError(.shape, "\(name): expected \(dim) columns, got \(rows.dim)") }
    try rows.checkCoordinates(named: name, within: limit, context: context)
    guard options.metric.normalizes else { return Prepared(view: rows, owner: nil, limit: limit) }
    let units = try Buffer<Float>(count: rows.count * dim)
    try context.forEach(rows.count, grain: 1024) { (range, _) throws(CoverTreeError) in
      for index in range {
        let row = rows.row(index)
        guard let inverse = inverseLength(row, dim) else {
          throw CoverTreeError(.invalidArgument, "\(name)[\(index)]: a zero vector has no cosine with others")
        }
        for d in 0..<dim { units[index * dim + d] = Float(Double(row[d]) * inverse) }
      }
    }
    return Prepared(view: PointsView(base: units.base, count: rows.count, dim: dim), owner: units, limit: limit)
  }
}
