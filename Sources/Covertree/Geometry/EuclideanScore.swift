import CNumerics

/// The score of a pair of points, by which every decision about it is made: the squared Euclidean distance in float64, or below 2^-480 a
/// number that keeps its digits; see `Score`.
///
/// - Parameters:
///   - own: scalars from one coordinate of `x` to the next.
///   - stride: the same of `y`.
@inline(__always)
func euclideanScore<A: Scalar, B: Scalar>(
  _ x: UnsafePointer<A>, own: Int = 1, _ y: UnsafePointer<B>, stride: Int = 1, dim: Int
) -> Double {
  let square = squaredEuclidean(x, own: own, y, stride: stride, dim: dim)
  if A.self == Float.self && B.self == Float.self { return square }
  return square < Score.leastSquare ? scoreOfNear(x, own: own, y, stride: stride, dim: dim) : square
}

/// The same for two points whose squared distance is below `Score.leastSquare`.
@inline(never)
func scoreOfNear<A: Scalar, B: Scalar>(
  _ x: UnsafePointer<A>, own: Int = 1, _ y: UnsafePointer<B>, stride: Int = 1, dim: Int
) -> Double {
  var sum = 0.0
  for d in 0..<dim {
    let difference = (Double(x[d &* own]) - Double(y[d &* stride])) * Score.magnification
    sum = cn_f64_fma(difference, difference, sum)
  }
  return Score.ofMagnified(square: sum)
}

/// Squared Euclidean distance in float64, which may underflow.
@inline(__always)
func squaredEuclidean<A: Scalar, B: Scalar>(
  _ x: UnsafePointer<A>, own: Int = 1, _ y: UnsafePointer<B>, stride: Int = 1, dim: Int
) -> Double {
  var sum = 0.0
  for d in 0..<dim {
    let difference = Double(x[d &* own]) - Double(y[d &* stride])
    sum = cn_f64_fma(difference, difference, sum)
  }
  return sum
}

/// The same for four points at once: every lane is the sum of one point.
@inline(__always)
func squaredEuclidean<S: Scalar>(
  _ x: UnsafePointer<S>, _ a: UnsafePointer<S>, _ b: UnsafePointer<S>, _ c: UnsafePointer<S>, _ d: UnsafePointer<S>,
  dim: Int
) -> SIMD4<Double> {
  var sums = (0.0, 0.0, 0.0, 0.0)
  for i in 0..<dim {
    let own = Double(x[i])
    let differences = (own - Double(a[i]), own - Double(b[i]), own - Double(c[i]), own - Double(d[i]))
    sums.0 = cn_f64_fma(differences.0, differences.0, sums.0)
    sums.1 = cn_f64_fma(differences.1, differences.1, sums.1)
    sums.2 = cn_f64_fma(differences.2, differences.2, sums.2)
    sums.3 = cn_f64_fma(differences.3, differences.3, sums.3)
  }
  return SIMD4(sums.0, sums.1, sums.2, sums.3)
}
