#include "reserve.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
int __real_posix_memalign(void **memory, size_t alignment, size_t bytes);
size_t __real_malloc_usable_size(void *memory);
void __real_free(void *memory);

// Addresses only, until they are written to. In units of 64 bytes, so that all that is given is aligned for any object; the
// unit before it has its size.
enum { unitBytes = 64, units = 16 << 20 >> 6 };
static _Alignas(4096) struct { size_t bytes; char rest[unitBytes - sizeof(size_t)]; } reserve[units];

// How many pieces are in use, and how many units have been given since none was: both in one word, so that there is no lock
// for a fork to find held.
static _Atomic uint64_t state;

static bool isReserve(const void *memory) {
  return (uintptr_t)memory - (uintptr_t)reserve < sizeof reserve;
}

static void *take(size_t bytes) {
  if (bytes > sizeof reserve / 2) return NULL;
  uint64_t wanted = 1 + (bytes + unitBytes - 1) / unitBytes;
  uint64_t now = atomic_load_explicit(&state, memory_order_relaxed);
  do {
    if ((uint32_t)now + wanted > units) return NULL;
  } while (!atomic_compare_exchange_weak(&state, &now, now + (1ull << 32) + wanted));
  reserve[(uint32_t)now].bytes = bytes;
  return &reserve[(uint32_t)now + 1];
}

static size_t sizeOf(const void *memory) { return reserve[((const char *)memory - (const char *)reserve) / unitBytes - 1].bytes; }

static void giveBack(void) {
  uint64_t now = atomic_load_explicit(&state, memory_order_relaxed), next;
  do {
    next = now - (1ull << 32);
    if (next >> 32 == 0) next = 0;
  } while (!atomic_compare_exchange_weak(&state, &now, next));
}

bool cn_reserve_is_low(void) {
  if ((uint32_t)atomic_load_explicit(&state, memory_order_relaxed) < units / 2) return false;
  void *probe = __real_malloc(1 << 16);
  __real_free(probe);
  return probe == NULL;
}

void *__wrap_malloc(size_t bytes) {
  void *memory = __real_malloc(bytes);
  return memory != NULL ? memory : take(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes) {
  void *memory = __real_calloc(count, bytes);
  size_t all;
  if (memory != NULL || __builtin_mul_overflow(count, bytes, &all)) return memory;
  memory = take(all);
  return memory == NULL ? NULL : memset(memory, 0, all);
}

void *__wrap_realloc(void *memory, size_t bytes) {
  if (!isReserve(memory)) {
    void *moved = __real_realloc(memory, bytes);
    if (moved != NULL || bytes == 0) return moved;
  }
  void *moved = isReserve(memory) ? __wrap_malloc(bytes) : take(bytes);
  if (moved == NULL || memory == NULL) return moved;
  size_t before = isReserve(memory) ? sizeOf(memory) : __real_malloc_usable_size(memory);
  memcpy(moved, memory, before < bytes ? before : bytes);
  if (isReserve(memory)) giveBack(); else __real_free(memory);
  return moved;
}

int __wrap_posix_memalign(void **memory, size_t alignment, size_t bytes) {
  int status = __real_posix_memalign(memory, alignment, bytes);
  if (status != ENOMEM || alignment > unitBytes) return status;
  void *taken = take(bytes);
  if (taken != NULL) *memory = taken;
  return taken != NULL ? 0 : ENOMEM;
}

size_t __wrap_malloc_usable_size(void *memory) {
  return isReserve(memory) ? sizeOf(memory) : __real_malloc_usable_size(memory);
}

void __wrap_free(void *memory) {
  if (isReserve(memory)) giveBack(); else __real_free(memory);
}

// What the runtime's C++ has by `new`; there is nobody who catches what that throws.
void *__wrap__Znwm(size_t bytes) {
  void *memory = __wrap_malloc(bytes != 0 ? bytes : 1);
  if (memory == NULL) __builtin_trap();
  return memory;
}

void __wrap__ZdlPvm(void *memory, size_t bytes) {
  (void)bytes;
  __wrap_free(memory);
}
