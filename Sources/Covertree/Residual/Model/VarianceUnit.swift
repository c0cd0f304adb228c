import CovertreeBase

/// The unit of features inside a model; its square is the unit of variances.
///
/// Residual correlations do not depend on it. It is 1 unless the variance of the kernel is so large or so small that the product of two
/// variances would overflow or underflow. It is a power of two, so a change of unit rounds nothing.
struct VarianceUnit: Sendable {
  /// Variances between one over this and this have the unit 1.
  private static let usual = 0x1p400
  private static let least = 0x1p-980
  private static let most = 0x1p1000

  let root: Double

  var isOne: Bool { root == 1 }

  /// - Parameter variance: the largest variance of the process.
  init(forVariance variance: Double) throws(CoverTreeError) {
    guard variance >= Self.least, variance <= Self.most else {
      throw CoverTreeError(
        .invalidArgument,
        "kernel: expected variances k(x, x) of which the largest is from 2^-980 to 2^1000, got \(variance)")
    }
    let isUsual = variance >= 1 / Self.usual && variance <= Self.usual
    root = isUsual ? 1 : Double(sign: .plus, exponent: Int(variance.exponent) / 2, significand: 1)
  }

  /// A variance of the caller in units, and back.
  func scaled(_ variance: Double) -> Double { variance / root / root }
  func unscaled(_ variance: Double) -> Double { variance * root * root }
}

extension Kernel {
  fileprivate func withVariance(_ variance: Double) -> Kernel {
    Kernel(known: shape, variance: variance, lengthscale: lengthscale)
  }
}

extension Covariance {
  /// The same covariances in the unit.
  func scaled(_ unit: VarianceUnit) -> Covariance {
    guard !unit.isOne else { return self }
    switch self {
    case .kernel(let kernel): return .kernel(kernel.withVariance(unit.scaled(kernel.variance)))
    case .callback(let callback):
      return .callback(
        CallbackKernel { (rows, rowCount, columns, columnCount, result) throws(CoverTreeError) in
          try callback.fill(rows, rowCount, columns, columnCount, result)
          for pair in 0..<rowCount * columnCount { result[pair] = unit.scaled(result[pair]) }
        })
    }
  }

  /// The kernel as the caller gave it; nil for the caller's own kernel.
  func unscaledKernel(_ unit: VarianceUnit) -> Kernel? {
    guard case .kernel(let kernel) = self else { return nil }
    return kernel.withVariance(unit.unscaled(kernel.variance))
  }
}
