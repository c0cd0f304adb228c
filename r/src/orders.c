/* Orders and samples of points, and neighbours in the format of BRISC. */
#include "covertree_r.h"

#include <math.h>

SEXP ctr_maxmin_order(SEXP points, SEXP scale) {
  covertree_matrix matrix;
  SEXP wrong = points_of(points, scale, "points", &matrix);
  if (wrong != R_NilValue) return wrong;
  const covertree_call_options options = call_options();
  int64_t *order = (int64_t *)R_alloc((size_t)matrix.rows + 1, sizeof *order);
  const covertree_status status = covertree_maxmin_order(&matrix, &options, order);
  return status == COVERTREE_OK ? rows_of(order, matrix.rows) : failure_of(status);
}

SEXP ctr_spread_sample(SEXP points, SEXP scale, SEXP size, SEXP seed) {
  covertree_matrix matrix;
  SEXP wrong = points_of(points, scale, "points", &matrix);
  if (wrong != R_NilValue) return wrong;
  const covertree_call_options options = call_options();
  const int64_t count = (int64_t)Rf_asReal(size);
  int64_t *sample = (int64_t *)R_alloc((size_t)count + 1, sizeof *sample);
  const covertree_status status =
      covertree_spread_sample(&matrix, count, (uint64_t)Rf_asReal(seed), &options, sample);
  return status == COVERTREE_OK ? rows_of(sample, count) : failure_of(status);
}

/* The distances that BRISC keeps, of points in their order: of each point from its neighbours, and between these, as the
 * lower triangle of a matrix by columns. */
static void brisc_distances(const double *coords, int64_t n, const int *members, int64_t count, int64_t point,
                            double *own, double *between) {
  for (int64_t k = 0; k < count; k++) {
    const int64_t a = members[k];
    own[k] = hypot(coords[point] - coords[a], coords[point + n] - coords[a + n]);
    for (int64_t l = 0; l < count; l++) {
      const int64_t b = members[l];
      between[l * count + k] = l > k ? 0 : hypot(coords[a] - coords[b], coords[a + n] - coords[b + n]);
    }
  }
}

/* `coords` has two columns of doubles, `neighbors` the sets without the points themselves; row i has min(i, width) of them,
 * which R code has checked. */
SEXP ctr_brisc(SEXP coords, SEXP neighbors) {
  const int64_t n = Rf_nrows(neighbors), width = Rf_ncols(neighbors);
  int64_t total = 0, squares = 0;
  for (int64_t i = 0; i < n; i++) {
    const int64_t count = i < width ? i : width;
    total += count;
    squares += count * count;
  }
  if (squares > INT32_MAX) return failure("neighbors: expected at most 2^31 - 1 distances between them, got more");
  SEXP index = PROTECT(Rf_allocVector(INTSXP, total)), bounds = PROTECT(Rf_allocVector(INTSXP, 2 * n));
  SEXP own = PROTECT(Rf_allocVector(REALSXP, total)), between = PROTECT(Rf_allocVector(REALSXP, squares));
  SEXP square_bounds = PROTECT(Rf_allocVector(INTSXP, 2 * n)), length = PROTECT(Rf_ScalarInteger((int)squares));
  const int *numbers = INTEGER(neighbors);
  int64_t first = 0, first_square = 0;
  for (int64_t i = 0; i < n; i++) {
    const int64_t count = i < width ? i : width;
    int *members = INTEGER(index) + first;
    for (int64_t k = 0; k < count; k++) members[k] = numbers[i + k * n] - 1;
    brisc_distances(REAL(coords), n, members, count, i, REAL(own) + first, REAL(between) + first_square);
    INTEGER(bounds)[i] = (int)first;
    INTEGER(bounds)[n + i] = (int)count;
    INTEGER(square_bounds)[i] = (int)first_square;
    INTEGER(square_bounds)[n + i] = (int)(count * count);
    first += count;
    first_square += count * count;
  }
  SEXP result = named_list("nnIndxLU", bounds, "CIndx", square_bounds, "D", between, "d", own, "nnIndx", index, "Length.D",
                           length, (const char *)NULL);
  UNPROTECT(6);
  return result;
}
