import CovertreeBase
import Glibc

extension HNSW {
  /// A batch is at most this share of the graph. Its size is bounded because its vectors are compared with each other.
  private static var batchShare: Int { 64 }
  private static var mostInBatch: Int { 512 }

  func insert(from first: Int, context: CallContext) throws(CoverTreeError) {
    try extend(from: first, context)
    let order = try linkingOrder(from: first, lowest: 0, context)
    let after = nodeCount
    let before = after - order.count
    // Nodes of one call were already linked in a random order.
    let relinks = before > 0 && Self.hasGrown(from: before, to: after, bits: 2)
    let share = Double(order.count) / Double(order.count + (relinks ? after / m : 0) + 1)
    try link(order, lowest: 0, progress: 0...share, context)
    if relinks { try relinkUpperLevels(progress: share...1, context) }
    if Self.hasGrown(from: before, to: after, bits: 4) { try connect() }
  }

  /// Links nodes in some order, on a level and those above it.
  private func link(
    _ order: Buffer<Int32>, lowest: Int, progress: ClosedRange<Double>, _ context: CallContext
  ) throws(CoverTreeError) {
    guard order.count > 0 else { return }
    var (next, inGraph) = (0, lowest == 0 ? nodeCount - order.count : 0)
    if entry < 0 {
      entry = order[0]
      (next, inGraph) = (1, 1)
    }
    let linkers = PerThread<Linker>(count: context.threads)
    while next < order.count {
      let end = min(order.count, next + max(1, min(inGraph / Self.batchShare, Self.mostInBatch)))
      let scale = (progress.upperBound - progress.lowerBound) / Double(order.count)
      context.stage(from: progress.lowerBound + scale * Double(next), to: progress.lowerBound + scale * Double(end))
      try insert(Batch(order, next..<end, levels, lowest: lowest), linkers, context)
      (next, inGraph) = (end, inGraph + end - next)
    }
    for linker in linkers.all { compared.add(linker.walker.compared) }
  }

  /// Replaces all links of the higher levels, in a random order. A node that comes early in a random order gets long links, which
  /// lead a search across the graph. Vectors that come in small calls, each near the last, have no such links.
  private func relinkUpperLevels(progress: ClosedRange<Double>, _ context: CallContext) throws(CoverTreeError) {
    let order = try linkingOrder(from: 0, lowest: 1, context)
    guard order.count > 0 else { return }
    let (oldLinks, oldEntry) = (upperLinks, entry)
    do {
      upperLinks = try GrowableBuffer()
      try upperLinks.resize(to: oldLinks.count)
      upperLinks.base.update(repeating: Self.noLink, count: oldLinks.count)
      entry = -1
      try link(order, lowest: 1, progress: progress, context)
    } catch {
      (upperLinks, entry) = (oldLinks, oldEntry)
      throw error
    }
  }

  /// Whether the first binary digits of the number of nodes have changed: with 4 digits, whenever the graph has grown by an eighth. This
  /// depends on the number alone, not on how calls divide the vectors.
  private static func hasGrown(from before: Int, to after: Int, bits: Int) -> Bool {
    let shift = max(0, Int.bitWidth - before.leadingZeroBitCount - bits)
    return before >> shift != after >> shift
  }

  /// Gives slots their levels and empty lists.
  private func extend(from first: Int, _ context: CallContext) throws(CoverTreeError) {
    let count = table.count
    try twins.extend(from: first, context: context)
    try levels.resize(to: count)
    try links.resize(to: count * degree)
    try upperFirst.resize(to: count)
    (links.base + first * degree).update(repeating: Self.noLink, count: (count - first) * degree)
    let scale = 1 / log(Double(m))
    for slot in first..<count {
      let uniform = (Double(drawn(slot) >> 11) + 1) * 0x1p-53
      levels[slot] = twins.isNode(slot) ? UInt8(min(Double(Self.mostLevels), -log(uniform) * scale)) : 0
      upperFirst[slot] = levels[slot] == 0 ? -1 : Int32(upperLinks.count)
      for _ in 0..<Int(levels[slot]) * m { try upperLinks.append(Self.noLink) }
    }
  }

  private func drawn(_ slot: Int) -> UInt64 {
    splitMix64(options.seed ^ splitMix64(UInt64(UInt32(bitPattern: table.serials[slot]))))
  }

  /// Nodes of a level and above, in the order in which they are linked. It is random: near vectors are often added together, and in the
  /// order of addition they would be linked to little but each other.
  private func linkingOrder(
    from first: Int, lowest: Int, _ context: CallContext
  ) throws(CoverTreeError) -> Buffer<Int32> {
    let nodes = try GrowableBuffer<Int32>()
    for slot in first..<table.count where twins.isNode(slot) && Int(levels[slot]) >= lowest {
      try nodes.append(Int32(slot))
    }
    let lots = try Buffer<UInt64>(count: nodes.count)
    for position in 0..<nodes.count { lots[position] = splitMix64(drawn(Int(nodes[position]))) }
    let order = try sortedOrder(ofKeys: lots, context: context)
    for position in 0..<order.count { order[position] = nodes[order[position]] }
    return order
  }

  /// Nodes that are linked together, those on the highest levels first.
  struct Batch: @unchecked Sendable {
    let slots: Buffer<Int32>
    /// They are linked on this level and those above it.
    let lowest: Int
    /// The number of nodes on a level or above, by level.
    private let counts: Buffer<Int>

    init(
      _ order: Buffer<Int32>, _ range: Range<Int>, _ levels: GrowableBuffer<UInt8>, lowest: Int
    ) throws(CoverTreeError) {
      self.lowest = lowest
      (slots, counts) = (try Buffer(count: range.count), try Buffer(count: HNSW.mostLevels + 2, filledWith: 0))
      for position in range { for level in 0...Int(levels[order[position]]) { counts[level] += 1 } }
      let next = try Buffer<Int>(count: HNSW.mostLevels + 1)
      for level in 0...HNSW.mostLevels { next[level] = counts[level + 1] }
      for position in range {
        let level = Int(levels[order[position]])
        slots[next[level]] = order[position]
        next[level] += 1
      }
    }

    var count: Int { slots.count }

    /// The nodes on a level or above.
    func slots(_ level: Int) -> UnsafeBufferPointer<Int32> {
      UnsafeBufferPointer(start: slots.base, count: counts[level])
    }
  }

  private func insert(_ batch: Batch, _ linkers: PerThread<Linker>, _ context: CallContext) throws(CoverTreeError) {
    let make = { () throws(CoverTreeError) in try Linker(self) }
    try context.forEach(batch.count, grain: 2) { (range, thread) throws(CoverTreeError) in
      let linker = try linkers.value(thread, make: make)
      for position in range { try linker.link(position, of: batch) }
    }
    try linkBack(linkers, batch, context)
    for slot in batch.slots.elements where Int(levels[slot]) > top || (Int(levels[slot]) == top && slot < entry) {
      entry = slot
    }
  }

  /// Adds back links to the neighbours of a batch, one list at a time.
  private func linkBack(_ linkers: PerThread<Linker>, _ batch: Batch, _ context: CallContext) throws(CoverTreeError) {
    let total = linkers.all.reduce(0) { $0 + $1.back.count }
    let edges = try Buffer<UInt64>(count: total)
    var next = 0
    for linker in linkers.all {
      (edges.base + next).update(from: linker.back.base, count: linker.back.count)
      next += linker.back.count
      linker.back.removeAll()
    }
    let order = try sortedOrder(ofKeys: edges, context: context)
    let sorted = try Buffer<UInt64>(count: total)
    let starts = try GrowableBuffer<Int>()
    for position in 0..<total {
      sorted[position] = edges[order[position]]
      if position == 0 || sorted[position] >> BackLink.sourceBits != sorted[position - 1] >> BackLink.sourceBits {
        try starts.append(position)
      }
    }
    try starts.append(total)
    try context.forEach(starts.count - 1, grain: 16) { (range, thread) throws(CoverTreeError) in
      let linker = try linkers.value(thread) { () throws(CoverTreeError) in try Linker(self) }
      for group in range { try linker.add(sorted.elements[starts[group]..<starts[group + 1]], of: batch) }
    }
  }
}
