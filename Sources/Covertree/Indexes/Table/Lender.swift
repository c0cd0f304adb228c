import CNumerics

/// A store as a table has it whose rows stand there: what is lent is held until it is given back, so it stays as it is.
final class Lender: Sendable {
  let store: VectorStore
  /// Whether rows count as scaled to length 1.
  let scales: Bool
  private let space: StoreRowSpace

  var dim: Int { store.dim }
  var base: UnsafeRawPointer { UnsafeRawPointer(space.base) }
  var rowBytes: Int { space.rowBytes }

  init(_ store: VectorStore, scales: Bool) {
    (self.store, self.scales, space) = (store, scales, store.rowSpace)
  }

  func row(_ slot: Int64) -> UnsafePointer<Float> {
    (base + Int(slot) &* rowBytes).assumingMemoryBound(to: Float.self)
  }

  /// Borrows the rows in some slots, after a look at them.
  ///
  /// - Parameter limit: of the size of a coordinate.
  func borrow(
    _ slots: UnsafeBufferPointer<Int64>, within limit: Float, context: CallContext
  ) throws(CoverTreeError) -> Loan {
    let loan = try Loan(self, slots)
    try context.forEach(slots.count, grain: 1024) { (range, _) throws(CoverTreeError) in
      for place in range {
        let row = row(slots[place])
        guard (0..<dim).allSatisfy({ row[$0].magnitude <= limit }) else {
          throw CoverTreeError(
            .invalidArgument, "slots[\(place)]: slot \(slots[place]) has a coordinate beyond \(limit); rescale it")
        }
        guard scales else { continue }
        guard let inverse = inverseLength(row, dim) else {
          throw CoverTreeError(
            .invalidArgument, "slots[\(place)]: slot \(slots[place]) is a zero vector, it has no cosine with others")
        }
        loan.rows[place].scale = inverse
      }
    }
    return loan
  }
}

/// Rows on their way into a table: given back, unless they arrive.
final class Loan {
  let rows: Buffer<cn_lent_row>
  private let lender: Lender
  private let slots: Buffer<Int64>
  private var isKept = false

  /// - Parameter known: hashes of the vectors that the slots have to hold; nil for any.
  init(_ lender: Lender, _ slots: UnsafeBufferPointer<Int64>, known: KnownHashes? = nil) throws(CoverTreeError) {
    self.lender = lender
    self.slots = try Buffer(count: slots.count)
    rows = try Buffer(count: slots.count)
    for (place, slot) in slots.enumerated() {
      self.slots[place] = slot
      rows[place] = cn_lent_row(place: slot, scale: 1)
    }
    isKept = true  // until they are held
    try lender.store.hold(slots, known: known)
    isKept = false
  }

  deinit { if !isKept { lender.store.letGo(slots.count) { Int(slots[$0]) } } }

  /// A row where it stands, or, scaled, in `scratch`.
  @inline(__always)
  func row(_ place: Int, or scratch: UnsafeMutablePointer<Float>) -> UnsafePointer<Float> {
    let row = lender.row(rows[place].place)
    guard lender.scales else { return row }
    for d in 0..<lender.dim { scratch[d] = Float(Double(row[d]) * rows[place].scale) }
    return UnsafePointer(scratch)
  }

  /// From here on the table gives them back.
  func keep() { isKept = true }
}
