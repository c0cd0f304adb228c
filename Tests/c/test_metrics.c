/* Trees in other metrics than Euclidean: answers against a brute force by the formulas, and wrong parameters. */
#include "expect.h"

#include <covertree.h>

#include <math.h>
#include <stdlib.h>

enum { N = 400, DIM = 2, K = 6 };

static const double WEIGHTS[DIM] = {2, 0.5}, PERIODS[DIM] = {1, INFINITY}, MATRIX[DIM * DIM] = {2, 0.3, 0.3, 0.5};
static const double PI = 3.14159265358979323846;

static double great_circle(const double *x, const double *y, double unit, double radius) {
  double along = sin((y[0] - x[0]) * unit / 2), across = sin((y[1] - x[1]) * unit / 2);
  return 2 * radius * asin(sqrt(along * along + cos(x[0] * unit) * cos(y[0] * unit) * across * across));
}

static double distance(const covertree_tree_options *o, const double *x, const double *y) {
  if (o->metric == COVERTREE_DISTANCE_HAVERSINE)
    return great_circle(x, y, o->degrees ? PI / 180 : 1, o->radius == 0 ? 1 : o->radius);
  double sum = 0, most = 0, dot = x[0] * y[0] + x[1] * y[1], lengths = hypot(x[0], x[1]) * hypot(y[0], y[1]);
  if (o->metric == COVERTREE_DISTANCE_COSINE) return 1 - dot / lengths;
  if (o->metric == COVERTREE_DISTANCE_ANGULAR) return fabs(atan2(x[0] * y[1] - x[1] * y[0], dot));
  double p = o->metric == COVERTREE_DISTANCE_MANHATTAN   ? 1
             : o->metric == COVERTREE_DISTANCE_MINKOWSKI ? o->exponent
                                                         : 2;
  for (int d = 0; d < DIM; d++) {
    double apart = fabs(x[d] - y[d]), w = o->weights == NULL ? 1 : o->weights[d];
    if (o->periods != NULL && isfinite(o->periods[d])) apart = fmin(apart, o->periods[d] - apart);
    sum += w * pow(apart, p);
    most = fmax(most, w * apart);
  }
  if (o->metric == COVERTREE_DISTANCE_MAHALANOBIS) {
    double a = x[0] - y[0], b = x[1] - y[1];
    return sqrt(a * a * MATRIX[0] + a * b * (MATRIX[1] + MATRIX[2]) + b * b * MATRIX[3]);
  }
  return o->metric == COVERTREE_DISTANCE_CHEBYSHEV ? most : pow(sum, 1 / p);
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static int is_close(double a, double b) { return fabs(a - b) <= 1e-7 + 1e-12 * fabs(b); }

static void check(covertree_tree *tree, const covertree_tree_options *options, const double *points) {
  static int64_t indices[N * K], counts[N];
  static double distances[N * K];
  EXPECT(covertree_tree_knn(tree, F64(points, N, DIM, 0), K, NULL, indices, distances) == COVERTREE_OK);
  EXPECT(covertree_tree_radius_count(tree, F64(points, N, DIM, 0), distances[K - 1], NULL, counts) == COVERTREE_OK);
  EXPECT(counts[0] >= K && counts[0] <= N);
  for (int row = 0; row < N; row++) {
    double all[N];
    for (int i = 0; i < N; i++) all[i] = distance(options, points + row * DIM, points + i * DIM);
    for (int k = 0; k < K; k++) EXPECT(is_close(distances[row * K + k], all[indices[row * K + k]]));
    qsort(all, N, sizeof *all, compare);
    for (int k = 0; k < K; k++) EXPECT(is_close(distances[row * K + k], all[k]));
  }
}

/* Pairs, their counts and the minimum spanning tree are in the metric, too. */
static void check_pairs(covertree_tree *tree, const covertree_tree_options *options, const double *points) {
  double radius = 0.9 * distance(options, points, points + DIM);
  covertree_pairs *pairs = NULL;
  covertree_pairs_view view;
  EXPECT(covertree_tree_pairs(tree, NULL, radius, 1, NULL, &pairs) == COVERTREE_OK);
  EXPECT(covertree_pairs_get(pairs, &view) == COVERTREE_OK);
  int64_t wanted = 0, count = 0;
  for (int i = 0; i < N; i++)
    for (int j = i + 1; j < N; j++) wanted += distance(options, points + i * DIM, points + j * DIM) <= radius;
  EXPECT(view.n_pairs == wanted);
  for (int64_t i = 0; i < view.n_pairs; i++) {
    const int64_t *pair = view.indices + 2 * i;
    double apart = distance(options, points + pair[0] * DIM, points + pair[1] * DIM);
    EXPECT(is_close(((const double *)view.distances)[i], apart));
  }
  covertree_pairs_free(pairs);
  EXPECT(covertree_tree_pair_counts(tree, NULL, &radius, 1, NULL, &count) == COVERTREE_OK && count == 2 * wanted + N);
  EXPECT(covertree_tree_spanning_tree(tree, 2, NULL, &pairs) == COVERTREE_OK);
  EXPECT(covertree_pairs_get(pairs, &view) == COVERTREE_OK && view.n_pairs == N - 1);
  covertree_pairs_free(pairs);
}

static void test_two_metrics(const double *points) {
  covertree_tree_options options;
  covertree_tree_options_init(&options);
  covertree_tree *tree = NULL, *other = NULL;
  options.metric = COVERTREE_DISTANCE_MANHATTAN;
  EXPECT(covertree_tree_build(F64(points, N, DIM, 0), &options, &tree) == COVERTREE_OK);
  options.weights = WEIGHTS;
  EXPECT(covertree_tree_build(F64(points, N, DIM, 0), &options, &other) == COVERTREE_OK);
  covertree_pairs *pairs = NULL;
  EXPECT_ERROR(covertree_tree_pairs(tree, other, 1, 0, NULL, &pairs), COVERTREE_INVALID_ARGUMENT,
               "other: expected a tree of the same weights[0], 1.0, got 2.0");
  covertree_tree_free(tree);
  covertree_tree_free(other);
}

static void test_metrics(const double *points) {
  for (int32_t metric = COVERTREE_DISTANCE_EUCLIDEAN; metric <= COVERTREE_DISTANCE_MAHALANOBIS; metric++) {
    for (int with = 0; with < (metric <= COVERTREE_DISTANCE_MINKOWSKI ? 4 : 1); with++) {
      covertree_tree_options options;
      covertree_tree_options_init(&options);
      options.metric = metric;
      options.exponent = 3;
      options.radius = 6371;
      options.degrees = 1;
      options.inverse_covariance = MATRIX;
      options.weights = with & 1 ? WEIGHTS : NULL;
      options.periods = with & 2 ? PERIODS : NULL;
      covertree_tree *tree = NULL;
      EXPECT(covertree_tree_build(F64(points, N, DIM, 0), &options, &tree) == COVERTREE_OK);
      check(tree, &options, points);
      check_pairs(tree, &options, points);
      EXPECT(covertree_tree_validate(tree, NULL) == COVERTREE_OK);
      covertree_arrays *arrays = NULL;
      if (metric != COVERTREE_DISTANCE_EUCLIDEAN || with != 0)
        EXPECT_ERROR(covertree_tree_export(tree, NULL, &arrays), COVERTREE_UNSUPPORTED, "metric: ");
      /* The caller's coordinates come back. */
      int64_t row = 7;
      double back[DIM];
      EXPECT(covertree_tree_points(tree, &row, 1, NULL, back) == COVERTREE_OK);
      EXPECT(back[0] == points[7 * DIM] && back[1] == points[7 * DIM + 1]);
      covertree_tree_free(tree);
    }
  }
}

static void test_misuse(const double *points) {
  covertree_tree *tree = NULL;
  covertree_tree_options options;
  double wrong[DIM] = {1, -1};
#define EXPECT_WRONG(change, status, words)                                                        \
  covertree_tree_options_init(&options);                                                           \
  change;                                                                                          \
  EXPECT_ERROR(covertree_tree_build(F64(points, N, DIM, 0), &options, &tree), status, words)
  EXPECT_WRONG(options.metric = 9, COVERTREE_INVALID_ARGUMENT, "metric: ");
  EXPECT_WRONG(options.metric = COVERTREE_DISTANCE_MINKOWSKI, COVERTREE_INVALID_ARGUMENT, "exponent: ");
  EXPECT_WRONG(options.weights = wrong, COVERTREE_INVALID_ARGUMENT, "weights[1]: ");
  EXPECT_WRONG(options.periods = wrong, COVERTREE_INVALID_ARGUMENT, "periods[1]: ");
  EXPECT_WRONG(options.degrees = 2, COVERTREE_INVALID_ARGUMENT, "degrees: ");
  EXPECT_WRONG(options.metric = COVERTREE_DISTANCE_MAHALANOBIS, COVERTREE_INVALID_ARGUMENT, "inverse_covariance: is NULL");
  const double indefinite[DIM * DIM] = {1, 2, 2, 1}, lopsided[DIM * DIM] = {1, 0.1, 0, 1};
  EXPECT_WRONG(options.metric = COVERTREE_DISTANCE_MAHALANOBIS; options.inverse_covariance = indefinite,
               COVERTREE_INVALID_ARGUMENT, "inverse_covariance: expected a positive definite");
  EXPECT_WRONG(options.metric = COVERTREE_DISTANCE_MAHALANOBIS; options.inverse_covariance = lopsided,
               COVERTREE_INVALID_ARGUMENT, "inverse_covariance: expected a symmetric");
  EXPECT_WRONG(options.metric = COVERTREE_DISTANCE_HAVERSINE; options.radius = -1, COVERTREE_INVALID_ARGUMENT, "radius: ");
  EXPECT_WRONG(options.metric = COVERTREE_DISTANCE_COSINE; options.weights = WEIGHTS, COVERTREE_INVALID_ARGUMENT, "weights");
  float single[DIM * 2] = {1, 2, 3, 4};
  covertree_tree_options_init(&options);
  options.metric = COVERTREE_DISTANCE_COSINE;
  EXPECT_ERROR(covertree_tree_build(F32(single, 2, DIM, 0), &options, &tree), COVERTREE_UNSUPPORTED, "points: expected float64");

  /* Scores are those of plain Euclidean distance. */
  covertree_tree_options_init(&options);
  options.metric = COVERTREE_DISTANCE_MANHATTAN;
  EXPECT(covertree_tree_build(F64(points, N, DIM, 0), &options, &tree) == COVERTREE_OK);
  covertree_search_options search;
  covertree_search_options_init(&search);
  int64_t index;
  double score;
  search.scores = &score;
  EXPECT_ERROR(covertree_tree_knn(tree, F64(points, 1, DIM, 0), 1, &search, &index, NULL), COVERTREE_UNSUPPORTED, "metric: ");
  covertree_tree_free(tree);
}

int main(void) {
  double *points = malloc(N * DIM * sizeof *points);
  for (int i = 0; i < N * DIM; i++) points[i] = uniform();
  test_metrics(points);
  test_two_metrics(points);
  test_misuse(points);
  free(points);
  printf("C metrics: %s\n", failures == 0 ? "passed" : "FAILED");
  return failures != 0;
}
