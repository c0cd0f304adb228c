/* Trees of points, in space or by residual correlation, and their searches. */
#include "covertree_r.h"

SEXP ctr_tree_build(SEXP points, SEXP scale) {
  covertree_matrix matrix;
  SEXP wrong = points_of(points, scale, "points", &matrix);
  if (wrong != R_NilValue) return wrong;
  covertree_tree_options options;
  covertree_tree_options_init(&options);
  options.progress = interrupted;
  SEXP pointer = PROTECT(new_pointer(TREE));
  covertree_tree *tree = NULL;
  const covertree_status status = covertree_tree_build(&matrix, &options, &tree);
  if (status == COVERTREE_OK) adopt(pointer, tree);
  UNPROTECT(1);
  return status == COVERTREE_OK ? pointer : failure_of(status);
}

SEXP ctr_residual_build(SEXP points, SEXP list) {
  covertree_matrix matrix;
  process given;
  SEXP wrong = points_of(points, R_NilValue, "points", &matrix);
  if (wrong == R_NilValue) wrong = process_of(list, &given);
  if (wrong != R_NilValue) return wrong;
  covertree_residual_options options;
  covertree_residual_options_init(&options);
  options.progress = interrupted;
  options.kernel = given.shape;
  options.variance = given.variance;
  options.lengthscale = given.lengthscale;
  options.n_lengthscales = given.n_lengthscales;
  options.inducing_points = given.inducing.data;
  options.n_inducing = given.inducing.rows;
  options.jitter = given.jitter;
  SEXP pointer = PROTECT(new_pointer(RESIDUAL));
  covertree_residual *residual = NULL;
  const covertree_status status = covertree_residual_build(&matrix, &options, &residual);
  if (status == COVERTREE_OK) adopt(pointer, residual);
  UNPROTECT(1);
  return status == COVERTREE_OK ? pointer : failure_of(status);
}

/* The same process with more points. */
SEXP ctr_residual_extend(SEXP residual, SEXP points) {
  covertree_matrix matrix;
  SEXP wrong = points_of(points, R_NilValue, "points", &matrix);
  if (wrong != R_NilValue) return wrong;
  const covertree_call_options options = call_options();
  SEXP pointer = PROTECT(new_pointer(RESIDUAL));
  covertree_residual *extended = NULL;
  const covertree_status status = covertree_residual_extend(handle_of(residual, RESIDUAL), &matrix, &options, &extended);
  if (status == COVERTREE_OK) adopt(pointer, extended);
  UNPROTECT(1);
  return status == COVERTREE_OK ? pointer : failure_of(status);
}

/* New points, as a matrix; or points of the tree, as row numbers, or as their count for all of them. */
static SEXP queries_of(SEXP queries, SEXP scale, int *is_new, covertree_matrix *result) {
  *is_new = Rf_isMatrix(queries);
  if (*is_new) return points_of(queries, scale, "queries", result);
  if (TYPEOF(queries) == INTSXP) {
    *result = covertree_matrix_i64(numbers_of(queries), XLENGTH(queries));
  } else {
    *result = covertree_matrix_i64(NULL, (int64_t)Rf_asReal(queries));
  }
  return R_NilValue;
}

/* Numbers of points from 0, by rows, as a matrix of R: from 1, with NA for missing ones. */
static SEXP index_of(const int64_t *indices, int64_t count, int64_t width, int has_own) {
  SEXP result = PROTECT(Rf_allocMatrix(INTSXP, (int)count, (int)width + has_own));
  int *numbers = INTEGER(result);
  if (has_own)
    for (int64_t i = 0; i < count; i++) *numbers++ = (int)i + 1;
  for (int64_t j = 0; j < width; j++)
    for (int64_t i = 0; i < count; i++) {
      const int64_t index = indices[i * width + j];
      *numbers++ = index < 0 ? NA_INTEGER : (int)index + 1;
    }
  UNPROTECT(1);
  return result;
}

/* The k nearest points. `search` is a list: the flags of the library, the largest distance, whether to return distances,
 * and whether the first column has the row's own number. */
SEXP ctr_knn(SEXP tree, SEXP queries, SEXP scale, SEXP k, SEXP search) {
  int is_new;
  covertree_matrix matrix;
  SEXP wrong = queries_of(queries, scale, &is_new, &matrix);
  if (wrong != R_NilValue) return wrong;
  const int64_t count = matrix.rows, width = (int64_t)Rf_asReal(k);
  const int wants_distances = Rf_asLogical(VECTOR_ELT(search, 2)), has_own = Rf_asLogical(VECTOR_ELT(search, 3));
  covertree_search_options options = search_options(Rf_asInteger(VECTOR_ELT(search, 0)));
  options.max_distance = Rf_asReal(VECTOR_ELT(search, 1));
  int64_t *indices = (int64_t *)R_alloc((size_t)(count * width) + 1, sizeof *indices);
  double *distances = wants_distances ? (double *)R_alloc((size_t)(count * width) + 1, sizeof *distances) : NULL;
  const covertree_status status =
      is_kind(tree, RESIDUAL)
          ? covertree_residual_knn(handle_of(tree, RESIDUAL), &matrix, width, &options, indices, distances)
          : covertree_tree_knn(handle_of(tree, TREE), &matrix, width, &options, indices, distances);
  if (status != COVERTREE_OK) return failure_of(status);
  SEXP index = PROTECT(index_of(indices, count, width, has_own)), result = index;
  if (wants_distances) {
    SEXP distance = PROTECT(matrix_of(distances, count, width));
    result = named_list("nn.index", index, "nn.dist", distance, (const char *)NULL);
    UNPROTECT(1);
  }
  UNPROTECT(1);
  return result;
}

static SEXP lists_of(const covertree_neighbors_view *found) {
  SEXP index = PROTECT(Rf_allocVector(VECSXP, found->n_queries));
  SEXP distance = PROTECT(Rf_allocVector(VECSXP, found->n_queries));
  for (int64_t i = 0; i < found->n_queries; i++) {
    const int64_t first = found->offsets[i], count = found->offsets[i + 1] - first;
    SET_VECTOR_ELT(index, i, rows_of(found->indices + first, count));
    SET_VECTOR_ELT(distance, i, vector_of((const double *)found->distances + first, count));
  }
  SEXP result = named_list("nn.index", index, "nn.dist", distance, (const char *)NULL);
  UNPROTECT(2);
  return result;
}

/* All points within a radius: a vector for each query. */
SEXP ctr_radius(SEXP tree, SEXP queries, SEXP radius) {
  int is_new;
  covertree_matrix matrix;
  SEXP wrong = queries_of(queries, R_NilValue, &is_new, &matrix);
  if (wrong != R_NilValue) return wrong;
  const covertree_search_options options = search_options(0);
  SEXP pointer = PROTECT(new_pointer(NEIGHBORS));
  covertree_neighbors *found = NULL;
  covertree_neighbors_view view;
  covertree_status status = covertree_tree_radius(handle_of(tree, TREE), &matrix, Rf_asReal(radius), &options, &found);
  if (status == COVERTREE_OK) {
    adopt(pointer, found);
    status = covertree_neighbors_get(found, &view);
  }
  SEXP result = PROTECT(status == COVERTREE_OK ? lists_of(&view) : failure_of(status));
  ctr_free(pointer);
  UNPROTECT(2);
  return result;
}
