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

extension VectorRows {
  @inline(__always)
  func lent(_ slot: Int) -> cn_lent_row {
    UnsafeRawPointer(bytes.base).assumingMemoryBound(to: cn_lent_row.self)[slot]
  }

  /// Sets where a row stands.
  @inline(__always)
  func set(_ slot: Int, _ row: cn_lent_row) {
    UnsafeMutableRawPointer(bytes.base).assumingMemoryBound(to: cn_lent_row.self)[slot] = row
  }

  /// Where a row stands in the store.
  @inline(__always)
  func place(_ slot: Int) -> Int { Int(lent(slot).place) }

  /// Where the first rows stand in the store.
  func places(_ count: Int) throws(CoverTreeError) -> Buffer<Int32> {
    let places = try Buffer<Int32>(count: count)
    for slot in 0..<count { places[slot] = Int32(place(slot)) }
    return places
  }

  /// Tells the lender that rows are read no more; those of others than a lender need no telling.
  func giveBack(_ slots: Range<Int>) {
    lender?.store.letGo(slots.count) { place(slots.lowerBound + $0) }
  }

  /// Holds all rows once more, for others like these.
  func holdAgain() throws(CoverTreeError) {
    try lender?.store.holdAgain(count) { place($0) }
  }

  // MARK: In files

  /// Where rows stand, and by what it is known that they are the same.
  func lentSections() throws(CoverTreeError) -> [Section] {
    guard let lender else { return [] }
    let hashes = try lender.store.hashes(count) { place($0) }
    let slots = try places(count)
    let seed = try Buffer<UInt64>(count: 2)
    (seed[0], seed[1]) = lender.store.vectorHash.seed
    let sections = [
      Section("store.slots", slots), Section("store.hashes", hashes.reinterpreted(as: Int64.self)),
      Section("store.seed", seed.reinterpreted(as: Int64.self)),
    ]
    guard lender.scales else { return sections }
    let scales = try Buffer<Double>(count: count)
    for slot in 0..<count { scales[slot] = lent(slot).scale }
    return sections + [Section("store.scales", scales)]
  }

  /// Rows that are lent, as a file says; an error where the store has others by now.
  convenience init(_ file: StoredFile, of lender: Lender, products: Bool, count: Int) throws(CoverTreeError) {
    let slots: Buffer<Int32> = try file.buffer("store.slots", rows: count)
    let hashes: Buffer<Int64> = try file.buffer("store.hashes", rows: count)
    let wide = try Buffer<Int64>(count: count)
    for place in 0..<count { wide[place] = Int64(slots[place]) }
    let seed: Buffer<Int64> = try file.buffer("store.seed", rows: 2)
    let hash = try VectorHash(dim: lender.dim, seed: (UInt64(bitPattern: seed[0]), UInt64(bitPattern: seed[1])))
    let loan = try Loan(
      lender, wide.elements,
      known: KnownHashes(hashes: UnsafePointer(hashes.reinterpreted(as: UInt64.self).base), hash: hash))
    if lender.scales {
      let scales: Buffer<Double> = try file.buffer("store.scales", rows: count)
      guard scales.elements.allSatisfy({ $0 > 0 && $0.isFinite }) else {
        throw file.corrupt("section \"store.scales\" has numbers that no vector has")
      }
      for place in 0..<count { loan.rows[place].scale = scales[place] }
    }
    let bytes = try Stack<UInt8>()
    try bytes.append(loan.rows.reinterpreted(as: UInt8.self).elements)
    try self.init(of: lender, products: products, bytes: bytes)
    loan.keep()
  }
}

/// One over the length of a vector; nil for a zero vector.
func inverseLength(_ row: UnsafePointer<Float>, _ dim: Int) -> Double? {
  var sum = 0.0
  for d in 0..<dim { sum += Double(row[d]) * Double(row[d]) }
  return sum > 0 ? 1 / sum.squareRoot() : nil
}
