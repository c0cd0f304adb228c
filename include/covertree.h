/*
 * covertree: exact nearest neighbours in Euclidean space and in the
 * residual-correlation metric of Gaussian processes. Also vector indexes, and a
 * durable store of vectors.
 *
 * Most programs need three functions: build, knn and free.
 *
 *     const float data[] = {0, 0, 3, 4, 0, 1, 5, 5};
 *     const float query[] = {1, 1};
 *     covertree_matrix points = covertree_matrix_f32(data, 4, 2);
 *     covertree_matrix queries = covertree_matrix_f32(query, 1, 2);
 *     covertree_tree *tree = NULL;
 *     int64_t indices[2];
 *     float distances[2];
 *
 *     if (covertree_tree_build(&points, NULL, &tree) != COVERTREE_OK ||
 *         covertree_tree_knn(tree, &queries, 2, NULL, indices, distances) !=
 *             COVERTREE_OK)
 *       fprintf(stderr, "%s\n", covertree_last_error());
 *     covertree_tree_free(tree);
 *
 * The API is the declarations in this header and in covertree_partitions.h;
 * the latter may still change.
 *
 * OWNERSHIP. The library reads input arrays during the call only; a tree keeps
 * a copy of its points. If another thread writes to an input array during the
 * call, the call may fail or give wrong answers, but it does no other harm.
 * Results go into arrays of the caller, or into a handle. A handle that a
 * function returns belongs to the caller, who frees it with the `_free`
 * function of its type, which accepts NULL. Handles keep their dependencies
 * alive, so they may be freed in any order. A freed handle, or a handle of
 * another type, is an error, not a crash.
 *
 * THREADS. Every function may be called from any thread. Searches of one handle
 * run in parallel with each other. A search of a tree uses the state in which
 * the tree was when the search began. If two threads change one tree at the
 * same time, the second call fails with COVERTREE_BUSY; searches and changes of
 * one index, or of one store, wait for each other. Do not call the library from
 * a signal handler. After fork, both processes may go on calling it. The
 * library stays loaded until the process ends, even after dlclose, because its
 * threads go on.
 *
 * ERRORS. A function that can fail returns a covertree_status. Unless that is
 * COVERTREE_OK, the function leaves its outputs alone, except that result
 * arrays may be partly written. covertree_last_error() describes the failure.
 * Any function may return INVALID_ARGUMENT, SHAPE, OUT_OF_MEMORY, and, if a
 * callback ends the call, CANCELLED; its comment names other statuses. Two
 * functions for single vectors return a slot, or a negated status. The library
 * does not end the process, does not print, and installs no signal handler.
 *
 * NUMBERS. A point is known by its index: its row in the array that the tree
 * was built from; points that are inserted later get the numbers that follow.
 * Distances are not squared. They are compared in float64, whatever the type of
 * the points. Of equally distant points the lower index comes first. Results
 * do not depend on the number of threads.
 *
 * OPTIONS. A struct of options begins with its size. Fill it with its
 * `_options_init` function, then set fields. A field that is 0 or NULL means
 * its default, and NULL instead of the struct means all defaults. Later
 * versions add fields at the end.
 */
#ifndef COVERTREE_H
#define COVERTREE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Statuses and arrays ------------------------------------------------ */

typedef enum covertree_status {
  COVERTREE_OK = 0,
  COVERTREE_INVALID_ARGUMENT = 10,
  COVERTREE_SHAPE = 11, /* the shapes of arrays do not fit each other */
  COVERTREE_UNSUPPORTED = 12,
  COVERTREE_NOT_FOUND = 20,
  COVERTREE_EXISTS = 21,
  COVERTREE_OUT_OF_MEMORY = 30,
  COVERTREE_IO = 40,
  COVERTREE_CORRUPT = 41, /* a structure or a file breaks its own rules */
  COVERTREE_FORMAT_VERSION = 42,
  COVERTREE_BUSY = 50,
  COVERTREE_CANCELLED = 51, /* a callback of the caller ended the call */
  COVERTREE_INTERNAL = 90
} covertree_status;

/* Describes the failure of the last call that failed on this thread. Never
 * NULL; valid until the next failure on this thread. */
const char *covertree_last_error(void);

/* The errno of the system call that made that call fail. It is set after
 * COVERTREE_IO and sometimes after other statuses; otherwise it is 0. */
int32_t covertree_last_errno(void);

/* The type of the elements of an array. */
typedef enum covertree_dtype {
  COVERTREE_DTYPE_F32 = 1,
  COVERTREE_DTYPE_F64 = 2,
  COVERTREE_DTYPE_I32 = 3, /* this one and U8 occur in files only */
  COVERTREE_DTYPE_I64 = 4,
  COVERTREE_DTYPE_U8 = 5,
  COVERTREE_DTYPE_OBJECT = 6 /* an int64_t that stands for an object of the
                                caller, for trees of a distance function */
} covertree_dtype;

/* An array that a function reads: rows of `columns` elements. The elements of a
 * row are contiguous. A function reads the struct, like the data, during the
 * call only.
 *
 * The dtype says what the rows are:
 *   F32, F64  coordinates, finite, one point or vector a row
 *   I64       one column of numbers of points: indices of a tree's points in a
 *             search, slots of a store's vectors in an index
 *   OBJECT    one column of numbers of the caller's objects
 * Each function says which it accepts. If the data of stored points is NULL,
 * they are all points of the tree, in ascending order of their indices; `rows`
 * must then be their number, which is the size of the results. The call fails
 * with COVERTREE_BUSY if the tree has another number of points.
 *
 * The struct has 40 bytes where pointers have 8, and no padding. */
typedef struct covertree_matrix {
  const void *data;
  int32_t dtype;      /* a covertree_dtype */
  int32_t reserved;   /* 0 */
  int64_t rows;       /* at most 2^31 - 2 */
  int64_t columns;    /* 1 to 65536 */
  int64_t row_stride; /* bytes from row to row; 0: the rows are contiguous */
} covertree_matrix;

/* Matrices with contiguous rows. */
static inline covertree_matrix covertree_matrix_f32(const float *data,
                                                    int64_t rows,
                                                    int64_t columns) {
  covertree_matrix matrix = {data, COVERTREE_DTYPE_F32, 0, rows, columns, 0};
  return matrix;
}

static inline covertree_matrix covertree_matrix_f64(const double *data,
                                                    int64_t rows,
                                                    int64_t columns) {
  covertree_matrix matrix = {data, COVERTREE_DTYPE_F64, 0, rows, columns, 0};
  return matrix;
}

static inline covertree_matrix covertree_matrix_i64(const int64_t *data,
                                                    int64_t rows) {
  covertree_matrix matrix = {data, COVERTREE_DTYPE_I64, 0, rows, 1, 0};
  return matrix;
}

/* ---- Build, search, free ------------------------------------------------ */

/* Points with float32 or float64 coordinates, exact searches among them, and
 * their compressed cover tree. Searches use k-d trees. The cover tree is built
 * when covertree_tree_export or covertree_tree_validate needs it. */
typedef struct covertree_tree covertree_tree;

/* Options are below, in the sections "Options" and "More searches". */
typedef struct covertree_tree_options covertree_tree_options;
typedef struct covertree_search_options covertree_search_options;

/* Builds a tree.
 *   points [in]  F32 or F64, at least 1 row; float64 coordinates are at most
 *                2^500 in absolute value. OBJECT: for a distance function
 * O(n log n). A tree of a distance function is a cover tree, built at once. */
covertree_status covertree_tree_build(const covertree_matrix *points,
                                      const covertree_tree_options *options,
                                      covertree_tree **tree);

/* Finds the k nearest points of each query, sorted by (distance, index).
 *   queries   [in]  F32 or F64: new points. Float64 queries are not rounded, if
 *                   the tree's points are float32; a tree of float64 points
 *                   accepts float64 queries only. OBJECT: other objects, for a
 *                   tree of them; queries of a tree of a distance function
 *                   have the type of its points. I64: points of the tree
 *   k               at least 1; k times the number of queries is below 2^60.
 *                   It may exceed the number of points
 *   indices   [out] queries x k; -1 if there are fewer than k points
 *   distances [out] queries x k, infinity if there are fewer than k points; or
 *                   NULL. They are float or double: the type of the queries'
 *                   coordinates; for points of the tree, the type of its
 *                   points; double for a distance function
 * NOT_FOUND if the tree does not have a point, BUSY. The time of a query grows
 * with log n if the points have few intrinsic dimensions. No k-d tree is
 * faster than O(n) if they have many. */
covertree_status covertree_tree_knn(covertree_tree *tree,
                                    const covertree_matrix *queries, int64_t k,
                                    const covertree_search_options *options,
                                    int64_t *indices, void *distances);

void covertree_tree_free(covertree_tree *tree);

/* ---- Options ------------------------------------------------------------ */

/* A function that the library calls from the calling thread, at least every
 * 0.2 s during a long call, with the share of the work that is done, 0 to 1. If
 * it returns another value than 0, the call ends with COVERTREE_CANCELLED and
 * changes nothing. It may call this library, and must not unwind. */
typedef int32_t (*covertree_progress_fn)(void *user_data, double share);

/* Options of most functions. */
typedef struct covertree_call_options {
  uint32_t struct_size;
  int32_t n_threads; /* 0: covertree_get_num_threads() */
  covertree_progress_fn progress;
  void *progress_user_data;
} covertree_call_options;

static inline void covertree_call_options_init(
    covertree_call_options *options) {
  memset(options, 0, sizeof *options);
  options->struct_size = sizeof *options;
}

/* The order in which points are preferred as centres of the cover tree.
 * Neighbours do not depend on it. */
typedef enum covertree_order {
  COVERTREE_ORDER_HILBERT = 0, /* along the Hilbert curve through the points */
  COVERTREE_ORDER_NATURAL = 1, /* by index */
  COVERTREE_ORDER_RANDOM = 2   /* shuffled with the seed */
} covertree_order;

/* The distance of two points, from the differences d of their coordinates and
 * their weights w. A metric of the library other than plain Euclidean distance
 * has no cover tree: covertree_tree_export and scores are UNSUPPORTED for it.
 * For a function, scores are UNSUPPORTED. */
typedef enum covertree_distance {
  COVERTREE_DISTANCE_EUCLIDEAN = 0, /* the root of the sum of w d^2 */
  COVERTREE_DISTANCE_MANHATTAN = 1, /* the sum of w |d| */
  COVERTREE_DISTANCE_CHEBYSHEV = 2, /* the largest w |d| */
  COVERTREE_DISTANCE_MINKOWSKI = 3, /* (the sum of w |d|^p)^(1/p) */
  /* Without weights and periods, of float64 points alone: */
  COVERTREE_DISTANCE_HAVERSINE = 4, /* on a sphere, of latitude and longitude */
  COVERTREE_DISTANCE_COSINE = 5,    /* 1 - cosine */
  COVERTREE_DISTANCE_ANGULAR = 6,   /* the angle between vectors in radians */
  COVERTREE_DISTANCE_MAHALANOBIS = 7, /* the root of d^T M d */
  /* A function of the caller, for points of any type: */
  COVERTREE_DISTANCE_FUNCTION = 8
} covertree_distance;

/* A metric of the caller: it fills `count` distances, of row i of `left` from
 * row i of `right`. Rows have `columns` elements of the type that the tree was
 * built from: coordinates, or the number of an object. Many pairs that follow
 * each other have the same left row.
 *
 * Distances are from 0 to 2^500, and those of a metric: 0 from an object to
 * itself, the same in both directions, and none longer than a way by a third
 * object. If a function breaks these rules, calls still end, but searches may
 * miss neighbours; covertree_tree_validate names objects that break one. Rules
 * hold up to roundings of 2^-22 of the distances, as of float32.
 *
 * Several threads call it at once, unless a call has n_threads 1: then only the
 * calling thread does. A function that returns another value than 0 ends the
 * call with COVERTREE_CANCELLED. It may call the library, except to change the
 * same tree, and must not unwind. */
typedef int32_t (*covertree_distance_fn)(void *user_data, int64_t count,
                                         int64_t columns, const void *left,
                                         const void *right, double *distances);

struct covertree_tree_options {
  uint32_t struct_size;
  int32_t n_threads;
  int32_t order;     /* a covertree_order */
  int32_t leaf_size; /* points of a k-d leaf, 1 to 65536; 0: 32 */
  uint64_t seed;
  covertree_progress_fn progress;
  void *progress_user_data;
  int32_t metric;  /* a covertree_distance */
  int32_t degrees; /* of HAVERSINE. 0: radians; 1: degrees */
  double exponent; /* p of MINKOWSKI, from 1 to infinity */
  double radius;   /* of the sphere of HAVERSINE. 0: 1, for radians */
  const double *weights; /* [in] one per coordinate, 0 or 2^-100 to 2^100; NULL:
                            1 each */
  const double *periods; /* [in] one per coordinate, 2^-100 to 2^100, or
                            infinity without a period; NULL: none has one. A
                            difference is then the least one by whole periods.
                            The tree moves points into one period: from 0, or
                            from minus half a period to plus half of it if the
                            first points are there and some are below 0 */
  const double *inverse_covariance; /* [in] M of MAHALANOBIS, dim x dim:
                                       symmetric and positive definite */
  covertree_distance_fn distance_fn; /* of FUNCTION. It and its user_data must
                                        live as long as the tree */
  void *distance_user_data;
};

static inline void covertree_tree_options_init(
    covertree_tree_options *options) {
  memset(options, 0, sizeof *options);
  options->struct_size = sizeof *options;
}

/* Sets the number of threads of calls whose options say 0: at most 1024. 0
 * restores the default, the processors that the CPU set and the control group
 * of the process allow. */
covertree_status covertree_set_num_threads(int32_t n_threads);
int32_t covertree_get_num_threads(void);

/* ---- Version ------------------------------------------------------------ */

#define COVERTREE_VERSION_MAJOR 1
#define COVERTREE_VERSION_MINOR 0
#define COVERTREE_VERSION_PATCH 0
#define COVERTREE_ABI_VERSION 1

/* The version of the loaded library: 10000 * major + 100 * minor + patch. */
uint32_t covertree_version_number(void);

/* Libraries with the same ABI version can replace each other. Compare it with
 * COVERTREE_ABI_VERSION. */
uint32_t covertree_abi_version(void);

/* The processor that the library was built for, for example
 * "covertree 1.0.0 x86-64-v3". Static. */
const char *covertree_build_info(void);

/* ---- More searches ------------------------------------------------------ */

typedef enum covertree_search_flags {
  /* Finds only points with a lower index than the query's own. For queries that
   * are points of the tree. */
  COVERTREE_SEARCH_PREDECESSORS = 1,
  /* Does not find the query itself, but finds its duplicates. For queries that
   * are points of the tree. */
  COVERTREE_SEARCH_EXCLUDE_SELF = 2,
  /* Finds nothing beyond max_distance. */
  COVERTREE_SEARCH_MAX_DISTANCE = 4,
  /* Gives the lists of a radius search their scores. */
  COVERTREE_SEARCH_SCORES = 8
} covertree_search_flags;

struct covertree_search_options {
  uint32_t struct_size;
  int32_t n_threads;
  uint32_t flags;    /* of covertree_search_flags */
  uint32_t reserved; /* 0 */
  /* At least 0; read only with COVERTREE_SEARCH_MAX_DISTANCE. Inclusive, as
   * every radius is: a point is found if its distance is at most this, before
   * or after the distance is rounded to the type of the result. */
  double max_distance;
  covertree_progress_fn progress;
  void *progress_user_data;
  /* One number a query: only points with an index below it are found. NULL: all
   * points are. Not together with COVERTREE_SEARCH_PREDECESSORS, for which
   * before[i] is the index of query i. */
  const int64_t *before;
  /* For programs that search partitions and merge the answers, see
   * covertree_partitions.h. A score is the float64 number by which neighbours
   * are sorted first, then by distance, then by index. It is the squared
   * distance, or a number that encodes it if it is below 2^-960, where squares
   * lose digits; 0 for a distance of 0. In the residual-correlation metric it
   * is the distance, or, with a kernel of this library and without inducing
   * features, the score of the coordinates divided by the lengthscale. */
  const double *limits; /* one a query: no larger scores; NULL: no limit */
  double *scores;       /* [out] queries x k, infinity if there is no neighbour;
                           may be NULL */
  /* A mask that admits points. A call reads all of it, so it is for many
   * queries. Queries need not be admitted. */
  const uint8_t *admitted; /* one byte for each index, 0 if the point is not
                              found; bytes of removed points are ignored. NULL:
                              all points are found */
  int64_t n_admitted;      /* next_index of covertree_tree_info, or of
                              covertree_residual_info */
  /* One number a query, as max_distance, instead of it and of the radius of a
   * radius search. */
  const double *max_distances;
};

static inline void covertree_search_options_init(
    covertree_search_options *options) {
  memset(options, 0, sizeof *options);
  options->struct_size = sizeof *options;
}

/* Lists of neighbours, one for each query, each of its own length. */
typedef struct covertree_neighbors covertree_neighbors;

/* Finds all points within a radius (inclusive) of each query, sorted by
 * (distance, index).
 *   queries [in]  as in covertree_tree_knn
 *   radius        not read if the options have max_distances
 * Statuses as of covertree_tree_knn. */
covertree_status covertree_tree_radius(covertree_tree *tree,
                                       const covertree_matrix *queries,
                                       double radius,
                                       const covertree_search_options *options,
                                       covertree_neighbors **neighbors);

/* Counts the points within a radius (inclusive) of each query.
 *   radius       not read if the options have max_distances
 *   counts [out] one a query */
covertree_status covertree_tree_radius_count(
    covertree_tree *tree, const covertree_matrix *queries, double radius,
    const covertree_search_options *options, int64_t *counts);

typedef struct covertree_neighbors_view {
  int64_t n_queries;
  int64_t n_neighbors;    /* of all queries */
  int32_t dtype;          /* of the distances, as in covertree_tree_knn */
  int32_t reserved;
  const int64_t *offsets; /* n_queries + 1: the neighbours of query i are at
                             offsets[i] to offsets[i + 1] - 1 */
  const int64_t *indices; /* n_neighbors */
  const void *distances;  /* n_neighbors */
  const double *scores;   /* n_neighbors; NULL without
                             COVERTREE_SEARCH_SCORES */
} covertree_neighbors_view;

/* Shows the arrays of a result. They live as long as the handle. */
covertree_status covertree_neighbors_get(covertree_neighbors *neighbors,
                                         covertree_neighbors_view *view);
void covertree_neighbors_free(covertree_neighbors *neighbors);

/* ---- Pairs of points ---------------------------------------------------- */

/* Pairs of points, and their distances. */
typedef struct covertree_pairs covertree_pairs;

/* Finds all pairs of points within a radius (inclusive), sorted by their
 * indices.
 *   other              NULL: pairs of two points of the tree, each pair once,
 *                      with the lower index first. Otherwise a tree of the same
 *                      dim, metric and parameters of the metric: the first
 *                      index of a pair is of a point of `tree`, the second one
 *                      of a point of `other`. Both trees or none have a
 *                      distance function, else UNSUPPORTED. Then both have rows
 *                      of one type, else SHAPE, and the same distance_fn and
 *                      distance_user_data, else INVALID_ARGUMENT: the function
 *                      gets a row of `tree` and one of `other`, so numbers
 *                      stand for the same objects in both
 *   with_distances     0: the pairs have no distances
 * If the two trees have points of different dtypes, distances are float64. The
 * time grows with the number of pairs if the points have few intrinsic
 * dimensions. A distance function is evaluated at most once for a pair. Memory
 * grows with the pairs. */
covertree_status covertree_tree_pairs(covertree_tree *tree,
                                      covertree_tree *other, double radius,
                                      int32_t with_distances,
                                      const covertree_call_options *options,
                                      covertree_pairs **pairs);

/* Finds the minimum spanning tree of the points: n_points - 1 pairs, sorted by
 * (length, lower index, higher index). Of several minimum spanning trees it is
 * the one whose edges come first in this order.
 *   mutual_k   0: lengths are distances in the metric of the tree. Otherwise
 *              below the number of points: lengths are mutual reachability
 *              distances. That of two points is the largest of their distance
 *              and of the distances of both to their mutual_k-th nearest other
 *              point. A distance function is evaluated for those neighbours, too
 *   edges [out] with the lengths as distances, in the dtype of the points; the
 *              lower index of an edge is first */
covertree_status covertree_tree_spanning_tree(
    covertree_tree *tree, int64_t mutual_k,
    const covertree_call_options *options, covertree_pairs **edges);

typedef struct covertree_pair_count_options {
  uint32_t struct_size;
  int32_t n_threads;
  covertree_progress_fn progress;
  void *progress_user_data;
  /* Finite weights of the points of the tree and of the other one, in ascending
   * order of their indices; NULL: each is 1. Without another tree, the second
   * ones are of the second points of pairs. */
  const double *weights;
  int64_t n_weights;
  const double *other_weights;
  int64_t n_other_weights;
} covertree_pair_count_options;

static inline void covertree_pair_count_options_init(
    covertree_pair_count_options *options) {
  memset(options, 0, sizeof *options);
  options->struct_size = sizeof *options;
}

/* Counts ordered pairs of points by distance.
 *   other        NULL: pairs of two points of the tree, so that each pair counts
 *                twice, and of each point with itself. Otherwise as in
 *                covertree_tree_pairs
 *   radii  [in]  n_radii, ascending, at least 0
 *   counts [out] n_radii. Element i is for pairs that are within radii[i]
 *                (inclusive), but not within radii[i - 1]: their number, an
 *                int64_t; with weights the sum of the products of their
 *                weights, a double
 * BUSY if there are not as many weights as points. The time depends on the
 * number of pairs whose distances are close to a radius, and so do the
 * evaluations of a distance function. */
covertree_status covertree_tree_pair_counts(
    covertree_tree *tree, covertree_tree *other, const double *radii,
    int64_t n_radii, const covertree_pair_count_options *options, void *counts);

typedef struct covertree_pairs_view {
  int64_t n_pairs;
  int32_t dtype;          /* of the distances */
  int32_t reserved;
  const int64_t *indices; /* n_pairs x 2 */
  const void *distances;  /* n_pairs; NULL if there are none */
} covertree_pairs_view;

/* Shows the arrays of a result. They live as long as the handle. */
covertree_status covertree_pairs_get(covertree_pairs *pairs,
                                     covertree_pairs_view *view);
void covertree_pairs_free(covertree_pairs *pairs);

/* ---- Changes of a tree -------------------------------------------------- */

/* Adds points. They get the indices from first_index on.
 *   points      [in]  of the dtype of the tree's points
 *   first_index [out] may be NULL
 * BUSY. O(log^2 n) a point on average over many calls; a call is slower if it
 * merges k-d trees. */
covertree_status covertree_tree_insert(covertree_tree *tree,
                                       const covertree_matrix *points,
                                       const covertree_call_options *options,
                                       int64_t *first_index);

/* Removes points. The others keep their indices. The index of a removed point
 * is not given to another one.
 *   indices [in] n_indices, all different
 * NOT_FOUND if a point is not in the tree (then no point is removed), BUSY.
 * O(log n) a point on average over many calls: a k-d tree is rebuilt when a
 * quarter of its points is gone. The first call makes a table of all points,
 * O(n). */
covertree_status covertree_tree_remove(covertree_tree *tree,
                                       const int64_t *indices,
                                       int64_t n_indices,
                                       const covertree_call_options *options);

/* Checks every rule of the k-d trees and of the cover tree, which is built if
 * it is missing: one root, covering, separation over the whole tree,
 * duplicates, radii, order. CORRUPT if a rule is broken; the message names the
 * first pair of points that breaks it. */
covertree_status covertree_tree_validate(covertree_tree *tree,
                                         const covertree_call_options *options);

/* ---- Properties of a tree ----------------------------------------------- */

typedef struct covertree_tree_info {
  int64_t n_points;     /* that searches find */
  int64_t n_nodes;      /* of the cover tree: n_points, and points that were
                           removed since it was rebuilt; 0 until it is built */
  int64_t n_segments;   /* k-d trees */
  int64_t next_index;   /* of the next point that is inserted */
  int64_t dim;
  int32_t dtype;        /* a covertree_dtype */
  int32_t order;        /* a covertree_order */
  int32_t leaf_size;
  int32_t root_level;   /* of the cover tree; 0 until it is built */
  uint64_t seed;
  int64_t memory_bytes;
  double total_seconds; /* of the last build, insertion or removal */
  /* The last time that the cover tree was built or extended; zeros until it is
   * built: */
  int64_t distance_evaluations;
  int64_t conflict_edges;  /* pairs that could not enter a level together */
  int64_t conflict_rounds; /* independent sets that entered */
  int64_t levels_entered;
  double order_seconds;  /* sorting along the curve */
  double insert_seconds; /* descending the levels */
  double layout_seconds; /* arrays and radii */
  /* Searches since the tree was built: */
  int64_t queries;
  int64_t points_compared; /* evaluations of a distance function */
  int64_t boxes_compared; /* vectors of bounding boxes */
} covertree_tree_info;

covertree_status covertree_tree_get_info(covertree_tree *tree,
                                         covertree_tree_info *info);

/* Gives the indices of all points.
 *   in_leaf_order  0: ascending; otherwise near points follow each other
 *   n_rows         the number of points
 *   indices [out]  n_rows
 * BUSY if the tree has another number of points. O(n). */
covertree_status covertree_tree_indices(covertree_tree *tree,
                                        int32_t in_leaf_order, int64_t n_rows,
                                        int64_t *indices);

/* Gives the coordinates of points.
 *   rows   [in]  n_rows indices
 *   points [out] n_rows x dim, of the tree's dtype, contiguous; int64_t for
 *                OBJECT
 * NOT_FOUND if a point is not in the tree. */
covertree_status covertree_tree_points(covertree_tree *tree,
                                       const int64_t *rows, int64_t n_rows,
                                       const covertree_call_options *options,
                                       void *points);

/* The arrays of a cover tree at the time of the export. They do not change. */
typedef struct covertree_arrays covertree_arrays;

/* The nodes are in depth-first order: node 0 is the root, the subtree of node t
 * is t to subtree_end[t] - 1, and its children are children[i] for i from
 * children_offsets[t] to children_offsets[t + 1] - 1. The arrays are read-only,
 * 64-byte aligned and contiguous, and live as long as the handle. */
typedef struct covertree_arrays_view {
  int64_t n_nodes;
  int64_t dim;
  int32_t dtype;                   /* of points and radius */
  int32_t is_current;              /* 1; 0 if the tree has been changed or freed
                                      since the export. Ask again to know
                                      later */
  const void *points;              /* n_nodes x dim */
  const int32_t *order;            /* n_nodes: the index of each node's point */
  const int32_t *levels;           /* n_nodes; INT32_MIN: a duplicate of the
                                      parent */
  const int32_t *parents;          /* n_nodes; -1 for the root */
  const int32_t *children_offsets; /* n_nodes + 1 */
  const int32_t *children;         /* n_nodes - 1 */
  const void *radius;              /* n_nodes: the largest distance to a point
                                      of the subtree, rounded up */
  const int32_t *subtree_end;      /* n_nodes */
  const int32_t *subtree_min;      /* n_nodes: the smallest index in the
                                      subtree */
  const int32_t *subtree_max;      /* n_nodes: the largest */
  const uint8_t *removed;          /* n_nodes: 1 for a removed point; NULL if no
                                      point was removed */
} covertree_arrays_view;

/* Exports the cover tree without a copy. It is built if it is missing,
 * which costs O(c n log(spread)) distances for an expansion constant c of the
 * data. Points that were inserted since it was built are added to it as one
 * batch. */
covertree_status covertree_tree_export(covertree_tree *tree,
                                       const covertree_call_options *options,
                                       covertree_arrays **arrays);
covertree_status covertree_arrays_get(covertree_arrays *arrays,
                                      covertree_arrays_view *view);
void covertree_arrays_free(covertree_arrays *arrays);

/* ---- Files -------------------------------------------------------------- */

/* A file of this library has named arrays, the sections, each with a checksum;
 * docs/file-format.md describes every byte. A file is written to a temporary
 * one, which replaces the old one when all of it is on the disk; after a
 * failure the old file is still there. A hostile file does no harm: sizes,
 * checksums and the numbers that refer to elements are checked before they are
 * used.
 *
 *     covertree_tree_save(tree, "points.covertree", NULL, 0, NULL);
 *
 *     covertree_file *file = NULL;
 *     if (covertree_file_open("points.covertree", 0, NULL, &file) ==
 *         COVERTREE_OK)
 *       covertree_tree_load(file, &tree);
 *     covertree_file_free(file);
 */
typedef struct covertree_file covertree_file;

typedef enum covertree_file_kind {
  COVERTREE_FILE_TREE = 1,
  COVERTREE_FILE_RESIDUAL = 2,
  COVERTREE_FILE_ARRAYS = 3, /* sections of the caller only */
  COVERTREE_FILE_INDEX = 4,
  COVERTREE_FILE_VIF = 5,
  COVERTREE_FILE_FUNCTION = 6 /* a tree of a distance function */
} covertree_file_kind;

/* One array of a file. */
typedef struct covertree_section {
  const char *name; /* 1 to 24 visible ASCII characters, all names different */
  int32_t dtype;    /* a covertree_dtype */
  int32_t reserved; /* 0 */
  int64_t rows;
  int64_t columns;
  const void *data; /* rows x columns, row-major, contiguous; 64-byte aligned if
                       it comes from a file */
} covertree_section;

/* Saves a tree as it is now. Later changes do not reach the file. A distance
 * function is not in the file: covertree_tree_load_function gets it again.
 *   path     [in] at most 4096 bytes, UTF-8. Symbolic links are followed. The
 *                 new file gets the mode, the owner and the group of the file
 *                 that it replaces. IO if that file is read-only, if the owner
 *                 or the group cannot be kept, or path is not a regular file
 *   sections [in] n_sections arrays of the caller, to be saved with the tree;
 *                 may be NULL if n_sections is 0
 * IO. At the speed of the disk. */
covertree_status covertree_tree_save(covertree_tree *tree, const char *path,
                                     const covertree_section *sections,
                                     int64_t n_sections,
                                     const covertree_call_options *options);

/* Does the same in memory, as if the tree had been saved and the file opened.
 * covertree_file_info has the bytes. */
covertree_status covertree_tree_encode(covertree_tree *tree,
                                       const covertree_section *sections,
                                       int64_t n_sections,
                                       const covertree_call_options *options,
                                       covertree_file **file);

/* Saves arrays of the caller.
 *   input_hash  a number by which the caller recognises their inputs */
covertree_status covertree_sections_save(const char *path, uint64_t input_hash,
                                         const covertree_section *sections,
                                         int64_t n_sections,
                                         const covertree_call_options *options);

typedef enum covertree_open_flags {
  /* Reads the file into memory. By default it is mapped, and processes share
   * its pages. */
  COVERTREE_OPEN_COPY = 1,
  /* Compares every section with its checksum now. By default this is done when
   * the section is first used. */
  COVERTREE_OPEN_VERIFY = 2
} covertree_open_flags;

/* Opens a file. The header and the table are checked; nothing else is read, so
 * a large file opens as fast as a small one. A mapped file may be replaced or
 * deleted while it is in use, but must not be shortened or written to.
 *   flags         of covertree_open_flags
 * IO, CORRUPT if it is not such a file, is cut off, damaged or big-endian,
 * FORMAT_VERSION for a file of a later version. */
covertree_status covertree_file_open(const char *path, uint32_t flags,
                                     const covertree_call_options *options,
                                     covertree_file **file);

/* Does the same for the bytes of a file, which are copied. */
covertree_status covertree_file_copy(const void *bytes, int64_t n_bytes,
                                     uint32_t flags,
                                     const covertree_call_options *options,
                                     covertree_file **file);

/* Gives the tree in a file. The tree keeps the file open. The first call that
 * uses the tree compares its sections with their checksums, with the threads
 * and the progress callback of that call; it fails with CORRUPT if they differ.
 * INVALID_ARGUMENT for a file of another kind. */
covertree_status covertree_tree_load(covertree_file *file,
                                     covertree_tree **tree);

/* Gives the tree of a distance function in a file of kind
 * COVERTREE_FILE_FUNCTION. Sections are compared with their checksums now, and
 * up to 32 distances of the file with those of the function: the tree is not
 * built again. The tree keeps the file open.
 *   options [in] metric, which is COVERTREE_DISTANCE_FUNCTION, distance_fn and
 *                distance_user_data, as for the build; n_threads and progress
 *                of this call. Nothing else is read
 * INVALID_ARGUMENT for a file of another kind, or if a distance differs by more
 * than roundings; CORRUPT; CANCELLED. */
covertree_status covertree_tree_load_function(
    covertree_file *file, const covertree_tree_options *options,
    covertree_tree **tree);

typedef struct covertree_file_info {
  int64_t n_bytes;
  const void *bytes;   /* the whole file, as long as the handle lives */
  uint64_t input_hash; /* covertree_hash_points of the points, or the number
                          that covertree_sections_save was given */
  int32_t kind;        /* a covertree_file_kind */
  int32_t format_version;
  int64_t n_sections;
} covertree_file_info;

covertree_status covertree_file_get_info(covertree_file *file,
                                         covertree_file_info *info);

/* Gives one section of a file, and compares it with its checksum first.
 *   index         0 to n_sections - 1
 *   section [out] its name and data live as long as the file's handle
 * NOT_FOUND, CORRUPT. */
covertree_status covertree_file_get_section(covertree_file *file, int64_t index,
                                            covertree_section *section);
void covertree_file_free(covertree_file *file);

/* Computes a number by which points are recognised. A file has the number of
 * the points that its tree was given, in the order of their indices, without
 * removed ones. Float32 and float64 points with equal coordinates have the same
 * number.
 *   points [in]  F32 or F64, at least 1 row
 *   hash   [out] */
covertree_status covertree_hash_points(const covertree_matrix *points,
                                       const covertree_call_options *options,
                                       uint64_t *hash);

/* ---- Residual correlation ----------------------------------------------- */

/* Points in the metric of a Gaussian process that is conditioned on its
 * inducing points U. Its whitened inducing features are V, with rows
 * v_i = L^-1 k(U, x_i), where L L^T = k(U, U) + jitter variance I; its residual
 * variances are p_i = k(x_i, x_i) - |v_i|^2. The residual correlation is
 * rho_ij = (k(x_i, x_j) - v_i . v_j) / sqrt(p_i p_j), and the distance is
 * d_ij = sqrt(1 - min(|rho_ij|, 1)). d_ii is 0. If sqrt(p_i p_j) is below
 * 1e-9 variance, d_ij is 1.
 *
 * Neighbours are sorted by (distance, index). With a kernel of this library and
 * without inducing features they are sorted by (distance of the coordinates
 * divided by the lengthscale, index), because d rounds to 1 for all points that
 * are far away.
 *
 * All arrays are float64 (COVERTREE_DTYPE_F64), unless said otherwise. A model
 * does not change. */
typedef struct covertree_residual covertree_residual;

typedef enum covertree_kernel_shape {
  COVERTREE_KERNEL_RBF = 0,
  COVERTREE_KERNEL_MATERN12 = 1,
  COVERTREE_KERNEL_MATERN32 = 2,
  COVERTREE_KERNEL_MATERN52 = 3
} covertree_kernel_shape;

/* A covariance function of the caller. It fills covariances, n_rows x
 * n_columns, with k(rows[i], columns[j]); both are arrays of points with dim
 * coordinates. Several threads call it at once. It must not unwind. If it
 * returns another value than 0, the call that needed it ends with
 * COVERTREE_CANCELLED; if a covariance is not finite, with INVALID_ARGUMENT. */
typedef int32_t (*covertree_kernel_fn)(void *user_data, const double *rows,
                                       int64_t n_rows, const double *columns,
                                       int64_t n_columns, int64_t dim,
                                       double *covariances);

/* V and p of points, from the caller. */
typedef struct covertree_features {
  covertree_matrix v_matrix;       /* n x n_features */
  const double *residual_variance; /* n: p */
  const double *kernel_diagonal;   /* n: k(x_i, x_i); NULL: the kernel's
                                      variance. Read by covertree_residual_build
                                      only */
} covertree_features;

typedef struct covertree_residual_options {
  uint32_t struct_size;
  int32_t n_threads;
  int32_t kernel;                /* a covertree_kernel_shape */
  int32_t reserved;              /* 0 */
  double variance;               /* 2^-980 to 2^1000; 0: 1 */
  const double *lengthscale;     /* n_lengthscales; NULL: 1 */
  int64_t n_lengthscales;        /* 1, or one for each dimension */
  const double *inducing_points; /* n_inducing x dim, contiguous; NULL: none,
                                    and rho is the correlation of the kernel */
  int64_t n_inducing;
  double jitter; /* divided by the variance, at most 0.01; 0: 1e-6. If k(U, U)
                    is not positive definite with it, ten times as much is
                    tried, up to 0.01 */
  covertree_kernel_fn kernel_fn; /* replaces kernel, variance and lengthscale;
                                    may be NULL */
  void *kernel_user_data;
  covertree_progress_fn progress;
  void *progress_user_data;
  /* The caller's own V and p; inducing points are not read then. May be NULL.
   * V is F32 or F64. p is above 0, and within 1e-3, relative, of
   * kernel_diagonal[i] - |v_i|^2. Products of two numbers must not overflow or
   * vanish: p is at least 2^-500, the diagonal is at most 2^40, and |v_i|^2 is
   * at most 2^40 times the kernel's variance. */
  const covertree_features *features;
  /* Neighbours do not depend on these: */
  int64_t block_size; /* points of a block: a multiple of 64, at most 1024;
                         0: 256 */
  double tau; /* the norm that the basis of a block leaves, roughly at most, of
                 a point's unit vector, above 0 and below 1; 0: found by
                 trying */
} covertree_residual_options;

static inline void covertree_residual_options_init(
    covertree_residual_options *options) {
  memset(options, 0, sizeof *options);
  options->struct_size = sizeof *options;
}

/* Builds a model. V and p come from the kernel and the inducing points, or from
 * the caller (options->features).
 *   points [in]  at least 1 row
 * O(n m^2) time and 12 m + 24 dim + 40 bytes a point for m inducing points. */
covertree_status covertree_residual_build(
    const covertree_matrix *points, const covertree_residual_options *options,
    covertree_residual **residual);
void covertree_residual_free(covertree_residual *residual);

/* Finds the k nearest points of each query, sorted by (distance, index).
 *   queries   [in]  F64: new points, whose v and p are made from the inducing
 *                   points. I64: points of the model
 *   k               at least 1; k times the number of queries is below 2^60
 *   indices   [out] queries x k; -1 if fewer than k points qualify
 *   distances [out] queries x k; infinity there. May be NULL
 * NOT_FOUND, BUSY, UNSUPPORTED for new points if V came from the caller. */
covertree_status covertree_residual_knn(covertree_residual *residual,
                                        const covertree_matrix *queries,
                                        int64_t k,
                                        const covertree_search_options *options,
                                        int64_t *indices, double *distances);

/* Finds all points within a radius (inclusive) of each query, sorted as the
 * neighbours of covertree_residual_knn are. All points are within 1.
 *   queries   [in]  as in covertree_residual_knn
 *   radius          not read if the options have max_distances
 *   options   [in]  max_distance is not read; COVERTREE_SEARCH_SCORES is not
 *                   supported
 *   neighbors [out] with float64 distances
 * Statuses as of covertree_residual_knn. The memory of a call is that of its
 * result and of candidates for some hundred queries a thread. */
covertree_status covertree_residual_radius(
    covertree_residual *residual, const covertree_matrix *queries,
    double radius, const covertree_search_options *options,
    covertree_neighbors **neighbors);

/* Counts the points within a radius (inclusive) of each query.
 *   radius       not read if the options have max_distances
 *   counts [out] one a query */
covertree_status covertree_residual_radius_count(
    covertree_residual *residual, const covertree_matrix *queries,
    double radius, const covertree_search_options *options, int64_t *counts);

/* Computes the distances of points of the model from others of it.
 *   rows      [in]  n_rows indices
 *   others    [in]  n_rows x n_others indices; -1 for none
 *   distances [out] n_rows x n_others; infinity for -1
 * NOT_FOUND. */
covertree_status covertree_residual_distances(
    covertree_residual *residual, const int64_t *rows, int64_t n_rows,
    const int64_t *others, int64_t n_others,
    const covertree_call_options *options, double *distances);

/* Makes a new model of the same process with more points, which get the indices
 * that follow. The features of the old points are reused: O(n m) in total, and
 * O(m^2) for each new point.
 * UNSUPPORTED if V came from the caller. */
covertree_status covertree_residual_extend(
    covertree_residual *residual, const covertree_matrix *points,
    const covertree_call_options *options, covertree_residual **extended);

/* Makes a new model without some points. The others keep their indices, and an
 * index of a removed point is not given to another one. The new model shares
 * the memory of the given one, and has its points: searches leave out those
 * that are removed. If these are more than a quarter of them, it has memory and
 * low-rank blocks of its own, for the other points only, with the same V and p.
 *   indices [in] n_indices, all different
 * NOT_FOUND if a point is not in the model. O(n); if a model of the other
 * points is made, as covertree_residual_extend. */
covertree_status covertree_residual_remove(
    covertree_residual *residual, const int64_t *indices, int64_t n_indices,
    const covertree_call_options *options, covertree_residual **remaining);

/* Computes features.
 *   points            [in]  new points; NULL: the points of the model, in
 *                           ascending order of their indices
 *   v_matrix          [out] n x n_features, contiguous; may be NULL
 *   residual_variance [out] n; may be NULL
 * UNSUPPORTED for new points if V came from the caller. O(m^2) for each new
 * point. */
covertree_status covertree_residual_features(
    covertree_residual *residual, const covertree_matrix *points,
    const covertree_call_options *options, double *v_matrix,
    double *residual_variance);

/* Saves a model: its inputs, V and p, the low-rank blocks, and the bounds that
 * the first search of points of the model computed. Parameters and statuses as
 * of covertree_tree_save and covertree_tree_encode. */
covertree_status covertree_residual_save(covertree_residual *residual,
                                         const char *path,
                                         const covertree_section *sections,
                                         int64_t n_sections,
                                         const covertree_call_options *options);
covertree_status covertree_residual_encode(
    covertree_residual *residual, const covertree_section *sections,
    int64_t n_sections, const covertree_call_options *options,
    covertree_file **file);

/* Gives the model in a file, as covertree_tree_load does.
 *   options [in]  only kernel_fn and kernel_user_data are read. A file that
 *                 was saved with a kernel of the caller needs them; otherwise
 *                 NULL */
covertree_status covertree_residual_load(
    covertree_file *file, const covertree_residual_options *options,
    covertree_residual **residual);

/* Builds the cover tree of the points in this metric. Searches do not need it.
 *   options [in]  leaf_size is not read
 *   arrays  [out] points are the coordinates divided by the lengthscale, radius
 *                 is in this metric
 * UNSUPPORTED for a kernel of the caller. O(n) memory: up to 128 neighbours of
 * a point within 1/2 are kept during the call, 12 bytes each. */
covertree_status covertree_residual_build_tree(
    covertree_residual *residual, const covertree_tree_options *options,
    covertree_arrays **arrays);

/* Checks every rule of such a tree, as covertree_tree_validate does. CORRUPT if
 * one is broken; INVALID_ARGUMENT for arrays of another tree. */
covertree_status covertree_residual_validate_tree(
    covertree_residual *residual, covertree_arrays *arrays,
    const covertree_call_options *options);

/* The arrays of a model. */
typedef struct covertree_residual_arrays covertree_residual_arrays;

/* A model stores its points in blocks of block_size near ones; the last block
 * may be smaller. Within a block the points are sorted by index, so that the
 * points before an index come first. The position of a point is its number in
 * this order. The arrays are read-only, 64-byte aligned and contiguous, and
 * live as long as the handle.
 *
 * The pivots of a block are points whose span in the residual process nearly
 * contains the other points of the block, and the block has an orthonormal
 * basis of the part of that span that holds most of its points. Point i has the
 * coefficients f_i there, and the residual of its unit vector has the norm e_i.
 * Within a block, |rho_ij - f_i . f_j| <= e_i e_j. With the product B of the
 * bases of two blocks, |rho_ij - f_i^T B f_j| <= e_i + e_j. The norms are
 * rounded up, and include the rounding error of float32. */
typedef struct covertree_residual_view {
  int64_t n_points;
  int64_t dim;
  int64_t n_features;     /* columns of V */
  int64_t feature_stride; /* n_features, rounded up to a multiple of 8 */
  int64_t block_size;
  int64_t n_blocks; /* with pivots; 0 if blocks are compared by features only */
  int64_t blocks_per_region;
  int64_t n_regions;
  int32_t kernel;         /* a covertree_kernel_shape; -1: of the caller */
  int32_t is_current;     /* 1; 0 if the model has been freed. Ask again to know
                             later */
  double kernel_variance; /* 0 for a kernel of the caller */
  double variance;        /* the largest k(x, x) */
  const int32_t *order;   /* n_points: the index at each position */
  const int32_t *positions;        /* n_points: the position of each index */
  const double *coordinates;       /* n_points x dim, by position, divided by
                                      the lengthscale */
  const double *v_matrix;          /* n_points x feature_stride, by position;
                                      zeros in columns from n_features on */
  const double *residual_variance; /* n_points, by position */
  const float *scales; /* n_points, by position: sqrt(variance / p), rounded up;
                          infinity if a correlation may count as 0 */
  /* NULL if n_blocks is 0: */
  const int64_t *pivot_offsets;       /* n_blocks + 1, into pivots */
  const int32_t *pivots;              /* positions */
  const int64_t *coefficient_offsets; /* n_blocks + 1, into coefficients */
  const float *coefficients;    /* of each block panels x rank x 32, for panels
                                   of 32 points; rank is the number of vectors
                                   of the basis, at most the pivots, rounded up
                                   to a multiple of 8 */
  const float *remaining_norms; /* n_points, by position: e */
  const uint8_t *bounds;        /* n_regions x n_points: the largest |rho| of
                                   the point at a position with any point of a
                                   region, in units of 1/255, rounded up. A
                                   region is blocks_per_region blocks */
  /* NULL if blocks_per_region is not 1: */
  const int64_t *product_offsets; /* n_blocks x n_blocks, into products, for
                                     blocks q < t */
  const float *products; /* B of each pair, rank of q x rank of t, row-major */
} covertree_residual_view;

/* Exports the arrays of a model without a copy, except that v_matrix and
 * residual_variance are copies if variance is below 2^-400 or above 2^400. If
 * points of the model have not been searched for yet, this call computes the
 * bounds that the first such search would compute. */
covertree_status covertree_residual_export(
    covertree_residual *residual, const covertree_call_options *options,
    covertree_residual_arrays **arrays);
covertree_status covertree_residual_arrays_get(
    covertree_residual_arrays *arrays, covertree_residual_view *view);
void covertree_residual_arrays_free(covertree_residual_arrays *arrays);

typedef struct covertree_residual_info {
  int64_t n_points;
  int64_t dim;
  int64_t n_features; /* columns of V */
  int64_t n_blocks;
  int64_t n_pivots;   /* of all blocks; 0 if blocks are compared by features
                         only */
  int64_t memory_bytes;
  double variance;    /* the largest k(x, x) */
  double jitter;      /* that was added, divided by the variance */
  double build_seconds;
  /* Searches since the model was built: */
  int64_t queries;
  int64_t blocks_estimated; /* pairs of a query and a block, through pivots */
  int64_t blocks_compared;  /* pairs of a query and a block, by features */
  int64_t points_bounded;
  int64_t points_exact;     /* correlations computed in float64 */
  /* Seconds by phase: */
  double order_seconds;
  double feature_seconds;   /* V and p */
  double skeleton_seconds;  /* pivots and coefficients */
  double bound_seconds;     /* bounds between blocks, in the first search of
                               points of the model */
  double search_seconds;    /* of all searches, without these phases */
  int64_t next_index;       /* of the next point that is added */
} covertree_residual_info;

covertree_status covertree_residual_get_info(covertree_residual *residual,
                                             covertree_residual_info *info);

/* ---- Gaussian processes ------------------------------------------------- */

/* A Gaussian process by the Vecchia-inducing-points full-scale approximation:
 * the covariance of the response is Sigma = V V^T + (B^T D^-1 B)^-1. V has the
 * features of inducing points, and B and D regress the residual process of each
 * point, with its noise, on its conditioning set. Without inducing points this
 * is a Vecchia approximation, without neighbours FITC, and with all points
 * before a point in its set the process itself.
 *
 * Points have an order; a rank is a place in it. All numbers are float64, and
 * results do not depend on the number of threads. Responses are of a size up to
 * 2^200. */
typedef struct covertree_vif covertree_vif;

/* The derivatives of a kernel of the caller by its parameters: an array of
 * n_kernel_parameters x n_rows x n_columns numbers. The rest is as for
 * covertree_kernel_fn. */
typedef int32_t (*covertree_kernel_gradient_fn)(
    void *user_data, const double *rows, int64_t n_rows, const double *columns,
    int64_t n_columns, int64_t dim, double *derivatives);

typedef struct covertree_vif_options {
  uint32_t struct_size;
  int32_t n_threads;
  int32_t kernel;                /* a covertree_kernel_shape */
  int32_t reserved;              /* 0 */
  double variance;               /* of the kernel; 0: 1 */
  const double *lengthscale;     /* n_lengthscales; NULL: 1 */
  int64_t n_lengthscales;        /* 1, or one for each dimension */
  const double *inducing_points; /* n_inducing x dim, contiguous; NULL: none */
  int64_t n_inducing;
  double jitter;                 /* is added to the diagonal of the inducing
                                    points' covariances, relative to the
                                    variance; at most 0.01; 0: 1e-6 */
  const double *noise;           /* n_noise variances; NULL: 0 */
  int64_t n_noise;               /* 1, or one for each point */
  covertree_progress_fn progress;
  void *progress_user_data;
  covertree_kernel_fn kernel_fn; /* replaces kernel, variance and lengthscale;
                                    may be NULL. The model calls it, too */
  void *kernel_user_data;        /* of both functions */
  covertree_kernel_gradient_fn kernel_gradient_fn; /* of kernel_fn, for
                                                      gradients; may be NULL */
  int64_t n_kernel_parameters;   /* of kernel_gradient_fn */
} covertree_vif_options;

static inline void covertree_vif_options_init(covertree_vif_options *options) {
  memset(options, 0, sizeof *options);
  options->struct_size = sizeof *options;
}

/* Builds a model and its factor: V, B and D.
 *   points    [in] F64, at least 1 row
 *   order     [in] n: the row of each rank; NULL: ranks are rows
 *   offsets   [in] n + 1: the set of rank i is neighbors[offsets[i]] to
 *                  neighbors[offsets[i + 1] - 1]
 *   neighbors [in] offsets[n] ranks, each below the rank of its set
 * INVALID_ARGUMENT if equal points have no noise. If the covariances of the
 * inducing points are not positive definite, ten times the jitter is tried, up
 * to 0.01. O(n (k^3 + k^2 m + m^2)) time for k neighbours and m inducing points.
 * 16 m + 24 k + 16 dim + 44 bytes a point, and 128 m^2 bytes during the call;
 * 4 k (k + 1) bytes a point more if these are at most 1 GiB. Up to 1 GiB of
 * models that were freed is kept for others of the same points, until all of
 * them are freed. */
covertree_status covertree_vif_build(const covertree_matrix *points,
                                     const int64_t *order,
                                     const int64_t *offsets,
                                     const int64_t *neighbors,
                                     const covertree_vif_options *options,
                                     covertree_vif **vif);
void covertree_vif_free(covertree_vif *vif);

/* A model with the same points, sets and inducing points, and the kernel and
 * noise of the options; their inducing points and jitter are not read. */
covertree_status covertree_vif_with_parameters(
    covertree_vif *vif, const covertree_vif_options *options,
    covertree_vif **other);

/* Computes the log likelihood of responses.
 *   y         [in]  F64, n rows, one column for each response
 *   values    [out] one for each column
 *   gradients [out] 2 + n_lengthscales for each column: by the logarithms of
 *                   the noise, of the variance and of the lengthscales, with
 *                   order, sets and inducing points held fixed. All noise
 *                   variances change by one factor. With a kernel of the caller
 *                   1 + n_kernel_parameters; UNSUPPORTED without its
 *                   derivatives. May be NULL
 * O(n (k + m)) for each column; with gradients O(n (k^3 + k^2 m + m^2)), whatever
 * the number of parameters, 8 m + 8 k bytes a point and 128 m^2 bytes. */
covertree_status covertree_vif_log_likelihood(
    covertree_vif *vif, const covertree_matrix *y,
    const covertree_call_options *options, double *values, double *gradients);

/* Solves Sigma x = y.
 *   y        [in]  F64, n rows
 *   solution [out] the rows and columns of y
 * O(n (k + m)) for each column. */
covertree_status covertree_vif_solve(covertree_vif *vif,
                                     const covertree_matrix *y,
                                     const covertree_call_options *options,
                                     double *solution);

/* Gives the diagonal of the inverse of Sigma. The leave-one-out prediction of
 * response i has the variance 1 / diagonal[i], and the mean y[i] - x[i] /
 * diagonal[i] for the solution x of Sigma x = y.
 *   diagonal [out] n
 * INVALID_ARGUMENT if it is not above 0 in float64, for want of noise.
 * O(n (k m + m^2)). */
covertree_status covertree_vif_precision(covertree_vif *vif,
                                         const covertree_call_options *options,
                                         double *diagonal);

/* New points, and their conditioning sets as in covertree_vif_build: ranks, and
 * in joint predictions also n plus the number of an earlier new point. */
typedef struct covertree_vif_points {
  covertree_matrix points; /* F64 */
  const int64_t *offsets;
  const int64_t *neighbors;
  double noise; /* the variance of their noise, in joint predictions and draws */
} covertree_vif_points;

/* Predicts the process at new points, given responses.
 *   y         [in]  F64, n rows, one column for each response
 *   means     [out] a row for each new point, a column for each response
 *   variances [out] one for each new point, of the process without noise. May
 *                   be NULL
 * O(k^3 + k^2 m + m^2) a point, and O(n (k + m)) for each column of y. */
covertree_status covertree_vif_predict(covertree_vif *vif,
                                       const covertree_matrix *y,
                                       const covertree_vif_points *points,
                                       const covertree_call_options *options,
                                       double *means, double *variances);

/* Predicts responses at new points jointly, given responses.
 *   means      [out] a row for each new point, a column for each response
 *   covariance [out] q x q for q new points, with their noise. May be NULL
 * INVALID_ARGUMENT if without noise a point of a set is known exactly from the
 * others: a new point that equals a datum must not be in a set. O(q (k^3 + k^2 m
 * + m^2) + q^2 (q + m + k)) time, and 24 q (q + m) bytes, besides the responses'
 * O(n (k + m)). */
covertree_status covertree_vif_predict_jointly(
    covertree_vif *vif, const covertree_matrix *y,
    const covertree_vif_points *points, const covertree_call_options *options,
    double *means, double *covariance);

/* Draws responses: at the data from the prior, or at new points given the data,
 * as deviations from their means.
 *   points    [in]  NULL for the data
 *   normals   [in]  for each of n_draws draws independent standard normal
 *                   numbers: n_inducing, then one for each rank or new point
 *   draws     [out] a row for each draw, a column for each row of the data or
 *                   new point */
covertree_status covertree_vif_draw(covertree_vif *vif,
                                    const covertree_vif_points *points,
                                    const double *normals, int64_t n_draws,
                                    const covertree_call_options *options,
                                    double *draws);

/* Shows the factor.
 *   weights    [out] one for each neighbour that the model was built with, in
 *                    that order: B has 1 on its diagonal and minus the weights
 *                    in the columns of the neighbours
 *   variances  [out] n: D by rank
 *   v_matrix   [out] n x n_inducing: V by rank
 * Each may be NULL. */
covertree_status covertree_vif_factor(covertree_vif *vif, double *weights,
                                      double *variances, double *v_matrix);

typedef struct covertree_vif_info {
  int64_t n_points;
  int64_t dim;
  int64_t n_inducing;
  int64_t n_neighbors; /* of all points */
  int64_t n_parameters;
  int64_t memory_bytes;
  double jitter; /* that was added, divided by the variance */
  double log_determinant; /* of Sigma */
} covertree_vif_info;

covertree_status covertree_vif_get_info(covertree_vif *vif,
                                        covertree_vif_info *info);

/* Writes a model to a file, or to a file in memory, as covertree_tree_save and
 * covertree_tree_encode do. */
covertree_status covertree_vif_save(covertree_vif *vif, const char *path,
                                    const covertree_section *sections,
                                    int64_t n_sections,
                                    const covertree_call_options *options);
covertree_status covertree_vif_encode(covertree_vif *vif,
                                      const covertree_section *sections,
                                      int64_t n_sections,
                                      const covertree_call_options *options,
                                      covertree_file **file);

/* Gives the model in a file, as covertree_tree_load does: nothing is computed
 * anew but scaled coordinates.
 *   options [in]  only the caller's kernel and its derivatives are read. A file
 *                 that was saved with a kernel of the caller needs it; otherwise
 *                 NULL */
covertree_status covertree_vif_load(covertree_file *file,
                                    const covertree_vif_options *options,
                                    covertree_vif **vif);

/* ---- Orders and samples of points --------------------------------------- */

/* Computes the max-min order: the point nearest to the centroid comes first,
 * then always the point that is farthest from all before it; of equally far
 * points, the lower row.
 *   points [in]  F64, at least 1 row
 *   order  [out] n: the row of each rank
 * O(n log n) if the points have few intrinsic dimensions. O(n^2 dim) if many
 * dimensions have no structure, because no bound excludes any point then. */
covertree_status covertree_maxmin_order(const covertree_matrix *points,
                                        const covertree_call_options *options,
                                        int64_t *order);

/* Draws a sample that is spread like the data (k-means++): each point is drawn
 * with a probability in proportion to its squared distance from those before
 * it.
 *   points   [in]  F64, at least 1 row
 *   n_sample       1 to the number of points
 *   sample   [out] n_sample rows, all different
 * O(n n_sample) distances. */
covertree_status covertree_spread_sample(const covertree_matrix *points,
                                         int64_t n_sample, uint64_t seed,
                                         const covertree_call_options *options,
                                         int64_t *sample);

/* ---- Vector indexes ----------------------------------------------------- */

/* Vectors of float32 with ids, and a structure that finds the nearest of them.
 * Searches of one index run in parallel. A change waits until searches have
 * ended, and searches wait for a change. A change that fails leaves the index
 * as it was, except that an HNSW may replace links between the old vectors.
 * The progress callback of a search may search the same index; the callback of
 * a change may not. Neither may change it: BUSY. */
typedef struct covertree_index covertree_index;

/* A store of vectors, see the next section. An index can refer to the vectors
 * of a store instead of keeping copies. */
typedef struct covertree_store covertree_store;

typedef enum covertree_index_kind {
  COVERTREE_INDEX_BRUTE_FORCE = 0, /* exact: compares all vectors */
  COVERTREE_INDEX_KD_TREE = 1,     /* exact: for few dimensions */
  COVERTREE_INDEX_LSH = 2,  /* random hyperplanes: candidates by codes or
                               buckets, which are ranked exactly */
  COVERTREE_INDEX_HNSW = 3  /* a graph of near vectors: finds most neighbours,
                               quickly */
} covertree_index_kind;

/* A smaller distance is nearer. */
typedef enum covertree_index_metric {
  COVERTREE_METRIC_L2 = 0,
  COVERTREE_METRIC_SQUARED_L2 = 1,
  COVERTREE_METRIC_INNER_PRODUCT = 2, /* negated; not for k-d trees */
  COVERTREE_METRIC_COSINE = 3 /* 1 - cosine; vectors are normalised when they
                                 are added, and kept so */
} covertree_index_metric;

/* How coordinates are kept. F16 and I8 are not for k-d trees. */
typedef enum covertree_index_storage {
  COVERTREE_STORAGE_F32 = 0,
  COVERTREE_STORAGE_F16 = 1, /* coordinates of at most 65504 */
  COVERTREE_STORAGE_I8 = 2   /* a byte each, and a scale for each vector */
} covertree_index_storage;

typedef enum covertree_index_flags {
  /* Keeps float32 in addition to F16 or I8: these find candidates, which
   * float32 ranks. */
  COVERTREE_INDEX_RERANK = 1
} covertree_index_flags;

typedef enum covertree_kd_split {
  COVERTREE_SPLIT_MEDIAN = 0, /* median of the coordinate of greatest
                                 variance */
  COVERTREE_SPLIT_SLIDING_MIDPOINT = 1, /* middle of the widest extent, moved to
                                           a boundary of nodes */
  COVERTREE_SPLIT_MEDIAN_EXTENT = 2 /* median of the coordinate of widest
                                       extent */
} covertree_kd_split;

typedef enum covertree_lsh_mode {
  COVERTREE_LSH_CODES = 0, /* one long code a vector; the codes that differ
                              least from the query's give the candidates */
  COVERTREE_LSH_TABLES = 1 /* tables of buckets by short codes; the buckets of
                              the query and the nearest others give the
                              candidates */
} covertree_lsh_mode;

/* 0 means the default, which is given last. */
typedef struct covertree_index_options {
  uint32_t struct_size;
  int32_t kind;         /* a covertree_index_kind */
  int32_t metric;       /* a covertree_index_metric */
  int32_t storage;      /* a covertree_index_storage */
  uint32_t flags;       /* of covertree_index_flags */
  int32_t leaf_size;    /* KD_TREE: points of a leaf, 1 to 65536; 32 */
  int32_t split;        /* KD_TREE: a covertree_kd_split */
  int32_t lsh_mode;     /* LSH: a covertree_lsh_mode */
  int32_t n_bits;       /* LSH: of a code, 1 to 8192, 256; of a bucket, 1 to 24,
                           12 */
  int32_t n_tables;     /* LSH_TABLES: 1 to 256; 8 */
  int32_t n_probes;     /* LSH_TABLES: buckets read in each table, 1 to 65536;
                           16 */
  int32_t n_candidates; /* LSH_CODES: vectors compared with a query; 200 */
  int32_t m;            /* HNSW: links of a vector on each level, and twice as
                           many on the lowest, 2 to 512; 16 */
  int32_t ef_construction; /* HNSW: candidates when links are chosen, 1 to
                              65536; 200 */
  int32_t ef_search;    /* HNSW: candidates of a search, at least k; 64 */
  int32_t reserved;     /* 0 */
  uint64_t seed;
} covertree_index_options;

static inline void covertree_index_options_init(
    covertree_index_options *options) {
  memset(options, 0, sizeof *options);
  options->struct_size = sizeof *options;
}

/* Creates an empty index.
 *   dim         1 to 65536; not read if there is a store
 *   store [in]  NULL: the index keeps its vectors itself. Otherwise it
 *               refers to slots of the store. A slot keeps its vector while
 *               the index has it, even if no id of the store does; the store
 *               stays open until the index is freed. Answers are the same as
 *               with copies. With F16 or I8 the rows of the store rank, as
 *               with RERANK. A KD_TREE over a store does not support COSINE */
covertree_status covertree_index_create(int64_t dim, covertree_store *store,
                                        const covertree_index_options *options,
                                        covertree_index **index);
void covertree_index_free(covertree_index *index);

/* Adds vectors.
 *   ids      [in]  one a vector, all different, none of which the index has;
 *                  NULL for the numbers that follow the largest id so far
 *   vectors  [in]  F32, finite, at most 1e15 in absolute value. For an index
 *                  over a store I64: slots, each of which an id of the store
 *                  has (else NOT_FOUND). Several ids may have the same slot
 *   first_id [out] the first id, if ids is NULL; may be NULL
 * UNSUPPORTED for vectors over a store or slots without one, EXISTS for an id
 * that the index has. The graph of an HNSW does not depend on the number of
 * threads. */
covertree_status covertree_index_add(covertree_index *index, const int64_t *ids,
                                     const covertree_matrix *vectors,
                                     const covertree_call_options *options,
                                     int64_t *first_id);

/* Replaces existing vectors. A replaced vector sorts as the most recently
 * added. Parameters and statuses as of covertree_index_add; also NOT_FOUND for
 * an id that the index does not have. */
covertree_status covertree_index_update(covertree_index *index,
                                        const int64_t *ids,
                                        const covertree_matrix *vectors,
                                        const covertree_call_options *options);

/* Removes vectors, all or none. NOT_FOUND for an id that the index does not
 * have; INVALID_ARGUMENT for an id that is given twice. */
covertree_status covertree_index_remove(covertree_index *index,
                                        const int64_t *ids, int64_t n_ids,
                                        const covertree_call_options *options);

/* Removes all vectors. */
covertree_status covertree_index_clear(covertree_index *index);

/* Rebuilds the structure from the vectors. */
covertree_status covertree_index_rebuild(covertree_index *index,
                                         const covertree_call_options *options);

/* Reorders an HNSW so that vectors that are near in the graph are near in
 * memory. Other kinds are not changed. O(n). */
covertree_status covertree_index_optimize(
    covertree_index *index, const covertree_call_options *options);

typedef enum covertree_filter_kind {
  COVERTREE_FILTER_NONE = 0,
  COVERTREE_FILTER_IDS = 1,   /* an array of int64_t: only these ids are found;
                                 unknown ids are ignored */
  COVERTREE_FILTER_BITMAP = 2 /* bytes: only ids are found whose bit is set,
                                 which is bit id % 8 of byte id / 8 */
} covertree_filter_kind;

typedef struct covertree_index_search_options {
  uint32_t struct_size;
  int32_t n_threads;
  int32_t filter_kind;  /* a covertree_filter_kind */
  int32_t ef_search;    /* HNSW; 0 here and below: as the index was created */
  const void *filter;
  int64_t n_filter;     /* ids, or bytes */
  int32_t n_probes;     /* LSH_TABLES */
  int32_t n_candidates; /* LSH_CODES */
  covertree_progress_fn progress;
  void *progress_user_data;
} covertree_index_search_options;

static inline void covertree_index_search_options_init(
    covertree_index_search_options *options) {
  memset(options, 0, sizeof *options);
  options->struct_size = sizeof *options;
}

/* Finds the k nearest vectors of each query, sorted by distance. Of equally
 * distant vectors the vector added earlier comes first.
 *   queries   [in]  F32
 *   k               at least 1; it may exceed the number of vectors
 *   ids       [out] queries x k; -1 if there are fewer than k vectors
 *   distances [out] queries x k, infinity there; may be NULL
 * BRUTE_FORCE and KD_TREE are exact: they compare float64 distances of the
 * stored coordinates. */
covertree_status covertree_index_search(
    covertree_index *index, const covertree_matrix *queries, int64_t k,
    const covertree_index_search_options *options, int64_t *ids,
    float *distances);

/* Finds the vectors within a distance (inclusive) of each query, in the same
 * order. The `indices` of the result are ids. BRUTE_FORCE and KD_TREE find all
 * of them; the other kinds find the vectors that their search meets. */
covertree_status covertree_index_radius(
    covertree_index *index, const covertree_matrix *queries, double radius,
    const covertree_index_search_options *options,
    covertree_neighbors **neighbors);

/* Gives vectors as the index keeps them: normalised for COSINE, and rounded for
 * F16 and I8.
 *   vectors [out] n_ids x dim, contiguous
 * NOT_FOUND. */
covertree_status covertree_index_get(covertree_index *index, const int64_t *ids,
                                     int64_t n_ids, float *vectors);

/* Tells which ids the index has.
 *   found [out] n_ids: 1 or 0 */
covertree_status covertree_index_contains(covertree_index *index,
                                          const int64_t *ids, int64_t n_ids,
                                          uint8_t *found);

/* Gives all ids, in the order in which their vectors were added.
 *   n_ids      the number of vectors
 *   ids  [out] n_ids
 * BUSY if the index has another number of vectors. */
covertree_status covertree_index_ids(covertree_index *index, int64_t *ids,
                                     int64_t n_ids);

typedef struct covertree_index_info {
  int64_t n_vectors;
  int64_t n_removed;    /* removed vectors that still use memory */
  int64_t dim;
  int64_t next_id;      /* the next id that add chooses */
  int64_t memory_bytes;
  int64_t comparisons;  /* of vectors, since the index was created */
  covertree_index_options options; /* with defaults filled in */
} covertree_index_info;

covertree_status covertree_index_get_info(covertree_index *index,
                                          covertree_index_info *info);

/* Save and encode an index, as covertree_tree_save and covertree_tree_encode
 * do. The file of an index over a store has slots and hashes instead of
 * vectors. */
covertree_status covertree_index_save(covertree_index *index, const char *path,
                                      const covertree_section *sections,
                                      int64_t n_sections,
                                      const covertree_call_options *options);
covertree_status covertree_index_encode(covertree_index *index,
                                        const covertree_section *sections,
                                        int64_t n_sections,
                                        const covertree_call_options *options,
                                        covertree_file **file);

/* Gives the index in a file. A mapped file is searched without a copy; changes
 * copy the arrays that they write to.
 *   store   [in]  for the file of an index over a store: that store, or one
 *                 with the same vectors in the same slots, such as a snapshot
 *                 of it. NOT_FOUND if a slot is free or has another vector;
 *                 O(n). Otherwise NULL
 *   options [in]  read with a store only */
covertree_status covertree_index_load(covertree_file *file,
                                      covertree_store *store,
                                      const covertree_call_options *options,
                                      covertree_index **index);

/* ---- Vector store ------------------------------------------------------- */

/* Vectors of float32, each stored once, however many ids refer to it. Vectors
 * that are equal (bit for bit, except for the sign of zeros) share a slot. The
 * row of a slot does not move while an id has it; when no id has it any more,
 * the slot can be used again. Reads run in parallel. A change waits for reads,
 * and reads wait for a change. A change is made completely or not at all.
 *
 * A store is in memory, or durable in a folder: its catalogue is an SQLite
 * database, and its rows are in a mapped file. One process at a time can write;
 * others can read the last committed state. A forked child has to open the
 * store itself. */
typedef enum covertree_id_kind {
  COVERTREE_ID_NUMBER = 1, /* low: an int64; high: 0 */
  COVERTREE_ID_UUID = 2,   /* 16 bytes, big-endian: high has the first eight */
  COVERTREE_ID_NAME = 3    /* the same for a 16-byte digest of a name, which the
                              caller computes */
} covertree_id_kind;

typedef struct covertree_id {
  uint64_t low;
  uint64_t high;
  uint32_t kind;     /* a covertree_id_kind */
  uint32_t reserved; /* 0 */
} covertree_id;

typedef enum covertree_store_sync {
  COVERTREE_SYNC_FULL = 0,   /* a change that has returned survives a power
                                failure */
  COVERTREE_SYNC_NORMAL = 1, /* a power failure may lose the last changes, but
                                does not damage the store */
  COVERTREE_SYNC_OFF = 2     /* changes do not wait for the disk: they survive
                                the end of the process, not a power failure */
} covertree_store_sync;

typedef enum covertree_store_flags {
  /* Each call sees the changes that another process has committed. */
  COVERTREE_STORE_READ_ONLY = 1
} covertree_store_flags;

/* Creates a store in memory.
 *   dim         1 to 65536 */
covertree_status covertree_store_create(int64_t dim, covertree_store **store);

/* Opens a durable store, or creates it, unless it is opened read only.
 *   path  [in]  a folder, UTF-8
 *   dim         1 to 65536; 0: as in the existing store
 *   sync        a covertree_store_sync. Unless it is OFF, all files are
 *               synced first
 *   flags       of covertree_store_flags
 * BUSY if it is open for writing elsewhere, IO, CORRUPT, FORMAT_VERSION. Reads
 * the catalogue, not the rows: O(n_ids). */
covertree_status covertree_store_open(const char *path, int64_t dim,
                                      int32_t sync, uint32_t flags,
                                      const covertree_call_options *options,
                                      covertree_store **store);
void covertree_store_free(covertree_store *store);

/* Adds vectors under new ids, all or none.
 *   ids       [in]  one a vector
 *   names     [in]  the names of ids of kind NAME, in UTF-8, one after the
 *                   other; NULL if no id is of this kind
 *   name_ends [in]  one a vector: the end of its name in names
 *   vectors   [in]  F32, finite
 *   slots     [out] one a vector
 * EXISTS for an id that the store has or that is given twice, IO. O(dim) a
 * vector. */
covertree_status covertree_store_add(covertree_store *store,
                                     const covertree_id *ids, const char *names,
                                     const int64_t *name_ends,
                                     const covertree_matrix *vectors,
                                     const covertree_call_options *options,
                                     int64_t *slots);

/* Adds one vector, of the dimension of the store, under an id without a name.
 * Returns the slot, or the negated covertree_status on failure. (An output
 * parameter would cost a tenth of the call.) */
int64_t covertree_store_add_one(covertree_store *store, const covertree_id *id,
                                const float *vector);

/* Removes ids, all or none. NOT_FOUND for an id that the store does not have,
 * or that is given twice. */
covertree_status covertree_store_remove(covertree_store *store,
                                        const covertree_id *ids, int64_t n_ids,
                                        const covertree_call_options *options);

/* Finds the slot of each id; -1 for an id that the store does not have. */
covertree_status covertree_store_find(covertree_store *store,
                                      const covertree_id *ids, int64_t n_ids,
                                      int64_t *slots);

/* Returns the slot of an id, -1 if the store does not have it, or a negated
 * covertree_status, which is below -1. */
int64_t covertree_store_find_one(covertree_store *store,
                                 const covertree_id *id);

/* Counts the ids that have a slot; 0 for a free slot. NOT_FOUND for a slot that
 * has never been used. */
covertree_status covertree_store_slot_count(covertree_store *store,
                                            int64_t slot, int64_t *n_ids);

/* Checks that slots are in use. NOT_FOUND for the first that is not. */
covertree_status covertree_store_check_slots(covertree_store *store,
                                             const int64_t *slots,
                                             int64_t n_slots);

/* Lists ids and their slots, in several calls.
 *   cursor    [in, out] 0 for the first call; then as the last call left it
 *   capacity            of ids and slots
 *   n_written [out]     0 at the end */
covertree_status covertree_store_list(covertree_store *store, int64_t *cursor,
                                      int64_t capacity, covertree_id *ids,
                                      int64_t *slots, int64_t *n_written);

/* Gives the name that an id was added with.
 *   name   [out] capacity bytes, without a terminating zero (a name may contain
 *                zeros); NULL to ask for the length
 *   length [out] in bytes
 * NOT_FOUND. */
covertree_status covertree_store_name(covertree_store *store,
                                      const covertree_id *id, char *name,
                                      int64_t capacity, int64_t *length);

/* The rows of a store. Their addresses stay valid until this is freed, even if
 * the store is freed before. */
typedef struct covertree_store_rows covertree_store_rows;

/* Shows the rows without a copy. A slot that no id has any more may be used
 * again, and its row then changes.
 *   base      [out] row 0; 64-byte aligned and read-only. Rows of slots that
 *                   exist can be read
 *   row_bytes [out] from row to row, a multiple of 64 */
covertree_status covertree_store_rows_get(covertree_store *store,
                                          covertree_store_rows **rows,
                                          const float **base,
                                          int64_t *row_bytes);
void covertree_store_rows_free(covertree_store_rows *rows);

typedef struct covertree_store_info {
  int64_t dim;
  int64_t n_ids;
  int64_t n_unique;     /* different vectors */
  int64_t n_slots;      /* free ones included */
  int64_t n_free;
  int64_t row_bytes;
  int64_t n_reserved;   /* slots for which addresses are reserved */
  int64_t memory_bytes; /* without rows that are mapped from a file */
  int64_t file_bytes;   /* of rows, on the disk */
  int64_t generation;   /* number of committed changes of a durable store */
  int32_t sync;         /* a covertree_store_sync */
  uint32_t flags;       /* of covertree_store_flags */
} covertree_store_info;

covertree_status covertree_store_get_info(covertree_store *store,
                                          covertree_store_info *info);

/* Copies a store, as it is now, to a folder that does not exist yet; the
 * folder appears when the copy is complete. Readers and the writer go on.
 * EXISTS, IO. */
covertree_status covertree_store_snapshot(
    covertree_store *store, const char *path,
    const covertree_call_options *options);

/* Makes a durable store from a snapshot. The path must not exist. */
covertree_status covertree_store_restore(const char *snapshot, const char *path,
                                         const covertree_call_options *options);

/* Compares the rows with their hashes, and the catalogue with its checksums,
 * with itself and with the rows. CORRUPT if they differ. Reads everything. */
covertree_status covertree_store_check(covertree_store *store,
                                       const covertree_call_options *options);

/* Returns the memory, or the disk space, of free rows to the system. Slots keep
 * their numbers. First waits until all changes are on the disk, whatever sync
 * is. BUSY while another process has the store open. */
covertree_status covertree_store_compact(covertree_store *store,
                                         const covertree_call_options *options);

#ifdef __cplusplus
}
#endif

#endif /* COVERTREE_H */
