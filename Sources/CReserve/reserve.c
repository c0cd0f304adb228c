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
void __real__ZdlPvm(void *memory, size_t bytes);

// A map has one bit for each unit of 64 bytes; the bit is set while the unit is in use. A request gets a run of free units, and its free
// returns exactly these. So free runs join by themselves, and no order of requests fragments the reserve for good. A run of up to 64
// units is within one word of the map, and one atomic operation claims it. A longer run begins at a word, and claims words in turn.
//
// The map has no lock that a fork or a signal could leave locked. If a fork interrupts a thread that claims a long run, the units of that
// run may stay in use in the child.
enum { unitBytes = 64, wordUnits = 64, units = 16 << 20 >> 6, words = units / wordUnits };

// Only addresses, until they are written to.
static _Alignas(4096) char reserve[units][unitBytes];
// The bytes of each request, by the first unit of its run.
static uint32_t sizes[units];
static _Atomic uint64_t inUse[words];
static _Atomic uint32_t unitsInUse;
// The next search begins at this word: the word of the last request or free.
static _Atomic uint32_t next;

static bool isReserve(const void *memory) { return (uintptr_t)memory - (uintptr_t)reserve < sizeof reserve; }

static uint64_t lowBits(uint32_t count) { return count == wordUnits ? ~0ull : (1ull << count) - 1; }

// The first bit of the lowest run of `count` clear bits, or 64 if the word has no such run.
static uint32_t freeRun(uint64_t word, uint32_t count) {
  uint64_t starts = ~word;
  // After a step a bit means a run of `have` free bits, or of `count`.
  for (uint32_t have = 1; have < count;) {
    uint32_t step = count - have < have ? count - have : have;
    starts &= starts >> step;
    have += step;
  }
  return starts == 0 ? wordUnits : (uint32_t)__builtin_ctzll(starts);
}

// Claims a run within a word. Returns its first bit, or 64.
static uint32_t claimWithin(uint32_t word, uint32_t count) {
  uint64_t before = atomic_load_explicit(&inUse[word], memory_order_relaxed);
  while (true) {
    uint32_t first = freeRun(before, count);
    if (first == wordUnits) return wordUnits;
    if (atomic_compare_exchange_weak(&inUse[word], &before, before | lowBits(count) << first)) return first;
  }
}

// The number of units in the `i`th word of a run of several words.
static uint32_t unitsIn(uint32_t i, uint32_t count) {
  uint32_t left = count - i * wordUnits;
  return left < wordUnits ? left : wordUnits;
}

static void giveBackUnits(uint32_t word, uint32_t count) {
  for (uint32_t i = 0; i * wordUnits < count; i++) atomic_fetch_and(&inUse[word + i], ~lowBits(unitsIn(i, count)));
}

// Claims a run of several words, or nothing.
static bool claimFrom(uint32_t word, uint32_t count) {
  for (uint32_t i = 0; i * wordUnits < count; i++) {
    uint64_t wanted = lowBits(unitsIn(i, count)), before = atomic_load_explicit(&inUse[word + i], memory_order_relaxed);
    do {
      if (before & wanted) {
        giveBackUnits(word, i * wordUnits);
        return false;
      }
    } while (!atomic_compare_exchange_weak(&inUse[word + i], &before, before | wanted));
  }
  return true;
}

static uint32_t unitsOf(size_t bytes) { return bytes == 0 ? 1 : (uint32_t)((bytes + unitBytes - 1) / unitBytes); }

static void *allocate(size_t bytes) {
  if (bytes > sizeof reserve / 2) return NULL;
  uint32_t count = unitsOf(bytes), start = atomic_load_explicit(&next, memory_order_relaxed);
  uint32_t spans = (count + wordUnits - 1) / wordUnits;
  for (uint32_t i = 0; i < words; i++) {
    uint32_t word = (start + i) % words, first = 0;
    if (spans == 1) {
      first = claimWithin(word, count);
      if (first == wordUnits) continue;
    } else if (word + spans > words || !claimFrom(word, count)) {
      continue;
    }
    atomic_store_explicit(&next, word, memory_order_relaxed);
    atomic_fetch_add(&unitsInUse, count);
    sizes[word * wordUnits + first] = (uint32_t)bytes;
    return reserve[word * wordUnits + first];
  }
  return NULL;
}

static uint32_t unitOf(const void *memory) { return (uint32_t)(((const char *)memory - reserve[0]) / unitBytes); }

static size_t sizeOf(const void *memory) { return sizes[unitOf(memory)]; }

static void giveBack(const void *memory) {
  uint32_t unit = unitOf(memory), count = unitsOf(sizes[unit]), word = unit / wordUnits;
  if (count <= wordUnits) {
    atomic_fetch_and(&inUse[word], ~(lowBits(count) << unit % wordUnits));
  } else {
    giveBackUnits(word, count);
  }
  atomic_fetch_sub(&unitsInUse, count);
  atomic_store_explicit(&next, word, memory_order_relaxed);
}

bool cn_reserve_is_low(void) {
  if (atomic_load_explicit(&unitsInUse, memory_order_relaxed) < units / 2) return false;
  void *probe = __real_malloc(1 << 16);
  __real_free(probe);
  return probe == NULL;
}

void *__wrap_malloc(size_t bytes) {
  void *memory = __real_malloc(bytes);
  return memory != NULL ? memory : allocate(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes) {
  void *memory = __real_calloc(count, bytes);
  size_t all;
  if (memory != NULL || __builtin_mul_overflow(count, bytes, &all)) return memory;
  memory = allocate(all);
  return memory == NULL ? NULL : memset(memory, 0, all);
}

void *__wrap_realloc(void *memory, size_t bytes) {
  if (!isReserve(memory)) {
    void *moved = __real_realloc(memory, bytes);
    if (moved != NULL || bytes == 0) return moved;
  }
  void *moved = isReserve(memory) ? __wrap_malloc(bytes) : allocate(bytes);
  if (moved == NULL || memory == NULL) return moved;
  size_t before = isReserve(memory) ? sizeOf(memory) : __real_malloc_usable_size(memory);
  memcpy(moved, memory, before < bytes ? before : bytes);
  if (isReserve(memory)) giveBack(memory); else __real_free(memory);
  return moved;
}

int __wrap_posix_memalign(void **memory, size_t alignment, size_t bytes) {
  int status = __real_posix_memalign(memory, alignment, bytes);
  if (status != ENOMEM || alignment > unitBytes) return status;
  void *claimed = allocate(bytes);
  if (claimed != NULL) *memory = claimed;
  return claimed != NULL ? 0 : ENOMEM;
}

size_t __wrap_malloc_usable_size(void *memory) {
  return isReserve(memory) ? sizeOf(memory) : __real_malloc_usable_size(memory);
}

void __wrap_free(void *memory) {
  if (isReserve(memory)) giveBack(memory); else __real_free(memory);
}

// `new` and `delete` of the runtime's C++. libstdc++ allocates the characters of a string by the same two functions, and a program may
// have replaced them. So memory from `new` is given back by `delete`, not by `free`.
void *newOrNull(size_t bytes, const void *nothrow) __asm__("_ZnwmRKSt9nothrow_t");
extern const char nothrow __asm__("_ZSt7nothrow");

// Nothing would catch an exception.
void *__wrap__Znwm(size_t bytes) {
  void *memory = newOrNull(bytes, &nothrow);
  if (memory == NULL) memory = allocate(bytes);
  if (memory == NULL) __builtin_trap();
  return memory;
}

void __wrap__ZdlPvm(void *memory, size_t bytes) {
  if (isReserve(memory)) giveBack(memory); else __real__ZdlPvm(memory, bytes);
}
