/*
 * covertree: exact nearest neighbours with a compressed cover tree, built in parallel.
 *
 *     covertree_tree *tree = NULL;
 *     if (covertree_tree_build_f32(points, n, 3, 0, NULL, &tree) != COVERTREE_OK)
 *       fprintf(stderr, "%s\n", covertree_last_error());
 *     covertree_tree_knn_f32(tree, queries, n_queries, 3, 0, 10, NULL, indices, distances);
 *     covertree_tree_free(tree);
 *
 * OWNERSHIP. Arrays that go in are borrowed for the length of the call; the tree keeps a copy of its points. If
 * another thread writes to one during the call, the answers are wrong or the call fails, and nothing else happens.
 * Results go into the caller's arrays, or into a handle of their own. A handle is given by a `build` or a function
 * with a handle as its last parameter, and taken by the `free` of its type, which accepts NULL. Handles keep what they
 * need alive: they may be freed in any order. A handle that was freed, or is of another type, is an error, not a
 * crash.
 *
 * THREADS. Every function may be called from any thread. Queries on one handle run in parallel with each other and
 * with a change, which they do not see; of two changes at once the second fails with COVERTREE_BUSY. Nothing here is
 * called from a signal handler. After fork, parent and child go on independently. The library stays loaded until the process ends,
 * whatever dlclose is called with: its threads live on.
 *
 * ERRORS. Functions that can fail return a covertree_status and leave their outputs alone unless it is COVERTREE_OK
 * (arrays of results may have been written in part). The two that are called for one vector at a time return its slot, or
 * less a status. covertree_last_error() says what was wrong. The library never ends the process, never prints, and never
 * installs a signal handler.
 *
 * NUMBERS. Arrays are row-major. A row stride is in bytes; 0 means that rows follow each other. Indices are dataset
 * indices: the row of a point in the array that the tree was built from, and onwards for batches inserted later.
 * Distances are distances, not squared. They are decided in float64, whatever the type of the points; ties go to the
 * lower index, and results do not depend on the number of threads.
 *
 * OPTIONS structs begin with struct_size: fill one with its `_options_init`, then set fields. NULL stands for the
 * defaults. Fields are added at the end in later versions.
 */
#ifndef COVERTREE_H
#define COVERTREE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Version --------------------------------------------------------------------------------------------------- */

#define COVERTREE_VERSION_MAJOR 1
#define COVERTREE_VERSION_MINOR 0
#define COVERTREE_VERSION_PATCH 0
#define COVERTREE_ABI_VERSION 1

/* 10000 * major + 100 * minor + patch of the library that is loaded. */
uint32_t covertree_version_number(void);

/* Libraries with one ABI version can take each other's place. Compare with COVERTREE_ABI_VERSION. */
uint32_t covertree_abi_version(void);

/* What the library was built for, as "covertree 1.0.0 x86-64-v3". Static. */
const char *covertree_build_info(void);

/* ---- Status ---------------------------------------------------------------------------------------------------- */

typedef enum covertree_status {
  COVERTREE_OK = 0,
  COVERTREE_INVALID_ARGUMENT = 10,
  COVERTREE_SHAPE = 11, /* array shapes that do not fit each other */
  COVERTREE_UNSUPPORTED = 12,
  COVERTREE_NOT_FOUND = 20,
  COVERTREE_EXISTS = 21,
  COVERTREE_OUT_OF_MEMORY = 30,
  COVERTREE_IO = 40,
  COVERTREE_CORRUPT = 41, /* a structure or a file that breaks its own rules */
  COVERTREE_FORMAT_VERSION = 42,
  COVERTREE_BUSY = 50,
  COVERTREE_CANCELLED = 51, /* the progress callback said so */
  COVERTREE_INTERNAL = 90
} covertree_status;

/* Why the last call that failed on this thread did: where, what was got, what was wanted. Never NULL; valid until the
 * next failing call on this thread. */
const char *covertree_last_error(void);

/* The errno of the system's call by which that call failed: after COVERTREE_IO, and sometimes after others; or 0. */
int32_t covertree_last_errno(void);

/* ---- Threads and progress -------------------------------------------------------------------------------------- */

/* Threads for calls whose options say 0. 0 restores the default: the processors of this process's CPU set and control
 * group. At most 1024. */
covertree_status covertree_set_num_threads(int32_t n_threads);
int32_t covertree_get_num_threads(void);

/* Called in the calling thread, at least every 0.2 s of a long call, with the share that is done, 0 to 1. A return
 * value other than 0 ends the call with COVERTREE_CANCELLED; what it would have changed is as before. It may call this
 * library, and must not unwind. */
typedef int32_t (*covertree_progress_fn)(void *user_data, double share);

/* ---- Trees ----------------------------------------------------------------------------------------------------- */

/* Points with float32 or float64 coordinates, exact searches among them, and their compressed cover tree. Searches walk k-d trees; the
 * cover tree is made when something asks for it: covertree_tree_export, covertree_tree_validate. */
typedef struct covertree_tree covertree_tree;

/* Points are F32 or F64; what files hold may be any of these. */
typedef enum covertree_dtype {
  COVERTREE_DTYPE_F32 = 1,
  COVERTREE_DTYPE_F64 = 2,
  COVERTREE_DTYPE_I32 = 3,
  COVERTREE_DTYPE_I64 = 4,
  COVERTREE_DTYPE_U8 = 5
} covertree_dtype;

/* The sequence in which points are preferred as centres of the cover tree; neighbours are the same for all. */
typedef enum covertree_order {
  COVERTREE_ORDER_HILBERT = 0, /* along the Hilbert curve through the points */
  COVERTREE_ORDER_NATURAL = 1, /* as they come */
  COVERTREE_ORDER_RANDOM = 2   /* shuffled by the seed */
} covertree_order;

typedef struct covertree_tree_options {
  uint32_t struct_size;
  int32_t n_threads; /* 0: covertree_get_num_threads() */
  int32_t order;     /* a covertree_order */
  int32_t leaf_size; /* points that are scanned together, 1 to 65536; 0: 32 */
  uint64_t seed;
  covertree_progress_fn progress; /* may be NULL */
  void *progress_user_data;
} covertree_tree_options;

void covertree_tree_options_init(covertree_tree_options *options);

/* Builds a tree.
 *   points   [in]  n_points x dim, finite; float64 coordinates at most 2^500 in size
 *   n_points       1 to 2^31 - 2
 *   dim            1 to 65536
 *   options  [in]  may be NULL
 *   tree     [out] free it with covertree_tree_free
 * INVALID_ARGUMENT, SHAPE, OUT_OF_MEMORY, CANCELLED. O(n log n). */
covertree_status covertree_tree_build_f32(const float *points, int64_t n_points, int64_t dim, int64_t row_stride,
                                          const covertree_tree_options *options, covertree_tree **tree);
covertree_status covertree_tree_build_f64(const double *points, int64_t n_points, int64_t dim, int64_t row_stride,
                                          const covertree_tree_options *options, covertree_tree **tree);

void covertree_tree_free(covertree_tree *tree);

typedef struct covertree_call_options {
  uint32_t struct_size;
  int32_t n_threads; /* 0: covertree_get_num_threads() */
  covertree_progress_fn progress; /* may be NULL */
  void *progress_user_data;
} covertree_call_options;

void covertree_call_options_init(covertree_call_options *options);

/* Adds a batch of points, in the tree's own coordinate type. They get the dataset indices from first_index on.
 *   first_index [out] may be NULL
 * INVALID_ARGUMENT, SHAPE, OUT_OF_MEMORY, BUSY, CANCELLED. O(log^2 n) a point on average over many calls; a single call may merge k-d
 * trees of the points that came before. */
covertree_status covertree_tree_insert_f32(covertree_tree *tree, const float *points, int64_t n_points, int64_t dim,
                                           int64_t row_stride, const covertree_call_options *options,
                                           int64_t *first_index);
covertree_status covertree_tree_insert_f64(covertree_tree *tree, const double *points, int64_t n_points, int64_t dim,
                                           int64_t row_stride, const covertree_call_options *options,
                                           int64_t *first_index);

/* Takes points out. Other points keep their dataset indices, and those that are gone are not given again.
 *   indices [in] n_indices dataset indices, no two the same
 * NOT_FOUND for an index that the tree does not have (nothing is removed then), INVALID_ARGUMENT, OUT_OF_MEMORY, BUSY,
 * CANCELLED. O(log n) a point on average over many calls; a k-d tree is built again when a quarter of its points is gone. The first call
 * after a build makes a table of the points: O(n). */
covertree_status covertree_tree_remove(covertree_tree *tree, const int64_t *indices, int64_t n_indices,
                                       const covertree_call_options *options);

/* Checks every rule of the k-d trees that searches walk, and of the cover tree, which is made if there is none yet: one root, covering,
 * separation over the whole tree, duplicates, radii, order. CORRUPT where one is broken; the message names the first pair of points that
 * breaks it. */
covertree_status covertree_tree_validate(covertree_tree *tree, const covertree_call_options *options);

/* ---- Search ---------------------------------------------------------------------------------------------------- */

typedef enum covertree_search_flags {
  COVERTREE_SEARCH_PREDECESSORS = 1, /* only points with a lower dataset index than the query's; for stored queries */
  COVERTREE_SEARCH_EXCLUDE_SELF = 2, /* not the point with the query's own dataset index; for stored queries */
  COVERTREE_SEARCH_MAX_DISTANCE = 4, /* nothing beyond max_distance */
  COVERTREE_SEARCH_SCORES = 8        /* lists of neighbours have scores, too */
} covertree_search_flags;

typedef struct covertree_search_options {
  uint32_t struct_size;
  int32_t n_threads;   /* 0: covertree_get_num_threads() */
  uint32_t flags;      /* of covertree_search_flags */
  uint32_t reserved;   /* 0 */
  double max_distance; /* at least 0; read only with COVERTREE_SEARCH_MAX_DISTANCE. Inclusive, as every radius is: a point counts
                          if its distance is at most this, before or after it is rounded to the type of the result */
  covertree_progress_fn progress; /* may be NULL */
  void *progress_user_data;
  const int64_t *before; /* one for each query: only points with a dataset index below this; NULL: all. Not together with
                            COVERTREE_SEARCH_PREDECESSORS, which is the case before[i] = index of query i */
  /* For hosts that search in parts, and merge. A score is what neighbours are ordered by, then by distance, and then by index, in
   * float64: the squared distance; if that is below 2^-960, where squares lose digits, another number below 2^-960, 0 for a
   * distance of zero. In the residual-correlation metric it is the distance, or, with a kernel of this library and without
   * features, the score of the coordinates over the lengthscale. */
  const double *limits;  /* one for each query: nothing with a larger score; NULL: no limit */
  double *scores;        /* [out] n_queries x k: of the neighbours, infinity where there are none; NULL where not wanted */
} covertree_search_options;

void covertree_search_options_init(covertree_search_options *options);

/* The k nearest points of each query, sorted by (distance, index). A tree of float32 points takes queries of either type, and does not round
 * float64 queries. A tree of float64 points takes float64 queries.
 *   queries   [in]  n_queries x dim, finite
 *   k               at least 1, and k * n_queries below 2^60; it may exceed the number of points
 *   indices   [out] n_queries x k; -1 where there are not k points
 *   distances [out] n_queries x k; infinity there. NULL where they are not wanted
 * INVALID_ARGUMENT, SHAPE, OUT_OF_MEMORY, CANCELLED. O(log n) nodes a query for a bounded expansion constant. */
covertree_status covertree_tree_knn_f32(covertree_tree *tree, const float *queries, int64_t n_queries, int64_t dim,
                                        int64_t row_stride, int64_t k, const covertree_search_options *options,
                                        int64_t *indices, float *distances);
covertree_status covertree_tree_knn_f64(covertree_tree *tree, const double *queries, int64_t n_queries, int64_t dim,
                                        int64_t row_stride, int64_t k, const covertree_search_options *options,
                                        int64_t *indices, double *distances);

/* The same for points of the tree.
 *   rows   [in] n_rows dataset indices; NULL for all points in the order of their indices
 *   n_rows      with NULL it is the number of points the tree has, as the size of the results
 * Also NOT_FOUND for an index that the tree does not have, and BUSY where it changed meanwhile. */
covertree_status covertree_tree_knn_rows_f32(covertree_tree *tree, const int64_t *rows, int64_t n_rows, int64_t k,
                                             const covertree_search_options *options, int64_t *indices,
                                             float *distances);
covertree_status covertree_tree_knn_rows_f64(covertree_tree *tree, const int64_t *rows, int64_t n_rows, int64_t k,
                                             const covertree_search_options *options, int64_t *indices,
                                             double *distances);

/* Neighbours of each query in lists of their own lengths. */
typedef struct covertree_neighbors covertree_neighbors;

/* All points within radius (inclusive) of each query, sorted by (distance, index).
 *   neighbors [out] free it with covertree_neighbors_free
 * Statuses as for knn. */
covertree_status covertree_tree_radius_f32(covertree_tree *tree, const float *queries, int64_t n_queries, int64_t dim,
                                           int64_t row_stride, double radius, const covertree_search_options *options,
                                           covertree_neighbors **neighbors);
covertree_status covertree_tree_radius_f64(covertree_tree *tree, const double *queries, int64_t n_queries, int64_t dim,
                                           int64_t row_stride, double radius, const covertree_search_options *options,
                                           covertree_neighbors **neighbors);
covertree_status covertree_tree_radius_rows(covertree_tree *tree, const int64_t *rows, int64_t n_rows, double radius,
                                            const covertree_search_options *options, covertree_neighbors **neighbors);

/* How many points lie within radius (inclusive) of each query.
 *   counts [out] n_queries */
covertree_status covertree_tree_radius_count_f32(covertree_tree *tree, const float *queries, int64_t n_queries,
                                                 int64_t dim, int64_t row_stride, double radius,
                                                 const covertree_search_options *options, int64_t *counts);
covertree_status covertree_tree_radius_count_f64(covertree_tree *tree, const double *queries, int64_t n_queries,
                                                 int64_t dim, int64_t row_stride, double radius,
                                                 const covertree_search_options *options, int64_t *counts);
covertree_status covertree_tree_radius_count_rows(covertree_tree *tree, const int64_t *rows, int64_t n_rows,
                                                  double radius, const covertree_search_options *options,
                                                  int64_t *counts);

typedef struct covertree_neighbors_view {
  int64_t n_queries;
  int64_t n_neighbors;    /* in all */
  int32_t dtype;          /* of distances, a covertree_dtype */
  int32_t reserved;
  const int64_t *offsets; /* n_queries + 1: neighbours of query i are at offsets[i] .. offsets[i + 1] - 1 */
  const int64_t *indices; /* n_neighbors dataset indices */
  const void *distances;  /* n_neighbors */
  const double *scores;   /* n_neighbors; NULL without COVERTREE_SEARCH_SCORES */
} covertree_neighbors_view;

/* The arrays of a result. They live as long as the handle. */
covertree_status covertree_neighbors_get(covertree_neighbors *neighbors, covertree_neighbors_view *view);
void covertree_neighbors_free(covertree_neighbors *neighbors);

/* ---- What a tree is -------------------------------------------------------------------------------------------- */

typedef struct covertree_tree_info {
  int64_t n_points;        /* that searches find */
  int64_t n_nodes;         /* of the cover tree: n_points and those removed since it was last rebuilt; 0 until it is made */
  int64_t n_segments;      /* k-d trees that searches walk */
  int64_t next_index;      /* the dataset index that the next inserted point gets */
  int64_t dim;
  int32_t dtype;           /* a covertree_dtype */
  int32_t order;           /* a covertree_order */
  int32_t leaf_size;
  int32_t root_level;      /* of the cover tree; 0 until it is made */
  uint64_t seed;
  int64_t memory_bytes;    /* that the tree holds */
  double total_seconds;    /* that the last build, insertion or removal took */
  /* The last building of the cover tree, or insertion into it; zeros until it is made: */
  int64_t distance_evaluations;
  int64_t conflict_edges;  /* pairs of points that could not enter a level together */
  int64_t conflict_rounds; /* independent sets that were taken */
  int64_t levels_entered;
  double order_seconds;    /* sorting along the curve */
  double insert_seconds;   /* coming down the levels */
  double layout_seconds;   /* arrays and radii */
  /* Searches since the tree was built: */
  int64_t queries;
  int64_t points_compared;
  int64_t boxes_compared;  /* vectors of boxes */
} covertree_tree_info;

covertree_status covertree_tree_get_info(covertree_tree *tree, covertree_tree_info *info);

/* The dataset indices of the points that searches find.
 *   in_leaf_order  not 0: points that follow each other are near each other; 0: ascending
 *   n_rows         the number of points, as the size of the result
 *   indices [out]  n_rows
 * BUSY if the number of points is another. O(n). */
covertree_status covertree_tree_indices(covertree_tree *tree, int32_t in_leaf_order, int64_t n_rows, int64_t *indices);

/* The coordinates of points.
 *   rows   [in]  n_rows dataset indices
 *   points [out] n_rows x dim, of the tree's dtype, without gaps
 * NOT_FOUND for an index that the tree does not have. */
covertree_status covertree_tree_points(covertree_tree *tree, const int64_t *rows, int64_t n_rows,
                                       const covertree_call_options *options, void *points);

/* The arrays of a tree's cover tree as they are at the time of the call, which no later change touches. */
typedef struct covertree_arrays covertree_arrays;

/* Node t of n_nodes is the t-th in depth-first order: node 0 is the root, and the subtree of t is
 * t .. subtree_end[t] - 1; its children are children[children_offsets[t]] .. children[children_offsets[t + 1] - 1].
 * Arrays are read-only, 64-byte aligned, without gaps, and live as long as the handle. */
typedef struct covertree_arrays_view {
  int64_t n_nodes;
  int64_t dim;
  int32_t dtype;                   /* of points and radius, a covertree_dtype */
  int32_t reserved;
  const void *points;              /* n_nodes x dim */
  const int32_t *order;            /* n_nodes: dataset index of each node */
  const int32_t *levels;           /* n_nodes: INT32_MIN for a duplicate of its parent */
  const int32_t *parents;          /* n_nodes: -1 for the root */
  const int32_t *children_offsets; /* n_nodes + 1, into children */
  const int32_t *children;         /* n_nodes - 1 */
  const void *radius;              /* n_nodes: the largest distance to a descendant, rounded up */
  const int32_t *subtree_end;      /* n_nodes */
  const int32_t *subtree_min;      /* n_nodes: the smallest dataset index in the subtree */
  const int32_t *subtree_max;      /* n_nodes: the largest */
  const uint8_t *removed;          /* n_nodes: 1 for removed points; NULL where there are none */
} covertree_arrays_view;

/* Shows the arrays of the cover tree, without a copy. It is made if there is none yet: O(c n log(spread)) distances for an expansion
 * constant c of the data. Points that came since it was made are inserted into it as one batch.
 *   options [in]  NULL for defaults
 *   arrays  [out] keeps them alive, the tree freed or not; free it with covertree_arrays_free
 * OUT_OF_MEMORY, CANCELLED. */
covertree_status covertree_tree_export(covertree_tree *tree, const covertree_call_options *options,
                                       covertree_arrays **arrays);
covertree_status covertree_arrays_get(covertree_arrays *arrays, covertree_arrays_view *view);

/* Whether arrays are still those of their tree.
 *   current [out] 1; 0 once the tree was changed or freed */
covertree_status covertree_arrays_is_current(covertree_arrays *arrays, int32_t *current);
void covertree_arrays_free(covertree_arrays *arrays);

/* ---- Files ----------------------------------------------------------------------------------------------------- */

/* A file of this library: named arrays, the sections, each with a checksum; docs/file-format.md describes it byte by
 * byte. A file is written in one step: to a temporary one beside it, which takes its place once all of it is on the disk;
 * after a failure what was there before is there still. Reading is safe whatever the file holds: sizes are checked against
 * it before anything is made of them, checksums before anything is made of a section, and numbers that say where
 * something is before they are followed.
 *
 *     covertree_tree_save(tree, "points.covertree", NULL, 0, NULL);
 *
 *     covertree_file *file = NULL;
 *     if (covertree_file_open("points.covertree", 0, NULL, &file) == COVERTREE_OK)
 *       covertree_tree_load(file, &tree);
 *     covertree_file_free(file);
 */
typedef struct covertree_file covertree_file;

typedef enum covertree_file_kind {
  COVERTREE_FILE_TREE = 1,
  COVERTREE_FILE_RESIDUAL = 2,
  COVERTREE_FILE_ARRAYS = 3 /* sections of the host's alone */
} covertree_file_kind;

/* One array of a file. */
typedef struct covertree_section {
  const char *name;  /* 1 to 24 visible ASCII characters, no two the same */
  int32_t dtype;     /* a covertree_dtype */
  int32_t reserved;  /* 0 */
  int64_t rows;
  int64_t columns;
  const void *data;  /* rows x columns, row-major; 64-byte aligned where it comes out of a file */
} covertree_section;

/* Saves a tree as it stands. Later changes do not touch the file.
 *   path      [in] with at most 4096 bytes, UTF-8. Symbolic links are followed. A regular file is replaced, and the new file
 *                  gets its mode, owner and group. IO if the file is read-only, if owner and group cannot be kept, and for
 *                  directories, pipes, devices and sockets
 *   sections  [in] n_sections arrays of the host's that are to be kept with it; may be NULL for none
 *   options   [in] may be NULL
 * IO, INVALID_ARGUMENT, OUT_OF_MEMORY, CANCELLED. At the speed of the disk. */
covertree_status covertree_tree_save(covertree_tree *tree, const char *path, const covertree_section *sections,
                                     int64_t n_sections, const covertree_call_options *options);

/* The same into memory, as if it had been saved and opened.
 *   file [out] free it with covertree_file_free; its bytes are in covertree_file_info */
covertree_status covertree_tree_encode(covertree_tree *tree, const covertree_section *sections, int64_t n_sections,
                                       const covertree_call_options *options, covertree_file **file);

/* Saves arrays of the host's alone.
 *   input_hash  what the host knows their inputs by */
covertree_status covertree_sections_save(const char *path, uint64_t input_hash, const covertree_section *sections,
                                         int64_t n_sections, const covertree_call_options *options);

typedef enum covertree_open_flags {
  COVERTREE_OPEN_COPY = 1,  /* read the file into memory; without it, it is mapped, and processes share its pages */
  COVERTREE_OPEN_VERIFY = 2 /* compare every section with its checksum now; without it, when it is first used */
} covertree_open_flags;

/* Opens a file. Its header and table are checked; nothing else is read, so a large one opens as fast as a small one.
 * A mapped file may be replaced or deleted while it is in use, but must not be made shorter or written to.
 *   flags   of covertree_open_flags
 *   options [in]  may be NULL
 *   file    [out] free it with covertree_file_free
 * IO, CORRUPT for what is no such file, is cut off or damaged, or big-endian, FORMAT_VERSION for one of a
 * later version, INVALID_ARGUMENT, OUT_OF_MEMORY, CANCELLED. */
covertree_status covertree_file_open(const char *path, uint32_t flags, const covertree_call_options *options,
                                     covertree_file **file);

/* The same for a file that the host has in memory; it is copied. COVERTREE_OPEN_COPY is implied. */
covertree_status covertree_file_copy(const void *bytes, int64_t n_bytes, uint32_t flags,
                                     const covertree_call_options *options, covertree_file **file);

/* The tree in a file, which it keeps open. Its sections are verified, and it is opened, in the first call that uses it,
 * which then fails with CORRUPT where they are damaged.
 *   tree [out] free it with covertree_tree_free
 * INVALID_ARGUMENT for a file of another kind. */
covertree_status covertree_tree_load(covertree_file *file, covertree_tree **tree);

typedef struct covertree_file_info {
  int64_t n_bytes;
  const void *bytes;       /* the whole file, as long as the handle lives */
  uint64_t input_hash;     /* covertree_hash_points of the points that were given, or what the host said */
  int32_t kind;            /* a covertree_file_kind */
  int32_t format_version;
  int64_t n_sections;
} covertree_file_info;

covertree_status covertree_file_get_info(covertree_file *file, covertree_file_info *info);

/* One section of a file; it is verified first.
 *   index         0 to n_sections - 1
 *   section [out] its name and data live as long as the file's handle
 * NOT_FOUND, CORRUPT. */
covertree_status covertree_file_get_section(covertree_file *file, int64_t index, covertree_section *section);
void covertree_file_free(covertree_file *file);

/* A number by which points are known again: files have it of the points that their trees were given, by dataset index,
 * without those that were removed. float32 and float64 points of equal coordinates have the same.
 *   hash [out] */
covertree_status covertree_hash_points_f32(const float *points, int64_t n_points, int64_t dim, int64_t row_stride,
                                           const covertree_call_options *options, uint64_t *hash);
covertree_status covertree_hash_points_f64(const double *points, int64_t n_points, int64_t dim, int64_t row_stride,
                                           const covertree_call_options *options, uint64_t *hash);

/* ---- Residual correlation -------------------------------------------------------------------------------------- */

/* Points in the metric of a Gaussian process whose inducing points are taken out. With whitened inducing features
 * V (rows v_i = L^-1 k(U, x_i), L L^T = k(U, U) + jitter variance I) and residual variances
 * p_i = k(x_i, x_i) - |v_i|^2, the residual correlation is rho_ij = (k(x_i, x_j) - v_i . v_j) / sqrt(p_i p_j), and the distance
 * d_ij = sqrt(1 - |rho_ij|), |rho| cut at 1. d_ii = 0; a pair with sqrt(p_i p_j) < 1e-9 variance is at distance 1.
 * Neighbours are sorted by (distance, index). With a kernel of this library and without features they are sorted by (distance over
 * the lengthscale, index), because d rounds to 1 for all points that are far away.
 * All of it is float64. Immutable. */
typedef struct covertree_residual covertree_residual;

typedef enum covertree_kernel_shape {
  COVERTREE_KERNEL_RBF = 0,
  COVERTREE_KERNEL_MATERN12 = 1,
  COVERTREE_KERNEL_MATERN32 = 2,
  COVERTREE_KERNEL_MATERN52 = 3
} covertree_kernel_shape;

/* A covariance function of the host's: fills covariances, n_rows x n_columns, with k(rows[i], columns[j]); both are
 * arrays of points of dim coordinates. Called in any thread, several at once; must not unwind. A return value other
 * than 0 ends the call that needed it with COVERTREE_CANCELLED, a covariance that is not finite with INVALID_ARGUMENT. */
typedef int32_t (*covertree_kernel_fn)(void *user_data, const double *rows, int64_t n_rows, const double *columns,
                                       int64_t n_columns, int64_t dim, double *covariances);

typedef struct covertree_residual_options {
  uint32_t struct_size;
  int32_t n_threads;              /* 0: covertree_get_num_threads() */
  int32_t kernel;                 /* a covertree_kernel_shape */
  int32_t reserved;               /* 0 */
  double variance;                /* 2^-980 to 2^1000; 0: 1 */
  const double *lengthscale;      /* n_lengthscales: one, or one for each dimension; NULL: 1 */
  int64_t n_lengthscales;
  const double *inducing_points;  /* n_inducing x dim, rows without gaps; NULL: none, the kernel's own correlation */
  int64_t n_inducing;
  double jitter;                  /* relative to the variance, at most 0.01; 0: 1e-6. Where k(U, U) is not positive
                                     definite with it, ten times as much is tried, up to 0.01 */
  covertree_kernel_fn kernel_fn;  /* the host's kernel instead of the fields above; NULL: none */
  void *kernel_user_data;
  covertree_progress_fn progress; /* may be NULL */
  void *progress_user_data;
  /* How searches go about it; neighbours do not depend on it. */
  int64_t block_size;             /* points that are bounded together: a multiple of 64, at most 1024; 0: 256 */
  double tau;                     /* what the pivots of a block may leave of a point's unit vector, above 0 and below 1;
                                     0: chosen by trying */
} covertree_residual_options;

void covertree_residual_options_init(covertree_residual_options *options);

/* Builds V and p from the kernel and inducing points.
 *   points   [in]  n_points x dim, finite
 *   residual [out] free it with covertree_residual_free
 * INVALID_ARGUMENT, SHAPE, OUT_OF_MEMORY, CANCELLED. O(n m^2) for m inducing points; 12 m + 24 dim + 40 bytes a
 * point. */
covertree_status covertree_residual_build(const double *points, int64_t n_points, int64_t dim, int64_t row_stride,
                                          const covertree_residual_options *options, covertree_residual **residual);

/* The same with the caller's own V and p; inducing points in the options are not read.
 *   v_matrix          [in] n_points x n_features
 *   residual_variance [in] n_points, above 0; within 1e-3 of kernel_diagonal[i] - |v_i|^2, relative, or an error
 *   kernel_diagonal   [in] n_points: k(x_i, x_i); NULL: the kernel's variance
 * INVALID_ARGUMENT also for a residual variance below 2^-500, a diagonal above 2^40 and a |v_i|^2 above 2^40 times the kernel's
 * variance: products of two would overflow or vanish. */
covertree_status covertree_residual_build_given_f32(const double *points, int64_t n_points, int64_t dim,
                                                    int64_t row_stride, const float *v_matrix, int64_t n_features,
                                                    int64_t v_row_stride, const double *residual_variance,
                                                    const double *kernel_diagonal,
                                                    const covertree_residual_options *options,
                                                    covertree_residual **residual);
covertree_status covertree_residual_build_given_f64(const double *points, int64_t n_points, int64_t dim,
                                                    int64_t row_stride, const double *v_matrix, int64_t n_features,
                                                    int64_t v_row_stride, const double *residual_variance,
                                                    const double *kernel_diagonal,
                                                    const covertree_residual_options *options,
                                                    covertree_residual **residual);

void covertree_residual_free(covertree_residual *residual);

/* The k nearest points of points of the dataset, sorted by (distance, index).
 *   rows      [in]  n_rows dataset indices; NULL for all points, n_rows is then their number
 *   k               at least 1, and k * n_rows below 2^60
 *   options   [in]  COVERTREE_SEARCH_MAX_DISTANCE is not supported here
 *   indices   [out] n_rows x k; -1 where fewer than k points count
 *   distances [out] n_rows x k; infinity there. NULL where they are not wanted
 * INVALID_ARGUMENT, NOT_FOUND, UNSUPPORTED, OUT_OF_MEMORY, CANCELLED. */
covertree_status covertree_residual_knn_rows(covertree_residual *residual, const int64_t *rows, int64_t n_rows, int64_t k,
                                             const covertree_search_options *options, int64_t *indices,
                                             double *distances);

/* The same for new points; their v and p are made from the inducing points. UNSUPPORTED where V was the caller's. */
covertree_status covertree_residual_knn(covertree_residual *residual, const double *queries, int64_t n_queries,
                                        int64_t dim, int64_t row_stride, int64_t k,
                                        const covertree_search_options *options, int64_t *indices,
                                        double *distances);

/* Distances of points of the dataset from others of it.
 *   rows      [in]  n_rows dataset indices
 *   others    [in]  n_rows x n_others dataset indices; -1 for none
 *   distances [out] n_rows x n_others; infinity where there is none
 * NOT_FOUND for an index that is not in the dataset, OUT_OF_MEMORY, CANCELLED. */
covertree_status covertree_residual_distances(covertree_residual *residual, const int64_t *rows, int64_t n_rows,
                                              const int64_t *others, int64_t n_others,
                                              const covertree_call_options *options, double *distances);

/* The same process with more points, as a model of its own; they get the dataset indices that follow. What is known of
 * the points that are there is kept: O(n m) beside O(m^2) for each new point.
 *   extended [out] free it with covertree_residual_free
 * SHAPE, UNSUPPORTED where V was the caller's, INVALID_ARGUMENT, OUT_OF_MEMORY, CANCELLED. */
covertree_status covertree_residual_extend(covertree_residual *residual, const double *points, int64_t n_points,
                                           int64_t dim, int64_t row_stride, const covertree_call_options *options,
                                           covertree_residual **extended);

/* Saves a model: what was given, V and p, skeletons, and what the first search of points of the dataset made of them; so
 * work resumes where it was. Parameters and statuses as for covertree_tree_save and covertree_tree_encode. */
covertree_status covertree_residual_save(covertree_residual *residual, const char *path,
                                         const covertree_section *sections, int64_t n_sections,
                                         const covertree_call_options *options);
covertree_status covertree_residual_encode(covertree_residual *residual, const covertree_section *sections,
                                           int64_t n_sections, const covertree_call_options *options,
                                           covertree_file **file);

/* The model in a file, as covertree_tree_load.
 *   options  [in]  only kernel_fn and kernel_user_data are read, which a file that was saved with a kernel of the host's
 *                  needs; NULL otherwise
 *   residual [out] free it with covertree_residual_free */
covertree_status covertree_residual_load(covertree_file *file, const covertree_residual_options *options,
                                         covertree_residual **residual);

/* Copies V and p, by dataset index.
 *   v_matrix          [out] n_points x n_features, or NULL
 *   residual_variance [out] n_points, or NULL */
covertree_status covertree_residual_get_features(covertree_residual *residual, double *v_matrix,
                                                 double *residual_variance);

/* Builds the cover tree of the points in this metric. Searches need none: it is for those who walk its arrays.
 *   options [in]  may be NULL; leaf_size is not read
 *   arrays  [out] free it with covertree_arrays_free; points are the coordinates over the lengthscale, by which siblings
 *                 are sorted along the Hilbert curve, radius is in this metric
 * UNSUPPORTED for a kernel of the host's, OUT_OF_MEMORY, CANCELLED. O(n) memory: of each point up to 128 of those within 1/2 of
 * it are held meanwhile, 12 bytes each. */
covertree_status covertree_residual_build_tree(covertree_residual *residual, const covertree_tree_options *options,
                                               covertree_arrays **arrays);

/* Checks every rule of such a tree: one root, covering, separation over the whole tree, duplicates, radii, order. CORRUPT
 * with the first pair of points that breaks one; INVALID_ARGUMENT for arrays of another tree. */
covertree_status covertree_residual_validate_tree(covertree_residual *residual, covertree_arrays *arrays,
                                                  const covertree_call_options *options);

/* Features of points that are not in the dataset.
 *   v_matrix          [out] n_points x n_features, or NULL
 *   residual_variance [out] n_points, or NULL
 * SHAPE, UNSUPPORTED where V was the caller's, INVALID_ARGUMENT, OUT_OF_MEMORY, CANCELLED. O(m^2) a point. */
covertree_status covertree_residual_features(covertree_residual *residual, const double *points, int64_t n_points,
                                             int64_t dim, int64_t row_stride, const covertree_call_options *options,
                                             double *v_matrix, double *residual_variance);

/* A model's arrays, which never change. */
typedef struct covertree_residual_arrays covertree_residual_arrays;

/* A place is a point's number in the order in which the model holds points: in blocks of block_size near ones, the last of
 * which may be smaller; inside a block by dataset index, so that those before an index are the first ones of it. Arrays are
 * read-only, 64-byte aligned, without gaps, and live as long as the handle.
 *
 * The pivots of a block span its points, nearly, in the residual process. In an orthonormal basis of that span point i has the
 * coefficients f_i, and what is left of it the norm e_i: |rho_ij - f_i . f_j| <= e_i e_j within a block. With the
 * product B of the bases of two blocks, |rho_ij - f_i^T B f_j| <= e_i + e_j. Norms are rounded up, and allow for float32. */
typedef struct covertree_residual_view {
  int64_t n_points;
  int64_t dim;
  int64_t n_features;                 /* columns of V */
  int64_t feature_stride;             /* the same, rounded up to a multiple of 8 */
  int64_t block_size;
  int64_t n_blocks;                   /* of skeletons; 0 where blocks are compared by their features alone */
  int64_t blocks_per_region;
  int64_t n_regions;
  int32_t kernel;                     /* a covertree_kernel_shape; -1 for one of the host's */
  int32_t reserved;
  double kernel_variance;             /* 0 for one of the host's */
  double variance;                    /* the largest k(x, x) */
  const int32_t *order;               /* n_points: dataset index of each place */
  const int32_t *places;              /* n_points: place of each dataset index */
  const double *coordinates;          /* n_points x dim, over the lengthscale, by place */
  const double *v_matrix;             /* n_points x feature_stride: V by place, zeros in columns from n_features on */
  const double *residual_variance;    /* n_points, by place */
  const float *scales;                /* n_points: sqrt(variance / p), rounded up; infinity where a pair may count as 0 */
  /* NULL where n_blocks is 0: */
  const int64_t *pivot_offsets;       /* n_blocks + 1, into pivots */
  const int32_t *pivots;              /* places */
  const int64_t *coefficient_offsets; /* n_blocks + 1, into coefficients */
  const float *coefficients;          /* of each block: (panels, rank, 32) for panels of 32 points; rank is its number of
                                         pivots, rounded up to a multiple of 8 */
  const float *remaining_norms;       /* n_points, by place */
  const uint8_t *bounds;              /* n_regions x n_points: the largest |rho| of a place with any of a region, in units
                                         of 1/255, rounded up; a region is blocks_per_region blocks */
  /* NULL where blocks_per_region is not 1: */
  const int64_t *product_offsets;     /* n_blocks x n_blocks, into products; for pairs q < t */
  const float *products;              /* B of each pair, row-major: rank of q x rank of t */
} covertree_residual_view;

/* Shows a model's arrays, without a copy. If variance is below 2^-400 or above 2^400, v_matrix and residual_variance are copies.
 * What the first search of points of the dataset makes for later ones is made now,
 * if there was none.
 *   options [in]  may be NULL
 *   arrays  [out] keeps them alive, the model freed or not; free it with covertree_residual_arrays_free
 * OUT_OF_MEMORY, CANCELLED. */
covertree_status covertree_residual_export(covertree_residual *residual, const covertree_call_options *options,
                                           covertree_residual_arrays **arrays);
covertree_status covertree_residual_arrays_get(covertree_residual_arrays *arrays, covertree_residual_view *view);

/* Whether arrays are those of a model that is still there.
 *   current [out] 1; 0 once it was freed */
covertree_status covertree_residual_arrays_is_current(covertree_residual_arrays *arrays, int32_t *current);
void covertree_residual_arrays_free(covertree_residual_arrays *arrays);

typedef struct covertree_residual_info {
  int64_t n_points;
  int64_t dim;
  int64_t n_features;       /* columns of V */
  int64_t n_blocks;         /* of points that are looked at together */
  int64_t n_pivots;         /* of all skeletons; 0 where blocks are compared by their features alone */
  int64_t memory_bytes;
  double variance;          /* the largest k(x, x) */
  double jitter;            /* that was added, relative to the variance */
  double build_seconds;
  /* Searches since then: */
  int64_t queries;
  int64_t blocks_estimated; /* pairs of a query and a block compared through skeletons */
  int64_t blocks_compared;  /* and by features */
  int64_t points_bounded;
  int64_t points_exact;     /* residual correlations computed in float64 */
  /* Seconds by phase: */
  double order_seconds;     /* putting points in order */
  double feature_seconds;   /* V and p */
  double skeleton_seconds;
  double bound_seconds;     /* bounds between skeletons, at the first search of points of the dataset */
  double search_seconds;    /* of all searches, without these */
} covertree_residual_info;

covertree_status covertree_residual_get_info(covertree_residual *residual, covertree_residual_info *info);

/* ---- Orders and samples of points ------------------------------------------------------------------------------ */

/* Max-min distance ordering: the point nearest to the centroid, then always the one farthest from all before it.
 *   points [in]  n_points x dim, finite
 *   order  [out] n_points: order[rank] is a row of points; of several equally far the lower row
 * O(n log n) for a bounded intrinsic dimension; O(n^2 dim) where many dimensions have no structure, as no bound then keeps
 * any point out. */
covertree_status covertree_maxmin_order(const double *points, int64_t n_points, int64_t dim, int64_t row_stride,
                                        const covertree_call_options *options, int64_t *order);

/* A sample spread like the data: each next point is drawn in proportion to its squared distance from those before it
 * (k-means++).
 *   sample [out] n_sample rows of points, 1 to n_points of them, no two the same
 * O(n_points n_sample) distances. */
covertree_status covertree_spread_sample(const double *points, int64_t n_points, int64_t dim, int64_t row_stride,
                                         int64_t n_sample, uint64_t seed, const covertree_call_options *options,
                                         int64_t *sample);

/* ---- Parts ----------------------------------------------------------------------------------------------------- */

/* For hosts that keep points in several parts, on one machine or on many: each is searched with the limits and for the scores of
 * covertree_search_options, and results are merged by (score, index). */

/* Positions of points along the Hilbert curve through a box.
 *   points    [in]  n_points x dim, finite; those outside of the box are where the nearest of it is
 *   low, high [in]  dim: the sides of the box
 *   keys      [out] n_points: the first 64 bits of each position */
covertree_status covertree_hilbert_keys(const double *points, int64_t n_points, int64_t dim, int64_t row_stride,
                                        const double *low, const double *high, const covertree_call_options *options,
                                        uint64_t *keys);

/* Other points of the same process: kernel, inducing points and their Cholesky factor are those of a model, so V and p are the
 * same to the bit wherever they are made.
 *   points [in]  n_points x dim, finite
 *   over   [out] free it with covertree_residual_free
 * SHAPE, UNSUPPORTED where V was the caller's, INVALID_ARGUMENT, OUT_OF_MEMORY, CANCELLED. O(n m^2). */
covertree_status covertree_residual_over(covertree_residual *residual, const double *points, int64_t n_points,
                                         int64_t dim, int64_t row_stride, const covertree_call_options *options,
                                         covertree_residual **over);

/* A few points of a model, its pivots, from which can be seen how near a query can be to any of its points: |rho| is at most
 * the length of the query's projection onto their span (covertree_residual_projections) plus `error`. Points of large models
 * are in several groups, with pivots and an error each.
 *   group    [in]  from 0 to n_groups - 1
 *   tau      [in]  what may be left of pivots of blocks beside the span, above 0 and below 1
 *   n_groups [out] may be NULL; 0 where the residual process has too many degrees of freedom
 *   pivots   [out] a model of them alone, to be freed with covertree_residual_free. NULL: only n_groups is wanted
 *   error    [out] the largest length that is left of a point's unit vector
 * INVALID_ARGUMENT, OUT_OF_MEMORY, CANCELLED. O(n r m) for r pivots. */
covertree_status covertree_residual_outline(covertree_residual *residual, int64_t group, double tau,
                                            const covertree_call_options *options, int64_t *n_groups,
                                            covertree_residual **pivots, double *error);

/* How long the projections of unit vectors of queries onto the span of all points of a model are, rounded up.
 *   pivots            [in]  a model of few points: O(r^3), and O(r m) a query
 *   v_matrix          [in]  n_queries x n_features, as covertree_residual_features gives it
 *   residual_variance [in]  n_queries
 *   lengths           [out] n_queries, at most 1
 * SHAPE, INVALID_ARGUMENT, OUT_OF_MEMORY, CANCELLED. */
covertree_status covertree_residual_projections(covertree_residual *pivots, const double *queries, int64_t n_queries,
                                                int64_t dim, int64_t row_stride, const double *v_matrix,
                                                int64_t n_features, int64_t v_row_stride,
                                                const double *residual_variance,
                                                const covertree_call_options *options, double *lengths);

/* How large |rho| of points of a model can be with any of the points that an outline is of. As covertree_residual_projections
 * with the error added, less tight by what the skeletons of the points leave, and faster.
 *   rows          [in]  n_rows dataset indices
 *   pivots, error [in]  from covertree_residual_outline, of a model of the same process
 *   bounds        [out] n_rows, at most 1
 * NOT_FOUND for an index that is not in the dataset, INVALID_ARGUMENT, OUT_OF_MEMORY, CANCELLED. */
covertree_status covertree_residual_bounds(covertree_residual *residual, const int64_t *rows, int64_t n_rows,
                                           covertree_residual *pivots, double error,
                                           const covertree_call_options *options, double *bounds);

/* covertree_residual_knn for queries whose V and p have been made, as covertree_residual_features gives them. */
covertree_status covertree_residual_knn_given(covertree_residual *residual, const double *queries, int64_t n_queries,
                                              int64_t dim, int64_t row_stride, const double *v_matrix,
                                              int64_t n_features, int64_t v_row_stride,
                                              const double *residual_variance, int64_t k,
                                              const covertree_search_options *options, int64_t *indices,
                                              double *distances);

/* ---- Vector indexes -------------------------------------------------------------------------------------------- */

/* Vectors of float32 with ids of their own, and a structure that finds the nearest of them. Searches on one index run in
 * parallel with each other; a change waits for them to end, and they wait for it. A change that fails leaves the index
 * as it was, except that links of an HNSW which a failed addition replaced are chosen again among the vectors that were there.
 * The progress callback of a search may search the same index, that of a change may not, and neither may change
 * it: BUSY. */
typedef struct covertree_index covertree_index;

/* A place for vectors that an index may be over: the next section. */
typedef struct covertree_store covertree_store;

typedef enum covertree_index_kind {
  COVERTREE_INDEX_BRUTE_FORCE = 0, /* exact: every query is compared with every vector */
  COVERTREE_INDEX_KD_TREE = 1,     /* exact: few dimensions */
  COVERTREE_INDEX_LSH = 2,         /* random hyperplanes: candidates by codes or buckets, ranked exactly */
  COVERTREE_INDEX_HNSW = 3         /* a graph of near vectors: most of the neighbours, in little time */
} covertree_index_kind;

/* Less is nearer. */
typedef enum covertree_index_metric {
  COVERTREE_METRIC_L2 = 0,
  COVERTREE_METRIC_SQUARED_L2 = 1,
  COVERTREE_METRIC_INNER_PRODUCT = 2, /* the negative inner product; not for k-d trees */
  COVERTREE_METRIC_COSINE = 3         /* 1 - cosine; vectors are normalised when they come, and kept so */
} covertree_index_metric;

/* What is kept of a coordinate. */
typedef enum covertree_index_storage {
  COVERTREE_STORAGE_F32 = 0,
  COVERTREE_STORAGE_F16 = 1, /* coordinates of at most 65504; not for k-d trees, nor the next */
  COVERTREE_STORAGE_I8 = 2   /* a byte, and a scale for each vector */
} covertree_index_storage;

typedef enum covertree_index_flags {
  COVERTREE_INDEX_RERANK = 1 /* float32 is kept beside a smaller storage: candidates are found in that, ranked by this */
} covertree_index_flags;

typedef enum covertree_kd_split {
  COVERTREE_SPLIT_MEDIAN = 0,           /* at the median of the coordinate of greatest variance */
  COVERTREE_SPLIT_SLIDING_MIDPOINT = 1, /* in the middle of the widest extent, moved to where whole nodes begin */
  COVERTREE_SPLIT_MEDIAN_EXTENT = 2     /* at the median of the coordinate of widest extent */
} covertree_kd_split;

typedef enum covertree_lsh_mode {
  COVERTREE_LSH_CODES = 0, /* one long code a vector; those that differ least from the query's are candidates */
  COVERTREE_LSH_TABLES = 1 /* tables of buckets by short codes; the query's, and those next to it, are looked into */
} covertree_lsh_mode;

/* 0 stands for the default of each. */
typedef struct covertree_index_options {
  uint32_t struct_size;
  int32_t kind;            /* a covertree_index_kind */
  int32_t metric;          /* a covertree_index_metric */
  int32_t storage;         /* a covertree_index_storage */
  uint32_t flags;          /* of covertree_index_flags */
  int32_t leaf_size;       /* KD_TREE: points that are scanned together, 1 to 65536; 32 */
  int32_t split;           /* KD_TREE: a covertree_kd_split */
  int32_t lsh_mode;        /* LSH: a covertree_lsh_mode */
  int32_t n_bits;          /* LSH: of a code, 1 to 8192, 256; of a bucket's number, 1 to 24, 12 */
  int32_t n_tables;        /* LSH_TABLES: 1 to 256; 8 */
  int32_t n_probes;        /* LSH_TABLES: buckets looked into in each table, 1 to 65536; 16 */
  int32_t n_candidates;    /* LSH_CODES: vectors that are compared with the query; 200 */
  int32_t m;               /* HNSW: links of a vector on each level, twice as many on the lowest, 2 to 512; 16 */
  int32_t ef_construction; /* HNSW: vectors that a search for links keeps, 1 to 65536; 200 */
  int32_t ef_search;       /* HNSW: vectors that a search keeps, at least k; 64 */
  int32_t reserved;        /* 0 */
  uint64_t seed;
} covertree_index_options;

void covertree_index_options_init(covertree_index_options *options);

/* Makes an empty index.
 *   dim          1 to 65536
 *   options [in] may be NULL
 *   index  [out] free it with covertree_index_free
 * INVALID_ARGUMENT, SHAPE, OUT_OF_MEMORY. */
covertree_status covertree_index_create(int64_t dim, const covertree_index_options *options, covertree_index **index);
void covertree_index_free(covertree_index *index);

/* Makes an empty index over a store: it holds slots, and reads their rows in place. A slot that it holds keeps its vector, even when
 * no id of the store has it any more; a store is open until the indexes over it are freed, too. Answers are those of an index with
 * copies. Beside a smaller storage the rows of the store rank, as with COVERTREE_INDEX_RERANK. A KD_TREE over a store knows
 * no COSINE.
 *   options [in] may be NULL
 *   index  [out] free it with covertree_index_free
 * INVALID_ARGUMENT, OUT_OF_MEMORY. */
covertree_status covertree_index_create_over(covertree_store *store, const covertree_index_options *options,
                                             covertree_index **index);

/* Adds vectors.
 *   ids     [in]  n_vectors, none of which the index has, no two the same; NULL for the numbers that follow the largest id
 *                 that the index has had
 *   vectors [in]  n_vectors x dim, finite, at most 1e15 in size
 *   first_id [out] may be NULL: the first of the ids, where ids is NULL
 * INVALID_ARGUMENT, SHAPE, EXISTS for an id that is there, OUT_OF_MEMORY, CANCELLED. The graph of an HNSW is the same for
 * any number of threads. */
covertree_status covertree_index_add(covertree_index *index, const int64_t *ids, const float *vectors, int64_t n_vectors,
                                     int64_t dim, int64_t row_stride, const covertree_call_options *options,
                                     int64_t *first_id);

/* Gives vectors that are there other coordinates; they count as added last. Also NOT_FOUND. */
covertree_status covertree_index_update(covertree_index *index, const int64_t *ids, const float *vectors,
                                        int64_t n_vectors, int64_t dim, int64_t row_stride,
                                        const covertree_call_options *options);

/* The same for an index over a store, by slots of it, of which several ids may have one.
 *   ids   [in] as above: they are the index's own, and need not be those of the store
 *   slots [in] n_slots, each of which some id of the store has; else NOT_FOUND */
covertree_status covertree_index_add_slots(covertree_index *index, const int64_t *ids, const int64_t *slots,
                                           int64_t n_slots, const covertree_call_options *options, int64_t *first_id);
covertree_status covertree_index_update_slots(covertree_index *index, const int64_t *ids, const int64_t *slots,
                                              int64_t n_slots, const covertree_call_options *options);

/* Takes vectors out; where one of the ids is not there (NOT_FOUND), or named twice, none is. */
covertree_status covertree_index_remove(covertree_index *index, const int64_t *ids, int64_t n_ids,
                                        const covertree_call_options *options);

covertree_status covertree_index_clear(covertree_index *index);

/* Makes the structure anew from the vectors that there are. */
covertree_status covertree_index_rebuild(covertree_index *index, const covertree_call_options *options);

/* Puts vectors that are near in the graph near in memory. HNSW; nothing changes in the others. O(n). */
covertree_status covertree_index_optimize(covertree_index *index, const covertree_call_options *options);

typedef enum covertree_filter_kind {
  COVERTREE_FILTER_NONE = 0,
  COVERTREE_FILTER_IDS = 1,   /* only these: an int64_t each, those that are not there left out */
  COVERTREE_FILTER_BITMAP = 2 /* only ids whose bit is set: bit id % 8 of byte id / 8 */
} covertree_filter_kind;

typedef struct covertree_index_search_options {
  uint32_t struct_size;
  int32_t n_threads;      /* 0: covertree_get_num_threads() */
  int32_t filter_kind;    /* a covertree_filter_kind */
  int32_t ef_search;      /* of an HNSW; 0: as it was made with, and so the next two */
  const void *filter;
  int64_t n_filter;       /* ids, or bytes */
  int32_t n_probes;       /* of an LSH with tables */
  int32_t n_candidates;   /* of an LSH with codes */
  covertree_progress_fn progress; /* may be NULL */
  void *progress_user_data;
} covertree_index_search_options;

void covertree_index_search_options_init(covertree_index_search_options *options);

/* The k nearest vectors of each query, by distance; of equally distant ones the one that was added first comes first.
 *   queries   [in]  n_queries x dim, finite
 *   k               at least 1; it may exceed the number of vectors
 *   ids       [out] n_queries x k; -1 where there are not k
 *   distances [out] n_queries x k; infinity there. NULL where they are not wanted
 * INVALID_ARGUMENT, SHAPE, OUT_OF_MEMORY, CANCELLED. Exact for BRUTE_FORCE and KD_TREE: decided in float64 by what is kept of
 * the vectors. */
covertree_status covertree_index_search(covertree_index *index, const float *queries, int64_t n_queries, int64_t dim,
                                        int64_t row_stride, int64_t k, const covertree_index_search_options *options,
                                        int64_t *ids, float *distances);

/* Vectors within a distance (inclusive) of each query, sorted like those of a search; in the result `indices` are ids. All
 * of them for BRUTE_FORCE and KD_TREE; those that a search meets for the others.
 *   neighbors [out] free it with covertree_neighbors_free */
covertree_status covertree_index_radius(covertree_index *index, const float *queries, int64_t n_queries, int64_t dim,
                                        int64_t row_stride, double radius,
                                        const covertree_index_search_options *options,
                                        covertree_neighbors **neighbors);

/* Vectors as they are kept: normalised for COSINE, rounded in a smaller storage.
 *   vectors [out] n_ids x dim, without gaps
 * NOT_FOUND. */
covertree_status covertree_index_get(covertree_index *index, const int64_t *ids, int64_t n_ids, float *vectors);

/*   found [out] n_ids: 1 for an id that is there, else 0 */
covertree_status covertree_index_contains(covertree_index *index, const int64_t *ids, int64_t n_ids, uint8_t *found);

/* All ids, in the order in which their vectors were added.
 *   ids [out] n_ids, the number of vectors that the index has; BUSY where it has changed */
covertree_status covertree_index_ids(covertree_index *index, int64_t *ids, int64_t n_ids);

typedef struct covertree_index_info {
  int64_t n_vectors;
  int64_t n_removed;    /* that still take place */
  int64_t dim;
  int64_t next_id;      /* that is given next */
  int64_t memory_bytes;
  int64_t comparisons;  /* of vectors, since the index was made */
  covertree_index_options options; /* with defaults filled in */
} covertree_index_info;

covertree_status covertree_index_get_info(covertree_index *index, covertree_index_info *info);

/* As covertree_tree_save and covertree_tree_load. A file that was mapped is searched where it lies; the first change copies
 * what it needs. */
covertree_status covertree_index_save(covertree_index *index, const char *path, const covertree_section *sections,
                                      int64_t n_sections, const covertree_call_options *options);
covertree_status covertree_index_encode(covertree_index *index, const covertree_section *sections, int64_t n_sections,
                                        const covertree_call_options *options, covertree_file **file);
covertree_status covertree_index_load(covertree_file *file, covertree_index **index);

/* Opens an index over a store, in whose file there are slots and hashes, over a store that has the same vectors there: the same one,
 * or a snapshot of it. NOT_FOUND where a slot is free, or has another vector by now. O(n). */
covertree_status covertree_index_load_over(covertree_file *file, covertree_store *store,
                                           const covertree_call_options *options, covertree_index **index);

/* ---- Vector store ---------------------------------------------------------------------------------------------- */

/* The place where vectors of float32 live once, however many ids have them. Vectors that are equal, bit for bit but for the
 * sign of zeros, share a slot; a slot's row does not move while an id has it, and is used again once none has. Calls that read run
 * in parallel with each other; a change waits for them, and they wait for it. A change is made wholly or not at all.
 *
 * A store is in memory, or durable in a folder: its catalogue is an SQLite database, its rows are a file that is mapped. One
 * process at a time writes, others read what was committed last; a store in a forked child has to be opened again. */
typedef enum covertree_id_kind {
  COVERTREE_ID_NUMBER = 1, /* low: an int64; high: 0 */
  COVERTREE_ID_UUID = 2,   /* 16 bytes: high has the first eight, the first of them highest */
  COVERTREE_ID_NAME = 3    /* the same of a digest of 16 bytes that the host makes of a name */
} covertree_id_kind;

typedef struct covertree_id {
  uint64_t low;
  uint64_t high;
  uint32_t kind;     /* a covertree_id_kind */
  uint32_t reserved; /* 0 */
} covertree_id;

typedef enum covertree_store_sync {
  COVERTREE_SYNC_FULL = 0,   /* what has returned withstands a power failure */
  COVERTREE_SYNC_NORMAL = 1, /* after a power failure the last changes may be missing; the store is whole */
  COVERTREE_SYNC_OFF = 2     /* no change waits for the disk: withstands the end of the process, not that of the system */
} covertree_store_sync;

typedef enum covertree_store_flags {
  COVERTREE_STORE_READ_ONLY = 1 /* what another process commits is seen by the next call */
} covertree_store_flags;

/* A store in memory.
 *   dim   [in]  coordinates of a vector, 1 to 65536
 *   store [out] free it with covertree_store_free
 * INVALID_ARGUMENT, OUT_OF_MEMORY. */
covertree_status covertree_store_create(int64_t dim, covertree_store **store);

/* Opens a durable store; one that is not there is made, unless it is to be read only.
 *   path    [in] a folder, UTF-8
 *   dim     [in] 0 for that of a store that is there
 *   sync    [in] a covertree_store_sync
 *   flags   [in] of covertree_store_flags
 *   options [in] may be NULL
 * INVALID_ARGUMENT, SHAPE, BUSY where somebody else has it open for writing, IO, CORRUPT, FORMAT_VERSION, CANCELLED. Reads the
 * catalogue, not the rows: O(n_ids). Unless sync is COVERTREE_SYNC_OFF, all files are synced first. */
covertree_status covertree_store_open(const char *path, int64_t dim, int32_t sync, uint32_t flags,
                                      const covertree_call_options *options, covertree_store **store);
void covertree_store_free(covertree_store *store);

/* Adds vectors under new ids, all or none.
 *   ids       [in]  n_vectors
 *   names     [in]  for ids that are digests of names: these in UTF-8, one after the other; NULL without
 *   name_ends [in]  n_vectors: where each ends
 *   vectors   [in]  n_vectors x dim, finite; row_stride bytes from row to row, 0 for none between
 *   options   [in]  may be NULL
 *   slots     [out] n_vectors: where each vector stands
 * INVALID_ARGUMENT, SHAPE, EXISTS for an id that is there or named twice, IO, OUT_OF_MEMORY, CANCELLED. O(dim) a vector. */
covertree_status covertree_store_add(covertree_store *store, const covertree_id *ids, const char *names,
                                     const int64_t *name_ends, const float *vectors, int64_t n_vectors, int64_t dim,
                                     int64_t row_stride, const covertree_call_options *options, int64_t *slots);

/* The same for one vector of the store's dimension under an id without a name.
 * Returns its slot, or less a covertree_status: where calls are made one by one, another output is felt. */
int64_t covertree_store_add_one(covertree_store *store, const covertree_id *id, const float *vector);

/* Takes ids out, all or none; NOT_FOUND for one that is not there, or named twice. */
covertree_status covertree_store_remove(covertree_store *store, const covertree_id *ids, int64_t n_ids,
                                        const covertree_call_options *options);

/* The slot of each id; -1 for those that are not there. */
covertree_status covertree_store_find(covertree_store *store, const covertree_id *ids, int64_t n_ids, int64_t *slots);

/* The slot of an id, -1 where it is not there, or less a covertree_status. */
int64_t covertree_store_find_one(covertree_store *store, const covertree_id *id);

/* How many ids have a slot; 0 for a free one. NOT_FOUND for a slot that has never been. */
covertree_status covertree_store_slot_count(covertree_store *store, int64_t slot, int64_t *n_ids);

/* Checks that slots are in use. NOT_FOUND for the first one that is free or does not exist. */
covertree_status covertree_store_check_slots(covertree_store *store, const int64_t *slots, int64_t n_slots);

/* Ids and their slots, some at a time.
 *   place     [in, out] 0 to begin with; where to go on
 *   room      [in]      for so many
 *   n_written [out]     0 at the end */
covertree_status covertree_store_list(covertree_store *store, int64_t *place, int64_t room, covertree_id *ids,
                                      int64_t *slots, int64_t *n_written);

/* The name that an id was added with.
 *   name   [out] room bytes, without a zero behind it (there may be some in it); NULL to ask for the length
 *   length [out] in bytes
 * NOT_FOUND. */
covertree_status covertree_store_name(covertree_store *store, const covertree_id *id, char *name, int64_t room,
                                      int64_t *length);

/* The rows of a store: they stay where they are until this is freed, the store freed or not. */
typedef struct covertree_store_rows covertree_store_rows;

/* Shows the rows, without a copy. What is in a slot changes when no id has it any more and it is used again.
 *   rows      [out] free it with covertree_store_rows_free
 *   base      [out] row 0; 64-byte aligned, to be read only, as far as there are slots
 *   row_bytes [out] from row to row, a multiple of 64 */
covertree_status covertree_store_rows_get(covertree_store *store, covertree_store_rows **rows, const float **base,
                                          int64_t *row_bytes);
void covertree_store_rows_free(covertree_store_rows *rows);

typedef struct covertree_store_info {
  int64_t dim;
  int64_t n_ids;
  int64_t n_unique;      /* vectors */
  int64_t n_slots;       /* with free ones */
  int64_t n_free;
  int64_t row_bytes;
  int64_t n_reserved;    /* slots that rows have addresses for */
  int64_t memory_bytes;  /* without rows that are mapped from a file */
  int64_t file_bytes;    /* of rows, on the disk */
  int64_t generation;    /* changes that were committed to a file */
  int32_t sync;          /* a covertree_store_sync */
  uint32_t flags;        /* of covertree_store_flags */
} covertree_store_info;

covertree_status covertree_store_get_info(covertree_store *store, covertree_store_info *info);

/* Writes a copy of a store as it stands to a folder that is not there; it is there wholly, or not at all. Readers go on, and so does
 * the writer. EXISTS, IO, CANCELLED. */
covertree_status covertree_store_snapshot(covertree_store *store, const char *path,
                                          const covertree_call_options *options);

/* Makes a durable store of a snapshot, at a path where none is. */
covertree_status covertree_store_restore(const char *snapshot, const char *path, const covertree_call_options *options);

/* Compares rows with their hashes, the catalogue with its checksums, with itself, and with the rows: CORRUPT, and what is wrong.
 * Reads everything. */
covertree_status covertree_store_check(covertree_store *store, const covertree_call_options *options);

/* Gives memory, or disk, of free rows back to the system; slots stay where they are. BUSY while others have it open.
 * First waits until all changes are on the disk, whatever the store's sync is. */
covertree_status covertree_store_compact(covertree_store *store, const covertree_call_options *options);

#ifdef __cplusplus
}
#endif

#endif /* COVERTREE_H */
