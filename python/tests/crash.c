/* Loaded before the C library: ends the process, as kill -9 would, right before the n-th call that changes a file.
   cc -shared -fPIC crash.c -o crash.so -ldl */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

static long left = -1;
static const char *last = "";

/* From now on: how many calls pass; -1 for all. */
void crash_after(long calls) { left = calls; }
/* How many of them are left. */
long crash_left(void) { return left; }

static void count(const char *what) {
  if (left < 0) return;
  last = what;
  if (left-- == 0) kill(getpid(), SIGKILL);
}

#define NEXT(name) ((typeof(name) *)dlsym(RTLD_NEXT, #name))
#define WRAP(type, name, parameters, arguments) \
  type name parameters {                        \
    count(#name);                               \
    return NEXT(name) arguments;                \
  }

WRAP(ssize_t, write, (int f, const void *b, size_t n), (f, b, n))
WRAP(ssize_t, pwrite, (int f, const void *b, size_t n, off_t o), (f, b, n, o))
WRAP(ssize_t, pwrite64, (int f, const void *b, size_t n, off64_t o), (f, b, n, o))
WRAP(int, fsync, (int f), (f))
WRAP(int, fdatasync, (int f), (f))
WRAP(int, ftruncate, (int f, off_t n), (f, n))
WRAP(int, ftruncate64, (int f, off64_t n), (f, n))
WRAP(int, rename, (const char *a, const char *b), (a, b))
WRAP(int, unlink, (const char *p), (p))
WRAP(int, mkdir, (const char *p, mode_t m), (p, m))

int madvise(void *start, size_t bytes, int advice) {
  if (advice == MADV_REMOVE) count("madvise");
  return NEXT(madvise)(start, bytes, advice);
}
