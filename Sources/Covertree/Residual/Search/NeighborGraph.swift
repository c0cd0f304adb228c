import CovertreeBase

/// The neighbours of each point of a model within a squared residual-correlation distance, by positions.
///
/// If a point has few neighbours, they are listed. A point with many neighbours is compared with other points on request, because lists
/// of points that are close together, or equal, would take memory quadratic in their number.
///
/// Memory: up to 12 `mostListed` bytes per point.
final class NeighborGraph: @unchecked Sendable {
  /// The largest number of neighbours that are listed: half a block. Comparing a point with a block costs about as much.
  static let mostListed = 128

  private let search: ResidualSearch
  private let squared: Double
  /// The bounds of each point with all regions, if there are low-rank blocks.
  private let regions: LowRankBlocks.Regions?
  /// By position: the start and end of the neighbours; -1 for points that are not listed.
  private let begin: Buffer<Int>
  private let end: Buffer<Int>
  private let positions: Buffer<Int32>
  private let squares: Buffer<Double>

  /// The lists of one thread.
  final class ThreadResults {
    fileprivate let owners: GrowableBuffer<Int32>
    fileprivate let counts: GrowableBuffer<Int32>
    fileprivate let positions: GrowableBuffer<Int32>
    fileprivate let squares: GrowableBuffer<Double>

    init() throws(CoverTreeError) {
      (owners, counts) = (try GrowableBuffer(), try GrowableBuffer())
      (positions, squares) = (try GrowableBuffer(), try GrowableBuffer())
    }

    /// Begins the neighbours of a point.
    func begin(position: Int32) throws(CoverTreeError) {
      try owners.append(position)
      try counts.append(0)
    }

    /// Marks a point as not listed.
    func leaveOut(position: Int32) throws(CoverTreeError) {
      try owners.append(position)
      try counts.append(-1)
    }

    @inline(__always)
    func append(_ position: Int32, _ squared: Double) throws(CoverTreeError) {
      try positions.append(position)
      try squares.append(squared)
      counts[counts.count - 1] += 1
    }
  }

  /// - Parameter all: lists that have every point once.
  init(_ all: [ThreadResults], _ search: ResidualSearch, within squared: Double) throws(CoverTreeError) {
    (self.search, self.squared) = (search, squared)
    regions = search.lowRankBlocks?.knownRegions
    let count = search.model.count
    begin = try Buffer(count: count)
    end = try Buffer(count: count)
    let total = all.reduce(0) { $0 + $1.positions.count }
    positions = try Buffer(count: total)
    squares = try Buffer(count: total)
    var next = 0
    for results in all {
      (positions.base + next).update(from: results.positions.base, count: results.positions.count)
      (squares.base + next).update(from: results.squares.base, count: results.positions.count)
      for (slot, owner) in results.owners.elements.enumerated() {
        guard results.counts[slot] >= 0 else {
          (begin[owner], end[owner]) = (-1, -1)
          continue
        }
        begin[owner] = next
        next += Int(results.counts[slot])
        end[owner] = next
      }
    }
  }

  /// Some of the points, among which neighbours are searched.
  struct Choice: @unchecked Sendable {
    /// By position: the number of a chosen point; -1 for others.
    let numbers: Buffer<Int32>
    /// Positions of the chosen points, block by block, and the start of each block.
    fileprivate let positions: Buffer<Int32>
    fileprivate let starts: Buffer<Int32>

    /// - Parameters:
    ///   - count: of the chosen points.
    ///   - position: of the point with a number.
    init(_ count: Int, in model: ResidualModel, position: (Int) -> Int32) throws(CoverTreeError) {
      numbers = try Buffer(count: model.count, filledWith: -1)
      positions = try Buffer(count: count)
      starts = try Buffer(count: model.blockCount + 1, filledWith: 0)
      for number in 0..<count {
        numbers[position(number)] = Int32(number)
        starts[Int(position(number)) / model.blockSize + 1] += 1
      }
      for block in 0..<model.blockCount { starts[block + 1] += starts[block] }
      let next = try Buffer<Int32>(count: model.blockCount)
      for block in 0..<model.blockCount { next[block] = starts[block] }
      for number in 0..<count {
        let block = Int(position(number)) / model.blockSize
        positions[next[block]] = position(number)
        next[block] += 1
      }
    }
  }

  /// Calls `body` with the neighbours of a point among some points, in any order.
  @inline(__always)
  func forEach(
    of position: Int32, among choice: Choice,
    _ body: (_ position: Int32, _ number: Int32, _ squared: Double) throws(CoverTreeError) -> Void
  ) throws(CoverTreeError) {
    guard begin[position] >= 0 else { return try compare(position, with: choice, body) }
    for slot in begin[position]..<end[position] {
      let number = choice.numbers[positions[slot]]
      if number >= 0 { try body(positions[slot], number, squares[slot]) }
    }
  }

  /// Compares a point with the chosen points of all regions that bounds do not exclude.
  private func compare(
    _ position: Int32, with choice: Choice, _ body: (Int32, Int32, Double) throws(CoverTreeError) -> Void
  ) throws(CoverTreeError) {
    let model = search.model
    guard let lowRankBlocks = search.lowRankBlocks, let regions else {
      return try compare(position, choice.positions.elements[...], choice, body)
    }
    let least = CandidateList.least(squared: squared)
    for region in 0..<regions.lowRankBlocks.count
    where canReach(regions.products.bounds(with: region)[Int(position)], least) {
      let blocks = lowRankBlocks.blocks(ofRegion: region)
      let range = Int(choice.starts[blocks.lowerBound])..<Int(choice.starts[min(blocks.upperBound, model.blockCount)])
      try compare(position, choice.positions.elements[range], choice, body)
    }
  }

  private func compare(
    _ position: Int32, _ others: Slice<UnsafeBufferPointer<Int32>>, _ choice: Choice,
    _ body: (Int32, Int32, Double) throws(CoverTreeError) -> Void
  ) throws(CoverTreeError) {
    let model = search.model
    let query = model.point(at: Int(position))
    for first in stride(from: others.startIndex, to: others.endIndex, by: 8) {
      let count = min(8, others.endIndex - first)
      var positions = SIMD8<Int32>(repeating: 0)
      for lane in 0..<count { positions[lane] = others[first + lane] }
      let squares = model.squaredDistances(from: query, to: positions, count: count)
      for lane in 0..<count where squares[lane] <= squared && positions[lane] != position {
        try body(positions[lane], choice.numbers[positions[lane]], squares[lane])
      }
    }
  }
}
