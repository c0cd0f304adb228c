/* Shared by the calls of one input: live handles and a freed one, and options as a caller might pass them. */
#ifndef COVERTREE_FUZZ_WORLD
#define COVERTREE_FUZZ_WORLD

#include "fuzz.h"

enum { TREE32, TREE64, NEIGHBORS, ARRAYS, FILE_, RESIDUAL, RESIDUAL_ARRAYS, INDEX, STORE, STORE_ROWS, KINDS };
enum { perKind = 3 };

static struct {
  void *handles[KINDS][perKind];
  void *freed;
  int64_t dim;
  Stream *stream;
  int callbacks;
  char folder[64];
} world;

static void freeHandle(int kind, void *handle) {
  switch (kind) {
    case TREE32: case TREE64: covertree_tree_free(handle); break;
    case NEIGHBORS: covertree_neighbors_free(handle); break;
    case ARRAYS: covertree_arrays_free(handle); break;
    case FILE_: covertree_file_free(handle); break;
    case RESIDUAL: covertree_residual_free(handle); break;
    case RESIDUAL_ARRAYS: covertree_residual_arrays_free(handle); break;
    case INDEX: covertree_index_free(handle); break;
    case STORE: covertree_store_free(handle); break;
    case STORE_ROWS: covertree_store_rows_free(handle); break;
  }
}

/* Mostly a live handle of the kind; NULL, one that was freed, of another kind, or never given. */
static void *handle(Stream *s, int kind) {
  uint8_t choice = byte(s);
  if (choice == 255) return NULL;
  if (choice == 254) return world.freed;
  if (choice == 253) return world.handles[byte(s) % KINDS][0];
  if (choice == 252) return (void *)(uintptr_t)word(s);
  return world.handles[kind][choice % perKind];
}

static void keep(Stream *s, int kind, void *handle) {
  void **kept = &world.handles[kind][below(s, perKind)];
  if (*kept != NULL) {
    freeHandle(kind, *kept);
    world.freed = *kept;
  }
  *kept = handle;
}

static int known(covertree_status status) {
  switch (status) {
    case COVERTREE_OK: case COVERTREE_INVALID_ARGUMENT: case COVERTREE_SHAPE: case COVERTREE_UNSUPPORTED:
    case COVERTREE_NOT_FOUND: case COVERTREE_EXISTS: case COVERTREE_OUT_OF_MEMORY: case COVERTREE_IO: case COVERTREE_CORRUPT:
    case COVERTREE_FORMAT_VERSION: case COVERTREE_BUSY: case COVERTREE_CANCELLED: return 1;
    default: return 0; /* INTERNAL, too: it is for bugs */
  }
}

/* The requirements of every call. */
static int ok(covertree_status status) {
  REQUIRE(known(status));
  if (status != COVERTREE_OK) REQUIRE(covertree_last_error() != NULL && strlen(covertree_last_error()) > 0);
  return status == COVERTREE_OK;
}

static int32_t progress(void *user_data, double share) {
  REQUIRE(user_data == &world && share >= 0 && share <= 1);
  Stream *s = world.stream;
  if (world.callbacks++ > 8) return 0;
  if (oneIn(s, 4)) { /* a callback may use the library, and free the objects of the running call */
    int kind = below(s, KINDS), i = below(s, perKind);
    freeHandle(kind, world.handles[kind][i]);
    world.freed = world.handles[kind][i];
    world.handles[kind][i] = NULL;
  }
  return oneIn(s, 6);
}

static int32_t kernel(void *user_data, const double *a, int64_t n, const double *b, int64_t m, int64_t dim, double *out) {
  REQUIRE(user_data == &world);
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < m; j++) {
      double squared = 0;
      for (int64_t d = 0; d < dim; d++) squared += (a[i * dim + d] - b[j * dim + d]) * (a[i * dim + d] - b[j * dim + d]);
      out[i * m + j] = exp(-squared);
    }
  return 0;
}

static int32_t threads(Stream *s) {
  uint8_t choice = byte(s);
  return choice < 250 ? 1 + (choice > 240) : (int32_t)word(s);
}

/* A struct of options as a caller might pass it, of this version of the header, an older or a later one. */
static void *given(Stream *s, const void *options, size_t bytes) {
  uint8_t choice = byte(s);
  if (choice < 60) return NULL;
  size_t claimed = choice < 230 ? bytes : choice < 240 ? 8 + byte(s) % bytes : choice < 250 ? bytes + byte(s) : byte(s);
  char *copy = calloc(claimed > 4 ? claimed : 4, 1);
  memcpy(copy, options, claimed < bytes ? claimed : bytes);
  uint32_t size = choice == 255 ? (uint32_t)word(s) : (uint32_t)claimed;
  if (size > claimed && size <= 4096) size = 0; /* it would be a lie that no library can see through */
  memcpy(copy, &size, sizeof size);
  if (claimed > bytes && oneIn(s, 2)) copy[claimed - 1] = 1;
  return copy;
}

static covertree_call_options *callOptions(Stream *s) {
  covertree_call_options o;
  covertree_call_options_init(&o);
  o.n_threads = threads(s);
  if (oneIn(s, 3)) o.progress = progress, o.progress_user_data = &world;
  return given(s, &o, sizeof o);
}

static covertree_tree_options *treeOptions(Stream *s) {
  covertree_tree_options o;
  covertree_tree_options_init(&o);
  o.n_threads = threads(s);
  o.order = oneIn(s, 30) ? (int32_t)word(s) : below(s, 3);
  o.leaf_size = oneIn(s, 30) ? (int32_t)word(s) : below(s, 40);
  o.seed = byte(s);
  if (oneIn(s, 4)) o.progress = progress, o.progress_user_data = &world;
  return given(s, &o, sizeof o);
}

typedef struct {
  covertree_search_options *options;
  void *before, *limits, *scores, *admitted, *distances;
} Search;

/* - points: the number of indices of a tree; below 0 for a residual model. */
static Search searchOptions(Stream *s, int64_t queries, int64_t k, int64_t points) {
  Search r = {0};
  covertree_search_options o;
  covertree_search_options_init(&o);
  o.n_threads = threads(s);
  o.flags = oneIn(s, 30) ? (uint32_t)word(s) : (uint32_t)(byte(s) & 15 & byte(s));
  o.max_distance = number(s);
  int64_t count = queries > 0 && queries < 1000 ? queries : 0, cells = k > 0 && k < 1000 ? count * k : 0;
  if (oneIn(s, 5)) o.before = r.before = indices(s, count);
  if (oneIn(s, 5)) {
    double *limits = memory(count, sizeof *limits);
    for (int64_t i = 0; i < count; i++) limits[i] = number(s);
    o.limits = r.limits = limits;
  }
  if (points >= 0 && oneIn(s, 5)) {
    uint8_t *admitted = memory(o.n_admitted = oneIn(s, 30) ? below(s, 100) : points, 1);
    for (int64_t i = 0; i < o.n_admitted; i++) admitted[i] = byte(s) & 1;
    o.admitted = r.admitted = admitted;
  }
  if (points >= 0 && oneIn(s, 5)) {
    double *distances = memory(count, sizeof *distances);
    for (int64_t i = 0; i < count; i++) distances[i] = number(s);
    o.max_distances = r.distances = distances;
  }
  if (oneIn(s, 5)) o.scores = r.scores = memory(cells, sizeof(double));
  if (oneIn(s, 4)) o.progress = progress, o.progress_user_data = &world;
  r.options = given(s, &o, sizeof o);
  return r;
}

static void freeSearch(Search r) {
  free(r.options);
  free(r.before);
  free(r.limits);
  free(r.scores);
  free(r.admitted);
  free(r.distances);
}

/* k times the rows is memory that the caller has, or a number that every call rejects. */
static int64_t neighbors(Stream *s) {
  static const int64_t wrong[] = {0, -1, INT64_MIN, INT64_MAX, (int64_t)1 << 61};
  uint8_t choice = byte(s);
  return choice >= 250 ? wrong[(choice - 250) % 5] : 1 + choice % 12;
}

static int64_t cells(int64_t rows, int64_t k) { return rows > 0 && rows < 1000 && k > 0 && k < 1000 ? rows * k : 0; }

/* Each neighbour is a point of the dataset, and the nearest come first. */
#define CHECK_LISTS(status, lists, distances, rows, k)                                               \
  if (ok(status))                                                                                     \
    for (int64_t i = 0; i < (rows); i++)                                                              \
      for (int64_t j = 0; j < (k); j++) {                                                             \
        int64_t at = i * (k) + j;                                                                     \
        REQUIRE((lists)[at] >= -1 && (lists)[at] < INT32_MAX);                                        \
        if ((distances) == NULL) continue;                                                            \
        REQUIRE(((lists)[at] == -1) == isinf((distances)[at]) || (lists)[at] >= 0);                   \
        if (j > 0) REQUIRE((distances)[at - 1] <= (distances)[at]);                                   \
      }

#endif
