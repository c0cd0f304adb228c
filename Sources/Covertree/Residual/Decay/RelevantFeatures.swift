import CNumerics
import CovertreeBase

/// The features in which a group of queries and a block are both not nearly zero.
///
/// In a wide domain only the features of near inducing points matter to a point. With `A_u` and `B_u`, the largest `|v_u| / sqrt(p)` of the
/// group and of the block, `sum of A_u B_u` over the features that are left out is an error of rho, and the same sum over all features
/// replaces the product of lengths in the bound of rounding errors.
final class RelevantFeatures {
  /// The features left out may change rho by this share of the least |rho| of use.
  private static let neglected: Float = 0x1p-12
  /// If more than this share of the features matter, all are multiplied.
  private static let largestShare = 0.7

  private let bounds: DecayBounds
  private let rank: Int
  private let largest: Buffer<Float>
  /// The features that matter; nil for all.
  private(set) var columns: [Int]?
  /// The largest change of rho by the features left out.
  private(set) var leftOut: Float = 0
  /// `sum of A_u B_u`.
  private(set) var crossing: Double = .infinity

  init?(_ bounds: DecayBounds?) throws(CoverTreeError) {
    guard let bounds else { return nil }
    self.bounds = bounds
    rank = bounds.inducing.rank
    largest = try Buffer(count: rank)
  }

  func begin(_ group: QueryGroup) {
    fillLargestFeatures(group.count, rank: rank, into: largest.base) {
      let point = group.queries[$0].point
      return (point.features, 1 / point.residualVariance.squareRoot())
    }
  }

  /// Chooses the features for a block.
  ///
  /// - Parameter least: the least |rho| of use to any query.
  func choose(_ block: Int, least: Float) {
    let other = bounds.features.base + block * rank
    let most = least * Self.neglected / Float(rank)
    var (kept, rest): (Float, Float) = (0, 0)
    var relevant: [Int] = []
    for u in 0..<rank {
      let product = largest[u] * other[u]
      if product <= most {
        rest += product
      } else {
        kept += product
        relevant.append(u)
      }
    }
    let rounding = 1 + Float(rank + 8) * 0x1p-23
    let isWorthIt = Double(relevant.count) <= Self.largestShare * Double(rank)
    columns = isWorthIt ? relevant : nil
    leftOut = isWorthIt ? rest * rounding : 0
    crossing = Double((kept + rest) * rounding)
  }
}

/// Writes the largest `|v_u| / sqrt(p)` of each feature `u` among some points, rounded up.
///
/// - Parameter point: the features and `1 / sqrt(p)` of a point.
@inline(__always)
func fillLargestFeatures(
  _ count: Int, rank: Int, into largest: UnsafeMutablePointer<Float>,
  _ point: (Int) -> (features: UnsafePointer<Double>, scale: Double)
) {
  let target = UnsafeMutableRawPointer(largest).assumingMemoryBound(to: SIMD8<Float>.self)
  for vector in 0..<rank / 8 {
    var found = SIMD8<Double>(repeating: 0)
    for i in 0..<count {
      let (features, scale) = point(i)
      let values = features.vectors[vector] * scale
      found = Double.maximum(found, Double.maximum(values, -values))
    }
    target[vector] = cn_f64x8_narrow(found * (1 + 0x1p-22))
  }
}
