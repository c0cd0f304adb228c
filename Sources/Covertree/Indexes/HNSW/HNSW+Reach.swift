import CovertreeBase

extension HNSW {
  /// The most rounds. A new link may replace the only link to another node, which then needs one in the next round.
  private static var mostRounds: Int { 4 }

  /// Makes every node reachable from the entry on the lowest level. A node can lose its last incoming link when its neighbours choose
  /// others, or are removed. O(n m), and a search for each unreachable node.
  func connect() throws(CoverTreeError) {
    guard entry >= 0 else { return }
    let linker = try Linker(self)
    for _ in 0..<Self.mostRounds {
      let reach = try Reach(self)
      try reach.spread(from: entry)
      var isWhole = true
      for slot in 0..<Int32(table.count) where !reach.has(slot) && twins.isNode(Int(slot)) && table.dead[slot] == 0 {
        isWhole = try linker.lead(to: slot, from: reach) && isWhole
        try reach.spread(from: slot)
      }
      if isWhole { return }
    }
  }

  /// The nodes that are reachable on the lowest level.
  final class Reach {
    private let graph: HNSW
    private let flags: Buffer<UInt8>
    private let waiting: GrowableBuffer<Int32>

    init(_ graph: HNSW) throws(CoverTreeError) {
      self.graph = graph
      (flags, waiting) = (try Buffer(count: graph.table.count, filledWith: 0), try GrowableBuffer())
    }

    func has(_ slot: Int32) -> Bool { flags[slot] != 0 }

    func spread(from start: Int32) throws(CoverTreeError) {
      try reach(start)
      while let slot = waiting.popLast() {
        for link in graph.linked(slot, 0) where !has(link) { try reach(link) }
      }
    }

    private func reach(_ slot: Int32) throws(CoverTreeError) {
      flags[slot] = 1
      try waiting.append(slot)
    }
  }
}

extension Linker {
  /// Links a node from the nearest reached node with room in its list. If none has room, the link replaces the last one of the nearest.
  ///
  /// - Returns: whether there was room.
  fileprivate func lead(to slot: Int32, from reach: HNSW.Reach) throws(CoverTreeError) -> Bool {
    walker.query.load(slot: Int(slot))
    let beam = walker.walk(from: walker.entry, level: 0, limit: walker.scratch.capacity)
    let capacity = walker.lists.capacity(0)
    var nearest = walker.entry
    for position in (0..<beam.count).reversed() where reach.has(beam.slot(position)) { nearest = beam.slot(position) }
    for position in 0..<beam.count where reach.has(beam.slot(position)) {
      let list = walker.lists.list(beam.slot(position), 0)
      guard list[capacity - 1] < 0 else { continue }
      var end = capacity - 1
      while end > 0 && list[end - 1] < 0 { end -= 1 }
      list[end] = slot
      return true
    }
    walker.lists.list(nearest, 0)[capacity - 1] = slot
    return false
  }
}
