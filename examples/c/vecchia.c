/* The conditioning sets of a Vecchia approximation, from C: a grid of points in max-min order, each with its 5 nearest
 * predecessors in the residual-correlation metric of a Matern 5/2 process with 16 inducing points.
 *   cc vecchia.c $(pkg-config --cflags --libs covertree) */
#include <covertree.h>
#include <stdio.h>
#include <string.h>

enum { SIDE = 20, N = SIDE * SIDE, M = 16, K = 5 };

static int failed(covertree_status status) {
  if (status != COVERTREE_OK) fprintf(stderr, "%s\n", covertree_last_error());
  return status != COVERTREE_OK;
}

int main(void) {
  static double grid[N][2], points[N][2], inducing[M][2], distances[N][K];
  static int64_t order[N], sample[M], neighbors[N][K];
  for (int i = 0; i < N; i++) {
    grid[i][0] = i % SIDE / (double)SIDE;
    grid[i][1] = i / SIDE / (double)SIDE;
  }
  covertree_matrix all = covertree_matrix_f64(&grid[0][0], N, 2), matrix = covertree_matrix_f64(&points[0][0], N, 2);
  if (failed(covertree_maxmin_order(&all, NULL, order))) return 1;
  for (int rank = 0; rank < N; rank++) memcpy(points[rank], grid[order[rank]], sizeof points[rank]);
  if (failed(covertree_spread_sample(&matrix, M, 1, NULL, sample))) return 1;
  for (int j = 0; j < M; j++) memcpy(inducing[j], points[sample[j]], sizeof inducing[j]);

  const double lengthscale = 0.3;
  covertree_residual_options options;
  covertree_residual_options_init(&options);
  options.kernel = COVERTREE_KERNEL_MATERN52;
  options.lengthscale = &lengthscale;
  options.n_lengthscales = 1;
  options.inducing_points = &inducing[0][0];
  options.n_inducing = M;
  covertree_residual *residual = NULL;
  if (failed(covertree_residual_build(&matrix, &options, &residual))) return 1;

  covertree_search_options search;
  covertree_search_options_init(&search);
  search.flags = COVERTREE_SEARCH_PREDECESSORS;
  covertree_matrix queries = covertree_matrix_i64(NULL, N); /* all points of the model */
  if (failed(covertree_residual_knn(residual, &queries, K, &search, &neighbors[0][0], &distances[0][0]))) return 1;
  for (int rank = N - 3; rank < N; rank++) {
    printf("(%.2f, %.2f) is conditioned on", points[rank][0], points[rank][1]);
    for (int k = 0; k < K; k++) {
      const double *point = points[neighbors[rank][k]];
      printf(" (%.2f, %.2f)", point[0], point[1]);
    }
    printf("\n");
  }
  covertree_residual_free(residual);
  return 0;
}
