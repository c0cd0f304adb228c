/* Shared by the fuzzers: a stream of decisions out of the fuzzer's bytes, and memory of just the size that a call may touch, so that
 * the address sanitizer sees the first byte beyond it. */
#ifndef COVERTREE_FUZZ_H
#define COVERTREE_FUZZ_H

#include "../Tests/c/matrices.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  const uint8_t *bytes;
  size_t left;
} Stream;

/* A violated requirement: ends the fuzzer with its input. */
#define REQUIRE(condition)                                                                            \
  do {                                                                                                \
    if (!(condition)) {                                                                               \
      fprintf(stderr, "%s:%d: %s; last error: %s\n", __FILE__, __LINE__, #condition, covertree_last_error()); \
      abort();                                                                                        \
    }                                                                                                 \
  } while (0)

static inline uint8_t byte(Stream *s) {
  if (s->left == 0) return 0;
  s->left--;
  return *s->bytes++;
}

static inline uint64_t word(Stream *s) {
  uint64_t value = 0;
  for (int i = 0; i < 8; i++) value = value << 8 | byte(s);
  return value;
}

/* 0 to n - 1. */
static inline int below(Stream *s, int n) { return byte(s) % n; }
static inline int oneIn(Stream *s, int n) { return byte(s) % n == n - 1; }

/* A number of rows, columns or neighbours: mostly valid, else a number that every call must reject. */
static inline int64_t size(Stream *s, int most) {
  static const int64_t wrong[] = {-1, INT64_MIN, INT64_MAX, (int64_t)1 << 31, (int64_t)1 << 61, -7};
  uint8_t choice = byte(s);
  if (choice >= 250) return wrong[choice - 250];
  return choice % (most + 1);
}

static inline double number(Stream *s) {
  static const double special[] = {0, -0.0, 1e30, -1e30, 1e-30, 1e300, 1e-300, 0.5, 1, INFINITY, -INFINITY, NAN};
  uint8_t choice = byte(s);
  if (choice < 240) return (choice - 120) / 16.0;
  if (choice < 252) return special[choice - 240];
  uint64_t bits = word(s);
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* Memory for count elements, or for none where the size is one that calls refuse. */
static inline void *memory(int64_t count, size_t element) {
  if (count < 0 || count > 1 << 20) count = 0;
  void *block = malloc((size_t)count * element);
  REQUIRE(block != NULL);
  memset(block, 0x5A, (size_t)count * element);
  return block;
}

/* Rows of coordinates, and the matrix of them. */
typedef struct {
  void *base;
  int64_t rows, dim, stride;
  covertree_matrix matrix;
} Rows;

static inline Rows rows(Stream *s, int most, int64_t dim, size_t element) {
  Rows r = {NULL, size(s, most), oneIn(s, 24) ? size(s, 9) : dim, 0, {0}};
  int64_t width = r.dim > 0 && r.dim < 64 ? r.dim * (int64_t)element : 0;
  uint8_t choice = byte(s);
  if (choice > 250) r.stride = (int64_t)word(s) | 1;
  else if (choice > 220) r.stride = width + (choice - 220) / 8 * (int64_t)element;
  int64_t step = r.stride > 0 && r.stride < 4096 ? r.stride : width;
  /* Nothing behind the last row's last coordinate is the library's. */
  int64_t bytes = r.rows > 0 && r.rows < 4096 ? (r.rows - 1) * step + width : 0;
  r.base = memory(bytes, 1);
  int rough = oneIn(s, 6);
  for (int64_t at = 0; at + (int64_t)element <= bytes; at += (int64_t)element) {
    double value = rough ? number(s) : (byte(s) - 128) / 16.0;
    float narrow = (float)value;
    memcpy((char *)r.base + at, element == 4 ? (void *)&narrow : (void *)&value, element);
  }
  if (oneIn(s, 40)) {
    free(r.base);
    r.base = NULL;
  }
  r.matrix = element == 4 ? *F32(r.base, r.rows, r.dim, r.stride) : *F64(r.base, r.rows, r.dim, r.stride);
  /* A type that is not there. Another type would be a lie that no library can see through. */
  if (oneIn(s, 60)) r.matrix.dtype = byte(s) < 128 ? byte(s) + 16 : -1 - byte(s);
  if (oneIn(s, 60)) r.matrix.reserved = byte(s);
  return r;
}

static inline int64_t *indices(Stream *s, int64_t count) {
  int64_t *list = memory(count, sizeof *list);
  for (int64_t i = 0; i < count && count <= 1 << 20; i++) {
    uint8_t choice = byte(s);
    list[i] = choice > 245 ? (int64_t)word(s) : choice > 235 ? -1 : choice % 48;
  }
  return list;
}

#endif
