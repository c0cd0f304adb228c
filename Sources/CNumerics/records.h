// Moving records of points: partition by a number in each, and extents. A record is `size` bytes, a constant for the compiler, so a few
// instructions move it. Everything is inlined into Swift.
#ifndef COVERTREE_RECORDS_H
#define COVERTREE_RECORDS_H

#include "numerics.h"

// Records that a partition copies aside, from either end of a range, and the bytes of the largest.
enum { cn_records_aside = 64, cn_largest_record = 72 };

// Moves the records whose key is below a pivot to the front, the others behind them, and returns their number. The resulting order
// depends on the old order alone. `aside` has room for 2 * cn_records_aside records.
//
// Records from both ends are copied aside, which makes room at both. From then on the next record is read at the end with less room, and
// each is written once, to the end that it belongs to: no branch depends on a key.
#define CN_PARTITION(name, parameters, type, KEY)                                                                              \
  CN_INLINE ptrdiff_t name(void *base, ptrdiff_t count, ptrdiff_t size, parameters, type pivot, void *aside_base) {            \
    char *records = (char *)base, *aside = (char *)aside_base;                                                                 \
    ptrdiff_t head = count < cn_records_aside ? count : cn_records_aside;                                                      \
    ptrdiff_t tail = count - head < cn_records_aside ? count - head : cn_records_aside;                                        \
    __builtin_memcpy(aside, records, (size_t)(head * size));                                                                   \
    __builtin_memcpy(aside + head * size, records + (count - tail) * size, (size_t)(tail * size));                             \
    /* The next targets: the first free record on the left, the last one on the right. */                                      \
    char *left = records, *right = records + (count - 1) * size;                                                               \
    char *first = records + head * size, *end = records + (count - tail) * size;                                               \
    while (first < end) {                                                                                                      \
      ptrdiff_t block = (end - first) / size;                                                                                  \
      if (block > cn_records_aside) block = cn_records_aside;                                                                  \
      int from_left = first - left <= right + size - end;                                                                      \
      char *from = from_left ? first : end - size;                                                                             \
      ptrdiff_t step = from_left ? size : -size;                                                                               \
      if (from_left) first += block * size; else end -= block * size;                                                          \
      for (; block > 0; block--, from += step) CN_MOVE(from, type, KEY)                                                        \
    }                                                                                                                          \
    for (ptrdiff_t position = 0; position < head + tail; position++) CN_MOVE(aside + position * size, type, KEY)               \
    return (left - records) / size;                                                                                            \
  }

#define CN_MOVE(source, type, KEY)                                                                                             \
  {                                                                                                                            \
    const char *record = source;                                                                                               \
    type key;                                                                                                                  \
    KEY;                                                                                                                       \
    int below = key < pivot;                                                                                                   \
    char *to = __builtin_unpredictable(below) ? left : right;                                                                  \
    /* Copied through registers: source and target may overlap. */                                                             \
    char copied[cn_largest_record];                                                                                            \
    __builtin_memcpy(copied, record, (size_t)size);                                                                            \
    __builtin_memcpy(to, copied, (size_t)size);                                                                                \
    left += below ? size : 0;                                                                                                  \
    right -= below ? 0 : size;                                                                                                 \
  }

#define CN_COMMA ,
// By the number at an offset in a record.
CN_PARTITION(cn_partition_f32, ptrdiff_t offset, float, __builtin_memcpy(&key, record + offset, sizeof key))
CN_PARTITION(cn_partition_f64, ptrdiff_t offset, double, __builtin_memcpy(&key, record + offset, sizeof key))
CN_PARTITION(cn_partition_i32, ptrdiff_t offset, int32_t, __builtin_memcpy(&key, record + offset, sizeof key))
// For records that are row numbers: by the number in that row of a column.
CN_PARTITION(cn_partition_rows_f32, const float *column CN_COMMA ptrdiff_t stride, float,
             key = column[(int64_t)*(const int32_t *)record * stride])
CN_PARTITION(cn_partition_rows_f64, const double *column CN_COMMA ptrdiff_t stride, double,
             key = column[(int64_t)*(const int32_t *)record * stride])

// The least and the greatest of each of the first `lanes` numbers of records, in `low` and `high`, which are extended. At each record
// `lanes` numbers of memory are read, used or not.
#define CN_EXTENT(name, scalar, lanes)                                                                                         \
  CN_INLINE void name(const void *base, ptrdiff_t count, ptrdiff_t size, scalar *low, scalar *high) {                          \
    const char *records = (const char *)base;                                                                                  \
    typedef scalar vector __attribute__((ext_vector_type(lanes), aligned(sizeof(scalar))));                                    \
    vector low_even = *(const vector *)low, high_even = *(const vector *)high;                                                 \
    vector low_odd = low_even, high_odd = high_even;                                                                           \
    ptrdiff_t position = 0;                                                                                                    \
    for (; position + 2 <= count; position += 2) {                                                                             \
      vector even = *(const vector *)(records + position * size), odd = *(const vector *)(records + (position + 1) * size);    \
      low_even = even < low_even ? even : low_even;                                                                            \
      high_even = even > high_even ? even : high_even;                                                                         \
      low_odd = odd < low_odd ? odd : low_odd;                                                                                 \
      high_odd = odd > high_odd ? odd : high_odd;                                                                              \
    }                                                                                                                          \
    if (position < count) {                                                                                                    \
      vector even = *(const vector *)(records + position * size);                                                              \
      low_even = even < low_even ? even : low_even;                                                                            \
      high_even = even > high_even ? even : high_even;                                                                         \
    }                                                                                                                          \
    *(vector *)low = low_odd < low_even ? low_odd : low_even;                                                                  \
    *(vector *)high = high_odd > high_even ? high_odd : high_even;                                                             \
  }

CN_EXTENT(cn_extent_f32x4, float, 4)
CN_EXTENT(cn_extent_f32x8, float, 8)
CN_EXTENT(cn_extent_f32x16, float, 16)
CN_EXTENT(cn_extent_f64x4, double, 4)
CN_EXTENT(cn_extent_f64x8, double, 8)

// The same for some rows of points with `dim` numbers; `low` and `high` have as many.
#define CN_EXTENT_OF_ROWS(name, scalar)                                                                                        \
  static inline void name(const scalar *points, ptrdiff_t stride, const int32_t *rows, ptrdiff_t count, ptrdiff_t dim,         \
                          scalar *restrict low, scalar *restrict high) {                                                       \
    for (ptrdiff_t position = 0; position < count; position += 4) {                                                            \
      ptrdiff_t last = count - 1 - position;                                                                                   \
      const scalar *a = points + rows[position] * stride, *b = points + rows[position + (last < 1 ? last : 1)] * stride;       \
      const scalar *c = points + rows[position + (last < 2 ? last : 2)] * stride;                                              \
      const scalar *e = points + rows[position + (last < 3 ? last : 3)] * stride;                                              \
      for (ptrdiff_t d = 0; d < dim; d++) {                                                                                    \
        scalar less = a[d] < b[d] ? a[d] : b[d], least = c[d] < e[d] ? c[d] : e[d];                                            \
        scalar more = a[d] > b[d] ? a[d] : b[d], most = c[d] > e[d] ? c[d] : e[d];                                             \
        least = least < less ? least : less;                                                                                   \
        most = most > more ? most : more;                                                                                      \
        low[d] = least < low[d] ? least : low[d];                                                                              \
        high[d] = most > high[d] ? most : high[d];                                                                             \
      }                                                                                                                        \
    }                                                                                                                          \
  }

CN_EXTENT_OF_ROWS(cn_extent_of_rows_f32, float)
CN_EXTENT_OF_ROWS(cn_extent_of_rows_f64, double)

// The key of a rank, 0 for the least. There is room for a vector after the keys. Each is compared with all: for few keys that is less work
// than sorting.
#define CN_RANKED(name, scalar, integer, lanes)                                                                                \
  static inline scalar name(scalar *keys, ptrdiff_t count, ptrdiff_t rank) {                                                   \
    typedef scalar vector __attribute__((ext_vector_type(lanes), aligned(sizeof(scalar))));                                    \
    typedef integer numbers __attribute__((ext_vector_type(lanes)));                                                           \
    for (ptrdiff_t position = count; position % lanes; position++) keys[position] = __builtin_inff();                          \
    vector ranked = (vector)-__builtin_inff();                                                                                 \
    for (ptrdiff_t first = 0; first < count; first += lanes) {                                                                 \
      vector some = *(const vector *)(keys + first);                                                                           \
      numbers less = {};                                                                                                       \
      for (ptrdiff_t other = 0; other < count; other++) less -= (vector)keys[other] < some;                                    \
      vector up_to = less <= (integer)rank ? some : ranked;                                                                    \
      ranked = up_to > ranked ? up_to : ranked;                                                                                \
    }                                                                                                                          \
    scalar greatest = ranked[0];                                                                                               \
    for (int lane = 1; lane < lanes; lane++) greatest = ranked[lane] > greatest ? ranked[lane] : greatest;                     \
    return greatest;                                                                                                           \
  }

CN_RANKED(cn_ranked_f32, float, int32_t, 16)
CN_RANKED(cn_ranked_f64, double, int64_t, 8)

// The ranks of indices, each compared with all; false if some are equal. Both have room for a multiple of 16.
static inline _Bool cn_rank_i32(int32_t *indices, ptrdiff_t count, int32_t *ranks) {
  ptrdiff_t sum = 0;
  for (ptrdiff_t position = count; position % 16; position++) indices[position] = INT32_MAX;
  for (ptrdiff_t first = 0; first < count; first += 16) {
    cn_i32x16 some = *(const cn_i32x16 *)(indices + first), less = {};
    for (ptrdiff_t other = 0; other < count; other++) less -= indices[other] < some;
    *(cn_i32x16 *)(ranks + first) = less;
  }
  for (ptrdiff_t position = 0; position < count; position++) sum += ranks[position];
  return sum == count * (count - 1) / 2;
}

// The same for numbers of either type: float64 if `wide`, a constant for the compiler, and otherwise float32.

// - dim: of the 3, 4, 8 or 16 numbers that a record begins with. Up to 4 or a power of two of them are read.
CN_INLINE void cn_extent(_Bool wide, const void *records, ptrdiff_t count, ptrdiff_t size, ptrdiff_t dim, void *low, void *high) {
  if (wide && dim <= 4) {
    cn_extent_f64x4(records, count, size, (double *)low, (double *)high);
  } else if (wide) {
    cn_extent_f64x8(records, count, size, (double *)low, (double *)high);
  } else if (dim <= 4) {
    cn_extent_f32x4(records, count, size, (float *)low, (float *)high);
  } else if (dim <= 8) {
    cn_extent_f32x8(records, count, size, (float *)low, (float *)high);
  } else {
    cn_extent_f32x16(records, count, size, (float *)low, (float *)high);
  }
}

CN_INLINE void cn_extent_of_rows(_Bool wide, const void *points, ptrdiff_t stride, const int32_t *rows, ptrdiff_t count,
                                 ptrdiff_t dim, void *low, void *high) {
  if (wide) {
    cn_extent_of_rows_f64((const double *)points, stride, rows, count, dim, (double *)low, (double *)high);
  } else {
    cn_extent_of_rows_f32((const float *)points, stride, rows, count, dim, (float *)low, (float *)high);
  }
}

CN_INLINE ptrdiff_t cn_partition(_Bool wide, void *records, ptrdiff_t count, ptrdiff_t size, ptrdiff_t offset, double pivot,
                               void *aside) {
  return wide ? cn_partition_f64(records, count, size, offset, pivot, aside)
              : cn_partition_f32(records, count, size, offset, (float)pivot, aside);
}

CN_INLINE ptrdiff_t cn_partition_rows(_Bool wide, int32_t *rows, ptrdiff_t count, const void *column, ptrdiff_t stride, double pivot,
                                    void *aside) {
  return wide ? cn_partition_rows_f64(rows, count, 4, (const double *)column, stride, pivot, aside)
              : cn_partition_rows_f32(rows, count, 4, (const float *)column, stride, (float)pivot, aside);
}

CN_INLINE double cn_ranked(_Bool wide, void *keys, ptrdiff_t count, ptrdiff_t rank) {
  return wide ? cn_ranked_f64((double *)keys, count, rank) : cn_ranked_f32((float *)keys, count, rank);
}

#endif
