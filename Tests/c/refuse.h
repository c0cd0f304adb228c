/* Refuses memory: these functions replace malloc and the like of the C library. The program is one file, which defines _GNU_SOURCE
 * first. */
#ifndef REFUSE_H
#define REFUSE_H

#include <covertree.h>

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "expect.h"

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

/* While armed: how many requests pass before one is refused, and whether all after that are, too. */
static atomic_long left = -1;
static atomic_int persistent;
static atomic_long refused;

static int refuses(void) {
  if (atomic_load(&left) < 0) return 0;
  long now = atomic_fetch_sub(&left, 1);
  if (now > 1) return 0;
  if (now < 1 && !atomic_load(&persistent)) return 0;
  if (atomic_load(&persistent)) atomic_store(&left, 0);
  atomic_fetch_add(&refused, 1);
  errno = ENOMEM;
  return 1;
}

void *malloc(size_t bytes) { return refuses() ? NULL : __libc_malloc(bytes); }
void *calloc(size_t count, size_t bytes) { return refuses() ? NULL : __libc_calloc(count, bytes); }
void *realloc(void *memory, size_t bytes) { return refuses() ? NULL : __libc_realloc(memory, bytes); }
void *aligned_alloc(size_t alignment, size_t bytes) { return refuses() ? NULL : __libc_memalign(alignment, bytes); }
int posix_memalign(void **memory, size_t alignment, size_t bytes) {
  if (refuses()) return ENOMEM;
  *memory = __libc_memalign(alignment, bytes);
  return *memory == NULL ? ENOMEM : 0;
}
void *mmap(void *start, size_t bytes, int protection, int flags, int file, off_t offset) {
  return refuses() ? MAP_FAILED : (void *)syscall(SYS_mmap, start, bytes, protection, flags, file, offset);
}
void *mremap(void *start, size_t bytes, size_t new_bytes, int flags, ...) {
  va_list more;
  va_start(more, flags);
  void *wanted = flags & MREMAP_FIXED ? va_arg(more, void *) : NULL;
  va_end(more);
  return refuses() ? MAP_FAILED : (void *)syscall(SYS_mremap, start, bytes, new_bytes, flags, wanted);
}

/* Does the program's malloc come before the C library's? Not under valgrind, whose malloc comes before both. */
static int stands_before(void) {
  atomic_store(&persistent, 1), atomic_store(&left, 1);
  void *probe = malloc(100);
  atomic_store(&left, -1);
  free(probe);
  return probe == NULL;
}

/* Refuses the first request of a call, then the second, and so on until all requests pass; then the same, and all that
 * follow. After each call `check` gets its status. */
static void refuse_each(const char *name, covertree_status (*call)(void), void (*check)(covertree_status)) {
  long tried = 0, errors = 0;
  for (int mode = 0; mode < 2; mode++)
    for (long pass = 1;; pass += 1 + pass / 8) {
      atomic_store(&persistent, mode), atomic_store(&refused, 0), atomic_store(&left, pass);
      covertree_status status = call();
      atomic_store(&left, -1);
      if (status != COVERTREE_OK && status != COVERTREE_OUT_OF_MEMORY)
        fprintf(stderr, "%s, request %ld refused: status %d: %s\n", name, pass, (int)status, covertree_last_error());
      EXPECT(status == COVERTREE_OK || status == COVERTREE_OUT_OF_MEMORY);
      if (check != NULL) check(status);
      tried++, errors += status != COVERTREE_OK;
      if (atomic_load(&refused) == 0) break;
    }
  printf("%s: %ld refusals, %ld errors\n", name, tried, errors);
}

#endif
