import CNumerics
import CovertreeBase

/// A store whose rows a table reads in place. Rows are pinned until the table unpins them, so they do not change.
final class RowSource: @unchecked Sendable {
  let store: any RowStore
  /// Whether rows count as scaled to length 1.
  let scales: Bool
  let dim: Int
  let base: UnsafeRawPointer
  let rowBytes: Int

  init(_ store: any RowStore, scales: Bool) {
    (self.store, self.scales) = (store, scales)
    (dim, base, rowBytes) = (store.dim, store.base, store.rowBytes)
  }

  func row(_ slot: Int64) -> UnsafePointer<Float> {
    (base + Int(slot) &* rowBytes).assumingMemoryBound(to: Float.self)
  }

  /// Checks and pins the rows in some slots.
  ///
  /// - Parameter limit: of the size of a coordinate.
  func lease(
    _ slots: UnsafeBufferPointer<Int64>, within limit: Float, context: CallContext
  ) throws(CoverTreeError) -> RowLease {
    let lease = try RowLease(self, slots)
    try context.forEach(slots.count, grain: 1024) { (range, _) throws(CoverTreeError) in
      for position in range {
        let row = row(slots[position])
        guard (0..<dim).allSatisfy({ row[$0].magnitude <= limit }) else {
          throw CoverTreeError(
            .invalidArgument, "slots[\(position)]: slot \(slots[position]) has a coordinate beyond \(limit); rescale it"
          )
        }
        guard scales else { continue }
        guard let inverse = inverseLength(row, dim) else {
          throw CoverTreeError(
            .invalidArgument,
            "slots[\(position)]: slot \(slots[position]) is a zero vector, it has no cosine with others")
        }
        lease.rows[position].scale = inverse
      }
    }
    return lease
  }
}

/// Pinned rows that a table is about to add; they are unpinned unless the table keeps them.
final class RowLease {
  let rows: Buffer<cn_leased_row>
  private let source: RowSource
  private let slots: Buffer<Int64>
  private var isKept = false

  /// - Parameter known: the expected hashes of the vectors; nil for any.
  init(_ source: RowSource, _ slots: UnsafeBufferPointer<Int64>, known: KnownHashes? = nil) throws(CoverTreeError) {
    self.source = source
    self.slots = try Buffer(count: slots.count)
    rows = try Buffer(count: slots.count)
    for (position, slot) in slots.enumerated() {
      self.slots[position] = slot
      rows[position] = cn_leased_row(slot: slot, scale: 1)
    }
    isKept = true  // until they are pinned
    try source.store.pin(slots, known: known)
    isKept = false
  }

  deinit { if !isKept { source.store.unpin(slots.count) { Int(slots[$0]) } } }

  /// The row in the store or, scaled, in `scratch`.
  @inline(__always)
  func row(_ position: Int, or scratch: UnsafeMutablePointer<Float>) -> UnsafePointer<Float> {
    let row = source.row(rows[position].slot)
    guard source.scales else { return row }
    for d in 0..<source.dim { scratch[d] = Float(Double(row[d]) * rows[position].scale) }
    return UnsafePointer(scratch)
  }

  /// From here on the table unpins them.
  func keep() { isKept = true }
}
