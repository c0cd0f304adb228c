// Storing the lanes of a vector whose bit is set, one after the other. The target has room for all lanes; those after the packed ones are
// unspecified.
#ifndef COVERTREE_PACKING_H
#define COVERTREE_PACKING_H

#include "numerics.h"

#if defined(CN_X86) && defined(__AVX2__) && !defined(__AVX512F__)
// The number of a lane at its position among those whose bit is set; 0 if its bit is not.
#define CN_LANE(mask, lane) ((uint64_t)((mask) >> lane & 1) * lane << 8 * __builtin_popcount((mask) & ((1 << lane) - 1)))
#define CN_LANES(mask)                                                                                                         \
  (CN_LANE(mask, 1) | CN_LANE(mask, 2) | CN_LANE(mask, 3) | CN_LANE(mask, 4) | CN_LANE(mask, 5) | CN_LANE(mask, 6) |           \
   CN_LANE(mask, 7))
#define CN_LANES_OF_4(mask) CN_LANES(mask), CN_LANES((mask) + 1), CN_LANES((mask) + 2), CN_LANES((mask) + 3)
#define CN_LANES_OF_16(mask) CN_LANES_OF_4(mask), CN_LANES_OF_4((mask) + 4), CN_LANES_OF_4((mask) + 8), CN_LANES_OF_4((mask) + 12)
#define CN_LANES_OF_64(mask)                                                                                                   \
  CN_LANES_OF_16(mask), CN_LANES_OF_16((mask) + 16), CN_LANES_OF_16((mask) + 32), CN_LANES_OF_16((mask) + 48)

// By mask: the numbers of the lanes whose bit is set, one byte each, the lowest first.
CN_INLINE cn_i32x8 cn_order_of_lanes(uint32_t mask) {
  static const uint64_t order[256] = {CN_LANES_OF_64(0), CN_LANES_OF_64(64), CN_LANES_OF_64(128), CN_LANES_OF_64(192)};
  typedef uint8_t bytes __attribute__((ext_vector_type(8)));
  bytes lanes;
  __builtin_memcpy(&lanes, order + mask, sizeof lanes);
  return __builtin_convertvector(lanes, cn_i32x8);
}

CN_INLINE void cn_store_packed_half(void *to, cn_i32x8 a, uint32_t mask) {
  cn_i32x8 packed = __builtin_ia32_permvarsi256(a, cn_order_of_lanes(mask));
  __builtin_memcpy(to, &packed, sizeof packed);
}
#endif

CN_INLINE void cn_i32x16_store_packed(int32_t *to, cn_i32x16 a, uint32_t mask) {
#if defined(__AVX512F__)
  cn_i32x16 packed = __builtin_ia32_compresssi512_mask(a, (cn_i32x16){}, (uint16_t)mask);
  __builtin_memcpy(to, &packed, sizeof packed);
#elif defined(CN_X86) && defined(__AVX2__)
  cn_store_packed_half(to, a.lo, mask & 255);
  cn_store_packed_half(to + __builtin_popcount(mask & 255), a.hi, mask >> 8 & 255);
#else
  for (; mask; mask &= mask - 1) *to++ = a[__builtin_ctz(mask)];
#endif
}

CN_INLINE void cn_f32x16_store_packed(float *to, cn_f32x16 a, uint32_t mask) {
#if defined(__AVX512F__)
  cn_f32x16 packed = __builtin_ia32_compresssf512_mask(a, (cn_f32x16){}, (uint16_t)mask);
  __builtin_memcpy(to, &packed, sizeof packed);
#elif defined(CN_X86) && defined(__AVX2__)
  cn_i32x16 bits;
  __builtin_memcpy(&bits, &a, sizeof bits);
  cn_i32x16_store_packed((int32_t *)to, bits, mask);
#else
  for (; mask; mask &= mask - 1) *to++ = a[__builtin_ctz(mask)];
#endif
}

CN_INLINE void cn_i32x8_store_packed(int32_t *to, cn_i32x8 a, uint32_t mask) {
#if defined(__AVX512VL__)
  cn_i32x8 packed = __builtin_ia32_compresssi256_mask(a, (cn_i32x8){}, (uint8_t)mask);
  __builtin_memcpy(to, &packed, sizeof packed);
#elif defined(CN_X86) && defined(__AVX2__) && !defined(__AVX512F__)
  cn_store_packed_half(to, a, mask & 255);
#else
  for (; mask; mask &= mask - 1) *to++ = a[__builtin_ctz(mask)];
#endif
}

CN_INLINE void cn_f64x8_store_packed(double *to, cn_f64x8 a, uint32_t mask) {
#if defined(__AVX512F__)
  cn_f64x8 packed = __builtin_ia32_compressdf512_mask(a, (cn_f64x8){}, (uint8_t)mask);
  __builtin_memcpy(to, &packed, sizeof packed);
#elif defined(CN_X86) && defined(__AVX2__)
  // Each bit of four twice: a double is two lanes.
  static const uint8_t twice[16] = {0x00, 0x03, 0x0c, 0x0f, 0x30, 0x33, 0x3c, 0x3f,
                                    0xc0, 0xc3, 0xcc, 0xcf, 0xf0, 0xf3, 0xfc, 0xff};
  cn_i32x16 bits;
  __builtin_memcpy(&bits, &a, sizeof bits);
  cn_store_packed_half(to, bits.lo, twice[mask & 15]);
  cn_store_packed_half(to + __builtin_popcount(mask & 15), bits.hi, twice[mask >> 4 & 15]);
#else
  for (; mask; mask &= mask - 1) *to++ = a[__builtin_ctz(mask)];
#endif
}

#endif
