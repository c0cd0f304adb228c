// A 64-bit hash of vectors of floats.
#ifndef COVERTREE_HASH_H
#define COVERTREE_HASH_H

#include "rows.h"

// The hash of some floats by their bits, with both zeros as one. Files contain it, and it is the same on every machine. Sums of products
// of the halves of 64-bit words, each with a key of its own, as in XXH3 (Collet, 2019).
// keys: 8 for each 16 floats; the last 16 may be incomplete.
// Returns 0 if a number is not finite.
static inline int cn_hash_floats(const float *values, int64_t count, const uint64_t *keys, uint64_t *hash) {
  typedef uint32_t cn_u32x16_unaligned __attribute__((ext_vector_type(16), aligned(4)));
  typedef uint64_t cn_u64x8_unaligned __attribute__((ext_vector_type(8), aligned(8)));
  cn_u64x8 sums = {};
  cn_u32x16 strange = {};
  for (int64_t first = 0; first < count; first += 16) {
    cn_f32x16 x = {};
    if (first + 16 <= count) {
      x = (cn_f32x16)*(const cn_u32x16_unaligned *)(values + first);
    } else {
      __builtin_memcpy(&x, values + first, (size_t)(count - first) * sizeof *values);
    }
    cn_u32x16 bits = (cn_u32x16)(x + 0.0f);
    strange |= (cn_u32x16)((bits & 0x7F800000) == 0x7F800000);
    cn_u64x8 word = (cn_u64x8)bits, mixed = word ^ *(const cn_u64x8_unaligned *)(keys + first / 2);
    sums += (mixed & 0xFFFFFFFF) * (mixed >> 32) + __builtin_shufflevector(word, word, 1, 0, 3, 2, 5, 4, 7, 6);
  }
  uint64_t all = (uint64_t)count * 0x9E3779B97F4A7C15ull;
  for (int lane = 0; lane < 8; lane++) {
    all = (all ^ sums[lane]) * 0xFF51AFD7ED558CCDull;
    all ^= all >> 32;
  }
  *hash = all;
  return __builtin_reduce_or(strange) == 0;
}

// Whether some floats are equal. Finite equal floats have the same bits, except zeros.
static inline int cn_equal_floats(const float *a, const float *b, int64_t count) {
  cn_i32x16 differing = {};
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    differing |= *(const cn_f32x16_unaligned *)(a + i) != *(const cn_f32x16_unaligned *)(b + i);
  }
  int32_t rest = 0;
  for (; i < count; i++) rest |= a[i] != b[i];
  return (__builtin_reduce_or(differing) | rest) == 0;
}

// Copies floats, with both zeros as one, and pads them with zeros to whole vectors of 16; the target is aligned to these. `past` the
// caches, for more data than these have room for. Then a fence has to follow the last copy.
static inline void cn_copy_floats(float *target, const float *source, int64_t count, int past) {
  int64_t i = 0;
  if (past) {
    for (; i + 16 <= count; i += 16) {
      cn_f32x16 x = *(const cn_f32x16_unaligned *)(source + i) + 0.0f;
      __builtin_nontemporal_store(x, (cn_f32x16 *)(target + i));
    }
  }
  for (; i + 16 <= count; i += 16) {
    *(cn_f32x16 *)(target + i) = *(const cn_f32x16_unaligned *)(source + i) + 0.0f;
  }
  if (i < count) {
    cn_f32x16 rest = {};
    __builtin_memcpy(&rest, source + i, (size_t)(count - i) * sizeof *source);
    *(cn_f32x16 *)(target + i) = rest + 0.0f;
  }
}

CN_INLINE void cn_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

#endif
