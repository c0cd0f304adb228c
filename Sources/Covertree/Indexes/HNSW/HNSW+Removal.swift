import CovertreeBase

extension HNSW {
  /// Vectors that were removed stay as positions to walk through until they are this share of all.
  private static var deadShare: Double { 0.125 }

  var wantsCompaction: Bool { Double(table.deadCount) > Self.deadShare * Double(table.count) }

  /// Removes the dead from the graph. A copy of the graph is made first, and restored if a later step fails.
  func compaction(_ map: Buffer<Int32>, context: CallContext) throws(CoverTreeError) -> () -> Void {
    let before = (levels: try levels.copied(), links: try links.copied(), twins: try twins.copied(), entry: entry)
    let upper = (first: try upperFirst.copied(), links: try upperLinks.copied())
    do throws(CoverTreeError) {
      try forgetDead(context: context)
      let renumbered = try GrowableBuffer<Int32>()
      try renumbered.reserve(upperLinks.count)
      let lists = try twins.renumbered(map, count: table.liveCount)
      return { self.renumber(map, renumbered, lists) }
    } catch {
      (levels, links, upperFirst, upperLinks) = (before.levels, before.links, upper.first, upper.links)
      twins.adopt(before.twins)
      entry = before.entry
      throw error
    }
  }

  /// Removes the dead from all lists. A vector with links to dead ones chooses again among its other links and the links of the dead ones
  /// (Singh et al., FreshDiskANN, 2021).
  private func forgetDead(context: CallContext) throws(CoverTreeError) {
    let dead = table.dead
    if let heirs = try twins.dropDead() { try handOver(to: heirs, context) }
    let linkers = PerThread<Linker>(count: context.threads)
    try context.forEach(table.count, grain: 64) { (range, thread) throws(CoverTreeError) in
      let linker = try linkers.value(thread) { () throws(CoverTreeError) in try Linker(self) }
      for slot in range where dead[slot] == 0 {
        for level in 0...Int(levels[slot]) { try replaceLinks(of: Int32(slot), level, linker) { dead[$0] != 0 } }
      }
    }
    for linker in linkers.all { compared.add(linker.walker.compared) }
    findEntry { dead[$0] == 0 }
    try connect()
  }

  /// Replaces dead nodes by twins: `heirs[node]` is a twin, or -1.
  private func handOver(to heirs: Buffer<Int32>, _ context: CallContext) throws(CoverTreeError) {
    for node in 0..<heirs.count where heirs[node] >= 0 {
      let heir = Int(heirs[node])
      (links.base + heir * degree).update(from: links.base + node * degree, count: degree)
      (levels[heir], upperFirst[heir]) = (levels[node], upperFirst[node])
      (levels[node], upperFirst[node]) = (0, -1)
      (links.base + node * degree).update(repeating: Self.noLink, count: degree)
    }
    try context.forEach(table.count, grain: 1 << 10) { (range, _) throws(CoverTreeError) in
      for slot in range { renumberLinks(of: slot) { heirs[$0] < 0 ? $0 : heirs[$0] } }
    }
  }

  /// Searches begin at the first of the nodes on the highest level.
  func findEntry(where isLeft: (Int) -> Bool = { _ in true }) {
    entry = -1
    for slot in 0..<levels.count where twins.isNode(slot) && isLeft(slot) {
      if entry < 0 || levels[slot] > levels[entry] { entry = Int32(slot) }
    }
  }

  /// If a vector has links to be removed, chooses its links again among the others and the links of the removed ones.
  private func replaceLinks(
    of slot: Int32, _ level: Int, _ linker: Linker, where goes: (Int32) -> Bool
  ) throws(CoverTreeError) {
    guard linked(slot, level).contains(where: goes) else { return }
    linker.candidates.removeAll()
    for link in linked(slot, level) {
      if goes(link) {
        // The lists of removed vectors do not change.
        for further in linked(link, level) where !goes(further) { try linker.candidates.append(further) }
      } else {
        try linker.candidates.append(link)
      }
    }
    linker.relink(slot, level)
  }

  func truncate(to first: Int) {
    twins.truncate(to: first)
    // Without memory to choose again, links are only dropped.
    let linker = try? Linker(self)
    for slot in 0..<min(first, levels.count) {
      if let linker {
        for level in 0...Int(levels[slot]) { try? replaceLinks(of: Int32(slot), level, linker) { $0 >= first } }
      }
      renumberLinks(of: slot) { $0 < first ? $0 : Self.noLink }
    }
    try? levels.resize(to: min(first, levels.count))
    try? links.resize(to: min(first * degree, links.count))
    try? upperFirst.resize(to: min(first, upperFirst.count))
    // Lists of new vectors come after all others.
    var end = 0
    for slot in 0..<upperFirst.count where levels[slot] > 0 {
      end = max(end, Int(upperFirst[slot]) + Int(levels[slot]) * m)
    }
    try? upperLinks.resize(to: end)
    findEntry()
  }

  /// Renumbers the links of a vector; links to removed vectors are dropped.
  private func renumberLinks(of slot: Int, _ number: (Int32) -> Int32) {
    for level in 0...Int(levels[slot]) {
      let (list, capacity) = (lists.list(Int32(slot), level), lists.capacity(level))
      var kept = 0
      for position in 0..<capacity where list[position] >= 0 {
        let link = number(list[position])
        guard link >= 0 else { continue }
        list[kept] = link
        kept += 1
      }
      for position in kept..<capacity { list[position] = Self.noLink }
    }
  }

  func linked(_ slot: Int32, _ level: Int) -> UnsafeBufferPointer<Int32>.SubSequence {
    let all = UnsafeBufferPointer(start: lists.list(slot, level), count: lists.capacity(level))
    return all.prefix { $0 >= 0 }
  }

  /// Moves links to the new slots of their vectors.
  ///
  /// - Parameter upper: empty, with room for all of `upperLinks`.
  private func renumber(_ map: Buffer<Int32>, _ upper: GrowableBuffer<Int32>, _ lists: Twins.Lists) {
    var next = 0
    // Slots only move to lower numbers, so nothing is overwritten before it is read.
    for slot in 0..<map.count where map[slot] >= 0 {
      renumberLinks(of: slot) { map[$0] }
      let own = UnsafeBufferPointer(
        start: upperLinks.base + max(0, Int(upperFirst[slot])), count: Int(levels[slot]) * m)
      upperFirst[next] = own.isEmpty ? -1 : Int32(upper.count)
      try? upper.append(own)
      if slot != next { (links.base + next * degree).update(from: links.base + slot * degree, count: degree) }
      levels[next] = levels[slot]
      next += 1
    }
    upperLinks = upper
    twins.adopt(lists)
    try? levels.resize(to: next)
    try? links.resize(to: next * degree)
    try? upperFirst.resize(to: next)
    entry = entry < 0 ? -1 : map[entry]
  }

  func own() throws(CoverTreeError) {
    try levels.own()
    try links.own()
    try upperFirst.own()
    try upperLinks.own()
    try twins.own()
  }

  /// Sorts vectors in the order in which a walk over all links from the entry meets them, so that its first vectors are together.
  func optimize(context: CallContext) throws(CoverTreeError) {
    guard table.count > 1, table.deadCount == 0 else { return }
    let order = try Buffer<Int32>(count: table.count)
    let rank = try Buffer<Int32>(count: table.count, filledWith: -1)
    var (met, next) = (0, 0)
    func meet(_ slot: Int32) {
      guard rank[slot] < 0 else { return }
      rank[slot] = Int32(met)
      order[met] = slot
      met += 1
    }
    meet(entry)
    for start in 0..<Int32(table.count) {
      while next < met {
        for link in linked(order[next], 0) { meet(link) }
        if twins.next[order[next]] >= 0 { meet(twins.next[order[next]]) }
        next += 1
      }
      meet(start)
    }
    let (oldLevels, oldLinks, oldFirst) = (levels, links, upperFirst)
    let (newLevels, newLinks, newFirst) = (try levels.copied(), try links.copied(), try upperFirst.copied())
    let lists = try twins.renumbered(rank, count: table.count)
    try table.permute(order)  // the last step that can fail; on failure nothing has moved
    for (to, from) in order.elements.enumerated() {
      newLevels[to] = oldLevels[from]
      newFirst[to] = oldFirst[from]
      for position in 0..<degree {
        let link = oldLinks[Int(from) * degree + position]
        newLinks[to * degree + position] = link < 0 ? link : rank[link]
      }
    }
    (levels, links, upperFirst) = (newLevels, newLinks, newFirst)
    for position in 0..<upperLinks.count where upperLinks[position] >= 0 {
      upperLinks[position] = rank[upperLinks[position]]
    }
    entry = rank[entry]
    twins.adopt(lists)
  }
}
