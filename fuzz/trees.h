/* Calls on trees, and on what they return. */
#ifndef COVERTREE_FUZZ_TREES
#define COVERTREE_FUZZ_TREES

#include "world.h"

#define TREE_CALLS(T, f, KIND)                                                                        \
  static void build_##f(Stream *s) {                                                                  \
    Rows r = rows(s, 40, world.dim, sizeof(T));                                                       \
    covertree_tree_options *o = treeOptions(s);                                                       \
    covertree_tree *tree = NULL;                                                                      \
    if (ok(covertree_tree_build_##f(r.base, r.rows, r.dim, r.stride, o, oneIn(s, 60) ? NULL : &tree))) \
      keep(s, KIND, tree);                                                                            \
    free(o), free(r.base);                                                                            \
  }                                                                                                   \
  static void insert_##f(Stream *s) {                                                                 \
    Rows r = rows(s, 20, world.dim, sizeof(T));                                                       \
    covertree_call_options *o = callOptions(s);                                                       \
    int64_t first;                                                                                    \
    ok(covertree_tree_insert_##f(handle(s, KIND), r.base, r.rows, r.dim, r.stride, o, oneIn(s, 3) ? NULL : &first)); \
    free(o), free(r.base);                                                                            \
  }                                                                                                   \
  static void knn_##f(Stream *s) {                                                                    \
    Rows r = rows(s, 8, world.dim, sizeof(T));                                                        \
    int64_t k = neighbors(s), *lists = memory(cells(r.rows, k), 8);                                   \
    T *distances = oneIn(s, 8) ? NULL : memory(cells(r.rows, k), sizeof(T));                          \
    Search o = searchOptions(s, r.rows, k);                                                           \
    covertree_status status = covertree_tree_knn_##f(handle(s, KIND), r.base, r.rows, r.dim, r.stride, k, o.options, \
                                                     lists, distances);                               \
    CHECK_LISTS(status, lists, distances, r.rows, k)                                                  \
    freeSearch(o), free(distances), free(lists), free(r.base);                                        \
  }                                                                                                   \
  static void knn_rows_##f(Stream *s) {                                                               \
    void *tree = handle(s, KIND);                                                                     \
    covertree_tree_info info = {0};                                                                   \
    covertree_tree_get_info(tree, &info);                                                             \
    int all = oneIn(s, 3);                                                                            \
    int64_t n = all ? info.n_points : size(s, 8), k = neighbors(s);                                   \
    int64_t *list = all ? NULL : indices(s, n), *lists = memory(cells(n, k), 8);                      \
    T *distances = oneIn(s, 8) ? NULL : memory(cells(n, k), sizeof(T));                               \
    Search o = searchOptions(s, n, k);                                                                \
    covertree_status status = covertree_tree_knn_rows_##f(tree, list, n, k, o.options, lists, distances); \
    CHECK_LISTS(status, lists, distances, n, k)                                                       \
    freeSearch(o), free(distances), free(lists), free(list);                                          \
  }                                                                                                   \
  static void radius_##f(Stream *s) {                                                                 \
    Rows r = rows(s, 8, world.dim, sizeof(T));                                                        \
    Search o = searchOptions(s, r.rows, 0);                                                           \
    covertree_neighbors *found = NULL;                                                                \
    int64_t *counts = memory(r.rows < 1000 ? r.rows : 0, 8);                                          \
    void *tree = handle(s, KIND);                                                                     \
    double radius = number(s);                                                                        \
    if (oneIn(s, 2)) ok(covertree_tree_radius_count_##f(tree, r.base, r.rows, r.dim, r.stride, radius, o.options, counts)); \
    else if (ok(covertree_tree_radius_##f(tree, r.base, r.rows, r.dim, r.stride, radius, o.options, &found)))   \
      keep(s, NEIGHBORS, found);                                                                      \
    free(counts), freeSearch(o), free(r.base);                                                        \
  }                                                                                                   \
  static void hash_##f(Stream *s) {                                                                   \
    Rows r = rows(s, 20, world.dim, sizeof(T));                                                       \
    covertree_call_options *o = callOptions(s);                                                       \
    uint64_t hash;                                                                                    \
    ok(covertree_hash_points_##f(r.base, r.rows, r.dim, r.stride, o, &hash));                         \
    free(o), free(r.base);                                                                            \
  }

TREE_CALLS(float, f32, TREE32)
TREE_CALLS(double, f64, TREE64)

static void radiusRows(Stream *s) {
  int64_t n = size(s, 8), *list = indices(s, n), *counts = memory(n < 1000 ? n : 0, 8);
  Search o = searchOptions(s, n, 0);
  covertree_neighbors *found = NULL;
  void *tree = handle(s, oneIn(s, 2) ? TREE32 : TREE64);
  double radius = number(s);
  if (oneIn(s, 2)) ok(covertree_tree_radius_count_rows(tree, list, n, radius, o.options, counts));
  else if (ok(covertree_tree_radius_rows(tree, list, n, radius, o.options, &found))) keep(s, NEIGHBORS, found);
  freeSearch(o), free(counts), free(list);
}

static void removeFromTree(Stream *s) {
  int64_t n = size(s, 8), *list = indices(s, n);
  covertree_call_options *o = callOptions(s);
  ok(covertree_tree_remove(handle(s, oneIn(s, 2) ? TREE32 : TREE64), list, n, o));
  free(o), free(list);
}

static void lookAtTree(Stream *s) {
  void *tree = handle(s, oneIn(s, 2) ? TREE32 : TREE64);
  covertree_call_options *o = callOptions(s);
  covertree_tree_info info;
  covertree_arrays *arrays = NULL;
  ok(covertree_tree_get_info(tree, oneIn(s, 20) ? NULL : &info));
  covertree_status status = covertree_tree_validate(tree, o);
  REQUIRE(ok(status) || status != COVERTREE_CORRUPT || world.handles[FILE_][0] != NULL);
  if (ok(covertree_tree_export(tree, NULL, &arrays))) keep(s, ARRAYS, arrays);
  free(o);
}

static void lookAtResults(Stream *s) {
  covertree_neighbors_view lists;
  if (ok(covertree_neighbors_get(handle(s, NEIGHBORS), &lists))) {
    REQUIRE(lists.offsets[0] == 0 && lists.offsets[lists.n_queries] == lists.n_neighbors);
    for (int64_t i = 0; i < lists.n_neighbors; i++) REQUIRE(lists.indices[i] >= 0);
  }
  covertree_arrays_view view;
  int32_t current;
  void *arrays = handle(s, ARRAYS);
  if (ok(covertree_arrays_get(arrays, &view)))
    for (int64_t t = 0; t < view.n_nodes; t++) REQUIRE(view.subtree_end[t] > t && view.subtree_end[t] <= view.n_nodes);
  ok(covertree_arrays_is_current(arrays, &current));
  covertree_residual_view model;
  arrays = handle(s, RESIDUAL_ARRAYS);
  if (ok(covertree_residual_arrays_get(arrays, &model)))
    for (int64_t i = 0; i < model.n_points; i++) REQUIRE(model.order[model.places[i]] == i);
  ok(covertree_residual_arrays_is_current(arrays, &current));
}

#endif
