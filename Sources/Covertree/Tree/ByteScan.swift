import CNumerics

/// A tree's points rounded to bytes, with what that may hide of a distance.
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
  private let center: [Double]

  /// Vectors of four coordinates.
  var steps: Int { (dim + 3) / 4 }

  /// Sums of 127 times 255 stay within 31 bits.
  private static var mostDimensions: Int { 30_000 }

  /// - Returns: nil where the processor has no products of bytes, or there are too many dimensions for them.
  init?(_ tree: BoxTree<S>, context: CallContext) throws(CoverTreeError) {
    guard cn_has_byte_products() != 0, tree.dim <= Self.mostDimensions else { return nil }
    dim = tree.dim
    groups = (tree.count + 31) / 32 * 2
    let extents = (0..<tree.dim).map { tree.extent(ofNode: 0, $0) }
    center = extents.map { (Double($0.low) + Double($0.high)) / 2 }
    let widest = extents.reduce(0) { max($0, (Double($1.high) - Double($1.low)) / 2) }
    scale = widest / 127
    guard scale.isNormal else { return nil }
    bytes = try Buffer(count: groups * ((tree.dim + 3) / 4) * 64, filledWith: 128)
    lengths = try Buffer(count: groups * 16, filledWith: 0)
    let longest = try Buffer<Double>(count: context.threads, filledWith: 0)
    let (bytes, lengths, dim, center, scale) = (bytes, lengths, dim, center, scale)
    try context.forEach(tree.count, grain: 1024) { (range, slot) throws(CoverTreeError) in
      for place in range {
        let point = tree.coordinates(at: place)
        let group = bytes.base + place / 16 * ((dim + 3) / 4) * 64
        let rounded = Self.round(dim, center, scale, coordinate: { Double(point[$0 * S.width]) }) { d, whole in
          group[d / 4 * 64 + place % 16 * 4 + d % 4] = UInt8(whole + 128)
        }
        lengths[place] = rounded.length
        longest[slot] = max(longest[slot], rounded.remainder)
      }
    }
    remainder = longest.elements.max()!
  }

  /// Rounds a query to bytes, as a row of a strip of eight.
  func take(_ row: UnsafePointer<S>, into strip: UnsafeMutablePointer<Int8>, at i: Int) -> RoundedToBytes {
    Self.round(dim, center, scale, coordinate: { Double(row[$0]) }) { d, whole in
      strip[d / 4 * 32 + i * 4 + d % 4] = Int8(whole)
    }
  }

  /// The squared distance from `c`.
  func squaredLength(_ row: UnsafePointer<S>) -> Double {
    var sum = 0.0
    for d in 0..<dim { sum += (Double(row[d]) - center[d]) * (Double(row[d]) - center[d]) }
    return sum
  }

  private static func round(
    _ dim: Int, _ center: [Double], _ scale: Double, coordinate: (Int) -> Double, write: (Int, Int) -> Void
  ) -> RoundedToBytes {
    var (length, sum, squared, largest) = (0, 0, 0.0, 0.0)
    for d in 0..<dim {
      let offset = coordinate(d) - center[d]
      let whole = Int(max(-127, min(127, (offset / scale).rounded())))
      write(d, whole)
      length += whole * whole
      sum += whole
      let error = offset - scale * Double(whole)
      squared += error * error
      largest = max(largest, abs(offset), abs(center[d]))
    }
    // A little longer, for what this computation itself rounds.
    let remainder = squared.squareRoot() * (1 + 1e-9) + largest * Double(dim).squareRoot() * 1e-14
    return RoundedToBytes(length: Int32(length), sum: Int32(sum), remainder: remainder)
  }
}

/// A vector `x'` of bytes: `|x'|^2`, the sum of its coordinates, and the length of what was rounded away.
struct RoundedToBytes: BitwiseCopyable {
  var length: Int32 = 0
  var sum: Int32 = 0
  var remainder = 0.0
}

/// One thread's comparison of batches of queries with every point by their bytes: four times the products an instruction
/// that float32 has, and exact sums.
final class ByteScan<S: Scalar>: BatchScan {
  private let points: DenseBytes<S>
  private let batch: DenseBatch<S>
  /// The batch in strips of 8 queries.
  private let strips: Buffer<Int8>
  private let sums: Buffer<Int32>
  private let rounded: Buffer<RoundedToBytes>
  /// Of each query: what twice a sum less the point's `|x'|^2` has to reach.
  private let limits: Buffer<Int32>
  /// The batch's limit that it was made from.
  private let known: Buffer<Double>

  private static var stripRows: Int { 8 }

  init(_ points: DenseBytes<S>, _ batch: DenseBatch<S>) throws(CoverTreeError) {
    self.points = points
    self.batch = batch
    strips = try Buffer(count: DenseBatch<S>.size * points.steps * 4, filledWith: 0)
    sums = try Buffer(count: Self.stripRows * 32)
    rounded = try Buffer(count: DenseBatch<S>.size)
    limits = try Buffer(count: DenseBatch<S>.size)
    known = try Buffer(count: DenseBatch<S>.size)
  }

  func run() throws(CoverTreeError) {
    let (count, steps) = (batch.queries.count, points.steps)
    let stripBytes = steps * 4 * Self.stripRows
    for i in 0..<count {
      rounded[i] = points.take(
        batch.queries[i].query.coordinates, into: strips.base + i / Self.stripRows * stripBytes, at: i % Self.stripRows)
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
    let hidden = points.remainder + rounded[i].remainder
    var hits = hits
    while hits != 0 {
      let lane = hits.trailingZeroBitCount
      hits &= hits &- 1
      let whole = own(i) - 2 * Int(sum[lane]) + Int(lengths[lane])
      let distance = points.scale * Double(whole).squareRoot()
      let lower = max(0, distance - hidden)
      try batch.keep(i, place: first + lane, lower: lower * lower * (1 - 1e-9))
    }
    // It changes when the distances of some points have been computed.
    if batch.limit(i) != known[i] { limits[i] = limit(i) }
  }

  /// `|q'|^2`, and what the 128 that was added to the points' bytes adds to twice the sums.
  private func own(_ i: Int) -> Int { Int(rounded[i].length) + 256 * Int(rounded[i].sum) }

  private func limit(_ i: Int) -> Int32 {
    known[i] = batch.limit(i)
    let reach = (batch.limit(i).squareRoot() * (1 + 1e-9) + points.remainder + rounded[i].remainder) / points.scale
    let most = reach * reach * (1 + 1e-9) + 1
    guard most < Double(Int32.max) else { return Int32.min }
    return Int32(clamping: own(i) - Int(most))
  }
}
