/// Records that all threads work on together, in chunks. What comes of it does not depend on how many threads there are.
struct SharedRecords<R: PointRecords> {
  let records: R
  let dim: Int
  let scratch: PerThread<CutScratch<R.S>>
  let context: CallContext

  /// Records that a thread takes at a time.
  private static var chunk: Int { 1 << 14 }

  private func chunk(_ number: Int, of places: Range<Int>) -> Range<Int> {
    let first = places.lowerBound + number * Self.chunk
    return first..<min(places.upperBound, first + Self.chunk)
  }

  private func forEachChunk(
    _ places: Range<Int>, _ body: (Int, Range<Int>, CutScratch<R.S>) -> Void
  ) throws(CoverTreeError) {
    try context.forEach((places.count + Self.chunk - 1) / Self.chunk, grain: 1) {
      (range, slot) throws(CoverTreeError) in
      let own = try scratch.value(slot) { () throws(CoverTreeError) in try CutScratch(dim: dim) }
      for number in range { body(number, chunk(number, of: places), own) }
    }
  }

  /// The widest extent of some points along a coordinate.
  func widest(_ places: Range<Int>) throws(CoverTreeError) -> Side<R.S> {
    // All threads' boxes count: those of earlier ranges must be gone.
    for own in scratch.all { own.clear() }
    try forEachChunk(places) { (_, chunk, own) in records.extend(own.low, own.high, chunk) }
    let whole = try scratch.value(0) { () throws(CoverTreeError) in try CutScratch(dim: dim) }
    for own in scratch.all { whole.extend(own) }
    return whole.widest(dim)
  }

  /// How many of some points are in front of a center along a coordinate, of 1.
  func share(_ places: Range<Int>, before center: R.S, along d: Int) throws(CoverTreeError) -> Double {
    let before = Counter()
    try forEachChunk(places) { (_, chunk, _) in
      var sum = 0
      for place in chunk { sum &+= records.coordinate(place, d) < center ? 1 : 0 }
      before.add(sum)
    }
    return Double(before.value) / Double(places.count)
  }

  /// Puts the points below a pivot along a coordinate first: those of each chunk, then parts of chunks that are on the wrong side
  /// change places.
  ///
  /// - Returns: how many they are.
  func partition(_ places: Range<Int>, below pivot: R.S, along d: Int) throws(CoverTreeError) -> Int {
    let below = try Buffer<Int>(count: (places.count + Self.chunk - 1) / Self.chunk)
    try forEachChunk(places) { (number, chunk, own) in
      below[number] = records.partition(chunk, below: pivot, along: d, own.aside)
    }
    let total = below.elements.reduce(0, +)
    let middle = places.lowerBound + total
    var early = MisplacedParts()
    var late = MisplacedParts()
    for number in 0..<below.count {
      let chunk = chunk(number, of: places)
      let cut = chunk.lowerBound + below[number]
      early.append(min(cut, middle)..<min(chunk.upperBound, middle))
      late.append(max(chunk.lowerBound, middle)..<max(cut, middle))
    }
    try exchange(early, late)
    return total
  }

  /// Has two lists of as many records change places.
  private func exchange(_ early: MisplacedParts, _ late: MisplacedParts) throws(CoverTreeError) {
    let size = records.size
    try context.forEach(early.count, grain: Self.chunk) { (range, slot) throws(CoverTreeError) in
      let own = try scratch.value(slot) { () throws(CoverTreeError) in try CutScratch(dim: dim) }
      var done = range.lowerBound
      while done < range.upperBound {
        let (from, to) = (early.place(done), late.place(done))
        let count = min(from.left, to.left, range.upperBound - done, recordsAside)
        let (one, other) = (records.base + from.place * size, records.base + to.place * size)
        own.aside.copyMemory(from: one, byteCount: count * size)
        one.copyMemory(from: other, byteCount: count * size)
        other.copyMemory(from: own.aside, byteCount: count * size)
        done += count
      }
    }
  }
}

/// Ranges of places one after the other.
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

  /// The place of one of them, and how many follow it in its part, itself included.
  func place(_ number: Int) -> (place: Int, left: Int) {
    var (low, high) = (0, parts.count)
    while high - low > 1 {
      let middle = (low + high) / 2
      if before[middle] <= number { low = middle } else { high = middle }
    }
    let within = number - before[low]
    return (parts[low].lowerBound + within, parts[low].count - within)
  }
}
