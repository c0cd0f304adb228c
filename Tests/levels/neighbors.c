/* Prints the level that the library was built for, and a hash of the neighbours that it finds: `scripts/test-levels` compares the hashes of
 * builds for different processors. */
#include "../c/matrices.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST = 4000, K = 8 };
static double points[MOST * 16];
static float narrow[MOST * 16];
static int64_t found[MOST * K];

#define CHECK(condition)                                                                            \
  do {                                                                                              \
    if (!(condition)) fprintf(stderr, "neighbors.c:%d: %s\n", __LINE__, covertree_last_error()), exit(1); \
  } while (0)

/* Near ties among them: points of a grid, points that are there twice, points that differ in their last bits. */
static void fill(int n, int dim) {
  uint64_t state = (uint64_t)dim;
  for (int i = 0; i < n * dim; i++) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    double value = (double)(state >> 40) / (1 << 24);
    if (i / dim % 3 == 0) value = (double)(state >> 61) / 8;
    if (i / dim % 7 == 6) value = points[i - dim] * (1 + 1e-7 * (double)(i % 2));
    narrow[i] = (float)(points[i] = value);
  }
}

static void show(const char *what, int n, int dim) {
  uint64_t hash = 1469598103934665603u;
  for (int i = 0; i < n * K; i++) hash = (hash ^ (uint64_t)found[i]) * 1099511628211u;
  printf("%s %d x %d: %016" PRIx64 "\n", what, n, dim, hash);
}

static void trees(int n, int dim) {
  covertree_tree *tree = NULL;
  fill(n, dim);
  CHECK(covertree_tree_build(F32(narrow, n, dim, 0), NULL, &tree) == COVERTREE_OK);
  CHECK(covertree_tree_knn(tree, I64(NULL, n), K, NULL, found, NULL) == COVERTREE_OK);
  show("float32 tree", n, dim);
  covertree_tree_free(tree);
  CHECK(covertree_tree_build(F64(points, n, dim, 0), NULL, &tree) == COVERTREE_OK);
  CHECK(covertree_tree_knn(tree, I64(NULL, n), K, NULL, found, NULL) == COVERTREE_OK);
  show("float64 tree", n, dim);
  CHECK(covertree_tree_validate(tree, NULL) == COVERTREE_OK);
  covertree_tree_free(tree);
}

static void models(int n, int dim) {
  static const char *const names[] = {"RBF", "Matern 1/2", "Matern 3/2", "Matern 5/2"};
  /* Without ties, and inducing points that differ from the points: at these nothing would be left but rounding, which a multiplication and an
   * addition in one (FMA, from v3 on) does another way. */
  double inducing[20 * 16];
  fill(n, dim);
  for (int i = 0; i < n * dim; i++) points[i] += 1e-3 * (double)(i * 2654435761u % 1009);
  for (int i = 0; i < 20 * dim; i++) inducing[i] = points[i] + 0.07;
  for (int kernel = 0; kernel < 4; kernel++) {
    covertree_residual_options options;
    covertree_search_options search;
    covertree_residual *model = NULL;
    double lengthscale = 0.5;
    covertree_residual_options_init(&options);
    covertree_search_options_init(&search);
    options.kernel = kernel, options.lengthscale = &lengthscale, options.n_lengthscales = 1;
    options.inducing_points = inducing, options.n_inducing = 20;
    search.flags = COVERTREE_SEARCH_PREDECESSORS;
    CHECK(covertree_residual_build(F64(points, n, dim, 0), &options, &model) == COVERTREE_OK);
    CHECK(covertree_residual_knn(model, I64(NULL, n), K, &search, found, NULL) == COVERTREE_OK);
    show(names[kernel], n, dim);
    covertree_residual_free(model);
  }
}

static void indexes(int n, int dim) {
  static const char *const names[] = {"brute force", "k-d tree", "brute force, bytes"};
  fill(n, dim);
  for (int kind = 0; kind < 3; kind++) {
    covertree_index_options options;
    covertree_index *index = NULL;
    covertree_index_options_init(&options);
    options.kind = kind % 2;
    if (kind == 2) options.storage = COVERTREE_STORAGE_I8, options.flags = COVERTREE_INDEX_RERANK;
    CHECK(covertree_index_create(dim, NULL, &options, &index) == COVERTREE_OK);
    CHECK(covertree_index_add(index, NULL, F32(narrow, n, dim, 0), NULL, NULL) == COVERTREE_OK);
    CHECK(covertree_index_search(index, F32(narrow, n, dim, 0), K, NULL, found, NULL) == COVERTREE_OK);
    show(names[kind], n, dim);
    covertree_index_free(index);
  }
}

int main(void) {
  printf("%s\n", covertree_build_info());
  trees(4000, 3);
  trees(1500, 2);
  trees(700, 16);
  models(1200, 2);
  models(900, 3);
  indexes(1500, 3);
  indexes(1000, 16);
  return 0;
}
