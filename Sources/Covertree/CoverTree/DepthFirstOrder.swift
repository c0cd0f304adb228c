import CovertreeBase
import Synchronization

/// The position of each node of a finished insertion in depth-first order, with siblings in the builder's order.
struct DepthFirstOrder {
  /// By the builder's number: the position in depth-first order, and the size of the subtree.
  let position: Buffer<Int32>
  let size: Buffer<Int32>

  private static var grain: Int { 1 << 12 }

  init(_ nodes: TreeNodes, context: CallContext) throws(CoverTreeError) {
    let count = nodes.count
    position = try Buffer(count: count)
    size = try Buffer(count: count, filledWith: 1)
    let (position, size) = (position, size)
    let levels = try NodesByLevel(nodes, context: context)
    // Every node is on a level below its parent's, so the nodes of a level are ready together.
    let sums = UnsafeMutableRawPointer(size.base).assumingMemoryBound(to: Atomic<Int32>.self)
    for bucket in levels.buckets.reversed() {
      try context.forEach(bucket.count, grain: Self.grain) { (range, _) throws(CoverTreeError) in
        for index in range {
          let node = levels.sorted[bucket.lowerBound + index]
          guard nodes.parent[node] >= 0 else { continue }
          _ = sums[Int(nodes.parent[node])].wrappingAdd(size[node], ordering: .relaxed)
        }
      }
    }
    // Children of a node in the builder's order: lists linked through the nodes, filled from the back.
    let firstChild = try Buffer<Int32>(count: count, filledWith: -1)
    let nextSibling = try Buffer<Int32>(count: count)
    for node in stride(from: count - 1, through: 0, by: -1) where nodes.parent[node] >= 0 {
      nextSibling[node] = firstChild[nodes.parent[node]]
      firstChild[nodes.parent[node]] = Int32(node)
    }
    try context.poll()
    position[levels.sorted[0]] = 0
    for bucket in levels.buckets {
      try context.forEach(bucket.count, grain: Self.grain) { (range, _) throws(CoverTreeError) in
        for index in range {
          let node = levels.sorted[bucket.lowerBound + index]
          var next = position[node] + 1
          var child = firstChild[node]
          while child >= 0 {
            position[child] = next
            next += size[child]
            child = nextSibling[child]
          }
        }
      }
    }
  }
}

/// Nodes from the highest level to the lowest, so that each comes after its parent; inside a level in the builder's order.
private struct NodesByLevel {
  let sorted: Buffer<Int32>
  /// The range of each level; the last one has the duplicates.
  let buckets: [Range<Int>]

  init(_ nodes: TreeNodes, context: CallContext) throws(CoverTreeError) {
    let count = nodes.count
    let level = nodes.level
    let grain = 1 << 14
    let highest = try context.greatest(of: count, grain: grain) { level[$0] } ?? 0
    // Duplicates have the least level of all, so the root's is not below it.
    let depth =
      try context.greatest(of: count, grain: grain) {
        level[$0] == TreeNodes.duplicate ? 0 : Int(highest) - Int(level[$0])
      } ?? 0
    // Bucket 0 is the highest level; the last one is for duplicates.
    let levels = depth + 2
    @inline(__always) func bucket(_ node: Int) -> Int {
      level[node] == TreeNodes.duplicate ? levels - 1 : Int(highest) - Int(level[node])
    }
    let blocks = max(1, min(64, count / max(levels, grain)))
    let block = (count + blocks - 1) / blocks
    let starts = try Buffer<Int32>(count: blocks * levels, filledWith: 0)
    try context.forEach(blocks, grain: 1) { (range, _) throws(CoverTreeError) in
      for b in range {
        for node in b * block..<min(count, (b + 1) * block) { starts.base[b * levels + bucket(node)] += 1 }
      }
    }
    var buckets: [Range<Int>] = []
    var total: Int32 = 0
    for level in 0..<levels {
      let first = total
      for b in 0..<blocks {
        let here = starts[b * levels + level]
        starts[b * levels + level] = total
        total += here
      }
      if total > first { buckets.append(Int(first)..<Int(total)) }
    }
    self.buckets = buckets
    sorted = try Buffer(count: count)
    let sorted = sorted
    try context.forEach(blocks, grain: 1) { (range, _) throws(CoverTreeError) in
      for b in range {
        for node in b * block..<min(count, (b + 1) * block) {
          let slot = b * levels + bucket(node)
          sorted[starts[slot]] = Int32(truncatingIfNeeded: node)
          starts.base[slot] += 1
        }
      }
    }
  }
}
