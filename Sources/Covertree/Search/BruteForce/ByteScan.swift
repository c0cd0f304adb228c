import CNumerics

/// Points rounded to bytes, with what that may hide of a score.
///
/// A point is `x = c + s x' + e` with whole numbers `x'` from -127 to 127; a query likewise. By the triangle inequality
/// `|x - q|` and `s |x' - q'|` differ by at most the lengths of the two remainders `e`.
final class DenseBytes<S: Scalar>: @unchecked Sendable {
  let dim: Int
  /// Groups of 16 places, an even number; four coordinates of 16 points are a vector, plus 128 so that they are not negative.
  let groups: Int
  let bytes: Buffer<UInt8>
  /// `|x'|^2` by place.
  let lengths: Buffer<Int32>
  /// `s`.
  let scale: Double
  /// The longest remainder of a point.
  let remainder: Double
  /// The longest `x'`.
  let longest: Double
  private let products: Bool
  private let center: [Double]

  /// Vectors of four coordinates.
  var steps: Int { (dim + 3) / 4 }

  /// Sums of 127 times 255 stay within 31 bits.
  private static var mostDimensions: Int { 30_000 }

  /// - Returns: nil where the processor has no products of bytes, or there are too many dimensions for them.
  init?<Points: ScannedPoints<S>>(_ points: Points, context: CallContext) throws(CoverTreeError) {
    guard cn_has_byte_products() != 0, points.dim <= Self.mostDimensions else { return nil }
    dim = points.dim
    products = points.products
    groups = (points.count + 31) / 32 * 2
    let (low, high) = try points.extents(context)
    center = (0..<points.dim).map { (Double(low[$0]) + Double(high[$0])) / 2 }
    let widest = (0..<points.dim).reduce(0) { max($0, (Double(high[$1]) - Double(low[$1])) / 2) }
    scale = widest / 127
    guard scale.isNormal else { return nil }
    bytes = try Buffer(count: groups * ((points.dim + 3) / 4) * 64, filledWith: 128)
    lengths = try Buffer(count: groups * 16, filledWith: 0)
    let extremes = try Buffer<(remainder: Double, length: Int32)>(count: context.threads, filledWith: (0, 0))
    let rows = try Buffer<S>(count: context.threads * points.dim)
    let (bytes, lengths, dim, center, scale, products) = (bytes, lengths, dim, center, scale, products)
    try context.forEach(points.count, grain: 1024) { (range, slot) throws(CoverTreeError) in
      let row = rows.base + slot * dim
      for place in range {
        points.copy(place, into: row)
        let group = bytes.base + place / 16 * ((dim + 3) / 4) * 64
        let rounded = Self.round(dim, center, scale, row) { d, whole in
          group[d / 4 * 64 + place % 16 * 4 + d % 4] = UInt8(whole + 128)
        }
        lengths[place] = products ? 0 : rounded.length
        extremes[slot].remainder = max(extremes[slot].remainder, rounded.remainder)
        extremes[slot].length = max(extremes[slot].length, rounded.length)
      }
    }
    remainder = extremes.elements.reduce(0) { max($0, $1.remainder) }
    longest = Double(extremes.elements.reduce(0) { max($0, $1.length) }).squareRoot()
  }

  /// Rounds a query to bytes, as a row of a strip of eight.
  func take(_ row: UnsafePointer<S>, into strip: UnsafeMutablePointer<Int8>, at i: Int) -> QueryInBytes {
    func write(_ d: Int, _ whole: Int) { strip[d / 4 * 32 + i * 4 + d % 4] = Int8(whole) }
    guard products else {
      let rounded = Self.round(dim, center, scale, row, write: write)
      return QueryInBytes(
        length: Int(rounded.length), sum: Int(rounded.sum), unit: scale, base: 0, hidden: remainder + rounded.remainder)
    }
    // q . x = q . c + s t q' . x' + s f . x' + q . e, where q = t q' + f.
    var (base, largest) = (0.0, 0.0)
    for d in 0..<dim {
      base += Double(row[d]) * center[d]
      largest = max(largest, abs(Double(row[d])))
    }
    let own = max(largest / 127, Double.leastNormalMagnitude)
    let rounded = Self.round(dim, nil, own, row, write: write)
    let length = lengthOf(row, dim)
    let hidden = rounded.remainder * scale * longest + length * remainder
    let rounding = (length * scale * longest + abs(base)) * Double(dim) * 1e-15
    return QueryInBytes(
      length: 0, sum: Int(rounded.sum), unit: scale * own, base: base, hidden: hidden * (1 + 1e-9) + rounding)
  }

  /// The squared distance from `c`.
  func squaredLength(_ row: UnsafePointer<S>) -> Double {
    var sum = 0.0
    for d in 0..<dim { sum += (Double(row[d]) - center[d]) * (Double(row[d]) - center[d]) }
    return sum
  }

  private static func round(
    _ dim: Int, _ center: [Double]?, _ scale: Double, _ row: UnsafePointer<S>, write: (Int, Int) -> Void
  ) -> RoundedToBytes {
    var (length, sum, squared, largest) = (0, 0, 0.0, 0.0)
    for d in 0..<dim {
      let middle = center?[d] ?? 0
      let offset = Double(row[d]) - middle
      let whole = Int(max(-127, min(127, (offset / scale).rounded())))
      write(d, whole)
      length += whole * whole
      sum += whole
      let error = offset - scale * Double(whole)
      squared += error * error
      largest = max(largest, abs(offset), abs(middle))
    }
    // A little longer, for what this computation itself rounds.
    let remainder = squared.squareRoot() * (1 + 1e-9) + largest * Double(dim).squareRoot() * 1e-14
    return RoundedToBytes(length: Int32(length), sum: Int32(sum), remainder: remainder)
  }
}

/// A query in bytes, `q'`.
struct QueryInBytes: BitwiseCopyable {
  /// `|q'|^2`, and the sum of its coordinates.
  var length = 0
  var sum = 0
  /// What 1 in a sum of products stands for, or, for distances, in the root of one.
  var unit = 0.0
  /// What an inner product has beside the sum.
  var base = 0.0
  /// By how much a distance, or an inner product, may be off.
  var hidden = 0.0
}

/// A vector `x'` of bytes: `|x'|^2`, the sum of its coordinates, and the length of what was rounded away.
struct RoundedToBytes: BitwiseCopyable {
  var length: Int32 = 0
  var sum: Int32 = 0
  var remainder = 0.0
}

/// One thread's comparison of batches of queries with every point by their bytes: four times the products an instruction
/// that float32 has, and exact sums.
final class ByteScan<Batch: QueryBatch>: BatchScan {
  typealias S = Batch.Points.S

  private let points: DenseBytes<S>
  private let batch: Batch
  /// The batch in strips of 8 queries.
  private let strips: Buffer<Int8>
  private let sums: Buffer<Int32>
  private let queries: Buffer<QueryInBytes>
  /// Of each query: what twice a sum less the point's `|x'|^2` has to reach.
  private let limits: Buffer<Int32>
  /// The batch's limit that it was made from.
  private let known: Buffer<Double>
  private let products: Bool

  private static var stripRows: Int { 8 }

  init(_ points: DenseBytes<S>, _ batch: Batch) throws(CoverTreeError) {
    self.points = points
    self.batch = batch
    products = batch.points.products
    let size = Batch.size
    strips = try Buffer(count: size * points.steps * 4, filledWith: 0)
    sums = try Buffer(count: Self.stripRows * 32)
    queries = try Buffer(count: size)
    limits = try Buffer(count: size)
    known = try Buffer(count: size)
  }

  func run() throws(CoverTreeError) {
    let rows = batch.rows
    let (count, steps) = (rows.count, points.steps)
    let stripBytes = steps * 4 * Self.stripRows
    for i in 0..<count {
      queries[i] = points.take(
        rows[i], into: strips.base + i / Self.stripRows * stripBytes, at: i % Self.stripRows)
      limits[i] = limit(i)
    }
    for group in stride(from: 0, to: points.groups, by: 2) {
      let lengths = UnsafeRawPointer(points.lengths.base + group * 16).assumingMemoryBound(to: SIMD16<Int32>.self)
      for first in stride(from: 0, to: count, by: Self.stripRows) {
        cn_byte_products(
          points.bytes.base + group &* steps &* 64, strips.base + first / Self.stripRows &* stripBytes, Int64(steps),
          sums.base)
        for i in first..<min(count, first + Self.stripRows) {
          for half in 0..<2 {
            let sum = UnsafeRawPointer(sums.base + ((i &- first) &* 2 &+ half) &* 16).load(as: SIMD16<Int32>.self)
            let hits = cn_i32x16_mask_twice_minus(sum, lengths[half], limits[i])
            if hits != 0 { try keep(hits, sum, lengths[half], (group &+ half) &* 16, i) }
          }
        }
      }
    }
  }

  private func keep(
    _ hits: UInt32, _ sum: SIMD16<Int32>, _ lengths: SIMD16<Int32>, _ first: Int, _ i: Int
  ) throws(CoverTreeError) {
    var hits = hits
    while hits != 0 {
      let lane = hits.trailingZeroBitCount
      hits &= hits &- 1
      let bounds = bounds(queries[i], Int(sum[lane]), Int(lengths[lane]))
      try batch.keep(i, place: first + lane, lower: bounds.lower, upper: bounds.upper)
    }
    // It changes when the distances of some points have been computed.
    if batch.limit(i) != known[i] { limits[i] = limit(i) }
  }

  /// Bounds of the score of a point. The 128 that was added to the points' bytes is taken off again.
  @inline(__always)
  private func bounds(_ query: QueryInBytes, _ sum: Int, _ length: Int) -> (lower: Double, upper: Double) {
    guard !products else {
      let score = -(query.base + query.unit * Double(sum - 128 * query.sum))
      return (score - query.hidden, score + query.hidden)
    }
    let distance = query.unit * Double(query.length + 256 * query.sum - 2 * sum + length).squareRoot()
    let (least, most) = (max(0, distance - query.hidden), distance + query.hidden)
    return (least * least * (1 - 1e-9), most * most * (1 + 1e-9))
  }

  private func limit(_ i: Int) -> Int32 {
    let (worst, query) = (batch.limit(i), queries[i])
    known[i] = worst
    if products {
      let least = (-worst - query.base - query.hidden) / query.unit
      guard least > -0x1p60, least < 0x1p60 else { return least > 0 ? Int32.max : Int32.min }
      return Int32(clamping: 2 * (Int(least.rounded(.down)) - 2 + 128 * query.sum))
    }
    let reach = (worst.squareRoot() * (1 + 1e-9) + query.hidden) / query.unit
    let most = reach * reach * (1 + 1e-9) + 1
    guard most < Double(Int32.max) else { return Int32.min }
    return Int32(clamping: query.length + 256 * query.sum - Int(most))
  }
}
