/* Builds, searches and frees `leaks ROUNDS` times: memory must not grow. A fifth of the rounds comes before memory is first measured. */
#include "../c/matrices.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CHECK(condition)                                                                    \
  do {                                                                                      \
    if (!(condition)) return fprintf(stderr, "leaks.c:%d: %s\n", __LINE__, covertree_last_error()), 1; \
  } while (0)

enum { N = 400, DIM = 3, K = 5 };
static double points[N * DIM];
static float narrow[N * DIM];

static int trees(void) {
  int64_t found[N * K], gone = 3;
  double distances[N * K];
  covertree_tree *tree = NULL, *loaded = NULL;
  covertree_neighbors *lists = NULL;
  covertree_arrays *arrays = NULL;
  covertree_file *file = NULL;
  CHECK(covertree_tree_build(F64(points, N, DIM, 0), NULL, &tree) == COVERTREE_OK);
  CHECK(covertree_tree_knn(tree, I64(NULL, N), K, NULL, found, distances) == COVERTREE_OK);
  CHECK(covertree_tree_insert(tree, F64(points, 20, DIM, 0), NULL, NULL) == COVERTREE_OK);
  CHECK(covertree_tree_remove(tree, &gone, 1, NULL) == COVERTREE_OK);
  CHECK(covertree_tree_remove(tree, &gone, 1, NULL) == COVERTREE_NOT_FOUND);
  CHECK(covertree_tree_radius(tree, F64(points, 9, DIM, 0), 0.3, NULL, &lists) == COVERTREE_OK);
  CHECK(covertree_tree_export(tree, NULL, &arrays) == COVERTREE_OK);
  CHECK(covertree_tree_encode(tree, NULL, 0, NULL, &file) == COVERTREE_OK);
  CHECK(covertree_tree_load(file, &loaded) == COVERTREE_OK);
  CHECK(covertree_tree_knn(loaded, F64(points, 1, DIM, 0), K, NULL, found, distances) == COVERTREE_OK);
  covertree_file_free(file);
  covertree_arrays_free(arrays);
  covertree_neighbors_free(lists);
  covertree_tree_free(loaded);
  covertree_tree_free(tree);
  return 0;
}

static int models(void) {
  int64_t found[N * K];
  double distances[N * K];
  covertree_residual_options options;
  covertree_residual *model = NULL, *more = NULL;
  covertree_residual_options_init(&options);
  options.inducing_points = points, options.n_inducing = 8;
  CHECK(covertree_residual_build(F64(points, N, DIM, 0), &options, &model) == COVERTREE_OK);
  CHECK(covertree_residual_knn(model, I64(NULL, N), K, NULL, found, distances) == COVERTREE_OK);
  CHECK(covertree_residual_extend(model, F64(points, 5, DIM, 0), NULL, &more) == COVERTREE_OK);
  covertree_residual_free(model);
  covertree_residual_free(more);
  return 0;
}

static int vectors(int kind) {
  int64_t found[K];
  float distances[K];
  covertree_index_options options;
  covertree_index *index = NULL;
  covertree_store *store = NULL;
  covertree_id id = {7, 0, COVERTREE_ID_NUMBER, 0};
  covertree_index_options_init(&options);
  options.kind = kind;
  CHECK(covertree_index_create(DIM, NULL, &options, &index) == COVERTREE_OK);
  CHECK(covertree_index_add(index, NULL, F32(narrow, 100, DIM, 0), NULL, NULL) == COVERTREE_OK);
  CHECK(covertree_index_search(index, F32(narrow, 1, DIM, 0), K, NULL, found, distances) == COVERTREE_OK);
  covertree_index_free(index);
  CHECK(covertree_store_create(DIM, &store) == COVERTREE_OK);
  CHECK(covertree_store_add_one(store, &id, narrow) == 0);
  CHECK(covertree_store_add_one(store, &id, narrow) == -COVERTREE_EXISTS);
  covertree_store_free(store);
  return 0;
}

static double megabytes(void) {
  long size = 0, resident = 0;
  FILE *statm = fopen("/proc/self/statm", "r");
  if (statm == NULL || fscanf(statm, "%ld %ld", &size, &resident) != 2) exit(2);
  fclose(statm);
  return (double)resident * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

int main(int count, char **arguments) {
  int rounds = count > 1 ? atoi(arguments[1]) : 10000;
  for (int i = 0; i < N * DIM; i++) narrow[i] = (float)(points[i] = (double)(i * 2654435761u % 1000003) / 1000003);
  double before = 0;
  for (int round = 0; round < rounds; round++) {
    if (trees() != 0 || models() != 0 || vectors(round % 4) != 0) return 1;
    if (round == rounds / 5) before = megabytes();
  }
  double after = megabytes();
  printf("leaks: %d rounds; %.2f MiB resident after a fifth of them, %.2f MiB at the end\n", rounds, before, after);
  return after > before * 1.05 + 1;
}
