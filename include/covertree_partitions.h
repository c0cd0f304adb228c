/*
 * Searches of points that are kept in several partitions, on one machine or on
 * many, and Gaussian processes of such points.
 *
 * UNSTABLE. These functions may change or disappear in any version, also if
 * COVERTREE_ABI_VERSION stays the same.
 *
 * Each partition is a tree or a model of its own. It is searched with the
 * `limits` and `scores` of covertree_search_options, and the answers are merged
 * by (score, index): distances are rounded, so they would not give the bits of
 * a search of all points. The other functions show which partitions cannot have
 * a near enough point. All matrices are F64.
 */
#ifndef COVERTREE_PARTITIONS_H
#define COVERTREE_PARTITIONS_H

#include "covertree.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Computes the positions of points along the Hilbert curve through a box.
 * Points outside of the box get the position of the nearest point of it.
 *   low, high [in]  one number a column: the sides of the box
 *   keys      [out] one a point: the first 64 bits of the position */
covertree_status covertree_hilbert_keys(const covertree_matrix *points,
                                        const double *low, const double *high,
                                        const covertree_call_options *options,
                                        uint64_t *keys);

/* Makes a model of other points in the same process. The kernel, the inducing
 * points and their Cholesky factor come from the given model, so V and p have
 * the same bits on every machine.
 *   points [in]  at least 1 row
 * UNSUPPORTED if V came from the caller. O(n m^2). */
covertree_status covertree_residual_with_points(
    covertree_residual *residual, const covertree_matrix *points,
    const covertree_call_options *options, covertree_residual **other);

/* Chooses a few points of a model, its pivots, which bound |rho| of a query
 * with any of its points: it is at most the length of the query's projection
 * onto the span of the pivots (covertree_residual_projections) plus `error`.
 * The points of a large model are in several groups, each with its own pivots
 * and error.
 *   group          0 to n_groups - 1
 *   tau            the norm that the span may leave of the pivots of blocks,
 *                  above 0 and below 1
 *   n_groups [out] may be NULL; 0 if the residual process has too many degrees
 *                  of freedom
 *   pivots   [out] a model of the pivots; NULL to ask for n_groups only
 *   error    [out] the largest norm that is left of a point's unit vector
 * O(n r m) for r pivots. */
covertree_status covertree_residual_outline(
    covertree_residual *residual, int64_t group, double tau,
    const covertree_call_options *options, int64_t *n_groups,
    covertree_residual **pivots, double *error);

/* Computes the lengths of the projections of the queries' unit vectors onto the
 * span of all points of a model, rounded up.
 *   pivots   [in]  a model of few points: O(r^3), and O(r m) a query
 *   features [in]  of the queries, from covertree_residual_features; V has 0
 *                  columns without inducing points
 *   lengths  [out] one a query, at most 1 */
covertree_status covertree_residual_projections(
    covertree_residual *pivots, const covertree_matrix *queries,
    const covertree_features *features, const covertree_call_options *options,
    double *lengths);

/* Bounds |rho| of points of a model with any of the points that were outlined.
 * The bounds are less tight than covertree_residual_projections plus the error,
 * because they go through the pivots of blocks, and faster.
 *   rows          [in]  n_rows indices
 *   pivots, error [in]  from covertree_residual_outline, of a model of the same
 *                       process
 *   bounds        [out] n_rows, at most 1
 * NOT_FOUND. */
covertree_status covertree_residual_bounds(
    covertree_residual *residual, const int64_t *rows, int64_t n_rows,
    covertree_residual *pivots, double error,
    const covertree_call_options *options, double *bounds);

/* The coordinates of a point in an outline of points. */
#define COVERTREE_OUTLINE_COLUMNS 64

/* All points of a model, outlined one by one: pivots of each block of points,
 * the coordinates of each point in their span, and its error, the norm that the
 * span leaves of its unit vector. The bounds are much tighter than those of
 * covertree_residual_outline, and there is more to send. */
typedef struct covertree_outline {
  covertree_residual *pivots; /* a model of the pivots, block by block */
  int64_t n_points;
  const int64_t *ranks;     /* the pivots of each block; as many as n_blocks of
                               covertree_residual_info for the outlined model */
  const float *coordinates; /* n_points x COVERTREE_OUTLINE_COLUMNS, in the
                               order of covertree_residual_view.order */
  const float *errors;      /* n_points: of each point */
  const int64_t *indices;   /* n_points: what `before` counts; ascending in each
                               block */
} covertree_outline;

/* Outlines the points of a model: fills arrays for a covertree_outline.
 *   tau         the error up to which blocks get pivots, above 0 and below 1;
 *               if the most pivots do not suffice, errors are larger
 *   ranks       [out] n_blocks
 *   coordinates [out] n_points x COVERTREE_OUTLINE_COLUMNS
 *   errors      [out] n_points
 *   pivots      [out]
 * UNSUPPORTED for a kernel or V of the caller, and after removals. O(n m) for
 * each pivot of a block. */
covertree_status covertree_residual_outline_points(
    covertree_residual *residual, double tau,
    const covertree_call_options *options, int64_t *ranks, float *coordinates,
    float *errors, covertree_residual **pivots);

/* What queries need of bounds, one number for each. */
typedef struct covertree_outline_wanted {
  const int64_t *before; /* only points of lower indices count; NULL: all do */
  const double *least;   /* the smallest |rho| of use: a bound below it may be
                            any number below it; above 1: no bound is wanted;
                            NULL: 0 */
} covertree_outline_wanted;

/* Bounds |rho| of the points of an outline with any point of another one.
 *   from, to [in]  outlines of points of the same process
 *   wanted   [in]  n_points of `from`; NULL: all points count
 *   bounds   [out] n_points of `from`, at most 1; 0 if no point counts */
covertree_status covertree_outline_bounds(
    const covertree_outline *from, const covertree_outline *to,
    const covertree_outline_wanted *wanted,
    const covertree_call_options *options, double *bounds);

/* The same for any queries, whose V and p are known from
 * covertree_residual_features: tighter, and O(m) for each query and pivot. */
covertree_status covertree_outline_bounds_given(
    const covertree_outline *to, const covertree_matrix *queries,
    const covertree_features *features, const covertree_outline_wanted *wanted,
    const covertree_call_options *options, double *bounds);

/* Searches like covertree_residual_knn for new points whose V and p are known
 * from covertree_residual_features. */
covertree_status covertree_residual_knn_given(
    covertree_residual *residual, const covertree_matrix *queries,
    const covertree_features *features, int64_t k,
    const covertree_search_options *options, int64_t *indices,
    double *distances);

/* ---- VIF models in parts ------------------------------------------------ */

/* A part of a VIF model (covertree_vif): some points of its own, and as a halo
 * the points of other parts that are in sets of its own points. The log
 * likelihood takes two rounds. covertree_vif_part_sums of all parts add up to
 * the totals. With these, covertree_vif_part_terms of all parts add up to the
 * terms, and covertree_vif_part_log_likelihood of any part computes the result.
 * All parts have the same inducing points, kernel and jitter; m is the number
 * of inducing points. */
typedef struct covertree_vif_part covertree_vif_part;

/* Builds a part: V, and B and D of its own points.
 *   points    [in] F64, at least 1 row: the halo, then the part's own points
 *   n_halo    of the rows; all of them in a part that only predicts
 *   names     [in] what errors call the rows; NULL: by their numbers
 *   offsets   [in] as for covertree_vif_build, one set for each row; the halo
 *                  has empty ones
 *   neighbors [in] rows, each below the row of its set
 * The options are those of covertree_vif_build, with one noise variance or one
 * for each row. UNSUPPORTED for a kernel of the caller. Its own points take as
 * much time and memory as in covertree_vif_build, and each row of the halo
 * 8 m + 16 dim bytes and O(m^2) operations. */
covertree_status covertree_vif_part_build(const covertree_matrix *points,
                                          int64_t n_halo, const int64_t *names,
                                          const int64_t *offsets,
                                          const int64_t *neighbors,
                                          const covertree_vif_options *options,
                                          covertree_vif_part **part);
void covertree_vif_part_free(covertree_vif_part *part);

/* As covertree_vif_with_parameters. */
covertree_status covertree_vif_part_with_parameters(
    covertree_vif_part *part, const covertree_vif_options *options,
    covertree_vif_part **other);

/* As covertree_vif_get_info. The numbers of points and bytes include the halo,
 * and log_determinant is 0. */
covertree_status covertree_vif_part_get_info(covertree_vif_part *part,
                                             covertree_vif_info *info);

/* Computes a part's shares of the totals.
 *   y               [in]  F64, a row for each row of the part's points
 *   log_determinant [out] the sum of log D over its own points
 *   products        [out] m x m: W^T D^-1 W over its own points. May be NULL
 *   projections     [out] a row of m for each column of y: W^T D^-1 B y over
 *                         its own points. May be NULL
 * O(n m^2). */
covertree_status covertree_vif_part_sums(covertree_vif_part *part,
                                         const covertree_matrix *y,
                                         const covertree_call_options *options,
                                         double *log_determinant,
                                         double *products, double *projections);

/* The sums over all parts. */
typedef struct covertree_vif_totals {
  int64_t n_points; /* of all parts, without halos */
  double log_determinant;
  const double *products;
  const double *projections;
} covertree_vif_totals;

/* Shares of the value and the gradient of each response, or their sums over all
 * parts. */
typedef struct covertree_vif_terms {
  double *quadratics; /* one for each response: the sum of r^2 / D */
  double *gradients;  /* n_parameters for each response: derivatives of the log
                         likelihood without those through the covariances of
                         inducing points. NULL: no gradient */
  double *inducing;   /* m x m for each response: what these need. NULL if m
                         is 0, or without a gradient */
} covertree_vif_terms;

/* Computes a part's shares of the value and the gradient.
 *   y     [in]  as for covertree_vif_part_sums
 *   terms [out] the arrays are written to
 * It takes as much time and memory as covertree_vif_log_likelihood. */
covertree_status covertree_vif_part_terms(covertree_vif_part *part,
                                          const covertree_matrix *y,
                                          const covertree_vif_totals *totals,
                                          const covertree_call_options *options,
                                          const covertree_vif_terms *terms);

/* Computes the log likelihood of each response from the sums over all parts.
 *   part      [in]  any of them: only its kernel and inducing points are used
 *   terms     [in]  the sums over all parts
 *   values    [out] n_responses
 *   gradients [out] n_parameters for each response. May be NULL
 * O(m^3). */
covertree_status covertree_vif_part_log_likelihood(
    covertree_vif_part *part, const covertree_vif_totals *totals,
    const covertree_vif_terms *terms, int64_t n_responses,
    const covertree_call_options *options, double *values, double *gradients);

/* Predicts the process at new points whose sets are in one part, as
 * covertree_vif_predict does.
 *   y      [in] as for covertree_vif_part_sums
 *   points [in] the members of sets are rows of the part's points */
covertree_status covertree_vif_part_predict(
    covertree_vif_part *part, const covertree_matrix *y,
    const covertree_vif_totals *totals, const covertree_vif_points *points,
    const covertree_call_options *options, double *means, double *variances);

#ifdef __cplusplus
}
#endif

#endif /* COVERTREE_PARTITIONS_H */
