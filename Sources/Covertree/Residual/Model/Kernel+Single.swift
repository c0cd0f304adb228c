import CNumerics

/// Correlations in float32, for bounds.
extension Kernel {
  /// Whether the correlation is a function of bounded slope of the squared distance. That of Matern 1/2 falls steeply at 0.
  var isSmooth: Bool { shape != .matern12 }

  /// The steepest slope of the correlation as a function of the squared distance: at 0.
  private var steepestSlope: Double {
    switch shape {
    case .rbf: 1.0 / 2
    case .matern12: .infinity
    case .matern32: 3.0 / 2
    case .matern52: 5.0 / 6
    }
  }

  /// The largest error of a correlation whose squared distance is `n_i + n_j - 2 c_i . c_j`, all in float32, with `n = |c|^2`, or whose
  /// value is rounded to float32 if the kernel is not smooth.
  ///
  /// Coordinates, lengths and sums are rounded: each changes the squared distance by a share 2^-24 of at most `4 reach`.
  ///
  /// - Parameter reach: the largest `|c|^2`.
  func errorInSingle(reach: Double, dim: Int) -> Double {
    guard isSmooth else { return 0x1p-23 }
    return steepestSlope * Double(2 * roundings(inProductOf: dim) + 16) * 0x1p-24 * reach + 0x1p-19
  }

  /// Replaces squared distances by correlations, vector by vector. Those below 0, by rounding, count as 0. The error of the function is
  /// below 2^-19.
  func correlate(_ vectors: UnsafeMutablePointer<SIMD16<Float>>, count: Int) {
    switch shape {
    case .rbf: for vector in 0..<count { vectors[vector] = exponential(inRange(vectors[vector]) * -0.5) }
    case .matern12:
      for vector in 0..<count { vectors[vector] = exponential(-inRange(vectors[vector]).squareRoot()) }
    case .matern32:
      for vector in 0..<count {
        let t = (inRange(vectors[vector]) * 3).squareRoot()
        vectors[vector] = (t + 1) * exponential(-t)
      }
    case .matern52:
      for vector in 0..<count {
        let t = (inRange(vectors[vector]) * 5).squareRoot()
        let third = SIMD16<Float>(repeating: 1.0 / 3)
        let one = SIMD16<Float>(repeating: 1)
        vectors[vector] = Float.multiplyAdd(t, Float.multiplyAdd(t, third, one), one) * exponential(-t)
      }
    }
  }
}

/// Squared distances above 0, and below a number beyond which all correlations vanish, so that none overflows.
@inline(__always)
private func inRange(_ squared: SIMD16<Float>) -> SIMD16<Float> {
  Float.minimum(Float.maximum(squared, SIMD16(repeating: 0)), SIMD16(repeating: 8192))
}

/// `e^x` of sixteen numbers from -infinity to 0; the relative error is below 2^-21, and below e^-87 the result is about e^-87.
///
/// As in float64, with the Taylor polynomial of degree 6.
@inline(__always)
func exponential(_ x: SIMD16<Float>) -> SIMD16<Float> {
  typealias V = SIMD16<Float>
  let x = Float.maximum(x, V(repeating: -87))
  // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
  let magic = V(repeating: 0x1.8p23)
  let shifted = Float.multiplyAdd(x, V(repeating: 0x1.715476p0), magic)
  let n = shifted - magic
  let high = Float.multiplyAdd(n, V(repeating: -0x1.62e4p-1), x)
  let r = Float.multiplyAdd(n, V(repeating: -0x1.7f7d1cp-20), high)
  @inline(__always) func term(_ sum: V, _ coefficient: Float) -> V {
    Float.multiplyAdd(sum, r, V(repeating: coefficient))
  }
  var sum = term(V(repeating: 1.0 / 720), 1.0 / 120)
  sum = term(term(sum, 1.0 / 24), 1.0 / 6)
  sum = term(term(sum, 1.0 / 2), 1)
  sum = term(sum, 1)
  let exponent = unsafeBitCast(shifted, to: SIMD16<UInt32>.self) &<< 23
  return unsafeBitCast(unsafeBitCast(sum, to: SIMD16<UInt32>.self) &+ exponent, to: V.self)
}
