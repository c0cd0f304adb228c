import CNumerics
import CovertreeBase
import CovertreeFiles

/// Groups of equal vectors. The first of a group is a *node*, which graphs link and buckets contain. The others are its *twins*, in a
/// list in the order in which they were added. Links between equal vectors would fill their lists and lead nowhere else; and of equal
/// vectors only the first `k` can be among the `k` nearest.
final class Twins {
  private let table: VectorTable
  /// By slot: the node of a vector; a node's is itself.
  private(set) var nodes: GrowableBuffer<Int32>
  /// By slot: the next of the equal vectors, in order of arrival; -1 at the end.
  private(set) var next: GrowableBuffer<Int32>
  private(set) var count = 0
  /// The last of the equal vectors, by hash; nil until the next vector is added.
  private var lasts: HashIndex?

  init(_ table: VectorTable) throws(CoverTreeError) {
    (self.table, nodes, next) = (table, try GrowableBuffer(), try GrowableBuffer())
  }

  @inline(__always)
  func isNode(_ slot: Int) -> Bool { nodes[slot] == Int32(slot) }

  /// By slot: 1 for nodes that may be found, or with a twin that may.
  func nodes(among admitted: Buffer<UInt8>) throws(CoverTreeError) -> Buffer<UInt8> {
    guard count > 0 else { return admitted }
    let flags = try Buffer<UInt8>(count: admitted.count, filledWith: 0)
    for slot in 0..<admitted.count where admitted[slot] != 0 { flags[nodes[slot]] = 1 }
    return flags
  }

  /// The admitted vectors of each node.
  ///
  /// - Parameter admitted: by slot, 1 for vectors that may be found; nil for all. O(n) if it is not nil and there are twins.
  func members(among admitted: Buffer<UInt8>?) throws(CoverTreeError) -> Members {
    guard count > 0, let admitted else {
      return Members(hasTwins: count > 0, admitted: admitted, first: nil, next: next.buffer)
    }
    let first = try Buffer<Int32>(count: nodes.count, filledWith: -1)
    let following = try Buffer<Int32>(count: nodes.count, filledWith: -1)
    for node in 0..<nodes.count where isNode(node) {
      var (slot, last) = (Int32(node), Int32(-1))
      while slot >= 0 {
        if admitted[slot] != 0 {
          if last < 0 { first[node] = slot } else { following[last] = slot }
          last = slot
        }
        slot = next[Int(slot)]
      }
    }
    return Members(hasTwins: true, admitted: admitted, first: first, next: following)
  }

  /// The admitted vectors of each node, in order of arrival.
  struct Members: @unchecked Sendable {
    fileprivate let hasTwins: Bool
    fileprivate let admitted: Buffer<UInt8>?
    /// By node: the first of them, -1 for none; nil if every vector is a node, or admitted.
    fileprivate let first: Buffer<Int32>?
    fileprivate let next: Buffer<Int32>

    /// Calls `body` with the first vectors of a node, at most `most`.
    @inline(__always)
    func forEach(of node: Int32, most: Int, _ body: (Int32) throws(CoverTreeError) -> Void) throws(CoverTreeError) {
      guard hasTwins else {
        if admitted?[node] != 0 { try body(node) }
        return
      }
      var (slot, left) = (first.map { $0[node] } ?? node, most)
      while slot >= 0 && left > 0 {
        try body(slot)
        left &-= 1
        slot = next[slot]
      }
    }
  }

  /// By slot: 1 for the first `most` admitted vectors among equal ones.
  func flags(ofFirst most: Int, among admitted: Buffer<UInt8>?) throws(CoverTreeError) -> Buffer<UInt8> {
    let members = try members(among: admitted)
    let flags = try Buffer<UInt8>(count: nodes.count, filledWith: 0)
    for node in 0..<nodes.count where isNode(node) {
      try members.forEach(of: Int32(node), most: most) { flags[$0] = 1 }
    }
    return flags
  }

  private static var sampleCount: Int { 1024 }
  /// This many equal vectors in a sample are a crowd: one in 256 of all, or more.
  private static var crowd: Int { 4 }

  /// Whether many vectors are equal, by a sample.
  static func areMany(in table: VectorTable, context: CallContext) throws(CoverTreeError) -> Bool {
    let (count, all) = (min(sampleCount, table.count), table.count)
    let sample = try hashes(of: count, in: table, context) { chunk in
      let first = chunk * all / count
      return first + Int(splitMix64(UInt64(chunk)) % UInt64((chunk + 1) * all / count - first))
    }
    var sorted = UnsafeMutableBufferPointer(start: sample.base, count: count)
    sorted.sort()
    return (crowd - 1..<max(crowd - 1, count)).contains { sorted[$0] == sorted[$0 - (crowd - 1)] }
  }

  /// Adds the vectors of the table from a slot on. O(dim) for each.
  func extend(from first: Int, context: CallContext) throws(CoverTreeError) {
    let more = table.count - first
    let lasts = if let known = lasts { known } else { try indexed(first, context) }
    try lasts.reserve(more)
    try nodes.resize(to: table.count)
    try next.resize(to: table.count)
    let hashes = try Self.hashes(of: more, in: table, context) { first + $0 }
    let rows = table.decisive
    let (mine, other) = (try Buffer<Float>(count: rows.coordinates), try Buffer<Float>(count: rows.coordinates))
    let order = try table.arrivalOrder(from: first, context: context)
    for position in 0..<more {
      let slot = first + (order.map { Int($0[position]) } ?? position)
      let vector = rows.floats(slot, or: mine.base)
      let last = lasts.number(of: hashes[slot - first]) {
        cn_equal_floats(vector, rows.floats($0, or: other.base), Int64(table.dim)) != 0
      }
      (nodes[slot], next[slot]) = (Int32(slot), -1)
      if let last {
        (nodes[slot], next[last]) = (nodes[last], Int32(slot))
        lasts.remove(hashes[slot - first], last)
        count += 1
      }
      lasts.insert(hashes[slot - first], slot)
    }
    self.lasts = lasts
  }

  /// The index by hash of the vectors before a slot.
  private func indexed(_ end: Int, _ context: CallContext) throws(CoverTreeError) -> HashIndex {
    let lasts = try HashIndex()
    try lasts.reserve(end)
    let hashes = try Self.hashes(of: end, in: table, context) { $0 }
    for slot in 0..<end where next[slot] < 0 { lasts.insert(hashes[slot], slot) }
    return lasts
  }

  private static func hashes(
    of count: Int, in table: VectorTable, _ context: CallContext, slot: (Int) -> Int
  ) throws(CoverTreeError) -> Buffer<UInt64> {
    let rows = table.decisive
    let hashes = try Buffer<UInt64>(count: count)
    let hash = try VectorHash(dim: table.dim, seed: ProcessSeed.vectors)
    let scratch = try Buffer<Float>(count: context.threads * rows.coordinates)
    try context.forEach(count, grain: 256) { (range, thread) throws(CoverTreeError) in
      let own = scratch.base + thread * rows.coordinates
      for position in range {
        // Vectors with numbers that are not finite were rejected.
        _ = hash(rows.floats(slot(position), or: own), hashes.base + position)
      }
    }
    return hashes
  }

  /// Removes the vectors from a slot on.
  func truncate(to end: Int) {
    lasts = nil
    try? nodes.resize(to: min(end, nodes.count))
    try? next.resize(to: min(end, next.count))
    for slot in 0..<next.count where next[slot] >= end { next[slot] = -1 }
    recount()
  }

  private func recount() { count = (0..<nodes.count).reduce(0) { $0 + (isNode($1) ? 0 : 1) } }

  /// Removes the dead from the lists of their nodes.
  ///
  /// - Returns: for each slot of a dead node the twin that replaces it, -1 for other slots; nil without twins.
  func dropDead() throws(CoverTreeError) -> Buffer<Int32>? {
    guard count > 0 else { return nil }
    let heirs = try Buffer<Int32>(count: nodes.count, filledWith: -1)
    lasts = nil
    for node in 0..<nodes.count where isNode(node) && next[node] >= 0 {
      var (slot, head, last) = (Int32(node), Int32(-1), Int32(-1))
      while slot >= 0 {
        let following = next[slot]
        next[Int(slot)] = -1
        if table.dead[slot] != 0 {
          nodes[Int(slot)] = slot
        } else {
          if head < 0 { head = slot } else { next[Int(last)] = slot }
          (nodes[Int(slot)], last) = (head, slot)
        }
        slot = following
      }
      if head >= 0 && head != Int32(node) { heirs[node] = head }
    }
    recount()
    return heirs
  }

  /// The node of each slot, and the next twin.
  struct Lists {
    let nodes: GrowableBuffer<Int32>
    fileprivate let next: GrowableBuffer<Int32>
  }

  private func lists(count: Int) throws(CoverTreeError) -> Lists {
    let lists = Lists(nodes: try GrowableBuffer(), next: try GrowableBuffer())
    try lists.nodes.resize(to: count)
    try lists.next.resize(to: count)
    return lists
  }

  func copied() throws(CoverTreeError) -> Lists { Lists(nodes: try nodes.copied(), next: try next.copied()) }

  /// The lists at other slots: `map[slot]` is the new one, -1 for the dead, which are in no list.
  func renumbered(_ map: Buffer<Int32>, count newCount: Int) throws(CoverTreeError) -> Lists {
    let lists = try lists(count: newCount)
    for slot in 0..<map.count where map[slot] >= 0 {
      lists.nodes[Int(map[slot])] = map[nodes[slot]]
      lists.next[Int(map[slot])] = next[slot] < 0 ? -1 : map[next[slot]]
    }
    return lists
  }

  /// The lists of the living at other slots: `map[slot]` is the new one, -1 for the dead. The first living twin replaces a dead node.
  func surviving(_ map: Buffer<Int32>, count newCount: Int) throws(CoverTreeError) -> Lists {
    let lists = try lists(count: newCount)
    for node in 0..<map.count where isNode(node) {
      var (slot, head, last) = (Int32(node), Int32(-1), Int32(-1))
      while slot >= 0 {
        let new = map[slot]
        if new >= 0 {
          if head < 0 { head = new } else { lists.next[Int(last)] = new }
          (lists.nodes[Int(new)], lists.next[Int(new)], last) = (head, -1, new)
        }
        slot = next[Int(slot)]
      }
    }
    return lists
  }

  func adopt(_ lists: Lists) {
    (nodes, next, lasts) = (lists.nodes, lists.next, nil)
    recount()
  }

  func own() throws(CoverTreeError) {
    try nodes.own()
    try next.own()
  }

  var byteCount: Int { nodes.byteCount + next.byteCount + (lasts?.byteCount ?? 0) }

  var sections: [Section] { [Section("graph.nodes", nodes.buffer), Section("graph.next_twin", next.buffer)] }

  init(_ table: VectorTable, _ file: StoredFile) throws(CoverTreeError) {
    let nodes: Buffer<Int32> = try file.buffer("graph.nodes", rows: table.count)
    let next: Buffer<Int32> = try file.buffer("graph.next_twin", rows: table.count)
    func wrong(_ slot: Int) -> CoverTreeError {
      file.corrupt("section \"graph.nodes\" or \"graph.next_twin\" is wrong at \(slot)")
    }
    let isFollowing = try Buffer<UInt8>(count: table.count, filledWith: 0)
    for slot in 0..<table.count {
      let (node, following) = (nodes[slot], next[slot])
      guard node >= 0, node < table.count, nodes[node] == node, following >= -1, following < table.count,
        // Equal vectors are linked in order of arrival, so every list ends.
        following < 0 || nodes[following] == node && table.serials[following] > table.serials[slot],
        following < 0 || isFollowing[following] == 0
      else { throw wrong(slot) }
      if following >= 0 { isFollowing[following] = 1 }
    }
    // So the list of a node has all of its twins, each once.
    for slot in 0..<table.count where isFollowing[slot] == (nodes[slot] == Int32(slot) ? 1 : 0) { throw wrong(slot) }
    (self.table, self.nodes, self.next) = (table, GrowableBuffer(viewing: nodes), GrowableBuffer(viewing: next))
    recount()
  }
}
