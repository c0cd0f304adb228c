/* Calls on residual models, and on orders of points. */
#ifndef COVERTREE_FUZZ_RESIDUALS
#define COVERTREE_FUZZ_RESIDUALS

#include "world.h"

static void buildResidual(Stream *s) {
  covertree_residual_options o;
  covertree_residual_options_init(&o);
  Rows r = rows(s, 40, world.dim, 8), inducing = rows(s, 6, world.dim, 8);
  double lengthscales[9];
  for (int i = 0; i < 9; i++) lengthscales[i] = oneIn(s, 20) ? number(s) : 0.5 + byte(s) / 64.0;
  o.n_threads = threads(s);
  o.kernel = oneIn(s, 30) ? (int32_t)word(s) : below(s, 4);
  o.variance = oneIn(s, 20) ? number(s) : byte(s) / 64.0;
  if (oneIn(s, 3)) o.lengthscale = lengthscales, o.n_lengthscales = oneIn(s, 2) ? 1 : oneIn(s, 20) ? -1 : world.dim;
  int64_t width = r.dim > 0 && r.dim < 64 ? r.dim : 1;
  double *u = memory(inducing.rows < 1000 && inducing.rows > 0 ? inducing.rows * width : 0, 8);
  for (int64_t i = 0; inducing.rows > 0 && inducing.rows < 1000 && i < inducing.rows * width; i++) u[i] = (byte(s) - 128) / 16.0;
  if (oneIn(s, 2)) o.inducing_points = u, o.n_inducing = inducing.rows;
  o.jitter = oneIn(s, 6) ? number(s) : 0;
  if (oneIn(s, 8)) o.kernel_fn = kernel, o.kernel_user_data = &world;
  if (oneIn(s, 4)) o.progress = progress, o.progress_user_data = &world;
  o.block_size = oneIn(s, 4) ? size(s, 4) * 64 : 0;
  o.tau = oneIn(s, 6) ? number(s) : 0;
  int64_t m = below(s, 5), cellCount = cells(r.rows, m);
  double *v = memory(cellCount, 8), *p = memory(r.rows < 1000 ? r.rows : 0, 8), *diagonal = memory(r.rows < 1000 ? r.rows : 0, 8);
  float *narrow = memory(cellCount, 4);
  for (int64_t i = 0; i < r.rows && r.rows < 1000; i++) {
    double squared = 0;
    for (int64_t j = 0; j < m; j++) {
      narrow[i * m + j] = (float)(v[i * m + j] = (byte(s) - 128) / 512.0);
      squared += v[i * m + j] * v[i * m + j];
    }
    diagonal[i] = 1 + squared, p[i] = oneIn(s, 200) ? number(s) : 1;
  }
  covertree_features features = {*F64(v, r.rows, m, 0), p, diagonal};
  if (oneIn(s, 2)) features.v_matrix = *F32(narrow, r.rows, m, 0);
  if (oneIn(s, 2)) o.features = &features;
  covertree_residual_options *options = given(s, &o, sizeof o);
  covertree_residual *model = NULL;
  covertree_status status = covertree_residual_build(&r.matrix, options, &model);
  if (ok(status)) keep(s, RESIDUAL, model);
  free(narrow), free(diagonal), free(p), free(v), free(options), free(u), free(inducing.base), free(r.base);
}

static void residualKnnRows(Stream *s) {
  void *model = handle(s, RESIDUAL);
  covertree_residual_info info = {0};
  covertree_residual_get_info(model, &info);
  int all = oneIn(s, 3);
  int64_t n = all ? info.n_points : size(s, 8), k = neighbors(s), *list = all ? NULL : indices(s, n);
  int64_t *lists = memory(cells(n, k), 8);
  double *distances = oneIn(s, 8) ? NULL : memory(cells(n, k), 8);
  Search o = searchOptions(s, n, k, -1);
  covertree_status status = covertree_residual_knn(model, I64(list, n), k, o.options, lists, distances);
  CHECK_LISTS(status, lists, distances, n, k)
  int64_t *counts = memory(n < 1000 ? n : 0, 8);
  covertree_neighbors *found = NULL;
  double radius = number(s);
  if (oneIn(s, 2)) ok(covertree_residual_radius_count(model, I64(list, n), radius, o.options, counts));
  else if (ok(covertree_residual_radius(model, I64(list, n), radius, o.options, &found))) keep(s, NEIGHBORS, found);
  covertree_call_options *c = callOptions(s);
  covertree_residual *fewer = NULL;
  if (oneIn(s, 4) && ok(covertree_residual_remove(model, list, n, c, &fewer))) keep(s, RESIDUAL, fewer);
  free(c), free(counts), freeSearch(o), free(distances), free(lists), free(list);
}

static void residualNew(Stream *s) {
  void *model = handle(s, RESIDUAL);
  covertree_residual_info info = {0};
  covertree_residual_get_info(model, &info);
  Rows r = rows(s, 8, world.dim, 8);
  int64_t k = neighbors(s), m = info.n_features, *lists = memory(cells(r.rows, k), 8);
  double *distances = memory(cells(r.rows, k), 8), *v = memory(cells(r.rows, m), 8), *p = memory(r.rows < 1000 ? r.rows : 0, 8);
  double *lengths = memory(r.rows < 1000 ? r.rows : 0, 8);
  Search o = searchOptions(s, r.rows, k, -1);
  covertree_call_options *c = callOptions(s);
  covertree_status status;
  if (ok(covertree_residual_features(model, &r.matrix, c, oneIn(s, 9) ? NULL : v,
                                     oneIn(s, 9) ? NULL : p))) {
    ok(covertree_residual_projections(model, &r.matrix, FEATURES(v, r.rows, m, 0, p), c,
                                      lengths));
    status = covertree_residual_knn_given(model, &r.matrix, FEATURES(v, r.rows, m, 0, p),
                                          k, o.options, lists, distances);
    CHECK_LISTS(status, lists, distances, r.rows, k)
  }
  status = covertree_residual_knn(model, &r.matrix, k, o.options, lists, distances);
  CHECK_LISTS(status, lists, distances, r.rows, k)
  covertree_residual *other = NULL;
  status = oneIn(s, 2) ? covertree_residual_with_points(model, &r.matrix, c, &other)
                       : covertree_residual_extend(model, &r.matrix, c, &other);
  if (ok(status)) keep(s, RESIDUAL, other);
  free(lengths), free(c), freeSearch(o), free(p), free(v), free(distances), free(lists), free(r.base);
}

static void lookAtResidual(Stream *s) {
  void *model = handle(s, RESIDUAL);
  covertree_call_options *c = callOptions(s);
  covertree_tree_options *t = treeOptions(s);
  covertree_residual_info info = {0};
  ok(covertree_residual_get_info(model, &info));
  int64_t groups, n = size(s, 6), *list = indices(s, n), width = below(s, 5), *others = indices(s, cells(n, width));
  double error, *out = memory(n < 1000 ? n * (width + 1) : 0, 8);
  covertree_residual *pivots = NULL;
  if (oneIn(s, 2) && ok(covertree_residual_outline(model, below(s, 3), number(s), c, &groups, oneIn(s, 8) ? NULL : &pivots, &error)))
    if (pivots != NULL) {
      ok(covertree_residual_bounds(model, list, n, pivots, error, c, out));
      keep(s, RESIDUAL, pivots);
    }
  ok(covertree_residual_distances(model, list, n, others, width, c, out));
  covertree_arrays *arrays = NULL;
  if (oneIn(s, 3) && ok(covertree_residual_build_tree(model, t, &arrays))) {
    covertree_status status = covertree_residual_validate_tree(model, arrays, c);
    REQUIRE(known(status) && status != COVERTREE_CORRUPT);
    keep(s, ARRAYS, arrays);
  }
  ok(covertree_residual_validate_tree(model, handle(s, ARRAYS), c));
  covertree_residual_arrays *exported = NULL;
  if (oneIn(s, 3) && ok(covertree_residual_export(model, c, &exported))) keep(s, RESIDUAL_ARRAYS, exported);
  double *v = memory(info.n_points * info.n_features, 8), *p = memory(info.n_points, 8);
  ok(covertree_residual_features(model, NULL, NULL, oneIn(s, 4) ? NULL : v, oneIn(s, 4) ? NULL : p));
  free(p), free(v), free(out), free(others), free(list), free(t), free(c);
}

static void orders(Stream *s) {
  Rows r = rows(s, 30, world.dim, 8);
  covertree_call_options *o = callOptions(s);
  int64_t count = r.rows > 0 && r.rows < 1000 ? r.rows : 0, *out = memory(count, 8), wanted = size(s, 30);
  int64_t *sample = memory(wanted < 1000 ? wanted : 0, 8);
  uint64_t *keys = memory(count, 8);
  int64_t width = r.dim > 0 && r.dim < 64 ? r.dim : 0;
  double *low = memory(width, 8), *high = memory(width, 8);
  for (int64_t d = 0; d < width; d++) low[d] = number(s), high[d] = number(s);
  ok(covertree_maxmin_order(&r.matrix, o, out));
  ok(covertree_spread_sample(&r.matrix, wanted, byte(s), o, sample));
  ok(covertree_hilbert_keys(&r.matrix, oneIn(s, 20) ? NULL : low, high, o, keys));
  free(high), free(low), free(keys), free(sample), free(out), free(o), free(r.base);
}

#endif
