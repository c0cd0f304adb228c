/// Where points lie along the Hilbert curve through their bounding box, in any number of dimensions.
///
/// J. Skilling, "Programming the Hilbert curve", AIP Conf. Proc. 707 (2004): coordinates are cut to `bits` bits each and
/// turned in place into the *transposed* index, whose bits, read across coordinates from the highest, are the position.
/// A key is the first 64 of them: 32 bits a coordinate in two dimensions, 21 in three, 8 in eight, and the first bit of each of
/// the first 64 beyond that; the curve is the same, only resolved less finely.
struct HilbertCurve<S: Scalar> {
  private let dim: Int
  private let bits: Int
  private let origin: [Double]
  /// From a coordinate to its cell.
  private let scale: [Double]

  /// The curve through the bounding box of `points`.
  init(through points: PointsView<S>, context: CallContext) throws(CoverTreeError) {
    dim = points.dim
    bits = max(1, min(32, 64 / points.dim))
    let (low, high) = try boundingBox(of: points, context: context)
    origin = low
    let cells = Double(UInt64(1) << UInt64(bits))
    // One scale for all coordinates keeps the curve's cells cubes, as the balls of a tree are round.
    var widest = 0.0
    for d in 0..<points.dim { widest = max(widest, high[d] - low[d]) }
    let perUnit = widest > 0 ? cells / widest : 0
    scale = Array(repeating: perUnit.isFinite ? perUnit : 0, count: points.dim)
  }

  /// The position of a point along the curve. `cells` is scratch for `dim` coordinates.
  @inline(__always)
  func key(_ row: UnsafePointer<S>, cells x: UnsafeMutablePointer<UInt32>) -> UInt64 {
    let highest = Double((UInt64(1) << UInt64(bits)) - 1)
    for d in 0..<dim {
      let cell = (Double(row[d]) - origin[d]) * scale[d]
      x[d] = UInt32(min(max(cell, 0), highest))
    }
    // Undo the excess work of the inverse: from the highest bit down, exchange or invert the lower bits.
    var bit = UInt32(1) << UInt32(bits - 1)
    while bit > 1 {
      let lower = bit &- 1
      for d in 0..<dim {
        if x[d] & bit != 0 {
          x[0] ^= lower
        } else {
          let swapped = (x[0] ^ x[d]) & lower
          x[0] ^= swapped
          x[d] ^= swapped
        }
      }
      bit >>= 1
    }
    // Gray encode.
    for d in stride(from: 1, to: dim, by: 1) { x[d] ^= x[d - 1] }
    var flip: UInt32 = 0
    bit = UInt32(1) << UInt32(bits - 1)
    while bit > 1 {
      if x[dim - 1] & bit != 0 { flip ^= bit &- 1 }
      bit >>= 1
    }
    for d in 0..<dim { x[d] ^= flip }
    return interleaved(x)
  }

  /// The first 64 bits of the transposed index, read across coordinates.
  @inline(__always)
  private func interleaved(_ x: UnsafeMutablePointer<UInt32>) -> UInt64 {
    var key: UInt64 = 0
    var left = 64
    for bit in stride(from: bits - 1, through: 0, by: -1) {
      for d in 0..<dim {
        key = key << 1 | UInt64((x[d] >> UInt32(bit)) & 1)
        left -= 1
        if left == 0 { return key }
      }
    }
    return key
  }

  /// Keys of all points.
  func keys(of points: PointsView<S>, context: CallContext) throws(CoverTreeError) -> Buffer<UInt64> {
    let keys = try Buffer<UInt64>(count: points.count)
    try context.forEach(points.count, grain: 1 << 13) { (range, _) throws(CoverTreeError) in
      let cells = try Buffer<UInt32>(count: dim)
      for index in range { keys[index] = key(points.row(index), cells: cells.base) }
    }
    return keys
  }
}

private func boundingBox<S: Scalar>(
  of points: PointsView<S>, context: CallContext
) throws(CoverTreeError) -> (low: [Double], high: [Double]) {
  let dim = points.dim
  let grain = 1 << 14
  let chunks = (points.count + grain - 1) / grain
  let boxes = try Buffer<S>(count: chunks * 2 * dim)
  try context.forEach(points.count, grain: grain) { (range, _) throws(CoverTreeError) in
    let low = boxes.base + range.lowerBound / grain * 2 * dim
    let high = low + dim
    low.update(from: points.row(range.lowerBound), count: dim)
    high.update(from: points.row(range.lowerBound), count: dim)
    for index in range {
      let row = points.row(index)
      for d in 0..<dim {
        if row[d] < low[d] { low[d] = row[d] }
        if row[d] > high[d] { high[d] = row[d] }
      }
    }
  }
  var low = Array(repeating: Double.infinity, count: dim)
  var high = Array(repeating: -Double.infinity, count: dim)
  for chunk in 0..<chunks {
    for d in 0..<dim {
      low[d] = min(low[d], Double(boxes[chunk * 2 * dim + d]))
      high[d] = max(high[d], Double(boxes[chunk * 2 * dim + dim + d]))
    }
  }
  return (low, high)
}
