/* Memory that is refused, at every place where it is asked for: a call must say OUT_OF_MEMORY or do without, and what there was before
 * must be there still. The program's own malloc and its kin stand before those of the C library. */
#define _GNU_SOURCE
#include <covertree.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "expect.h"

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

/* While armed: how many requests pass before one is refused, and whether all after that are, too. */
static atomic_long left = -1;
static atomic_int persistent, refused;

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

enum { n = 600, dim = 3, k = 5 };
static double points[n * dim];
static float narrow[n * dim];
static covertree_tree *tree;
static covertree_residual *model;
static covertree_index *indexes[4];
static covertree_store *store;
static covertree_file *file;
static covertree_id ids[n];
static char path[64];

static covertree_status build(void) {
  covertree_tree *built = NULL;
  covertree_status status = covertree_tree_build_f64(points, n, dim, 0, NULL, &built);
  covertree_tree_free(built);
  return status;
}
static int64_t found[n * k];
static double distances[n * k];
static float narrowDistances[n * k];

static covertree_status search(void) { return covertree_tree_knn_rows_f64(tree, NULL, n, k, NULL, found, distances); }
static covertree_status grow(void) {
  int64_t first;
  covertree_status status = covertree_tree_insert_f64(tree, points, 50, dim, 0, NULL, &first);
  if (status == COVERTREE_OK) {
    int64_t gone[50];
    long armed = atomic_exchange(&left, -1);
    for (int i = 0; i < 50; i++) gone[i] = first + i;
    EXPECT(covertree_tree_remove(tree, gone, 50, NULL) == COVERTREE_OK);
    atomic_store(&left, armed);
  }
  return status;
}
static covertree_status shrink(void) {
  int64_t first, gone[40];
  long armed = atomic_exchange(&left, -1);
  EXPECT(covertree_tree_insert_f64(tree, points, 40, dim, 0, NULL, &first) == COVERTREE_OK);
  for (int i = 0; i < 40; i++) gone[i] = first + i;
  atomic_store(&left, armed);
  covertree_status status = covertree_tree_remove(tree, gone, 40, NULL);
  if (status != COVERTREE_OK) {
    armed = atomic_exchange(&left, -1);
    EXPECT(covertree_tree_remove(tree, gone, 40, NULL) == COVERTREE_OK);
    atomic_store(&left, armed);
  }
  return status;
}
static covertree_status radius(void) {
  covertree_neighbors *neighbors = NULL;
  covertree_status status = covertree_tree_radius_f64(tree, points, 50, dim, 0, 0.4, NULL, &neighbors);
  covertree_neighbors_free(neighbors);
  return status;
}
static covertree_status encode(void) {
  covertree_file *copy = NULL;
  covertree_status status = covertree_tree_encode(tree, NULL, 0, NULL, &copy);
  covertree_file_free(copy);
  return status;
}
static covertree_status save(void) { return covertree_tree_save(tree, path, NULL, 0, NULL); }
static covertree_status load(void) {
  covertree_tree *loaded = NULL;
  covertree_tree_info info;
  covertree_status status = covertree_tree_load(file, &loaded);
  if (status == COVERTREE_OK) status = covertree_tree_get_info(loaded, &info);
  covertree_tree_free(loaded);
  return status;
}
static covertree_status residual(void) {
  covertree_residual_options options;
  covertree_residual_options_init(&options);
  options.inducing_points = points, options.n_inducing = 12;
  covertree_residual *built = NULL;
  covertree_status status = covertree_residual_build(points, n, dim, 0, &options, &built);
  covertree_residual_free(built);
  return status;
}
static covertree_status residualSearch(void) { return covertree_residual_knn_rows(model, NULL, n, k, NULL, found, distances); }
static covertree_status residualTree(void) {
  covertree_arrays *arrays = NULL;
  covertree_status status = covertree_residual_build_tree(model, NULL, &arrays);
  covertree_arrays_free(arrays);
  return status;
}
static int kind;
static covertree_status indexAdd(void) {
  int64_t added[20];
  for (int i = 0; i < 20; i++) added[i] = 10000 + i;
  covertree_status status = covertree_index_add(indexes[kind], added, narrow, 20, dim, 0, NULL, NULL);
  long armed = atomic_exchange(&left, -1);
  uint8_t there;
  EXPECT(covertree_index_contains(indexes[kind], added, 1, &there) == COVERTREE_OK && there == (status == COVERTREE_OK));
  if (there) EXPECT(covertree_index_remove(indexes[kind], added, 20, NULL) == COVERTREE_OK);
  atomic_store(&left, armed);
  return status;
}
static covertree_status indexSearch(void) {
  return covertree_index_search(indexes[kind], narrow, 50, dim, 0, k, NULL, found, narrowDistances);
}
static covertree_status indexRebuild(void) { return covertree_index_rebuild(indexes[kind], NULL); }
static covertree_status storeAdd(void) {
  covertree_id more[100];
  int64_t slots[100];
  for (int i = 0; i < 100; i++) more[i] = (covertree_id){10000 + (uint64_t)i, 0, COVERTREE_ID_NUMBER, 0};
  covertree_status status = covertree_store_add(store, more, NULL, NULL, narrow, 100, dim, 0, NULL, slots);
  long armed = atomic_exchange(&left, -1);
  covertree_store_info info;
  EXPECT(covertree_store_get_info(store, &info) == COVERTREE_OK && info.n_ids == n + (status == COVERTREE_OK ? 100 : 0));
  if (status == COVERTREE_OK) EXPECT(covertree_store_remove(store, more, 100, NULL) == COVERTREE_OK);
  atomic_store(&left, armed);
  return status;
}
static covertree_status storeCheck(void) { return covertree_store_check(store, NULL); }
static covertree_status open_(void) {
  covertree_file *opened = NULL;
  covertree_status status = covertree_file_open(path, COVERTREE_OPEN_COPY, NULL, &opened);
  covertree_file_free(opened);
  return status;
}

/* Refuses the first request, then the second, and so on until the call asks for no more than pass. */
static void refuseEach(const char *name, covertree_status (*call)(void)) {
  long tried = 0, errors = 0;
  for (int mode = 0; mode < 2; mode++)
    for (long pass = 1;; pass += 1 + pass / 8) {
      atomic_store(&persistent, mode), atomic_store(&refused, 0), atomic_store(&left, pass);
      covertree_status status = call();
      atomic_store(&left, -1);
      if (status != COVERTREE_OK && status != COVERTREE_OUT_OF_MEMORY)
        fprintf(stderr, "%s, request %ld refused: status %d: %s\n", name, pass, (int)status, covertree_last_error());
      EXPECT(status == COVERTREE_OK || status == COVERTREE_OUT_OF_MEMORY);
      tried++, errors += status != COVERTREE_OK;
      if (atomic_load(&refused) == 0) break;
    }
  EXPECT(call() == COVERTREE_OK);
  printf("%s: %ld refusals, %ld errors\n", name, tried, errors);
}

static int64_t expected[n * k], residualExpected[n * k];

/* Does the program stand before the C library? Not under valgrind, which stands before both. */
static int stands_before(void) {
  atomic_store(&persistent, 1), atomic_store(&left, 1);
  void *probe = malloc(100);
  atomic_store(&left, -1);
  free(probe);
  return probe == NULL;
}

static void refuse_everything(void) {
  refuseEach("build", build);
  refuseEach("search", search);
  refuseEach("insert", grow);
  refuseEach("remove", shrink);
  refuseEach("radius", radius);
  refuseEach("encode", encode);
  refuseEach("save", save);
  refuseEach("open", open_);
  refuseEach("load", load);
  refuseEach("residual build", residual);
  refuseEach("residual search", residualSearch);
  refuseEach("residual tree", residualTree);
  for (kind = 0; kind < 4; kind++) {
    covertree_index_options made;
    covertree_index_options_init(&made);
    made.kind = kind;
    EXPECT(covertree_index_create(dim, &made, &indexes[kind]) == COVERTREE_OK);
    EXPECT(covertree_index_add(indexes[kind], NULL, narrow, n, dim, 0, NULL, NULL) == COVERTREE_OK);
    refuseEach("index add", indexAdd);
    refuseEach("index search", indexSearch);
    refuseEach("index rebuild", indexRebuild);
    covertree_index_free(indexes[kind]);
  }
  refuseEach("store add", storeAdd);
  refuseEach("store check", storeCheck);

}

/* The system's own limit. */
static void limit_addresses(void) {
  long pages;
  FILE *statm = fopen("/proc/self/statm", "r");
  EXPECT(statm != NULL && fscanf(statm, "%ld", &pages) == 1);
  fclose(statm);
  struct rlimit before, limit;
  getrlimit(RLIMIT_AS, &before);
  limit = before;
  size_t many = 2000000;
  double *large = calloc(many * dim, sizeof *large);
  for (size_t i = 0; i < many * dim; i++) large[i] = (double)(i * 2654435761u % 1000003);
  limit.rlim_cur = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + (120u << 20);
  EXPECT(setrlimit(RLIMIT_AS, &limit) == 0);
  covertree_tree *huge = NULL;
  covertree_status status = covertree_tree_build_f64(large, (int64_t)many, dim, 0, NULL, &huge);
  setrlimit(RLIMIT_AS, &before);
  EXPECT(status == COVERTREE_OUT_OF_MEMORY);
  free(large);
  EXPECT(search() == COVERTREE_OK && memcmp(found, expected, sizeof found) == 0);
}

int main(void) {
  for (int i = 0; i < n * dim; i++) narrow[i] = (float)(points[i] = uniform());
  for (int i = 0; i < n; i++) ids[i] = (covertree_id){(uint64_t)i, 0, COVERTREE_ID_NUMBER, 0};
  snprintf(path, sizeof path, "/tmp/covertree-memory-%d", (int)getpid());
  EXPECT(covertree_set_num_threads(2) == COVERTREE_OK);
  EXPECT(covertree_tree_build_f64(points, n, dim, 0, NULL, &tree) == COVERTREE_OK);
  EXPECT(search() == COVERTREE_OK);
  memcpy(expected, found, sizeof found);
  covertree_residual_options options;
  covertree_residual_options_init(&options);
  options.inducing_points = points, options.n_inducing = 12;
  EXPECT(covertree_residual_build(points, n, dim, 0, &options, &model) == COVERTREE_OK);
  EXPECT(residualSearch() == COVERTREE_OK);
  memcpy(residualExpected, found, sizeof found);
  EXPECT(covertree_tree_encode(tree, NULL, 0, NULL, &file) == COVERTREE_OK);
  EXPECT(covertree_store_create(dim, &store) == COVERTREE_OK);
  int64_t slots[n];
  EXPECT(covertree_store_add(store, ids, NULL, NULL, narrow, n, dim, 0, NULL, slots) == COVERTREE_OK);

  if (stands_before()) {
    refuse_everything();
    limit_addresses();
  } else {
    puts("memory: left out, as something else stands before malloc");
  }

  /* And what was there answers as before. */
  EXPECT(search() == COVERTREE_OK && memcmp(found, expected, sizeof found) == 0);
  EXPECT(residualSearch() == COVERTREE_OK && memcmp(found, residualExpected, sizeof found) == 0);
  EXPECT(covertree_tree_validate(tree, NULL) == COVERTREE_OK);
  EXPECT(covertree_store_check(store, NULL) == COVERTREE_OK);
  covertree_file_free(file);
  covertree_store_free(store);
  covertree_residual_free(model);
  covertree_tree_free(tree);
  unlink(path);
  return failures != 0;
}
