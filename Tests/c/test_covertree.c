/* The library from C: results against a brute force, every kind of misuse, and nothing leaked. */
#include "expect.h"

#include <covertree.h>

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 500, DIM = 3, K = 7, Q = 40 };

static double distance(const double *x, const double *y, int dim) {
  double sum = 0;
  for (int d = 0; d < dim; d++) sum += (x[d] - y[d]) * (x[d] - y[d]);
  return sqrt(sum);
}

/* The distance of the rank-th nearest point, by sorting them all. */
static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void check_row(const double *points, int64_t n, const double *query, const int64_t *indices,
                      const double *distances, int64_t k) {
  double *all = malloc((size_t)n * sizeof *all);
  for (int64_t i = 0; i < n; i++) all[i] = distance(points + i * DIM, query, DIM);
  for (int64_t rank = 0; rank < k && rank < n; rank++)
    EXPECT(fabs(distances[rank] - all[indices[rank]]) <= 4 * DBL_EPSILON * all[indices[rank]]);
  qsort(all, (size_t)n, sizeof *all, compare);
  for (int64_t rank = 0; rank < k; rank++) {
    if (rank < n) {
      EXPECT(fabs(distances[rank] - all[rank]) <= 4 * DBL_EPSILON * all[rank]);
    } else {
      EXPECT(indices[rank] == -1 && isinf(distances[rank]));
    }
  }
  free(all);
}

static void test_search(const double *points) {
  covertree_tree *tree = NULL;
  EXPECT(covertree_tree_build(F64(points, N, DIM, 0), NULL, &tree) == COVERTREE_OK);
  EXPECT(covertree_tree_validate(tree, NULL) == COVERTREE_OK);

  double queries[Q * DIM];
  for (int i = 0; i < Q * DIM; i++) queries[i] = uniform();
  int64_t indices[N * K];
  double distances[N * K];
  EXPECT(covertree_tree_knn(tree, F64(queries, Q, DIM, 0), K, NULL, indices, distances) == COVERTREE_OK);
  for (int i = 0; i < Q; i++) check_row(points, N, queries + i * DIM, indices + i * K, distances + i * K, K);

  /* Rows that are part of a wider array, every other one of them. */
  int64_t strided[Q / 2 * K];
  EXPECT(covertree_tree_knn(tree, F64(queries, Q / 2, DIM, 2 * DIM * sizeof(double)), K, NULL, strided, NULL) ==
         COVERTREE_OK);
  for (int i = 0; i < Q / 2; i++) EXPECT(memcmp(strided + i * K, indices + 2 * i * K, K * sizeof(int64_t)) == 0);

  EXPECT(covertree_tree_knn(tree, I64(NULL, N), K, NULL, indices, distances) == COVERTREE_OK);
  for (int i = 0; i < N; i++) {
    EXPECT(indices[i * K] == i && distances[i * K] == 0);
    check_row(points, N, points + i * DIM, indices + i * K, distances + i * K, K);
  }

  covertree_search_options options;
  covertree_search_options_init(&options);
  options.flags = COVERTREE_SEARCH_PREDECESSORS;
  options.n_threads = 2;
  int64_t rows[3] = {2, 0, N - 1};
  EXPECT(covertree_tree_knn(tree, I64(rows, 3), K, &options, indices, distances) == COVERTREE_OK);
  EXPECT(indices[1] + indices[0] == 1 && indices[2] == -1);
  EXPECT(indices[K] == -1 && isinf(distances[K]));
  for (int rank = 0; rank < K; rank++) EXPECT(indices[2 * K + rank] < N - 1);

  covertree_neighbors *neighbors = NULL;
  covertree_neighbors_view view;
  int64_t counts[Q];
  EXPECT(covertree_tree_radius(tree, F64(queries, Q, DIM, 0), 0.2, NULL, &neighbors) == COVERTREE_OK);
  EXPECT(covertree_tree_radius_count(tree, F64(queries, Q, DIM, 0), 0.2, NULL, counts) == COVERTREE_OK);
  covertree_tree_free(tree);
  EXPECT(covertree_neighbors_get(neighbors, &view) == COVERTREE_OK);
  EXPECT(view.n_queries == Q && view.dtype == COVERTREE_DTYPE_F64 && view.n_neighbors == view.offsets[Q]);
  for (int i = 0; i < Q; i++) {
    int64_t count = 0;
    for (int j = 0; j < N; j++) count += distance(points + j * DIM, queries + i * DIM, DIM) <= 0.2;
    EXPECT(count == counts[i] && count == view.offsets[i + 1] - view.offsets[i]);
    for (int64_t j = view.offsets[i]; j < view.offsets[i + 1]; j++)
      EXPECT(((const double *)view.distances)[j] <= 0.2 && view.indices[j] < N);
  }
  covertree_neighbors_free(neighbors);
}

/* A mask admits every third point, and queries have their own largest distances. */
static void test_filters(const double *points) {
  covertree_tree *tree = NULL;
  EXPECT(covertree_tree_build(F64(points, N - 9, DIM, 0), NULL, &tree) == COVERTREE_OK);
  EXPECT(covertree_tree_insert(tree, F64(points + (N - 9) * DIM, 9, DIM, 0), NULL, NULL) == COVERTREE_OK);
  const int64_t gone = 3;
  EXPECT(covertree_tree_remove(tree, &gone, 1, NULL) == COVERTREE_OK);
  uint8_t mask[N];
  double reach[Q], queries[Q * DIM];
  for (int i = 0; i < N; i++) mask[i] = i % 3 == 0 ? (uint8_t)(i % 255 + 1) : 0;
  for (int i = 0; i < Q; i++) reach[i] = i == 0 ? INFINITY : 0.4 * uniform();
  for (int i = 0; i < Q * DIM; i++) queries[i] = uniform();
  covertree_search_options options;
  covertree_search_options_init(&options);
  options.admitted = mask;
  options.n_admitted = N;
  options.max_distances = reach;
  int64_t indices[Q * K], counts[Q];
  double distances[Q * K];
  covertree_neighbors *neighbors = NULL;
  covertree_neighbors_view view;
  EXPECT(covertree_tree_knn(tree, F64(queries, Q, DIM, 0), K, &options, indices, distances) == COVERTREE_OK);
  /* The radius is not read. */
  EXPECT(covertree_tree_radius_count(tree, F64(queries, Q, DIM, 0), NAN, &options, counts) == COVERTREE_OK);
  EXPECT(covertree_tree_radius(tree, F64(queries, Q, DIM, 0), -1, &options, &neighbors) == COVERTREE_OK);
  EXPECT(covertree_neighbors_get(neighbors, &view) == COVERTREE_OK);
  for (int i = 0; i < Q; i++) {
    int64_t count = 0;
    for (int j = 0; j < N; j += 3)
      count += j != gone && distance(points + j * DIM, queries + i * DIM, DIM) <= reach[i];
    EXPECT(count == counts[i] && count == view.offsets[i + 1] - view.offsets[i]);
    for (int rank = 0; rank < K; rank++) {
      int64_t found = indices[i * K + rank];
      EXPECT((found >= 0) == (rank < count));
      if (rank >= count) continue;
      EXPECT(found == view.indices[view.offsets[i] + rank] && found % 3 == 0 && found != gone);
      EXPECT(distances[i * K + rank] <= reach[i]);
    }
  }
  covertree_neighbors_free(neighbors);

  options.n_admitted = N - 1;
  EXPECT_ERROR(covertree_tree_knn(tree, F64(queries, Q, DIM, 0), K, &options, indices, NULL), COVERTREE_SHAPE, "admitted: expected");
  options.n_admitted = -1;
  EXPECT_ERROR(covertree_tree_knn(tree, F64(queries, Q, DIM, 0), K, &options, indices, NULL), COVERTREE_SHAPE, "n_admitted");
  options.n_admitted = N;
  options.admitted = NULL;
  EXPECT_ERROR(covertree_tree_knn(tree, F64(queries, Q, DIM, 0), K, &options, indices, NULL), COVERTREE_SHAPE, "n_admitted");
  options.n_admitted = 0;
  options.flags = COVERTREE_SEARCH_MAX_DISTANCE;
  EXPECT_ERROR(covertree_tree_knn(tree, F64(queries, Q, DIM, 0), K, &options, indices, NULL), COVERTREE_INVALID_ARGUMENT,
               "max_distances");
  options.flags = 0;
  reach[Q - 1] = NAN;
  EXPECT_ERROR(covertree_tree_radius_count(tree, F64(queries, Q, DIM, 0), 1, &options, counts), COVERTREE_INVALID_ARGUMENT,
               "max_distances[");
  covertree_tree_free(tree);

  /* So do searches in a residual model. */
  covertree_residual_options built;
  covertree_residual_options_init(&built);
  covertree_residual *model = NULL;
  int64_t rows[Q], others[Q * 50];
  double apart[Q * 50];
  for (int i = 0; i < Q; i++) {
    rows[i] = (7 * i) % 50;
    for (int j = 0; j < 50; j++) others[i * 50 + j] = j;
  }
  EXPECT(covertree_residual_build(F64(points, 50, DIM, 0), &built, &model) == COVERTREE_OK);
  covertree_residual_info info;
  EXPECT(covertree_residual_get_info(model, &info) == COVERTREE_OK && info.next_index == 50);
  reach[Q - 1] = 0.5;
  options.admitted = mask;
  options.n_admitted = 49;
  EXPECT_ERROR(covertree_residual_knn(model, I64(rows, Q), 1, &options, indices, NULL), COVERTREE_SHAPE, "admitted: expected 50");
  options.n_admitted = info.next_index;
  EXPECT(covertree_residual_knn(model, I64(rows, Q), K, &options, indices, distances) == COVERTREE_OK);
  EXPECT(covertree_residual_radius_count(model, I64(rows, Q), NAN, &options, counts) == COVERTREE_OK);
  EXPECT(covertree_residual_distances(model, rows, Q, others, 50, NULL, apart) == COVERTREE_OK);
  for (int i = 0; i < Q; i++) {
    int64_t count = 0;
    for (int j = 0; j < 50; j++) count += mask[j] != 0 && apart[i * 50 + j] <= reach[i];
    EXPECT(counts[i] == count);
    for (int rank = 0; rank < K; rank++) {
      int64_t found = indices[i * K + rank];
      EXPECT((found >= 0) == (rank < count));
      if (found >= 0) EXPECT(mask[found] != 0 && distances[i * K + rank] <= reach[i]);
    }
  }
  reach[Q - 1] = -1;
  EXPECT_ERROR(covertree_residual_knn(model, I64(rows, Q), 1, &options, indices, NULL), COVERTREE_INVALID_ARGUMENT, "max_distances[");
  covertree_residual_free(model);
}

/* Pairs, their counts and the minimum spanning tree are those of all pairs. */
static void test_pairs(const double *points) {
  covertree_tree *tree = NULL, *other = NULL;
  EXPECT(covertree_tree_build(F64(points, N, DIM, 0), NULL, &tree) == COVERTREE_OK);
  EXPECT(covertree_tree_build(F64(points, Q, DIM, 0), NULL, &other) == COVERTREE_OK);
  covertree_pairs *pairs = NULL;
  covertree_pairs_view view;
  EXPECT(covertree_tree_pairs(tree, NULL, 0.2, 1, NULL, &pairs) == COVERTREE_OK);
  EXPECT(covertree_pairs_get(pairs, &view) == COVERTREE_OK && view.dtype == COVERTREE_DTYPE_F64);
  int64_t found = 0;
  for (int i = 0; i < N; i++)
    for (int j = i + 1; j < N; j++) {
      if (distance(points + i * DIM, points + j * DIM, DIM) > 0.2) continue;
      EXPECT(found < view.n_pairs && view.indices[2 * found] == i && view.indices[2 * found + 1] == j);
      EXPECT(((const double *)view.distances)[found] <= 0.2);
      found++;
    }
  EXPECT(found == view.n_pairs);
  covertree_pairs_free(pairs);

  const double radii[2] = {0.1, 0.2}, weights[Q] = {2};
  int64_t counts[2];
  double sums[2];
  EXPECT(covertree_tree_pair_counts(tree, NULL, radii, 2, NULL, counts) == COVERTREE_OK);
  EXPECT(counts[0] + counts[1] == 2 * found + N);
  covertree_pair_count_options options;
  covertree_pair_count_options_init(&options);
  options.other_weights = weights;
  options.n_other_weights = Q;
  EXPECT(covertree_tree_pair_counts(tree, other, radii, 2, &options, sums) == COVERTREE_OK);
  EXPECT(covertree_tree_pairs(tree, other, 0.2, 0, NULL, &pairs) == COVERTREE_OK);
  EXPECT(covertree_pairs_get(pairs, &view) == COVERTREE_OK && view.distances == NULL);
  found = 0;
  for (int64_t i = 0; i < view.n_pairs; i++) found += view.indices[2 * i + 1] == 0;
  EXPECT(sums[0] + sums[1] == 2.0 * (double)found && found > 0);
  covertree_pairs_free(pairs);

  for (int64_t k = 0; k < 3; k++) {
    EXPECT(covertree_tree_spanning_tree(tree, k, NULL, &pairs) == COVERTREE_OK);
    EXPECT(covertree_pairs_get(pairs, &view) == COVERTREE_OK && view.n_pairs == N - 1);
    const double *lengths = view.distances;
    for (int i = 0; i + 1 < N; i++) {
      EXPECT(view.indices[2 * i] < view.indices[2 * i + 1]);
      EXPECT(i == 0 || lengths[i - 1] <= lengths[i]);
    }
    covertree_pairs_free(pairs);
  }
  EXPECT_ERROR(covertree_tree_spanning_tree(tree, N, NULL, &pairs), COVERTREE_INVALID_ARGUMENT, "mutual_k: ");
  EXPECT_ERROR(covertree_tree_spanning_tree(tree, -1, NULL, &pairs), COVERTREE_INVALID_ARGUMENT, "mutual_k: ");
  EXPECT_ERROR(covertree_tree_pairs(tree, NULL, -1, 0, NULL, &pairs), COVERTREE_INVALID_ARGUMENT, "radius: ");
  options.n_other_weights = Q - 1;
  EXPECT_ERROR(covertree_tree_pair_counts(tree, other, radii, 2, &options, sums), COVERTREE_BUSY, "other_weights: ");
  EXPECT_ERROR(covertree_tree_pair_counts(tree, NULL, weights, 2, NULL, counts), COVERTREE_INVALID_ARGUMENT, "radii: ");
  covertree_tree_free(tree);
  covertree_tree_free(other);
}

/* Objects of a distance function are known by numbers: here the rows of points in an array. */
struct objects {
  const double *points;
  int64_t calls, pairs, fails_after;
};

static int32_t distances_of_objects(void *user_data, int64_t count, int64_t columns, const void *left,
                                    const void *right, double *distances) {
  struct objects *objects = user_data;
  const int64_t *a = left, *b = right;
  EXPECT(columns == 1);
  for (int64_t pair = 0; pair < count; pair++)
    distances[pair] = distance(objects->points + a[pair] * DIM, objects->points + b[pair] * DIM, DIM);
  objects->pairs += count;
  return objects->calls++ >= objects->fails_after;
}

static int32_t distances_of_rows(void *user_data, int64_t count, int64_t columns, const void *left, const void *right,
                                 double *distances) {
  (void)user_data;
  const double *a = left, *b = right;
  for (int64_t pair = 0; pair < count; pair++)
    distances[pair] = distance(a + pair * columns, b + pair * columns, (int)columns);
  return 0;
}

static void test_distance_functions(const double *points) {
  int64_t numbers[N], first = 0, indices[3 * N], expected[3 * N];
  double distances[3 * N], expected_distances[3 * N];
  for (int i = 0; i < N; i++) numbers[i] = i;
  covertree_matrix objects = covertree_matrix_i64(numbers, N - Q);
  objects.dtype = COVERTREE_DTYPE_OBJECT;
  covertree_matrix rest = objects;
  rest.data = numbers + (N - Q), rest.rows = Q;
  struct objects user_data = {points, 0, 0, INT64_MAX};
  covertree_tree_options options;
  covertree_tree_options_init(&options);
  options.metric = COVERTREE_DISTANCE_FUNCTION;
  options.n_threads = 1;
  covertree_tree *tree = NULL, *plain = NULL, *rows = NULL;
  EXPECT_ERROR(covertree_tree_build(&objects, &options, &tree), COVERTREE_INVALID_ARGUMENT, "distance_fn: ");
  options.distance_fn = distances_of_objects;
  options.distance_user_data = &user_data;
  covertree_call_options one_thread;
  covertree_call_options_init(&one_thread);
  one_thread.n_threads = 1;
  covertree_search_options how;
  covertree_search_options_init(&how);
  how.n_threads = 1;
  EXPECT(covertree_tree_build(&objects, &options, &tree) == COVERTREE_OK);
  EXPECT(covertree_tree_insert(tree, &rest, &one_thread, &first) == COVERTREE_OK && first == N - Q);
  EXPECT(covertree_tree_validate(tree, &one_thread) == COVERTREE_OK);
  EXPECT(covertree_tree_build(F64(points, N, DIM, 0), NULL, &plain) == COVERTREE_OK);
  covertree_matrix all = covertree_matrix_i64(NULL, N);
  EXPECT(covertree_tree_knn(plain, &all, 3, NULL, expected, expected_distances) == COVERTREE_OK);
  covertree_tree_info before, after;
  EXPECT(covertree_tree_get_info(tree, &before) == COVERTREE_OK);
  EXPECT(before.dtype == COVERTREE_DTYPE_OBJECT && before.n_points == N && before.dim == 1);
  user_data.pairs = 0;
  EXPECT(covertree_tree_knn(tree, &all, 3, &how, indices, distances) == COVERTREE_OK);
  EXPECT(covertree_tree_get_info(tree, &after) == COVERTREE_OK);
  EXPECT(after.points_compared - before.points_compared == user_data.pairs && user_data.pairs < N * N);
  for (int i = 0; i < 3 * N; i++) EXPECT(indices[i] == expected[i] && fabs(distances[i] - expected_distances[i]) < 1e-12);
  EXPECT(covertree_tree_knn(tree, &rest, 1, &how, indices, distances) == COVERTREE_OK);
  for (int i = 0; i < Q; i++) EXPECT(distances[i] == 0);
  user_data.fails_after = user_data.calls;
  EXPECT_ERROR(covertree_tree_knn(tree, &rest, 1, &how, indices, NULL), COVERTREE_CANCELLED, "distance_fn: ");
  EXPECT_ERROR(covertree_tree_knn(tree, F64(points, 1, DIM, 0), 1, &how, indices, NULL), COVERTREE_SHAPE, "queries: ");
  EXPECT_ERROR(covertree_tree_knn(plain, &rest, 1, NULL, indices, NULL), COVERTREE_INVALID_ARGUMENT, "queries: ");
  EXPECT_ERROR(covertree_tree_build(&objects, NULL, &rows), COVERTREE_INVALID_ARGUMENT, "points.dtype: ");
  options.distance_fn = distances_of_rows;
  options.n_threads = 0;
  EXPECT(covertree_tree_build(F64(points, N, DIM, 0), &options, &rows) == COVERTREE_OK);
  EXPECT(covertree_tree_knn(rows, F64(points, N, DIM, 0), 3, NULL, indices, distances) == COVERTREE_OK);
  for (int i = 0; i < 3 * N; i++) EXPECT(indices[i] == expected[i]);
  covertree_tree_free(tree);
  covertree_tree_free(plain);
  covertree_tree_free(rows);
}

/* float64 queries of float32 points are not rounded; a distance that was returned is a limit that includes its point. */
static void test_precise_queries(void) {
  float points[4] = {1.6e9f, 0, 1.6e9f + 128, 50};
  double query[2] = {1.6e9 + 60, 50}, distances[2];
  int64_t indices[2], count = 0;
  covertree_tree *tree = NULL;
  EXPECT(covertree_tree_build(F32(points, 2, 2, 0), NULL, &tree) == COVERTREE_OK);
  EXPECT(covertree_tree_knn(tree, F64(query, 1, 2, 0), 2, NULL, indices, distances) == COVERTREE_OK);
  EXPECT(indices[0] == 1 && indices[1] == 0 && distances[0] == 68 && distances[1] == sqrt(60 * 60 + 50 * 50));
  for (int rank = 0; rank < 2; rank++) {
    EXPECT(covertree_tree_radius_count(tree, F64(query, 1, 2, 0), distances[rank], NULL, &count) == COVERTREE_OK);
    EXPECT(count == rank + 1);
  }
  covertree_neighbors *neighbors = NULL;
  covertree_neighbors_view view;
  EXPECT(covertree_tree_radius(tree, F64(query, 1, 2, 0), 70, NULL, &neighbors) == COVERTREE_OK);
  EXPECT(covertree_neighbors_get(neighbors, &view) == COVERTREE_OK);
  EXPECT(view.dtype == COVERTREE_DTYPE_F64 && view.n_neighbors == 1 && *(const double *)view.distances == 68);
  covertree_neighbors_free(neighbors);
  covertree_tree_free(tree);
}

static void test_changes(const double *points) {
  float *single = malloc(N * DIM * sizeof *single);
  for (int i = 0; i < N * DIM; i++) single[i] = (float)points[i];
  covertree_tree_options build;
  covertree_tree_options_init(&build);
  build.order = COVERTREE_ORDER_RANDOM;
  build.seed = 9;
  build.leaf_size = 5;
  covertree_tree *tree = NULL;
  EXPECT(covertree_tree_build(F32(single, N / 2, DIM, 0), &build, &tree) == COVERTREE_OK);
  int64_t first = -1;
  EXPECT(covertree_tree_insert(tree, F32(single + N / 2 * DIM, N - N / 2, DIM, 0), NULL, &first) == COVERTREE_OK);
  EXPECT(first == N / 2);
  covertree_tree_info info;
  EXPECT(covertree_tree_get_info(tree, &info) == COVERTREE_OK && info.n_nodes == 0 && info.root_level == 0);
  EXPECT(covertree_tree_validate(tree, NULL) == COVERTREE_OK);
  int64_t gone[2] = {3, 300};
  EXPECT(covertree_tree_remove(tree, gone, 2, NULL) == COVERTREE_OK);
  EXPECT(covertree_tree_validate(tree, NULL) == COVERTREE_OK);
  EXPECT_ERROR(covertree_tree_remove(tree, gone, 2, NULL), COVERTREE_NOT_FOUND, "indices[0]: the tree has no point 3");

  EXPECT(covertree_tree_get_info(tree, &info) == COVERTREE_OK);
  EXPECT(info.n_points == N - 2 && info.n_nodes == N && info.n_segments == 1 && info.next_index == N && info.dim == DIM);
  EXPECT(info.dtype == COVERTREE_DTYPE_F32 && info.order == COVERTREE_ORDER_RANDOM && info.leaf_size == 5);

  static int64_t indices[N];
  EXPECT(covertree_tree_indices(tree, 0, N - 2, indices) == COVERTREE_OK && indices[2] == 2 && indices[3] == 4);
  EXPECT_ERROR(covertree_tree_indices(tree, 1, N, indices), COVERTREE_BUSY, "n_rows");
  EXPECT(covertree_tree_indices(tree, 1, N - 2, indices) == COVERTREE_OK);
  static float rows[(N - 2) * DIM];
  EXPECT(covertree_tree_points(tree, indices, N - 2, NULL, rows) == COVERTREE_OK);
  for (int i = 0; i < N - 2; i++) EXPECT(memcmp(rows + i * DIM, single + indices[i] * DIM, DIM * sizeof(float)) == 0);
  EXPECT_ERROR(covertree_tree_points(tree, gone, 1, NULL, rows), COVERTREE_NOT_FOUND, "rows[0]: the tree has no point 3");

  covertree_arrays *arrays = NULL;
  covertree_arrays_view view;
  EXPECT(covertree_tree_export(tree, NULL, &arrays) == COVERTREE_OK);
  covertree_tree_free(tree);
  covertree_tree_free(tree); /* stale: left alone */
  EXPECT(covertree_arrays_get(arrays, &view) == COVERTREE_OK);
  EXPECT(view.n_nodes == N && view.parents[0] == -1 && view.subtree_end[0] == N);
  int removed = 0;
  for (int t = 0; t < N; t++) {
    removed += view.removed[t];
    const float *row = (const float *)view.points + t * DIM;
    EXPECT(memcmp(row, single + view.order[t] * DIM, DIM * sizeof(float)) == 0);
  }
  EXPECT(removed == 2);
  covertree_arrays_free(arrays);
  EXPECT_ERROR(covertree_arrays_get(arrays, &view), COVERTREE_INVALID_ARGUMENT, "arrays: is not a handle");
  free(single);
}

/* Invalid matrices. */
static void test_matrices(const double *points) {
  covertree_tree *tree = NULL;
  covertree_matrix matrix = covertree_matrix_f64(points, N, DIM);
  EXPECT(sizeof matrix == 32 + sizeof(void *) && offsetof(covertree_matrix, row_stride) == sizeof matrix - 8);
  EXPECT(matrix.dtype == COVERTREE_DTYPE_F64 && matrix.reserved == 0 && matrix.row_stride == 0);
  EXPECT_ERROR(covertree_tree_build(NULL, NULL, &tree), COVERTREE_INVALID_ARGUMENT, "points: is NULL");
  for (int32_t dtype = -1; dtype < 7; dtype++) {
    if (dtype == COVERTREE_DTYPE_F32 || dtype == COVERTREE_DTYPE_F64) continue;
    matrix.dtype = dtype;
    EXPECT_ERROR(covertree_tree_build(&matrix, NULL, &tree), COVERTREE_INVALID_ARGUMENT,
                 "points.dtype: expected COVERTREE_DTYPE_F32 or COVERTREE_DTYPE_F64, got ");
  }
  matrix = covertree_matrix_f64(points, N, DIM);
  matrix.reserved = 1;
  EXPECT_ERROR(covertree_tree_build(&matrix, NULL, &tree), COVERTREE_UNSUPPORTED, "points.reserved: expected 0, got 1");
  matrix.reserved = 0;
  EXPECT(covertree_tree_build(&matrix, NULL, &tree) == COVERTREE_OK);

  /* Points of the tree, every other number of a longer list. */
  int64_t rows[6] = {4, -1, 2, -1, 0, -1}, indices[3], few = 3;
  covertree_matrix numbers = covertree_matrix_i64(rows, few);
  numbers.row_stride = 2 * sizeof *rows;
  EXPECT(covertree_tree_knn(tree, &numbers, 1, NULL, indices, NULL) == COVERTREE_OK);
  EXPECT(indices[0] == 4 && indices[1] == 2 && indices[2] == 0);
  matrix.dtype = COVERTREE_DTYPE_U8;
  EXPECT_ERROR(covertree_tree_knn(tree, &matrix, 1, NULL, indices, NULL), COVERTREE_INVALID_ARGUMENT,
               "queries.dtype: expected COVERTREE_DTYPE_F32, COVERTREE_DTYPE_F64, COVERTREE_DTYPE_I64 or "
               "COVERTREE_DTYPE_OBJECT, got 5");
  numbers.row_stride = 12;
  EXPECT_ERROR(covertree_tree_knn(tree, &numbers, 1, NULL, indices, NULL), COVERTREE_SHAPE, "queries: a row stride of 12");
  numbers = covertree_matrix_i64(rows, few), numbers.columns = 2;
  EXPECT_ERROR(covertree_tree_knn(tree, &numbers, 1, NULL, indices, NULL), COVERTREE_SHAPE, "queries: expected 1 column");
  EXPECT_ERROR(covertree_tree_knn(tree, I64(rows, -1), 1, NULL, indices, NULL), COVERTREE_SHAPE, "queries: expected at least 0");
  EXPECT_ERROR(covertree_tree_knn(tree, I64(rows, 2), 1, NULL, indices, NULL), COVERTREE_NOT_FOUND, "[1]");
  EXPECT_ERROR(covertree_tree_knn(tree, NULL, 1, NULL, indices, NULL), COVERTREE_INVALID_ARGUMENT, "queries: is NULL");
  EXPECT_ERROR(covertree_tree_insert(tree, I64(rows, 3), NULL, NULL), COVERTREE_INVALID_ARGUMENT, "points.dtype");
  covertree_tree_free(tree);
}

static int32_t cancel(void *calls, double share) {
  ++*(int *)calls;
  return share >= 0;
}

static void test_misuse(const double *points) {
  covertree_tree *tree = NULL;
  double bad[4] = {0, 1, NAN, 3};
  EXPECT_ERROR(covertree_tree_build(F64(NULL, N, DIM, 0), NULL, &tree), COVERTREE_INVALID_ARGUMENT, "points: is NULL");
  EXPECT_ERROR(covertree_tree_build(F64(points, 0, DIM, 0), NULL, &tree), COVERTREE_SHAPE, "at least 1 row");
  EXPECT_ERROR(covertree_tree_build(F64(points, -5, DIM, 0), NULL, &tree), COVERTREE_SHAPE, "-5");
  EXPECT_ERROR(covertree_tree_build(F64(points, N, 0, 0), NULL, &tree), COVERTREE_SHAPE, "columns, got 0");
  EXPECT_ERROR(covertree_tree_build(F64(points, INT64_MAX, INT64_MAX, 0), NULL, &tree), COVERTREE_SHAPE, "rows");
  EXPECT_ERROR(covertree_tree_build(F64(points, 5, INT64_MAX, 0), NULL, &tree), COVERTREE_SHAPE, "columns");
  EXPECT_ERROR(covertree_tree_build(F64(points, N, DIM, 9), NULL, &tree), COVERTREE_SHAPE, "stride of 9");
  EXPECT_ERROR(covertree_tree_build(F64(points, N, DIM, INT64_MAX - 7), NULL, &tree), COVERTREE_SHAPE, "stride");
  EXPECT_ERROR(covertree_tree_build(F64(bad, 2, 2, 0), NULL, &tree), COVERTREE_INVALID_ARGUMENT, "points[1, 0]");
  EXPECT_ERROR(covertree_tree_build(F64(points, N, DIM, 0), NULL, NULL), COVERTREE_INVALID_ARGUMENT, "tree: is NULL");
  EXPECT(tree == NULL);

  covertree_tree_options options;
  memset(&options, 0, sizeof options);
  EXPECT_ERROR(covertree_tree_build(F64(points, N, DIM, 0), &options, &tree), COVERTREE_INVALID_ARGUMENT, "struct_size");
  covertree_tree_options_init(&options);
  options.order = 17;
  EXPECT_ERROR(covertree_tree_build(F64(points, N, DIM, 0), &options, &tree), COVERTREE_INVALID_ARGUMENT, "order");
  covertree_tree_options_init(&options);
  options.leaf_size = -1;
  EXPECT_ERROR(covertree_tree_build(F64(points, N, DIM, 0), &options, &tree), COVERTREE_INVALID_ARGUMENT, "leaf_size");
  covertree_tree_options_init(&options);
  options.n_threads = -1;
  EXPECT_ERROR(covertree_tree_build(F64(points, N, DIM, 0), &options, &tree), COVERTREE_INVALID_ARGUMENT, "n_threads");

  /* A struct of an older header is shorter, one of a newer header longer. */
  covertree_tree_options_init(&options);
  options.struct_size = 24;
  options.progress = (covertree_progress_fn)(uintptr_t)8; /* beyond those 24 bytes: must not be read */
  EXPECT(covertree_tree_build(F64(points, N, DIM, 0), &options, &tree) == COVERTREE_OK);
  struct {
    covertree_tree_options known;
    int64_t unknown;
  } newer = {.unknown = 0};
  covertree_tree_options_init(&newer.known);
  newer.known.struct_size = sizeof newer;
  covertree_tree *other = NULL;
  EXPECT(covertree_tree_build(F64(points, N, DIM, 0), &newer.known, &other) == COVERTREE_OK);
  covertree_tree_free(other);
  newer.unknown = 1;
  EXPECT_ERROR(covertree_tree_build(F64(points, N, DIM, 0), &newer.known, &other), COVERTREE_UNSUPPORTED, "later version");

  int64_t indices[N];
  double distances[N];
  float single[N * DIM] = {0};
  EXPECT_ERROR(covertree_tree_knn(tree, F64(points, 1, DIM, 0), 0, NULL, indices, NULL), COVERTREE_INVALID_ARGUMENT, "k: ");
  EXPECT_ERROR(covertree_tree_knn(tree, F64(points, 5, DIM, 0), INT64_MAX, NULL, indices, NULL),
               COVERTREE_INVALID_ARGUMENT, "too large");
  EXPECT_ERROR(covertree_tree_knn(tree, F64(points, 1, 2, 0), 1, NULL, indices, NULL), COVERTREE_SHAPE, "expected 3");
  EXPECT_ERROR(covertree_tree_knn(tree, F64(points, 1, DIM, 0), 1, NULL, NULL, NULL), COVERTREE_INVALID_ARGUMENT, "indices");
  EXPECT_ERROR(covertree_tree_knn(tree, F64(bad + 1, 1, DIM, 0), 1, NULL, indices, NULL), COVERTREE_INVALID_ARGUMENT,
               "queries[0, 1]");
  EXPECT_ERROR(covertree_tree_knn(tree, F32(single, 1, DIM, 0), 1, NULL, indices, NULL), COVERTREE_INVALID_ARGUMENT,
               "float64");
  EXPECT_ERROR(covertree_tree_insert(tree, F32(single, 1, DIM, 0), NULL, NULL), COVERTREE_INVALID_ARGUMENT, "float64");
  EXPECT_ERROR(covertree_tree_knn(tree, I64(NULL, N - 1), 1, NULL, indices, distances), COVERTREE_BUSY, "n_rows: the tree has 500 points");
  EXPECT_ERROR(covertree_tree_knn(NULL, F64(points, 1, DIM, 0), 1, NULL, indices, NULL), COVERTREE_INVALID_ARGUMENT,
               "tree: is NULL");
  EXPECT_ERROR(covertree_tree_knn((covertree_tree *)points, F64(points, 1, DIM, 0), 1, NULL, indices, NULL),
               COVERTREE_INVALID_ARGUMENT, "not a handle");
  covertree_neighbors *neighbors = NULL;
  EXPECT_ERROR(covertree_tree_radius(tree, F64(points, 1, DIM, 0), -1, NULL, &neighbors), COVERTREE_INVALID_ARGUMENT,
               "radius");
  EXPECT_ERROR(covertree_neighbors_get((covertree_neighbors *)tree, &(covertree_neighbors_view){0}),
               COVERTREE_INVALID_ARGUMENT, "another type");

  covertree_search_options search;
  covertree_search_options_init(&search);
  search.flags = 64;
  EXPECT_ERROR(covertree_tree_knn(tree, F64(points, 1, DIM, 0), 1, &search, indices, NULL), COVERTREE_UNSUPPORTED, "flags");
  covertree_search_options_init(&search);
  search.flags = COVERTREE_SEARCH_MAX_DISTANCE;
  search.max_distance = NAN;
  EXPECT_ERROR(covertree_tree_knn(tree, F64(points, 1, DIM, 0), 1, &search, indices, NULL), COVERTREE_INVALID_ARGUMENT,
               "max_distance");
  covertree_tree_free(tree);
  covertree_tree_free(NULL);
  EXPECT_ERROR(covertree_tree_validate(tree, NULL), COVERTREE_INVALID_ARGUMENT, "freed");
}

static void test_cancel(void) {
  enum { MANY = 40000 };
  double *points = malloc(MANY * 8 * sizeof *points);
  for (int i = 0; i < MANY * 8; i++) points[i] = uniform();
  int calls = 0;
  covertree_tree_options options;
  covertree_tree_options_init(&options);
  options.progress = cancel;
  options.progress_user_data = &calls;
  covertree_tree *tree = NULL;
  covertree_status status = covertree_tree_build(F64(points, MANY, 8, 0), &options, &tree);
  EXPECT(status == COVERTREE_CANCELLED ? calls == 1 && tree == NULL : calls == 0);
  covertree_tree_free(tree);
  free(points);
}

/* k(x, y) = exp(-|x - y|), a Matern 1/2 kernel, as the caller's own. */
static int32_t exponential_kernel(void *calls, const double *rows, int64_t n_rows, const double *columns,
                                  int64_t n_columns, int64_t dim, double *covariances) {
  if (calls != NULL && ++*(int *)calls > 0) return 1;
  for (int64_t i = 0; i < n_rows; i++)
    for (int64_t j = 0; j < n_columns; j++)
      covariances[i * n_columns + j] = exp(-distance(rows + i * dim, columns + j * dim, (int)dim));
  return 0;
}

static void test_residual(const double *points) {
  enum { M = 20, FEW = 400 };
  covertree_residual_options options;
  covertree_residual_options_init(&options);
  options.kernel = COVERTREE_KERNEL_MATERN12;
  covertree_residual *plain = NULL;
  EXPECT(covertree_residual_build(F64(points, FEW, DIM, 0), &options, &plain) == COVERTREE_OK);
  static int64_t indices[FEW * K], again[FEW * K];
  static double distances[FEW * K], others[FEW * K];
  covertree_search_options search;
  covertree_search_options_init(&search);
  search.flags = COVERTREE_SEARCH_EXCLUDE_SELF;
  EXPECT(covertree_residual_knn(plain, I64(NULL, FEW), K, &search, indices, distances) == COVERTREE_OK);
  /* Without inducing points the nearest are those by Euclidean distance, at sqrt(1 - exp(-r)). */
  for (int i = 0; i < FEW; i++) {
    double nearest = INFINITY;
    for (int j = 0; j < FEW; j++)
      if (j != i) nearest = fmin(nearest, distance(points + i * DIM, points + j * DIM, DIM));
    EXPECT(fabs(distance(points + i * DIM, points + indices[i * K] * DIM, DIM) - nearest) < 1e-12);
    EXPECT(fabs(distances[i * K] - sqrt(1 - exp(-nearest))) < 1e-12);
  }

  /* The library's kernel and the caller's, with inducing points, agree. */
  options.inducing_points = points;
  options.n_inducing = M;
  covertree_residual *native = NULL, *hosted = NULL, *given = NULL, *extended = NULL;
  EXPECT(covertree_residual_build(F64(points, FEW, DIM, 0), &options, &native) == COVERTREE_OK);
  options.kernel_fn = exponential_kernel;
  EXPECT(covertree_residual_build(F64(points, FEW, DIM, 0), &options, &hosted) == COVERTREE_OK);
  search.flags = COVERTREE_SEARCH_PREDECESSORS;
  EXPECT(covertree_residual_knn(native, I64(NULL, FEW), K, &search, indices, distances) == COVERTREE_OK);
  EXPECT(covertree_residual_knn(hosted, I64(NULL, FEW), K, &search, again, others) == COVERTREE_OK);
  EXPECT(memcmp(indices, again, sizeof indices) == 0);
  EXPECT(indices[0] == -1 && isinf(distances[0]) && indices[K] == 0 && indices[K + 1] == -1);

  /* How searches go about it changes nothing. */
  covertree_residual *tuned = NULL;
  options.kernel_fn = NULL;
  options.block_size = 64, options.tau = 0.3;
  EXPECT(covertree_residual_build(F64(points, FEW, DIM, 0), &options, &tuned) == COVERTREE_OK);
  EXPECT(covertree_residual_knn(tuned, I64(NULL, FEW), K, &search, again, others) == COVERTREE_OK);
  EXPECT(memcmp(indices, again, sizeof indices) == 0 && memcmp(distances, others, sizeof distances) == 0);
  covertree_residual_free(tuned);
  options.block_size = 100;
  EXPECT_ERROR(covertree_residual_build(F64(points, FEW, DIM, 0), &options, &tuned), COVERTREE_INVALID_ARGUMENT, "block_size");
  options.block_size = -64;
  EXPECT_ERROR(covertree_residual_build(F64(points, FEW, DIM, 0), &options, &tuned), COVERTREE_INVALID_ARGUMENT, "block_size");
  options.block_size = 0, options.tau = NAN;
  EXPECT_ERROR(covertree_residual_build(F64(points, FEW, DIM, 0), &options, &tuned), COVERTREE_INVALID_ARGUMENT, "tau");
  options.tau = 0;

  /* Features that were built can be given, and distances of pairs equal the distances of the search. */
  static double v[FEW * M], p[FEW];
  EXPECT(covertree_residual_features(native, NULL, NULL, v, p) == COVERTREE_OK);
  options.kernel_fn = NULL;
  options.features = FEATURES(v, FEW, M, 0, p);
  EXPECT(covertree_residual_build(F64(points, FEW, DIM, 0), &options, &given) == COVERTREE_OK);
  options.features = NULL;
  EXPECT(covertree_residual_knn(given, I64(NULL, FEW), K, &search, again, NULL) == COVERTREE_OK);
  EXPECT(memcmp(indices, again, sizeof indices) == 0);
  static int64_t rows[FEW];
  for (int i = 0; i < FEW; i++) rows[i] = i;
  EXPECT(covertree_residual_distances(native, rows, FEW, indices, K, NULL, others) == COVERTREE_OK);
  EXPECT(memcmp(distances, others, sizeof distances) == 0);

  /* Within the distance of the last neighbour there are at least the neighbours; counts agree. */
  search.flags = COVERTREE_SEARCH_PREDECESSORS | COVERTREE_SEARCH_MAX_DISTANCE;
  search.max_distance = distances[200 * K + 1];
  EXPECT(covertree_residual_knn(native, I64(NULL, FEW), K, &search, again, others) == COVERTREE_OK);
  EXPECT(again[200 * K + 1] == indices[200 * K + 1]);
  static int64_t counts[FEW];
  covertree_neighbors *near = NULL;
  covertree_neighbors_view shown;
  EXPECT(covertree_residual_radius(native, I64(NULL, FEW), search.max_distance, &search, &near) == COVERTREE_OK);
  EXPECT(covertree_neighbors_get(near, &shown) == COVERTREE_OK && shown.n_queries == FEW);
  EXPECT(shown.dtype == COVERTREE_DTYPE_F64 && shown.scores == NULL);
  EXPECT(covertree_residual_radius_count(native, I64(NULL, FEW), search.max_distance, &search, counts) == COVERTREE_OK);
  for (int i = 0; i < FEW; i++) {
    EXPECT(shown.offsets[i + 1] - shown.offsets[i] == counts[i]);
    for (int r = 0; r < K; r++) {
      EXPECT(again[i * K + r] == (r < counts[i] ? shown.indices[shown.offsets[i] + r] : -1));
      EXPECT(again[i * K + r] == (distances[i * K + r] <= search.max_distance ? indices[i * K + r] : -1));
    }
  }
  covertree_neighbors_free(near);
  EXPECT_ERROR(covertree_residual_radius(native, I64(NULL, FEW), -1, NULL, &near), COVERTREE_INVALID_ARGUMENT, "radius");
  EXPECT_ERROR(covertree_residual_radius_count(native, I64(NULL, FEW), NAN, NULL, counts), COVERTREE_INVALID_ARGUMENT, "radius");
  EXPECT(covertree_residual_radius(native, I64(NULL, FEW + 1), 1, NULL, &near) == COVERTREE_BUSY);
  EXPECT(covertree_residual_radius(native, I64(NULL, FEW), 1, NULL, NULL) == COVERTREE_INVALID_ARGUMENT);
  EXPECT(covertree_residual_radius_count(native, I64(NULL, FEW), 1, NULL, NULL) == COVERTREE_INVALID_ARGUMENT);
  search.max_distance = -1;
  EXPECT_ERROR(covertree_residual_knn(native, I64(NULL, FEW), K, &search, again, others), COVERTREE_INVALID_ARGUMENT, "max_distance");
  search.flags = COVERTREE_SEARCH_SCORES;
  EXPECT(covertree_residual_radius(native, I64(NULL, FEW), 1, &search, &near) == COVERTREE_UNSUPPORTED);

  /* A model without some points finds the others, by the same indices; the given one does not change. */
  covertree_residual *fewer = NULL;
  search.flags = COVERTREE_SEARCH_PREDECESSORS;
  EXPECT(covertree_residual_remove(native, (int64_t[]){0, 7}, 2, NULL, &fewer) == COVERTREE_OK);
  EXPECT(covertree_residual_knn(fewer, I64(NULL, FEW - 2), K, &search, again, others) == COVERTREE_OK);
  EXPECT(again[0] == -1 && again[K] == 1 && again[K + 1] == -1);
  for (int i = 0; i < (FEW - 2) * K; i++) EXPECT(again[i] != 0 && again[i] != 7);
  EXPECT(covertree_residual_radius_count(fewer, I64(NULL, FEW - 2), 1, NULL, counts) == COVERTREE_OK);
  EXPECT(counts[0] == FEW - 2 && counts[FEW - 3] == FEW - 2);
  covertree_residual *none_left = NULL;
  EXPECT(covertree_residual_remove(fewer, (int64_t[]){7}, 1, NULL, &none_left) == COVERTREE_NOT_FOUND);
  EXPECT(covertree_residual_remove(fewer, (int64_t[]){8, 8}, 2, NULL, &none_left) == COVERTREE_INVALID_ARGUMENT);
  EXPECT(covertree_residual_remove(fewer, (int64_t[]){FEW}, 1, NULL, &none_left) == COVERTREE_NOT_FOUND);
  EXPECT(covertree_residual_remove(fewer, NULL, 1, NULL, &none_left) == COVERTREE_INVALID_ARGUMENT);
  EXPECT(covertree_residual_remove(fewer, rows, 0, NULL, NULL) == COVERTREE_INVALID_ARGUMENT);
  covertree_residual_arrays *fewer_arrays = NULL;
  EXPECT(covertree_residual_export(fewer, NULL, &fewer_arrays) == COVERTREE_UNSUPPORTED);
  EXPECT(covertree_residual_knn(native, I64(NULL, FEW), K, &search, again, others) == COVERTREE_OK);
  EXPECT(memcmp(indices, again, sizeof indices) == 0);
  covertree_residual_free(fewer);

  /* The tree in the metric itself: the root reaches all, siblings are no nearer than their level says. */
  covertree_arrays *arrays = NULL;
  covertree_arrays_view tree;
  EXPECT(covertree_residual_build_tree(native, NULL, &arrays) == COVERTREE_OK);
  EXPECT(covertree_residual_validate_tree(native, arrays, NULL) == COVERTREE_OK);
  EXPECT(covertree_arrays_get(arrays, &tree) == COVERTREE_OK && tree.n_nodes == FEW && tree.dim == DIM);
  EXPECT(tree.levels[0] == 0 && ((const double *)tree.radius)[0] <= 1 && tree.subtree_end[0] == FEW);
  EXPECT(covertree_residual_validate_tree(plain, arrays, NULL) == COVERTREE_CORRUPT);
  covertree_arrays_free(arrays);
  EXPECT(covertree_residual_validate_tree(native, arrays, NULL) == COVERTREE_INVALID_ARGUMENT);
  EXPECT(covertree_residual_build_tree(hosted, NULL, &arrays) == COVERTREE_UNSUPPORTED);
  EXPECT(covertree_residual_build_tree(native, NULL, NULL) == COVERTREE_INVALID_ARGUMENT);

  covertree_residual_info info;
  EXPECT(covertree_residual_extend(native, F64(points + FEW * DIM, 5, DIM, 0), NULL, &extended) == COVERTREE_OK);
  EXPECT(covertree_residual_get_info(extended, &info) == COVERTREE_OK && info.n_points == FEW + 5 && info.n_features == M);
  covertree_residual_free(native);
  EXPECT(covertree_residual_knn(extended, F64(points, 1, DIM, 0), 1, NULL, indices, distances) == COVERTREE_OK);

  /* Misuse. */
  covertree_residual *none = NULL;
  int calls = 0;
  options.kernel_fn = exponential_kernel;
  options.kernel_user_data = &calls;
  EXPECT_ERROR(covertree_residual_build(F64(points, FEW, DIM, 0), &options, &none), COVERTREE_CANCELLED, "kernel_fn");
  options.kernel_fn = NULL;
  options.variance = -1;
  EXPECT_ERROR(covertree_residual_build(F64(points, FEW, DIM, 0), &options, &none), COVERTREE_INVALID_ARGUMENT, "variance");
  options.variance = 1;
  options.kernel = 9;
  EXPECT_ERROR(covertree_residual_build(F64(points, FEW, DIM, 0), &options, &none), COVERTREE_INVALID_ARGUMENT, "got 9");
  EXPECT(none == NULL);
  EXPECT_ERROR(covertree_residual_knn(native, I64(rows, 1), K, NULL, again, NULL), COVERTREE_INVALID_ARGUMENT,
               "freed");
  EXPECT_ERROR(covertree_residual_knn(plain, I64(NULL, FEW - 1), K, NULL, again, NULL), COVERTREE_BUSY, "n_rows");
  EXPECT_ERROR(covertree_residual_knn(plain, I64(rows, 1), 0, NULL, again, NULL), COVERTREE_INVALID_ARGUMENT, "k:");
  EXPECT_ERROR(covertree_residual_knn(given, F64(points, 1, DIM, 0), 1, NULL, again, NULL), COVERTREE_UNSUPPORTED,
               "inducing points");
  p[3] = 2;
  covertree_residual_options_init(&options);
  options.features = FEATURES(v, FEW, M, 0, p);
  EXPECT_ERROR(covertree_residual_build(F64(points, FEW, DIM, 0), &options, &none), COVERTREE_INVALID_ARGUMENT,
               "residual_variance[3]");
  options.features = FEATURES(v, FEW - 1, M, 0, p);
  EXPECT_ERROR(covertree_residual_build(F64(points, FEW, DIM, 0), &options, &none), COVERTREE_SHAPE,
               "v_matrix: expected 400 rows, one for each point, got 399");
  options.features = FEATURES(v, FEW, M, 0, NULL);
  EXPECT_ERROR(covertree_residual_build(F64(points, FEW, DIM, 0), &options, &none), COVERTREE_INVALID_ARGUMENT,
               "residual_variance: is NULL");
  options.features = NULL;
  EXPECT_ERROR(covertree_residual_build(F32(points, FEW, DIM, 0), &options, &none), COVERTREE_INVALID_ARGUMENT,
               "points.dtype: expected COVERTREE_DTYPE_F64, got 1");
  EXPECT_ERROR(covertree_residual_knn(plain, F32(points, 1, DIM, 0), K, NULL, again, NULL), COVERTREE_INVALID_ARGUMENT,
               "queries.dtype: expected COVERTREE_DTYPE_F64 or COVERTREE_DTYPE_I64, got 1");

  covertree_residual_free(plain);
  covertree_residual_free(hosted);
  covertree_residual_free(given);
  covertree_residual_free(extended);
}

static void test_orders(const double *points) {
  enum { FEW = 300 };
  int64_t order[FEW], sample[FEW];
  EXPECT(covertree_maxmin_order(F64(points, FEW, DIM, 0), NULL, order) == COVERTREE_OK);
  EXPECT(covertree_spread_sample(F64(points, FEW, DIM, 0), FEW, 7, NULL, sample) == COVERTREE_OK);
  int seen[FEW] = {0};
  for (int i = 0; i < FEW; i++) seen[order[i]] |= 1, seen[sample[i]] |= 2;
  for (int i = 0; i < FEW; i++) EXPECT(seen[i] == 3);
  EXPECT_ERROR(covertree_spread_sample(F64(points, FEW, DIM, 0), FEW + 1, 7, NULL, sample), COVERTREE_INVALID_ARGUMENT,
               "n_sample");
}

int main(void) {
  EXPECT(covertree_abi_version() == COVERTREE_ABI_VERSION);
  EXPECT(covertree_version_number() == 10000 * COVERTREE_VERSION_MAJOR + 100 * COVERTREE_VERSION_MINOR + COVERTREE_VERSION_PATCH);
  EXPECT(strncmp(covertree_build_info(), "covertree ", 10) == 0);
  EXPECT(covertree_last_error() != NULL && covertree_last_error()[0] == 0);
  EXPECT(covertree_set_num_threads(2) == COVERTREE_OK && covertree_get_num_threads() == 2);
  EXPECT_ERROR(covertree_set_num_threads(5000), COVERTREE_INVALID_ARGUMENT, "5000");

  double *points = malloc(N * DIM * sizeof *points);
  for (int i = 0; i < N * DIM; i++) points[i] = uniform();
  test_search(points);
  test_filters(points);
  test_pairs(points);
  test_distance_functions(points);
  test_precise_queries();
  test_changes(points);
  test_misuse(points);
  test_matrices(points);
  test_cancel();
  test_residual(points);
  test_orders(points);
  free(points);
  printf("C: %s\n", failures == 0 ? "passed" : "FAILED");
  return failures != 0;
}
