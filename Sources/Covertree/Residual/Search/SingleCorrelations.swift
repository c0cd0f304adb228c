import CNumerics
import CovertreeBase

/// Estimates of rho between a group of queries and a block in float32, from products of features: `(kappa - product) sigma_i sigma_j`, with
/// `sigma = sqrt(variance / p)`. Correlations of the kernel, kappa, come from products of coordinates if the kernel is smooth.
final class SingleCorrelations {
  private typealias Lanes = SIMD16<Float>

  private let model: ResidualModel
  private let kernel: Kernel
  private var group: QueryGroup!
  private let coordinates: Panels<Float>
  private let squaredLengths: Buffer<Float>
  private let scales: Buffer<Float>
  /// Of each query: the largest error of its correlations of the kernel, times its sigma.
  let errors: Buffer<Double>
  /// Products of coordinates of the group and a block.
  private let products: Buffer<Float>
  private let correlations: Buffer<Float>
  private let covariances: Buffer<Double>
  private var points: CentredPoints { model.centred }

  /// - Returns: nil for the caller's kernel, and for the caller's residual variances, which may be too small for float32.
  init?(_ model: ResidualModel, groupSize: Int) throws(CoverTreeError) {
    guard case .kernel(let kernel) = model.covariance, !model.hasGivenFeatures else { return nil }
    (self.model, self.kernel) = (model, kernel)
    coordinates = try Panels(rows: groupSize, columns: model.dim)
    squaredLengths = try Buffer(count: groupSize)
    scales = try Buffer(count: groupSize)
    errors = try Buffer(count: groupSize)
    products = try Buffer(count: (groupSize + tileRows) * model.blockSize)
    correlations = try Buffer(count: model.blockSize)
    covariances = try Buffer(count: model.blockSize)
  }

  func begin(_ group: QueryGroup) {
    self.group = group
    for i in 0..<group.count {
      let point = group.queries[i].point
      let squared = points.fill(point.coordinates, coordinates.view.row(i))
      squaredLengths[i] = Float(squared)
      scales[i] = Float((model.variance / point.residualVariance).squareRoot())
      errors[i] = kernel.errorInSingle(reach: max(points.reach, squared), dim: model.dim) * Double(scales[i]) * 1.001
    }
  }

  /// Multiplies coordinates.
  ///
  /// - Parameters:
  ///   - rows: the queries.
  ///   - columns: the number of points of the block for the tile of queries that begins at a row.
  func multiply(_ rows: Range<Int>, _ positions: Range<Int>, columns: (_ row: Int) -> Int) {
    guard kernel.isSmooth else { return }
    Covertree.multiply(
      coordinates.view, rows: rows, points.coordinates.view.from(row: positions.lowerBound), into: products.base,
      stride: model.blockSize, columns: columns)
  }

  /// Estimates of one query and the first points of the block that was multiplied last, in whole vectors.
  ///
  /// - Parameter product: of its features with theirs, over the variance.
  func estimate(
    _ i: Int, _ product: UnsafePointer<Float>, _ positions: Range<Int>, count: Int,
    into estimates: UnsafeMutablePointer<Float>
  ) {
    fillCorrelations(i, positions, count)
    let (product, correlations) = (product.vectors, correlations.base.vectors)
    let scales = (points.scales.base + positions.lowerBound).vectors
    let (target, scale) = (estimates.vectors, Lanes(repeating: self.scales[i]))
    for vector in 0..<(count &+ 15) / 16 {
      target[vector] = (correlations[vector] - product[vector]) * (scales[vector] * scale)
    }
  }

  private func fillCorrelations(_ i: Int, _ positions: Range<Int>, _ count: Int) {
    let target = correlations.base.vectors
    guard kernel.isSmooth else {
      let panels = model.coordinatePanels.view.from(row: positions.lowerBound)
      kernel.fill(group.queries[i].point.coordinates, panels, count: count, into: covariances.base)
      let (halves, unit) = (covariances.base.vectors, 1 / kernel.variance)
      for vector in 0..<(count &+ 15) / 16 {
        let (low, high) = (halves[2 &* vector] * unit, halves[2 &* vector &+ 1] * unit)
        target[vector] = Lanes(lowHalf: cn_f64x8_narrow(low), highHalf: cn_f64x8_narrow(high))
      }
      return
    }
    let products = (products.base + i &* model.blockSize).vectors
    let lengths = (points.squaredLengths.base + positions.lowerBound).vectors
    let own = Lanes(repeating: squaredLengths[i])
    for vector in 0..<(count &+ 15) / 16 {
      target[vector] = Float.multiplyAdd(products[vector], Lanes(repeating: -2), own + lengths[vector])
    }
    kernel.correlate(target, count: (count &+ 15) / 16)
  }
}
