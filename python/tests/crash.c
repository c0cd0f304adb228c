/* Loaded before the C library: ends the process, as kill -9 would, right before the n-th call that changes a file. It can also
   refuse files without a name, and say that the next names are in use.
   cc -shared -fPIC crash.c -o crash.so -ldl */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

static long left = -1, in_use;
static int nameless = 1;
static const char *last = "";

/* From now on: how many calls pass; -1 for all. */
void crash_after(long calls) { left = calls; }
/* How many of them are left. */
long crash_left(void) { return left; }

/* Whether files without a name can be had from now on. */
void crash_nameless(int whether) { nameless = whether; }
/* How many of the next names for new files are in use. */
void crash_names_in_use(long names) { in_use = names; }
/* How many of them are left. */
long crash_names_in_use_left(void) { return in_use; }

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

static int refused(int flags) {
  if ((flags & O_TMPFILE) == O_TMPFILE) return nameless ? 0 : EOPNOTSUPP;
  if ((flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL)) return 0;
  return in_use > 0 && in_use-- > 0 ? EEXIST : 0;
}

#define WRAP_OPEN(name)                                      \
  int name(const char *path, int flags, ...) {               \
    va_list more;                                            \
    va_start(more, flags);                                   \
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, int) : 0, error = refused(flags); \
    va_end(more);                                            \
    if (error == 0) return NEXT(name)(path, flags, mode);    \
    errno = error;                                           \
    return -1;                                               \
  }
WRAP_OPEN(open)
WRAP_OPEN(open64)

int linkat(int a, const char *from, int b, const char *to, int flags) {
  count("linkat");
  if (in_use > 0 && in_use-- > 0) return errno = EEXIST, -1;
  return NEXT(linkat)(a, from, b, to, flags);
}

int madvise(void *start, size_t bytes, int advice) {
  if (advice == MADV_REMOVE) count("madvise");
  return NEXT(madvise)(start, bytes, advice);
}
