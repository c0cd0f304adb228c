/*
 * Searches of points that are kept in several partitions, on one machine or on
 * many.
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

/* Searches like covertree_residual_knn for new points whose V and p are known
 * from covertree_residual_features. */
covertree_status covertree_residual_knn_given(
    covertree_residual *residual, const covertree_matrix *queries,
    const covertree_features *features, int64_t k,
    const covertree_search_options *options, int64_t *indices,
    double *distances);

#ifdef __cplusplus
}
#endif

#endif /* COVERTREE_PARTITIONS_H */
