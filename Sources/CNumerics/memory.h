// Calls of the system that Swift cannot make, as their arguments vary in number.
#ifndef COVERTREE_MEMORY_H
#define COVERTREE_MEMORY_H

#include <stddef.h>

extern void *mremap(void *memory, size_t length, size_t new_length, int flags, ...);

// Makes a mapping longer, elsewhere if need be, without a copy. NULL where that fails, and it is as it was.
static inline void *cn_remap(void *memory, size_t length, size_t new_length) {
  void *moved = mremap(memory, length, new_length, 1 /* MREMAP_MAYMOVE */);
  return moved == (void *)-1 ? NULL : moved;
}

#endif
