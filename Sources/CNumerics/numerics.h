// The few vector operations for which Swift has no word that compiles to one instruction: comparison to a bit mask,
// fused multiply-add that falls back to multiply and add, and widening. Everything is inlined into Swift.
#ifndef COVERTREE_NUMERICS_H
#define COVERTREE_NUMERICS_H

#include <stdint.h>

#define CN_INLINE static inline __attribute__((always_inline))

typedef float cn_f32x16 __attribute__((ext_vector_type(16)));
typedef float cn_f32x8 __attribute__((ext_vector_type(8)));
typedef double cn_f64x8 __attribute__((ext_vector_type(8)));
typedef int32_t cn_i32x16 __attribute__((ext_vector_type(16)));
typedef uint8_t cn_u8x16 __attribute__((ext_vector_type(16)));
typedef _Bool cn_mask16 __attribute__((ext_vector_type(16)));
typedef _Bool cn_mask8 __attribute__((ext_vector_type(8)));

// Bit i of the result is set where a[i] <= b[i]; a NaN on either side clears it.
CN_INLINE uint32_t cn_f32x16_mask_le(cn_f32x16 a, cn_f32x16 b) {
  cn_mask16 mask = __builtin_convertvector(a <= b, cn_mask16);
  uint16_t bits;
  __builtin_memcpy(&bits, &mask, sizeof bits);
  return bits;
}

CN_INLINE uint32_t cn_f64x8_mask_le(cn_f64x8 a, cn_f64x8 b) {
  cn_mask8 mask = __builtin_convertvector(a <= b, cn_mask8);
  uint8_t bits;
  __builtin_memcpy(&bits, &mask, sizeof bits);
  return bits;
}

// a * b + c, fused where the machine can: without FMA hardware a fused operation would be a libm call per lane.
CN_INLINE cn_f32x16 cn_f32x16_fma(cn_f32x16 a, cn_f32x16 b, cn_f32x16 c) {
#ifdef __FMA__
  return __builtin_elementwise_fma(a, b, c);
#else
  return a * b + c;
#endif
}

CN_INLINE cn_f64x8 cn_f64x8_fma(cn_f64x8 a, cn_f64x8 b, cn_f64x8 c) {
#ifdef __FMA__
  return __builtin_elementwise_fma(a, b, c);
#else
  return a * b + c;
#endif
}

CN_INLINE double cn_f64_fma(double a, double b, double c) {
#ifdef __FMA__
  return __builtin_fma(a, b, c);
#else
  return a * b + c;
#endif
}

CN_INLINE cn_f32x16 cn_f32x16_max(cn_f32x16 a, cn_f32x16 b) { return __builtin_elementwise_max(a, b); }
CN_INLINE cn_f64x8 cn_f64x8_max(cn_f64x8 a, cn_f64x8 b) { return __builtin_elementwise_max(a, b); }

CN_INLINE cn_f64x8 cn_f32x8_widen(cn_f32x8 a) { return __builtin_convertvector(a, cn_f64x8); }
CN_INLINE cn_f32x8 cn_f64x8_narrow(cn_f64x8 a) { return __builtin_convertvector(a, cn_f32x8); }

// Numbers from 0 on, rounded up; what is above 255, or is none, is 255.
CN_INLINE cn_u8x16 cn_f32x16_bytes_above(cn_f32x16 a) {
  cn_f32x16 most = 255.0f;
  return __builtin_convertvector(
      __builtin_convertvector(__builtin_elementwise_min(__builtin_elementwise_ceil(a), most), cn_i32x16), cn_u8x16);
}

CN_INLINE cn_f32x16 cn_f32x16_abs(cn_f32x16 a) { return __builtin_elementwise_abs(a); }

// Declared under another name: Swift's Glibc module hides the GNU extensions.
extern int cn_sched_getaffinity(int32_t process, uint64_t bytes, void *set) __asm__("sched_getaffinity");

// What the code was generated for.
CN_INLINE const char *cn_cpu_level(void) {
#if defined(__AVX512F__) && defined(__AVX512VL__) && defined(__AVX512BW__) && defined(__AVX512DQ__)
  return "x86-64-v4";
#elif defined(__AVX2__) && defined(__FMA__)
  return "x86-64-v3";
#elif defined(__SSE4_2__)
  return "x86-64-v2";
#else
  return "generic";
#endif
}

#endif
