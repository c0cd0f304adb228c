/// `e^x` of eight numbers from -infinity to 0; the relative error is below 3e-16, and below e^-708 the result is 0.
///
/// Cody and Waite's reduction to `2^n e^r` with `|r| <= ln 2 / 2`, and the Taylor polynomial of degree 13 in `r`, whose
/// remainder is below 5e-18.
@inline(__always)
func exponential(_ x: SIMD8<Double>) -> SIMD8<Double> {
  typealias V = SIMD8<Double>
  let inRange = x .> V(repeating: -708)
  let x = V(repeating: -708).replacing(with: x, where: inRange)
  // Adding 1.5 * 2^52 rounds to an integer and leaves it in the low bits.
  let magic = V(repeating: 0x1.8p52)
  let shifted = Double.multiplyAdd(x, V(repeating: 0x1.71547652b82fep0), magic)
  let n = shifted - magic
  // ln 2 as a sum of two numbers. The first has few digits, so its product with n is exact.
  let high = Double.multiplyAdd(n, V(repeating: -0x1.62e42feep-1), x)
  let r = Double.multiplyAdd(n, V(repeating: -0x1.a39ef35793c76p-33), high)
  @inline(__always) func term(_ sum: V, _ coefficient: Double) -> V {
    Double.multiplyAdd(sum, r, V(repeating: coefficient))
  }
  var sum = term(V(repeating: 1.0 / 6_227_020_800), 1.0 / 479_001_600)
  sum = term(term(sum, 1.0 / 39_916_800), 1.0 / 3_628_800)
  sum = term(term(sum, 1.0 / 362_880), 1.0 / 40320)
  sum = term(term(sum, 1.0 / 5040), 1.0 / 720)
  sum = term(term(sum, 1.0 / 120), 1.0 / 24)
  sum = term(term(sum, 1.0 / 6), 1.0 / 2)
  sum = term(term(sum, 1), 1)
  let exponent = unsafeBitCast(shifted, to: SIMD8<UInt64>.self) &<< 52
  let scaled = unsafeBitCast(unsafeBitCast(sum, to: SIMD8<UInt64>.self) &+ exponent, to: V.self)
  return V(repeating: 0).replacing(with: scaled, where: inRange)
}

/// `e^x` of sixteen numbers from -infinity to 0; the relative error is below 2^-21, and below e^-87 the result is about e^-87.
///
/// As in float64, with the Taylor polynomial of degree 6.
@inline(__always)
func exponential(_ x: SIMD16<Float>) -> SIMD16<Float> {
  typealias V = SIMD16<Float>
  let x = Float.maximum(x, V(repeating: -87))
  // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
  let magic = V(repeating: 0x1.8p23)
  let shifted = Float.multiplyAdd(x, V(repeating: 0x1.715476p0), magic)
  let n = shifted - magic
  let high = Float.multiplyAdd(n, V(repeating: -0x1.62e4p-1), x)
  let r = Float.multiplyAdd(n, V(repeating: -0x1.7f7d1cp-20), high)
  @inline(__always) func term(_ sum: V, _ coefficient: Float) -> V {
    Float.multiplyAdd(sum, r, V(repeating: coefficient))
  }
  var sum = term(V(repeating: 1.0 / 720), 1.0 / 120)
  sum = term(term(sum, 1.0 / 24), 1.0 / 6)
  sum = term(term(sum, 1.0 / 2), 1)
  sum = term(sum, 1)
  let exponent = unsafeBitCast(shifted, to: SIMD16<UInt32>.self) &<< 23
  return unsafeBitCast(unsafeBitCast(sum, to: SIMD16<UInt32>.self) &+ exponent, to: V.self)
}
