import CovertreeBase

/// The conditioning sets of all points, by position, in both directions.
final class ConditioningGraph: @unchecked Sendable {
  let count: Int
  /// The set of position `i` is `members[offsets[i]..<offsets[i + 1]]`, in the caller's order.
  let offsets: Buffer<Int>
  let members: Buffer<Int32>
  /// The positions in whose sets position `j` is are `holders[holderOffsets[j]..<holderOffsets[j + 1]]`, in ascending order.
  let holderOffsets: Buffer<Int>
  let holders: Buffer<Int32>
  /// Where position `j` is in `members`, for each of its holders.
  let places: Buffer<Int>
  /// The size of the largest set.
  let largest: Int

  /// - Parameters:
  ///   - offsets: of the set of each rank.
  ///   - ranks: of the members, below the rank's own.
  ///   - positionOfRank: where points are stored.
  init(
    offsets given: UnsafeBufferPointer<Int64>, ranks: UnsafeBufferPointer<Int64>, positionOfRank: Buffer<Int32>
  ) throws(CoverTreeError) {
    count = positionOfRank.count
    try Self.check(given, ranks, count) { $0 }
    offsets = try Buffer(count: count + 1, filledWith: 0)
    for rank in 0..<count { offsets[Int(positionOfRank[rank]) + 1] = Int(given[rank + 1] - given[rank]) }
    largest = offsets.elements.max() ?? 0
    for position in 0..<count { offsets[position + 1] += offsets[position] }
    members = try Buffer(count: ranks.count)
    holderOffsets = try Buffer(count: count + 1, filledWith: 0)
    for rank in 0..<count {
      let first = offsets[positionOfRank[rank]]
      for (slot, member) in ranks[Int(given[rank])..<Int(given[rank + 1])].enumerated() {
        members[first + slot] = positionOfRank[Int(member)]
        holderOffsets[Int(positionOfRank[Int(member)]) + 1] += 1
      }
    }
    for position in 0..<count { holderOffsets[position + 1] += holderOffsets[position] }
    holders = try Buffer(count: ranks.count)
    places = try Buffer(count: ranks.count)
    let next = try Buffer<Int>(count: count)
    next.base.update(from: holderOffsets.base, count: count)
    for position in 0..<count {
      for place in offsets[position]..<offsets[position + 1] {
        let slot = next[members[place]]
        (holders[slot], places[slot]) = (Int32(position), place)
        next[members[place]] = slot + 1
      }
    }
  }

  /// Checks sets of the caller.
  ///
  /// - Parameter end: of the ranks that a set may have, by its number.
  static func check(
    _ offsets: UnsafeBufferPointer<Int64>, _ ranks: UnsafeBufferPointer<Int64>, _ count: Int, end: (Int) -> Int
  ) throws(CoverTreeError) {
    guard offsets.count == count + 1, offsets[0] == 0, offsets[count] == Int64(ranks.count) else {
      throw CoverTreeError(.shape, "offsets: expected \(count + 1) numbers from 0 to the number of neighbours")
    }
    for set in 0..<count {
      guard offsets[set] <= offsets[set + 1], offsets[set + 1] <= Int64(ranks.count) else {
        throw CoverTreeError(.invalidArgument, "offsets: expected ascending numbers")
      }
    }
    let sorted = try GrowableBuffer<Int64>()
    for set in 0..<count {
      try sorted.resize(to: 0)
      for place in Int(offsets[set])..<Int(offsets[set + 1]) {
        guard (0..<Int64(end(set))).contains(ranks[place]) else {
          throw CoverTreeError(
            .invalidArgument, "neighbors: expected ranks below \(end(set)) in set \(set), got \(ranks[place])")
        }
        try sorted.append(ranks[place])
      }
      var members = UnsafeMutableBufferPointer(start: sorted.base, count: sorted.count)
      members.sort()
      for slot in 1..<max(1, members.count) where members[slot] == members[slot - 1] {
        throw CoverTreeError(.invalidArgument, "neighbors: rank \(members[slot]) is twice in set \(set)")
      }
    }
  }

  @inline(__always)
  func set(of position: Int) -> UnsafeBufferPointer<Int32> {
    UnsafeBufferPointer(
      start: members.base + offsets[position], count: offsets[position + 1] - offsets[position])
  }

  var byteCount: Int {
    offsets.byteCount + members.byteCount + holderOffsets.byteCount + holders.byteCount + places.byteCount
  }
}
