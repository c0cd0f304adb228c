/* A Gaussian process in two parts from C: sums over both give the likelihood, the gradient and predictions of one piece. */
#include "expect.h"

#include <covertree.h>
#include <covertree_partitions.h>

#include <math.h>

enum { N = 90, CUT = 40, DIM = 2, M = 7, K = 5, PARAMETERS = 3, RESPONSES = 2 };

static double points[N][DIM], y[N][RESPONSES];
/* Ranks are rows. The first part has the rows before CUT, and the second those from there on, with all others as its halo. */
static int64_t offsets[N + 1], neighbors[N * K], halo_offsets[N + 1], halo_neighbors[N * K];

static void fill(void) {
  for (int i = 0; i < N; i++) {
    for (int d = 0; d < DIM; d++) points[i][d] = uniform();
    for (int column = 0; column < RESPONSES; column++) y[i][column] = uniform() - 0.5;
    offsets[i + 1] = offsets[i], halo_offsets[i + 1] = halo_offsets[i];
    for (int back = 1; back <= K && back <= i; back++) {
      int64_t member = i - 1 - (back * back * 3) % i;
      int is_there = 0;
      for (int64_t at = offsets[i]; at < offsets[i + 1]; at++) is_there |= neighbors[at] == member;
      if (is_there) continue;
      neighbors[offsets[i + 1]++] = member;
      if (i >= CUT) halo_neighbors[halo_offsets[i + 1]++] = member;
    }
  }
}

static covertree_vif_options options_of(const double *noise) {
  covertree_vif_options options;
  covertree_vif_options_init(&options);
  static const double lengthscale = 0.4;
  options.kernel = COVERTREE_KERNEL_MATERN52;
  options.variance = 1.3;
  options.lengthscale = &lengthscale, options.n_lengthscales = 1;
  options.noise = noise, options.n_noise = 1;
  options.inducing_points = points[0], options.n_inducing = M;
  return options;
}

static int is_near(double a, double b) { return fabs(a - b) <= 1e-9 * (1 + fabs(b)); }

static double products[2][M * M], projections[2][RESPONSES * M];
static double quadratics[2][RESPONSES], gradients[2][RESPONSES * PARAMETERS], inducing[2][RESPONSES * M * M];

/* Adds the second part's sums to the first's. */
static void add(double *first, const double *second, int count) {
  for (int i = 0; i < count; i++) first[i] += second[i];
}

static void expect_errors(covertree_vif_part *part, const covertree_vif_totals *totals) {
  double noise = 0.1, value, means[RESPONSES];
  covertree_vif_options options = options_of(&noise);
  covertree_vif_part *other = NULL;
  covertree_vif_terms none = {NULL, NULL, NULL};
  EXPECT_ERROR(covertree_vif_part_build(F64(points, N, DIM, 0), N + 1, NULL, offsets, neighbors, &options, &other),
               COVERTREE_SHAPE, "n_halo");
  EXPECT_ERROR(covertree_vif_part_build(F64(points, N, DIM, 0), 5, NULL, offsets, neighbors, &options, &other),
               COVERTREE_INVALID_ARGUMENT, "offsets");
  EXPECT_ERROR(covertree_vif_part_build(NULL, 0, NULL, offsets, neighbors, &options, &other), COVERTREE_INVALID_ARGUMENT,
               "points");
  EXPECT_ERROR(covertree_vif_part_sums(part, F64(y, N - 1, RESPONSES, 0), NULL, &value, NULL, NULL), COVERTREE_SHAPE, "y: ");
  EXPECT_ERROR(covertree_vif_part_sums(part, F64(y, N, RESPONSES, 0), NULL, NULL, NULL, NULL), COVERTREE_INVALID_ARGUMENT,
               "log_determinant");
  EXPECT_ERROR(covertree_vif_part_terms(part, F64(y, N, RESPONSES, 0), NULL, NULL, &none), COVERTREE_INVALID_ARGUMENT,
               "totals");
  EXPECT_ERROR(covertree_vif_part_terms(part, F64(y, N, RESPONSES, 0), totals, NULL, NULL), COVERTREE_INVALID_ARGUMENT,
               "terms");
  EXPECT_ERROR(covertree_vif_part_log_likelihood(part, totals, &none, 1, NULL, &value, NULL), COVERTREE_INVALID_ARGUMENT,
               "quadratics");
  EXPECT_ERROR(covertree_vif_part_log_likelihood(part, totals, &none, -1, NULL, &value, NULL), COVERTREE_SHAPE,
               "n_responses");
  EXPECT_ERROR(covertree_vif_part_predict(part, F64(y, N, RESPONSES, 0), totals, NULL, NULL, means, NULL),
               COVERTREE_INVALID_ARGUMENT, "points");
  covertree_vif_totals wrong = *totals;
  wrong.log_determinant = NAN;
  EXPECT_ERROR(covertree_vif_part_log_likelihood(part, &wrong, &none, 1, NULL, &value, NULL), COVERTREE_INVALID_ARGUMENT,
               "totals");
  wrong = *totals, wrong.products = NULL;
  EXPECT_ERROR(covertree_vif_part_terms(part, F64(y, N, RESPONSES, 0), &wrong, NULL, &none), COVERTREE_INVALID_ARGUMENT,
               "products");
}

static void test_sums(void) {
  double noise = 0.5, values[RESPONSES], slopes[RESPONSES * PARAMETERS], wanted[RESPONSES], wanted_slopes[RESPONSES * PARAMETERS];
  double log_determinants[2], means[RESPONSES], variance, wanted_means[RESPONSES], wanted_variance;
  covertree_vif_options options = options_of(&noise);
  covertree_vif *whole = NULL;
  covertree_vif_part *parts[2] = {NULL, NULL}, *other = NULL;
  covertree_vif_info info;
  EXPECT(covertree_vif_build(F64(points, N, DIM, 0), NULL, offsets, neighbors, &options, &whole) == COVERTREE_OK);
  EXPECT(covertree_vif_part_build(F64(points, CUT, DIM, 0), 0, NULL, offsets, neighbors, &options, &parts[0]) == COVERTREE_OK);
  EXPECT(covertree_vif_part_build(F64(points, N, DIM, 0), CUT, NULL, halo_offsets, halo_neighbors, &options, &parts[1])
         == COVERTREE_OK);
  for (int round = 0; round < 2; round++) {
    if (round == 1) {
      noise = 0.1;
      covertree_vif *changed = NULL;
      EXPECT(covertree_vif_with_parameters(whole, &options, &changed) == COVERTREE_OK);
      covertree_vif_free(whole);
      whole = changed;
      for (int part = 0; part < 2; part++) {
        EXPECT(covertree_vif_part_with_parameters(parts[part], &options, &other) == COVERTREE_OK);
        covertree_vif_part_free(parts[part]);
        parts[part] = other;
      }
    }
    for (int part = 0; part < 2; part++)
      EXPECT(covertree_vif_part_sums(parts[part], F64(y, part == 0 ? CUT : N, RESPONSES, 0), NULL, &log_determinants[part],
                                     products[part], projections[part]) == COVERTREE_OK);
    add(products[0], products[1], M * M), add(projections[0], projections[1], RESPONSES * M);
    covertree_vif_totals totals = {N, log_determinants[0] + log_determinants[1], products[0], projections[0]};
    for (int part = 0; part < 2; part++) {
      covertree_vif_terms terms = {quadratics[part], gradients[part], inducing[part]};
      EXPECT(covertree_vif_part_terms(parts[part], F64(y, part == 0 ? CUT : N, RESPONSES, 0), &totals, NULL, &terms)
             == COVERTREE_OK);
    }
    add(quadratics[0], quadratics[1], RESPONSES), add(gradients[0], gradients[1], RESPONSES * PARAMETERS);
    add(inducing[0], inducing[1], RESPONSES * M * M);
    covertree_vif_terms terms = {quadratics[0], gradients[0], inducing[0]};
    EXPECT(covertree_vif_part_log_likelihood(parts[1], &totals, &terms, RESPONSES, NULL, values, slopes) == COVERTREE_OK);
    EXPECT(covertree_vif_log_likelihood(whole, F64(y, N, RESPONSES, 0), NULL, wanted, wanted_slopes) == COVERTREE_OK);
    for (int i = 0; i < RESPONSES; i++) EXPECT(is_near(values[i], wanted[i]));
    for (int i = 0; i < RESPONSES * PARAMETERS; i++) EXPECT(is_near(slopes[i], wanted_slopes[i]));

    const double new[DIM] = {0.3, 0.6};
    const int64_t ends[2] = {0, 3}, set[3] = {2, 60, 11};
    covertree_vif_points at = {*F64(new, 1, DIM, 0), ends, set, 0};
    EXPECT(covertree_vif_part_predict(parts[1], F64(y, N, RESPONSES, 0), &totals, &at, NULL, means, &variance)
           == COVERTREE_OK);
    EXPECT(covertree_vif_predict(whole, F64(y, N, RESPONSES, 0), &at, NULL, wanted_means, &wanted_variance) == COVERTREE_OK);
    for (int i = 0; i < RESPONSES; i++) EXPECT(is_near(means[i], wanted_means[i]));
    EXPECT(is_near(variance, wanted_variance));
    if (round == 1) expect_errors(parts[1], &totals);
  }
  EXPECT(covertree_vif_part_get_info(parts[1], &info) == COVERTREE_OK);
  EXPECT(info.n_points == N && info.n_inducing == M && info.n_parameters == PARAMETERS && info.memory_bytes > 0);
  covertree_vif_free(whole);
  for (int part = 0; part < 2; part++) covertree_vif_part_free(parts[part]);
  EXPECT_ERROR(covertree_vif_part_get_info(parts[1], &info), COVERTREE_INVALID_ARGUMENT, "part: ");
  covertree_vif_part_free(NULL);
}

/* Errors call points by their names. */
static void test_names(void) {
  double noise = 0, twice[2][DIM] = {{0.5, 0.5}, {0.5, 0.5}};
  covertree_vif_options options = options_of(&noise);
  covertree_vif_part *part = NULL;
  const int64_t names[2] = {1000, 2000}, ends[3] = {0, 0, 1}, set[1] = {0};
  EXPECT_ERROR(covertree_vif_part_build(F64(twice, 2, DIM, 0), 1, names, ends, set, &options, &part),
               COVERTREE_INVALID_ARGUMENT, "points 1000 and 2000");
}

int main(void) {
  fill();
  test_sums();
  test_names();
  printf("C, VIF parts: %s\n", failures == 0 ? "passed" : "FAILED");
  return failures != 0;
}
