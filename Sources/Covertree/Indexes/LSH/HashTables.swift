import CovertreeBase

/// Tables of buckets. In each table a vector is in the bucket whose number has a bit for each of the table's planes.
///
/// A query searches its own bucket of each table and those across the nearest planes, in the order of the squared distances crossed (Lv
/// et al., Multi-probe LSH, 2007). Members of a bucket are side by side. Later vectors are in linked lists, until they are an eighth. Of
/// equal vectors buckets have the first (`Twins`).
final class HashTables: Hashes, @unchecked Sendable {
  let tables: Int
  let bits: Int
  private let twins: Twins
  /// By slot and table: the number of the bucket.
  private(set) var buckets: GrowableBuffer<Int32>
  /// The nodes before this slot are side by side in `members`; and their number.
  private var covered = 0
  private var coveredNodes = 0
  /// By table: the start of each bucket's members, and the end of the last; and all members.
  private var starts: Buffer<Int32>?
  private var members: Buffer<Int32>?
  /// By later slot and table: the next slot in the bucket, -1 after the last.
  private let next: GrowableBuffer<Int32>
  /// By table and bucket: the first of the later slots.
  private let first: Buffer<Int32>

  private static var fewestWaiting: Int { 256 }
  private static var waitingShare: Int { 8 }

  init(_ table: VectorTable) throws(CoverTreeError) {
    (tables, bits, twins) = (table.options.tableCount, table.options.bitCount, try Twins(table))
    (buckets, next) = (try GrowableBuffer(), try GrowableBuffer())
    first = try Buffer(count: tables << bits, filledWith: -1)
  }

  func extend(to count: Int, context: CallContext) throws(CoverTreeError) {
    try twins.extend(from: twins.nodes.count, context: context)
    try buckets.resize(to: count * tables)
    try next.resize(to: (count - covered) * tables)
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

  func link(from slot: Int) throws(CoverTreeError) {
    let count = buckets.count / tables
    guard count - covered > max(Self.fewestWaiting, covered / Self.waitingShare) else { return list(from: slot) }
    cover(count, try gather(buckets, twins.nodes))
  }

  /// Adopts the members of buckets, which cover all slots.
  private func cover(_ count: Int, _ gathered: (starts: Buffer<Int32>, members: Buffer<Int32>)) {
    (starts, members, covered, coveredNodes) = (gathered.starts, gathered.members, count, count - twins.count)
    first.base.update(repeating: -1, count: first.count)
    next.removeAll()
  }

  /// Stores the members of each bucket side by side.
  ///
  /// - Parameter nodes: by slot, the node; only nodes are members.
  private func gather(
    _ buckets: GrowableBuffer<Int32>, _ nodes: GrowableBuffer<Int32>
  ) throws(CoverTreeError) -> (starts: Buffer<Int32>, members: Buffer<Int32>) {
    let width = 1 << bits + 1
    let count = nodes.count
    let nodeCount = (0..<count).reduce(0) { $0 + (nodes[$1] == Int32($1) ? 1 : 0) }
    let starts = try Buffer<Int32>(count: tables * width, filledWith: 0)
    let members = try Buffer<Int32>(count: tables * nodeCount)
    for table in 0..<tables {
      let own = starts.base + table * width
      for slot in 0..<count where nodes[slot] == Int32(slot) { own[Int(buckets[slot * tables + table]) + 1] += 1 }
      for bucket in 1..<width { own[bucket] += own[bucket - 1] }
      // Each start moves to the end of its bucket, which is the start of the next.
      for slot in 0..<count where nodes[slot] == Int32(slot) {
        let bucket = Int(buckets[slot * tables + table])
        members[table * nodeCount + Int(own[bucket])] = Int32(slot)
        own[bucket] += 1
      }
      for bucket in stride(from: width - 1, to: 0, by: -1) { own[bucket] = own[bucket - 1] }
      own[0] = 0
    }
    return (starts, members)
  }

  private func list(from slot: Int) {
    for slot in max(slot, covered)..<max(slot, covered, buckets.count / tables) where twins.isNode(slot) {
      for table in 0..<tables {
        let at = table << bits + Int(buckets[slot * tables + table])
        next[(slot - covered) * tables + table] = first[at]
        first[at] = Int32(slot)
      }
    }
  }

  @inline(__always)
  fileprivate func forEachMember(
    of bucket: Int, in table: Int, _ body: (Int32) throws(CoverTreeError) -> Void
  ) throws(CoverTreeError) {
    if let starts, let members {
      let own = starts.base + (table * (1 << bits + 1) + bucket)
      for position in Int(own[0])..<Int(own[1]) { try body(members[table * coveredNodes + position]) }
    }
    var slot = first[table << bits + bucket]
    while slot >= 0 {
      try body(slot)
      slot = next[(Int(slot) - covered) * tables + table]
    }
  }

  func set(_ buckets: Buffer<Int32>, count: Int, context: CallContext) throws(CoverTreeError) {
    self.buckets = GrowableBuffer(viewing: buckets)
    try extend(to: count, context: context)
    try link(from: 0)
  }

  /// Removes the slots from `count` on, which are not in `members`, or all.
  func truncate(to count: Int) {
    twins.truncate(to: count)
    guard count * tables <= buckets.count else { return }
    if count < covered { (starts, members, covered, coveredNodes) = (nil, nil, 0, 0) }
    // Both only shrink.
    try? buckets.resize(to: count * tables)
    try? next.resize(to: (count - covered) * tables)
    first.base.update(repeating: -1, count: first.count)
    list(from: covered)
  }

  func compaction(_ map: Buffer<Int32>) throws(CoverTreeError) -> () -> Void {
    let moved = try GrowableBuffer<Int32>()
    try moved.resize(to: map.elements.count { $0 >= 0 } * tables)
    for slot in 0..<map.count where map[slot] >= 0 {
      let target = moved.base + Int(map[slot]) * tables
      target.update(from: buckets.base + slot * tables, count: tables)
    }
    let kept = moved.count / tables
    let lists = try twins.surviving(map, count: kept)
    let gathered = try gather(moved, lists.nodes)
    return {
      self.twins.adopt(lists)
      self.buckets = moved
      self.cover(kept, gathered)
    }
  }

  func own() throws(CoverTreeError) {
    try buckets.own()
    try next.own()
    try twins.own()
  }

  var byteCount: Int { buckets.byteCount + next.byteCount + first.byteCount + twins.byteCount }

  func seekers(
    for search: IndexSearch, wanted: Int, probes: Int, copies: Int
  ) throws(CoverTreeError) -> () throws(CoverTreeError) -> any CandidateSeeker {
    let found = try twins.members(among: search.admitted)
    let probes = min(probes, 1 << bits)
    return { () throws(CoverTreeError) in try TableSeeker(self, found, copies: copies, probes) }
  }

  /// One thread's searches.
  private final class TableSeeker: CandidateSeeker {
    private let hashes: HashTables
    private let found: Twins.Members
    /// The number of equal vectors to find.
    private let copies: Int
    private let probes: Int
    /// By slot: the number of the last search that met it.
    private let met: Buffer<UInt8>
    private var search: UInt8 = 0
    /// Bits by squared distance from their planes, and these distances.
    private let order: Buffer<Int32>
    private let margins: Buffer<Float>
    /// Sets of planes to cross, the nearest on top.
    private let crossings: MinHeap<Crossing>

    /// A set of crossed planes; `last` is the rank of the farthest.
    private struct Crossing: BitwiseCopyable, Comparable {
      var squared: Float
      var mask: Int32
      var last: Int32

      static func < (a: Self, b: Self) -> Bool { a.squared < b.squared }
    }

    init(_ hashes: HashTables, _ found: Twins.Members, copies: Int, _ probes: Int) throws(CoverTreeError) {
      (self.hashes, self.found, self.copies, self.probes) = (hashes, found, copies, probes)
      met = try Buffer(count: hashes.twins.nodes.count, filledWith: 0)
      (order, margins, crossings) = (try Buffer(count: hashes.bits), try Buffer(count: hashes.bits), try MinHeap())
    }

    func find(_ index: Int, of queries: ProjectedQueries, _ list: Shortlist) throws(CoverTreeError) {
      if search == .max { met.base.update(repeating: 0, count: met.count) }
      search = search == .max ? 1 : search + 1
      for table in 0..<hashes.tables {
        let own = queries[index] + table * hashes.bits
        let bucket = hashes.bucket(own)
        try look(table, bucket, list)
        try forEachCrossing(own) { (mask) throws(CoverTreeError) in try look(table, bucket ^ mask, list) }
      }
    }

    func findAll(_ list: Shortlist) throws(CoverTreeError) {
      for slot in 0..<hashes.twins.nodes.count where hashes.twins.isNode(slot) { try collect(Int32(slot), list) }
    }

    private func look(_ table: Int, _ bucket: Int32, _ list: Shortlist) throws(CoverTreeError) {
      try hashes.forEachMember(of: Int(bucket), in: table) { (slot) throws(CoverTreeError) in
        guard met[slot] != search else { return }
        met[slot] = search
        try collect(slot, list)
      }
    }

    @inline(__always)
    private func collect(_ node: Int32, _ list: Shortlist) throws(CoverTreeError) {
      try found.forEach(of: node, most: copies) { (slot) throws(CoverTreeError) in try list.add(slot) }
    }

    /// Sets of planes to cross, the nearest first. Each comes from an earlier one, by replacing its last plane with the next or by adding
    /// the next.
    private func forEachCrossing(
      _ distances: UnsafePointer<Float>, _ body: (Int32) throws(CoverTreeError) -> Void
    ) throws(CoverTreeError) {
      guard probes > 1 else { return }
      sortMargins(distances)
      crossings.removeAll()
      try crossings.push(Crossing(squared: margins[0], mask: 1 << order[0], last: 0))
      for _ in 1..<probes {
        guard let crossing = crossings.pop() else { return }
        try body(crossing.mask)
        let next = Int(crossing.last) + 1
        guard next < hashes.bits else { continue }
        let (mask, squared) = (crossing.mask | 1 << order[next], crossing.squared + margins[next])
        try crossings.push(Crossing(squared: squared, mask: mask, last: Int32(next)))
        let (other, replaced) = (squared - margins[next - 1], mask ^ (1 << order[next - 1]))
        try crossings.push(Crossing(squared: other, mask: replaced, last: Int32(next)))
      }
    }

    private func sortMargins(_ distances: UnsafePointer<Float>) {
      for bit in 0..<hashes.bits {
        let squared = distances[bit] * distances[bit]
        var position = bit
        while position > 0 && margins[position - 1] > squared {
          (margins[position], order[position]) = (margins[position - 1], order[position - 1])
          position -= 1
        }
        (margins[position], order[position]) = (squared, Int32(bit))
      }
    }
  }
}
