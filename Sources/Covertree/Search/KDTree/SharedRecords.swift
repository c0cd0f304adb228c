import CovertreeBase

/// Records that all threads work on together, in chunks. The result does not depend on the number of threads.
struct SharedRecords<R: PointRecords> {
  let records: R
  let dim: Int
  let scales: [Double]?
  let scratch: PerThread<CutScratch<R.S>>
  let context: CallContext

  /// The number of records in a chunk.
  private static var chunk: Int { 1 << 14 }

  private func chunk(_ number: Int, of positions: Range<Int>) -> Range<Int> {
    let first = positions.lowerBound + number * Self.chunk
    return first..<min(positions.upperBound, first + Self.chunk)
  }

  private func forEachChunk(
    _ positions: Range<Int>, _ body: (Int, Range<Int>, CutScratch<R.S>) -> Void
  ) throws(CoverTreeError) {
    try context.forEach((positions.count + Self.chunk - 1) / Self.chunk, grain: 1) {
      (range, slot) throws(CoverTreeError) in
      let own = try scratch.value(slot) { () throws(CoverTreeError) in try CutScratch(dim: dim, scales) }
      for number in range { body(number, chunk(number, of: positions), own) }
    }
  }

  /// The widest extent of some points along a coordinate.
  func widest(_ positions: Range<Int>) throws(CoverTreeError) -> Side<R.S> {
    // The boxes of all threads count, so the boxes of earlier ranges are cleared.
    for own in scratch.all { own.clear() }
    try forEachChunk(positions) { (_, chunk, own) in records.extend(own.low, own.high, chunk) }
    let whole = try scratch.value(0) { () throws(CoverTreeError) in try CutScratch(dim: dim, scales) }
    for own in scratch.all { whole.extend(own) }
    return whole.widest(dim)
  }

  /// The share of some points before a center along a coordinate.
  func share(_ positions: Range<Int>, before center: R.S, along d: Int) throws(CoverTreeError) -> Double {
    let before = Counter()
    try forEachChunk(positions) { (_, chunk, _) in
      var sum = 0
      for position in chunk { sum &+= records.coordinate(position, d) < center ? 1 : 0 }
      before.add(sum)
    }
    return Double(before.value) / Double(positions.count)
  }

  /// Moves the points below a pivot along a coordinate to the front: first in each chunk, then by swapping ranges that are on the wrong
  /// side. Returns their number.
  func partition(_ positions: Range<Int>, below pivot: R.S, along d: Int) throws(CoverTreeError) -> Int {
    let below = try Buffer<Int>(count: (positions.count + Self.chunk - 1) / Self.chunk)
    try forEachChunk(positions) { (number, chunk, own) in
      below[number] = records.partition(chunk, below: pivot, along: d, own.aside)
    }
    let total = below.elements.reduce(0, +)
    let middle = positions.lowerBound + total
    var early = MisplacedRanges()
    var late = MisplacedRanges()
    for number in 0..<below.count {
      let chunk = chunk(number, of: positions)
      let cut = chunk.lowerBound + below[number]
      early.append(min(cut, middle)..<min(chunk.upperBound, middle))
      late.append(max(chunk.lowerBound, middle)..<max(cut, middle))
    }
    try exchange(early, late)
    return total
  }

  /// Swaps two lists of equally many records.
  private func exchange(_ early: MisplacedRanges, _ late: MisplacedRanges) throws(CoverTreeError) {
    let size = records.size
    try context.forEach(early.count, grain: Self.chunk) { (range, slot) throws(CoverTreeError) in
      let own = try scratch.value(slot) { () throws(CoverTreeError) in try CutScratch(dim: dim, scales) }
      var done = range.lowerBound
      while done < range.upperBound {
        let (from, to) = (early.position(done), late.position(done))
        let count = min(from.left, to.left, range.upperBound - done, recordsAside)
        let (one, other) = (records.base + from.position * size, records.base + to.position * size)
        own.aside.copyMemory(from: one, byteCount: count * size)
        one.copyMemory(from: other, byteCount: count * size)
        other.copyMemory(from: own.aside, byteCount: count * size)
        done += count
      }
    }
  }
}

/// A list of ranges of positions.
private struct MisplacedRanges {
  private var ranges: [Range<Int>] = []
  /// The number of positions before each range.
  private var before: [Int] = []
  private(set) var count = 0

  mutating func append(_ range: Range<Int>) {
    guard !range.isEmpty else { return }
    ranges.append(range)
    before.append(count)
    count += range.count
  }

  /// One of the positions, and the number that follow in its range, itself included.
  func position(_ number: Int) -> (position: Int, left: Int) {
    var (low, high) = (0, ranges.count)
    while high - low > 1 {
      let middle = (low + high) / 2
      if before[middle] <= number { low = middle } else { high = middle }
    }
    let within = number - before[low]
    return (ranges[low].lowerBound + within, ranges[low].count - within)
  }
}
