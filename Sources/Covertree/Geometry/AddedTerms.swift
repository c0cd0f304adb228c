/// Adds the term of a coordinate to a sum.
protocol AddedTerms<S> {
  associatedtype S: Scalar
  func add(_ x: S.Lanes, _ d: Int, to sum: S.Lanes) -> S.Lanes
}

struct PlainSquares<S: Scalar>: AddedTerms {
  @inline(__always)
  func add(_ x: S.Lanes, _ d: Int, to sum: S.Lanes) -> S.Lanes { S.multiplyAdd(x, x, sum) }
}

struct AbsoluteTerms<S: Scalar>: AddedTerms {
  let weights: UnsafePointer<S>
  @inline(__always)
  func add(_ x: S.Lanes, _ d: Int, to sum: S.Lanes) -> S.Lanes {
    S.multiplyAdd(S.Lanes(repeating: weights[d]), x, sum)
  }
}

struct SquareTerms<S: Scalar>: AddedTerms {
  let weights: UnsafePointer<S>
  @inline(__always)
  func add(_ x: S.Lanes, _ d: Int, to sum: S.Lanes) -> S.Lanes {
    S.multiplyAdd(S.Lanes(repeating: weights[d]) * x, x, sum)
  }
}

/// In these three the weight comes first, so that a weight of 0 times a power that overflows is 0.
struct CubeTerms<S: Scalar>: AddedTerms {
  let weights: UnsafePointer<S>
  @inline(__always)
  func add(_ x: S.Lanes, _ d: Int, to sum: S.Lanes) -> S.Lanes {
    S.multiplyAdd(S.Lanes(repeating: weights[d]) * x * x, x, sum)
  }
}

struct FourthTerms<S: Scalar>: AddedTerms {
  let weights: UnsafePointer<S>
  @inline(__always)
  func add(_ x: S.Lanes, _ d: Int, to sum: S.Lanes) -> S.Lanes {
    S.multiplyAdd(S.Lanes(repeating: weights[d]) * x * x * x, x, sum)
  }
}

struct PowerTerms<S: Scalar>: AddedTerms {
  let weights: UnsafePointer<S>
  let exponent: Double
  @inline(__always)
  func add(_ x: S.Lanes, _ d: Int, to sum: S.Lanes) -> S.Lanes {
    sum + S.power(S.Lanes(repeating: weights[d]) * x, exponent)
  }
}

struct LargestTerms<S: Scalar>: AddedTerms {
  let weights: UnsafePointer<S>
  @inline(__always)
  func add(_ x: S.Lanes, _ d: Int, to sum: S.Lanes) -> S.Lanes { S.maximum(S.Lanes(repeating: weights[d]) * x, sum) }
}

/// Makes one number for each lane from the terms of all coordinates.
protocol TermsFold<S> {
  associatedtype S: Scalar
  func fold<Added: AddedTerms>(_ added: Added, count: Int) -> S.Lanes where Added.S == S
}

/// Their sum.
struct TermsTotal<Apart: MetricDifferences>: TermsFold {
  typealias S = Apart.S
  let apart: Apart

  /// Unrolled for the most common dimensions.
  @inline(__always)
  func fold<Added: AddedTerms>(_ added: Added, count: Int) -> S.Lanes where Added.S == S {
    var sum = added.add(apart[0], 0, to: S.Lanes(repeating: 0))
    if count == 3 { return added.add(apart[2], 2, to: added.add(apart[1], 1, to: sum)) }
    for d in 1..<max(1, count) { sum = added.add(apart[d], d, to: sum) }
    return sum
  }
}

/// The least one.
struct LeastTerm<Apart: MetricDifferences>: TermsFold {
  typealias S = Apart.S
  let apart: Apart

  @inline(__always)
  func fold<Added: AddedTerms>(_ added: Added, count: Int) -> S.Lanes where Added.S == S {
    var least = S.Lanes(repeating: .infinity)
    // A weight of 0 times an infinite difference is NaN. As the first argument, it leaves the minimum as it is.
    for d in 0..<count { least = S.minimum(added.add(apart[d], d, to: S.Lanes(repeating: 0)), least) }
    return least
  }
}
