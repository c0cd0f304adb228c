/* Vector indexes through the C ABI: every function, every status that can be provoked. */
#include <covertree.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"

enum { N = 400, DIM = 12, K = 5 };

static float vectors[N][DIM];

static void fill(void) {
  for (int i = 0; i < N; i++) {
    for (int d = 0; d < DIM; d++) vectors[i][d] = (float)(2 * uniform() - 1);
  }
}

/* The k-th nearest by brute force in double precision, of ids that `keep` says. */
static double kth(const float *query, int k, int (*keep)(int64_t)) {
  double nearest[K];
  for (int i = 0; i < k; i++) nearest[i] = INFINITY;
  for (int i = 0; i < N; i++) {
    double sum = 0;
    if (keep && !keep(i)) continue;
    for (int d = 0; d < DIM; d++) sum += (double)(query[d] - vectors[i][d]) * (query[d] - vectors[i][d]);
    for (int j = 0; j < k; j++) {
      if (sum < nearest[j]) {
        double swap = nearest[j];
        nearest[j] = sum;
        sum = swap;
      }
    }
  }
  return sqrt(nearest[k - 1]);
}

static int even(int64_t id) { return id % 2 == 0; }

static covertree_index *make(int kind) {
  covertree_index_options options;
  covertree_index *index = NULL;
  covertree_index_options_init(&options);
  options.kind = kind;
  options.n_candidates = N;
  EXPECT(covertree_index_create(DIM, NULL, &options, &index) == COVERTREE_OK);
  return index;
}

static void check_kind(int kind) {
  covertree_index *index = make(kind), *loaded = NULL;
  covertree_index_search_options search;
  covertree_index_info info;
  covertree_neighbors *neighbors = NULL;
  covertree_neighbors_view lists;
  covertree_file *file = NULL;
  int64_t ids[K * 3], more[K * 3], first = -1;
  float distances[K * 3], other[K * 3], row[DIM];
  uint8_t found[3], bitmap[N / 8];

  EXPECT(covertree_index_search(index, F32(vectors[0], 3, DIM, 0), K, NULL, ids, distances) == COVERTREE_OK);
  EXPECT(ids[0] == -1 && isinf(distances[0]));
  EXPECT(covertree_index_add(index, NULL, F32(vectors[0], N, DIM, 0), NULL, &first) == COVERTREE_OK && first == 0);
  EXPECT(covertree_index_search(index, F32(vectors[0], 3, DIM, 0), K, NULL, ids, distances) == COVERTREE_OK);
  for (int i = 0; i < 3; i++) {
    EXPECT(ids[i * K] == i && distances[i * K] == 0);
    EXPECT(fabs(distances[i * K + K - 1] - kth(vectors[i], K, NULL)) < 1e-6);
  }
  EXPECT(covertree_index_search(index, F32(vectors[0], 3, DIM, 0), K, NULL, more, NULL) == COVERTREE_OK);
  EXPECT(memcmp(ids, more, sizeof ids) == 0);

  /* Filters. */
  covertree_index_search_options_init(&search);
  memset(bitmap, 0x55, sizeof bitmap);
  search.filter_kind = COVERTREE_FILTER_BITMAP;
  search.filter = bitmap;
  search.n_filter = sizeof bitmap;
  EXPECT(covertree_index_search(index, F32(vectors[1], 1, DIM, 0), K, &search, ids, distances) == COVERTREE_OK);
  EXPECT(ids[0] % 2 == 0 && fabs(distances[K - 1] - kth(vectors[1], K, even)) < 1e-6);
  int64_t wanted[] = {17, 100000, 4};
  search.filter_kind = COVERTREE_FILTER_IDS;
  search.filter = wanted;
  search.n_filter = 3;
  EXPECT(covertree_index_search(index, F32(vectors[4], 1, DIM, 0), K, &search, ids, NULL) == COVERTREE_OK);
  EXPECT(ids[0] == 4 && ids[1] == 17 && ids[2] == -1);
  search.filter_kind = 9;
  EXPECT(covertree_index_search(index, F32(vectors[4], 1, DIM, 0), K, &search, ids, NULL) == COVERTREE_INVALID_ARGUMENT);

  /* Radius. */
  EXPECT(covertree_index_radius(index, F32(vectors[0], 2, DIM, 0), 0.0, NULL, &neighbors) == COVERTREE_OK);
  EXPECT(covertree_neighbors_get(neighbors, &lists) == COVERTREE_OK);
  EXPECT(lists.n_neighbors == 2 && lists.indices[0] == 0 && lists.indices[1] == 1);
  covertree_neighbors_free(neighbors);
  EXPECT(covertree_index_radius(index, F32(vectors[0], 2, DIM, 0), -1.0, NULL, &neighbors) == COVERTREE_INVALID_ARGUMENT);

  /* Changes. */
  int64_t gone[] = {3, 4}, existing[] = {1000, 5}, unknown[] = {9, 4000};
  EXPECT(covertree_index_remove(index, unknown, 2, NULL) == COVERTREE_NOT_FOUND);
  EXPECT(strstr(covertree_last_error(), "4000") != NULL);
  EXPECT(covertree_index_remove(index, gone, 2, NULL) == COVERTREE_OK);
  EXPECT(covertree_index_add(index, existing, F32(vectors[0], 2, DIM, 0), NULL, NULL) == COVERTREE_EXISTS);
  EXPECT(covertree_index_contains(index, (int64_t[]){3, 5, 1000}, 3, found) == COVERTREE_OK);
  EXPECT(found[0] == 0 && found[1] == 1 && found[2] == 0);
  EXPECT(covertree_index_update(index, (int64_t[]){7}, F32(vectors[3], 1, DIM, 0), NULL) == COVERTREE_OK);
  EXPECT(covertree_index_get(index, (int64_t[]){7}, 1, row) == COVERTREE_OK);
  EXPECT(memcmp(row, vectors[3], sizeof row) == 0);
  EXPECT(covertree_index_get(index, (int64_t[]){3}, 1, row) == COVERTREE_NOT_FOUND);
  EXPECT(covertree_index_rebuild(index, NULL) == COVERTREE_OK);
  EXPECT(covertree_index_optimize(index, NULL) == COVERTREE_OK);
  EXPECT(covertree_index_get_info(index, &info) == COVERTREE_OK);
  EXPECT(info.n_vectors == N - 2 && info.dim == DIM && info.next_id == N && info.options.kind == kind);
  int64_t *all = malloc(sizeof *all * (size_t)info.n_vectors);
  EXPECT(covertree_index_ids(index, all, info.n_vectors + 1) == COVERTREE_BUSY);
  EXPECT(covertree_index_ids(index, all, info.n_vectors) == COVERTREE_OK);
  EXPECT(all[0] == 0 && all[3] == 5 && all[info.n_vectors - 1] == 7);
  free(all);

  /* Files. */
  EXPECT(covertree_index_search(index, F32(vectors[0], 3, DIM, 0), K, NULL, ids, distances) == COVERTREE_OK);
  EXPECT(covertree_index_save(index, "index.ct", NULL, 0, NULL) == COVERTREE_OK);
  EXPECT(covertree_file_open("index.ct", 0, NULL, &file) == COVERTREE_OK);
  EXPECT(covertree_index_load(file, NULL, NULL, &loaded) == COVERTREE_OK);
  covertree_file_free(file);
  EXPECT(covertree_index_search(loaded, F32(vectors[0], 3, DIM, 0), K, NULL, more, other) == COVERTREE_OK);
  EXPECT(memcmp(ids, more, sizeof ids) == 0 && memcmp(distances, other, sizeof other) == 0);
  EXPECT(covertree_index_remove(loaded, (int64_t[]){0}, 1, NULL) == COVERTREE_OK);
  covertree_index_free(loaded);
  EXPECT(covertree_index_encode(index, NULL, 0, NULL, &file) == COVERTREE_OK);
  covertree_tree *tree = NULL;
  EXPECT(covertree_tree_load(file, &tree) == COVERTREE_INVALID_ARGUMENT);
  covertree_file_free(file);
  remove("index.ct");

  EXPECT(covertree_index_clear(index) == COVERTREE_OK);
  EXPECT(covertree_index_get_info(index, &info) == COVERTREE_OK && info.n_vectors == 0);
  covertree_index_free(index);
  EXPECT(covertree_index_clear(index) == COVERTREE_INVALID_ARGUMENT);
}

static void check_arguments(void) {
  covertree_index_options options;
  covertree_index *index = NULL;
  int64_t ids[K];
  float bad[DIM] = {NAN};
  covertree_index_options_init(&options);
  EXPECT(covertree_index_create(0, NULL, NULL, &index) == COVERTREE_SHAPE);
  EXPECT(covertree_index_create(DIM, NULL, NULL, NULL) == COVERTREE_INVALID_ARGUMENT);
  options.kind = 9;
  EXPECT(covertree_index_create(DIM, NULL, &options, &index) == COVERTREE_INVALID_ARGUMENT);
  options.kind = COVERTREE_INDEX_KD_TREE;
  options.metric = COVERTREE_METRIC_INNER_PRODUCT;
  EXPECT(covertree_index_create(DIM, NULL, &options, &index) == COVERTREE_INVALID_ARGUMENT);
  options.metric = 0;
  options.flags = 64;
  EXPECT(covertree_index_create(DIM, NULL, &options, &index) == COVERTREE_UNSUPPORTED);
  options.flags = 0;
  options.leaf_size = -1;
  EXPECT(covertree_index_create(DIM, NULL, &options, &index) == COVERTREE_INVALID_ARGUMENT);
  index = make(COVERTREE_INDEX_HNSW);
  EXPECT(covertree_index_add(index, NULL, F32(bad, 1, DIM, 0), NULL, NULL) == COVERTREE_INVALID_ARGUMENT);
  EXPECT(covertree_index_add(index, NULL, F32(NULL, 1, DIM, 0), NULL, NULL) == COVERTREE_INVALID_ARGUMENT);
  EXPECT(covertree_index_add(index, NULL, F32(bad, 1, DIM + 1, 0), NULL, NULL) == COVERTREE_SHAPE);
  EXPECT(covertree_index_update(index, NULL, F32(bad, 1, DIM, 0), NULL) == COVERTREE_INVALID_ARGUMENT);
  EXPECT(covertree_index_search(index, F32(vectors[0], 1, DIM, 0), 0, NULL, ids, NULL) == COVERTREE_INVALID_ARGUMENT);
  EXPECT(covertree_index_search(index, F32(vectors[0], 1, DIM, 0), K, NULL, NULL, NULL) == COVERTREE_INVALID_ARGUMENT);
  EXPECT(covertree_index_search(NULL, F32(vectors[0], 1, DIM, 0), K, NULL, ids, NULL) == COVERTREE_INVALID_ARGUMENT);
  covertree_index_free(index);
  covertree_index_free(NULL);
}

int main(void) {
  fill();
  for (int kind = COVERTREE_INDEX_BRUTE_FORCE; kind <= COVERTREE_INDEX_HNSW; kind++) check_kind(kind);
  check_arguments();
  return failures != 0;
}
