import CNumerics
import CovertreeBase
import CovertreeFiles

extension VectorRows {
  @inline(__always)
  func pinned(_ slot: Int) -> cn_leased_row {
    UnsafeRawPointer(bytes.base).assumingMemoryBound(to: cn_leased_row.self)[slot]
  }

  @inline(__always)
  func set(_ slot: Int, _ row: cn_leased_row) {
    UnsafeMutableRawPointer(bytes.base).assumingMemoryBound(to: cn_leased_row.self)[slot] = row
  }

  @inline(__always)
  func storeSlot(_ slot: Int) -> Int { Int(pinned(slot).slot) }

  func storeSlots(_ count: Int) throws(CoverTreeError) -> Buffer<Int32> {
    let storeSlots = try Buffer<Int32>(count: count)
    for slot in 0..<count { storeSlots[slot] = Int32(storeSlot(slot)) }
    return storeSlots
  }

  /// Unpins rows that are no longer read; own rows are not pinned.
  func unpin(_ slots: Range<Int>) {
    source?.store.unpin(slots.count) { storeSlot(slots.lowerBound + $0) }
  }

  /// Pins all rows once more, for a copy of these.
  func retain() throws(CoverTreeError) {
    try source?.store.retain(count) { storeSlot($0) }
  }

  /// The slots of rows, and hashes to recognise them by.
  func pinnedSections() throws(CoverTreeError) -> [Section] {
    guard let source else { return [] }
    let hashes = try source.store.hashes(count) { storeSlot($0) }
    let slots = try storeSlots(count)
    let seed = try Buffer<UInt64>(count: 2)
    (seed[0], seed[1]) = source.store.hashSeed
    let sections = [
      Section("store.slots", slots), Section("store.hashes", hashes.reinterpreted(as: Int64.self)),
      Section("store.seed", seed.reinterpreted(as: Int64.self)),
    ]
    guard source.scales else { return sections }
    let scales = try Buffer<Double>(count: count)
    for slot in 0..<count { scales[slot] = pinned(slot).scale }
    return sections + [Section("store.scales", scales)]
  }

  /// The pinned rows of a file; throws if the store has other ones by now.
  convenience init(_ file: StoredFile, of source: RowSource, products: Bool, count: Int) throws(CoverTreeError) {
    let slots: Buffer<Int32> = try file.buffer("store.slots", rows: count)
    let hashes: Buffer<Int64> = try file.buffer("store.hashes", rows: count)
    let wide = try Buffer<Int64>(count: count)
    for position in 0..<count { wide[position] = Int64(slots[position]) }
    let seed: Buffer<Int64> = try file.buffer("store.seed", rows: 2)
    let hash = try VectorHash(dim: source.dim, seed: (UInt64(bitPattern: seed[0]), UInt64(bitPattern: seed[1])))
    let lease = try RowLease(
      source, wide.elements,
      known: KnownHashes(hashes: UnsafePointer(hashes.reinterpreted(as: UInt64.self).base), hash: hash))
    if source.scales {
      let scales: Buffer<Double> = try file.buffer("store.scales", rows: count)
      guard scales.elements.allSatisfy({ $0 > 0 && $0.isFinite }) else {
        throw file.corrupt("section \"store.scales\" has numbers that no vector has")
      }
      for position in 0..<count { lease.rows[position].scale = scales[position] }
    }
    let bytes = try GrowableBuffer<UInt8>()
    try bytes.append(lease.rows.reinterpreted(as: UInt8.self).elements)
    try self.init(of: source, products: products, bytes: bytes)
    lease.keep()
  }
}

/// One over the length of a vector; nil for a zero vector.
func inverseLength(_ row: UnsafePointer<Float>, _ dim: Int) -> Double? {
  let length = lengthOf(row, dim)
  return length > 0 ? 1 / length : nil
}
