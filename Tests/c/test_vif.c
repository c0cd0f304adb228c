/* The Gaussian process from C: the exact limit, its gradient, prediction, and refused arguments. */
#include "expect.h"

#include <covertree.h>

#include <math.h>

enum { N = 60, DIM = 2, M = 8, PAIRS = N * (N - 1) / 2, PARAMETERS = 2 + DIM };

static double points[N][DIM], y[N];
static int64_t order[N], offsets[N + 1], neighbors[PAIRS];
/* Logarithms of noise, variance and lengthscales. */
static const double parameters[PARAMETERS] = {-2.0, 0.4, -1.0, -0.5};

static void fill(void) {
  int64_t next = 0;
  for (int i = 0; i < N; i++) {
    for (int d = 0; d < DIM; d++) points[i][d] = uniform();
    y[i] = uniform() - 0.5;
    order[i] = (i * 7 + 3) % N;
    for (int j = 0; j < i; j++) neighbors[next++] = j;
    offsets[i + 1] = next;
  }
}

static double kernel(const double *theta, const double *a, const double *b) {
  double squared = 0;
  for (int d = 0; d < DIM; d++) squared += pow((a[d] - b[d]) / exp(theta[2 + d]), 2);
  double t = sqrt(3 * squared);
  return exp(theta[1]) * (1 + t) * exp(-t);
}

/* By a dense Cholesky factorisation. */
static double dense_log_likelihood(const double *theta) {
  static double l[N][N], white[N];
  double sum = N * log(2 * acos(-1.0));
  for (int i = 0; i < N; i++)
    for (int j = 0; j <= i; j++) {
      double value = kernel(theta, points[i], points[j]) + (i == j ? exp(theta[0]) : 0);
      for (int k = 0; k < j; k++) value -= l[i][k] * l[j][k];
      l[i][j] = i == j ? sqrt(value) : value / l[j][j];
    }
  for (int i = 0; i < N; i++) {
    white[i] = y[i];
    for (int k = 0; k < i; k++) white[i] -= l[i][k] * white[k];
    white[i] /= l[i][i];
    sum += white[i] * white[i] + 2 * log(l[i][i]);
  }
  return -sum / 2;
}

static covertree_vif_options options_of(const double *theta, double *numbers) {
  covertree_vif_options options;
  covertree_vif_options_init(&options);
  for (int d = 0; d < DIM; d++) numbers[d] = exp(theta[2 + d]);
  numbers[DIM] = exp(theta[0]);
  options.kernel = COVERTREE_KERNEL_MATERN32;
  options.variance = exp(theta[1]);
  options.lengthscale = numbers;
  options.n_lengthscales = DIM;
  options.noise = numbers + DIM;
  options.n_noise = 1;
  options.inducing_points = points[0];
  options.n_inducing = M;
  return options;
}

static void test_exact_process(void) {
  double numbers[DIM + 1], value, gradient[PARAMETERS], solution[N], diagonal[N];
  covertree_vif_options options = options_of(parameters, numbers);
  covertree_vif *vif = NULL, *other = NULL;
  covertree_vif_info info;
  EXPECT(covertree_vif_build(F64(points, N, DIM, 0), order, offsets, neighbors, &options, &vif) == COVERTREE_OK);
  EXPECT(covertree_vif_log_likelihood(vif, F64(y, N, 1, 0), NULL, &value, gradient) == COVERTREE_OK);
  EXPECT(fabs(value - dense_log_likelihood(parameters)) < 1e-6);
  for (int p = 0; p < PARAMETERS; p++) {
    double theta[PARAMETERS], moved[2];
    for (int side = 0; side < 2; side++) {
      memcpy(theta, parameters, sizeof theta);
      theta[p] += side ? 1e-4 : -1e-4;
      moved[side] = dense_log_likelihood(theta);
      options = options_of(theta, numbers);
      EXPECT(covertree_vif_with_parameters(vif, &options, &other) == COVERTREE_OK);
      EXPECT(covertree_vif_log_likelihood(other, F64(y, N, 1, 0), NULL, &value, NULL) == COVERTREE_OK);
      EXPECT(fabs(value - moved[side]) < 1e-6);
      covertree_vif_free(other);
    }
    EXPECT(fabs(gradient[p] - (moved[1] - moved[0]) / 2e-4) < 1e-4);
  }
  EXPECT(covertree_vif_get_info(vif, &info) == COVERTREE_OK);
  EXPECT(info.n_points == N && info.dim == DIM && info.n_inducing == M && info.n_neighbors == PAIRS);
  EXPECT(info.n_parameters == PARAMETERS && info.jitter == 1e-6);
  EXPECT(covertree_vif_solve(vif, F64(y, N, 1, 0), NULL, solution) == COVERTREE_OK);
  for (int i = 0; i < N; i++) {
    double sum = exp(parameters[0]) * solution[i];
    for (int j = 0; j < N; j++) sum += kernel(parameters, points[i], points[j]) * solution[j];
    EXPECT(fabs(sum - y[i]) < 1e-6);
  }
  /* The columns of the inverse, whose diagonal it is. */
  EXPECT(covertree_vif_precision(vif, NULL, diagonal) == COVERTREE_OK);
  for (int i = 0; i < N; i++) {
    double unit[N] = {0};
    unit[i] = 1;
    EXPECT(covertree_vif_solve(vif, F64(unit, N, 1, 0), NULL, solution) == COVERTREE_OK);
    EXPECT(fabs(solution[i] / diagonal[i] - 1) < 1e-6);
  }
  EXPECT_ERROR(covertree_vif_precision(vif, NULL, NULL), COVERTREE_INVALID_ARGUMENT, "diagonal: ");
  covertree_vif_free(vif);
  EXPECT_ERROR(covertree_vif_precision(vif, NULL, diagonal), COVERTREE_INVALID_ARGUMENT, "vif: ");
  EXPECT_ERROR(covertree_vif_get_info(vif, &info), COVERTREE_INVALID_ARGUMENT, "vif: ");
}

/* From all data, the mean at a datum is the data less the noise times the solution. */
static void test_prediction(void) {
  double numbers[DIM + 1], solution[N], means[N], variances[N], joint[N], covariance[N * N], weights[PAIRS], d[N], v[N * M];
  int64_t all[N * N], ends[N + 1] = {0};
  covertree_vif_options options = options_of(parameters, numbers);
  covertree_vif *vif = NULL;
  for (int i = 0; i < N; i++) {
    for (int j = 0; j < N; j++) all[i * N + j] = j;
    ends[i + 1] = (i + 1) * N;
  }
  EXPECT(covertree_vif_build(F64(points, N, DIM, 0), order, offsets, neighbors, &options, &vif) == COVERTREE_OK);
  EXPECT(covertree_vif_solve(vif, F64(y, N, 1, 0), NULL, solution) == COVERTREE_OK);
  covertree_vif_points new = {*F64(points, N, DIM, 0), ends, all, exp(parameters[0])};
  EXPECT(covertree_vif_predict(vif, F64(y, N, 1, 0), &new, NULL, means, variances) == COVERTREE_OK);
  for (int i = 0; i < N; i++) {
    EXPECT(fabs(means[i] - (y[i] - exp(parameters[0]) * solution[i])) < 1e-6);
    EXPECT(variances[i] > 0 && variances[i] < exp(parameters[0]));
  }
  EXPECT(covertree_vif_factor(vif, weights, d, v) == COVERTREE_OK);
  for (int i = 0; i < N; i++) EXPECT(d[i] > 0);
  EXPECT(covertree_vif_predict_jointly(vif, F64(y, N, 1, 0), &new, NULL, joint, covariance) == COVERTREE_OK);
  for (int i = 0; i < N; i++) {
    EXPECT(fabs(joint[i] - means[i]) < 1e-9);
    EXPECT(fabs(covariance[i * N + i] - variances[i] - exp(parameters[0])) < 1e-6);
  }
  /* Without random numbers a draw is 0; with one for the first new point it is its deviation there. */
  double normals[M + N] = {0}, draw[N];
  normals[M] = 1;
  EXPECT(covertree_vif_draw(vif, &new, normals, 1, NULL, draw) == COVERTREE_OK);
  EXPECT(draw[0] > 0 && draw[1] == 0);
  EXPECT(covertree_vif_draw(vif, NULL, normals, 1, NULL, draw) == COVERTREE_OK);
  EXPECT(draw[order[0]] > 0);
  EXPECT_ERROR(covertree_vif_predict(vif, F64(y, N - 1, 1, 0), &new, NULL, means, NULL), COVERTREE_SHAPE, "y: expected 60 rows");
  EXPECT_ERROR(covertree_vif_predict(vif, F64(y, N, 1, 0), NULL, NULL, means, NULL), COVERTREE_INVALID_ARGUMENT, "points: is NULL");
  all[3] = N;
  EXPECT_ERROR(covertree_vif_predict(vif, F64(y, N, 1, 0), &new, NULL, means, NULL), COVERTREE_INVALID_ARGUMENT,
               "neighbors: expected ranks below 60 in set 0, got 60");
  all[3] = 2;
  EXPECT_ERROR(covertree_vif_predict(vif, F64(y, N, 1, 0), &new, NULL, means, NULL), COVERTREE_INVALID_ARGUMENT,
               "neighbors: rank 2 is twice in set 0");
  all[3] = 3;
  new.noise = -1;
  EXPECT_ERROR(covertree_vif_draw(vif, &new, normals, 1, NULL, draw), COVERTREE_INVALID_ARGUMENT, "noise: expected");
  covertree_vif_free(vif);
}

static void test_refused(void) {
  double numbers[DIM + 1];
  covertree_vif_options options = options_of(parameters, numbers);
  covertree_vif *vif = NULL;
  int64_t wrong[N + 1];
  EXPECT_ERROR(covertree_vif_build(NULL, NULL, offsets, neighbors, &options, &vif), COVERTREE_INVALID_ARGUMENT, "points: is NULL");
  EXPECT_ERROR(covertree_vif_build(F64(points, N, DIM, 0), NULL, NULL, neighbors, &options, &vif), COVERTREE_INVALID_ARGUMENT,
               "offsets: is NULL");
  memcpy(wrong, offsets, sizeof wrong);
  wrong[5] = 0;
  EXPECT_ERROR(covertree_vif_build(F64(points, N, DIM, 0), NULL, wrong, neighbors, &options, &vif), COVERTREE_INVALID_ARGUMENT,
               "offsets: expected ascending numbers");
  memcpy(wrong, order, sizeof wrong - sizeof *wrong);
  wrong[1] = wrong[0];
  EXPECT_ERROR(covertree_vif_build(F64(points, N, DIM, 0), wrong, offsets, neighbors, &options, &vif), COVERTREE_INVALID_ARGUMENT,
               "order: expected every row");
  numbers[DIM] = -1;
  EXPECT_ERROR(covertree_vif_build(F64(points, N, DIM, 0), order, offsets, neighbors, &options, &vif), COVERTREE_INVALID_ARGUMENT,
               "noise: expected a finite number from 0 up, at most 2^400, got -1");
  EXPECT(vif == NULL);
  double large[N] = {0}, value;
  numbers[DIM] = 1;
  large[3] = 1e61;
  EXPECT(covertree_vif_build(F64(points, N, DIM, 0), order, offsets, neighbors, &options, &vif) == COVERTREE_OK);
  EXPECT_ERROR(covertree_vif_log_likelihood(vif, F64(large, N, 1, 0), NULL, &value, NULL), COVERTREE_INVALID_ARGUMENT,
               "y[3, 0]: expected a finite number of a size up to 2^200, got 1e+61");
  covertree_vif_free(vif);
}

/* A new point that equals a datum, before that datum in the set of another. */
static void test_equal_points_without_noise(void) {
  double numbers[DIM + 1], twins[2][DIM], means[2], covariance[4];
  int64_t ends[] = {0, 0, 2}, sets[] = {N, 7};
  covertree_vif_options options = options_of(parameters, numbers);
  covertree_vif_points new = {*F64(twins, 2, DIM, 0), ends, sets, 0};
  covertree_vif *vif = NULL;
  numbers[DIM] = 0;
  memcpy(twins[0], points[order[7]], sizeof *twins);
  memcpy(twins[1], points[3], sizeof *twins);
  EXPECT(covertree_vif_build(F64(points, N, DIM, 0), order, offsets, neighbors, &options, &vif) == COVERTREE_OK);
  EXPECT_ERROR(covertree_vif_predict_jointly(vif, F64(y, N, 1, 0), &new, NULL, means, covariance), COVERTREE_INVALID_ARGUMENT,
               "not positive definite");
  covertree_vif_free(vif);
}

static int32_t callers_kernel(void *user_data, const double *rows, int64_t n_rows, const double *columns, int64_t n_columns,
                              int64_t dim, double *covariances) {
  for (int64_t i = 0; i < n_rows; i++)
    for (int64_t j = 0; j < n_columns; j++)
      covariances[i * n_columns + j] = kernel(user_data, rows + i * dim, columns + j * dim);
  return 0;
}

/* By the logarithm of the variance alone. */
static int32_t callers_gradient(void *user_data, const double *rows, int64_t n_rows, const double *columns, int64_t n_columns,
                                int64_t dim, double *derivatives) {
  return callers_kernel(user_data, rows, n_rows, columns, n_columns, dim, derivatives);
}

static int32_t ending_gradient(void *user_data, const double *rows, int64_t n_rows, const double *columns, int64_t n_columns,
                               int64_t dim, double *derivatives) {
  (void)user_data, (void)rows, (void)n_rows, (void)columns, (void)n_columns, (void)dim, (void)derivatives;
  return 1;
}

static void test_kernel_of_the_caller(void) {
  double numbers[DIM + 1], value, gradient[PARAMETERS], wanted, wanted_gradient[PARAMETERS];
  covertree_vif_options options = options_of(parameters, numbers);
  covertree_vif *vif = NULL, *known = NULL;
  EXPECT(covertree_vif_build(F64(points, N, DIM, 0), order, offsets, neighbors, &options, &known) == COVERTREE_OK);
  EXPECT(covertree_vif_log_likelihood(known, F64(y, N, 1, 0), NULL, &wanted, wanted_gradient) == COVERTREE_OK);
  options.kernel_fn = callers_kernel;
  options.kernel_user_data = (void *)parameters;
  EXPECT(covertree_vif_build(F64(points, N, DIM, 0), order, offsets, neighbors, &options, &vif) == COVERTREE_OK);
  EXPECT(covertree_vif_log_likelihood(vif, F64(y, N, 1, 0), NULL, &value, NULL) == COVERTREE_OK);
  EXPECT(fabs(value - wanted) < 1e-7);
  EXPECT_ERROR(covertree_vif_log_likelihood(vif, F64(y, N, 1, 0), NULL, &value, gradient), COVERTREE_UNSUPPORTED,
               "kernel_gradient_fn: expected");
  covertree_vif_free(vif);
  options.kernel_gradient_fn = callers_gradient;
  EXPECT_ERROR(covertree_vif_build(F64(points, N, DIM, 0), order, offsets, neighbors, &options, &vif), COVERTREE_INVALID_ARGUMENT,
               "n_kernel_parameters: expected 1 to 65536, got 0");
  options.n_kernel_parameters = 1;
  EXPECT(covertree_vif_with_parameters(known, &options, &vif) == COVERTREE_OK);
  EXPECT(covertree_vif_log_likelihood(vif, F64(y, N, 1, 0), NULL, &value, gradient) == COVERTREE_OK);
  EXPECT(fabs(value - wanted) < 1e-7 && fabs(gradient[0] - wanted_gradient[0]) < 1e-6);
  EXPECT(fabs(gradient[1] - wanted_gradient[1]) < 1e-6);
  covertree_vif_free(vif);
  options.kernel_gradient_fn = ending_gradient;
  EXPECT(covertree_vif_with_parameters(known, &options, &vif) == COVERTREE_OK);
  EXPECT_ERROR(covertree_vif_log_likelihood(vif, F64(y, N, 1, 0), NULL, &value, gradient), COVERTREE_CANCELLED,
               "kernel_gradient_fn: ended the call");
  covertree_vif_free(vif);
  covertree_vif_free(known);
}

static void test_file(void) {
  double numbers[DIM + 1], value, gradient[PARAMETERS], wanted, wanted_gradient[PARAMETERS];
  for (int of_caller = 0; of_caller < 2; of_caller++) {
    covertree_vif_options options = options_of(parameters, numbers);
    covertree_vif *vif = NULL, *again = NULL;
    covertree_file *file = NULL;
    if (of_caller) options.kernel_fn = callers_kernel, options.kernel_user_data = (void *)parameters;
    EXPECT(covertree_vif_build(F64(points, N, DIM, 0), order, offsets, neighbors, &options, &vif) == COVERTREE_OK);
    EXPECT(covertree_vif_log_likelihood(vif, F64(y, N, 1, 0), NULL, &wanted, of_caller ? NULL : wanted_gradient) == COVERTREE_OK);
    EXPECT(covertree_vif_save(vif, "vif.ct", NULL, 0, NULL) == COVERTREE_OK);
    covertree_vif_free(vif);
    EXPECT(covertree_file_open("vif.ct", 0, NULL, &file) == COVERTREE_OK);
    if (of_caller)
      EXPECT_ERROR(covertree_vif_load(file, NULL, &again), COVERTREE_INVALID_ARGUMENT,
                   "kernel_fn: the file was saved with the caller's kernel");
    EXPECT(covertree_vif_load(file, of_caller ? &options : NULL, &again) == COVERTREE_OK);
    covertree_file_free(file);
    EXPECT(covertree_vif_log_likelihood(again, F64(y, N, 1, 0), NULL, &value, of_caller ? NULL : gradient) == COVERTREE_OK);
    EXPECT(value == wanted);
    if (!of_caller) EXPECT(memcmp(gradient, wanted_gradient, sizeof gradient) == 0);
    EXPECT(covertree_vif_encode(again, NULL, 0, NULL, &file) == COVERTREE_OK);
    covertree_file_info info;
    EXPECT(covertree_file_get_info(file, &info) == COVERTREE_OK && info.kind == COVERTREE_FILE_VIF);
    covertree_file_free(file);
    covertree_vif_free(again);
    remove("vif.ct");
  }
}

int main(void) {
  fill();
  test_kernel_of_the_caller();
  test_file();
  test_exact_process();
  test_prediction();
  test_refused();
  test_equal_points_without_noise();
  return failures != 0;
}
