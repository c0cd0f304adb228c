import CNumerics
import CovertreeBase

/// A query rounded to bytes, `q'`.
struct QueryInBytes: BitwiseCopyable {
  /// `|q'|^2`, and the sum of its coordinates.
  var length = 0
  var sum = 0
  /// The unit of a sum of products, or, for distances, of the root of one.
  var unit = 0.0
  /// The constant term of an inner product.
  var base = 0.0
  /// A bound on the error of a distance or an inner product.
  var hidden = 0.0
}

/// A vector `x'` of bytes: `|x'|^2`, the sum of its coordinates, and the length of the rounding.
struct RoundedToBytes: BitwiseCopyable {
  var length: Int32 = 0
  var sum: Int32 = 0
  var remainder = 0.0
}

/// One thread's comparison of batches of queries with every point by bytes: four times the products per instruction of float32, and exact
/// sums.
final class QuantizedScan<Batch: QueryBatch>: BatchScan {
  typealias S = Batch.Points.S

  private let points: QuantizedPoints<S>
  let batch: Batch
  /// The batch in strips of 8 queries.
  private let strips: Buffer<Int8>
  private let sums: Buffer<Int32>
  private let queries: Buffer<QueryInBytes>
  /// By query: the threshold of twice a sum less the point's `|x'|^2`.
  private let limits: Buffer<Int32>
  /// The batch's limit from which `limits` was computed.
  private let known: Buffer<Double>
  private let products: Bool

  private static var stripRows: Int { 8 }

  init(_ points: QuantizedPoints<S>, _ batch: Batch) throws(CoverTreeError) {
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
      queries[i] = points.quantize(rows[i], into: strips.base + i / Self.stripRows * stripBytes, at: i % Self.stripRows)
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
    for lane in SetBits(hits) {
      let bounds = bounds(queries[i], Int(sum[lane]), Int(lengths[lane]))
      try batch.keep(i, position: first + lane, lower: bounds.lower, upper: bounds.upper)
    }
    // The limit changes when the distances of some points were computed.
    if batch.limit(i) != known[i] { limits[i] = limit(i) }
  }

  /// Bounds of the score of a point. The 128 that was added to the points' bytes is subtracted.
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
