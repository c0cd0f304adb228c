/* Trees of a distance function: masks and limits, files, and questions on pairs. */
#include "expect.h"

#include <math.h>
#include <stdlib.h>

enum { N = 300, DIM = 2, K = 4 };
#define PATH "test_functions.covertree"

static double points[N * DIM], apart[N][N];

/* Rows of coordinates. Threads call it at once, so it counts nothing unless there is one. */
static int32_t distances_of_rows(void *user_data, int64_t count, int64_t columns, const void *left, const void *right,
                                 double *distances) {
  const double *a = left, *b = right;
  for (int64_t pair = 0; pair < count; pair++, a += columns, b += columns)
    distances[pair] = hypot(a[0] - b[0], a[1] - b[1]);
  if (user_data != NULL) *(int64_t *)user_data += count;
  return 0;
}

/* Manhattan distance. */
static int32_t other_distances(void *user_data, int64_t count, int64_t columns, const void *left, const void *right,
                               double *distances) {
  const double *a = left, *b = right;
  (void)user_data;
  for (int64_t pair = 0; pair < count; pair++, a += columns, b += columns)
    distances[pair] = fabs(a[0] - b[0]) + fabs(a[1] - b[1]);
  return 0;
}

static int32_t ends(void *user_data, int64_t count, int64_t columns, const void *left, const void *right,
                    double *distances) {
  (void)user_data, (void)count, (void)columns, (void)left, (void)right, (void)distances;
  return 1;
}

static covertree_tree_options of(covertree_distance_fn function, void *user_data) {
  covertree_tree_options options;
  covertree_tree_options_init(&options);
  options.metric = COVERTREE_DISTANCE_FUNCTION;
  options.distance_fn = function;
  options.distance_user_data = user_data;
  options.n_threads = user_data != NULL;
  return options;
}

/* The nearest of the points that a mask admits, within a limit of each query. */
static void test_masks_and_limits(covertree_tree *tree) {
  uint8_t mask[N];
  double limits[N], distances[N * K];
  int64_t indices[N * K], counts[N];
  for (int i = 0; i < N; i++) mask[i] = uniform() < 0.4, limits[i] = uniform() * 0.2;
  covertree_search_options options;
  covertree_search_options_init(&options);
  options.admitted = mask, options.n_admitted = N, options.max_distances = limits;
  covertree_matrix all = covertree_matrix_i64(NULL, N);
  EXPECT(covertree_tree_knn(tree, &all, K, &options, indices, distances) == COVERTREE_OK);
  EXPECT(covertree_tree_radius_count(tree, &all, -1, &options, counts) == COVERTREE_OK);
  for (int i = 0; i < N; i++) {
    int64_t within = 0;
    for (int j = 0; j < N; j++) within += mask[j] && apart[i][j] <= limits[i];
    EXPECT(counts[i] == within);
    for (int rank = 0; rank < K; rank++) {
      int64_t found = indices[i * K + rank];
      EXPECT((found < 0) == (rank >= within));
      if (found >= 0) EXPECT(mask[found] && distances[i * K + rank] == apart[i][found] && apart[i][found] <= limits[i]);
      if (rank > 0) EXPECT(distances[i * K + rank - 1] <= distances[i * K + rank]);
    }
  }
  options.n_admitted = N - 1;
  EXPECT_ERROR(covertree_tree_knn(tree, &all, K, &options, indices, NULL), COVERTREE_SHAPE, "admitted: ");
  options.n_admitted = N;
  limits[N - 1] = -1;
  EXPECT_ERROR(covertree_tree_knn(tree, &all, K, &options, indices, NULL), COVERTREE_INVALID_ARGUMENT, "max_distances");
  options.limits = limits, options.max_distances = NULL;
  EXPECT_ERROR(covertree_tree_knn(tree, &all, K, &options, indices, NULL), COVERTREE_UNSUPPORTED, "metric: ");
}

static void test_files(covertree_tree *tree) {
  int64_t evaluations = 0, indices[N * K], expected[N * K];
  covertree_tree_options options = of(distances_of_rows, &evaluations), other = of(other_distances, NULL);
  covertree_tree_options plain, ending = of(ends, NULL);
  covertree_tree_options_init(&plain);
  covertree_tree *loaded = NULL;
  covertree_file *file = NULL, *copy = NULL;
  EXPECT(covertree_tree_save(tree, PATH, NULL, 0, NULL) == COVERTREE_OK);
  EXPECT(covertree_file_open(PATH, 0, NULL, &file) == COVERTREE_OK);
  covertree_file_info info;
  uint64_t hash = 0;
  EXPECT(covertree_file_get_info(file, &info) == COVERTREE_OK && info.kind == COVERTREE_FILE_FUNCTION);
  EXPECT(covertree_hash_points(F64(points, N, DIM, 0), NULL, &hash) == COVERTREE_OK && hash == info.input_hash);
  EXPECT_ERROR(covertree_tree_load(file, &loaded), COVERTREE_INVALID_ARGUMENT, "metric: the file has a tree of a dist");
  EXPECT_ERROR(covertree_tree_load_function(file, NULL, &loaded), COVERTREE_INVALID_ARGUMENT, "metric: ");
  EXPECT_ERROR(covertree_tree_load_function(file, &plain, &loaded), COVERTREE_INVALID_ARGUMENT, "metric: expected CO");
  EXPECT_ERROR(covertree_tree_load_function(file, &other, &loaded), COVERTREE_INVALID_ARGUMENT, "metric: expected the");
  EXPECT_ERROR(covertree_tree_load_function(file, &ending, &loaded), COVERTREE_CANCELLED, "distance_fn: ");
  EXPECT_ERROR(covertree_tree_load_function(file, &options, NULL), COVERTREE_INVALID_ARGUMENT, "tree: ");
  EXPECT_ERROR(covertree_tree_load_function(NULL, &options, &loaded), COVERTREE_INVALID_ARGUMENT, "file: ");
  evaluations = 0;
  EXPECT(covertree_tree_load_function(file, &options, &loaded) == COVERTREE_OK);
  covertree_file_free(file); /* the tree keeps it open */
  EXPECT(evaluations > 0 && evaluations <= 32);
  covertree_tree_info before;
  EXPECT(covertree_tree_get_info(loaded, &before) == COVERTREE_OK && before.distance_evaluations == evaluations);
  covertree_search_options one_thread;
  covertree_search_options_init(&one_thread);
  one_thread.n_threads = 1;
  covertree_matrix all = covertree_matrix_i64(NULL, N);
  EXPECT(covertree_tree_knn(tree, &all, K, NULL, expected, NULL) == COVERTREE_OK);
  EXPECT(covertree_tree_knn(loaded, &all, K, &one_thread, indices, NULL) == COVERTREE_OK);
  EXPECT(memcmp(indices, expected, sizeof indices) == 0);

  /* The tree of a file may be saved again, and a tree of the library has another kind of file. */
  EXPECT(covertree_tree_encode(loaded, NULL, 0, NULL, &copy) == COVERTREE_OK);
  covertree_tree_free(loaded);
  EXPECT(covertree_tree_load_function(copy, &options, &loaded) == COVERTREE_OK);
  covertree_file_free(copy);
  covertree_tree_free(loaded);
  covertree_tree *euclidean = NULL;
  EXPECT(covertree_tree_build(F64(points, N, DIM, 0), NULL, &euclidean) == COVERTREE_OK);
  EXPECT(covertree_tree_encode(euclidean, NULL, 0, NULL, &copy) == COVERTREE_OK);
  EXPECT_ERROR(covertree_tree_load_function(copy, &options, &loaded), COVERTREE_INVALID_ARGUMENT, "kind function");
  covertree_file_free(copy);
  covertree_tree_free(euclidean);
  remove(PATH);
}

static void test_pairs(covertree_tree *tree) {
  const double radii[2] = {0.05, 0.3};
  int64_t counts[2], expected[2] = {0, 0};
  covertree_pairs *pairs = NULL;
  covertree_pairs_view view;
  EXPECT(covertree_tree_pairs(tree, NULL, radii[0], 1, NULL, &pairs) == COVERTREE_OK);
  EXPECT(covertree_pairs_get(pairs, &view) == COVERTREE_OK && view.dtype == COVERTREE_DTYPE_F64);
  int64_t next = 0;
  for (int i = 0; i < N; i++) {
    for (int j = 0; j < N; j++) {
      if (apart[i][j] <= radii[1]) expected[apart[i][j] > radii[0]]++;
      if (j <= i || apart[i][j] > radii[0]) continue;
      EXPECT(view.indices[2 * next] == i && view.indices[2 * next + 1] == j);
      EXPECT(((const double *)view.distances)[next] == apart[i][j]);
      next++;
    }
  }
  EXPECT(view.n_pairs == next);
  covertree_pairs_free(pairs);
  EXPECT(covertree_tree_pair_counts(tree, NULL, radii, 2, NULL, counts) == COVERTREE_OK);
  EXPECT(counts[0] == expected[0] && counts[1] == expected[1]);
  covertree_tree *euclidean = NULL;
  EXPECT(covertree_tree_build(F64(points, N, DIM, 0), NULL, &euclidean) == COVERTREE_OK);
  for (int64_t mutual_k = 0; mutual_k < 4; mutual_k += 3) {
    covertree_pairs *other = NULL;
    covertree_pairs_view others;
    EXPECT(covertree_tree_spanning_tree(tree, mutual_k, NULL, &pairs) == COVERTREE_OK);
    EXPECT(covertree_tree_spanning_tree(euclidean, mutual_k, NULL, &other) == COVERTREE_OK);
    EXPECT(covertree_pairs_get(pairs, &view) == COVERTREE_OK && view.n_pairs == N - 1);
    EXPECT(covertree_pairs_get(other, &others) == COVERTREE_OK);
    for (int i = 0; i < 2 * (N - 1); i++) EXPECT(view.indices[i] == others.indices[i]);
    covertree_pairs_free(pairs);
    covertree_pairs_free(other);
  }
  EXPECT_ERROR(covertree_tree_pairs(euclidean, tree, 1, 0, NULL, &pairs), COVERTREE_UNSUPPORTED, "other: expected a");
  EXPECT_ERROR(covertree_tree_pair_counts(tree, euclidean, radii, 2, NULL, counts), COVERTREE_UNSUPPORTED, "other: ");
  EXPECT_ERROR(covertree_tree_spanning_tree(tree, N, NULL, &pairs), COVERTREE_INVALID_ARGUMENT, "mutual_k: ");
  EXPECT_ERROR(covertree_tree_pairs(tree, NULL, -1, 0, NULL, &pairs), COVERTREE_INVALID_ARGUMENT, "radius: ");
  covertree_tree_free(euclidean);
}

/* Pairs of a tree of all points but `removed`, and a tree of the last m points. */
static void check_pairs_of(covertree_tree *tree, covertree_tree *other, int removed, int m) {
  const double radii[2] = {0.05, 0.3};
  double weights[N], other_weights[N], sums[2], expected_sums[2] = {0, 0};
  int64_t counts[2], expected[2] = {0, 0}, next = 0, n_weights = 0;
  covertree_pairs *pairs = NULL;
  covertree_pairs_view view;
  EXPECT(covertree_tree_pairs(tree, other, radii[0], 1, NULL, &pairs) == COVERTREE_OK);
  EXPECT(covertree_pairs_get(pairs, &view) == COVERTREE_OK && view.dtype == COVERTREE_DTYPE_F64);
  for (int j = 0; j < m; j++) other_weights[j] = uniform();
  for (int i = 0; i < N; i++) {
    if (i == removed) continue;
    const double weight = weights[n_weights++] = uniform();
    for (int j = 0; j < m; j++) {
      const double distance = apart[i][N - m + j];
      if (distance <= radii[1]) expected[distance > radii[0]]++;
      if (distance <= radii[1]) expected_sums[distance > radii[0]] += weight * other_weights[j];
      if (distance > radii[0]) continue;
      EXPECT(next < view.n_pairs && view.indices[2 * next] == i && view.indices[2 * next + 1] == j);
      EXPECT(((const double *)view.distances)[next] == distance);
      next++;
    }
  }
  EXPECT(view.n_pairs == next);
  covertree_pairs_free(pairs);
  EXPECT(covertree_tree_pair_counts(tree, other, radii, 2, NULL, counts) == COVERTREE_OK);
  EXPECT(counts[0] == expected[0] && counts[1] == expected[1]);
  covertree_pair_count_options options;
  covertree_pair_count_options_init(&options);
  options.weights = weights, options.n_weights = n_weights;
  options.other_weights = other_weights, options.n_other_weights = m;
  EXPECT(covertree_tree_pair_counts(tree, other, radii, 2, &options, sums) == COVERTREE_OK);
  for (int i = 0; i < 2; i++) EXPECT(fabs(sums[i] - expected_sums[i]) <= 1e-9 * expected_sums[i]);
  options.n_other_weights = m - 1;
  EXPECT_ERROR(covertree_tree_pair_counts(tree, other, radii, 2, &options, sums), COVERTREE_BUSY, "other_weights: ");
}

/* Numbers of points. */
static int32_t distances_of_numbers(void *user_data, int64_t count, int64_t columns, const void *left,
                                    const void *right, double *distances) {
  const int64_t *a = left, *b = right;
  (void)user_data, (void)columns;
  for (int64_t pair = 0; pair < count; pair++) distances[pair] = apart[a[pair]][b[pair]];
  return 0;
}

static void test_pairs_of_two(void) {
  enum { M = 90 };
  const double radius = 1;
  int64_t numbers[N], removed = 7, evaluations = 0, count;
  for (int i = 0; i < N; i++) numbers[i] = i;
  covertree_tree_options options = of(distances_of_rows, NULL), manhattan = of(other_distances, NULL);
  covertree_tree_options by_number = of(distances_of_numbers, NULL), counting = of(distances_of_rows, &evaluations);
  covertree_tree *tree = NULL, *last = NULL, *by_numbers = NULL, *last_numbers = NULL, *wrong = NULL;
  covertree_matrix all = {numbers, COVERTREE_DTYPE_OBJECT, 0, N, 1, 0};
  covertree_matrix some = {numbers + N - M, COVERTREE_DTYPE_OBJECT, 0, M, 1, 0};
  EXPECT(covertree_tree_build(F64(points, N, DIM, 0), &options, &tree) == COVERTREE_OK);
  EXPECT(covertree_tree_build(F64(points + DIM * (N - M), M, DIM, 0), &options, &last) == COVERTREE_OK);
  EXPECT(covertree_tree_build(&all, &by_number, &by_numbers) == COVERTREE_OK);
  EXPECT(covertree_tree_build(&some, &by_number, &last_numbers) == COVERTREE_OK);
  check_pairs_of(tree, tree, -1, N);
  check_pairs_of(tree, last, -1, M);
  check_pairs_of(by_numbers, last_numbers, -1, M);
  EXPECT(covertree_tree_remove(tree, &removed, 1, NULL) == COVERTREE_OK);
  check_pairs_of(tree, last, (int)removed, M);

  covertree_pairs *pairs = NULL;
  EXPECT_ERROR(covertree_tree_pairs(tree, by_numbers, 1, 0, NULL, &pairs), COVERTREE_SHAPE, "other: expected a t");
  EXPECT_ERROR(covertree_tree_pair_counts(by_numbers, tree, &radius, 1, NULL, &count), COVERTREE_SHAPE, "other: ");
  EXPECT(covertree_tree_build(F64(points, N, DIM, 0), &manhattan, &wrong) == COVERTREE_OK);
  EXPECT_ERROR(covertree_tree_pairs(tree, wrong, 1, 0, NULL, &pairs), COVERTREE_INVALID_ARGUMENT, "other: ");
  covertree_tree_free(wrong);
  EXPECT(covertree_tree_build(F64(points, N, DIM, 0), &counting, &wrong) == COVERTREE_OK);
  EXPECT_ERROR(covertree_tree_pair_counts(tree, wrong, &radius, 1, NULL, &count), COVERTREE_INVALID_ARGUMENT, "other");
  covertree_tree_free(wrong);
  covertree_tree_free(tree);
  covertree_tree_free(last);
  covertree_tree_free(by_numbers);
  covertree_tree_free(last_numbers);
}

int main(void) {
  for (int i = 0; i < N * DIM; i++) points[i] = uniform();
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++)
      apart[i][j] = hypot(points[2 * i] - points[2 * j], points[2 * i + 1] - points[2 * j + 1]);
  covertree_tree *tree = NULL;
  covertree_tree_options options = of(distances_of_rows, NULL);
  EXPECT(covertree_tree_build(F64(points, N, DIM, 0), &options, &tree) == COVERTREE_OK);
  test_masks_and_limits(tree);
  test_files(tree);
  test_pairs(tree);
  test_pairs_of_two();
  covertree_tree_free(tree);
  if (failures == 0) puts("C functions: passed");
  return failures != 0;
}
