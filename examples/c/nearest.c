/* The three nearest points of a query, from C.
 *   cc nearest.c $(pkg-config --cflags --libs covertree) */
#include <covertree.h>
#include <stdio.h>

int main(void) {
  const double coordinates[][2] = {{0, 0}, {3, 4}, {1, 1}, {6, 8}, {-1, 0}};
  const double query[2] = {0.5, 0.25};
  const int64_t n = sizeof coordinates / sizeof *coordinates;
  covertree_matrix points = covertree_matrix_f64(&coordinates[0][0], n, 2);
  covertree_matrix queries = covertree_matrix_f64(query, 1, 2);

  covertree_tree *tree = NULL;
  int64_t indices[3];
  double distances[3];
  if (covertree_tree_build(&points, NULL, &tree) != COVERTREE_OK ||
      covertree_tree_knn(tree, &queries, 3, NULL, indices, distances) != COVERTREE_OK) {
    fprintf(stderr, "%s\n", covertree_last_error());
    return 1;
  }
  printf("%s\n", covertree_build_info());
  for (int rank = 0; rank < 3; rank++) {
    const double *nearest = coordinates[indices[rank]];
    printf("(%g, %g) at distance %.4f\n", nearest[0], nearest[1], distances[rank]);
  }
  covertree_tree_free(tree);
  return 0;
}
