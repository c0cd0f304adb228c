import Covertree
import CovertreeBase

/// Rows that indexes read in place.
extension VectorStore: RowStore {
  package var base: UnsafeRawPointer { UnsafeRawPointer(rows.base) }
  package var rowBytes: Int { rows.rowBytes }
  package var hashSeed: (UInt64, UInt64) { vectorHash.seed }

  package func pin(_ slots: UnsafeBufferPointer<Int64>, known: KnownHashes?) throws(CoverTreeError) {
    try reading { () throws(CoverTreeError) in
      try checkInUse(slots)
      for (position, slot) in slots.enumerated() {
        guard known.map({ $0.hashes[position] == hash(ofSlot: Int(slot), by: $0.hash) }) ?? true else {
          throw CoverTreeError(.notFound, "slots[\(position)]: slot \(slot) has another vector now")
        }
      }
      try catalogue.pins.pin(slots.count) { Int(slots[$0]) }
    }
  }

  /// The hash of the vector in a slot. A file may come from another store with the same vectors and another seed.
  private func hash(ofSlot slot: Int, by other: VectorHash) -> UInt64 {
    guard other.seed != vectorHash.seed else { return catalogue.slots[slot].hash }
    var found: UInt64 = 0
    _ = other(rows.row(slot), &found)
    return found
  }

  package func retain(_ count: Int, _ slot: (Int) -> Int) throws(CoverTreeError) { try catalogue.pins.pin(count, slot) }

  package func unpin(_ count: Int, _ slot: (Int) -> Int) { catalogue.pins.unpin(count, slot) }

  package func hashes(_ count: Int, _ slot: (Int) -> Int) throws(CoverTreeError) -> Buffer<UInt64> {
    let hashes = try Buffer<UInt64>(count: count)
    try reading { () throws(CoverTreeError) in
      for position in 0..<count { hashes[position] = catalogue.slots[slot(position)].hash }
    }
    return hashes
  }
}
