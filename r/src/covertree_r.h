/* The glue between R and libcovertree.
 *
 * Each routine returns its result, or a failure (see calls.c), from which R code makes a condition. So no jump of R passes
 * through a call of the library. Memory of a call is R's (R_alloc), which R frees at its end, however that comes.
 *
 * R stores matrices by columns and the library by rows: `points_of` transposes, checks and scales in one pass. R counts
 * from 1, the library from 0. */
#ifndef COVERTREE_R_H
#define COVERTREE_R_H

#define R_NO_REMAP
#include <R.h>
#include <Rinternals.h>
#include <covertree.h>

/* ---- calls.c ---- */

/* The last error of the library, or an error with the given text, as a value. */
SEXP failure_of(covertree_status status);
SEXP failure(const char *format, ...);

/* The progress callback of every call: it ends the call if the user has interrupted R. */
int32_t interrupted(void *unused, double share);

/* Options of a call that the user can interrupt. */
covertree_call_options call_options(void);
covertree_search_options search_options(int flags);

/* ---- handles.c ---- */

typedef enum kind { TREE, RESIDUAL, VIF, NEIGHBORS } kind;

/* An external pointer to no handle yet. `adopt` gives it its handle, which its finalizer frees. It is made before the handle
 * is, so that no failure of R's memory can lose one. */
SEXP new_pointer(kind kind);
void adopt(SEXP pointer, void *handle);

/* The handle of a pointer; NULL if the pointer is of another kind, or without a handle. */
void *handle_of(SEXP pointer, kind kind);
int is_kind(SEXP pointer, kind kind);

/* ---- arrays.c ---- */

/* An R matrix as rows of the library, each column divided by its number of `scale` unless that is NULL. Numbers must be
 * finite. Returns a failure, or R_NilValue. */
SEXP points_of(SEXP matrix, SEXP scale, const char *name, covertree_matrix *points);

/* Row-major results as R matrices; `count` rows of `width` numbers. */
SEXP matrix_of(const double *rows, int64_t count, int64_t width);
SEXP vector_of(const double *numbers, int64_t count);

/* Row numbers of R, from 1, as row numbers of the library, from 0, and the reverse. */
const int64_t *numbers_of(SEXP rows);
SEXP rows_of(const int64_t *numbers, int64_t count);

/* Conditioning sets: offsets, and members one after the other. */
typedef struct sets {
  int64_t *offsets, *members;
} sets;

/* From an integer matrix of numbers from 1 with NA for missing ones; the first columns are skipped. The numbers of row i,
 * from 0, are at most `limit`, or `limit` + i if they `grow`. Returns a failure, or R_NilValue. */
SEXP sets_of(SEXP matrix, int skipped, int64_t limit, int grow, sets *result);

/* A named list. Ends with NULL. The values are protected by the caller. */
SEXP named_list(const char *name, SEXP value, ...);

/* ---- routines ---- */

SEXP ctr_version(void);
SEXP ctr_threads(SEXP count);
SEXP ctr_free(SEXP pointer);
SEXP ctr_is_empty(SEXP pointer);

SEXP ctr_tree_build(SEXP points, SEXP scale);
SEXP ctr_residual_build(SEXP points, SEXP process);
SEXP ctr_residual_extend(SEXP residual, SEXP points);
SEXP ctr_knn(SEXP tree, SEXP queries, SEXP scale, SEXP k, SEXP search);
SEXP ctr_radius(SEXP tree, SEXP queries, SEXP radius);

SEXP ctr_maxmin_order(SEXP points, SEXP scale);
SEXP ctr_spread_sample(SEXP points, SEXP scale, SEXP size, SEXP seed);
SEXP ctr_brisc(SEXP coords, SEXP neighbors);

SEXP ctr_vif_build(SEXP points, SEXP order, SEXP neighbors, SEXP process);
SEXP ctr_vif_with_parameters(SEXP vif, SEXP process);
SEXP ctr_vif_log_likelihood(SEXP vif, SEXP y, SEXP gradient);
SEXP ctr_vif_solve(SEXP vif, SEXP y);
SEXP ctr_vif_predict(SEXP vif, SEXP y, SEXP points, SEXP neighbors);
SEXP ctr_vif_predict_jointly(SEXP vif, SEXP y, SEXP points, SEXP neighbors, SEXP noise, SEXP covariance);
SEXP ctr_vif_draw(SEXP vif, SEXP points, SEXP neighbors, SEXP noise, SEXP normals);
SEXP ctr_vif_info(SEXP vif);

/* ---- processes.c ---- */

/* A process as R describes it, a list: the number of the kernel's shape, its variance, its lengthscales, the inducing
 * points or NULL, the jitter, the noise variance. */
typedef struct process {
  int shape;
  double variance, jitter, noise;
  const double *lengthscale;
  int64_t n_lengthscales;
  covertree_matrix inducing;
} process;

/* Returns a failure, or R_NilValue. */
SEXP process_of(SEXP list, process *result);

#endif
