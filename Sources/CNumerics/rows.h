// Distances of one query from rows of a table in any storage: float32, float16, or one byte per coordinate. Rows begin at multiples of 64
// bytes and are padded to whole multiples of them, with the code of 0.
#ifndef COVERTREE_ROWS_H
#define COVERTREE_ROWS_H

#include "numerics.h"

typedef uint16_t cn_u16x16 __attribute__((ext_vector_type(16)));
typedef uint32_t cn_u32x16 __attribute__((ext_vector_type(16)));
typedef uint64_t cn_u64x8 __attribute__((ext_vector_type(8)));

enum { CN_ROWS_F32 = 0, CN_ROWS_F16 = 1, CN_ROWS_BYTES = 2, CN_ROWS_LEASED = 3 };

// A row of float32 in a store, and the factor of its coordinates.
typedef struct cn_leased_row {
  int64_t slot;
  double scale;
} cn_leased_row;

typedef struct cn_rows {
  const void *base;       // leased rows: a cn_leased_row for each
  int64_t stride;         // bytes from row to row
  int64_t coordinates;    // of a row with its padding, a multiple of 16, of bytes of 64
  const float *scales;    // bytes: x = center + scale * (byte - 128)
  const float *lengths;   // bytes: |x - center|^2, or 0 if products are compared
  const float *center;    // bytes: with padding
  const void *leased;     // leased rows: slot 0
  int64_t leased_stride;  // leased rows: bytes from slot to slot
  int32_t scaled;         // leased rows: whether scales are other than 1
  int32_t kind;
  int32_t products;       // whether scores are negative inner products instead of squared distances
} cn_rows;

// A query with its padding; for bytes also rounded to them, less the center: q = center + scale * code.
typedef struct cn_query {
  const float *values;
  const int8_t *codes;
  float factor;          // of a scaled product of codes in a score: -2 scale, or -scale for products
  int32_t offset;        // 128 times the sum of the codes
} cn_query;

// Sixteen half-precision numbers as floats: one exact multiplication corrects the exponent.
CN_INLINE cn_f32x16 cn_widen_halves(cn_u16x16 halves) {
  cn_u32x16 bits = __builtin_convertvector(halves, cn_u32x16);
  cn_u32x16 magnitude = (bits & 0x7FFF) << 13, sign = (bits & 0x8000) << 16;
  cn_f32x16 value = (cn_f32x16)magnitude * 0x1p112f;
  return (cn_f32x16)((cn_u32x16)value | sign);
}

// A finite number of at most 65504 in size, rounded to half precision, ties to even.
CN_INLINE uint16_t cn_half(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7FFFFFFF;
  if (magnitude < 0x38800000) {  // below 2^-14: whole multiples of 2^-24
    float size;
    __builtin_memcpy(&size, &magnitude, sizeof size);
    size += 0.5f;
    __builtin_memcpy(&magnitude, &size, sizeof size);
    return (uint16_t)(sign | (magnitude - 0x3F000000));
  }
  return (uint16_t)(sign | (magnitude - 0x38000000 + 0xFFF + (magnitude >> 13 & 1)) >> 13);
}

CN_INLINE const uint8_t *cn_leased_start(const cn_rows *rows, int64_t row) {
  return (const uint8_t *)rows->leased + ((const cn_leased_row *)rows->base)[row].slot * rows->leased_stride;
}

// Sixteen coordinates of a row from `d` on, as every reported distance uses them.
CN_INLINE cn_f32x16 cn_row_lanes(const cn_rows *rows, int kind, int64_t row, int64_t d) {
  if (kind == CN_ROWS_LEASED) {
    cn_f32x16 x = *(const cn_f32x16 *)(cn_leased_start(rows, row) + 4 * d);
    if (!rows->scaled) return x;
    // To the bit equal to a scaled copy of the row.
    cn_f64x8 scale = (cn_f64x8)((const cn_leased_row *)rows->base)[row].scale;
    x.lo = cn_f64x8_narrow(cn_f32x8_widen(x.lo) * scale);
    x.hi = cn_f64x8_narrow(cn_f32x8_widen(x.hi) * scale);
    return x;
  }
  const uint8_t *start = (const uint8_t *)rows->base + row * rows->stride;
  if (kind == CN_ROWS_F32) return *(const cn_f32x16 *)(start + 4 * d);
  if (kind == CN_ROWS_F16) return cn_widen_halves(*(const cn_u16x16 *)(start + 2 * d));
  cn_f32x16 codes = __builtin_convertvector(*(const cn_u8x16 *)(start + d), cn_f32x16) - 128.0f;
  return cn_f32x16_fma(codes, (cn_f32x16)rows->scales[row], *(const cn_f32x16 *)(rows->center + d));
}

CN_INLINE float cn_f32x16_sum(cn_f32x16 a) {
  cn_f32x8 b = a.lo + a.hi;
  cn_f32x4 c = b.lo + b.hi;
  cn_f32x2 d = c.lo + c.hi;
  return d.x + d.y;
}

CN_INLINE double cn_f64x8_sum(cn_f64x8 a) {
  cn_f64x4 b = a.lo + a.hi;
  cn_f64x2 c = b.lo + b.hi;
  return c.x + c.y;
}

// The squared distance or the negative inner product in float64, in one order of summation.
CN_INLINE double cn_decided_score_of(const cn_rows *rows, int kind, const float *query, int64_t row) {
  cn_f64x8 low = {}, high = {};
  for (int64_t d = 0; d < rows->coordinates; d += 16) {
    cn_f32x16 x = cn_row_lanes(rows, kind, row, d), q = *(const cn_f32x16 *)(query + d);
    cn_f64x8 xl = cn_f32x8_widen(x.lo), xh = cn_f32x8_widen(x.hi), ql = cn_f32x8_widen(q.lo), qh = cn_f32x8_widen(q.hi);
    if (rows->products) {
      low = cn_f64x8_fma(-xl, ql, low);
      high = cn_f64x8_fma(-xh, qh, high);
    } else {
      cn_f64x8 dl = xl - ql, dh = xh - qh;
      low = cn_f64x8_fma(dl, dl, low);
      high = cn_f64x8_fma(dh, dh, high);
    }
  }
  return cn_f64x8_sum(low + high);
}

// Calls a function with the kind of the rows as a constant.
#define CN_BY_KIND(function, rows, ...)                                                                                        \
  switch ((rows)->kind) {                                                                                                      \
    case CN_ROWS_F32: return function(rows, CN_ROWS_F32, __VA_ARGS__);                                                         \
    case CN_ROWS_F16: return function(rows, CN_ROWS_F16, __VA_ARGS__);                                                         \
    case CN_ROWS_LEASED: return function(rows, CN_ROWS_LEASED, __VA_ARGS__);                                                   \
    default: return function(rows, CN_ROWS_BYTES, __VA_ARGS__);                                                                \
  }

static inline double cn_decided_score(const cn_rows *rows, const float *query, int64_t row) {
  CN_BY_KIND(cn_decided_score_of, rows, query, row)
}

// Writes the coordinates of a row with its padding.
static inline void cn_decode_row(const cn_rows *rows, int64_t row, float *coordinates) {
  for (int64_t d = 0; d < rows->coordinates; d += 16) {
    *(cn_f32x16 *)(coordinates + d) = cn_row_lanes(rows, rows->kind, row, d);
  }
}

// Sixteen rows from `first` on, coordinate by coordinate: a vector of them for each of `dim`. Rows after the last repeat it.
static inline void cn_transpose_rows(const cn_rows *rows, int64_t first, int64_t count, int64_t dim, float *columns) {
  for (int64_t d = 0; d < dim; d += 16) {
    for (int lane = 0; lane < 16; lane++) {
      cn_f32x16 x = cn_row_lanes(rows, rows->kind, first + lane < count ? first + lane : count - 1, d);
      for (int i = 0; i < 16 && d + i < dim; i++) columns[(d + i) * 16 + lane] = x[i];
    }
  }
}

// Scores in float32: a few roundings from the exact ones. Four rows at a time.
CN_INLINE void cn_float_scores(const cn_rows *rows, int kind, const float *query, const int32_t *indices, int64_t count,
                               float *scores) {
  for (int64_t first = 0; first < count; first += 4) {
    cn_f32x16 sums[4] = {};
    int64_t at[4];
    for (int i = 0; i < 4; i++) at[i] = indices[first + i < count ? first + i : count - 1];
    for (int64_t d = 0; d < rows->coordinates; d += 16) {
      cn_f32x16 q = *(const cn_f32x16 *)(query + d);
#pragma clang loop unroll(full)
      for (int i = 0; i < 4; i++) {
        cn_f32x16 x = cn_row_lanes(rows, kind, at[i], d);
        if (rows->products) {
          sums[i] = cn_f32x16_fma(-x, q, sums[i]);
        } else {
          cn_f32x16 difference = x - q;
          sums[i] = cn_f32x16_fma(difference, difference, sums[i]);
        }
      }
    }
    for (int i = 0; i < 4 && first + i < count; i++) scores[first + i] = cn_f32x16_sum(sums[i]);
  }
}

// The score of one row in float32.
CN_INLINE float cn_quick_score_of(const cn_rows *rows, int kind, const float *query, int64_t row) {
  cn_f32x16 sums[4] = {};
  for (int64_t d = 0; d < rows->coordinates; d += 64) {
#pragma clang loop unroll(full)
    for (int part = 0; part < 4; part++) {
      if (d + 16 * part < rows->coordinates) {
        cn_f32x16 x = cn_row_lanes(rows, kind, row, d + 16 * part), q = *(const cn_f32x16 *)(query + d + 16 * part);
        cn_f32x16 difference = x - q;
        sums[part] = rows->products ? cn_f32x16_fma(-x, q, sums[part]) : cn_f32x16_fma(difference, difference, sums[part]);
      }
    }
  }
  return cn_f32x16_sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

static inline float cn_quick_score(const cn_rows *rows, const float *query, int64_t row) {
  CN_BY_KIND(cn_quick_score_of, rows, query, row)
}

CN_INLINE float cn_byte_score(const cn_rows *rows, const cn_query *query, int64_t row, int32_t dot) {
  return rows->lengths[row] + query->factor * rows->scales[row] * (float)(dot - query->offset);
}

#ifdef CN_X86
__attribute__((target("avx512f,avx512vnni")))
static inline void cn_byte_scores_vnni(const cn_rows *rows, const cn_query *query, const int32_t *indices, int64_t count,
                                       float *scores) {
  const uint8_t *base = (const uint8_t *)rows->base;
  int64_t vectors = rows->coordinates / 64;
  const cn_i32x16 *q = (const cn_i32x16 *)query->codes;
  for (int64_t first = 0; first < count; first += 4) {
    const cn_i32x16 *x[4];
    cn_i32x16 sums[4] = {};
#pragma clang loop unroll(full)
    for (int i = 0; i < 4; i++) {
      x[i] = (const cn_i32x16 *)(base + indices[first + i < count ? first + i : count - 1] * rows->stride);
    }
    for (int64_t d = 0; d < vectors; d++) {
#pragma clang loop unroll(full)
      for (int i = 0; i < 4; i++) sums[i] = __builtin_ia32_vpdpbusd512(sums[i], x[i][d], q[d]);
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < 4; i++) {
      if (first + i < count) {
        scores[first + i] = cn_byte_score(rows, query, indices[first + i], __builtin_reduce_add(sums[i]));
      }
    }
  }
}
#endif

// The product of bytes with signed ones, for a multiple of 64 of them. As a plain loop, imported into Swift, it would multiply one byte
// at a time.
CN_INLINE int32_t cn_byte_product(const uint8_t *x, const int8_t *q, int64_t count) {
  typedef int8_t cn_i8x16 __attribute__((ext_vector_type(16), aligned(1)));
  typedef int16_t cn_i16x16 __attribute__((ext_vector_type(16)));
#if defined(__AVX2__)
  // Pairs of products are added in 32 bits.
  typedef int16_t cn_words __attribute__((vector_size(32)));
  cn_i32x8 sums[2] = {};
  for (int64_t d = 0; d < count; d += 32) {
#pragma clang loop unroll(full)
    for (int i = 0; i < 2; i++) {
      cn_i16x16 a = __builtin_convertvector(*(const cn_u8x16 *)(x + d + 16 * i), cn_i16x16);
      cn_i16x16 b = __builtin_convertvector(*(const cn_i8x16 *)(q + d + 16 * i), cn_i16x16);
      sums[i] += (cn_i32x8)__builtin_ia32_pmaddwd256((cn_words)a, (cn_words)b);
    }
  }
  return __builtin_reduce_add(sums[0] + sums[1]);
#else
  cn_i32x16 sum = {};
  for (int64_t d = 0; d < count; d += 16) {
    sum += __builtin_convertvector(*(const cn_u8x16 *)(x + d), cn_i32x16) *
           __builtin_convertvector(*(const cn_i8x16 *)(q + d), cn_i32x16);
  }
  return __builtin_reduce_add(sum);
#endif
}

static inline void cn_byte_scores(const cn_rows *rows, const cn_query *query, const int32_t *indices, int64_t count,
                                  float *scores) {
  for (int64_t i = 0; i < count; i++) {
    const uint8_t *x = (const uint8_t *)rows->base + indices[i] * rows->stride;
    scores[i] = cn_byte_score(rows, query, indices[i], cn_byte_product(x, query->codes, rows->coordinates));
  }
}

// Approximate scores of some rows, to find candidates; for bytes less a number that is the same for all rows.
static inline void cn_scores(const cn_rows *rows, const cn_query *query, const int32_t *indices, int64_t count,
                             int has_byte_products, float *scores) {
  switch (rows->kind) {
    case CN_ROWS_F32: return cn_float_scores(rows, CN_ROWS_F32, query->values, indices, count, scores);
    case CN_ROWS_F16: return cn_float_scores(rows, CN_ROWS_F16, query->values, indices, count, scores);
    case CN_ROWS_LEASED: return cn_float_scores(rows, CN_ROWS_LEASED, query->values, indices, count, scores);
    default:
#ifdef CN_X86
      if (has_byte_products) return cn_byte_scores_vnni(rows, query, indices, count, scores);
#endif
      return cn_byte_scores(rows, query, indices, count, scores);
  }
}

// A vector less the center in integers from -127 to 127: x = center + scale * integer.
typedef struct cn_rounded {
  float scale;
  int32_t sum, length;  // of the whole numbers, and of their squares
} cn_rounded;

// Rounds a vector of `dim` coordinates; the padding becomes 0. `flip` changes the bits of each number: 0 for signed ones, 0x80 to add
// 128.
static inline cn_rounded cn_round_to_bytes(const float *row, int64_t dim, const float *center, int64_t coordinates,
                                           uint8_t flip, uint8_t *codes) {
  typedef int8_t cn_i8x16 __attribute__((ext_vector_type(16)));
  cn_f32x16 most = {};
  int64_t whole = dim / 16 * 16;
  cn_f32x16 tail = {};
  for (int64_t d = whole; d < dim; d++) tail[d - whole] = row[d] - center[d];
  for (int64_t d = 0; d < whole; d += 16) {
    cn_f32x16 x = *(const cn_f32x16_unaligned *)(row + d) - *(const cn_f32x16 *)(center + d);
    most = cn_f32x16_max(most, cn_f32x16_abs(x));
  }
  most = cn_f32x16_max(most, cn_f32x16_abs(tail));
  cn_rounded rounded = {cn_f32x16_largest(most) / 127, 0, 0};
  // Below that, its inverse would overflow: as a float such a vector is the center.
  float inverse = rounded.scale > 0x1p-126f ? 1 / rounded.scale : 0;
  cn_i32x16 sums = {}, lengths = {};
  for (int64_t d = 0; d < coordinates; d += 16) {
    cn_f32x16 x = tail;
    if (d < whole) x = *(const cn_f32x16_unaligned *)(row + d) - *(const cn_f32x16 *)(center + d);
    if (d > whole || (d == whole && whole == dim)) x = (cn_f32x16){};
    // Adding and subtracting a large number rounds to the nearest integer.
    x = x * inverse;
    x = (x + 0x1.8p23f) - 0x1.8p23f;
    cn_i32x16 numbers = __builtin_convertvector(cn_f32x16_max(cn_f32x16_min(x, (cn_f32x16)127.0f), (cn_f32x16)-127.0f), cn_i32x16);
    sums += numbers;
    lengths += numbers * numbers;
    cn_u8x16 bytes = (cn_u8x16)__builtin_convertvector(numbers, cn_i8x16) ^ flip;
    __builtin_memcpy(codes + d, &bytes, sizeof bytes);
  }
  rounded.sum = __builtin_reduce_add(sums);
  rounded.length = __builtin_reduce_add(lengths);
  return rounded;
}

// The codes of a row in the form of a query's, and their sum.
static inline int32_t cn_signed_codes(const cn_rows *rows, int64_t row, int8_t *codes) {
  const uint8_t *start = (const uint8_t *)rows->base + row * rows->stride;
  int32_t sum = 0;
  for (int64_t d = 0; d < rows->coordinates; d++) {
    codes[d] = (int8_t)(start[d] ^ 0x80);
    sum += codes[d];
  }
  return sum;
}

CN_INLINE void cn_prefetch_row(const cn_rows *rows, int64_t row) {
  if (rows->kind == CN_ROWS_LEASED) return cn_prefetch(cn_leased_start(rows, row), rows->leased_stride);
  cn_prefetch((const uint8_t *)rows->base + row * rows->stride, rows->stride);
}

// Codes are in groups of sixteen, word by word: the first words of sixteen codes, then their second ones.
//
// Finds the codes of some groups, at most 4096, that differ from the query's in at most `most` bits. Returns their number, and writes for
// each its number of bits times 65536, plus its position. There is room for all, and sixteen more.
#ifdef CN_X86
// Packed without a branch, because hits cannot be predicted. A constant number of words needs no loop counter.
__attribute__((always_inline, target("avx512f,avx512vpopcntdq,popcnt")))
static inline int64_t cn_hamming_within_words(const uint32_t *codes, int64_t groups, int64_t words, const uint32_t *query,
                                              uint32_t most, uint32_t *keys) {
  typedef int32_t cn_i32x16_unaligned __attribute__((ext_vector_type(16), aligned(4)));
  const cn_u32x16 *code = (const cn_u32x16 *)codes;
  cn_u32x16 indices = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  int64_t found = 0;
  for (int64_t group = 0; group < groups; group++, code += words, indices += 16) {
    cn_u32x16 sum = {};
#pragma clang loop unroll(full)
    for (int64_t word = 0; word < words; word++) sum += __builtin_elementwise_popcount(code[word] ^ (cn_u32x16)query[word]);
    cn_mask16 within = __builtin_convertvector(sum <= most, cn_mask16);
    uint16_t hits;
    __builtin_memcpy(&hits, &within, sizeof hits);
    *(cn_i32x16_unaligned *)(keys + found) =
        __builtin_ia32_compresssi512_mask((cn_i32x16)(sum << 16 | indices), (cn_i32x16){}, hits);
    found += __builtin_popcount(hits);
  }
  return found;
}

__attribute__((target("avx512f,avx512vpopcntdq,popcnt")))
static inline int64_t cn_hamming_within_popcnt(const uint32_t *codes, int64_t groups, int64_t words, const uint32_t *query,
                                               uint32_t most, uint32_t *keys) {
  switch (words) {
    case 2: return cn_hamming_within_words(codes, groups, 2, query, most, keys);
    case 4: return cn_hamming_within_words(codes, groups, 4, query, most, keys);
    case 8: return cn_hamming_within_words(codes, groups, 8, query, most, keys);
    case 16: return cn_hamming_within_words(codes, groups, 16, query, most, keys);
    default: return cn_hamming_within_words(codes, groups, words, query, most, keys);
  }
}
#endif

static inline int cn_has_vector_popcount(void) {
#ifdef CN_X86
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512vpopcntdq") != 0;
#else
  return 0;
#endif
}

static inline int64_t cn_hamming_within(const uint32_t *codes, int64_t groups, int64_t words, const uint32_t *query,
                                        uint32_t most, int has_vector_popcount, uint32_t *keys) {
#ifdef CN_X86
  if (has_vector_popcount) return cn_hamming_within_popcnt(codes, groups, words, query, most, keys);
#endif
  int64_t found = 0;
  for (int64_t group = 0; group < groups; group++) {
    for (int lane = 0; lane < 16; lane++) {
      uint32_t count = 0;
      for (int64_t word = 0; word < words; word++) {
        count += (uint32_t)__builtin_popcount(codes[(group * words + word) * 16 + lane] ^ query[word]);
      }
      keys[found] = count << 16 | (uint32_t)(16 * group + lane);
      found += count <= most;
    }
  }
  return found;
}

// The signs of some numbers as bits, 1 for those above 0: 32 per word, the first ones lowest. Numbers are padded to whole vectors of 16.
static inline void cn_signs(const float *values, int64_t count, uint32_t *words) {
  for (int64_t first = 0; first < count; first += 32) {
    uint32_t word = 0;
    for (int64_t part = 0; part < 2 && first + 16 * part < count; part++) {
      cn_f32x16 x = *(const cn_f32x16 *)(values + first + 16 * part);
      word |= cn_bits_of_16(__builtin_convertvector(x > 0.0f, cn_mask16)) << (16 * part);
    }
    int64_t left = count - first;
    words[first / 32] = left < 32 ? word & ((1u << left) - 1) : word;
  }
}

#endif
