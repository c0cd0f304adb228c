/* The vector operations in C (Sources/CNumerics), on numbers of all kinds: prints a hash of the results of each.
 * `scripts/test-arm` compares the hashes of x86-64 and aarch64. */
#include <stdio.h>
#include <string.h>

#include "hash.h"
#include "memory.h"
#include "numerics.h"
#include "packing.h"
#include "records.h"
#include "rows.h"

static uint64_t state = 1;

static uint64_t next(void) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return state ^ state >> 29;
}

/* Small whole numbers, often equal; numbers of ordinary size; tiny, huge and infinite ones, and none. */
static double number(void) {
  switch (next() % 16) {
    case 0: return __builtin_inf();
    case 1: return -__builtin_inf();
    case 2: return __builtin_nan("");
    case 3: return 1e-30;
    case 4: return -0.0;
    case 5: case 6: case 7: case 8: return (double)(int64_t)(next() % 7) - 3;
    default: return ((double)(next() >> 11) / (double)(1ull << 53) - 0.5) * 8;
  }
}

static double finite(void) {
  double x = number();
  return x - x == 0 ? x : 1.5;
}

static cn_f32x16 floats(double (*one)(void)) {
  cn_f32x16 v;
  for (int i = 0; i < 16; i++) v[i] = (float)one();
  return v;
}

static cn_f64x8 doubles(double (*one)(void)) {
  cn_f64x8 v;
  for (int i = 0; i < 8; i++) v[i] = one();
  return v;
}

static cn_i32x16 integers(void) {
  cn_i32x16 v;
  for (int i = 0; i < 16; i++) v[i] = (int32_t)(next() % 64);
  return v;
}

static uint64_t sum;

/* NaNs are equal here: their sign and payload depend on the processor. */
static void add(const void *bytes, size_t count) {
  const uint8_t *b = bytes;
  for (size_t i = 0; i < count; i++) sum = (sum ^ b[i]) * 1099511628211u;
}
static void addFloat(float x) {
  uint32_t bits = 0x7FC00000;
  if (x == x) memcpy(&bits, &x, 4);
  add(&bits, 4);
}
static void addDouble(double x) {
  uint64_t bits = 0x7FF8000000000000;
  if (x == x) memcpy(&bits, &x, 8);
  add(&bits, 8);
}
static void addFloats(cn_f32x16 v) { for (int i = 0; i < 16; i++) addFloat(v[i]); }
static void addDoubles(cn_f64x8 v) { for (int i = 0; i < 8; i++) addDouble(v[i]); }
#define ADD(value)                                    \
  do {                                                \
    __typeof__(value) it = (value);                   \
    add(&it, sizeof it);                              \
  } while (0)

#define SHOW(what, ...)                               \
  do {                                                \
    state = 1, sum = 1469598103934665603u;            \
    for (int round = 0; round < 2000; round++) {      \
      cn_f32x16 a = floats(number), b = floats(number), c = floats(finite); \
      cn_f64x8 x = doubles(number), y = doubles(number), z = doubles(finite); \
      cn_i32x16 indices = integers();                  \
      uint32_t mask = (uint32_t)next() & 0xFFFF;      \
      (void)a, (void)b, (void)c, (void)x, (void)y, (void)z, (void)indices, (void)mask; \
      __VA_ARGS__                                     \
    }                                                 \
    printf("%s %016llx\n", what, (unsigned long long)sum); \
  } while (0)

/* Of packed lanes only as many count as the mask has bits. */
static void packs(cn_f32x16 a, cn_f64x8 x, cn_i32x16 indices, uint32_t mask) {
  float p[16];
  double q[8];
  int32_t l[16];
  cn_f32x16_store_packed(p, a, mask);
  cn_f64x8_store_packed(q, x, mask & 255);
  cn_i32x16_store_packed(l, indices, mask);
  for (int i = 0; i < __builtin_popcount(mask); i++) {
    int32_t index = l[i];
    addFloat(p[i]), add(&index, sizeof index);
  }
  for (int i = 0; i < __builtin_popcount(mask & 255); i++) addDouble(q[i]);
}

static _Alignas(64) float table[8][64], query[64];
static _Alignas(64) uint16_t halves[8][64];
static _Alignas(64) uint8_t codes[8][64];

static void rows(void) {
  for (int i = 0; i < 8; i++)
    for (int d = 0; d < 64; d++) table[i][d] = (float)finite(), halves[i][d] = cn_half(table[i][d]), codes[i][d] = (uint8_t)next();
  for (int d = 0; d < 64; d++) query[d] = (float)finite();
  int32_t indices[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  float scores[16];
  for (int kind = 0; kind < 2; kind++)
    for (int products = 0; products < 2; products++) {
      cn_rows r = {.base = kind == 0 ? (const void *)table : halves, .stride = kind == 0 ? 256 : 128, .coordinates = 64,
                   .kind = kind, .products = products};
      cn_query q = {.values = query};
      cn_scores(&r, &q, indices, 8, 0, scores);
      for (int i = 0; i < 8; i++) {
        addFloat(scores[i]), addDouble(cn_decided_score(&r, query, i)), addFloat(cn_quick_score(&r, query, i));
        float decoded[64];
        _Alignas(64) float aligned[64];
        cn_decode_row(&r, i, aligned);
        memcpy(decoded, aligned, sizeof decoded);
        for (int d = 0; d < 64; d++) addFloat(decoded[d]);
      }
    }
  int8_t signedCodes[64];
  for (int d = 0; d < 64; d++) signedCodes[d] = (int8_t)next();
  for (int i = 0; i < 8; i++) ADD(cn_byte_product(codes[i], signedCodes, 64));
  uint32_t words[4];
  cn_signs(query, 64, words);
  add(words, 8);
}

int main(void) {
  SHOW("compare", ADD(cn_f32x16_mask_le(a, b)); ADD(cn_f64x8_mask_le(x, y)); ADD(cn_f64x8_mask_not_less(x, y)););
  SHOW("fused", addFloats(cn_f32x16_fma(c, c, a)); addDoubles(cn_f64x8_fma(z, z, x)); addDouble(cn_f64_fma(z[0], z[1], z[2])););
  SHOW("extremes", addFloats(cn_f32x16_max(c, cn_f32x16_abs(b))); addFloats(cn_f32x16_min(c, b)); addDoubles(cn_f64x8_max(z, y));
       addFloat(cn_f32x16_largest(c)); addDouble(cn_f64x8_largest(z)););
  SHOW("pack", packs(a, x, indices, mask););
  SHOW("indices", ADD(cn_i32x16_mask_admitted(indices, 40, (int32_t)(mask & 63))); ADD(cn_i32x16_mask_twice_minus(indices, indices, 9)););
  SHOW("lanes", addFloats(cn_f32x16_in_lane(c[0], (int32_t)(mask & 15))); addDoubles(cn_f64x8_in_lane(z[0], mask & 7));
       addFloats(cn_f32x16_up(a, b)); addDoubles(cn_f64x8_up(x, y)););
  SHOW("records", {
    float records[300 * 4 + 16], box[32];
    char aside[2 * cn_records_aside * 16];
    for (int i = 0; i < 300 * 4; i++) records[i] = (float)(next() % 50);
    ADD(cn_partition_f32(records, 300, 16, 4, 25, aside));
    add(records, 300 * 16);
    for (int i = 0; i < 32; i++) box[i] = i < 16 ? 100 : -100;
    cn_extent_f32x4(records, 299, 16, box, box + 16);
    add(box, sizeof box);
    addFloat(cn_ranked_f32(records, 48, 30));
    int32_t rows[48], ranks[48];
    for (int i = 0; i < 48; i++) rows[i] = (int32_t)((next() % 64) << 6) + i;
    ADD(cn_rank_i32(rows, 45, ranks));
    add(ranks, 45 * sizeof *ranks);
  });
  SHOW("sums", addFloat(cn_f32x16_sum(c)); addDouble(cn_f64x8_sum(z)););
  SHOW("rows", if (round < 100) rows(););
  SHOW("checksum", {
    uint8_t bytes[77];
    for (int i = 0; i < 77; i++) bytes[i] = (uint8_t)next();
    ADD(cn_crc32c(7, bytes, mask % 78));
  });
  return 0;
}
