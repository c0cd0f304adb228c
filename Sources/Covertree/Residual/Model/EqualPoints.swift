import CovertreeBase

/// Points of a model with equal scores: coordinates, features and residual variances have the same bits.
///
/// Equal points are sorted by index. So among the `k` nearest of any query there are at most the first `k` of them,
/// or `k + 1` if the query is one of them and does not count. Other copies are not compared with anything (`FirstCopies`). Without this,
/// each of many equal points would be compared with all others, only to find the lowest indices. Points that are removed, or that a filter
/// does not admit, are left out in the same way: their rank is infinite.
final class EqualPoints: @unchecked Sendable {
  /// Up to this many copies of a point cost little.
  private static let few = 16
  /// Above this, float32 does not have all integers.
  private static let mostRank = 1 << 24

  /// By position: the number of equal points with lower indices; infinity for points that are left out. In float32, which vectors compare;
  /// whole vectors.
  fileprivate let ranks: Buffer<Float>
  /// By block: the least of its ranks.
  fileprivate let leastRanks: Buffer<Float>
  /// 0 if no point has more than a few copies, and none is left out; nothing else is set then.
  private let largestRank: Float
  /// Positions, those of equal points after each other by ascending indices. nil if no point has more than a few copies.
  private let sequence: Buffer<Int32>?

  /// All points of a model.
  init(_ model: ResidualModel, context: CallContext) throws(CoverTreeError) {
    let ranks = try Buffer<Float>(count: (model.count + 15) / 16 * 16, filledWith: 0)
    let (sequence, largest) = try Self.fill(ranks, model, context)
    guard largest >= Self.few else {
      (self.ranks, leastRanks, largestRank) = (try Buffer(count: 0), try Buffer(count: 0), 0)
      self.sequence = nil
      return
    }
    (self.ranks, leastRanks, largestRank) = (ranks, try Self.leastRanks(ranks, model), Float(largest))
    self.sequence = sequence
  }

  /// Some of the points of a model. O(n).
  init(
    _ all: EqualPoints, _ model: ResidualModel, without leftOut: RemovedPoints, context: CallContext
  ) throws(CoverTreeError) {
    let ranks = try Buffer<Float>(count: (model.count + 15) / 16 * 16, filledWith: 0)
    if let sequence = all.sequence {
      var rank = -1
      for position in sequence.elements {
        if all.ranks[position] == 0 { rank = -1 }
        let isThere = !leftOut.has(model.order[position])
        rank += isThere ? 1 : 0
        ranks[position] = isThere ? Float(min(rank, Self.mostRank)) : .infinity
      }
    } else {
      try context.forEach(model.count, grain: 1 << 14) { (range, _) throws(CoverTreeError) in
        for position in range where leftOut.has(model.order[position]) { ranks[position] = .infinity }
      }
    }
    (self.ranks, leastRanks, sequence) = (ranks, try Self.leastRanks(ranks, model), nil)
    largestRank = ranks.elements.max()!
  }

  private static func leastRanks(_ ranks: Buffer<Float>, _ model: ResidualModel) throws(CoverTreeError) -> Buffer<Float>
  {
    let least = try Buffer<Float>(count: model.blockCount)
    for block in 0..<model.blockCount { least[block] = ranks.elements[model.positions(ofBlock: block)].min()! }
    return least
  }

  /// Sorts points by hash and then by index. If the hashes of different points collide, copies may be missed, which changes no answer.
  /// Returns the positions in this order, and the largest rank.
  private static func fill(
    _ ranks: Buffer<Float>, _ model: ResidualModel, _ context: CallContext
  ) throws(CoverTreeError) -> (sequence: Buffer<Int32>, largest: Int) {
    let keys = try Buffer<UInt64>(count: model.count)
    try context.forEach(model.count, grain: 1 << 12) { (range, _) throws(CoverTreeError) in
      for index in range { keys[index] = model.hash(ofPosition: Int(model.positionOfIndex[index])) }
    }
    let sequence = try sortedOrder(ofKeys: keys, context: context)
    var (first, rank, largest) = (-1, 0, 0)
    for slot in 0..<model.count {
      let index = Int(sequence[slot])
      let position = Int(model.positionOfIndex[index])
      // Earlier slots have positions already.
      let isCopy =
        slot > 0 && keys[index] == keys[Int(model.order[Int(sequence[slot - 1])])] && model.areEqual(first, position)
      sequence[slot] = Int32(position)
      if !isCopy { (first, rank) = (position, -1) }
      rank += 1
      ranks[position] = Float(min(rank, mostRank))
      largest = max(largest, min(rank, mostRank))
    }
    return (sequence, largest)
  }

  /// The copies that can matter to a search for `k` neighbours.
  ///
  /// - Parameter excludesSelf: whether queries do not count as their own neighbours.
  /// - Returns: nil if all can.
  func first(_ k: Int, excludesSelf: Bool) -> FirstCopies? {
    let last = min(excludesSelf ? k : k - 1, Self.mostRank)
    return Float(last) < largestRank ? FirstCopies(points: self, last: Float(last)) : nil
  }

  /// All points that are not left out; nil if all points count.
  var all: FirstCopies? {
    largestRank == .infinity ? FirstCopies(points: self, last: .greatestFiniteMagnitude) : nil
  }

  var byteCount: Int { ranks.byteCount + leastRanks.byteCount + (sequence?.byteCount ?? 0) }
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
