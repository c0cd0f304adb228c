/* Exported arrays from C: their contents, how long they live, and when they are stale. */
#include "expect.h"

#include <covertree.h>

#include <math.h>
#include <stdlib.h>

enum { N = 900, DIM = 2, M = 21 };

static covertree_residual *build(const double *points) {
  covertree_residual_options options;
  covertree_residual_options_init(&options);
  const double lengthscale = 0.4;
  options.lengthscale = &lengthscale, options.n_lengthscales = 1;
  options.variance = 2;
  options.inducing_points = points, options.n_inducing = M;
  covertree_residual *model = NULL;
  EXPECT(covertree_residual_build(F64(points, N, DIM, 0), &options, &model) == COVERTREE_OK);
  return model;
}

static double dot(const double *x, const double *y, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += x[i] * y[i];
  return sum;
}

static void check_view(const covertree_residual_view *view, const double *points) {
  EXPECT(view->n_points == N && view->dim == DIM && view->n_features == M && view->feature_stride == 24);
  EXPECT(view->kernel == COVERTREE_KERNEL_RBF && view->kernel_variance == 2 && view->variance == 2);
  EXPECT(view->block_size == 256 && view->n_blocks == 4 && view->n_regions == 4 && view->blocks_per_region == 1);
  const void *const arrays[] = {
      view->order,         view->positions, view->coordinates,         view->v_matrix,     view->residual_variance,
      view->scales,        view->pivots,  view->coefficient_offsets, view->coefficients, view->remaining_norms,
      view->pivot_offsets, view->bounds,  view->product_offsets,     view->products,
  };
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
    EXPECT(arrays[i] != NULL && (uintptr_t)arrays[i] % 64 == 0);
  for (int64_t position = 0; position < N; position++) {
    const double *v = view->v_matrix + position * view->feature_stride;
    EXPECT(view->positions[view->order[position]] == position);
    for (int64_t d = 0; d < DIM; d++)
      EXPECT(view->coordinates[position * DIM + d] == points[view->order[position] * DIM + d] / 0.4);
    EXPECT(fabs(dot(v, v, M) + view->residual_variance[position] - 2) < 1e-9);
    for (int64_t column = M; column < view->feature_stride; column++) EXPECT(v[column] == 0);
    EXPECT(position % 256 == 0 || view->order[position] > view->order[position - 1]);
  }
  /* Within a block, products of coefficients are correlations as far as the remaining norms say. */
  int64_t rank = view->coefficient_offsets[1] / 256;
  for (int64_t i = 0; i < 64; i++)
    for (int64_t j = 0; j < 64; j++) {
      double estimate = 0, squared = 0;
      for (int64_t t = 0; t < rank; t++)
        estimate += (double)view->coefficients[(i / 32 * rank + t) * 32 + i % 32] *
                    (double)view->coefficients[(j / 32 * rank + t) * 32 + j % 32];
      for (int64_t d = 0; d < DIM; d++)
        squared += pow(view->coordinates[i * DIM + d] - view->coordinates[j * DIM + d], 2);
      double product = dot(view->v_matrix + i * view->feature_stride, view->v_matrix + j * view->feature_stride, M);
      double rho = (2 * exp(-squared / 2) - product) / sqrt(view->residual_variance[i] * view->residual_variance[j]);
      EXPECT(fabs(estimate - rho) <= (double)view->remaining_norms[i] * (double)view->remaining_norms[j] + 1e-5);
    }
}

static void test_model(const double *points) {
  covertree_residual *model = build(points);
  covertree_residual_arrays *arrays = NULL, *again = NULL;
  covertree_residual_view view, other;
  EXPECT(covertree_residual_export(model, NULL, &arrays) == COVERTREE_OK);
  EXPECT(covertree_residual_export(model, NULL, &again) == COVERTREE_OK);
  EXPECT(covertree_residual_arrays_get(arrays, &view) == COVERTREE_OK);
  EXPECT(covertree_residual_arrays_get(again, &other) == COVERTREE_OK);
  EXPECT(view.v_matrix == other.v_matrix && view.products == other.products);
  covertree_residual_arrays_free(again);
  check_view(&view, points);

  double new_points[2 * DIM] = {0.3, 0.4, points[0], points[1]}, v[2 * M], p[2];
  double *all_v = malloc(sizeof(double[N][M])), *all_p = malloc(sizeof(double[N]));
  EXPECT(covertree_residual_features(model, F64(new_points, 2, DIM, 0), NULL, v, p) == COVERTREE_OK);
  EXPECT(covertree_residual_features(model, NULL, NULL, all_v, all_p) == COVERTREE_OK);
  EXPECT(memcmp(v + M, all_v, sizeof(double[M])) == 0 && p[1] == all_p[0]);
  EXPECT(fabs(dot(v, v, M) + p[0] - 2) < 1e-9);
  EXPECT(covertree_residual_features(model, F64(new_points, 2, DIM, 0), NULL, NULL, NULL) == COVERTREE_OK);
  EXPECT_ERROR(covertree_residual_features(model, F64(new_points, 1, DIM + 1, 0), NULL, v, p), COVERTREE_SHAPE, "columns");
  new_points[1] = NAN;
  EXPECT_ERROR(covertree_residual_features(model, F64(new_points, 1, DIM, 0), NULL, v, p), COVERTREE_INVALID_ARGUMENT, "finite");
  free(all_v);
  free(all_p);

  EXPECT(view.is_current == 1);
  covertree_residual_free(model);
  EXPECT(covertree_residual_arrays_get(arrays, &view) == COVERTREE_OK && view.is_current == 0);
  check_view(&view, points); /* they live as long as their handle */
  EXPECT_ERROR(covertree_residual_arrays_get(NULL, &view), COVERTREE_INVALID_ARGUMENT, "arrays");
  EXPECT_ERROR(covertree_residual_arrays_get(arrays, NULL), COVERTREE_INVALID_ARGUMENT, "view");
  EXPECT_ERROR(covertree_residual_export(NULL, NULL, &again), COVERTREE_INVALID_ARGUMENT, "residual");
  covertree_residual_arrays_free(arrays);
  EXPECT_ERROR(covertree_residual_arrays_get(arrays, &view), COVERTREE_INVALID_ARGUMENT, "freed");
}

static void test_tree(const double *points) {
  covertree_tree *tree = NULL;
  covertree_arrays *arrays = NULL, *after = NULL;
  covertree_arrays_view view;
  EXPECT(covertree_tree_build(F64(points, N / 2, DIM, 0), NULL, &tree) == COVERTREE_OK);
  EXPECT(covertree_tree_export(tree, NULL, &arrays) == COVERTREE_OK);
  EXPECT(covertree_arrays_get(arrays, &view) == COVERTREE_OK && view.is_current == 1);
  EXPECT(covertree_tree_insert(tree, F64(points + N / 2 * DIM, N / 2, DIM, 0), NULL, NULL) == COVERTREE_OK);
  EXPECT(covertree_arrays_get(arrays, &view) == COVERTREE_OK && view.is_current == 0 && view.n_nodes == N / 2);
  EXPECT(covertree_tree_export(tree, NULL, &after) == COVERTREE_OK);
  EXPECT(covertree_arrays_get(after, &view) == COVERTREE_OK && view.is_current == 1);
  covertree_tree_free(tree);
  EXPECT(covertree_arrays_get(after, &view) == COVERTREE_OK && view.is_current == 0);
  EXPECT_ERROR(covertree_arrays_get(NULL, &view), COVERTREE_INVALID_ARGUMENT, "arrays");
  EXPECT_ERROR(covertree_arrays_get(after, NULL), COVERTREE_INVALID_ARGUMENT, "view");
  covertree_arrays_free(arrays);
  covertree_arrays_free(after);
}

int main(void) {
  double *points = malloc(sizeof(double[N][DIM]));
  for (int i = 0; i < N * DIM; i++) points[i] = uniform();
  test_model(points);
  test_tree(points);
  free(points);
  printf("C, arrays: %s\n", failures == 0 ? "passed" : "FAILED");
  return failures != 0;
}
