/* Your own search on the exported arrays of a tree, from C: the mean of a function over a ball, with each point weighted by a kernel.
 * The arrays are read without a copy. They stay valid when the tree is freed.
 *   cc walk.c $(pkg-config --cflags --libs covertree) -lm */
#include <covertree.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { N = 20000 };

/* The weighted mean of values over the points within r of a query. Nodes are in depth-first order: the next node is the first child.
 * If the whole subtree is too far away, the next node is the one after the subtree. */
static double mean_within(const covertree_arrays_view *tree, const double *query, double r, const double *values,
                          int64_t *visited) {
  const double *points = tree->points, *radius = tree->radius;
  double sum = 0, weights = 0;
  for (int64_t t = 0; t < tree->n_nodes;) {
    double dx = query[0] - points[2 * t], dy = query[1] - points[2 * t + 1];
    double distance = hypot(dx, dy);
    ++*visited;
    if (distance <= r) {
      double weight = exp(-0.5 * distance * distance / (r * r / 4));
      sum += weight * values[tree->order[t]];
      weights += weight;
    }
    t = distance - radius[t] > r * (1 + 1e-12) ? tree->subtree_end[t] : t + 1;
  }
  return sum / weights;
}

int main(void) {
  static double points[N][2], values[N];
  uint64_t state = 1;
  for (int i = 0; i < N; i++) {
    for (int d = 0; d < 2; d++) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      points[i][d] = (double)(state >> 11) / 9007199254740992.0;
    }
    values[i] = sin(6 * points[i][0]) + points[i][1];
  }

  covertree_tree *tree = NULL;
  covertree_arrays *arrays = NULL;
  covertree_arrays_view view;
  covertree_matrix matrix = covertree_matrix_f64(&points[0][0], N, 2);
  if (covertree_tree_build(&matrix, NULL, &tree) != COVERTREE_OK ||
      covertree_tree_export(tree, NULL, &arrays) != COVERTREE_OK || covertree_arrays_get(arrays, &view) != COVERTREE_OK) {
    fprintf(stderr, "%s\n", covertree_last_error());
    return EXIT_FAILURE;
  }
  covertree_tree_free(tree);

  int wrong = 0;
  for (int step = 1; step < 5; step++) {
    const double query[2] = {0.2 * step, 0.5};
    int64_t visited = 0;
    double mean = mean_within(&view, query, 0.05, values, &visited), truth = sin(6 * query[0]) + query[1];
    printf("at (%.1f, %.1f): mean %.3f, the function is %.3f; %lld of %d nodes visited\n", query[0], query[1], mean, truth,
           (long long)visited, N);
    wrong += fabs(mean - truth) > 0.05 || visited > N / 2;
  }
  covertree_arrays_free(arrays);
  return wrong ? EXIT_FAILURE : EXIT_SUCCESS;
}
