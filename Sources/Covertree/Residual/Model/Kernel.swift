import CovertreeBase

/// A stationary covariance function: `variance * shape(|x - y| / lengthscale)`.
public struct Kernel: Sendable, Equatable {
  public enum Shape: Int32, Sendable {
    case rbf = 0
    case matern12 = 1
    case matern32 = 2
    case matern52 = 3
  }

  public let shape: Shape
  public let variance: Double
  /// One for all dimensions, or one each (ARD).
  public let lengthscale: [Double]

  public init(shape: Shape, variance: Double, lengthscale: [Double]) throws(CoverTreeError) {
    guard variance > 0, variance.isFinite else {
      throw CoverTreeError(.invalidArgument, "variance: expected a finite number above 0, got \(variance)")
    }
    for (d, value) in lengthscale.enumerated() where !(value > 0 && value.isFinite) {
      let name = lengthscale.count == 1 ? "lengthscale" : "lengthscale[\(d)]"
      throw CoverTreeError(.invalidArgument, "\(name): expected a finite number above 0, got \(value)")
    }
    self.shape = shape
    self.variance = variance
    self.lengthscale = lengthscale
  }

  /// A kernel of checked values.
  init(known shape: Shape, variance: Double, lengthscale: [Double]) {
    (self.shape, self.variance, self.lengthscale) = (shape, variance, lengthscale)
  }

  func check(dim: Int) throws(CoverTreeError) {
    guard lengthscale.count == 1 || lengthscale.count == dim else {
      throw CoverTreeError(
        .shape, "lengthscale: expected one number or \(dim), one for each dimension, got \(lengthscale.count)")
    }
  }

  func lengthscale(ofDimension d: Int) -> Double { lengthscale.count == 1 ? lengthscale[0] : lengthscale[d] }

  /// Covariances of one point with points in panels, vector by vector: `result[j] = k(point, points[j])`. `count` is rounded up to whole
  /// vectors, for which the result has room.
  func fill(
    _ point: UnsafePointer<Double>, _ points: PanelView<Double>, count: Int, into result: UnsafeMutablePointer<Double>
  ) {
    switch shape {
    case .rbf: fill(RBFShape.self, point, points, count, result)
    case .matern12: fill(Matern12Shape.self, point, points, count, result)
    case .matern32: fill(Matern32Shape.self, point, points, count, result)
    case .matern52: fill(Matern52Shape.self, point, points, count, result)
    }
  }

  @inline(__always)
  private func fill<Correlation: CorrelationShape>(
    _: Correlation.Type, _ point: UnsafePointer<Double>, _ points: PanelView<Double>, _ count: Int,
    _ result: UnsafeMutablePointer<Double>
  ) {
    let dim = points.columns
    let scale = SIMD8(repeating: variance)
    let target = result.vectors
    for vector in 0..<(count &+ 7) / 8 {
      let lanes = points.row(vector &* 8).vectors
      var squared = SIMD8<Double>(repeating: 0)
      for d in 0..<dim {
        let difference = lanes[2 &* d] - SIMD8(repeating: point[d])
        squared = Double.multiplyAdd(difference, difference, squared)
      }
      target[vector] = scale * Correlation.at(squared: squared)
    }
  }

  /// Eight covariances at squared distances of scaled coordinates.
  @inline(__always)
  func value(atSquared squared: SIMD8<Double>) -> SIMD8<Double> {
    let correlation =
      switch shape {
      case .rbf: RBFShape.at(squared: squared)
      case .matern12: Matern12Shape.at(squared: squared)
      case .matern32: Matern32Shape.at(squared: squared)
      case .matern52: Matern52Shape.at(squared: squared)
      }
    return SIMD8(repeating: variance) * correlation
  }
}

extension Kernel {
  /// Covariances of one point with points in panels, and their derivatives by the squared scaled distance, vector by vector; see `fill`.
  func differentiate(
    _ point: UnsafePointer<Double>, _ points: PanelView<Double>, count: Int, into values: UnsafeMutablePointer<Double>,
    _ derivatives: UnsafeMutablePointer<Double>
  ) {
    switch shape {
    case .rbf: differentiate(RBFShape.self, point, points, count, values, derivatives)
    case .matern12: differentiate(Matern12Shape.self, point, points, count, values, derivatives)
    case .matern32: differentiate(Matern32Shape.self, point, points, count, values, derivatives)
    case .matern52: differentiate(Matern52Shape.self, point, points, count, values, derivatives)
    }
  }

  @inline(__always)
  private func differentiate<Correlation: CorrelationShape>(
    _: Correlation.Type, _ point: UnsafePointer<Double>, _ points: PanelView<Double>, _ count: Int,
    _ values: UnsafeMutablePointer<Double>, _ derivatives: UnsafeMutablePointer<Double>
  ) {
    let scale = SIMD8(repeating: variance)
    let (values, derivatives) = (values.vectors, derivatives.vectors)
    for vector in 0..<(count &+ 7) / 8 {
      let lanes = points.row(vector &* 8).vectors
      var squared = SIMD8<Double>(repeating: 0)
      for d in 0..<points.columns {
        let difference = lanes[2 &* d] - SIMD8(repeating: point[d])
        squared = Double.multiplyAdd(difference, difference, squared)
      }
      let (value, derivative) = Correlation.valueAndDerivative(squared: squared)
      values[vector] = scale * value
      derivatives[vector] = scale * derivative
    }
  }
}

/// A kernel of variance 1 as a function of the squared scaled distance.
private protocol CorrelationShape {
  static func at(squared: SIMD8<Double>) -> SIMD8<Double>
  /// The derivative is by the squared distance.
  static func valueAndDerivative(squared: SIMD8<Double>) -> (SIMD8<Double>, SIMD8<Double>)
}

private enum RBFShape: CorrelationShape {
  @inline(__always)
  static func at(squared: SIMD8<Double>) -> SIMD8<Double> { exponential(squared * -0.5) }
  @inline(__always)
  static func valueAndDerivative(squared: SIMD8<Double>) -> (SIMD8<Double>, SIMD8<Double>) {
    let value = at(squared: squared)
    return (value, value * -0.5)
  }
}

private enum Matern12Shape: CorrelationShape {
  @inline(__always)
  static func at(squared: SIMD8<Double>) -> SIMD8<Double> { exponential(-squared.squareRoot()) }
  /// At distance 0 it is not differentiable. What the derivative is multiplied with there is 0, so any finite number does.
  @inline(__always)
  static func valueAndDerivative(squared: SIMD8<Double>) -> (SIMD8<Double>, SIMD8<Double>) {
    let distance = squared.squareRoot()
    let value = exponential(-distance)
    let divisor = distance.replacing(with: 1, where: distance .== 0)
    return (value, value * -0.5 / divisor)
  }
}

private enum Matern32Shape: CorrelationShape {
  @inline(__always)
  static func at(squared: SIMD8<Double>) -> SIMD8<Double> {
    let t = (squared * 3).squareRoot()
    return (t + 1) * exponential(-t)
  }
  @inline(__always)
  static func valueAndDerivative(squared: SIMD8<Double>) -> (SIMD8<Double>, SIMD8<Double>) {
    let t = (squared * 3).squareRoot()
    let decay = exponential(-t)
    return ((t + 1) * decay, decay * -1.5)
  }
}

private enum Matern52Shape: CorrelationShape {
  @inline(__always)
  static func at(squared: SIMD8<Double>) -> SIMD8<Double> {
    let t = (squared * 5).squareRoot()
    return polynomial(t) * exponential(-t)
  }
  /// `1 + t + t^2 / 3`.
  @inline(__always)
  private static func polynomial(_ t: SIMD8<Double>) -> SIMD8<Double> {
    let (one, third) = (SIMD8<Double>(repeating: 1), SIMD8(repeating: 1.0 / 3))
    return Double.multiplyAdd(t, Double.multiplyAdd(t, third, one), one)
  }
  @inline(__always)
  static func valueAndDerivative(squared: SIMD8<Double>) -> (SIMD8<Double>, SIMD8<Double>) {
    let t = (squared * 5).squareRoot()
    let decay = exponential(-t)
    return (polynomial(t) * decay, (t + 1) * decay * (-5.0 / 6))
  }
}

/// A covariance function of the caller: it fills a block of `rows x columns` covariances between rows of coordinates (`dim` each, as the
/// caller gave them), and the variances of rows. Any thread may call it.
public struct CallbackKernel: @unchecked Sendable {
  public typealias Fill = (
    _ rows: UnsafePointer<Double>, _ rowCount: Int, _ columns: UnsafePointer<Double>, _ columnCount: Int,
    _ result: UnsafeMutablePointer<Double>
  ) throws(CoverTreeError) -> Void

  /// Its derivatives by some parameters.
  public struct Gradient {
    /// The number of parameters.
    let count: Int
    /// Fills `count x rows x columns` numbers.
    let fill: Fill

    public init(count: Int, fill: @escaping Fill) { (self.count, self.fill) = (count, fill) }
  }

  let fill: Fill
  let gradient: Gradient?

  public init(gradient: Gradient? = nil, fill: @escaping Fill) { (self.fill, self.gradient) = (fill, gradient) }
}

/// A source of covariances between points.
public enum Covariance: Sendable {
  case kernel(Kernel)
  case callback(CallbackKernel)

  var isCallback: Bool {
    if case .callback = self { true } else { false }
  }

  func check(dim: Int) throws(CoverTreeError) {
    if case .kernel(let kernel) = self { try kernel.check(dim: dim) }
  }

  /// The divisor of coordinates before distances are computed.
  func lengthscale(ofDimension d: Int) -> Double {
    if case .kernel(let kernel) = self { kernel.lengthscale(ofDimension: d) } else { 1 }
  }

  /// `result[i, j] = k(rows[i], columns[j])` of scaled coordinates.
  ///
  /// - Parameters:
  ///   - rows: `rowCount x dim`.
  ///   - columns: the other points, as rows and in panels; a caller's kernel gets rows.
  ///   - result: `stride` numbers from row to row, a multiple of 8.
  func fill(
    rows: UnsafePointer<Double>, rowCount: Int, columns: UnsafePointer<Double>, panels: PanelView<Double>,
    columnCount: Int, into result: UnsafeMutablePointer<Double>, stride: Int
  ) throws(CoverTreeError) {
    switch self {
    case .kernel(let kernel):
      for row in 0..<rowCount {
        kernel.fill(rows + row * panels.columns, panels, count: columnCount, into: result + row * stride)
      }
    case .callback(let callback):
      let block = try Buffer<Double>(count: rowCount * columnCount)
      try callback.fill(rows, rowCount, columns, columnCount, block.base)
      for row in 0..<rowCount {
        (result + row * stride).update(from: block.base + row * columnCount, count: columnCount)
      }
    }
  }
}
