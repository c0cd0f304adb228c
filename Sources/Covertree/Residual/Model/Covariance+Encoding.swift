import CovertreeBase
import CovertreeFiles

/// Kernels in files: a number, a variance and lengthscales. The caller's own kernel has the number -1, and must be given again.
extension Covariance {
  private static let callbackNumber: Int64 = -1

  /// - Parameter kernel: nil for the caller's own.
  static func encoded(
    _ kernel: Kernel?
  ) throws(CoverTreeError) -> (number: Int64, variance: Double, lengthscale: Buffer<Double>) {
    let lengthscale = kernel?.lengthscale ?? [1]
    let scales = try Buffer<Double>(count: lengthscale.count)
    for (d, scale) in lengthscale.enumerated() { scales[d] = scale }
    return (kernel.map { Int64($0.shape.rawValue) } ?? callbackNumber, kernel?.variance ?? 0, scales)
  }

  /// - Parameter callback: the caller's kernel; throws if the file needs one and there is none, or the reverse.
  init(
    _ file: StoredFile, number: Int64, variance: Double, _ lengthscale: Buffer<Double>, _ callback: CallbackKernel?,
    dim: Int
  ) throws(CoverTreeError) {
    if number == Self.callbackNumber {
      guard let callback else {
        throw CoverTreeError(.invalidArgument, "kernel_fn: the file was saved with the caller's kernel; give it")
      }
      self = .callback(callback)
    } else {
      guard callback == nil else {
        throw CoverTreeError(.invalidArgument, "kernel_fn: the file has a kernel of the library; it accepts no other")
      }
      guard let shape = Int32(exactly: number).flatMap(Kernel.Shape.init(rawValue:)) else {
        throw file.corrupt("section \"settings\" names a kernel that this library does not know")
      }
      self = .kernel(try Kernel(shape: shape, variance: variance, lengthscale: Array(lengthscale.elements)))
    }
    try check(dim: dim)
  }
}
