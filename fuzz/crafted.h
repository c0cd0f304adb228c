/* Changes to files of the library. An element of an array is copied over another, exchanged with it, or repeated. So each number is in
 * range, but numbers contradict each other. Checksums are corrected. */
#ifndef COVERTREE_FUZZ_CRAFTED
#define COVERTREE_FUZZ_CRAFTED

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Decisions that follow from a seed. */
typedef struct {
  uint64_t state;
} Random;

static inline uint64_t draw(Random *r) {
  uint64_t z = r->state += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

/* 0 to n - 1. */
static inline size_t drawBelow(Random *r, size_t n) { return (size_t)(draw(r) % n); }

static inline uint32_t crc(uint32_t before, const uint8_t *bytes, size_t count) {
  static uint32_t table[256];
  if (table[1] == 0)
    for (uint32_t i = 0; i < 256; i++) {
      uint32_t c = i;
      for (int bit = 0; bit < 8; bit++) c = c >> 1 ^ (c & 1 ? 0x82F63B78 : 0);
      table[i] = c;
    }
  uint32_t c = ~before;
  for (size_t i = 0; i < count; i++) c = table[(c ^ bytes[i]) & 255] ^ c >> 8;
  return ~c;
}

/* An array in a file. */
typedef struct {
  uint8_t *entry, *base;
  uint32_t dtype;
  size_t count, columns, size; /* elements, elements of a row, bytes of an element */
} Elements;

/* The number of sections in a file's header; 0 if the file is too short for them. */
static inline uint32_t sectionCount(const uint8_t *file, size_t count) {
  uint32_t sections;
  if (count < 64) return 0;
  memcpy(&sections, file + 20, 4);
  return sections > 64 || 64 + 64 * (size_t)sections > count ? 0 : sections;
}

/* 0 if a section does not fit in the file. */
static inline int section(uint8_t *file, size_t count, uint32_t i, Elements *e) {
  static const size_t sizes[] = {0, 4, 8, 4, 8, 1};
  uint64_t offset, rows, columns;
  e->entry = file + 64 + 64 * i;
  memcpy(&e->dtype, e->entry + 24, 4), memcpy(&offset, e->entry + 32, 8);
  memcpy(&rows, e->entry + 40, 8), memcpy(&columns, e->entry + 48, 8);
  if (e->dtype < 1 || e->dtype > 5 || rows > count || columns > count || offset > count) return 0;
  *e = (Elements){e->entry, file + offset, e->dtype, rows * columns, columns, sizes[e->dtype]};
  return e->count * e->size <= count - offset;
}

/* Makes size, sections and table agree with their checksums; sections of up to 1 MiB have one piece. */
static inline void mend(uint8_t *file, size_t count) {
  uint32_t sections = sectionCount(file, count);
  uint64_t size = count;
  if (count < 64) return;
  memcpy(file + 24, &size, 8);
  for (uint32_t i = 0; i < sections; i++) {
    Elements e;
    if (!section(file, count, i, &e)) continue;
    size_t bytes = e.count * e.size;
    if (memcmp(e.entry, "settings", 8) == 0 && bytes >= 16) {
      /* A tree may say that it had many more points: the memory for them is bounded (SECURITY.md), and not measured here. */
      uint64_t next;
      memcpy(&next, e.base + 8, 8);
      if (next >> 20 != 0 && next >> 31 == 0) memset(e.base + 10, 0, 6);
    }
    uint32_t sum = crc(0, e.base, bytes);
    uint8_t piece[4] = {(uint8_t)sum, (uint8_t)(sum >> 8), (uint8_t)(sum >> 16), (uint8_t)(sum >> 24)};
    sum = bytes == 0 ? 0 : crc(0, piece, 4);
    memcpy(e.entry + 28, &sum, 4);
  }
  uint32_t sum = crc(crc(0, file, 60), file + 64, 64 * (size_t)sections);
  memcpy(file + 60, &sum, 4);
}

static inline void exchange(uint8_t *a, uint8_t *b, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) {
    uint8_t one = a[i];
    a[i] = b[i], b[i] = one;
  }
}

/* Sets an element to one more or one less than another, or to an extreme of its type. */
static inline void setElement(const Elements *e, size_t to, size_t from, Random *r) {
  uint64_t value = 0;
  memcpy(&value, e->base + from * e->size, e->size);
  switch (drawBelow(r, 6)) {
    case 0: value = 0; break;
    case 1: value = UINT64_MAX; break;
    case 2: value = (uint64_t)1 << (8 * e->size - 1); break;
    case 3: value = ((uint64_t)1 << (8 * e->size - 1)) - 1; break;
    case 4: value++; break;
    default: value--;
  }
  memcpy(e->base + to * e->size, &value, e->size);
}

/* Changes some elements of an array. */
static inline void changeArray(const Elements *e, Random *r) {
  size_t from = drawBelow(r, e->count), to = drawBelow(r, e->count), run = 1;
  switch (drawBelow(r, 4)) { /* rows, a few elements, or one */
    case 0: if (e->columns <= e->count) from -= from % e->columns, to -= to % e->columns, run = e->columns; break;
    case 1: run = 1 + drawBelow(r, 8); break;
  }
  if (run > e->count - from) run = e->count - from;
  if (run > e->count - to) run = e->count - to;
  uint8_t *source = e->base + from * e->size, *target = e->base + to * e->size;
  size_t apart = from > to ? from - to : to - from;
  switch (drawBelow(r, 8)) {
    case 0: case 1: case 2: memmove(target, source, run * e->size); break;
    case 3: case 4: if (apart >= run) exchange(source, target, run * e->size); break;
    case 5: for (size_t i = 1; i < run; i++) memcpy(target + i * e->size, target, e->size); break;
    case 6: setElement(e, to, from, r); break;
    default: target[drawBelow(r, e->size)] ^= (uint8_t)(1 << drawBelow(r, 8));
  }
}

/* Changes elements of up to three arrays of a file, whose checksums do not fit any more. */
static inline void craft(uint8_t *file, size_t count, Random *r) {
  uint32_t sections = sectionCount(file, count);
  if (sections == 0) return;
  for (size_t changes = 1 + drawBelow(r, 3), tries = 0; changes > 0 && tries < 16; tries++) {
    Elements e;
    if (!section(file, count, (uint32_t)drawBelow(r, sections), &e) || e.count == 0) continue;
    /* Sizes and options are one array of many: most changes to them are refused at once. */
    if (memcmp(e.entry, "settings", 8) == 0 && drawBelow(r, 4) > 0) continue;
    changeArray(&e, r);
    changes--;
  }
}

#endif
