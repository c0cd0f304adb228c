// The few vector operations that Swift cannot express as one instruction: comparison to a bit mask, fused multiply-add that falls back to
// multiply and add, and widening. Everything is inlined into Swift.
#ifndef COVERTREE_NUMERICS_H
#define COVERTREE_NUMERICS_H

#include <stddef.h>
#include <stdint.h>

// COVERTREE_GENERIC omits code for one processor, so that the code of other processors can be tested here.
#if defined(__x86_64__) && !defined(COVERTREE_GENERIC)
#define CN_X86
#endif
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
#define CN_FMA
#endif

#define CN_INLINE static inline __attribute__((always_inline))

typedef float cn_f32x16 __attribute__((ext_vector_type(16)));
typedef float cn_f32x8 __attribute__((ext_vector_type(8)));
typedef float cn_f32x4 __attribute__((ext_vector_type(4)));
typedef float cn_f32x2 __attribute__((ext_vector_type(2)));
typedef double cn_f64x4 __attribute__((ext_vector_type(4)));
typedef double cn_f64x2 __attribute__((ext_vector_type(2)));
typedef double cn_f64x8 __attribute__((ext_vector_type(8)));
typedef int64_t cn_i64x8 __attribute__((ext_vector_type(8)));
typedef int32_t cn_i32x8 __attribute__((ext_vector_type(8)));
typedef int32_t cn_i32x16 __attribute__((ext_vector_type(16)));
typedef uint8_t cn_u8x16 __attribute__((ext_vector_type(16)));
// A vector anywhere in an array.
typedef float cn_f32x16_unaligned __attribute__((ext_vector_type(16), aligned(4)));
typedef _Bool cn_mask16 __attribute__((ext_vector_type(16)));
typedef _Bool cn_mask8 __attribute__((ext_vector_type(8)));

// The lanes of a mask as bits, the first one lowest.
CN_INLINE uint32_t cn_bits_of_16(cn_mask16 mask) {
  uint16_t bits;
  __builtin_memcpy(&bits, &mask, sizeof bits);
  return bits;
}
CN_INLINE uint32_t cn_bits_of_8(cn_mask8 mask) {
  uint8_t bits;
  __builtin_memcpy(&bits, &mask, sizeof bits);
  return bits;
}

// Bit i of the result is set if a[i] <= b[i]; a NaN on either side clears it.
CN_INLINE uint32_t cn_f32x16_mask_le(cn_f32x16 a, cn_f32x16 b) {
  return cn_bits_of_16(__builtin_convertvector(a <= b, cn_mask16));
}
CN_INLINE uint32_t cn_f64x8_mask_le(cn_f64x8 a, cn_f64x8 b) {
  return cn_bits_of_8(__builtin_convertvector(a <= b, cn_mask8));
}

// a * b + c, fused if the machine can: without FMA hardware a fused operation would be a libm call per lane.
#ifdef CN_FMA
#define CN_MULTIPLY_ADD(a, b, c) __builtin_elementwise_fma(a, b, c)
#else
#define CN_MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#endif
CN_INLINE cn_f32x16 cn_f32x16_fma(cn_f32x16 a, cn_f32x16 b, cn_f32x16 c) { return CN_MULTIPLY_ADD(a, b, c); }
CN_INLINE cn_f64x8 cn_f64x8_fma(cn_f64x8 a, cn_f64x8 b, cn_f64x8 c) { return CN_MULTIPLY_ADD(a, b, c); }
CN_INLINE double cn_f64_fma(double a, double b, double c) { return CN_MULTIPLY_ADD(a, b, c); }

// One instruction each, because NaN is not handled.
CN_INLINE cn_f32x16 cn_f32x16_max(cn_f32x16 a, cn_f32x16 b) { return a > b ? a : b; }
CN_INLINE cn_f64x8 cn_f64x8_max(cn_f64x8 a, cn_f64x8 b) { return a > b ? a : b; }
CN_INLINE cn_f32x16 cn_f32x16_min(cn_f32x16 a, cn_f32x16 b) { return a < b ? a : b; }
CN_INLINE cn_f64x8 cn_f64x8_min(cn_f64x8 a, cn_f64x8 b) { return a < b ? a : b; }

CN_INLINE float cn_f32x16_largest(cn_f32x16 a) {
  cn_f32x8 b = a.lo > a.hi ? a.lo : a.hi;
  cn_f32x4 c = b.lo > b.hi ? b.lo : b.hi;
  cn_f32x2 d = c.lo > c.hi ? c.lo : c.hi;
  return d.x > d.y ? d.x : d.y;
}
CN_INLINE double cn_f64x8_largest(cn_f64x8 a) {
  cn_f64x4 b = a.lo > a.hi ? a.lo : a.hi;
  cn_f64x2 c = b.lo > b.hi ? b.lo : b.hi;
  return c.x > c.y ? c.x : c.y;
}

CN_INLINE cn_f64x8 cn_f32x8_widen(cn_f32x8 a) { return __builtin_convertvector(a, cn_f64x8); }
CN_INLINE cn_f32x8 cn_f64x8_narrow(cn_f64x8 a) { return __builtin_convertvector(a, cn_f32x8); }

// Whether a vector of 64 bytes is one register, and there are 32 of them.
CN_INLINE _Bool cn_has_wide_registers(void) {
#ifdef __AVX512F__
  return 1;
#else
  return 0;
#endif
}

// Bit i of the result is set if a[i] < below and a[i] is not `except`.
CN_INLINE uint32_t cn_i32x16_mask_admitted(cn_i32x16 a, int32_t below, int32_t except) {
  return cn_bits_of_16(__builtin_convertvector((a < below) & (a != except), cn_mask16));
}
CN_INLINE uint32_t cn_i32x8_mask_admitted(cn_i32x8 a, int32_t below, int32_t except) {
  return cn_bits_of_8(__builtin_convertvector((a < below) & (a != except), cn_mask8));
}

// The distance of each lane if the index is below `below[i]` and not `except[i]`; otherwise infinity.
CN_INLINE cn_f32x16 cn_f32x16_admitted(cn_f32x16 distance, int32_t index, cn_i32x16 below, cn_i32x16 except) {
  return ((index < below) & (index != except)) ? distance : (cn_f32x16)__builtin_inff();
}
CN_INLINE cn_f64x8 cn_f64x8_admitted(cn_f64x8 distance, int32_t index, cn_i32x8 below, cn_i32x8 except) {
  cn_i64x8 counts = __builtin_convertvector((index < below) & (index != except), cn_i64x8);
  return counts ? distance : (cn_f64x8)__builtin_inf();
}

// A distance in one lane, infinity in the others.
CN_INLINE cn_f32x16 cn_f32x16_in_lane(float distance, int32_t lane) {
  cn_i32x16 lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return lanes == lane ? (cn_f32x16)distance : (cn_f32x16)__builtin_inff();
}
CN_INLINE cn_f64x8 cn_f64x8_in_lane(double distance, int64_t lane) {
  cn_i64x8 lanes = {0, 1, 2, 3, 4, 5, 6, 7};
  return lanes == lane ? (cn_f64x8)distance : (cn_f64x8)__builtin_inf();
}

// Per lane: `number` if a < b, otherwise the lane of `others`.
CN_INLINE cn_i32x16 cn_f32x16_number_where_less(cn_f32x16 a, cn_f32x16 b, int32_t number, cn_i32x16 others) {
  return a < b ? (cn_i32x16)number : others;
}
CN_INLINE cn_i32x8 cn_f64x8_number_where_less(cn_f64x8 a, cn_f64x8 b, int32_t number, cn_i32x8 others) {
  return __builtin_convertvector(a < b, cn_i32x8) ? (cn_i32x8)number : others;
}

// By lane: the number of smaller numbers.
CN_INLINE cn_i32x16 cn_f32x16_ranks(cn_f32x16 a, const float *numbers, ptrdiff_t count) {
  cn_i32x16 ranks = {};
  for (ptrdiff_t i = 0; i < count; i++) ranks -= (cn_f32x16)numbers[i] < a;
  return ranks;
}
CN_INLINE cn_i32x8 cn_f64x8_ranks(cn_f64x8 a, const double *numbers, ptrdiff_t count) {
  cn_i64x8 ranks = {};
  for (ptrdiff_t i = 0; i < count; i++) ranks -= (cn_f64x8)numbers[i] < a;
  return __builtin_convertvector(ranks, cn_i32x8);
}

// Bit i is set unless a[i] < b[i].
CN_INLINE uint32_t cn_f64x8_mask_not_less(cn_f64x8 a, cn_f64x8 b) {
  return cn_bits_of_8(__builtin_convertvector(~(a < b), cn_mask8));
}

CN_INLINE void cn_prefetch(const void *start, int64_t bytes) {
  for (int64_t byte = 0; byte < bytes; byte += 64) __builtin_prefetch((const uint8_t *)start + byte);
}

// The lanes moved up by one; the last lane of `below` comes first.
CN_INLINE cn_f32x16 cn_f32x16_up(cn_f32x16 below, cn_f32x16 a) {
  return __builtin_shufflevector(below, a, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30);
}
CN_INLINE cn_f64x8 cn_f64x8_up(cn_f64x8 below, cn_f64x8 a) {
  return __builtin_shufflevector(below, a, 7, 8, 9, 10, 11, 12, 13, 14);
}

// Numbers from 0 on, rounded up; above 255 and NaN become 255.
CN_INLINE cn_u8x16 cn_f32x16_bytes_above(cn_f32x16 a) {
  cn_f32x16 most = 255.0f;
  return __builtin_convertvector(
      __builtin_convertvector(__builtin_elementwise_min(__builtin_elementwise_ceil(a), most), cn_i32x16), cn_u8x16);
}

CN_INLINE cn_f32x16 cn_f32x16_abs(cn_f32x16 a) { return __builtin_elementwise_abs(a); }
CN_INLINE cn_f64x8 cn_f64x8_abs(cn_f64x8 a) { return __builtin_elementwise_abs(a); }

// Inner products of bytes, by instructions that x86-64-v4 does not promise: only if cn_has_byte_products returns true.
static inline int cn_has_byte_products(void) {
#ifdef CN_X86
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512vnni") != 0;
#else
  return 0;
#endif
}

// Eight rows with two groups of 16 columns, four coordinates at a time. A vector of `columns` has them for 16 columns (unsigned; the second
// group begins `steps` vectors later), and 8 numbers of `rows` have them for the rows (signed). `sums` has room for 8 x 32.
#ifdef CN_X86
__attribute__((target("avx512f,avx512vnni")))
#endif
static inline void cn_byte_products(const uint8_t *columns, const int8_t *rows, int64_t steps, int32_t *sums) {
#ifdef CN_X86
  const cn_i32x16 *first = (const cn_i32x16 *)columns;
  const int32_t *row = (const int32_t *)rows;
  cn_i32x16 low[8] = {}, high[8] = {};
  for (int64_t step = 0; step < steps; step++) {
#pragma clang loop unroll(full)
    for (int i = 0; i < 8; i++) {
      cn_i32x16 four = (cn_i32x16)row[step * 8 + i];
      low[i] = __builtin_ia32_vpdpbusd512(low[i], first[step], four);
      high[i] = __builtin_ia32_vpdpbusd512(high[i], first[steps + step], four);
    }
  }
  for (int i = 0; i < 8; i++) {
    ((cn_i32x16 *)sums)[2 * i] = low[i];
    ((cn_i32x16 *)sums)[2 * i + 1] = high[i];
  }
#endif
}

// Bit i of the result is set if 2 a[i] - b[i] >= c.
CN_INLINE uint32_t cn_i32x16_mask_twice_minus(cn_i32x16 a, cn_i32x16 b, int32_t c) {
  return cn_bits_of_16(__builtin_convertvector(a + a - b >= c, cn_mask16));
}

// Declared under another name: Swift's Glibc module hides the GNU extensions.
extern int cn_sched_getaffinity(int32_t process, uint64_t bytes, void *set) __asm__("sched_getaffinity");

// The processor level that the code was compiled for.
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

// CRC-32C (Castagnoli) of bytes that follow others with a known sum; 0 without others.
CN_INLINE uint32_t cn_crc32c(uint32_t sum, const void *bytes, size_t count) {
  const uint8_t *next = (const uint8_t *)bytes;
  sum = ~sum;
#ifdef __SSE4_2__
  for (; count >= 8; count -= 8, next += 8) {
    uint64_t word;
    __builtin_memcpy(&word, next, sizeof word);
    sum = (uint32_t)__builtin_ia32_crc32di(sum, word);
  }
  for (; count > 0; count--) sum = __builtin_ia32_crc32qi(sum, *next++);
#else
  for (; count > 0; count--) {
    sum ^= *next++;
    for (int bit = 0; bit < 8; bit++) sum = sum >> 1 ^ (sum & 1 ? 0x82F63B78u : 0);
  }
#endif
  return ~sum;
}

#endif
