import CNumerics
import Covertree
import CovertreeBase

/// A batch of vectors for a store: known ones, new ones, and their slots. Its scratch is kept between changes.
///
/// Threads have chunks of the batch. In parallel they hash vectors, and, while these are in the cache, copy new vectors and compare the
/// others. In turns, in the order of the chunks, they assign ids and slots. There two vectors with one hash count as equal. If the
/// comparison shows that they differ, which only an attacker can provoke, all is repeated with comparisons in turns.
final class BatchInsert {
  private let catalogue: Catalogue
  private let rows: StoreRows
  private let vectorHash: VectorHash
  private let pendingVectors: GrowableBuffer<PendingVector>
  /// By slot: the position of its new vector; -1 for others.
  private let sourceOfSlot: GrowableBuffer<Int32>
  /// The positions of new vectors.
  private let created: GrowableBuffer<Int32>
  private let entered: GrowableBuffer<Int32>
  /// The number of records, and of vectors of one change, for which there is memory.
  private var room = (slots: 0, entries: 0, batch: 0)

  private struct PendingVector: BitwiseCopyable {
    var hash: UInt64 = 0
    var idHash: UInt64 = 0
    var slot: Int32 = -1
    /// The position of the vector that the slot was made for: its own, an earlier equal vector's, or -1 for an existing slot.
    var source: Int32 = -1
  }

  /// Vectors of a chunk: they fit the second-level cache.
  private static var grain: Int { 64 }
  /// More bytes of rows would not fit a cache.
  private static var manyBytes: Int { 4 << 20 }

  init(_ catalogue: Catalogue, _ rows: StoreRows, _ hash: VectorHash) throws(CoverTreeError) {
    (self.catalogue, self.rows, vectorHash) = (catalogue, rows, hash)
    (pendingVectors, sourceOfSlot) = (try GrowableBuffer(), try GrowableBuffer())
    (created, entered) = (try GrowableBuffer(), try GrowableBuffer())
  }

  /// The entries of the ids, in order.
  var entries: UnsafeBufferPointer<Int32> { entered.elements }
  var newCount: Int { created.count }

  func slot(_ position: Int) -> Int { Int(pendingVectors[position].slot) }

  var byteCount: Int { pendingVectors.byteCount + sourceOfSlot.byteCount + created.byteCount + entered.byteCount }

  private struct Job {
    let ids: UnsafeBufferPointer<StoreID>
    let vectors: PointsView<Float>
    let recycling: Bool
    /// Whether vectors are compared before they count as equal.
    var comparing = false
  }

  /// Adds ids and vectors to the catalogue, and writes the rows of new vectors.
  ///
  /// - Parameter recycling: whether free slots may be used again.
  func run(
    _ ids: UnsafeBufferPointer<StoreID>, _ vectors: PointsView<Float>, recycling: Bool, context: CallContext
  ) throws(CoverTreeError) {
    try makeRoom(ids.count)
    try rows.populate(from: catalogue.slots.count, adding: ids.count, context)
    var job = Job(ids: ids, vectors: vectors, recycling: recycling)
    if try !run(job, context) {
      try catalogue.rollback()
      job.comparing = true
      guard try run(job, context) else { throw .changing("vectors") }
    }
    if let file = rows.file { try write(vectors, to: file) }
  }

  private func makeRoom(_ count: Int) throws(CoverTreeError) {
    try pendingVectors.resize(to: count)
    try entered.resize(to: count)
    let (slots, entries) = (catalogue.slots.count, catalogue.entries.count)
    guard slots + count > room.slots || entries + count > room.entries || count > room.batch else { return }
    // For single vectors memory is reserved for many at once.
    let more = max(count, min(Self.grain, rows.reserved - 1 - max(slots, entries)))
    try created.reserve(max(0, more - created.count))
    try catalogue.reserve(more)
    try sourceOfSlot.reserve(max(0, slots + more - sourceOfSlot.count))
    while sourceOfSlot.count < slots + more { try sourceOfSlot.append(-1) }
    try rows.reserve(slots + more)
    room = (slots + more, entries + more, more)
  }

  /// - Returns: whether all vectors equal their matches.
  private func run(_ job: Job, _ context: CallContext) throws(CoverTreeError) -> Bool {
    created.removeAll()
    defer { for position in created.elements { sourceOfSlot[slot(Int(position))] = -1 } }
    let count = job.ids.count
    if count <= Self.grain {
      try hash(0..<count, job)
      try enter(0..<count, job)
      defer { rows.prefetch(catalogue.slots.count) }
      return try writeOrCompare(0..<count, job)
    }
    let (section, differing) = (OrderedSection(), Counter())
    try context.forEach((count + Self.grain - 1) / Self.grain, grain: 1) { (chunks, _) throws(CoverTreeError) in
      let chunk = chunks.lowerBound
      let range = chunk * Self.grain..<min(count, (chunk + 1) * Self.grain)
      let hashed = Result { () throws(CoverTreeError) in try hash(range, job) }
      var memory: Range<Int>?
      try section.pass(chunk) { () throws(CoverTreeError) in
        try hashed.get()
        try enter(range, job)
        memory = rows.claim(catalogue.slots.count)
      }
      if let memory { rows.populate(memory) }
      if try !writeOrCompare(range, job) { differing.add(1) }
    }
    return differing.value == 0
  }

  /// Throws for NaN and infinity.
  @inline(__always)
  private func hash(_ range: Range<Int>, _ job: Job) throws(CoverTreeError) {
    for position in range {
      let row = job.vectors.row(position)
      var pending = PendingVector()
      guard vectorHash(row, &pending.hash) else {
        guard let column = (0..<rows.dim).first(where: { !row[$0].isFinite }) else { throw .changing("vectors") }
        throw CoverTreeError(
          .invalidArgument, "vectors[\(position), \(column)]: expected a finite number, got \(row[column])")
      }
      pending.idHash = job.ids[position].hash
      catalogue.prefetch(hash: pending.hash, idHash: pending.idHash)
      pendingVectors[position] = pending
    }
  }

  /// Assigns entries and slots.
  @inline(__always)
  private func enter(_ range: Range<Int>, _ job: Job) throws(CoverTreeError) {
    for position in range {
      var pending = pendingVectors[position]
      let id = job.ids[position]
      guard catalogue.entry(of: id, hash: pending.idHash) == nil else {
        throw CoverTreeError(.exists, "ids[\(position)]: the store already has a vector \(id)")
      }
      let known = catalogue.slot(hash: pending.hash) { slot in
        !job.comparing || isSame(position, slot, Int(sourceOfSlot[slot]), job.vectors)
      }
      if let known {
        try catalogue.retain(known)
        (pending.slot, pending.source) = (Int32(known), sourceOfSlot[known])
      } else {
        let slot = try catalogue.create(hash: pending.hash, recycling: job.recycling)
        (pending.slot, pending.source, sourceOfSlot[slot]) = (Int32(slot), Int32(position), Int32(position))
        try created.append(Int32(position))
      }
      entered[position] = Int32(try catalogue.enter(id, hash: pending.idHash, slot: Int(pending.slot)))
      pendingVectors[position] = pending
    }
  }

  /// Writes the rows of new vectors in memory, and compares the others with their matches.
  ///
  /// - Returns: whether all vectors still have the hashes by which they were added.
  @inline(__always)
  private func writeOrCompare(_ range: Range<Int>, _ job: Job) throws(CoverTreeError) -> Bool {
    let areMany = job.ids.count * rows.rowBytes > Self.manyBytes
    // Rows that are written past the caches are not read again.
    let scratch =
      areMany && rows.file == nil ? try Buffer<Float>(count: rows.rowBytes / MemoryLayout<Float>.stride) : nil
    var areSame = true
    for position in range {
      let (slot, source) = (slot(position), Int(pendingVectors[position].source))
      if source != position {
        areSame = isSame(position, slot, source, job.vectors) && areSame
      } else if rows.file == nil {
        let copy = scratch?.base ?? rows.row(slot)
        rows.fill(copy, job.vectors.row(position))
        areSame = hasHash(copy, of: position) && areSame
        if areMany { rows.fill(rows.row(slot), copy, pastCaches: true) }
      }
    }
    if areMany { cn_fence() }
    return areSame
  }

  /// Whether a vector equals the vector `source`, from which a slot was made, or, if that is -1, the row of the slot.
  @inline(__always)
  private func isSame(_ position: Int, _ slot: Int, _ source: Int, _ vectors: PointsView<Float>) -> Bool {
    let other = source < 0 ? UnsafePointer(rows.row(slot)) : vectors.row(source)
    return cn_equal_floats(vectors.row(position), other, Int64(vectors.dim)) != 0
  }

  /// Whether a row has the hash of its vector. The caller's array may have changed before it was written.
  @inline(__always)
  private func hasHash(_ row: UnsafePointer<Float>, of position: Int) -> Bool {
    var hash: UInt64 = 0
    return vectorHash(row, &hash) && hash == pendingVectors[position].hash
  }

  /// Writes runs of consecutive slots.
  private func write(_ vectors: PointsView<Float>, to file: RowFile) throws(CoverTreeError) {
    var (first, areSame) = (0, true)
    while first < created.count {
      let slots = slot(Int(created[first]))
      var end = first + 1
      while end < created.count, slot(Int(created[end])) == slots + end - first { end += 1 }
      try file.write(slots..<slots + end - first, rowBytes: rows.rowBytes) { (row, slot) in
        let position = Int(created[first + slot - slots])
        rows.fill(row, vectors.row(position))
        areSame = hasHash(row, of: position) && areSame
      }
      first = end
    }
    guard areSame else { throw .changing("vectors") }
  }
}
