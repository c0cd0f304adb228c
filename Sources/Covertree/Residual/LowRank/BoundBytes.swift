import CNumerics

// Bounds of |rho| are stored as bytes in units of 1/255, rounded up.

/// Bounds of the points of a panel with a low-rank block: the lengths of their projections onto its basis, plus errors.
///
/// - Parameters:
///   - panel: `rank` coordinates of 32 points.
///   - errors: of the points, whole vectors.
///   - count: the number of points up to the end; it may include later panels.
func boundBytes(
  _ panel: UnsafePointer<Float>, rank: Int, errors: UnsafePointer<Float>, plus error: Float, count: Int,
  into bytes: UnsafeMutablePointer<UInt8>
) {
  let (vectors, errors) = (panel.vectors, errors.vectors)
  var (low, high) = (SIMD16<Float>(repeating: 0), SIMD16<Float>(repeating: 0))
  for k in 0..<rank {
    low = Float.multiplyAdd(vectors[2 &* k], vectors[2 &* k], low)
    high = Float.multiplyAdd(vectors[2 &* k &+ 1], vectors[2 &* k &+ 1], high)
  }
  store(low.squareRoot() * LowRankComparison.rounding + errors[0] + error, bytes, count)
  guard count > 16 else { return }
  store(high.squareRoot() * LowRankComparison.rounding + errors[1] + error, bytes + 16, count - 16)
}

/// Bounds of points whose projections have at most a given length.
func boundBytes(
  _ errors: UnsafePointer<Float>, plus error: Float, count: Int, into bytes: UnsafeMutablePointer<UInt8>
) {
  let errors = errors.vectors
  for first in stride(from: 0, to: count, by: 16) { store(errors[first / 16] + error, bytes + first, count - first) }
}

/// Writes the first 16 of `count` bounds, or fewer if there are fewer.
@inline(__always)
private func store(_ bounds: SIMD16<Float>, _ target: UnsafeMutablePointer<UInt8>, _ count: Int) {
  let bytes = cn_f32x16_bytes_above(bounds * 255)
  if count >= 16 {
    UnsafeMutableRawPointer(target).storeBytes(of: bytes, as: SIMD16<UInt8>.self)
  } else {
    for lane in 0..<count { target[lane] = bytes[lane] }
  }
}

/// Whether a bound reaches a threshold. The margin covers the rounding of the product.
@inline(__always)
func canReach(_ bound: UInt8, _ threshold: Float) -> Bool { Float(bound) >= threshold * 255 - 0x1p-10 }
