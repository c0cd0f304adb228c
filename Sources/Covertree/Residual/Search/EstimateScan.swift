import CNumerics
import CovertreeBase

/// The largest error of one query's estimates: `fixed + share * error_j + factor * scale_j` for point `j` of a block, and a few roundings
/// to float32 of the estimate itself.
struct EstimateErrors {
  fileprivate static let rounding: Float = 0x1p-21

  var fixed: Float
  var share: Float = 0
  var factor: Float
}

/// Points of a block that count for one query: the first `count`.
struct EligiblePoints {
  let count: Int
  /// The position of the first.
  let firstPosition: Int
  /// Their dataset indices.
  let indices: UnsafePointer<Int32>
  /// The query's own index, which is left out: `GroupSearch` adds it.
  let own: Int32
  /// The equal points that count; nil for all.
  let copies: FirstCopies?
  /// `error_j` and `scale_j`; whole vectors.
  let errors: UnsafePointer<Float>
  let scales: UnsafePointer<Float>
}

extension QueryGroup {
  /// The first `count` of some positions, for query `i`.
  ///
  /// - Parameter errors: of the points from the first position on.
  func eligible(
    _ i: Int, _ positions: Range<Int>, _ count: Int, _ model: ResidualModel, errors: UnsafePointer<Float>
  ) -> EligiblePoints {
    EligiblePoints(
      count: count, firstPosition: positions.lowerBound,
      indices: UnsafePointer(model.order.base) + positions.lowerBound, own: queries[i].point.index,
      copies: copies, errors: errors,
      scales: UnsafePointer(model.scaleAbove.base) + positions.lowerBound)
  }
}

extension CandidateList {
  private typealias Lanes = SIMD16<Float>

  /// Adds the points whose |rho| can reach the threshold.
  ///
  /// - Parameters:
  ///   - estimates: of rho; whole vectors of 16.
  ///   - covariances: with the query, if the list keeps them.
  func scan(
    _ estimates: UnsafePointer<Float>, _ points: EligiblePoints, within bounds: EstimateErrors,
    covariances: UnsafePointer<Double>? = nil
  ) throws(CoverTreeError) {
    try forEachHit(estimates, points, within: bounds) {
      (j, upper, error) throws(CoverTreeError) in
      try append(
        Int32(truncatingIfNeeded: points.firstPosition &+ j), lower: upper - 2 * error, upper: upper)
      if let covariances { try self.covariances!.append(covariances[j]) }
    }
    try pruneWhereWorthIt()
  }

  /// Writes the positions of these points instead, if the errors are too large for candidates.
  func scanRoughly(
    _ estimates: UnsafePointer<Float>, _ points: EligiblePoints, within bounds: EstimateErrors,
    into positions: GrowableBuffer<Int32>
  ) throws(CoverTreeError) {
    try forEachHit(estimates, points, within: bounds) { (j, _, _) throws(CoverTreeError) in
      try positions.append(Int32(truncatingIfNeeded: points.firstPosition &+ j))
    }
  }

  /// Calls `body` with the number of each point that can reach the threshold, its upper bound, and the error of its estimate.
  @inline(__always)
  private func forEachHit(
    _ estimates: UnsafePointer<Float>, _ points: EligiblePoints, within bounds: EstimateErrors,
    _ body: (_ j: Int, _ upper: Float, _ error: Float) throws(CoverTreeError) -> Void
  ) throws(CoverTreeError) {
    let (estimates, errors, scales) = (estimates.vectors, points.errors.vectors, points.scales.vectors)
    let ranks = points.copies.map { $0.ranks(from: points.firstPosition).vectors }
    let last = Lanes(repeating: points.copies?.last ?? 0)
    let least = Lanes(repeating: leastUseful)
    let (fixed, share, factor) = (
      Lanes(repeating: bounds.fixed), Lanes(repeating: bounds.share), Lanes(repeating: bounds.factor)
    )
    for vector in 0..<(points.count &+ 15) / 16 {
      let size = cn_f32x16_abs(estimates[vector])
      let known = Float.multiplyAdd(errors[vector], share, Float.multiplyAdd(scales[vector], factor, fixed))
      let error = Float.multiplyAdd(size, Lanes(repeating: EstimateErrors.rounding), known)
      let upper = size + error
      let inUse = UInt32(0xFFFF) >> UInt32(truncatingIfNeeded: 16 &- min(16, points.count &- vector &* 16))
      var hits = Float.maskLessOrEqual(least, upper) & inUse
      if hits != 0, let ranks { hits &= Float.maskLessOrEqual(ranks[vector], last) }
      for lane in SetBits(hits) {
        let j = vector &* 16 &+ lane
        if points.indices[j] == points.own { continue }
        try body(j, upper[lane], error[lane])
      }
    }
  }

  /// Adds points with their exact |rho|.
  func appendExactly(
    _ positions: UnsafeBufferPointer<Int32>, from query: ExactQuery, in model: ResidualModel
  ) throws(CoverTreeError) {
    if isFull { return }
    for first in stride(from: 0, to: positions.count, by: 8) {
      let count = min(8, positions.count - first)
      var lanes = SIMD8<Int32>(repeating: 0)
      for lane in 0..<count { lanes[lane] = positions[first + lane] }
      let squares = model.squaredDistances(from: query, to: lanes, count: count)
      for lane in 0..<count {
        let (lower, upper) = Self.bounds(ofSquare: squares[lane])
        try append(lanes[lane], lower: lower, upper: upper, square: squares[lane])
      }
    }
    try pruneWhereWorthIt()
  }
}
