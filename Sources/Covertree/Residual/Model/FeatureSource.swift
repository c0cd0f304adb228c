/// The source of features and residual variances.
public enum FeatureSource: @unchecked Sendable {
  /// Inducing points, by raw coordinates: the library computes features. Without points: the plain correlation of the kernel.
  case inducing(PointsView<Double>, jitter: Double)
  /// The caller's own `V` and `p`, and the kernel's diagonal if it is not the kernel's variance.
  case given(AnyPoints, residualVariance: UnsafePointer<Double>, kernelDiagonal: UnsafePointer<Double>?)
}
