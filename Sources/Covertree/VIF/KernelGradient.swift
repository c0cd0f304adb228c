import CovertreeBase

/// Sums of derivatives of covariances by the parameters of a kernel, each with a weight.
///
/// The parameters of a kernel of the library are the logarithms of its variance and lengthscales. With the squared scaled distance `s`, the
/// derivative of `k` by the logarithm of the variance is `k`, and by the logarithm of lengthscale `d` it is `-2 k'(s) (x_d - y_d)^2`.
final class KernelGradient {
  private let covariance: Covariance
  private(set) var sums: [Double]
  private let values: Buffer<Double>
  private let derivatives: Buffer<Double>

  /// 0 for a kernel of the caller without derivatives.
  static func parameterCount(of covariance: Covariance) -> Int {
    switch covariance {
    case .kernel(let kernel): 1 + kernel.lengthscale.count
    case .callback(let callback): callback.gradient?.count ?? 0
    }
  }

  /// - Parameter capacity: the most pairs of one point with others.
  init(_ covariance: Covariance, capacity: Int) throws(CoverTreeError) {
    self.covariance = covariance
    sums = Array(repeating: 0, count: Self.parameterCount(of: covariance))
    values = try Buffer(count: (capacity + 15) / 16 * 16)
    derivatives = try Buffer(count: values.count)
  }

  /// Adds the pairs of one point with others, for a kernel of the library.
  ///
  /// - Parameter weights: whole vectors; 0 after the last pair.
  func add(
    _ kernel: Kernel, _ point: UnsafePointer<Double>, _ others: PanelView<Double>, count: Int,
    weights: UnsafePointer<Double>
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

  /// Adds all pairs of some points with others; see `Covariance.fill`.
  ///
  /// - Parameter weights: `stride` numbers from row to row, a multiple of 8; 0 after the last column.
  func add(
    rows: UnsafePointer<Double>, rowCount: Int, columns: UnsafePointer<Double>, panels: PanelView<Double>,
    columnCount: Int, weights: UnsafePointer<Double>, stride: Int
  ) throws(CoverTreeError) {
    switch covariance {
    case .kernel(let kernel):
      for row in 0..<rowCount {
        add(kernel, rows + row * panels.columns, panels, count: columnCount, weights: weights + row * stride)
      }
    case .callback:
      try add(
        rows: rows, rowCount: rowCount, columns: columns, columnCount: columnCount, weights: weights, stride: stride)
    }
  }

  /// Does so for a kernel of the caller.
  func add(
    rows: UnsafePointer<Double>, rowCount: Int, columns: UnsafePointer<Double>, columnCount: Int,
    weights: UnsafePointer<Double>, stride: Int
  ) throws(CoverTreeError) {
    guard case .callback(let callback) = covariance, let gradient = callback.gradient else { return }
    let pairs = rowCount * columnCount
    let derivatives = try Buffer<Double>(count: gradient.count * pairs)
    try gradient.fill(rows, rowCount, columns, columnCount, derivatives.base)
    for parameter in 0..<gradient.count {
      let block = derivatives.base + parameter * pairs
      for row in 0..<rowCount {
        var sum = 0.0
        for column in 0..<columnCount { sum += block[row * columnCount + column] * weights[row * stride + column] }
        sums[parameter] += sum
      }
    }
  }

  /// Adds a weight of the variance of one point.
  func addOwn(_ weight: Double, _ point: UnsafePointer<Double>) throws(CoverTreeError) {
    switch covariance {
    case .kernel(let kernel): sums[0] += weight * kernel.variance
    case .callback:
      try add(rows: point, rowCount: 1, columns: point, columnCount: 1, weights: [weight], stride: 1)
    }
  }

  func add(_ other: KernelGradient) {
    for parameter in 0..<sums.count { sums[parameter] += other.sums[parameter] }
  }
}
