import CovertreeBase

/// Records that all threads work on together, in chunks. What comes of it does not depend on how many threads there are.
struct SharedRecords<R: PointRecords> {
  let records: R
  let dim: Int
  let scratch: PerThread<CutScratch<R.S>>
  let context: CallContext

  /// Records that a thread takes at a time.
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
      let own = try scratch.value(slot) { () throws(CoverTreeError) in try CutScratch(dim: dim) }
      for number in range { body(number, chunk(number, of: positions), own) }
    }
  }

  /// The widest extent of some points along a coordinate.
  func widest(_ positions: Range<Int>) throws(CoverTreeError) -> Side<R.S> {
    // All threads' boxes count: those of earlier ranges must be gone.
    for own in scratch.all { own.clear() }
    try forEachChunk(positions) { (_, chunk, own) in records.extend(own.low, own.high, chunk) }
    let whole = try scratch.value(0) { () throws(CoverTreeError) in try CutScratch(dim: dim) }
    for own in scratch.all { whole.extend(own) }
    return whole.widest(dim)
  }

  /// How many of some points are in front of a center along a coordinate, of 1.
  func share(_ positions: Range<Int>, before center: R.S, along d: Int) throws(CoverTreeError) -> Double {
    let before = Counter()
    try forEachChunk(positions) { (_, chunk, _) in
      var sum = 0
      for position in chunk { sum &+= records.coordinate(position, d) < center ? 1 : 0 }
      before.add(sum)
    }
    return Double(before.value) / Double(positions.count)
  }

  /// Puts the points below a pivot along a coordinate first: those of each chunk, then parts of chunks that are on the wrong side
  /// are swapped.
  ///
  /// - Returns: how many they are.
  func partition(_ positions: Range<Int>, below pivot: R.S, along d: Int) throws(CoverTreeError) -> Int {
    let below = try Buffer<Int>(count: (positions.count + Self.chunk - 1) / Self.chunk)
    try forEachChunk(positions) { (number, chunk, own) in
      below[number] = records.partition(chunk, below: pivot, along: d, own.aside)
    }
    let total = below.elements.reduce(0, +)
    let middle = positions.lowerBound + total
    var early = MisplacedParts()
    var late = MisplacedParts()
    for number in 0..<below.count {
      let chunk = chunk(number, of: positions)
      let cut = chunk.lowerBound + below[number]
      early.append(min(cut, middle)..<min(chunk.upperBound, middle))
      late.append(max(chunk.lowerBound, middle)..<max(cut, middle))
    }
    try exchange(early, late)
    return total
  }

  /// Swaps two lists of as many records.
  private func exchange(_ early: MisplacedParts, _ late: MisplacedParts) throws(CoverTreeError) {
    let size = records.size
    try context.forEach(early.count, grain: Self.chunk) { (range, slot) throws(CoverTreeError) in
      let own = try scratch.value(slot) { () throws(CoverTreeError) in try CutScratch(dim: dim) }
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

/// Ranges of positions one after the other.
private struct MisplacedParts {
  private var parts: [Range<Int>] = []
  /// How many come before each part.
  private var before: [Int] = []
  private(set) var count = 0

  mutating func append(_ part: Range<Int>) {
    guard !part.isEmpty else { return }
    parts.append(part)
    before.append(count)
    count += part.count
  }

  /// The position of one of them, and how many follow it in its part, itself included.
  func position(_ number: Int) -> (position: Int, left: Int) {
    var (low, high) = (0, parts.count)
    while high - low > 1 {
      let middle = (low + high) / 2
      if before[middle] <= number { low = middle } else { high = middle }
    }
    let within = number - before[low]
    return (parts[low].lowerBound + within, parts[low].count - within)
  }
}
