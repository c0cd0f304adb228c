extension Inserter {
  /// The vertices among the sources, with an edge wherever two lie within `2^level`.
  func conflictGraph(radius level: Int32) throws(CoverTreeError) -> ConflictGraph {
    let radiusSquared = squaredRadius(ofLevel: level)
    let radius = radiusSquared.squareRoot()
    let clusters = pyramid.clusters
    for cluster in 0..<clusters.count {
      let has = !sources.range(cluster).isEmpty
      clusters.targetReach[cluster] = has ? spread[cluster] + radius : -.infinity
      clusters.sourceReach[cluster] = has ? spread[cluster] : -.infinity
    }
    let graph = try ConflictGraph(vertices: sources.points.count, slots: context.threads)
    for scratch in scratch { scratch.edges.removeAll() }
    try pyramid.forEachTarget { (cluster, near, slot) throws(CoverTreeError) in
      let scratch = scratch[slot]
      let vertices = sources.range(Int(cluster))
      try gatherSources(
        near: near, center: clusters.centers[cluster], within: clusters.targetReach[cluster],
        for: vertices.count, into: scratch)
      for vertex in vertices {
        let begin = scratch.edges.count
        try compare(sources.points[vertex], scratch)
        for group in 0..<vectorCount(scratch.points.count) {
          var hits = Double.maskLessOrEqual(scratch.distances[group], SIMD8(repeating: radiusSquared))
          while hits != 0 {
            let other = scratch.positions[group &* 8 &+ hits.trailingZeroBitCount]
            if Int(other) != vertex { try scratch.edges.append(other) }
            hits &= hits &- 1
          }
        }
        graph.setEdges(of: vertex, begin: begin, count: scratch.edges.count - begin, slot: slot)
      }
    }
    graph.edges = scratch.map(\.edges)
    statistics.conflictEdges += graph.edgeCount / 2
    return graph
  }

  /// Members look whether one of the sources near their cluster is nearer than the nearest centre they know.
  func attractMembers() throws(CoverTreeError) {
    let clusters = pyramid.clusters
    for cluster in 0..<clusters.count {
      let hasMembers = memberOffsets[cluster] < memberOffsets[cluster + 1]
      // A source s is nearer to a member p than p's centre c only if d(c, s) <= d(c, p) + d(p, s) < 2 d(c, p).
      clusters.targetReach[cluster] = hasMembers ? 2 * spread[cluster] : -.infinity
      clusters.sourceReach[cluster] = sources.range(cluster).isEmpty ? -.infinity : sourceSpread(cluster)
    }
    // Clusters with more members than this are shared out among the threads afterwards.
    let heavy = 4096
    let postponed = try Postponed(slots: context.threads)
    try pyramid.forEachTarget { (cluster, near, slot) throws(CoverTreeError) in
      let scratch = scratch[slot]
      let range = memberOffsets[cluster]..<memberOffsets[cluster + 1]
      try gatherSources(
        near: near, center: clusters.centers[cluster], within: clusters.targetReach[cluster],
        for: range.count, into: scratch)
      if range.count <= heavy {
        try attract(Int(range.lowerBound)..<Int(range.upperBound), to: scratch)
      } else {
        try postponed.add(cluster, sources: scratch.points.elements, slot: slot)
      }
    }
    for (cluster, points) in postponed.all {
      let first = Int(memberOffsets[cluster])
      let count = Int(memberOffsets[cluster + 1]) - first
      for scratch in scratch {
        scratch.points.removeAll()
        try scratch.points.append(points.elements)
        try metric.fill(scratch.block, with: points.elements)
        try scratch.distances.resize(to: vectorCount(points.count))
      }
      try context.forEach(count, grain: 2048) { (range, slot) throws(CoverTreeError) in
        try attract(first + range.lowerBound..<first + range.upperBound, to: scratch[slot])
      }
    }
  }

  /// The largest distance of a source from its cluster's centre. Sources are members, or children that the tree had.
  private func sourceSpread(_ cluster: Int) -> Double {
    guard let old else { return spread[cluster] }
    return max(spread[cluster], old.reach[cluster])
  }

  /// Each of the members takes the nearest of the gathered sources where it is nearer than the centre it has.
  private func attract(_ range: Range<Int>, to scratch: Scratch<M>) throws(CoverTreeError) {
    let groups = vectorCount(scratch.points.count)
    let members = members
    for index in range {
      let member = members[index]
      guard nodes.level[member] == TreeNodes.absent else { continue }
      try compare(member, scratch)
      let distances = scratch.distances.base
      var smallest = SIMD8<Double>(repeating: nearestSquared[member])
      var group = SIMD8<Int64>(repeating: -1)
      for g in 0..<groups {
        let closer = distances[g] .< smallest
        smallest.replace(with: distances[g], where: closer)
        group.replace(with: SIMD8(repeating: Int64(g)), where: closer)
      }
      // The first of the nearest: the smallest position among the lanes that hold the minimum.
      var best = -1
      var bestSquared = nearestSquared[member]
      for lane in 0..<8 where group[lane] >= 0 {
        let position = Int(group[lane]) &* 8 &+ lane
        if smallest[lane] < bestSquared || (smallest[lane] == bestSquared && position < best) {
          best = position
          bestSquared = smallest[lane]
        }
      }
      if best >= 0 {
        nearest[member] = scratch.points[best]
        nearestSquared[member] = bestSquared
      }
    }
  }

  @inline(__always)
  private func compare(_ point: Int32, _ scratch: Scratch<M>) throws(CoverTreeError) {
    metric.squaredDistances(from: point, to: scratch.block, into: scratch.distances.base)
    scratch.distanceEvaluations &+= scratch.points.count
  }

  /// Gathers the sources of near clusters into a block; those beyond the reach of the centre are left out when there are enough
  /// members (`uses`) for that to pay.
  private func gatherSources(
    near: UnsafeBufferPointer<Int32>, center: Int32, within reach: Double, for uses: Int, into scratch: Scratch<M>
  ) throws(CoverTreeError) {
    let (positions, points) = (scratch.positions, scratch.points)
    positions.removeAll()
    points.removeAll()
    for cluster in near {
      for position in sources.range(Int(cluster)) {
        try positions.append(Int32(position))
        try points.append(sources.points[position])
      }
    }
    try metric.fill(scratch.block, with: points.elements)
    try scratch.distances.resize(to: vectorCount(points.count))
    guard uses > 2, points.count > 16 else { return }
    try compare(center, scratch)
    let limit = SIMD8<Double>(repeating: reach * reach * (1 + 0x1p-40))
    var kept = 0
    for group in 0..<vectorCount(points.count) {
      var hits = Double.maskLessOrEqual(scratch.distances[group], limit)
      while hits != 0 {
        let index = group &* 8 &+ hits.trailingZeroBitCount
        positions[kept] = positions[index]
        points[kept] = points[index]
        kept &+= 1
        hits &= hits &- 1
      }
    }
    try positions.resize(to: kept)
    try points.resize(to: kept)
    try metric.fill(scratch.block, with: points.elements)
  }
}

/// Clusters whose members are too many for one thread, each with the sources near it.
private final class Postponed: @unchecked Sendable {
  private var lists: [[(Int32, Stack<Int32>)]]

  init(slots: Int) throws(CoverTreeError) { lists = Array(repeating: [], count: slots) }

  func add(_ cluster: Int32, sources: UnsafeBufferPointer<Int32>, slot: Int) throws(CoverTreeError) {
    let copy = try Stack<Int32>()
    try copy.append(sources)
    lists[slot].append((cluster, copy))
  }

  var all: [(Int32, Stack<Int32>)] { lists.flatMap { $0 } }
}
