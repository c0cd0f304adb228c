import CovertreeBase

/// Positions of points along the Hilbert curve through their bounding box, in any number of dimensions.
///
/// J. Skilling, "Programming the Hilbert curve", AIP Conf. Proc. 707 (2004): coordinates are cut to `bits` bits each and turned in place
/// into the *transposed* index, whose bits, read across coordinates from the highest, are the position. A key is the first 64 of them, or
/// fewer: 32 bits per coordinate in two dimensions, 21 in three, 8 in eight, and the first bit of each of the first 64 beyond that. The
/// curve is the same, with a lower resolution.
struct HilbertCurve<S: Scalar> {
  private let dim: Int
  /// Bits of a coordinate, and of a key.
  private let bits: Int
  private let keyBits: Int
  private let origin: [Double]
  /// Cells per unit of length; the same for all coordinates, because cells must be cubes as the balls of a tree are round.
  private let scale: Double

  /// The curve through the bounding box of `points`.
  init(through points: PointsView<S>, keyBits: Int = 64, context: CallContext) throws(CoverTreeError) {
    let (low, high) = try extents(of: points.count, dim: points.dim, context) { (index, _) in points.row(index) }
    let dimensions = 0..<points.dim
    self.init(from: dimensions.map { Double(low[$0]) }, to: dimensions.map { Double(high[$0]) }, keyBits: keyBits)
  }

  /// The curve through a box. Points outside get the position of the nearest point of the box.
  init(from low: [Double], to high: [Double], keyBits: Int = 64) {
    dim = low.count
    self.keyBits = keyBits
    bits = max(1, min(32, keyBits / dim))
    origin = low
    let cells = Double(UInt64(1) << UInt64(bits))
    let widest = zip(low, high).reduce(0) { max($0, $1.1 - $1.0) }
    scale = widest > 0 && (cells / widest).isFinite ? cells / widest : 0
  }

  /// Sixteen points at a time, a lane each.
  private typealias Lanes = SIMD16<UInt32>

  /// Positions of all points along the curve.
  func keys(of points: PointsView<S>, context: CallContext) throws(CoverTreeError) -> Buffer<UInt64> {
    let keys = try Buffer<UInt64>(count: points.count)
    try specialized(dim, Filling(curve: self, points: points, keys: keys, context: context))
    return keys
  }

  private struct Filling: DimensionTask {
    let curve: HilbertCurve
    let points: PointsView<S>
    let keys: Buffer<UInt64>
    let context: CallContext

    func run<D: MetricSpace>(_ dimension: D) throws(CoverTreeError) {
      try context.forEach(points.count, grain: 1 << 13) { (range, _) throws(CoverTreeError) in
        let cells = try Buffer<Lanes>(count: dimension.count)
        for first in stride(from: range.lowerBound, to: range.upperBound, by: Lanes.scalarCount) {
          curve.fill(keys, points, first..<min(range.upperBound, first + Lanes.scalarCount), cells.base, dimension)
        }
      }
    }
  }

  /// Fills in the keys of up to 16 points.
  @inline(__always)
  private func fill<D: Dimension>(
    _ keys: Buffer<UInt64>, _ points: PointsView<S>, _ some: Range<Int>, _ cells: UnsafeMutablePointer<Lanes>,
    _ dimension: D
  ) {
    for d in 0..<dimension.count { cells[d] = Lanes(repeating: 0) }
    for (lane, index) in some.enumerated() {
      let row = points.row(index)
      for d in 0..<dimension.count { cells[d][lane] = cell(row[d], d) }
    }
    transpose(cells, dimension)
    for half in 0..<2 {
      let key = interleaved(cells, half: half, dimension)
      for lane in 0..<max(0, min(8, some.count - 8 * half)) { keys[some.lowerBound + 8 * half + lane] = key[lane] }
    }
  }

  @inline(__always)
  private func cell(_ coordinate: S, _ d: Int) -> UInt32 {
    let highest = Double((UInt64(1) << UInt64(bits)) - 1)
    let position = (Double(coordinate) - origin[d]) * scale
    guard position > 0 else { return 0 }  // also for NaN, which a file may have
    return UInt32(min(position, highest))
  }

  /// From cells to the transposed index, in place.
  @inline(__always)
  private func transpose<D: Dimension>(_ x: UnsafeMutablePointer<Lanes>, _ dimension: D) {
    let dim = dimension.count
    let one = Lanes(repeating: 1)
    // From the highest bit down: a set bit inverts the lower bits of the first coordinate; a clear one exchanges them.
    for bit in stride(from: UInt32(bits) &- 1, to: 0, by: -1) {
      let lower = Lanes(repeating: (1 &<< bit) &- 1)
      for d in 0..<dim {
        let set = Lanes(repeating: 0) &- ((x[d] &>> bit) & one)
        let exchanged = (x[0] ^ x[d]) & lower & ~set
        x[0] ^= exchanged | (lower & set)
        x[d] ^= exchanged
      }
    }
    // Gray encode.
    for d in stride(from: 1, to: dim, by: 1) { x[d] ^= x[d &- 1] }
    var flip = Lanes(repeating: 0)
    for bit in stride(from: UInt32(bits) &- 1, to: 0, by: -1) {
      let set = Lanes(repeating: 0) &- ((x[dim &- 1] &>> bit) & one)
      flip ^= set & Lanes(repeating: (1 &<< bit) &- 1)
    }
    for d in 0..<dim { x[d] ^= flip }
  }

  /// The first bits of the transposed index, read across coordinates, of eight of the points.
  @inline(__always)
  private func interleaved<D: Dimension>(_ x: UnsafeMutablePointer<Lanes>, half: Int, _ dimension: D) -> SIMD8<UInt64> {
    var key = SIMD8<UInt64>(repeating: 0)
    let one = SIMD8<UInt64>(repeating: 1)
    var left = keyBits
    for bit in stride(from: UInt64(bits), to: 0, by: -1) {
      for d in 0..<dimension.count {
        let wide = SIMD8<UInt64>(truncatingIfNeeded: half == 0 ? x[d].lowHalf : x[d].highHalf)
        key = (key &<< 1) | ((wide &>> (bit &- 1)) & one)
        left &-= 1
        if left == 0 { return key }
      }
    }
    return key
  }
}

/// Positions of points along the Hilbert curve through a box.
///
/// - Parameter keys: `points.count` of them.
public func fillHilbertKeys(
  of points: PointsView<Double>, from low: [Double], to high: [Double], context: CallContext,
  keys: UnsafeMutablePointer<UInt64>
) throws(CoverTreeError) {
  try points.checkCoordinates(named: "points", context: context)
  for d in 0..<points.dim where !(low[d] <= high[d] && (high[d] - low[d]).isFinite) {
    throw CoverTreeError(.invalidArgument, "low, high: expected a box, got \(low[d]) to \(high[d]) in coordinate \(d)")
  }
  let found = try HilbertCurve<Double>(from: low, to: high).keys(of: points, context: context)
  keys.update(from: found.base, count: points.count)
}
