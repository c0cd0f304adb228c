import CNumerics

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
    let bytes = try GrowableBuffer<UInt8>()
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
