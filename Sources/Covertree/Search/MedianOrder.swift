import CNumerics

/// Where a range of points is cut.
public enum SplitRule: Int32, Sendable {
  /// At the median of the coordinate of greatest variance, as a sample of the range has it.
  case medianOfVariance = 0
  /// In the middle of the widest extent, moved to where whole blocks, or children, begin.
  case slidingMidpoint = 1
  /// At the median of the coordinate of widest extent.
  case medianOfExtent = 2
}

/// Points in the order of a k-d tree's leaves: cut by a rule until *blocks* of `blockSize` are left. All blocks but the last are
/// full.
///
/// With a `fanout`, cuts fall on whole subtrees of the tree that has so many consecutive blocks, or nodes, under each node;
/// without one, ranges of blocks are halved. Equal coordinates are cut by row: the order depends on the points alone.
///
/// J. L. Bentley, "Multidimensional binary search trees used for associative searching", CACM 18 (1975). O(n log(n /
/// blockSize)) expected.
struct MedianOrder<S: Scalar> {
  /// Place to row.
  let rows: Buffer<Int32>

  init(
    _ points: PointsView<S>, blockSize: Int, fanout: Int? = nil, rule: SplitRule = .medianOfExtent, context: CallContext
  ) throws(CoverTreeError) {
    rows = try Buffer(count: points.count)
    for row in 0..<points.count { rows[row] = Int32(row) }
    try specialized(
      points.dim,
      MedianCuts(
        points: points, blockSize: blockSize, fanout: fanout, rule: rule, rows: rows,
        keys: try Buffer(count: points.count),
        scratch: try Buffer(count: points.count + (points.count / blockSize + 2) * MedianCuts<S>.slack),
        context: context))
  }
}

private struct MedianCuts<S: Scalar>: DimensionTask {
  static var slack: Int { 8 }

  let points: PointsView<S>
  let blockSize: Int
  let fanout: Int?
  let rule: SplitRule
  let rows: Buffer<Int32>
  /// Scratch: how far along the widest dimension a point is, then its row.
  let keys: Buffer<UInt64>
  /// For partitions: each block has a little more room than keys, so that ranges can be cut at the same time.
  let scratch: Buffer<UInt64>
  let context: CallContext

  func run<D: Dimension>(_ dimension: D) throws(CoverTreeError) {
    // Ranges of blocks are cut in parallel until there are enough of them; then each to its end.
    var ranges = [0..<(points.count + blockSize - 1) / blockSize]
    while ranges.count < 8 * context.threads, ranges.contains(where: { $0.count > 1 }) {
      let level = ranges
      let middles = try Buffer<Int>(count: level.count)
      try context.forEach(level.count, grain: 1) { (chunk, _) throws(CoverTreeError) in
        for range in chunk where level[range].count > 1 { middles[range] = cut(level[range], dimension) }
      }
      ranges = level.enumerated().flatMap { (place, range) in
        range.count > 1 ? [range.lowerBound..<middles[place], middles[place]..<range.upperBound] : [range]
      }
    }
    let last = ranges
    try context.forEach(last.count, grain: 1) { (chunk, _) throws(CoverTreeError) in
      for range in chunk { cutToBlocks(last[range], dimension) }
    }
  }

  private func cutToBlocks<D: Dimension>(_ blocks: Range<Int>, _ dimension: D) {
    guard blocks.count > 1 else { return }
    let middle = cut(blocks, dimension)
    cutToBlocks(blocks.lowerBound..<middle, dimension)
    cutToBlocks(middle..<blocks.upperBound, dimension)
  }

  /// Puts the points that come first along a dimension into the first blocks of a range of two or more.
  ///
  /// - Returns: the block that comes first on the far side.
  private func cut<D: Dimension>(_ blocks: Range<Int>, _ dimension: D) -> Int {
    let (first, end) = (blocks.lowerBound * blockSize, min(rows.count, blocks.upperBound * blockSize))
    let extent = rule == .medianOfVariance ? mostVaried(first..<end, dimension) : widest(first..<end, dimension)
    let inFirstHalf = fillKeys(first..<end, extent, dimension)
    let middle = middle(blocks, rule == .slidingMidpoint ? Double(inFirstHalf) / Double(end - first) : 0.5)
    select(
      keys.base + first, count: end - first, smallest: middle * blockSize - first,
      scratch: scratch.base + (first + blocks.lowerBound * Self.slack))
    for place in first..<end { rows.base[place] = Int32(truncatingIfNeeded: keys.base[place]) }
    return middle
  }

  /// Keys of some places: how far along the extent their points are, then their rows.
  ///
  /// - Returns: how many points are in the first half of the extent.
  @inline(__always)
  private func fillKeys<D: Dimension>(_ places: Range<Int>, _ extent: Extent, _ dimension: D) -> Int {
    let (rows, keys) = (rows.base, keys.base)
    let column = points.base + extent.dimension
    let stride = points.stride
    let width = extent.high - extent.low
    var inFirstHalf = 0
    if S.self == Float.self {
      // Its bits, put in order, are fine enough and all that is needed.
      let half = ordered(Float(extent.low + width / 2))
      for place in places {
        let row = rows[place]
        let key = ordered(Float(column[Int(row) &* stride]))
        inFirstHalf &+= key < half ? 1 : 0
        keys[place] = UInt64(key) &<< 32 | UInt64(UInt32(bitPattern: row))
      }
      return inFirstHalf
    }
    let scale = width > Double.leastNormalMagnitude ? Double(UInt32.max) / width : 0
    for place in places {
      let row = rows[place]
      let along = (Double(column[Int(row) &* stride]) - extent.low) * scale
      let key = UInt64(max(0, min(along, Double(UInt32.max))))
      inFirstHalf &+= key &>> 31 == 0 ? 1 : 0
      keys[place] = key &<< 32 | UInt64(UInt32(bitPattern: row))
    }
    return inFirstHalf
  }

  /// An integer for a number, of the same order.
  @inline(__always)
  private func ordered(_ x: Float) -> UInt32 {
    // Adding zero makes one of the two zeros.
    let bits = (x + 0).bitPattern
    return bits ^ (UInt32(bitPattern: Int32(bitPattern: bits) &>> 31) | 0x8000_0000)
  }

  /// The block that a cut of these blocks puts first on the far side, so that about a share of them comes before it.
  private func middle(_ blocks: Range<Int>, _ share: Double) -> Int {
    var unit = 1
    while let fanout, unit * fanout < blocks.count { unit *= fanout }
    let units = (blocks.count + unit - 1) / unit
    let before = share == 0.5 ? (units + 1) / 2 : Int((Double(units) * share).rounded())
    return blocks.lowerBound + max(1, min(units - 1, before)) * unit
  }

  /// Points that tell the variances of a range.
  private static var sample: Int { 32 }

  private struct Extent {
    var dimension: Int
    var low: Double
    var high: Double
  }

  /// The widest extent of some points along a coordinate.
  @inline(__always)
  private func widest<D: Dimension>(_ places: Range<Int>, _ dimension: D) -> Extent {
    var widest = Extent(dimension: 0, low: 0, high: -1)
    // Four coordinates at a time: their extremes stay in registers.
    for first in stride(from: 0, to: dimension.count, by: 4) {
      let last = dimension.count - 1 - first
      let (b, c, d) = (min(1, last), min(2, last), min(3, last))
      var low = (S.infinity, S.infinity, S.infinity, S.infinity)
      var high = (-S.infinity, -S.infinity, -S.infinity, -S.infinity)
      for place in places {
        let x = points.row(Int(rows.base[place])) + first
        low = (least(low.0, x[0]), least(low.1, x[b]), least(low.2, x[c]), least(low.3, x[d]))
        high = (greatest(high.0, x[0]), greatest(high.1, x[b]), greatest(high.2, x[c]), greatest(high.3, x[d]))
      }
      let extents = [(low.0, high.0), (low.1, high.1), (low.2, high.2), (low.3, high.3)]
      for (i, (low, high)) in extents.enumerated() where i <= last {
        if Double(high) - Double(low) > widest.high - widest.low {
          widest = Extent(dimension: first + i, low: Double(low), high: Double(high))
        }
      }
    }
    return widest
  }

  /// The extent of a sample of some points along the coordinate of greatest variance.
  private func mostVaried<D: Dimension>(_ places: Range<Int>, _ dimension: D) -> Extent {
    let step = max(1, places.count / Self.sample)
    var most = (variance: -1.0, extent: Extent(dimension: 0, low: 0, high: 0))
    for d in 0..<dimension.count {
      // Squares are of what a coordinate is off the first one: far from the origin they would cancel.
      let origin = Double(points.row(Int(rows.base[places.lowerBound]))[d])
      var (sum, squares, low, high, count) = (0.0, 0.0, 0.0, 0.0, 0.0)
      for place in stride(from: places.lowerBound, to: places.upperBound, by: step) {
        let x = Double(points.row(Int(rows.base[place]))[d]) - origin
        sum += x
        squares += x * x
        (low, high, count) = (min(low, x), max(high, x), count + 1)
      }
      let variance = squares - sum * sum / count
      if variance > most.variance {
        most = (variance, Extent(dimension: d, low: origin + low, high: origin + high))
      }
    }
    return most.extent
  }

  @inline(__always)
  private func least(_ a: S, _ b: S) -> S { a < b ? a : b }
  @inline(__always)
  private func greatest(_ a: S, _ b: S) -> S { a > b ? a : b }
}

/// Puts the `smallest` least of distinct keys first: Hoare's selection, with a partition that packs vectors.
private func select(
  _ keys: UnsafeMutablePointer<UInt64>, count: Int, smallest: Int, scratch: UnsafeMutablePointer<UInt64>
) {
  var (low, high) = (0, count)
  while high - low > 1 {
    let pivot = keys[middlePlace(keys, low, high - 1)]
    let below = low + Int(cn_u64_partition(keys + low, Int64(high - low), pivot, scratch))
    if smallest == below { return }
    if smallest < below {
      high = below
    } else if below > low {
      low = below
    } else {
      // The pivot is the least: it is put first, and done.
      let place = (low..<high).first { keys[$0] == pivot }!
      keys[place] = keys[low]
      keys[low] = pivot
      low += 1
      if smallest == low { return }
    }
  }
}

/// Where the median of some of the keys stands: of three, or of three such medians where there are many.
private func middlePlace(_ keys: UnsafeMutablePointer<UInt64>, _ low: Int, _ last: Int) -> Int {
  func median(_ a: Int, _ b: Int, _ c: Int) -> Int {
    let (x, y, z) = (keys[a], keys[b], keys[c])
    return x < y ? (y < z ? b : (x < z ? c : a)) : (x < z ? a : (y < z ? c : b))
  }
  let step = (last - low) / 8
  guard step > 4 else { return median(low, low + (last - low) / 2, last) }
  return median(
    median(low, low + step, low + 2 * step), median(low + 3 * step, low + 4 * step, low + 5 * step),
    median(low + 6 * step, low + 7 * step, last))
}
