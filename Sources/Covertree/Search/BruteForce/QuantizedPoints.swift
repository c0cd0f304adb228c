import CNumerics
import CovertreeBase

/// Points rounded to bytes, with a bound on the effect on a score.
///
/// A point is `x = c + s x' + e` with whole numbers `x'` from -127 to 127; a query likewise. By the triangle inequality
/// `|x - q|` and `s |x' - q'|` differ by at most the lengths of the two remainders `e`.
final class QuantizedPoints<S: Scalar>: @unchecked Sendable {
  let dim: Int
  /// Groups of 16 positions, an even number. Four coordinates of 16 points are a vector, plus 128, which makes them non-negative.
  let groups: Int
  let bytes: Buffer<UInt8>
  /// `|x'|^2` by position.
  let lengths: Buffer<Int32>
  /// `s`.
  let scale: Double
  /// The longest remainder of a point.
  let remainder: Double
  /// The length of the longest `x'`.
  let longest: Double
  private let products: Bool
  private let center: [Double]

  /// Vectors of four coordinates.
  var steps: Int { (dim + 3) / 4 }

  /// Bytes are compared if their rounding is at most this share of a neighbour's distance.
  private static var hiddenShare: Double { 0.05 }
  /// Sums of 127 times 255 stay within 31 bits.
  private static var mostDimensions: Int { 30_000 }

  /// - Returns: nil if the processor has no products of bytes, or there are too many dimensions for them.
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
      for position in range {
        points.copy(position, into: row)
        let group = bytes.base + position / 16 * ((dim + 3) / 4) * 64
        let rounded = Self.round(dim, center, scale, row) { d, whole in
          group[d / 4 * 64 + position % 16 * 4 + d % 4] = UInt8(whole + 128)
        }
        lengths[position] = products ? 0 : rounded.length
        extremes[slot].remainder = max(extremes[slot].remainder, rounded.remainder)
        extremes[slot].length = max(extremes[slot].length, rounded.length)
      }
    }
    remainder = extremes.elements.reduce(0) { max($0, $1.remainder) }
    longest = Double(extremes.elements.reduce(0) { max($0, $1.length) }).squareRoot()
  }

  /// Rounds a query to bytes, as a row of a strip of eight.
  func quantize(_ row: UnsafePointer<S>, into strip: UnsafeMutablePointer<Int8>, at i: Int) -> QueryInBytes {
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

  /// Whether the rounding to bytes is small compared with the distances of some queries' neighbours, by their sum.
  func suit(_ queries: Int, distances: Double) -> Bool { remainder * Double(queries) <= Self.hiddenShare * distances }

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
    // A little longer, because this computation rounds, too.
    let remainder = squared.squareRoot() * (1 + 1e-9) + largest * Double(dim).squareRoot() * 1e-14
    return RoundedToBytes(length: Int32(length), sum: Int32(sum), remainder: remainder)
  }
}
