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
