/* Queries one by one from C: ours, and pykdtree's through the functions that its extension module shows. Each loop returns the
 * seconds a query of its best turn. */
#include <covertree.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

enum { TURNS = 5 };

typedef covertree_status (*covertree_knn)(covertree_tree *, const covertree_matrix *, int64_t,
                                          const covertree_search_options *, int64_t *, void *);
typedef void (*pykdtree_search)(void *tree, float *points, float *queries, uint32_t n_queries, uint32_t k, float bound,
                                float eps, uint8_t *mask, uint32_t *indices, float *distances);

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Allocates `k` results, runs `SEARCH` for each query `i` of `n`, some turns, and returns from the function. */
#define BEST_OF_TURNS(index_type, SEARCH)                      \
  index_type *indices = malloc((size_t)k * sizeof *indices);   \
  float *distances = malloc((size_t)k * sizeof *distances);    \
  double best = 1e9;                                           \
  for (int turn = 0; turn < TURNS; turn++) {                   \
    double start = now();                                      \
    for (int64_t i = 0; i < n; i++) SEARCH;                    \
    double took = (now() - start) / (double)n;                 \
    if (took < best) best = took;                              \
  }                                                            \
  free(indices);                                               \
  free(distances);                                             \
  return best

double covertree_loop(covertree_knn knn, covertree_tree *tree, const float *queries, int64_t n, int64_t dim, int64_t k) {
  covertree_matrix query = covertree_matrix_f32(queries, 1, dim);
  BEST_OF_TURNS(int64_t, {
    query.data = queries + i * dim;
    if (knn(tree, &query, k, NULL, indices, distances)) abort();
  });
}

double pykdtree_loop(pykdtree_search search, void *tree, float *points, float *queries, int64_t n, int64_t dim,
                     int64_t k) {
  BEST_OF_TURNS(uint32_t,
                search(tree, points, queries + i * dim, 1, (uint32_t)k, 1e30f, 0, NULL, indices, distances));
}
