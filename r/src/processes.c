/* Processes as R describes them. */
#include "covertree_r.h"

SEXP process_of(SEXP list, process *result) {
  result->shape = Rf_asInteger(VECTOR_ELT(list, 0));
  result->variance = Rf_asReal(VECTOR_ELT(list, 1));
  result->lengthscale = REAL(VECTOR_ELT(list, 2));
  result->n_lengthscales = XLENGTH(VECTOR_ELT(list, 2));
  result->jitter = Rf_asReal(VECTOR_ELT(list, 4));
  result->noise = Rf_asReal(VECTOR_ELT(list, 5));
  result->inducing = covertree_matrix_f64(NULL, 0, 0);
  SEXP inducing = VECTOR_ELT(list, 3);
  if (inducing == R_NilValue) return R_NilValue;
  return points_of(inducing, R_NilValue, "inducing_points", &result->inducing);
}
