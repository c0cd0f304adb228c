// Powers of vectors for Minkowski distances, and sines for great circles. Everything is inlined into Swift.
#ifndef COVERTREE_POWERS_H
#define COVERTREE_POWERS_H

#include "numerics.h"

// x^p for x >= 0 and p >= 1, by exp2(p log2 x). The logarithm is 2 atanh(s) / ln 2 of the mantissa, |s| < 0.1716, and the exponential a
// Taylor polynomial; both remainders are below the rounding. The relative error is below (4 + |p log2 x|) 2^-50 in float64, and
// (4 + |p log2 x|) 2^-21 in float32. Results below the least normal number are 0.
//
// A filter in float32 needs a few digits only: up to the exponent CN_MOST_ROUGH_POWER, short minimax polynomials without a division, of
// log2 (1 + u) and 2^r from 0 to 1, have a relative error below (2 + p) 2^-13. Results below the least normal number are that number, and
// infinity and NaN give infinity.
#define CN_MOST_ROUGH_POWER 8
CN_INLINE cn_f64x8 cn_f64x8_power(cn_f64x8 x, double p) {
  cn_i64x8 bits = (cn_i64x8)x;
  // Mantissas from sqrt(1/2) to sqrt(2).
  cn_i64x8 exponent = (bits - 0x3FE6A09E667F3BCD) >> 52;
  cn_f64x8 m = (cn_f64x8)(bits - (exponent << 52));
  cn_f64x8 s = (m - 1) / (m + 1), z = s * s;
  cn_f64x8 sum = 1.0 / 21;
  sum = CN_MULTIPLY_ADD(sum, z, (cn_f64x8)(1.0 / 19));
  sum = CN_MULTIPLY_ADD(sum, z, (cn_f64x8)(1.0 / 17));
  sum = CN_MULTIPLY_ADD(sum, z, (cn_f64x8)(1.0 / 15));
  sum = CN_MULTIPLY_ADD(sum, z, (cn_f64x8)(1.0 / 13));
  sum = CN_MULTIPLY_ADD(sum, z, (cn_f64x8)(1.0 / 11));
  sum = CN_MULTIPLY_ADD(sum, z, (cn_f64x8)(1.0 / 9));
  sum = CN_MULTIPLY_ADD(sum, z, (cn_f64x8)(1.0 / 7));
  sum = CN_MULTIPLY_ADD(sum, z, (cn_f64x8)(1.0 / 5));
  sum = CN_MULTIPLY_ADD(sum, z, (cn_f64x8)(1.0 / 3));
  sum = CN_MULTIPLY_ADD(sum * z, s, s);
  cn_f64x8 y = p * CN_MULTIPLY_ADD(sum, (cn_f64x8)0x1.71547652b82fep+1, __builtin_convertvector(exponent, cn_f64x8));
  cn_f64x8 most = 1024, least = -1022;
  cn_f64x8 inside = y < most ? y : most;
  inside = inside > least ? inside : least;
  cn_f64x8 shifted = inside + 0x1.8p52;
  cn_f64x8 r = (inside - (shifted - 0x1.8p52)) * 0x1.62e42fefa39efp-1;
  cn_f64x8 e = 1.0 / 6227020800;
  e = CN_MULTIPLY_ADD(e, r, (cn_f64x8)(1.0 / 479001600));
  e = CN_MULTIPLY_ADD(e, r, (cn_f64x8)(1.0 / 39916800));
  e = CN_MULTIPLY_ADD(e, r, (cn_f64x8)(1.0 / 3628800));
  e = CN_MULTIPLY_ADD(e, r, (cn_f64x8)(1.0 / 362880));
  e = CN_MULTIPLY_ADD(e, r, (cn_f64x8)(1.0 / 40320));
  e = CN_MULTIPLY_ADD(e, r, (cn_f64x8)(1.0 / 5040));
  e = CN_MULTIPLY_ADD(e, r, (cn_f64x8)(1.0 / 720));
  e = CN_MULTIPLY_ADD(e, r, (cn_f64x8)(1.0 / 120));
  e = CN_MULTIPLY_ADD(e, r, (cn_f64x8)(1.0 / 24));
  e = CN_MULTIPLY_ADD(e, r, (cn_f64x8)(1.0 / 6));
  e = CN_MULTIPLY_ADD(e, r, (cn_f64x8)0.5);
  e = CN_MULTIPLY_ADD(e, r, (cn_f64x8)1.0);
  e = CN_MULTIPLY_ADD(e, r, (cn_f64x8)1.0);
  cn_f64x8 result = (cn_f64x8)((cn_i64x8)e + ((cn_i64x8)shifted << 52));
  cn_f64x8 zero = 0, infinity = __builtin_inf();
  result = y < least ? zero : result;
  result = ((y >= most) | (x == infinity)) ? infinity : result;
  return x < 0x1p-1022 ? zero : result;
}

// The float32 numbers nearest to x^p, for any p > 0; NaN if the error of `cn_f64x8_power` leaves two to choose from.
CN_INLINE cn_f32x8 cn_f32x8_certain_power(cn_f64x8 x, double p) {
  cn_f64x8 y = cn_f64x8_power(x, p);
  cn_f32x8 low = cn_f64x8_narrow(y * (1 - 0x1p-38)), high = cn_f64x8_narrow(y * (1 + 0x1p-38));
  cn_i32x8 has_digits = __builtin_convertvector((x == 0) | (x >= 0x1p-1022), cn_i32x8);
  return ((low == high) & has_digits) ? low : (cn_f32x8)__builtin_nanf("");
}

CN_INLINE cn_f32x16 cn_f32x16_rough_power(cn_f32x16 x, float p) {
  cn_i32x16 bits = (cn_i32x16)x;
  cn_f32x16 u = (cn_f32x16)((bits & 0x7FFFFF) | 0x3F800000) - 1;
  cn_f32x16 log = -0x1.5b3676p-4f;
  log = CN_MULTIPLY_ADD(log, u, (cn_f32x16)0x1.4d69p-2f);
  log = CN_MULTIPLY_ADD(log, u, (cn_f32x16)-0x1.5c21a4p-1f);
  log = CN_MULTIPLY_ADD(log, u, (cn_f32x16)0x1.706344p+0f);
  log = CN_MULTIPLY_ADD(log, u, __builtin_convertvector((bits >> 23) - 127, cn_f32x16));
  cn_f32x16 y = p * log, most = 128, least = -126;
  y = y < most ? y : most;
  y = y > least ? y : least;
  cn_f32x16 whole = __builtin_elementwise_floor(y), r = y - whole;
  cn_f32x16 e = 0x1.3baaa6p-4f;
  e = CN_MULTIPLY_ADD(e, r, (cn_f32x16)0x1.d2378ap-3f);
  e = CN_MULTIPLY_ADD(e, r, (cn_f32x16)0x1.63e658p-1f);
  e = CN_MULTIPLY_ADD(e, r, (cn_f32x16)1.0f);
  return (cn_f32x16)((cn_i32x16)e + (__builtin_convertvector(whole, cn_i32x16) << 23));
}

CN_INLINE cn_f32x16 cn_f32x16_power(cn_f32x16 x, float p) {
  if (p <= CN_MOST_ROUGH_POWER) return cn_f32x16_rough_power(x, p);
  cn_i32x16 bits = (cn_i32x16)x;
  cn_i32x16 exponent = (bits - 0x3F3504F3) >> 23;
  cn_f32x16 m = (cn_f32x16)(bits - (exponent << 23));
  cn_f32x16 s = (m - 1) / (m + 1), z = s * s;
  cn_f32x16 sum = 1.0f / 9;
  sum = CN_MULTIPLY_ADD(sum, z, (cn_f32x16)(1.0f / 7));
  sum = CN_MULTIPLY_ADD(sum, z, (cn_f32x16)(1.0f / 5));
  sum = CN_MULTIPLY_ADD(sum, z, (cn_f32x16)(1.0f / 3));
  sum = CN_MULTIPLY_ADD(sum * z, s, s);
  cn_f32x16 y = p * CN_MULTIPLY_ADD(sum, (cn_f32x16)0x1.715476p+1f, __builtin_convertvector(exponent, cn_f32x16));
  cn_f32x16 most = 128, least = -126;
  cn_f32x16 inside = y < most ? y : most;
  inside = inside > least ? inside : least;
  cn_f32x16 shifted = inside + 0x1.8p23f;
  cn_f32x16 r = (inside - (shifted - 0x1.8p23f)) * 0x1.62e43p-1f;
  cn_f32x16 e = 1.0f / 5040;
  e = CN_MULTIPLY_ADD(e, r, (cn_f32x16)(1.0f / 720));
  e = CN_MULTIPLY_ADD(e, r, (cn_f32x16)(1.0f / 120));
  e = CN_MULTIPLY_ADD(e, r, (cn_f32x16)(1.0f / 24));
  e = CN_MULTIPLY_ADD(e, r, (cn_f32x16)(1.0f / 6));
  e = CN_MULTIPLY_ADD(e, r, (cn_f32x16)0.5f);
  e = CN_MULTIPLY_ADD(e, r, (cn_f32x16)1.0f);
  e = CN_MULTIPLY_ADD(e, r, (cn_f32x16)1.0f);
  cn_f32x16 result = (cn_f32x16)((cn_i32x16)e + ((cn_i32x16)shifted << 23));
  cn_f32x16 zero = 0, infinity = __builtin_inff();
  result = y < least ? zero : result;
  result = ((y >= most) | (x == infinity)) ? infinity : result;
  return x < 0x1p-126f ? zero : result;
}

// The sine, up to its sign; the relative error is below 2^-50 for angles up to 2^20. The angle is reduced to |r| <= pi / 2 by multiples of
// pi; the remainder of the Taylor polynomial of degree 21 is below 2^-59.
CN_INLINE cn_f64x8 cn_f64x8_unsigned_sine(cn_f64x8 x) {
  cn_f64x8 n = CN_MULTIPLY_ADD(x, (cn_f64x8)0x1.45f306dc9c883p-2, (cn_f64x8)0x1.8p52) - 0x1.8p52;
  // pi as a sum of three numbers; the first two have few digits, so their products with n are exact.
  cn_f64x8 r = CN_MULTIPLY_ADD(n, (cn_f64x8)-0x1.921fb544p+1, x);
  r = CN_MULTIPLY_ADD(n, (cn_f64x8)-0x1.0b4611a6p-33, r);
  r = CN_MULTIPLY_ADD(n, (cn_f64x8)-0x1.3198a2e037073p-68, r);
  cn_f64x8 z = r * r;
  cn_f64x8 sum = 1.0 / 51090942171709440000.0;
  sum = CN_MULTIPLY_ADD(sum, z, (cn_f64x8)(-1.0 / 121645100408832000.0));
  sum = CN_MULTIPLY_ADD(sum, z, (cn_f64x8)(1.0 / 355687428096000.0));
  sum = CN_MULTIPLY_ADD(sum, z, (cn_f64x8)(-1.0 / 1307674368000.0));
  sum = CN_MULTIPLY_ADD(sum, z, (cn_f64x8)(1.0 / 6227020800.0));
  sum = CN_MULTIPLY_ADD(sum, z, (cn_f64x8)(-1.0 / 39916800.0));
  sum = CN_MULTIPLY_ADD(sum, z, (cn_f64x8)(1.0 / 362880.0));
  sum = CN_MULTIPLY_ADD(sum, z, (cn_f64x8)(-1.0 / 5040.0));
  sum = CN_MULTIPLY_ADD(sum, z, (cn_f64x8)(1.0 / 120.0));
  sum = CN_MULTIPLY_ADD(sum, z, (cn_f64x8)(-1.0 / 6.0));
  return CN_MULTIPLY_ADD(sum * z, r, r);
}

CN_INLINE cn_f64x8 cn_f64x8_squared_sine(cn_f64x8 x) {
  cn_f64x8 sine = cn_f64x8_unsigned_sine(x);
  return sine * sine;
}

// The cosine of an angle from -pi / 2 to pi / 2: the sine of its distance from pi / 2, which is a sum of two numbers. The sine of pi / 2, for
// an angle of 0, may come with the wrong sign.
CN_INLINE cn_f64x8 cn_f64x8_cosine(cn_f64x8 x) {
  return cn_f64x8_abs(cn_f64x8_unsigned_sine((0x1.921fb54442d18p+0 - cn_f64x8_abs(x)) + 0x1.1a62633145c07p-54));
}

#endif
