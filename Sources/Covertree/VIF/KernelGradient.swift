import CovertreeBase

/// Sums of derivatives of covariances by the logarithms of a kernel's variance and lengthscales, each with a weight.
///
/// With the squared scaled distance `s`, the derivative of `k` by the logarithm of the variance is `k`, and by the logarithm of lengthscale
/// `d` it is `-2 k'(s) (x_d - y_d)^2`.
final class KernelGradient {
  private let kernel: Kernel
  /// By variance, then by lengthscales.
  private(set) var sums: [Double]
  private let values: Buffer<Double>
  private let derivatives: Buffer<Double>

  /// - Parameter capacity: the most pairs of one call.
  init(_ kernel: Kernel, capacity: Int) throws(CoverTreeError) {
    self.kernel = kernel
    sums = Array(repeating: 0, count: 1 + kernel.lengthscale.count)
    values = try Buffer(count: (capacity + 15) / 16 * 16)
    derivatives = try Buffer(count: values.count)
  }

  /// Adds the pairs of one point with others.
  ///
  /// - Parameter weights: whole vectors; 0 after the last pair.
  func add(
    _ point: UnsafePointer<Double>, _ others: PanelView<Double>, count: Int, weights: UnsafePointer<Double>
  ) {
    kernel.differentiate(point, others, count: count, into: values.base, derivatives.base)
    let vectors = (count &+ 7) / 8
    let (weights, values, derivatives) = (weights.vectors, values.base.vectors, derivatives.base.vectors)
    var sum = SIMD8<Double>(repeating: 0)
    for vector in 0..<vectors {
      sum = Double.multiplyAdd(weights[vector], values[vector], sum)
      derivatives[vector] *= weights[vector]
    }
    sums[0] += sum.sum()
    for d in 0..<others.columns {
      let coordinate = SIMD8(repeating: point[d])
      var sum = SIMD8<Double>(repeating: 0)
      for vector in 0..<vectors {
        let difference = others.row(vector &* 8).vectors[2 &* d] - coordinate
        sum = Double.multiplyAdd(derivatives[vector], difference * difference, sum)
      }
      sums[kernel.lengthscale.count == 1 ? 1 : 1 &+ d] -= 2 * sum.sum()
    }
  }

  /// Adds a weight of the covariance of a point with itself, as a multiple of the variance.
  func addOwn(_ weight: Double) { sums[0] += weight * kernel.variance }

  func add(_ other: KernelGradient) {
    for parameter in 0..<sums.count { sums[parameter] += other.sums[parameter] }
  }
}
