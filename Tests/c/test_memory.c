/* Memory that is refused, wherever it is asked for: a call must say OUT_OF_MEMORY or do without, and what there was before
 * must be there still. Here are calls that change nothing; changes are in the neighbouring files. */
#define _GNU_SOURCE
#include "refuse.h"

#include <sys/resource.h>

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
  covertree_status status = covertree_tree_build(F64(points, n, dim, 0), NULL, &built);
  covertree_tree_free(built);
  return status;
}
static int64_t found[n * k];
static double distances[n * k];
static float narrowDistances[n * k];

static covertree_status search(void) { return covertree_tree_knn(tree, I64(NULL, n), k, NULL, found, distances); }
static covertree_status radius(void) {
  covertree_neighbors *neighbors = NULL;
  covertree_status status = covertree_tree_radius(tree, F64(points, 50, dim, 0), 0.4, NULL, &neighbors);
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
  covertree_status status = covertree_residual_build(F64(points, n, dim, 0), &options, &built);
  covertree_residual_free(built);
  return status;
}
static covertree_status residualSearch(void) { return covertree_residual_knn(model, I64(NULL, n), k, NULL, found,
    distances); }
static covertree_status residualTree(void) {
  covertree_arrays *arrays = NULL;
  covertree_status status = covertree_residual_build_tree(model, NULL, &arrays);
  covertree_arrays_free(arrays);
  return status;
}
static int kind;
static covertree_status indexSearch(void) {
  return covertree_index_search(indexes[kind], F32(narrow, 50, dim, 0), k, NULL, found, narrowDistances);
}
static covertree_status storeCheck(void) { return covertree_store_check(store, NULL); }
static covertree_status open_(void) {
  covertree_file *opened = NULL;
  covertree_status status = covertree_file_open(path, COVERTREE_OPEN_COPY, NULL, &opened);
  covertree_file_free(opened);
  return status;
}

static int64_t expected[n * k], residualExpected[n * k];

/* The reserve for small requests lasts: freed memory serves again, while other pieces of it stay in use. Calls that need no more than small
 * pieces go on as if nothing was refused. */
static void refuse_a_million(void) {
  enum { most_kept = 64 };
  covertree_arrays *kept[most_kept] = {NULL};
  covertree_arrays_view view;
  /* The cover tree, which is made once, needs more. */
  EXPECT(covertree_tree_export(tree, NULL, &kept[0]) == COVERTREE_OK);
  atomic_store(&persistent, 1), atomic_store(&refused, 0), atomic_store(&left, 0);
  for (long round = 0; atomic_load(&refused) < 1000000 && failures == 0; round++) {
    long i = round * 37 % most_kept;
    covertree_arrays_free(kept[i]);
    kept[i] = NULL;
    EXPECT(covertree_tree_export(tree, NULL, &kept[i]) == COVERTREE_OK);
    EXPECT(covertree_arrays_get(kept[i], &view) == COVERTREE_OK && view.is_current);
    EXPECT_ERROR(covertree_arrays_get(NULL, &view), COVERTREE_INVALID_ARGUMENT, "arrays");
  }
  atomic_store(&left, -1);
  for (int i = 0; i < most_kept; i++) covertree_arrays_free(kept[i]);
  printf("a million: %ld refusals\n", atomic_load(&refused));
}

static void refuse_everything(void) {
  refuse_each("build", build, NULL);
  refuse_each("search", search, NULL);
  refuse_each("radius", radius, NULL);
  refuse_each("encode", encode, NULL);
  refuse_each("save", save, NULL);
  refuse_each("open", open_, NULL);
  refuse_each("load", load, NULL);
  refuse_each("residual build", residual, NULL);
  refuse_each("residual search", residualSearch, NULL);
  refuse_each("residual tree", residualTree, NULL);
  for (kind = 0; kind < 4; kind++) {
    covertree_index_options made;
    covertree_index_options_init(&made);
    made.kind = kind;
    EXPECT(covertree_index_create(dim, NULL, &made, &indexes[kind]) == COVERTREE_OK);
    EXPECT(covertree_index_add(indexes[kind], NULL, F32(narrow, n, dim, 0), NULL, NULL) == COVERTREE_OK);
    refuse_each("index search", indexSearch, NULL);
    covertree_index_free(indexes[kind]);
  }
  refuse_each("store check", storeCheck, NULL);
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
  covertree_status status = covertree_tree_build(F64(large, (int64_t)many, dim, 0), NULL, &huge);
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
  EXPECT(covertree_tree_build(F64(points, n, dim, 0), NULL, &tree) == COVERTREE_OK);
  EXPECT(search() == COVERTREE_OK);
  memcpy(expected, found, sizeof found);
  covertree_residual_options options;
  covertree_residual_options_init(&options);
  options.inducing_points = points, options.n_inducing = 12;
  EXPECT(covertree_residual_build(F64(points, n, dim, 0), &options, &model) == COVERTREE_OK);
  EXPECT(residualSearch() == COVERTREE_OK);
  memcpy(residualExpected, found, sizeof found);
  EXPECT(covertree_tree_encode(tree, NULL, 0, NULL, &file) == COVERTREE_OK);
  EXPECT(covertree_store_create(dim, &store) == COVERTREE_OK);
  int64_t slots[n];
  EXPECT(covertree_store_add(store, ids, NULL, NULL, F32(narrow, n, dim, 0), NULL, slots) == COVERTREE_OK);

  if (stands_before()) {
    refuse_everything();
    refuse_a_million();
    limit_addresses();
  } else {
    puts("memory: left out, as another malloc comes first");
  }

  /* And objects made before answer as before. */
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
