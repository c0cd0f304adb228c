/// Points cut into compact blocks of equal size, as a k-d tree's leaves are: halves at the median of the widest
/// dimension until a block is left. Inside a block points stand by their index, so that those before an index are a
/// prefix of it.
///
/// O(n log(n / blockSize)) expected.
struct BlockOrder {
  let blockSize: Int
  /// Place to index.
  let order: Buffer<Int32>

  /// - Parameter points: all blocks but the last have exactly `blockSize` of them.
  init(_ points: PointsView<Double>, blockSize: Int, context: CallContext) throws(CoverTreeError) {
    self.blockSize = blockSize
    let order = try Buffer<Int32>(count: points.count)
    for index in 0..<points.count { order[index] = Int32(index) }
    self.order = order
    // Ranges of blocks: cut level by level, those of a level in parallel.
    let blocks = (points.count + blockSize - 1) / blockSize
    var ranges = [0..<blocks]
    while let largest = ranges.map(\.count).max(), largest > 1 {
      let level = ranges
      try context.forEach(level.count, grain: 1) { (chunk, _) throws(CoverTreeError) in
        for range in chunk.map({ level[$0] }) where range.count > 1 {
          let cut = Self.middle(range)
          Self.split(
            order.base, range.lowerBound * blockSize, min(points.count, range.upperBound * blockSize),
            at: cut * blockSize, points)
        }
      }
      ranges = level.flatMap { range in
        range.count > 1
          ? [range.lowerBound..<Self.middle(range), Self.middle(range)..<range.upperBound] : [range]
      }
    }
    try context.forEach(blocks, grain: 16) { (range, _) throws(CoverTreeError) in
      for block in range {
        var members = UnsafeMutableBufferPointer(
          start: order.base + block * blockSize, count: min(blockSize, points.count - block * blockSize))
        members.sort()
      }
    }
  }

  private static func middle(_ range: Range<Int>) -> Int { range.lowerBound + (range.count + 1) / 2 }

  /// Puts the points that come first in the widest dimension before `cut`.
  private static func split(
    _ order: UnsafeMutablePointer<Int32>, _ first: Int, _ end: Int, at cut: Int, _ points: PointsView<Double>
  ) {
    var widest = 0
    var width = -1.0
    for d in 0..<points.dim {
      var (low, high) = (Double.infinity, -Double.infinity)
      for place in first..<end {
        let x = points.row(Int(order[place]))[d]
        low = min(low, x)
        high = max(high, x)
      }
      if high - low > width { (widest, width) = (d, high - low) }
    }
    /// By coordinate, equal ones by index: a total order, so that the cut does not depend on how it was found.
    func precedes(_ a: Int32, _ b: Int32) -> Bool {
      let (x, y) = (points.row(Int(a))[widest], points.row(Int(b))[widest])
      return x < y || (x == y && a < b)
    }
    // Hoare's selection.
    var (low, high) = (first, end - 1)
    while low < high {
      let pivot = order[low + (high - low) / 2]
      var (i, j) = (low, high)
      while i <= j {
        while precedes(order[i], pivot) { i += 1 }
        while precedes(pivot, order[j]) { j -= 1 }
        if i <= j {
          (order[i], order[j]) = (order[j], order[i])
          i += 1
          j -= 1
        }
      }
      if cut <= j { high = j } else if cut >= i { low = i } else { return }
    }
  }
}
