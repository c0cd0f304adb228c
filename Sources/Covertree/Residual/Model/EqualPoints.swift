import CovertreeBase

/// Points of a model with equal scores: coordinates, features and residual variances have the same bits.
///
/// Equal points are sorted by index. So among the `k` nearest of any query there are at most the first `k` of them,
/// or `k + 1` if the query is one of them and does not count. Other copies are not compared with anything (`FirstCopies`). Without this,
/// each of many equal points would be compared with all others, only to find the lowest indices. Removed points are left out in the same
/// way: their rank is infinite.
final class EqualPoints: @unchecked Sendable {
  /// Up to this many copies of a point cost little.
  private static let few = 16
  /// Above this, float32 does not have all integers.
  private static let mostRank = 1 << 24

  /// By position: the number of equal points with lower indices; infinity for removed points. In float32, which vectors compare; whole vectors.
  fileprivate let ranks: Buffer<Float>
  /// By block: the least of its ranks.
  fileprivate let leastRanks: Buffer<Float>
  /// 0 if no point has more than a few copies, and none is removed; nothing else is set then.
  private let largestRank: Float

  init(_ model: ResidualModel, without removed: RemovedPoints? = nil, context: CallContext) throws(CoverTreeError) {
    let ranks = try Buffer<Float>(count: (model.count + 15) / 16 * 16, filledWith: 0)
    guard try Self.fill(ranks, model, removed, context) >= Self.few || removed != nil else {
      (self.ranks, leastRanks, largestRank) = (try Buffer(count: 0), try Buffer(count: 0), 0)
      return
    }
    self.ranks = ranks
    leastRanks = try Buffer(count: model.blockCount)
    for block in 0..<model.blockCount { leastRanks[block] = ranks.elements[model.positions(ofBlock: block)].min()! }
    largestRank = ranks.elements.max()!
  }

  /// Sorts points by hash and then by index. If the hashes of different points collide, copies may be missed, which changes no answer.
  /// Returns the largest rank.
  private static func fill(
    _ ranks: Buffer<Float>, _ model: ResidualModel, _ removed: RemovedPoints?, _ context: CallContext
  ) throws(CoverTreeError) -> Int {
    let keys = try Buffer<UInt64>(count: model.count)
    try context.forEach(model.count, grain: 1 << 12) { (range, _) throws(CoverTreeError) in
      for index in range { keys[index] = model.hash(ofPosition: Int(model.positionOfIndex[index])) }
    }
    let sequence = try sortedOrder(ofKeys: keys, context: context)
    var (first, rank, largest) = (-1, 0, 0)
    for slot in 0..<model.count {
      let position = Int(model.positionOfIndex[Int(sequence[slot])])
      let isCopy =
        slot > 0 && keys[Int(sequence[slot])] == keys[Int(sequence[slot - 1])] && model.areEqual(first, position)
      if !isCopy { (first, rank) = (position, -1) }
      if let removed, removed.has(model.order[position]) {
        ranks[position] = .infinity
        continue
      }
      rank += 1
      ranks[position] = Float(min(rank, mostRank))
      largest = max(largest, rank)
    }
    return largest
  }

  /// The copies that can matter to a search for `k` neighbours.
  ///
  /// - Parameter excludesSelf: whether queries do not count as their own neighbours.
  /// - Returns: nil if all can.
  func first(_ k: Int, excludesSelf: Bool) -> FirstCopies? {
    let last = min(excludesSelf ? k : k - 1, Self.mostRank)
    return Float(last) < largestRank ? FirstCopies(points: self, last: Float(last)) : nil
  }

  /// All points that are not removed; nil if all points count.
  var all: FirstCopies? {
    largestRank == .infinity ? FirstCopies(points: self, last: .greatestFiniteMagnitude) : nil
  }

  var byteCount: Int { ranks.byteCount + leastRanks.byteCount }
}

/// The copies of equal points that can be among the neighbours of a query.
struct FirstCopies: Sendable {
  fileprivate let points: EqualPoints
  /// The last rank that matters.
  let last: Float

  func hasNone(inBlock block: Int) -> Bool { points.leastRanks[block] > last }

  func has(position: Int) -> Bool { points.ranks[position] <= last }

  /// The ranks of a block's points, from the first position on.
  func ranks(from position: Int) -> UnsafePointer<Float> { UnsafePointer(points.ranks.base) + position }
}

extension ResidualModel {
  /// Coordinates determine the library's features, but not the caller's.
  fileprivate func hash(ofPosition position: Int) -> UInt64 {
    var hash = residualVariance[position].bitPattern
    for column in 0..<dim { hash = splitMix64(hash ^ coordinates[position * dim + column].bitPattern) }
    guard hasGivenFeatures else { return hash }
    for column in 0..<rank { hash = splitMix64(hash ^ features[position * rank + column].bitPattern) }
    return hash
  }

  fileprivate func areEqual(_ a: Int, _ b: Int) -> Bool {
    residualVariance[a].bitPattern == residualVariance[b].bitPattern
      && areSameBits(coordinates.base + a * dim, coordinates.base + b * dim, count: dim)
      && areSameBits(features.base + a * rank, features.base + b * rank, count: rank)
  }
}

private func areSameBits(_ a: UnsafePointer<Double>, _ b: UnsafePointer<Double>, count: Int) -> Bool {
  (0..<count).allSatisfy { a[$0].bitPattern == b[$0].bitPattern }
}
