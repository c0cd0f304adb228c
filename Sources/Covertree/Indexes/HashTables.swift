/// Tables of buckets: in each, a vector is in the bucket whose number has a bit for each of the table's planes.
///
/// A query looks into its own bucket of each table and into those across the planes that it is nearest to, in the order
/// of the squared distances crossed (Lv et al., Multi-probe LSH, 2007). Buckets are lists through the slots.
final class HashTables: Hashes, @unchecked Sendable {
  let tables: Int
  let bits: Int
  /// By slot and table: the number of the bucket.
  private(set) var buckets: Stack<Int32>
  /// By slot and table: the next slot in the bucket, -1 behind the last.
  private let next: Stack<Int32>
  /// By table and bucket: the first slot.
  private let first: Buffer<Int32>

  init(tables: Int, bits: Int) throws(CoverTreeError) {
    (self.tables, self.bits) = (tables, bits)
    (buckets, next) = (try Stack(), try Stack())
    first = try Buffer(count: tables << bits, filledWith: -1)
  }

  func extend(to count: Int) throws(CoverTreeError) {
    try buckets.resize(to: count * tables)
    try next.resize(to: count * tables)
  }

  func set(_ slot: Int, _ distances: UnsafePointer<Float>) {
    for table in 0..<tables { buckets[slot * tables + table] = bucket(distances + table * bits) }
  }

  @inline(__always)
  private func bucket(_ distances: UnsafePointer<Float>) -> Int32 {
    var bucket: Int32 = 0
    for bit in 0..<bits where distances[bit] > 0 { bucket |= 1 << Int32(bit) }
    return bucket
  }

  func link(from slot: Int) {
    for slot in slot..<buckets.count / tables {
      for table in 0..<tables {
        let at = table << bits + Int(buckets[slot * tables + table])
        next[slot * tables + table] = first[at]
        first[at] = Int32(slot)
      }
    }
  }

  /// Buckets from a file.
  func set(_ buckets: Buffer<Int32>, count: Int) throws(CoverTreeError) {
    try next.resize(to: count * tables)
    self.buckets = Stack(viewing: buckets)
    link(from: 0)
  }

  func truncate(to count: Int) {
    guard count * tables <= buckets.count else { return }
    try? buckets.resize(to: count * tables)
    try? next.resize(to: count * tables)
    first.base.update(repeating: -1, count: first.count)
    link(from: 0)
  }

  func renumber(_ map: Buffer<Int32>) {
    var kept = 0
    for slot in 0..<map.count where map[slot] >= 0 {
      for table in 0..<tables { buckets[kept * tables + table] = buckets[slot * tables + table] }
      kept += 1
    }
    truncate(to: kept)
  }

  func own() throws(CoverTreeError) {
    try buckets.own()
    try next.own()
  }

  var byteCount: Int { buckets.byteCount + next.byteCount + first.byteCount }

  func seeker(_ count: Int, wanted: Int, probes: Int) throws(CoverTreeError) -> any CandidateSeeker {
    try TableSeeker(self, count, min(probes, 1 << bits))
  }

  /// One thread's searches.
  private final class TableSeeker: CandidateSeeker {
    private let hashes: HashTables
    private let probes: Int
    /// By slot: the number of the last search that met it.
    private let met: Buffer<UInt8>
    private var search: UInt8 = 0
    private var margins: [(squared: Float, bit: Int32)] = []
    private var crossings: [Crossing] = []

    /// Some of the planes crossed: `last` is the farthest of them, by rank.
    private struct Crossing {
      var squared: Float
      var mask: Int32
      var last: Int
    }

    init(_ hashes: HashTables, _ count: Int, _ probes: Int) throws(CoverTreeError) {
      (self.hashes, self.probes) = (hashes, probes)
      met = try Buffer(count: count, filledWith: 0)
      margins.reserveCapacity(hashes.bits)
      crossings.reserveCapacity(2 * probes + 2)
    }

    func find(_ distances: UnsafePointer<Float>, _ search: IndexSearch, _ list: Shortlist) throws(CoverTreeError) {
      if self.search == .max { met.base.update(repeating: 0, count: met.count) }
      self.search = self.search == .max ? 1 : self.search + 1
      for table in 0..<hashes.tables {
        let own = distances + table * hashes.bits
        let bucket = hashes.bucket(own)
        try look(table, bucket, search, list)
        try forEachCrossing(own) { (mask) throws(CoverTreeError) in try look(table, bucket ^ mask, search, list) }
      }
    }

    private func look(
      _ table: Int, _ bucket: Int32, _ search: IndexSearch, _ list: Shortlist
    ) throws(CoverTreeError) {
      var slot = hashes.first[table << hashes.bits + Int(bucket)]
      while slot >= 0 {
        if met[slot] != self.search {
          met[slot] = self.search
          if search.admits(slot) { try list.add(slot) }
        }
        slot = hashes.next[Int(slot) * hashes.tables + table]
      }
    }

    /// Sets of planes to cross, the nearest first: each comes from one before it, by going one plane farther, or taking one more.
    private func forEachCrossing(
      _ distances: UnsafePointer<Float>, _ body: (Int32) throws(CoverTreeError) -> Void
    ) throws(CoverTreeError) {
      guard probes > 1 else { return }
      margins.removeAll(keepingCapacity: true)
      for bit in 0..<hashes.bits { margins.append((distances[bit] * distances[bit], Int32(bit))) }
      margins.sort { ($0.squared, $0.bit) < ($1.squared, $1.bit) }
      crossings.removeAll(keepingCapacity: true)
      crossings.append(Crossing(squared: margins[0].squared, mask: 1 << margins[0].bit, last: 0))
      for _ in 1..<probes {
        guard let nearest = crossings.indices.min(by: { crossings[$0].squared < crossings[$1].squared }) else { return }
        let crossing = crossings.remove(at: nearest)
        try body(crossing.mask)
        guard crossing.last + 1 < margins.count else { continue }
        let (here, farther) = (margins[crossing.last], margins[crossing.last + 1])
        crossings.append(
          Crossing(
            squared: crossing.squared + farther.squared, mask: crossing.mask | 1 << farther.bit, last: crossing.last + 1
          ))
        crossings.append(
          Crossing(
            squared: crossing.squared - here.squared + farther.squared,
            mask: crossing.mask ^ (1 << here.bit) | 1 << farther.bit, last: crossing.last + 1))
      }
    }
  }
}
