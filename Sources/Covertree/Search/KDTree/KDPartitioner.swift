import CovertreeBase

/// Cuts the ranges of a k-d tree, from all points down to blocks.
///
/// A cut reads its range once for the extents and writes it about one and a half times (`select`). All threads cut a large share of the
/// points together; smaller ranges are cut by one thread each.
struct KDPartitioner<S: Scalar> {
  let dim: Int
  let count: Int
  let blockSize: Int
  let fanout: Int?
  let rule: SplitRule
  /// The lengths of units of the coordinates, by which extents are compared; nil if they are equal.
  let scales: [Double]?
  let context: CallContext

  /// The least number of points that all threads cut together, if they are also a large share of all points.
  private static var togetherPoints: Int { 1 << 16 }
  private static var togetherShare: Int { 32 }
  /// Points between two polls of the caller.
  private static var polledPoints: Int { 1 << 16 }
  /// Fewer points are cut before other threads have started.
  private static var alonePoints: Int { 4096 }

  func run<R: PointRecords>(_ records: R) throws(CoverTreeError) where R.S == S {
    try context.forEach(count, grain: 1 << 14) { (positions, _) throws(CoverTreeError) in records.fill(positions) }
    let scratch = PerThread<CutScratch<S>>(count: context.threads)
    // The choice of ranges that are cut together does not depend on the threads, because it changes the order inside blocks.
    var ranges = [0..<(count + blockSize - 1) / blockSize]
    let enough = count < Self.alonePoints ? 1 : 8 * context.threads
    while let longest = ranges.map(\.count).max(), longest > 1, ranges.count < enough || isCutTogether(longest) {
      let level = ranges
      let middles = try Buffer<Int>(count: level.count)
      for (range, blocks) in level.enumerated() where isCutTogether(blocks.count) {
        middles[range] = try cutTogether(blocks, records, scratch)
      }
      try context.forEach(level.count, grain: 1) { (chunk, slot) throws(CoverTreeError) in
        for range in chunk where level[range].count > 1 && !isCutTogether(level[range].count) {
          let scratch = try scratch.value(slot) { () throws(CoverTreeError) in try CutScratch(dim: dim, scales) }
          middles[range] = cut(level[range], records, scratch)
        }
      }
      ranges = level.enumerated().flatMap { (position, range) in
        range.count > 1 ? [range.lowerBound..<middles[position], middles[position]..<range.upperBound] : [range]
      }
    }
    let last = ranges
    try context.forEach(last.count, grain: 1) { (chunk, slot) throws(CoverTreeError) in
      let scratch = try scratch.value(slot) { () throws(CoverTreeError) in try CutScratch(dim: dim, scales) }
      for range in chunk { try cutToBlocks(last[range], records, scratch, slot) }
    }
  }

  private func isCutTogether(_ blocks: Int) -> Bool {
    blocks > 1 && blocks * blockSize >= max(Self.togetherPoints, count / Self.togetherShare)
  }

  private func positions(_ blocks: Range<Int>) -> Range<Int> {
    blocks.lowerBound * blockSize..<min(count, blocks.upperBound * blockSize)
  }

  private func cutToBlocks<R: PointRecords>(
    _ blocks: Range<Int>, _ records: R, _ scratch: CutScratch<S>, _ slot: Int
  ) throws(CoverTreeError) where R.S == S {
    guard blocks.count > 1 else { return }
    if blocks.count * blockSize >= Self.polledPoints { try context.poll(inSlot: slot) }
    let middle = cut(blocks, records, scratch)
    try cutToBlocks(blocks.lowerBound..<middle, records, scratch, slot)
    try cutToBlocks(middle..<blocks.upperBound, records, scratch, slot)
  }

  /// Moves the points that come first along a dimension to the first blocks of a range of two or more. Returns the first block after them.
  @inline(__always)
  private func cut<R: PointRecords>(_ blocks: Range<Int>, _ records: R, _ scratch: CutScratch<S>) -> Int
  where R.S == S {
    let positions = positions(blocks)
    let side = rule == .medianOfVariance ? mostVaried(positions, records) : widest(positions, records, scratch)
    let share = rule == .slidingMidpoint ? share(positions, before: side.center, along: side.dimension, records) : 0.5
    let middle = middle(blocks, share)
    if rule != .medianOfVariance, side.low == side.high {
      selectRows(middle * blockSize, in: positions, records, scratch)
      return middle
    }
    select(middle * blockSize, in: positions, along: side.dimension, records, scratch) { (positions, pivot) in
      records.partition(positions, below: pivot, along: side.dimension, scratch.aside)
    }
    return middle
  }

  /// As `cut`, by all threads.
  private func cutTogether<R: PointRecords>(
    _ blocks: Range<Int>, _ records: R, _ scratch: PerThread<CutScratch<S>>
  ) throws(CoverTreeError) -> Int where R.S == S {
    let own = try scratch.value(0) { () throws(CoverTreeError) in try CutScratch(dim: dim, scales) }
    let all = SharedRecords(records: records, dim: dim, scales: scales, scratch: scratch, context: context)
    let positions = positions(blocks)
    let side = rule == .medianOfVariance ? mostVaried(positions, records) : try all.widest(positions)
    let share =
      rule == .slidingMidpoint ? try all.share(positions, before: side.center, along: side.dimension) : 0.5
    let middle = middle(blocks, share)
    if rule != .medianOfVariance, side.low == side.high {
      selectRows(middle * blockSize, in: positions, records, own)
      return middle
    }
    try select(middle * blockSize, in: positions, along: side.dimension, records, own) {
      (positions, pivot) throws(CoverTreeError) in
      positions.count < Self.togetherPoints
        ? records.partition(positions, below: pivot, along: side.dimension, own.aside)
        : try all.partition(positions, below: pivot, along: side.dimension)
    }
    return middle
  }

  /// The first block of the far side of a cut, so that about `share` of the blocks come before it.
  private func middle(_ blocks: Range<Int>, _ share: Double) -> Int {
    var unit = 1
    while let fanout, unit * fanout < blocks.count { unit *= fanout }
    let units = (blocks.count + unit - 1) / unit
    let before = share == 0.5 ? (units + 1) / 2 : Int((Double(units) * share).rounded())
    return blocks.lowerBound + max(1, min(units - 1, before)) * unit
  }

  /// The widest extent of some points along a coordinate.
  @inline(__always)
  private func widest<R: PointRecords>(_ positions: Range<Int>, _ records: R, _ scratch: CutScratch<S>) -> Side<S>
  where R.S == S {
    scratch.clear()
    records.extend(scratch.low, scratch.high, positions)
    return scratch.widest(dim)
  }

  /// The share of some points that are before the middle of an extent.
  private func share<R: PointRecords>(_ positions: Range<Int>, before center: S, along d: Int, _ records: R) -> Double
  where R.S == S {
    var before = 0
    for position in positions { before &+= records.coordinate(position, d) < center ? 1 : 0 }
    return Double(before) / Double(positions.count)
  }

  /// The size of a sample for variances: smaller for small ranges, which are many.
  private static func sample(_ count: Int) -> Int { count < 256 ? 32 : 64 }

  /// The extent of a sample of some points along the coordinate of greatest variance.
  private func mostVaried<R: PointRecords>(_ positions: Range<Int>, _ records: R) -> Side<S> where R.S == S {
    let step = max(1, positions.count / Self.sample(positions.count))
    var most = (variance: -1.0, side: Side<S>(dimension: 0, low: 0, high: 0))
    for d in 0..<dim {
      // Coordinates are relative to the first point, because squares far from the origin would cancel.
      let origin = records.coordinate(positions.lowerBound, d)
      var (sum, squares, count) = (0.0, 0.0, 0.0)
      var (low, high) = (origin, origin)
      for position in stride(from: positions.lowerBound, to: positions.upperBound, by: step) {
        let coordinate = records.coordinate(position, d)
        let x = Double(coordinate) - Double(origin)
        sum += x
        squares += x * x
        count += 1
        low = coordinate < low ? coordinate : low
        high = coordinate > high ? coordinate : high
      }
      let variance = squares - sum * sum / count
      if variance > most.variance { most = (variance, Side(dimension: d, low: low, high: high)) }
    }
    return most.side
  }
}

/// The extent of points along a coordinate.
struct Side<S: Scalar> {
  var dimension: Int
  var low: S
  var high: S

  var center: S { S(Double(low) + (Double(high) - Double(low)) / 2) }
}

/// A thread's scratch for cuts.
final class CutScratch<S: Scalar> {
  /// For partitions.
  let aside: UnsafeMutableRawPointer
  /// The sides of a box.
  let low: UnsafeMutablePointer<S>
  let high: UnsafeMutablePointer<S>
  /// Coordinates from which a pivot is chosen.
  let sample: UnsafeMutablePointer<S>
  private let memory: Buffer<UInt8>
  private let sides: Int

  private let scales: [Double]?

  init(dim: Int, _ scales: [Double]?) throws(CoverTreeError) {
    self.scales = scales
    sides = (dim + 15) / 16 * 16
    let scalars = 2 * sides + largestSample + S.width
    memory = try Buffer(count: recordsAside * largestRecord + scalars * MemoryLayout<S>.stride)
    aside = UnsafeMutableRawPointer(memory.base)
    low = (aside + recordsAside * largestRecord).bindMemory(to: S.self, capacity: scalars)
    high = low + sides
    sample = high + sides
    clear()
  }

  func clear() {
    low.update(repeating: .infinity, count: sides)
    high.update(repeating: -.infinity, count: sides)
  }

  /// Extends the box to contain another one.
  func extend(_ other: CutScratch) {
    for d in 0..<sides {
      low[d] = min(low[d], other.low[d])
      high[d] = max(high[d], other.high[d])
    }
  }

  /// The widest extent along one of the first coordinates.
  func widest(_ dim: Int) -> Side<S> {
    var widest = Side<S>(dimension: 0, low: 0, high: 0)
    var width = -1.0
    if let scales {
      for d in 0..<dim where (Double(high[d]) - Double(low[d])) * scales[d] > width {
        width = (Double(high[d]) - Double(low[d])) * scales[d]
        widest = Side(dimension: d, low: low[d], high: high[d])
      }
      return widest
    }
    for d in 0..<dim where Double(high[d]) - Double(low[d]) > width {
      width = Double(high[d]) - Double(low[d])
      widest = Side(dimension: d, low: low[d], high: high[d])
    }
    return widest
  }
}
