/* Points that come and go one by one, from C. Each loop returns the seconds of all its calls and stops when that is more than
 * `most`; `done` is how many calls it made, `longest` the seconds of the slowest. */
#include <covertree.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

typedef covertree_status (*covertree_insert)(covertree_tree *, const covertree_matrix *, const covertree_call_options *,
                                             int64_t *);
typedef covertree_status (*covertree_remove)(covertree_tree *, const int64_t *, int64_t, const covertree_call_options *);

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Makes `CALL` for each `i` of `n`, and returns from the function. */
#define TIMED(CALL)                                    \
  double start = now(), last = start;                  \
  *longest = 0;                                        \
  for (*done = 0; *done < n && last - start < most;) { \
    int64_t i = (*done)++;                             \
    if (CALL) abort();                                 \
    double end = now();                                \
    if (end - last > *longest) *longest = end - last;  \
    last = end;                                        \
  }                                                    \
  return last - start

double insert_loop(covertree_insert insert, covertree_tree *tree, const float *points, int64_t n, int64_t dim,
                   double most, int64_t *done, double *longest) {
  covertree_matrix point = covertree_matrix_f32(points, 1, dim);
  TIMED((point.data = points + i * dim, insert(tree, &point, NULL, NULL)));
}

double remove_loop(covertree_remove remove_one, covertree_tree *tree, const int64_t *indices, int64_t n, double most,
                   int64_t *done, double *longest) {
  TIMED(remove_one(tree, indices + i, 1, NULL));
}
