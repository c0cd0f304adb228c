/* Loaded before the C library: records the calls by which a process changes files below a folder, in order, with their data.
   powerloss.py makes of the record what a disk may have after a power failure.
   cc -shared -fPIC powerloss.c -o powerloss.so -ldl -lpthread */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* As powerloss.py reads them. */
enum kind { CREATE, WRITE, TRUNCATE, PUNCH, RENAME, UNLINK, MKDIR, RMDIR, SYNC, FAILED_SYNC, MARK, LINK };

struct header {
  uint32_t kind, paths;  /* bytes of paths */
  uint64_t inode, offset, length, data;
};

static char root[PATH_MAX];
static size_t root_length;
static int record = -1;
static long syncs_until_failure = -1;
static pthread_mutex_t one_at_a_time = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

#define NEXT(name) ((typeof(name) *)dlsym(RTLD_NEXT, #name))
#define BEGIN pthread_mutex_lock(&one_at_a_time)
#define END(result)                                            \
  do {                                                         \
    int code_ = errno;                                         \
    pthread_mutex_unlock(&one_at_a_time);                      \
    errno = code_;                                             \
    return result;                                             \
  } while (0)

static void put(enum kind kind, uint64_t inode, uint64_t offset, uint64_t length, const char *path, const char *other,
                const void *data, size_t count) {
  char paths[2 * PATH_MAX];
  int used = snprintf(paths, sizeof paths, "%s%c%s", path ? path : "", '\0', other ? other : "");
  struct header header = {kind, (uint32_t)used, inode, offset, length, count};
  struct iovec parts[] = {{&header, sizeof header}, {paths, (size_t)used}, {(void *)data, count}};
  if (NEXT(writev)(record, parts, 3) != (ssize_t)(sizeof header + (size_t)used + count)) abort();
}

/* The rest of a path below the folder; NULL for other paths. SQLite rebuilds the index of its log, so that is left out. */
static const char *below(const char *path) {
  if (record < 0 || strncmp(path, root, root_length) || (path[root_length] && path[root_length] != '/')) return NULL;
  size_t length = strlen(path);
  if (length > 4 && !strcmp(path + length - 4, "-shm")) return NULL;
  return path + root_length + (path[root_length] == '/');
}

static const char *absolute(int folder, const char *path, char *room) {
  if (path[0] == '/' || record < 0) return path;
  char name[64], at[PATH_MAX];
  snprintf(name, sizeof name, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
  ssize_t length = readlink(name, at, sizeof at - 1);
  if (length < 0) return path;
  at[length] = 0;
  snprintf(room, PATH_MAX, "%s/%s", at, path);
  return room;
}

/* The number of an open file below the folder; 0 for others. */
static uint64_t tracked(int file) {
  if (record < 0) return 0;
  char name[64], path[PATH_MAX];
  snprintf(name, sizeof name, "/proc/self/fd/%d", file);
  ssize_t length = readlink(name, path, sizeof path - 1);
  struct stat status;
  if (length < 0 || fstat(file, &status)) return 0;
  path[length] = 0;
  char *deleted = strstr(path, " (deleted)");
  if (deleted) *deleted = 0;
  return below(path) ? status.st_ino : 0;
}

static uint64_t inode_of(const char *path) {
  struct stat status;
  return stat(path, &status) ? 0 : status.st_ino;
}

/* ---- Called by tests ---- */

void record_start(const char *folder, const char *to) {
  record = NEXT(open)(to, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (record < 0 || !realpath(folder, root)) abort();
  root_length = strlen(root);
  put(MKDIR, inode_of(root), 0, 0, "", NULL, NULL, 0);
}

void record_stop(void) {
  NEXT(close)(record);
  record = -1;
}

void record_mark(const void *data, size_t count) { put(MARK, 0, 0, 0, NULL, NULL, data, count); }

/* The sync of a file fails after `after` other syncs; -1 for none. Syncs of folders pass: SQLite ignores their errors. */
void record_fail_sync(long after) { syncs_until_failure = after; }

/* In a process that a recorded one begins. */
__attribute__((constructor)) static void go_on(void) {
  if (getenv("POWERLOSS_FOLDER")) record_start(getenv("POWERLOSS_FOLDER"), getenv("POWERLOSS_RECORD"));
}

/* ---- Files ---- */

static int opened(const char *name, int folder, const char *given, int flags, mode_t mode) {
  BEGIN;
  char room[PATH_MAX];
  const char *path = absolute(folder, given, room), *rest = below(path);
  int is_new = rest && flags & O_CREAT && access(path, F_OK);
  int file = ((int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, name))(folder, given, flags, mode);
  if (file >= 0 && rest) {
    struct stat status;
    fstat(file, &status);
    if ((flags & O_TMPFILE) == O_TMPFILE)
      put(CREATE, status.st_ino, 0, 0, NULL, NULL, NULL, 0);
    else if (is_new)
      put(CREATE, status.st_ino, 0, 0, rest, NULL, NULL, 0);
    else if (flags & O_TRUNC)
      put(TRUNCATE, status.st_ino, 0, 0, NULL, NULL, NULL, 0);
  }
  END(file);
}

#define OPEN(name, parameters, as, folder)                                       \
  int name parameters {                                                          \
    mode_t mode = 0;                                                             \
    if (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE) {                                       \
      va_list rest;                                                              \
      va_start(rest, flags);                                                     \
      mode = va_arg(rest, mode_t);                                               \
      va_end(rest);                                                              \
    }                                                                            \
    return opened(as, folder, path, flags, mode);                                \
  }

OPEN(open, (const char *path, int flags, ...), "openat", AT_FDCWD)
OPEN(open64, (const char *path, int flags, ...), "openat64", AT_FDCWD)
OPEN(openat, (int folder, const char *path, int flags, ...), "openat", folder)
OPEN(openat64, (int folder, const char *path, int flags, ...), "openat64", folder)

static size_t total(const struct iovec *parts, int count) {
  size_t bytes = 0;
  for (int i = 0; i < count; i++) bytes += parts[i].iov_len;
  return bytes;
}

/* Records written bytes. `at` is their position in the file, or -1 if they end at the file's position. */
static void wrote(int file, const struct iovec *parts, int count, ssize_t written, off_t at) {
  uint64_t inode = written > 0 ? tracked(file) : 0;
  if (!inode) return;
  if (at < 0) at = lseek(file, 0, SEEK_CUR) - written;
  char *bytes = malloc(total(parts, count) + 1), *end = bytes;
  for (int i = 0; i < count; i++) end = mempcpy(end, parts[i].iov_base, parts[i].iov_len);
  put(WRITE, inode, (uint64_t)at, 0, NULL, NULL, bytes, (size_t)written);
  free(bytes);
}

#define WRITING(name, parameters, arguments, parts, count, at) \
  ssize_t name parameters {                                    \
    BEGIN;                                                     \
    ssize_t written = NEXT(name) arguments;                    \
    if (record >= 0) {                                         \
      int code = errno;                                        \
      wrote(f, parts, count, written, at);                     \
      errno = code;                                            \
    }                                                          \
    END(written);                                              \
  }

#define ONE (&(struct iovec){(void *)b, n})
WRITING(write, (int f, const void *b, size_t n), (f, b, n), ONE, 1, -1)
WRITING(pwrite, (int f, const void *b, size_t n, off_t o), (f, b, n, o), ONE, 1, o)
WRITING(pwrite64, (int f, const void *b, size_t n, off64_t o), (f, b, n, o), ONE, 1, o)
WRITING(writev, (int f, const struct iovec *v, int n), (f, v, n), v, n, -1)
WRITING(pwritev, (int f, const struct iovec *v, int n, off_t o), (f, v, n, o), v, n, o)
WRITING(pwritev64, (int f, const struct iovec *v, int n, off64_t o), (f, v, n, o), v, n, o)

#define CALL(name, parameters, arguments, noted) \
  int name parameters {                          \
    BEGIN;                                       \
    int result = NEXT(name) arguments;           \
    if (result == 0 && record >= 0) noted;       \
    END(result);                                 \
  }

static void noted(int file, enum kind kind, off_t offset, off_t length) {
  uint64_t inode = tracked(file);
  if (inode) put(kind, inode, (uint64_t)offset, (uint64_t)length, NULL, NULL, NULL, 0);
}

/* Whether it only makes a hole, or a longer file. */
static void allocated(int file, int mode, off_t offset, off_t length) {
  struct stat status;
  if (mode & FALLOC_FL_PUNCH_HOLE) {
    noted(file, PUNCH, offset, length);
  } else if (!(mode & FALLOC_FL_KEEP_SIZE) && !fstat(file, &status)) {
    noted(file, TRUNCATE, 0, status.st_size);
  }
}

CALL(ftruncate, (int f, off_t n), (f, n), noted(f, TRUNCATE, 0, n))
CALL(ftruncate64, (int f, off64_t n), (f, n), noted(f, TRUNCATE, 0, n))
CALL(fallocate, (int f, int m, off_t o, off_t n), (f, m, o, n), allocated(f, m, o, n))
CALL(fallocate64, (int f, int m, off64_t o, off64_t n), (f, m, o, n), allocated(f, m, o, n))
CALL(posix_fallocate, (int f, off_t o, off_t n), (f, o, n), allocated(f, 0, o, n))
CALL(posix_fallocate64, (int f, off64_t o, off64_t n), (f, o, n), allocated(f, 0, o, n))

/* ---- Waiting for the disk ---- */

static int is_folder(int file) {
  struct stat status;
  return !fstat(file, &status) && S_ISDIR(status.st_mode);
}

#define SYNCING(name)                                                       \
  int name(int file) {                                                      \
    BEGIN;                                                                  \
    if (record >= 0 && tracked(file)) {                                     \
      if (!is_folder(file) && syncs_until_failure >= 0 && syncs_until_failure-- == 0) {         \
        noted(file, FAILED_SYNC, 0, 0);                                     \
        errno = EIO;                                                        \
        END(-1);                                                            \
      }                                                                     \
      noted(file, SYNC, 0, 0);                                              \
    }                                                                       \
    int result = NEXT(name)(file);                                          \
    END(result);                                                            \
  }

SYNCING(fsync)
SYNCING(fdatasync)

/* The file that is mapped at an address, and where in it: by /proc, which knows all mappings. */
static uint64_t mapped(const void *start, off_t *offset) {
  FILE *maps = fopen("/proc/self/maps", "r");
  char line[PATH_MAX + 200], path[PATH_MAX];
  uint64_t found = 0;
  while (maps && !found && fgets(line, sizeof line, maps)) {
    unsigned long low, high, from, inode;
    path[0] = 0;
    if (sscanf(line, "%lx-%lx %*s %lx %*s %lu %4095[^\n]", &low, &high, &from, &inode, path) < 4) continue;
    if ((unsigned long)start < low || (unsigned long)start >= high || !below(path)) continue;
    found = inode;
    *offset = (off_t)(from + ((unsigned long)start - low));
  }
  if (maps) fclose(maps);
  return found;
}

int msync(void *start, size_t bytes, int flags) {
  BEGIN;
  off_t offset;
  int result = NEXT(msync)(start, bytes, flags);
  uint64_t inode = result == 0 && flags & MS_SYNC && record >= 0 ? mapped(start, &offset) : 0;
  if (inode) put(SYNC, inode, 0, 0, NULL, NULL, NULL, 0);
  END(result);
}

int madvise(void *start, size_t bytes, int advice) {
  BEGIN;
  off_t offset;
  uint64_t inode = advice == MADV_REMOVE && record >= 0 ? mapped(start, &offset) : 0;
  int result = NEXT(madvise)(start, bytes, advice);
  if (result == 0 && inode) put(PUNCH, inode, (uint64_t)offset, bytes, NULL, NULL, NULL, 0);
  END(result);
}

/* ---- Folders ---- */

static void renamed(int from, const char *old, int to, const char *new) {
  char rooms[2][PATH_MAX];
  const char *before = below(absolute(from, old, rooms[0])), *after = below(absolute(to, new, rooms[1]));
  if (before && after) put(RENAME, inode_of(absolute(to, new, rooms[1])), 0, 0, before, after, NULL, 0);
}

static void unlinked(enum kind kind, int folder, const char *path) {
  char room[PATH_MAX];
  const char *rest = below(absolute(folder, path, room));
  if (rest) put(kind, 0, 0, 0, rest, NULL, NULL, 0);
}

static void linked(enum kind kind, int folder, const char *path) {
  char room[PATH_MAX];
  const char *full = absolute(folder, path, room), *rest = below(full);
  if (rest) put(kind, inode_of(full), 0, 0, rest, NULL, NULL, 0);
}

CALL(rename, (const char *a, const char *b), (a, b), renamed(AT_FDCWD, a, AT_FDCWD, b))
CALL(renameat, (int x, const char *a, int y, const char *b), (x, a, y, b), renamed(x, a, y, b))
CALL(renameat2, (int x, const char *a, int y, const char *b, unsigned f), (x, a, y, b, f), renamed(x, a, y, b))
CALL(unlink, (const char *p), (p), unlinked(UNLINK, AT_FDCWD, p))
CALL(unlinkat, (int x, const char *p, int f), (x, p, f), unlinked(f & AT_REMOVEDIR ? RMDIR : UNLINK, x, p))
CALL(rmdir, (const char *p), (p), unlinked(RMDIR, AT_FDCWD, p))
CALL(remove, (const char *p), (p), unlinked(UNLINK, AT_FDCWD, p))
CALL(mkdir, (const char *p, mode_t m), (p, m), linked(MKDIR, AT_FDCWD, p))
CALL(mkdirat, (int x, const char *p, mode_t m), (x, p, m), linked(MKDIR, x, p))
CALL(link, (const char *a, const char *b), (a, b), linked(LINK, AT_FDCWD, b))
CALL(linkat, (int x, const char *a, int y, const char *b, int f), (x, a, y, b, f), linked(LINK, y, b))
