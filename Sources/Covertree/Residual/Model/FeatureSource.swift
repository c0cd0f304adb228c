/// Where features and residual variances come from.
public enum FeatureSource: @unchecked Sendable {
  /// Inducing points, raw coordinates: the library builds them. No points: the plain correlation of the kernel.
  case inducing(PointsView<Double>, jitter: Double)
  /// The caller's own `V`, `p`, and, where the kernel's variance is not it, the kernel's diagonal.
  case given(AnyPoints, residualVariance: UnsafePointer<Double>, kernelDiagonal: UnsafePointer<Double>?)
}
