/* Gaussian processes. */
#include "covertree_r.h"

static covertree_vif_options vif_options(const process *given) {
  covertree_vif_options options;
  covertree_vif_options_init(&options);
  options.progress = interrupted;
  options.kernel = given->shape;
  options.variance = given->variance;
  options.lengthscale = given->lengthscale;
  options.n_lengthscales = given->n_lengthscales;
  options.inducing_points = given->inducing.data;
  options.n_inducing = given->inducing.rows;
  options.jitter = given->jitter;
  options.noise = &given->noise;
  options.n_noise = 1;
  return options;
}

/* `neighbors` is an NNarray as of GpGp, in the order of the ranks. */
SEXP ctr_vif_build(SEXP points, SEXP order, SEXP neighbors, SEXP list) {
  covertree_matrix matrix;
  process given;
  sets conditioning;
  SEXP wrong = points_of(points, R_NilValue, "points", &matrix);
  if (wrong == R_NilValue) wrong = process_of(list, &given);
  if (wrong == R_NilValue) wrong = sets_of(neighbors, 1, 0, 1, &conditioning);
  if (wrong != R_NilValue) return wrong;
  const covertree_vif_options options = vif_options(&given);
  const int64_t *rows = numbers_of(order);
  SEXP pointer = PROTECT(new_pointer(VIF));
  covertree_vif *vif = NULL;
  const covertree_status status =
      covertree_vif_build(&matrix, rows, conditioning.offsets, conditioning.members, &options, &vif);
  if (status == COVERTREE_OK) adopt(pointer, vif);
  UNPROTECT(1);
  return status == COVERTREE_OK ? pointer : failure_of(status);
}

/* The same points, sets and inducing points with the kernel and noise of a process. */
SEXP ctr_vif_with_parameters(SEXP vif, SEXP list) {
  process given;
  SEXP wrong = process_of(list, &given);
  if (wrong != R_NilValue) return wrong;
  const covertree_vif_options options = vif_options(&given);
  SEXP pointer = PROTECT(new_pointer(VIF));
  covertree_vif *other = NULL;
  const covertree_status status = covertree_vif_with_parameters(handle_of(vif, VIF), &options, &other);
  if (status == COVERTREE_OK) adopt(pointer, other);
  UNPROTECT(1);
  return status == COVERTREE_OK ? pointer : failure_of(status);
}

/* The log likelihood of each column of y; with its gradient, by the logarithms of the noise, the variance and the
 * lengthscales, a list. */
SEXP ctr_vif_log_likelihood(SEXP vif, SEXP y, SEXP gradient) {
  covertree_matrix matrix;
  SEXP wrong = points_of(y, R_NilValue, "y", &matrix);
  if (wrong != R_NilValue) return wrong;
  const covertree_call_options options = call_options();
  covertree_vif_info info = {0};
  covertree_status status = covertree_vif_get_info(handle_of(vif, VIF), &info);
  if (status != COVERTREE_OK) return failure_of(status);
  double *values = (double *)R_alloc((size_t)matrix.columns, sizeof *values), *gradients = NULL;
  if (Rf_asLogical(gradient))
    gradients = (double *)R_alloc((size_t)(matrix.columns * info.n_parameters), sizeof *gradients);
  status = covertree_vif_log_likelihood(handle_of(vif, VIF), &matrix, &options, values, gradients);
  if (status != COVERTREE_OK) return failure_of(status);
  SEXP value = PROTECT(vector_of(values, matrix.columns)), result = value;
  if (gradients) {
    SEXP slopes = PROTECT(matrix_of(gradients, matrix.columns, info.n_parameters));
    result = named_list("value", value, "gradient", slopes, (const char *)NULL);
    UNPROTECT(1);
  }
  UNPROTECT(1);
  return result;
}

SEXP ctr_vif_solve(SEXP vif, SEXP y) {
  covertree_matrix matrix;
  SEXP wrong = points_of(y, R_NilValue, "y", &matrix);
  if (wrong != R_NilValue) return wrong;
  const covertree_call_options options = call_options();
  double *solution = (double *)R_alloc((size_t)(matrix.rows * matrix.columns), sizeof *solution);
  const covertree_status status = covertree_vif_solve(handle_of(vif, VIF), &matrix, &options, solution);
  return status == COVERTREE_OK ? matrix_of(solution, matrix.rows, matrix.columns) : failure_of(status);
}

/* New points and their sets: among the data, or, if they are `joint`, also among the new points before. */
static SEXP new_points(SEXP vif, SEXP points, SEXP neighbors, int joint, covertree_vif_points *result) {
  covertree_vif_info info = {0};
  sets conditioning;
  const covertree_status status = covertree_vif_get_info(handle_of(vif, VIF), &info);
  if (status != COVERTREE_OK) return failure_of(status);
  SEXP wrong = points_of(points, R_NilValue, "points", &result->points);
  if (wrong == R_NilValue) wrong = sets_of(neighbors, 0, info.n_points, joint, &conditioning);
  if (wrong != R_NilValue) return wrong;
  result->offsets = conditioning.offsets;
  result->neighbors = conditioning.members;
  result->noise = 0;
  return R_NilValue;
}

/* Means, a column for each of y, and variances without noise. */
SEXP ctr_vif_predict(SEXP vif, SEXP y, SEXP points, SEXP neighbors) {
  covertree_matrix matrix;
  covertree_vif_points given;
  SEXP wrong = points_of(y, R_NilValue, "y", &matrix);
  if (wrong == R_NilValue) wrong = new_points(vif, points, neighbors, 0, &given);
  if (wrong != R_NilValue) return wrong;
  const covertree_call_options options = call_options();
  const int64_t count = given.points.rows;
  double *means = (double *)R_alloc((size_t)(count * matrix.columns) + 1, sizeof *means);
  double *variances = (double *)R_alloc((size_t)count + 1, sizeof *variances);
  const covertree_status status =
      covertree_vif_predict(handle_of(vif, VIF), &matrix, &given, &options, means, variances);
  if (status != COVERTREE_OK) return failure_of(status);
  SEXP mean = PROTECT(matrix_of(means, count, matrix.columns)), variance = PROTECT(vector_of(variances, count));
  SEXP result = named_list("mean", mean, "variance", variance, (const char *)NULL);
  UNPROTECT(2);
  return result;
}

/* Means, a column for each of y, and, if it is wanted, the covariance of new points, with their noise. */
SEXP ctr_vif_predict_jointly(SEXP vif, SEXP y, SEXP points, SEXP neighbors, SEXP noise, SEXP covariance) {
  covertree_matrix matrix;
  covertree_vif_points given;
  SEXP wrong = points_of(y, R_NilValue, "y", &matrix);
  if (wrong == R_NilValue) wrong = new_points(vif, points, neighbors, 1, &given);
  if (wrong != R_NilValue) return wrong;
  given.noise = Rf_asReal(noise);
  const covertree_call_options options = call_options();
  const int64_t count = given.points.rows;
  double *means = (double *)R_alloc((size_t)(count * matrix.columns) + 1, sizeof *means), *covariances = NULL;
  if (Rf_asLogical(covariance)) covariances = (double *)R_alloc((size_t)(count * count) + 1, sizeof *covariances);
  const covertree_status status =
      covertree_vif_predict_jointly(handle_of(vif, VIF), &matrix, &given, &options, means, covariances);
  if (status != COVERTREE_OK) return failure_of(status);
  SEXP mean = PROTECT(matrix_of(means, count, matrix.columns));
  SEXP spread = PROTECT(covariances ? matrix_of(covariances, count, count) : R_NilValue);
  SEXP result = named_list("mean", mean, "covariance", spread, (const char *)NULL);
  UNPROTECT(2);
  return result;
}

/* Draws, a column each: at the data if `points` is NULL, or deviations at new points from their means. A column of `normals`
 * has the standard normal numbers of a draw. */
SEXP ctr_vif_draw(SEXP vif, SEXP points, SEXP neighbors, SEXP noise, SEXP normals) {
  covertree_vif_points given;
  covertree_vif_info info = {0};
  covertree_status status = covertree_vif_get_info(handle_of(vif, VIF), &info);
  if (status != COVERTREE_OK) return failure_of(status);
  SEXP wrong = points == R_NilValue ? R_NilValue : new_points(vif, points, neighbors, 1, &given);
  if (wrong != R_NilValue) return wrong;
  given.noise = Rf_asReal(noise);
  const covertree_call_options options = call_options();
  const int64_t count = points == R_NilValue ? info.n_points : given.points.rows, n_draws = Rf_ncols(normals);
  /* Draws are rows of the library, and columns of R: the same numbers in the same order. */
  SEXP draws = PROTECT(Rf_allocMatrix(REALSXP, (int)count, (int)n_draws));
  status = covertree_vif_draw(handle_of(vif, VIF), points == R_NilValue ? NULL : &given, REAL(normals), n_draws, &options,
                              REAL(draws));
  UNPROTECT(1);
  return status == COVERTREE_OK ? draws : failure_of(status);
}

SEXP ctr_vif_info(SEXP vif) {
  covertree_vif_info info = {0};
  const covertree_status status = covertree_vif_get_info(handle_of(vif, VIF), &info);
  if (status != COVERTREE_OK) return failure_of(status);
  SEXP jitter = PROTECT(Rf_ScalarReal(info.jitter)), memory = PROTECT(Rf_ScalarReal((double)info.memory_bytes));
  SEXP determinant = PROTECT(Rf_ScalarReal(info.log_determinant));
  SEXP result = named_list("jitter", jitter, "memory", memory, "log_determinant", determinant, (const char *)NULL);
  UNPROTECT(3);
  return result;
}
