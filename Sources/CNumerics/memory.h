// Memory operations that Swift lacks: system calls with a variable number of arguments, and access to numbers that another thread may
// write to.
#ifndef COVERTREE_MEMORY_H
#define COVERTREE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

static inline uint32_t cn_relaxed_load_u32(const uint32_t *number) { return __atomic_load_n(number, __ATOMIC_RELAXED); }
static inline void cn_relaxed_store_u32(uint32_t *number, uint32_t value) {
  __atomic_store_n(number, value, __ATOMIC_RELAXED);
}
static inline double cn_relaxed_load_f64(const double *number) {
  double value;
  __atomic_load(number, &value, __ATOMIC_RELAXED);
  return value;
}
// Lowers a number to a value, if it is above that.
static inline void cn_relaxed_lower_f64(double *number, double value) {
  double now = cn_relaxed_load_f64(number);
  while (value < now && !__atomic_compare_exchange(number, &now, &value, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
}

extern void *mremap(void *memory, size_t length, size_t new_length, int flags, ...);

// Makes a mapping longer without a copy; it may move. On failure returns NULL and leaves it unchanged.
static inline void *cn_remap(void *memory, size_t length, size_t new_length) {
  void *moved = mremap(memory, length, new_length, 1 /* MREMAP_MAYMOVE */);
  return moved == (void *)-1 ? NULL : moved;
}

#endif
