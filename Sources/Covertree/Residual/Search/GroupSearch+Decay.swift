import CovertreeBase

/// A search of the blocks that the decay of the kernel leaves.
extension GroupSearch {
  /// Compares the group with blocks by descending bounds, then with the outliers of other blocks.
  func searchNearBlocks(by comparison: DecayComparison, _ compared: ComparedBlocks) throws(CoverTreeError) {
    try comparison.begin(group)
    direct.begin(group)
    compared.removeAll()
    let own = group.block
    let promise = { $0 == own ? UInt32.max : comparison.bound($0).bitPattern }
    for block in try order(model.blockCount, by: promise) {
      if block != own && comparison.bound(block) < leastUseful { break }
      let first = model.order[model.positions(ofBlock: block).lowerBound]
      let active = activeQueries(block, from: first, comparison)
      if active.isEmpty { continue }
      try compareDirectly(block, active)
      try compared.insert(active, block)
      for i in 0..<group.count where active.contains(i) { try lists[i].tighten() }
    }
    try addOutliers(comparison, compared)
  }

  /// The least |rho| that can change the result of any query.
  private var leastUseful: Float { (0..<group.count).reduce(.infinity) { min($0, lists[$1].leastUseful) } }

  /// The queries for which points of the target can be among the nearest.
  ///
  /// - Parameter index: the lowest dataset index of a point of the target.
  private func activeQueries(_ target: Int, from index: Int32, _ comparison: DecayComparison) -> QueryMask {
    comparison.activeQueries(target) { [self] in
      index < group.queries[$0].before ? lists[$0].leastUseful : .infinity
    }
  }

  private func addOutliers(_ comparison: DecayComparison, _ compared: ComparedBlocks) throws(CoverTreeError) {
    let (bounds, least) = (comparison.bounds, leastUseful)
    var reached: [ReachedOutlier] = []
    for (number, position) in bounds.outliers.enumerated() {
      let target = bounds.blockCount + number
      guard comparison.bound(target) >= least, group.copies?.has(position: Int(position)) ?? true else { continue }
      let active = activeQueries(target, from: model.order[Int(position)], comparison)
      if !active.isEmpty { reached.append(ReachedOutlier(position: position, queries: active)) }
    }
    for i in 0..<group.count {
      let own = group.queries[i].position
      let positions = reached.lazy.filter { $0.position != own && $0.queries.contains(i) }.map(\.position)
      try addExactly(positions.filter { [self] in !compared.has(i, Int($0) / model.blockSize) }, to: i)
    }
  }

  /// Adds points at distance 1, which lists leave out, to queries with fewer than `k` others: the `k` points of the lowest indices
  /// suffice.
  func addFirst() throws(CoverTreeError) {
    guard case .nearest(let k) = goal else { return }
    for i in 0..<group.count {
      try lists[i].prune()
      if lists[i].threshold < CandidateList.vanishing { try addFirst(k, i) }
    }
  }

  private func addFirst(_ k: Int, _ i: Int) throws(CoverTreeError) {
    let query = group.queries[i]
    let own = group.excludesSelf ? Int(query.point.index) : -1
    let end = max(0, min(Int(query.before), model.count))
    // One more than k, if the query is among them.
    let first = leftOut.map { $0.remaining.elements.prefix(k + 1).map(Int.init) } ?? Array(0..<min(end, k + 1))
    let indices = first.filter { $0 < end && $0 != own }.prefix(k)
    guard let last = indices.last else { return }
    var isListed = [Bool](repeating: false, count: last + 1)
    for position in lists[i].positions.elements {
      let index = Int(model.order[position])
      if index <= last { isListed[index] = true }
    }
    try addExactly(indices.filter { !isListed[$0] }.map { model.positionOfIndex[$0] }, to: i)
  }

  private func addExactly(_ positions: [Int32], to i: Int) throws(CoverTreeError) {
    statistics.exact += positions.count
    try positions.withUnsafeBufferPointer { (positions) throws(CoverTreeError) in
      try lists[i].appendExactly(positions, from: group.queries[i].point, in: model)
    }
  }
}

/// An outlier of some block that can be among the nearest of some queries.
private struct ReachedOutlier {
  let position: Int32
  let queries: QueryMask
}

/// The queries of a group that blocks were compared with.
final class ComparedBlocks {
  private let queries: Buffer<QueryMask>
  private let blocks: GrowableBuffer<Int32>

  init(_ blockCount: Int) throws(CoverTreeError) {
    queries = try Buffer(count: blockCount, filledWith: QueryMask())
    blocks = try GrowableBuffer()
    try blocks.reserve(blockCount)
  }

  func removeAll() {
    for block in blocks.elements { queries[block] = QueryMask() }
    blocks.removeAll()
  }

  func insert(_ mask: QueryMask, _ block: Int) throws(CoverTreeError) {
    queries[block] = mask
    try blocks.append(Int32(block))
  }

  func has(_ query: Int, _ block: Int) -> Bool { queries[block].contains(query) }
}
