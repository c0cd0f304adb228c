import CovertreeBase

/// The reverse of a Cholesky factorisation: how the likelihood depends on the covariances of the inducing points with each other (Murray,
/// "Differentiation of the Cholesky decomposition", 2016).
extension VIFModel {
  /// Adds derivatives of the negative log likelihood.
  ///
  /// - Parameter products: `G^T V`, which is lost.
  func addInducing(
    _ products: GramAccumulator, to byKernel: KernelGradient, _ context: CallContext
  ) throws(CoverTreeError) {
    guard let inducing else { return }
    let (rank, stride, factor) = (products.rank, products.stride, inducing.factor)
    let byFactor = products.sums
    factor.solveTransposed(byFactor.base, columns: rank, stride: stride)
    // The lower triangle of L^T times the derivatives by L, with half of its diagonal.
    let lower = try Buffer<Double>(count: rank * stride, filledWith: 0)
    for a in 0..<rank {
      try context.poll()
      let target = lower.base + a * stride
      for c in a..<rank {
        let share = factor[c, a]
        let source = byFactor.base + c * stride
        for b in 0...a { target[b] -= share * source[b] }
      }
      target[a] /= 2
    }
    factor.solveTransposed(lower.base, columns: rank, stride: stride)
    let transposed = try Buffer<Double>(count: rank * stride, filledWith: 0)
    for a in 0..<rank {
      for b in 0..<rank { transposed[b * stride + a] = lower[a * stride + b] }
    }
    factor.solveTransposed(transposed.base, columns: rank, stride: stride)
    let points = try Panels<Double>(rows: inducing.count, columns: dim)
    points.view.pack(inducing.count) { UnsafePointer(inducing.inducing.base) + $0 * dim }
    let weights = try Buffer<Double>(count: inducing.count * stride, filledWith: 0)
    var trace = 0.0
    for a in 0..<inducing.count {
      let target = weights.base + a * stride
      for b in 0..<a { target[b] = transposed[a * stride + b] + transposed[b * stride + a] }
      target[a] = transposed[a * stride + a]
      trace += target[a]
    }
    try byKernel.add(
      rows: inducing.inducing.base, rowCount: inducing.count, columns: inducing.inducing.base, panels: points.view,
      columnCount: inducing.count, weights: weights.base, stride: stride)
    try byKernel.addOwn(trace * inducing.jitter, coordinates.base + widest * dim)
  }
}

extension CholeskyFactor {
  /// Solves `L^T Y = X` in place, for a row-major `x` of `paddedCount` rows.
  ///
  /// - Parameter stride: a multiple of 16, not below `columns`.
  fileprivate func solveTransposed(_ x: UnsafeMutablePointer<Double>, columns: Int, stride: Int) {
    let width = PanelView<Double>.panelRows
    withUnsafeTemporaryAllocation(of: SIMD8<Double>.self, capacity: 2 * paddedCount) { panel in
      let scalars = panel.baseAddress!.scalars
      for column in Swift.stride(from: 0, to: columns, by: width) {
        for row in 0..<paddedCount { (scalars + row * width).update(from: x + row * stride + column, count: width) }
        solveTransposed(scalars)
        for row in 0..<paddedCount { (x + row * stride + column).update(from: scalars + row * width, count: width) }
      }
    }
  }
}
