import CNumerics
import Glibc

/// From scores to distances: a value, because loops that write results would count references to a metric.
struct MetricRoot {
  let kind: MetricKind
  let exponent: Double
  /// Of the sphere.
  let radius: Double

  /// The distance of a score.
  func distance(_ score: Double) -> Double {
    switch kind {
    case .haversine: 2 * radius * asin(min(1, (score / 4).squareRoot()))
    case .angular: 2 * asin(min(1, (score / 4).squareRoot()))
    case .cosine: score / 2
    default: norm(score)
    }
  }

  /// The distances of some scores.
  func fill<S: Scalar>(_ distances: UnsafeMutablePointer<S>, of scores: UnsafePointer<Double>, count: Int) {
    if S.self == Float.self && needsPower {
      fillPowers(UnsafeMutableRawPointer(distances).assumingMemoryBound(to: Float.self), of: scores, count: count)
    } else {
      for rank in 0..<count { distances[rank] = S(distance(scores[rank])) }
    }
  }

  private var needsPower: Bool { kind.isNorm && exponent != 1 && exponent != 2 && exponent != .infinity }

  /// Eight at a time. The few near the middle of two numbers of float32 are computed one by one.
  @inline(never)
  private func fillPowers(_ distances: UnsafeMutablePointer<Float>, of scores: UnsafePointer<Double>, count: Int) {
    var some = InlineArray<8, Double>(repeating: 0)
    for first in stride(from: 0, to: count, by: 8) {
      let lanes = min(8, count &- first)
      for lane in 0..<lanes { some[lane] = scores[first &+ lane] }
      let roots = cn_f32x8_certain_power(unsafeBitCast(some, to: SIMD8<Double>.self), 1 / exponent)
      for lane in 0..<lanes {
        distances[first &+ lane] = roots[lane].isNaN ? Float(distance(scores[first &+ lane])) : roots[lane]
      }
    }
  }

  /// The norm of which a score is the power.
  func norm(_ score: Double) -> Double {
    switch exponent {
    case 1, .infinity: score
    case 2: score.squareRoot()
    default: pow(score, 1 / exponent)
    }
  }
}
