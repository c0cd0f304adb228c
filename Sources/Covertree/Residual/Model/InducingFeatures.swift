import CovertreeBase

/// Inducing features, as in the Nyström method: `v(x) = L^-1 k(U, x)`, where `L L^T = k(U, U) + jitter variance I`.
///
/// Coordinates are scaled by the kernel's lengthscale.
final class InducingFeatures: @unchecked Sendable {
  /// If the kernel matrix is not positive definite, ten times the jitter is tried, up to this.
  static let maximumJitter = 1e-2

  let covariance: Covariance
  let dim: Int
  /// The number of inducing points.
  let count: Int
  /// The number added to the diagonal, relative to the variance.
  let jitter: Double
  let inducing: Buffer<Double>
  let factor: CholeskyFactor

  /// The number of features of a point, zeros included.
  var rank: Int { factor.paddedCount }

  /// - Parameter inducing: scaled, `count x dim`.
  init(
    _ inducing: Buffer<Double>, count: Int, dim: Int, covariance: Covariance, variance: Double, jitter: Double,
    context: CallContext
  ) throws(CoverTreeError) {
    guard jitter >= 0, jitter <= Self.maximumJitter else {
      throw CoverTreeError(.invalidArgument, "jitter: expected 0 to \(Self.maximumJitter), got \(jitter)")
    }
    self.covariance = covariance
    self.dim = dim
    self.count = count
    self.inducing = inducing
    let stride = (count + 15) / 16 * 16
    let matrix = try Buffer<Double>(count: count * stride)
    let panels = try Panels<Double>(rows: count, columns: dim)
    panels.view.pack(count) { UnsafePointer(inducing.base) + $0 * dim }
    try context.forEach(count, grain: 64) { (range, _) throws(CoverTreeError) in
      try covariance.fill(
        rows: inducing.base + range.lowerBound * dim, rowCount: range.count, columns: inducing.base,
        panels: panels.view, columnCount: count, into: matrix.base + range.lowerBound * stride, stride: stride)
    }
    var tried = jitter
    while true {
      if let factor = try CholeskyFactor(
        matrix.base, count: count, stride: stride, added: tried * variance, context: context)
      {
        self.factor = factor
        self.jitter = tried
        return
      }
      guard tried < Self.maximumJitter else {
        throw CoverTreeError(
          .invalidArgument,
          "kernel: the covariance matrix of the \(count) inducing points is not positive definite, even with "
            + "\(Self.maximumJitter) times the variance added to its diagonal")
      }
      tried = min(Self.maximumJitter, max(tried * 10, 1e-12))
    }
  }

  /// Features from a file.
  init(inducing: Buffer<Double>, dim: Int, covariance: Covariance, jitter: Double, factor: CholeskyFactor) {
    (self.inducing, self.dim, self.covariance) = (inducing, dim, covariance)
    (self.jitter, self.factor, count) = (jitter, factor, factor.count)
  }

  /// Writes the features of points.
  ///
  /// - Parameters:
  ///   - points: scaled, `count x dim`.
  ///   - features: `count x rank`.
  ///   - squaredNorms: `count`.
  func fill(
    _ points: UnsafePointer<Double>, count: Int, features: UnsafeMutablePointer<Double>,
    squaredNorms: UnsafeMutablePointer<Double>, context: CallContext
  ) throws(CoverTreeError) {
    let width = PanelView<Double>.panelRows
    let panels = (count + width - 1) / width
    try context.forEach(panels, grain: CallContext.grain(operationsPerItem: rank * rank, most: 16)) {
      (range, _) throws(CoverTreeError) in
      let coordinates = try Panels<Double>(rows: width, columns: dim)
      let y = try Buffer<Double>(count: rank * width)
      for panel in range {
        let first = panel * width
        let inUse = min(width, count - first)
        coordinates.view.pack(inUse) { points + (first + $0) * dim }
        try fillCovariances(points + first * dim, inUse, coordinates.view, into: y.base)
        factor.solve(y.base)
        for lane in 0..<inUse {
          let row = features + (first + lane) * rank
          for k in 0..<rank { row[k] = y.base[k &* width &+ lane] }
          squaredNorms[first + lane] = dot(row, row, count: rank)
        }
      }
    }
  }

  /// One panel of `k(U, x)`, inducing points down, points across.
  private func fillCovariances(
    _ points: UnsafePointer<Double>, _ inUse: Int, _ coordinates: PanelView<Double>,
    into y: UnsafeMutablePointer<Double>
  ) throws(CoverTreeError) {
    let width = PanelView<Double>.panelRows
    (y + count * width).update(repeating: 0, count: (rank - count) * width)
    switch covariance {
    case .kernel(let kernel):
      for k in 0..<count {
        kernel.fill(inducing.base + k * dim, coordinates, count: width, into: y + k * width)
      }
    case .callback(let callback):
      let block = try Buffer<Double>(count: inUse * count)
      try callback.fill(points, inUse, inducing.base, count, block.base)
      for k in 0..<count {
        for lane in 0..<width { y[k * width + lane] = lane < inUse ? block[lane * count + k] : 0 }
      }
    }
  }
}
