/* Points in two partitions, searched one after the other from C: merged answers equal the answers for all points. */
#include "expect.h"

#include <covertree.h>

#include <math.h>
#include <stdlib.h>

enum { N = 2400, HALF = N / 2, DIM = 3, K = 6, M = 40 };

typedef struct answer {
  int64_t indices[N][K];
  double distances[N][K], scores[N][K];
} answer;

static answer whole, first, second;

/* Puts the second half's answer behind the first half's, and compares the K best of both with the whole's. */
static void expect_merged(void) {
  for (int i = 0; i < N; i++) {
    int a = 0, b = 0;
    for (int rank = 0; rank < K; rank++) {
      int is_first = second.indices[i][b] < 0 || first.scores[i][a] <= second.scores[i][b];
      int64_t index = is_first ? first.indices[i][a] : second.indices[i][b] + HALF;
      EXPECT(index == whole.indices[i][rank]);
      EXPECT((is_first ? first.distances[i][a] : second.distances[i][b]) == whole.distances[i][rank]);
      if (is_first) a++;
      else b++;
    }
  }
}

static void test_tree(const double *points) {
  covertree_tree *all = NULL, *partitions[2] = {NULL, NULL};
  covertree_search_options options;
  double limits[N];
  int64_t before[N];
  covertree_search_options_init(&options);
  EXPECT(covertree_tree_build(F64(points, N, DIM, 0), NULL, &all) == COVERTREE_OK);
  for (int i = 0; i < 2; i++)
    EXPECT(covertree_tree_build(F64(points + i * HALF * DIM, HALF, DIM, 0), NULL, &partitions[i]) == COVERTREE_OK);
  EXPECT(covertree_tree_knn(all, F64(points, N, DIM, 0), K, NULL, whole.indices[0], whole.distances[0]) == COVERTREE_OK);
  options.scores = first.scores[0];
  EXPECT(covertree_tree_knn(partitions[0], F64(points, N, DIM, 0), K, &options, first.indices[0], first.distances[0])
         == COVERTREE_OK);
  for (int i = 0; i < N; i++) {
    limits[i] = first.scores[i][K - 1];
    before[i] = i % 100;
    EXPECT(first.distances[i][K - 1] == sqrt(limits[i]));
  }
  options.scores = second.scores[0];
  options.limits = limits;
  EXPECT(covertree_tree_knn(partitions[1], F64(points, N, DIM, 0), K, &options, second.indices[0], second.distances[0])
         == COVERTREE_OK);
  expect_merged();

  /* Lists have scores on request. */
  covertree_neighbors *lists = NULL;
  covertree_neighbors_view view;
  options.limits = NULL;
  options.before = before;
  options.flags = COVERTREE_SEARCH_SCORES;
  EXPECT(covertree_tree_radius(all, F64(points, N, DIM, 0), 0.4, &options, &lists) == COVERTREE_OK);
  EXPECT(covertree_neighbors_get(lists, &view) == COVERTREE_OK && view.n_neighbors > 0 && view.scores != NULL);
  for (int i = 0; i < N; i++)
    for (int64_t j = view.offsets[i]; j < view.offsets[i + 1]; j++)
      EXPECT(view.indices[j] < before[i] && view.scores[j] <= 0.4 * 0.4);
  covertree_neighbors_free(lists);
  EXPECT(covertree_tree_radius(all, F64(points, N, DIM, 0), 0.4, NULL, &lists) == COVERTREE_OK);
  EXPECT(covertree_neighbors_get(lists, &view) == COVERTREE_OK && view.scores == NULL);
  covertree_neighbors_free(lists);

  limits[3] = NAN;
  options.limits = limits;
  EXPECT_ERROR(covertree_tree_knn(all, F64(points, N, DIM, 0), K, &options, second.indices[0], NULL),
               COVERTREE_INVALID_ARGUMENT, "limits[3]");
  options.limits = NULL;
  options.flags = COVERTREE_SEARCH_PREDECESSORS;
  EXPECT_ERROR(covertree_tree_knn(all, I64(NULL, N), K, &options, second.indices[0], NULL),
               COVERTREE_INVALID_ARGUMENT, "before");
  /* Upper indices are read for as many queries as there are, whatever number the caller expects. */
  options.flags = 0;
  EXPECT_ERROR(covertree_tree_radius(all, I64(NULL, 5), 0.1, &options, &lists), COVERTREE_BUSY, "before");
  covertree_tree_free(all);
  for (int i = 0; i < 2; i++) covertree_tree_free(partitions[i]);
}

static void test_residual(const double *points) {
  covertree_residual *all = NULL, *partitions[2] = {NULL, NULL}, *pivots = NULL;
  covertree_residual_options process;
  covertree_search_options options;
  double *v = malloc(sizeof(double[N][M])), *p = malloc(sizeof(double[N])), *lengths = malloc(sizeof(double[N]));
  double limits[N], error = 0;
  int64_t n_groups = 0;
  covertree_residual_options_init(&process);
  covertree_search_options_init(&options);
  process.lengthscale = (const double[]){0.3};
  process.n_lengthscales = 1;
  process.inducing_points = points;
  process.n_inducing = M;
  EXPECT(covertree_residual_build(F64(points, N, DIM, 0), &process, &all) == COVERTREE_OK);
  for (int i = 0; i < 2; i++)
    EXPECT(covertree_residual_with_points(all, F64(points + i * HALF * DIM, HALF, DIM, 0), NULL, &partitions[i]) == COVERTREE_OK);
  EXPECT(covertree_residual_features(all, F64(points, N, DIM, 0), NULL, v, p) == COVERTREE_OK);
  EXPECT(covertree_residual_knn_given(all, F64(points, N, DIM, 0), FEATURES(v, N, M, 0, p), K, NULL, whole.indices[0],
                                      whole.distances[0])
         == COVERTREE_OK);
  options.scores = first.scores[0];
  EXPECT(covertree_residual_knn_given(partitions[0], F64(points, N, DIM, 0), FEATURES(v, N, M, 0, p), K, &options,
                                      first.indices[0], first.distances[0]) == COVERTREE_OK);
  EXPECT(memcmp(first.scores, first.distances, sizeof first.scores) == 0);
  for (int i = 0; i < N; i++) limits[i] = first.scores[i][K - 1];
  options.scores = second.scores[0];
  options.limits = limits;
  EXPECT(covertree_residual_knn_given(partitions[1], F64(points, N, DIM, 0), FEATURES(v, N, M, 0, p), K, &options,
                                      second.indices[0], second.distances[0]) == COVERTREE_OK);
  expect_merged();

  /* The nearest neighbour among the second half is not nearer than the bound of its outline. */
  EXPECT(covertree_residual_outline(partitions[1], 0, 0.2, NULL, &n_groups, NULL, NULL) == COVERTREE_OK && n_groups == 1);
  EXPECT(covertree_residual_outline(partitions[1], 0, 0.2, NULL, NULL, &pivots, &error) == COVERTREE_OK);
  EXPECT(error > 0 && error < 1);
  EXPECT(covertree_residual_projections(pivots, F64(points, N, DIM, 0), FEATURES(v, N, M, 0, p), NULL, lengths) == COVERTREE_OK);
  for (int i = 0; i < N; i++)
    if (second.indices[i][0] >= 0)
      EXPECT(1 - second.distances[i][0] * second.distances[i][0] <= lengths[i] + error + 1e-12);
  int64_t *rows = malloc(sizeof(int64_t[HALF]));
  for (int i = 0; i < HALF; i++) rows[i] = HALF - 1 - i;
  EXPECT(covertree_residual_bounds(partitions[0], rows, HALF, pivots, error, NULL, lengths) == COVERTREE_OK);
  for (int i = 0; i < HALF; i++)
    if (second.indices[rows[i]][0] >= 0)
      EXPECT(1 - second.distances[rows[i]][0] * second.distances[rows[i]][0] <= lengths[i] + 1e-12);
  rows[7] = HALF;
  EXPECT_ERROR(covertree_residual_bounds(partitions[0], rows, HALF, pivots, error, NULL, lengths), COVERTREE_NOT_FOUND,
               "rows[7]");
  EXPECT_ERROR(covertree_residual_bounds(partitions[0], rows, 1, pivots, NAN, NULL, lengths), COVERTREE_INVALID_ARGUMENT,
               "error");
  free(rows);
  /* The same of outlines of points, also if only some of them count. */
  covertree_outline outlines[2];
  covertree_residual *bases[2];
  int64_t ranks[2][HALF], order[2][HALF], before[N];
  float *coordinates[2], errors[2][HALF];
  covertree_residual_arrays *arrays = NULL;
  covertree_residual_view shown;
  for (int i = 0; i < 2; i++) {
    coordinates[i] = malloc(sizeof(float[HALF][COVERTREE_OUTLINE_COLUMNS]));
    EXPECT(covertree_residual_outline_points(partitions[i], 0.1, NULL, ranks[i], coordinates[i], errors[i], &bases[i]) == COVERTREE_OK);
    EXPECT(covertree_residual_export(partitions[i], NULL, &arrays) == COVERTREE_OK);
    EXPECT(covertree_residual_arrays_get(arrays, &shown) == COVERTREE_OK);
    for (int j = 0; j < HALF; j++) order[i][j] = shown.order[j];
    covertree_residual_arrays_free(arrays);
    outlines[i] = (covertree_outline){bases[i], HALF, ranks[i], coordinates[i], errors[i], order[i]};
  }
  EXPECT(covertree_outline_bounds_given(&outlines[1], F64(points, N, DIM, 0), FEATURES(v, N, M, 0, p), NULL, NULL, lengths)
         == COVERTREE_OK);
  for (int i = 0; i < N; i++)
    if (second.indices[i][0] >= 0)
      EXPECT(1 - second.distances[i][0] * second.distances[i][0] <= lengths[i] + 1e-12);
  EXPECT(covertree_outline_bounds(&outlines[0], &outlines[1], NULL, NULL, lengths) == COVERTREE_OK);
  for (int i = 0; i < HALF; i++)
    if (second.indices[order[0][i]][0] >= 0)
      EXPECT(1 - second.distances[order[0][i]][0] * second.distances[order[0][i]][0] <= lengths[i] + 1e-12);
  for (int i = 0; i < N; i++) before[i] = 0;
  EXPECT(covertree_outline_bounds(&outlines[0], &outlines[1], &(covertree_outline_wanted){before, NULL}, NULL, lengths)
         == COVERTREE_OK);
  for (int i = 0; i < HALF; i++) EXPECT(lengths[i] == 0);
  errors[1][3] = NAN;
  EXPECT_ERROR(covertree_outline_bounds(&outlines[0], &outlines[1], NULL, NULL, lengths), COVERTREE_INVALID_ARGUMENT, "errors[3]");
  errors[1][3] = 1;
  ranks[1][0]++;
  EXPECT_ERROR(covertree_outline_bounds(&outlines[0], &outlines[1], NULL, NULL, lengths), COVERTREE_INVALID_ARGUMENT, "ranks");
  ranks[1][0]--;
  order[1][1] = order[1][0];
  EXPECT_ERROR(covertree_outline_bounds(&outlines[0], &outlines[1], NULL, NULL, lengths), COVERTREE_INVALID_ARGUMENT, "indices[1]");
  EXPECT_ERROR(covertree_residual_outline_points(partitions[0], 0, NULL, ranks[0], coordinates[0], errors[0], &bases[0]),
               COVERTREE_INVALID_ARGUMENT, "tau");
  for (int i = 0; i < 2; i++) {
    free(coordinates[i]);
    covertree_residual_free(bases[i]);
  }

  EXPECT_ERROR(covertree_residual_outline(partitions[1], 1, 0.2, NULL, NULL, &pivots, &error), COVERTREE_INVALID_ARGUMENT,
               "group");
  EXPECT_ERROR(covertree_residual_outline(partitions[1], 0, 1, NULL, NULL, &pivots, &error), COVERTREE_INVALID_ARGUMENT,
               "tau");
  EXPECT_ERROR(covertree_residual_knn_given(all, F64(points, N, DIM, 0), FEATURES(v, N, M - 1, sizeof(double[M]), p),
                                            K, NULL, first.indices[0], NULL), COVERTREE_SHAPE, "v_matrix");
  EXPECT_ERROR(covertree_residual_knn_given(all, F64(points, N, DIM, 0), FEATURES(v, N, M, 0, NULL), K, NULL,
                                            first.indices[0], NULL),
               COVERTREE_INVALID_ARGUMENT, "residual_variance");
  EXPECT_ERROR(covertree_residual_with_points(pivots, F64(points, N, DIM, 0), NULL, &partitions[0]), COVERTREE_UNSUPPORTED, "v_matrix");
  p[5] *= 2;
  EXPECT_ERROR(covertree_residual_projections(pivots, F64(points, N, DIM, 0), FEATURES(v, N, M, 0, p), NULL, lengths),
               COVERTREE_INVALID_ARGUMENT, "residual_variance[5]");
  covertree_residual_free(all);
  covertree_residual_free(pivots);
  for (int i = 0; i < 2; i++) covertree_residual_free(partitions[i]);
  free(v);
  free(p);
  free(lengths);
}

static void test_keys(const double *points) {
  const double low[DIM] = {0, 0, 0}, high[DIM] = {1, 1, 1};
  uint64_t keys[N], again;
  EXPECT(covertree_hilbert_keys(F64(points, N, DIM, 0), low, high, NULL, keys) == COVERTREE_OK);
  for (int i = 0; i < N; i++) {
    EXPECT(covertree_hilbert_keys(F64(points + i * DIM, 1, DIM, 0), low, high, NULL, &again) == COVERTREE_OK);
    EXPECT(again == keys[i]);
  }
  EXPECT_ERROR(covertree_hilbert_keys(F64(points, N, DIM, 0), high, low, NULL, keys), COVERTREE_INVALID_ARGUMENT, "low");
  EXPECT_ERROR(covertree_hilbert_keys(F64(points, N, DIM, 0), NULL, high, NULL, keys), COVERTREE_INVALID_ARGUMENT, "NULL");
}

int main(void) {
  double *points = malloc(sizeof(double[N][DIM]));
  for (int i = 0; i < N * DIM; i++) points[i] = uniform();
  test_tree(points);
  test_residual(points);
  test_keys(points);
  free(points);
  printf("C, partitions: %s\n", failures == 0 ? "passed" : "FAILED");
  return failures != 0;
}
