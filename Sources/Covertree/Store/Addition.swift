import CNumerics

/// Vectors on their way into a store: which of them it has, which are new, and where each goes. Scratch that is kept from one
/// change to the next.
///
/// Vectors are looked up by their hashes in threads; then ids and slots are given out in one, where a vector is taken for the
/// *twin* of an earlier one of the same hash; then threads copy those that are new, and compare each with its twins while it
/// is at hand. Where they differ, which nobody will see who does not provoke it, all is done again with comparisons.
final class Addition {
  private let catalogue: Catalogue
  private let rows: StoreRows
  private let arrivals: Stack<Arrival>
  /// By slot: the place of the new vector that it is for; -1 for others.
  private let pending: Stack<Int32>
  /// Places of new vectors.
  private let created: Stack<Int32>
  private let entered: Stack<Int32>

  private struct Arrival: BitwiseCopyable {
    var hash: UInt64 = 0
    var idHash: UInt64 = 0
    /// The slot that had the vector before; -1 for none.
    var known: Int32 = -1
    var slot: Int32 = -1
    /// Of a new vector, and each of its twins: the place of the next of these; -1 behind the last.
    var nextTwin: Int32 = -1
  }

  /// Vectors that a thread takes at a time.
  private static var grain: Int { 64 }
  /// So far ahead memory is fetched.
  private static var ahead: Int { 8 }
  /// Rows of so many bytes would not stay in a cache.
  private static var manyBytes: Int { 4 << 20 }

  init(_ catalogue: Catalogue, _ rows: StoreRows) throws(CoverTreeError) {
    (self.catalogue, self.rows) = (catalogue, rows)
    (arrivals, pending, created, entered) = (try Stack(), try Stack(), try Stack(), try Stack())
  }

  /// Entries that the ids were given, in order.
  var entries: UnsafeBufferPointer<Int32> { entered.elements }
  /// How many vectors are new.
  var newCount: Int { created.count }

  func slot(_ place: Int) -> Int { Int(arrivals[place].slot) }

  var byteCount: Int { arrivals.byteCount + pending.byteCount + created.byteCount + entered.byteCount }

  /// Enters ids and vectors into the catalogue, and writes the rows of those that are new.
  ///
  /// - Parameter recycling: whether free slots may be used again.
  func run(
    _ ids: UnsafeBufferPointer<StoreID>, _ vectors: PointsView<Float>, recycling: Bool, context: CallContext
  ) throws(CoverTreeError) {
    try makeRoom(ids.count)
    try together(ids.count, context) { (range) throws(CoverTreeError) in try lookUp(range, ids, vectors) }
    try enter(ids, recycling) { (_, _) in true }
    if try write(vectors, context) { return }
    try catalogue.takeBack()
    try enter(ids, recycling) { areEqual(vectors, $0, $1) }
    guard try write(vectors, context) else { throw CoverTreeError(.internal, "vectors: were changed meanwhile") }
  }

  @inline(__always)
  private func areEqual(_ vectors: PointsView<Float>, _ a: Int, _ b: Int) -> Bool {
    cn_equal_floats(vectors.row(a), vectors.row(b), Int64(vectors.dim)) != 0
  }

  private func makeRoom(_ count: Int) throws(CoverTreeError) {
    try arrivals.resize(to: count)
    try entered.resize(to: count)
    created.removeAll()
    try created.reserve(count)
    try catalogue.reserve(count)
    let slots = catalogue.slots.count + count
    try pending.reserve(max(0, slots - pending.count))
    while pending.count < slots { try pending.append(-1) }
  }

  private func together(
    _ count: Int, _ context: CallContext, _ body: (Range<Int>) throws(CoverTreeError) -> Void
  ) throws(CoverTreeError) {
    if count <= Self.grain { return try body(0..<count) }
    try context.forEach(count, grain: Self.grain) { (range, _) throws(CoverTreeError) in try body(range) }
  }

  /// Finds hashes, and slots that have a vector already; NaN and infinity are errors.
  @inline(__always)
  private func lookUp(
    _ range: Range<Int>, _ ids: UnsafeBufferPointer<StoreID>, _ vectors: PointsView<Float>
  ) throws(CoverTreeError) {
    for place in range {
      let row = vectors.row(place)
      var arrival = Arrival()
      guard cn_hash_floats(row, Int64(rows.dim), &arrival.hash) != 0 else {
        let column = (0..<rows.dim).first { !row[$0].isFinite }!
        throw CoverTreeError(
          .invalidArgument, "vectors[\(place), \(column)]: expected a finite number, got \(row[column])")
      }
      arrival.idHash = ids[place].hash
      catalogue.prefetch(hash: arrival.hash)
      arrivals[place] = arrival
    }
    guard catalogue.uniqueCount > 0 else { return }
    for place in range {
      let row = vectors.row(place)
      arrivals[place].known = Int32(catalogue.slot(hash: arrivals[place].hash) { rows.holds($0, row) } ?? -1)
    }
  }

  /// Gives out entries and slots, one after the other.
  ///
  /// - Parameter areEqual: whether new vectors of one hash, by their places, are the same.
  @inline(__always)
  private func enter(
    _ ids: UnsafeBufferPointer<StoreID>, _ recycling: Bool, areEqual: (Int, Int) -> Bool
  ) throws(CoverTreeError) {
    created.removeAll()
    defer { for place in created.elements { pending[Int(arrivals[place].slot)] = -1 } }
    for place in 0..<ids.count {
      var arrival = arrivals[place]
      if place + Self.ahead < ids.count {
        catalogue.prefetch(idHash: arrivals[place + Self.ahead].idHash)
        catalogue.prefetch(hash: arrivals[place + Self.ahead].hash)
      }
      guard catalogue.entry(of: ids[place], hash: arrival.idHash) == nil else {
        throw CoverTreeError(.exists, "ids[\(place)]: the store already has a vector \(ids[place])")
      }
      (arrival.slot, arrival.nextTwin) = (arrival.known, -1)
      if arrival.slot < 0, created.count > 0 {
        let slot = catalogue.slot(hash: arrival.hash) { pending[$0] >= 0 && areEqual(Int(pending[$0]), place) }
        if let slot {
          arrival.slot = Int32(slot)
          arrival.nextTwin = arrivals[pending[slot]].nextTwin
          arrivals[Int(pending[slot])].nextTwin = Int32(place)
        }
      }
      if arrival.slot >= 0 {
        try catalogue.retain(Int(arrival.slot))
      } else {
        arrival.slot = Int32(try catalogue.create(hash: arrival.hash, recycling: recycling))
        pending[Int(arrival.slot)] = Int32(place)
        try created.append(Int32(place))
      }
      arrivals[place] = arrival
      entered[place] = Int32(try catalogue.enter(ids[place], hash: arrival.idHash, slot: Int(arrival.slot)))
    }
  }

  /// Writes the rows of new vectors, and compares these with their twins.
  ///
  /// - Returns: whether all are the same as those that they were taken for.
  private func write(_ vectors: PointsView<Float>, _ context: CallContext) throws(CoverTreeError) -> Bool {
    try rows.reserve(catalogue.slots.count)
    let isInMemory = rows.file == nil
    if isInMemory { try rows.populate(catalogue.slots.count, context) }
    let areMany = created.count * rows.rowBytes > Self.manyBytes
    let differing = Counter()
    try together(created.count, context) { range in
      for index in range {
        let place = Int(created[index])
        if isInMemory { rows.fill(rows.row(slot(place)), vectors.row(place), pastCaches: areMany) }
        var twin = arrivals[place].nextTwin
        while twin >= 0 {
          if !areEqual(vectors, place, Int(twin)) { differing.add(1) }
          twin = arrivals[twin].nextTwin
        }
      }
      if areMany { cn_fence() }
    }
    guard differing.value == 0 else { return false }
    if let file = rows.file { try write(vectors, to: file) }
    return true
  }

  /// By runs of slots that follow each other.
  private func write(_ vectors: PointsView<Float>, to file: RowFile) throws(CoverTreeError) {
    var first = 0
    while first < created.count {
      let slots = slot(Int(created[first]))
      var end = first + 1
      while end < created.count, slot(Int(created[end])) == slots + end - first { end += 1 }
      try file.write(slots..<slots + end - first, rowBytes: rows.rowBytes) { (row, slot) in
        rows.fill(row, vectors.row(Int(created[first + slot - slots])))
      }
      first = end
    }
  }
}
