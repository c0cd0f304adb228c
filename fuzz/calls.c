/* Sequences of calls of everything in the header, with arguments right and wrong, on handles that are live, freed, of another type
 * or none. Each call must end with one of the statuses, and what it says it has written must be there. */
#include "fuzz.h"

#include <sys/stat.h>
#include <unistd.h>

enum { TREE32, TREE64, NEIGHBORS, ARRAYS, FILE_, RESIDUAL, RESIDUAL_ARRAYS, INDEX, STORE, STORE_ROWS, KINDS };
enum { places = 3 };

static struct {
  void *handles[KINDS][places];
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
  return world.handles[kind][choice % places];
}

static void keep(Stream *s, int kind, void *handle) {
  void **place = &world.handles[kind][below(s, places)];
  if (*place != NULL) {
    freeHandle(kind, *place);
    world.freed = *place;
  }
  *place = handle;
}

static int known(covertree_status status) {
  switch (status) {
    case COVERTREE_OK: case COVERTREE_INVALID_ARGUMENT: case COVERTREE_SHAPE: case COVERTREE_UNSUPPORTED:
    case COVERTREE_NOT_FOUND: case COVERTREE_EXISTS: case COVERTREE_OUT_OF_MEMORY: case COVERTREE_IO: case COVERTREE_CORRUPT:
    case COVERTREE_FORMAT_VERSION: case COVERTREE_BUSY: case COVERTREE_CANCELLED: return 1;
    default: return 0; /* INTERNAL, too: it is for what must not be */
  }
}

/* What every call is held to. */
static int ok(covertree_status status) {
  REQUIRE(known(status));
  if (status != COVERTREE_OK) REQUIRE(covertree_last_error() != NULL && strlen(covertree_last_error()) > 0);
  return status == COVERTREE_OK;
}

static int32_t progress(void *user_data, double share) {
  REQUIRE(user_data == &world && share >= 0 && share <= 1);
  Stream *s = world.stream;
  if (world.callbacks++ > 8) return 0;
  if (oneIn(s, 4)) { /* a callback may use the library, and free what is being worked with */
    int kind = below(s, KINDS), place = below(s, places);
    freeHandle(kind, world.handles[kind][place]);
    world.freed = world.handles[kind][place];
    world.handles[kind][place] = NULL;
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

/* A struct of options as a host might hand it over, of this version of the header, an older or a later one. */
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
  void *before, *limits, *scores;
} Search;

static Search searchOptions(Stream *s, int64_t queries, int64_t k) {
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
}

/* k times the rows is memory that the caller has, or a number that no call takes. */
static int64_t neighbors(Stream *s) {
  static const int64_t wrong[] = {0, -1, INT64_MIN, INT64_MAX, (int64_t)1 << 61};
  uint8_t choice = byte(s);
  return choice >= 250 ? wrong[(choice - 250) % 5] : 1 + choice % 12;
}

static int64_t cells(int64_t rows, int64_t k) { return rows > 0 && rows < 1000 && k > 0 && k < 1000 ? rows * k : 0; }

/* Where there is a neighbour it is one of the dataset's, and the nearest come first. */
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

#define TREE_CALLS(T, f, KIND)                                                                        \
  static void build_##f(Stream *s) {                                                                  \
    Rows r = rows(s, 40, world.dim, sizeof(T));                                                       \
    covertree_tree_options *o = treeOptions(s);                                                       \
    covertree_tree *tree = NULL;                                                                      \
    if (ok(covertree_tree_build_##f(r.base, r.rows, r.dim, r.stride, o, oneIn(s, 60) ? NULL : &tree))) \
      keep(s, KIND, tree);                                                                            \
    free(o), free(r.base);                                                                            \
  }                                                                                                   \
  static void insert_##f(Stream *s) {                                                                 \
    Rows r = rows(s, 20, world.dim, sizeof(T));                                                       \
    covertree_call_options *o = callOptions(s);                                                       \
    int64_t first;                                                                                    \
    ok(covertree_tree_insert_##f(handle(s, KIND), r.base, r.rows, r.dim, r.stride, o, oneIn(s, 3) ? NULL : &first)); \
    free(o), free(r.base);                                                                            \
  }                                                                                                   \
  static void knn_##f(Stream *s) {                                                                    \
    Rows r = rows(s, 8, world.dim, sizeof(T));                                                        \
    int64_t k = neighbors(s), *lists = memory(cells(r.rows, k), 8);                                   \
    T *distances = oneIn(s, 8) ? NULL : memory(cells(r.rows, k), sizeof(T));                          \
    Search o = searchOptions(s, r.rows, k);                                                           \
    covertree_status status = covertree_tree_knn_##f(handle(s, KIND), r.base, r.rows, r.dim, r.stride, k, o.options, \
                                                     lists, distances);                               \
    CHECK_LISTS(status, lists, distances, r.rows, k)                                                  \
    freeSearch(o), free(distances), free(lists), free(r.base);                                        \
  }                                                                                                   \
  static void knn_rows_##f(Stream *s) {                                                               \
    void *tree = handle(s, KIND);                                                                     \
    covertree_tree_info info = {0};                                                                   \
    covertree_tree_get_info(tree, &info);                                                             \
    int all = oneIn(s, 3);                                                                            \
    int64_t n = all ? info.n_points : size(s, 8), k = neighbors(s);                                   \
    int64_t *list = all ? NULL : indices(s, n), *lists = memory(cells(n, k), 8);                      \
    T *distances = oneIn(s, 8) ? NULL : memory(cells(n, k), sizeof(T));                               \
    Search o = searchOptions(s, n, k);                                                                \
    covertree_status status = covertree_tree_knn_rows_##f(tree, list, n, k, o.options, lists, distances); \
    CHECK_LISTS(status, lists, distances, n, k)                                                       \
    freeSearch(o), free(distances), free(lists), free(list);                                          \
  }                                                                                                   \
  static void radius_##f(Stream *s) {                                                                 \
    Rows r = rows(s, 8, world.dim, sizeof(T));                                                        \
    Search o = searchOptions(s, r.rows, 0);                                                           \
    covertree_neighbors *found = NULL;                                                                \
    int64_t *counts = memory(r.rows < 1000 ? r.rows : 0, 8);                                          \
    void *tree = handle(s, KIND);                                                                     \
    double radius = number(s);                                                                        \
    if (oneIn(s, 2)) ok(covertree_tree_radius_count_##f(tree, r.base, r.rows, r.dim, r.stride, radius, o.options, counts)); \
    else if (ok(covertree_tree_radius_##f(tree, r.base, r.rows, r.dim, r.stride, radius, o.options, &found)))   \
      keep(s, NEIGHBORS, found);                                                                      \
    free(counts), freeSearch(o), free(r.base);                                                        \
  }                                                                                                   \
  static void hash_##f(Stream *s) {                                                                   \
    Rows r = rows(s, 20, world.dim, sizeof(T));                                                       \
    covertree_call_options *o = callOptions(s);                                                       \
    uint64_t hash;                                                                                    \
    ok(covertree_hash_points_##f(r.base, r.rows, r.dim, r.stride, o, &hash));                         \
    free(o), free(r.base);                                                                            \
  }

TREE_CALLS(float, f32, TREE32)
TREE_CALLS(double, f64, TREE64)

static void radiusRows(Stream *s) {
  int64_t n = size(s, 8), *list = indices(s, n), *counts = memory(n < 1000 ? n : 0, 8);
  Search o = searchOptions(s, n, 0);
  covertree_neighbors *found = NULL;
  void *tree = handle(s, oneIn(s, 2) ? TREE32 : TREE64);
  double radius = number(s);
  if (oneIn(s, 2)) ok(covertree_tree_radius_count_rows(tree, list, n, radius, o.options, counts));
  else if (ok(covertree_tree_radius_rows(tree, list, n, radius, o.options, &found))) keep(s, NEIGHBORS, found);
  freeSearch(o), free(counts), free(list);
}

static void removeFromTree(Stream *s) {
  int64_t n = size(s, 8), *list = indices(s, n);
  covertree_call_options *o = callOptions(s);
  ok(covertree_tree_remove(handle(s, oneIn(s, 2) ? TREE32 : TREE64), list, n, o));
  free(o), free(list);
}

static void lookAtTree(Stream *s) {
  void *tree = handle(s, oneIn(s, 2) ? TREE32 : TREE64);
  covertree_call_options *o = callOptions(s);
  covertree_tree_info info;
  covertree_arrays *arrays = NULL;
  ok(covertree_tree_get_info(tree, oneIn(s, 20) ? NULL : &info));
  covertree_status status = covertree_tree_validate(tree, o);
  REQUIRE(ok(status) || status != COVERTREE_CORRUPT || world.handles[FILE_][0] != NULL);
  if (ok(covertree_tree_export(tree, &arrays))) keep(s, ARRAYS, arrays);
  free(o);
}

static void lookAtResults(Stream *s) {
  covertree_neighbors_view lists;
  if (ok(covertree_neighbors_get(handle(s, NEIGHBORS), &lists))) {
    REQUIRE(lists.offsets[0] == 0 && lists.offsets[lists.n_queries] == lists.n_neighbors);
    for (int64_t i = 0; i < lists.n_neighbors; i++) REQUIRE(lists.indices[i] >= 0);
  }
  covertree_arrays_view view;
  int32_t current;
  void *arrays = handle(s, ARRAYS);
  if (ok(covertree_arrays_get(arrays, &view)))
    for (int64_t t = 0; t < view.n_nodes; t++) REQUIRE(view.subtree_end[t] > t && view.subtree_end[t] <= view.n_nodes);
  ok(covertree_arrays_is_current(arrays, &current));
  covertree_residual_view model;
  arrays = handle(s, RESIDUAL_ARRAYS);
  if (ok(covertree_residual_arrays_get(arrays, &model)))
    for (int64_t i = 0; i < model.n_points; i++) REQUIRE(model.order[model.places[i]] == i);
  ok(covertree_residual_arrays_is_current(arrays, &current));
}

/* ---- Files ---- */

typedef struct {
  covertree_section list[3];
  covertree_section *base;
  int64_t count;
  uint8_t *data;
} Sections;

static Sections sections(Stream *s) {
  static const char *const names[] = {"mine", "other", "points", "", "a name that is longer than it may be", "\n", "settings", NULL};
  Sections r = {.count = oneIn(s, 30) ? -1 : below(s, 4), .data = memory(256, 1)};
  for (int i = 0; i < 3; i++) {
    int64_t dtype = below(s, 7), rows_ = below(s, 5), columns = below(s, 5);
    if (oneIn(s, 40)) rows_ = -1;
    r.list[i] = (covertree_section){names[below(s, 8)], (int32_t)dtype, oneIn(s, 50), rows_, columns, oneIn(s, 40) ? NULL : r.data};
  }
  r.base = r.count == 0 && oneIn(s, 2) ? NULL : r.list;
  return r;
}

static const char *path(Stream *s) {
  static char text[96];
  uint8_t choice = byte(s);
  if (choice == 255) return NULL;
  if (choice == 254) return "";
  if (choice == 253) return "/nowhere/at/all";
  if (choice == 252) return world.folder;
  if (choice == 251) return "\xff\xfe";
  snprintf(text, sizeof text, "%s/%d", world.folder, choice % 4);
  return text;
}

static void save(Stream *s) {
  Sections r = sections(s);
  covertree_call_options *o = callOptions(s);
  covertree_file *file = NULL;
  int toDisk = oneIn(s, 10), kind = below(s, 5);
  covertree_status status = COVERTREE_IO;
  const char *where = toDisk ? path(s) : NULL;
  switch (kind) {
    case 0: case 1: {
      void *tree = handle(s, kind == 0 ? TREE32 : TREE64);
      status = toDisk ? covertree_tree_save(tree, where, r.base, r.count, o) : covertree_tree_encode(tree, r.base, r.count, o, &file);
      break;
    }
    case 2: {
      void *model = handle(s, RESIDUAL);
      status = toDisk ? covertree_residual_save(model, where, r.base, r.count, o)
                      : covertree_residual_encode(model, r.base, r.count, o, &file);
      break;
    }
    case 3: {
      void *index = handle(s, INDEX);
      status = toDisk ? covertree_index_save(index, where, r.base, r.count, o)
                      : covertree_index_encode(index, r.base, r.count, o, &file);
      break;
    }
    case 4: if (toDisk) status = covertree_sections_save(where, word(s), r.base, r.count, o);
  }
  if (ok(status) && file != NULL) keep(s, FILE_, file);
  free(o), free(r.data);
}

static void openFile(Stream *s) {
  covertree_call_options *o = callOptions(s);
  covertree_file *file = NULL;
  uint32_t flags = oneIn(s, 30) ? (uint32_t)word(s) : (uint32_t)below(s, 4);
  if (oneIn(s, 2)) {
    covertree_file_info info;
    void *other = handle(s, FILE_);
    if (ok(covertree_file_get_info(other, &info)) && ok(covertree_file_copy(info.bytes, info.n_bytes, flags, o, &file)))
      keep(s, FILE_, file);
  } else if (ok(covertree_file_open(path(s), flags, o, &file))) keep(s, FILE_, file);
  free(o);
}

static void load(Stream *s) {
  void *file = handle(s, FILE_);
  covertree_section section;
  ok(covertree_file_get_section(file, size(s, 6), &section));
  covertree_call_options *o = callOptions(s);
  switch (below(s, 4)) {
    case 0: {
      covertree_tree *tree = NULL;
      if (ok(covertree_tree_load(file, &tree))) keep(s, oneIn(s, 2) ? TREE32 : TREE64, tree);
      break;
    }
    case 1: {
      covertree_residual *model = NULL;
      covertree_residual_options options;
      covertree_residual_options_init(&options);
      options.kernel_fn = kernel, options.kernel_user_data = &world;
      if (ok(covertree_residual_load(file, oneIn(s, 2) ? &options : NULL, &model))) keep(s, RESIDUAL, model);
      break;
    }
    case 2: {
      covertree_index *index = NULL;
      if (ok(covertree_index_load(file, &index))) keep(s, INDEX, index);
      break;
    }
    case 3: {
      covertree_index *index = NULL;
      if (ok(covertree_index_load_over(file, handle(s, STORE), o, &index))) keep(s, INDEX, index);
    }
  }
  free(o);
}

/* ---- Residual correlation ---- */

static void buildResidual(Stream *s) {
  covertree_residual_options o;
  covertree_residual_options_init(&o);
  Rows r = rows(s, 40, world.dim, 8), inducing = rows(s, 6, world.dim, 8);
  double lengthscales[9];
  for (int i = 0; i < 9; i++) lengthscales[i] = oneIn(s, 20) ? number(s) : 0.5 + byte(s) / 64.0;
  o.n_threads = threads(s);
  o.kernel = oneIn(s, 30) ? (int32_t)word(s) : below(s, 4);
  o.variance = oneIn(s, 20) ? number(s) : byte(s) / 64.0;
  if (oneIn(s, 3)) o.lengthscale = lengthscales, o.n_lengthscales = oneIn(s, 2) ? 1 : oneIn(s, 20) ? -1 : world.dim;
  int64_t width = r.dim > 0 && r.dim < 64 ? r.dim : 1;
  double *u = memory(inducing.rows < 1000 && inducing.rows > 0 ? inducing.rows * width : 0, 8);
  for (int64_t i = 0; inducing.rows > 0 && inducing.rows < 1000 && i < inducing.rows * width; i++) u[i] = (byte(s) - 128) / 16.0;
  if (oneIn(s, 2)) o.inducing_points = u, o.n_inducing = inducing.rows;
  o.jitter = oneIn(s, 6) ? number(s) : 0;
  if (oneIn(s, 8)) o.kernel_fn = kernel, o.kernel_user_data = &world;
  if (oneIn(s, 4)) o.progress = progress, o.progress_user_data = &world;
  o.block_size = oneIn(s, 4) ? size(s, 4) * 64 : 0;
  o.tau = oneIn(s, 6) ? number(s) : 0;
  covertree_residual_options *options = given(s, &o, sizeof o);
  covertree_residual *model = NULL;
  int64_t m = below(s, 5), cellCount = cells(r.rows, m);
  double *v = memory(cellCount, 8), *p = memory(r.rows < 1000 ? r.rows : 0, 8), *diagonal = memory(r.rows < 1000 ? r.rows : 0, 8);
  float *narrow = memory(cellCount, 4);
  for (int64_t i = 0; i < r.rows && r.rows < 1000; i++) {
    double squared = 0;
    for (int64_t j = 0; j < m; j++) {
      narrow[i * m + j] = (float)(v[i * m + j] = (byte(s) - 128) / 512.0);
      squared += v[i * m + j] * v[i * m + j];
    }
    diagonal[i] = 1 + squared, p[i] = oneIn(s, 200) ? number(s) : 1;
  }
  covertree_status status;
  switch (below(s, 4)) {
    case 0:
      status = covertree_residual_build_given_f64(r.base, r.rows, r.dim, r.stride, v, m, 0, p, diagonal, options, &model);
      break;
    case 1:
      status = covertree_residual_build_given_f32(r.base, r.rows, r.dim, r.stride, narrow, m, 0, p, diagonal, options, &model);
      break;
    default: status = covertree_residual_build(r.base, r.rows, r.dim, r.stride, options, &model);
  }
  if (ok(status)) keep(s, RESIDUAL, model);
  free(narrow), free(diagonal), free(p), free(v), free(options), free(u), free(inducing.base), free(r.base);
}

static void residualKnnRows(Stream *s) {
  void *model = handle(s, RESIDUAL);
  covertree_residual_info info = {0};
  covertree_residual_get_info(model, &info);
  int all = oneIn(s, 3);
  int64_t n = all ? info.n_points : size(s, 8), k = neighbors(s), *list = all ? NULL : indices(s, n);
  int64_t *lists = memory(cells(n, k), 8);
  double *distances = oneIn(s, 8) ? NULL : memory(cells(n, k), 8);
  Search o = searchOptions(s, n, k);
  covertree_status status = covertree_residual_knn_rows(model, list, n, k, o.options, lists, distances);
  CHECK_LISTS(status, lists, distances, n, k)
  freeSearch(o), free(distances), free(lists), free(list);
}

static void residualNew(Stream *s) {
  void *model = handle(s, RESIDUAL);
  covertree_residual_info info = {0};
  covertree_residual_get_info(model, &info);
  Rows r = rows(s, 8, world.dim, 8);
  int64_t k = neighbors(s), m = info.n_features, *lists = memory(cells(r.rows, k), 8);
  double *distances = memory(cells(r.rows, k), 8), *v = memory(cells(r.rows, m), 8), *p = memory(r.rows < 1000 ? r.rows : 0, 8);
  double *lengths = memory(r.rows < 1000 ? r.rows : 0, 8);
  Search o = searchOptions(s, r.rows, k);
  covertree_call_options *c = callOptions(s);
  covertree_status status;
  if (ok(covertree_residual_features(model, r.base, r.rows, r.dim, r.stride, c, oneIn(s, 9) ? NULL : v, oneIn(s, 9) ? NULL : p))) {
    ok(covertree_residual_projections(model, r.base, r.rows, r.dim, r.stride, v, m, 0, p, c, lengths));
    status = covertree_residual_knn_given(model, r.base, r.rows, r.dim, r.stride, v, m, 0, p, k, o.options, lists, distances);
    CHECK_LISTS(status, lists, distances, r.rows, k)
  }
  status = covertree_residual_knn(model, r.base, r.rows, r.dim, r.stride, k, o.options, lists, distances);
  CHECK_LISTS(status, lists, distances, r.rows, k)
  covertree_residual *other = NULL;
  status = oneIn(s, 2) ? covertree_residual_over(model, r.base, r.rows, r.dim, r.stride, c, &other)
                       : covertree_residual_extend(model, r.base, r.rows, r.dim, r.stride, c, &other);
  if (ok(status)) keep(s, RESIDUAL, other);
  free(lengths), free(c), freeSearch(o), free(p), free(v), free(distances), free(lists), free(r.base);
}

static void lookAtResidual(Stream *s) {
  void *model = handle(s, RESIDUAL);
  covertree_call_options *c = callOptions(s);
  covertree_tree_options *t = treeOptions(s);
  covertree_residual_info info = {0};
  ok(covertree_residual_get_info(model, &info));
  int64_t groups, n = size(s, 6), *list = indices(s, n), width = below(s, 5), *others = indices(s, cells(n, width));
  double error, *out = memory(n < 1000 ? n * (width + 1) : 0, 8);
  covertree_residual *pivots = NULL;
  if (oneIn(s, 2) && ok(covertree_residual_outline(model, below(s, 3), number(s), c, &groups, oneIn(s, 8) ? NULL : &pivots, &error)))
    if (pivots != NULL) {
      ok(covertree_residual_bounds(model, list, n, pivots, error, c, out));
      keep(s, RESIDUAL, pivots);
    }
  ok(covertree_residual_distances(model, list, n, others, width, c, out));
  covertree_arrays *arrays = NULL;
  if (oneIn(s, 3) && ok(covertree_residual_build_tree(model, t, &arrays))) {
    covertree_status status = covertree_residual_validate_tree(model, arrays, c);
    REQUIRE(known(status) && status != COVERTREE_CORRUPT);
    keep(s, ARRAYS, arrays);
  }
  ok(covertree_residual_validate_tree(model, handle(s, ARRAYS), c));
  covertree_residual_arrays *exported = NULL;
  if (oneIn(s, 3) && ok(covertree_residual_export(model, c, &exported))) keep(s, RESIDUAL_ARRAYS, exported);
  double *v = memory(info.n_points * info.n_features, 8), *p = memory(info.n_points, 8);
  ok(covertree_residual_get_features(model, oneIn(s, 4) ? NULL : v, oneIn(s, 4) ? NULL : p));
  free(p), free(v), free(out), free(others), free(list), free(t), free(c);
}

static void orders(Stream *s) {
  Rows r = rows(s, 30, world.dim, 8);
  covertree_call_options *o = callOptions(s);
  int64_t count = r.rows > 0 && r.rows < 1000 ? r.rows : 0, *out = memory(count, 8), wanted = size(s, 30);
  int64_t *sample = memory(wanted < 1000 ? wanted : 0, 8);
  uint64_t *keys = memory(count, 8);
  int64_t width = r.dim > 0 && r.dim < 64 ? r.dim : 0;
  double *low = memory(width, 8), *high = memory(width, 8);
  for (int64_t d = 0; d < width; d++) low[d] = number(s), high[d] = number(s);
  ok(covertree_maxmin_order(r.base, r.rows, r.dim, r.stride, o, out));
  ok(covertree_spread_sample(r.base, r.rows, r.dim, r.stride, wanted, byte(s), o, sample));
  ok(covertree_hilbert_keys(r.base, r.rows, r.dim, r.stride, oneIn(s, 20) ? NULL : low, high, o, keys));
  free(high), free(low), free(keys), free(sample), free(out), free(o), free(r.base);
}

/* ---- Indexes and stores ---- */

static void createIndex(Stream *s) {
  covertree_index_options o;
  covertree_index_options_init(&o);
  o.kind = oneIn(s, 40) ? (int32_t)word(s) : below(s, 4);
  o.metric = oneIn(s, 40) ? (int32_t)word(s) : below(s, 4);
  o.storage = oneIn(s, 40) ? (int32_t)word(s) : below(s, 3);
  o.flags = (uint32_t)oneIn(s, 3);
  o.leaf_size = below(s, 40), o.split = below(s, 3), o.lsh_mode = below(s, 2);
  o.n_bits = o.lsh_mode == 1 ? below(s, 8) : below(s, 130), o.n_tables = below(s, 4), o.n_probes = below(s, 6);
  o.n_candidates = below(s, 30), o.m = below(s, 8), o.ef_construction = below(s, 30), o.ef_search = below(s, 30);
  if (oneIn(s, 20)) o.m = -1, o.n_bits = -1;
  o.seed = byte(s);
  covertree_index_options *options = given(s, &o, sizeof o);
  covertree_index *index = NULL;
  covertree_status status = oneIn(s, 3) ? covertree_index_create_over(handle(s, STORE), options, &index)
                                        : covertree_index_create(oneIn(s, 20) ? size(s, 9) : world.dim, options, &index);
  if (ok(status)) keep(s, INDEX, index);
  free(options);
}

static void changeIndex(Stream *s) {
  void *index = handle(s, INDEX);
  Rows r = rows(s, 30, world.dim, 4);
  int64_t *ids = oneIn(s, 2) ? NULL : indices(s, r.rows < 1000 ? r.rows : 0), *slots = indices(s, r.rows < 1000 ? r.rows : 0), first;
  covertree_call_options *o = callOptions(s);
  switch (below(s, 10)) {
    case 0: case 1: case 2: ok(covertree_index_add(index, ids, r.base, r.rows, r.dim, r.stride, o, &first)); break;
    case 3: ok(covertree_index_update(index, ids, r.base, r.rows, r.dim, r.stride, o)); break;
    case 4: ok(covertree_index_add_slots(index, ids, slots, r.rows, o, oneIn(s, 2) ? NULL : &first)); break;
    case 5: ok(covertree_index_update_slots(index, ids, slots, r.rows, o)); break;
    case 6: ok(covertree_index_remove(index, ids, r.rows, o)); break;
    case 7: ok(covertree_index_rebuild(index, o)); break;
    case 8: ok(covertree_index_optimize(index, o)); break;
    case 9: if (oneIn(s, 4)) ok(covertree_index_clear(index));
  }
  free(o), free(slots), free(ids), free(r.base);
}

static void searchIndex(Stream *s) {
  void *index = handle(s, INDEX);
  Rows r = rows(s, 8, world.dim, 4);
  int64_t k = neighbors(s), *lists = memory(cells(r.rows, k), 8), nFilter = below(s, 12);
  float *distances = memory(cells(r.rows, k), 4);
  covertree_index_search_options o;
  covertree_index_search_options_init(&o);
  int64_t *filter = indices(s, nFilter);
  o.n_threads = threads(s);
  o.filter_kind = oneIn(s, 30) ? (int32_t)word(s) : below(s, 3);
  o.filter = filter, o.n_filter = oneIn(s, 30) ? -1 : nFilter;
  o.ef_search = below(s, 30), o.n_probes = below(s, 8), o.n_candidates = oneIn(s, 30) ? -1 : below(s, 30);
  if (oneIn(s, 4)) o.progress = progress, o.progress_user_data = &world;
  covertree_index_search_options *options = given(s, &o, sizeof o);
  covertree_neighbors *found = NULL;
  if (oneIn(s, 4)) {
    if (ok(covertree_index_radius(index, r.base, r.rows, r.dim, r.stride, number(s), options, &found))) keep(s, NEIGHBORS, found);
  } else ok(covertree_index_search(index, r.base, r.rows, r.dim, r.stride, k, options, lists, oneIn(s, 8) ? NULL : distances));
  free(options), free(filter), free(distances), free(lists), free(r.base);
}

static void lookAtIndex(Stream *s) {
  void *index = handle(s, INDEX);
  covertree_index_info info;
  if (!ok(covertree_index_get_info(index, &info))) return;
  int64_t n = below(s, 6), *ids = indices(s, n), *all = memory(info.n_vectors, 8);
  float *vectors = memory(n * info.dim, 4);
  uint8_t *found = memory(n, 1);
  ok(covertree_index_get(index, ids, n, vectors));
  ok(covertree_index_contains(index, ids, n, found));
  if (ok(covertree_index_ids(index, all, info.n_vectors)) && info.n_vectors > 0) {
    uint8_t there;
    REQUIRE(covertree_index_contains(index, all, 1, &there) == COVERTREE_OK && there == 1);
  }
  ok(covertree_index_ids(index, all, -1));
  free(found), free(vectors), free(all), free(ids);
}

static covertree_id *storeIds(Stream *s, int64_t n) {
  covertree_id *ids = memory(n, sizeof *ids);
  for (int64_t i = 0; i < n && n < 1000; i++) {
    ids[i] = (covertree_id){byte(s) % 64, 0, 1 + (uint32_t)below(s, 3), 0};
    if (ids[i].kind != COVERTREE_ID_NUMBER) ids[i].high = byte(s) % 4;
    if (oneIn(s, 60)) ids[i].kind = (uint32_t)word(s);
    if (oneIn(s, 60)) ids[i].reserved = 1;
  }
  return ids;
}

static void changeStore(Stream *s) {
  void *store = handle(s, STORE);
  Rows r = rows(s, 20, world.dim, 4);
  int64_t count = r.rows > 0 && r.rows < 1000 ? r.rows : 0, *slots = memory(count, 8), *ends = memory(count, 8);
  covertree_id *ids = storeIds(s, count);
  int named = oneIn(s, 4);
  if (named) for (int64_t i = 0; i < count; i++) ids[i].kind = COVERTREE_ID_NAME;
  char *names = memory(4 * count, 1);
  for (int64_t i = 0; i < count; i++) {
    memset(names + 4 * i, 'a' + (int)(i % 26), 4);
    ends[i] = oneIn(s, 80) ? -1 : 4 * (i + 1);
  }
  covertree_call_options *o = callOptions(s);
  covertree_store_info info;
  switch (below(s, 6)) {
    case 0: case 1:
      ok(covertree_store_add(store, ids, named ? names : NULL, named ? ends : NULL, r.base, r.rows, r.dim, r.stride, o, slots));
      break;
    case 2:
      if (covertree_store_get_info(store, &info) == COVERTREE_OK && count > 0) {
        float *vector = memory(info.dim, 4);
        for (int64_t d = 0; d < info.dim; d++) vector[d] = (float)number(s);
        int64_t slot = covertree_store_add_one(store, oneIn(s, 30) ? NULL : ids, vector);
        REQUIRE(slot >= 0 || known((covertree_status)-slot));
        free(vector);
      }
      break;
    case 3: ok(covertree_store_remove(store, ids, r.rows < 1000 ? r.rows : -1, o)); break;
    case 4: ok(covertree_store_compact(store, o)); break;
    case 5: ok(covertree_store_check(store, o));
  }
  free(o), free(names), free(ids), free(ends), free(slots), free(r.base);
}

static void lookAtStore(Stream *s) {
  void *store = handle(s, STORE);
  int64_t n = below(s, 6), *slots = memory(n, 8), place = oneIn(s, 20) ? (int64_t)word(s) : 0, written, length, count;
  covertree_id *ids = storeIds(s, n + 1);
  char name[8];
  covertree_store_info info;
  ok(covertree_store_get_info(store, &info));
  ok(covertree_store_find(store, ids, n, slots));
  int64_t slot = covertree_store_find_one(store, ids);
  REQUIRE(slot >= -1 || known((covertree_status)-slot));
  ok(covertree_store_slot_count(store, oneIn(s, 10) ? (int64_t)word(s) : byte(s) % 30, &count));
  ok(covertree_store_list(store, &place, oneIn(s, 30) ? -1 : n, ids, slots, &written));
  ok(covertree_store_name(store, ids, oneIn(s, 3) ? NULL : name, oneIn(s, 20) ? -1 : below(s, 9), &length));
  covertree_store_rows *view = NULL;
  const float *base;
  int64_t rowBytes;
  if (ok(covertree_store_rows_get(store, &view, &base, &rowBytes))) {
    REQUIRE(rowBytes % 64 == 0);
    keep(s, STORE_ROWS, view);
  }
  free(ids), free(slots);
}

static void createStore(Stream *s) {
  covertree_store *store = NULL;
  if (ok(covertree_store_create(oneIn(s, 20) ? size(s, 9) : world.dim, &store))) keep(s, STORE, store);
}

/* On disk, which takes hundreds of times as long as all the rest. */
static void durableStore(Stream *s) {
  if (!oneIn(s, 128)) return;
  covertree_store *store = NULL;
  covertree_call_options *o = callOptions(s);
  char folder[96], copy[96], command[256];
  snprintf(folder, sizeof folder, "%s/store", world.folder);
  snprintf(copy, sizeof copy, "%s/copy", world.folder);
  if (ok(covertree_store_open(folder, world.dim, oneIn(s, 20) ? 7 : below(s, 3), (uint32_t)oneIn(s, 6), &store))) {
    keep(s, STORE, store);
    changeStore(s);
    ok(covertree_store_snapshot(handle(s, STORE), copy, o));
    ok(covertree_store_restore(copy, path(s), o));
  }
  snprintf(command, sizeof command, "rm -rf %s/*", world.folder);
  if (oneIn(s, 2)) REQUIRE(system(command) == 0);
  free(o);
}

static void freeOne(Stream *s) {
  int kind = below(s, KINDS), place = below(s, places);
  freeHandle(kind, world.handles[kind][place]);
  world.freed = world.handles[kind][place];
  if (oneIn(s, 4)) freeHandle(below(s, KINDS), world.freed); /* again, perhaps as another type */
  world.handles[kind][place] = NULL;
}

static void runtime(Stream *s) {
  REQUIRE(covertree_version_number() > 0 && covertree_abi_version() == COVERTREE_ABI_VERSION);
  REQUIRE(strncmp(covertree_build_info(), "covertree ", 10) == 0);
  REQUIRE(covertree_last_errno() >= 0 && covertree_get_num_threads() >= 1);
  if (oneIn(s, 4)) ok(covertree_set_num_threads((int32_t)word(s)));
  REQUIRE(covertree_set_num_threads(1) == COVERTREE_OK);
}

static void (*const calls[])(Stream *) = {
  build_f32, build_f64, insert_f32, insert_f64, knn_f32, knn_f64, knn_rows_f32, knn_rows_f64, radius_f32, radius_f64, hash_f32,
  hash_f64, radiusRows, removeFromTree, lookAtTree, lookAtResults, save, openFile, load, buildResidual, residualKnnRows,
  residualNew, lookAtResidual, orders, createIndex, changeIndex, changeIndex, searchIndex, lookAtIndex, createStore, changeStore,
  lookAtStore, durableStore, freeOne, runtime,
};

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc, (void)argv;
  snprintf(world.folder, sizeof world.folder, "/dev/shm/covertree-fuzz-%d", (int)getpid());
  mkdir(world.folder, 0700);
  return covertree_set_num_threads(1);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
  Stream s = {bytes, count};
  world.stream = &s, world.callbacks = 0, world.freed = NULL;
  world.dim = 1 + below(&s, 6);
  for (int i = 0; i < 12 && s.left > 0; i++) calls[byte(&s) % (sizeof calls / sizeof *calls)](&s);
  for (int kind = 0; kind < KINDS; kind++)
    for (int place = 0; place < places; place++) {
      if (world.handles[kind][place] != NULL) freeHandle(kind, world.handles[kind][place]);
      world.handles[kind][place] = NULL;
    }
  return 0;
}
