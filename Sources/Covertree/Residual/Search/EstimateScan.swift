import CNumerics
import CovertreeBase

/// The largest error of one query's estimates: `fixed + share * error_j + factor * scale_j` for point `j` of a block, and their own
/// rounding to float32.
struct EstimateErrors {
  fileprivate static let rounding: Float = 0x1p-22

  var fixed: Float
  var share: Float = 0
  var factor: Float
}

extension CandidateList {
  /// Adds the points of a block whose |rho| can reach the threshold.
  ///
  /// - Parameters:
  ///   - estimates: of rho; whole vectors of 16.
  ///   - count: the number of points that count.
  ///   - indices: their dataset indices.
  ///   - firstPosition: the position of the first.
  ///   - own: the query's own index. It is at distance 0 from itself whatever its variances.
  ///   - copies: the equal points that count; nil for all.
  func scan(
    _ estimates: UnsafePointer<Float>, count: Int, indices: UnsafePointer<Int32>, firstPosition: Int, own: Int32,
    excludesOwn: Bool, among copies: FirstCopies?, within bounds: EstimateErrors, errors: UnsafePointer<Float>,
    scales: UnsafePointer<Float>, covariances: UnsafePointer<Double>? = nil
  ) throws(CoverTreeError) {
    typealias Lanes = SIMD16<Float>
    let (estimates, errors, scales) = (estimates.vectors, errors.vectors, scales.vectors)
    let ranks = copies.map { $0.ranks(from: firstPosition).vectors }
    let last = Lanes(repeating: copies?.last ?? 0)
    let least = Lanes(repeating: leastUseful)
    let (fixed, share, factor) = (
      Lanes(repeating: bounds.fixed), Lanes(repeating: bounds.share), Lanes(repeating: bounds.factor)
    )
    for vector in 0..<(count &+ 15) / 16 {
      let size = cn_f32x16_abs(estimates[vector])
      let known = Float.multiplyAdd(errors[vector], share, Float.multiplyAdd(scales[vector], factor, fixed))
      let error = Float.multiplyAdd(size, Lanes(repeating: EstimateErrors.rounding), known)
      let upper = size + error
      let inUse = UInt32(0xFFFF) >> UInt32(truncatingIfNeeded: 16 &- min(16, count &- vector &* 16))
      var hits = Float.maskLessOrEqual(least, upper) & inUse
      if hits != 0, let ranks { hits &= Float.maskLessOrEqual(ranks[vector], last) }
      for lane in SetBits(hits) {
        let j = vector &* 16 &+ lane
        let isOwn = indices[j] == own
        if isOwn && excludesOwn { continue }
        try append(
          Int32(truncatingIfNeeded: firstPosition &+ j), lower: isOwn ? 1 : upper[lane] - 2 * error[lane],
          upper: isOwn ? 1 : upper[lane])
        if let covariances { try self.covariances!.append(covariances[j]) }
      }
    }
    try pruneWhereWorthIt()
  }
}
