extension Inserter {
  /// Members gather around their nearest centres, which become the clusters of the next level. Clusters without members
  /// are left out, except old nodes whose descendants may still matter to a member near them.
  func regroup(level: Int32) throws(CoverTreeError) {
    let candidates = try listCandidates()
    let counts = try countMembers(candidates)
    let keep = try Buffer<UInt8>(count: counts.count)
    for index in 0..<counts.count { keep[index] = counts[index] > 0 ? 1 : 0 }

    var offsets = candidates.offsets
    if let old {
      // The candidates become a level of their own for the question which old nodes are near members; it is left out again right away.
      try pyramid.descend(to: candidates.points, childOffsets: offsets)
      try markNearOldNodes(old, keep, counts, level: level)
      offsets = try Buffer(count: counts.count + 1)
      for index in 0...counts.count { offsets[index] = Int32(index) }
    }
    try descend(to: candidates.points, keep, counts, homeOffsets: offsets)
  }

  /// Numbers the clusters that stay, home by home, and moves pyramid and members down to them.
  private func descend(
    to candidates: Buffer<Int32>, _ keep: Buffer<UInt8>, _ counts: Buffer<Int32>, homeOffsets: Buffer<Int32>
  ) throws(CoverTreeError) {
    let homes = homeOffsets.count - 1
    let kept = keep.elements.reduce(0) { $0 + Int($1) }
    let childOffsets = try Buffer<Int32>(count: homes + 1)
    let centers = try Buffer<Int32>(count: kept)
    let offsets = try Buffer<Int32>(count: kept + 1)
    var next = 0
    var total: Int32 = 0
    for home in 0..<homes {
      childOffsets[home] = Int32(next)
      for index in Int(homeOffsets[home])..<Int(homeOffsets[home + 1]) where keep[index] == 1 {
        centers[next] = candidates[index]
        offsets[next] = total
        nearest[centers[next]] = Int32(next)
        total += counts[index]
        next += 1
      }
    }
    childOffsets[homes] = Int32(next)
    offsets[kept] = total
    try moveMembers(to: offsets, count: Int(total))
    try pyramid.descend(to: centers, childOffsets: childOffsets)
    try measureSpread()
  }

  /// The centres of this level by home: each home's own centre, then those that entered from it.
  private func listCandidates() throws(CoverTreeError) -> (points: Buffer<Int32>, offsets: Buffer<Int32>) {
    let homes = pyramid.clusters.count
    let offsets = try Buffer<Int32>(count: homes + 1, filledWith: 0)
    for entry in entered.elements { offsets[entry.home + 1] += 1 }
    for home in 0..<homes { offsets[home + 1] += offsets[home] + 1 }
    let points = try Buffer<Int32>(count: homes + entered.count)
    let cursor = try Buffer<Int32>(count: homes)
    for home in 0..<homes {
      points[offsets[home]] = pyramid.clusters.centers[home]
      cursor[home] = offsets[home] + 1
    }
    for entry in entered.elements {
      points[cursor[entry.home]] = entry.point
      cursor[entry.home] += 1
    }
    return (points, offsets)
  }

  /// How many members each candidate has. A centre's own `nearest` is its number among the candidates from here on.
  private func countMembers(
    _ candidates: (points: Buffer<Int32>, offsets: Buffer<Int32>)
  ) throws(CoverTreeError) -> Buffer<Int32> {
    let counts = try Buffer<Int32>(count: candidates.points.count, filledWith: 0)
    for index in 0..<counts.count { nearest[candidates.points[index]] = Int32(index) }
    for index in 0..<memberCount {
      let member = members[index]
      guard nodes.level[member] == TreeNodes.absent else { continue }
      if nearestSquared[member] < smallestSquaredDistance {
        try settle(duplicate: member)
      } else {
        counts[nearest[nearest[member]]] += 1
      }
    }
    return counts
  }

  /// A member at distance 0 from its centre becomes a duplicate of it.
  func settle(duplicate member: Int32) throws(CoverTreeError) {
    guard metric.identical(member, nearest[member]) else {
      throw CoverTreeError(
        .invalidArgument,
        "points: two of them are less than 2^-480 apart, where a squared distance loses its digits; rescale the coordinates")
    }
    nodes.parent[member] = nearest[member]
    nodes.level[member] = TreeNodes.duplicate
  }

  /// Distributes the members that are still on their way; the order among a cluster's members is kept.
  private func moveMembers(to offsets: Buffer<Int32>, count: Int) throws(CoverTreeError) {
    let moved = try Buffer<Int32>(count: count)
    let cursor = try Buffer<Int32>(count: offsets.count)
    cursor.base.update(from: offsets.base, count: offsets.count)
    for index in 0..<memberCount {
      let member = members[index]
      guard nodes.level[member] == TreeNodes.absent else { continue }
      let cluster = nearest[nearest[member]]
      moved[cursor[cluster]] = member
      cursor[cluster] += 1
    }
    members = moved
    memberCount = count
    memberOffsets = offsets
  }

  /// The largest distance of a member from its centre, cluster by cluster.
  private func measureSpread() throws(CoverTreeError) {
    let (members, offsets) = (members, memberOffsets)
    let spread = try Buffer<Double>(count: offsets.count - 1)
    try context.forEach(spread.count, grain: 1024) { (range, _) throws(CoverTreeError) in
      for cluster in range {
        var farthest = 0.0
        for index in offsets[cluster]..<offsets[cluster + 1] {
          farthest = max(farthest, nearestSquared[members[index]])
        }
        spread[cluster] = farthest.squareRoot()
      }
    }
    self.spread = spread
  }
}

/// Squared distances below this have lost digits to underflow, or all of them. Only float64 coordinates come near it.
let smallestSquaredDistance = 0x1p-960
