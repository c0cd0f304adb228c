import CovertreeBase

/// A search of the blocks that the decay of the kernel leaves.
extension GroupSearch {
  /// At distance 1 after rounding: `1 - |rho|` is 1 for |rho| below this.
  private static let vanishing: Float = 0x1p-54

  /// Compares the group with blocks by descending bounds, then with single points: the outliers of other blocks, and those of the lowest
  /// indices for queries that have fewer than `k` correlated points.
  func searchNearBlocks(by comparison: DecayComparison, _ compared: ComparedBlocks) throws(CoverTreeError) {
    try comparison.begin(group)
    direct.begin(group)
    compared.removeAll()
    let own = group.block
    let promise = { $0 == own ? UInt32.max : comparison.bound($0).bitPattern }
    for block in try order(model.blockCount, by: promise) {
      if block != own && comparison.bound(block) < leastUseful { break }
      let first = model.order[model.positions(ofBlock: block).lowerBound]
      let active = comparison.activeQueries(block) { [self] in first < group.before[$0] ? useful($0) : .infinity }
      if active.isEmpty { continue }
      try compareDirectly(block, active)
      try compared.insert(active, block)
      for i in 0..<group.count where active.contains(i) { try lists[i].tighten() }
    }
    try addOutliers(comparison, compared)
    if case .nearest(let k) = goal {
      for i in 0..<group.count where lists[i].threshold < Self.vanishing { try addFirst(k, i, compared) }
    }
  }

  /// The least |rho| that can change a query's result.
  @inline(__always)
  private func useful(_ i: Int) -> Float {
    if case .nearest = goal { max(lists[i].threshold, Self.vanishing) } else { lists[i].threshold }
  }

  /// The least of all queries.
  private var leastUseful: Float { (0..<group.count).reduce(.infinity) { min($0, useful($1)) } }

  private func addOutliers(_ comparison: DecayComparison, _ compared: ComparedBlocks) throws(CoverTreeError) {
    let (bounds, least) = (comparison.bounds, leastUseful)
    var reached: [(position: Int32, queries: QueryMask)] = []
    for (number, position) in bounds.outliers.enumerated() {
      let target = bounds.blockCount + number
      guard comparison.bound(target) >= least, group.copies?.has(position: Int(position)) ?? true else { continue }
      let index = model.order[Int(position)]
      let active = comparison.activeQueries(target) { [self] in index < group.before[$0] ? useful($0) : .infinity }
      if !active.isEmpty { reached.append((position, active)) }
    }
    for i in 0..<group.count {
      let positions = reached.lazy.filter { $0.queries.contains(i) }.map(\.position)
      try addExactly(positions.filter { [self] in !compared.has(i, Int($0) / model.blockSize) }, to: i)
    }
  }

  /// Adds the points of the lowest indices: all points without correlation are at distance 1, so the first `k` of them suffice.
  private func addFirst(_ k: Int, _ i: Int, _ compared: ComparedBlocks) throws(CoverTreeError) {
    var positions: [Int32] = []
    var (index, found) = (Int32(0), 0)
    while index < min(group.before[i], Int32(model.count)), found < k {
      defer { index += 1 }
      if index == group.indices[i] && group.excludesSelf { continue }
      found += 1
      let position = model.positionOfIndex[Int(index)]
      if index != group.indices[i] && !compared.has(i, Int(position) / model.blockSize) { positions.append(position) }
    }
    try addExactly(positions, to: i)
  }

  private func addExactly(_ positions: [Int32], to i: Int) throws(CoverTreeError) {
    for first in stride(from: 0, to: positions.count, by: 8) {
      let count = min(8, positions.count - first)
      var lanes = SIMD8<Int32>(repeating: 0)
      for lane in 0..<count { lanes[lane] = positions[first + lane] }
      let squares = model.squaredDistances(
        from: group.exactQuery(i), to: lanes, count: count, covariances: SIMD8(repeating: 0))
      statistics.exact += count
      for lane in 0..<count {
        let size = Float(1 - squares[lane])
        try lists[i].append(
          lanes[lane], lower: size * (1 - 0x1p-22) - 0x1p-50, upper: size * (1 + 0x1p-22) + 0x1p-50)
      }
    }
    try lists[i].pruneWhereWorthIt()
  }
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
