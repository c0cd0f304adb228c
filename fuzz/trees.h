/* Calls on trees and on their results. */
#ifndef COVERTREE_FUZZ_TREES
#define COVERTREE_FUZZ_TREES

#include "world.h"

/* Calls of a tree of float32 or of float64 points. */
typedef struct {
  int kind;
  int32_t dtype;
  size_t size;
} Type;

static Type type(Stream *s) {
  return oneIn(s, 2) ? (Type){TREE32, COVERTREE_DTYPE_F32, 4} : (Type){TREE64, COVERTREE_DTYPE_F64, 8};
}

static void buildTree(Stream *s) {
  Rows r = rows(s, 40, world.dim, type(s).size);
  covertree_tree_options *o = treeOptions(s);
  covertree_tree *tree = NULL;
  if (ok(covertree_tree_build(oneIn(s, 60) ? NULL : &r.matrix, o, oneIn(s, 60) ? NULL : &tree)) && tree != NULL)
    keep(s, r.matrix.dtype == COVERTREE_DTYPE_F32 ? TREE32 : TREE64, tree);
  free(o), free(r.base);
}

static void insertIntoTree(Stream *s) {
  Type t = type(s);
  Rows r = rows(s, 20, world.dim, t.size);
  covertree_call_options *o = callOptions(s);
  int64_t first;
  ok(covertree_tree_insert(handle(s, t.kind), &r.matrix, o, oneIn(s, 3) ? NULL : &first));
  free(o), free(r.base);
}

/* Memory for distances of either type, as float64, or none. */
static void checkTreeLists(covertree_status status, const int64_t *lists, void *distances, int32_t dtype, int64_t n, int64_t k) {
  double *wide = distances == NULL ? NULL : memory(cells(n, k), 8);
  for (int64_t i = 0; wide != NULL && i < cells(n, k); i++)
    wide[i] = dtype == COVERTREE_DTYPE_F32 ? (double)((float *)distances)[i] : ((double *)distances)[i];
  CHECK_LISTS(status, lists, wide, n, k)
  free(wide);
}

static int64_t indexCount(void *tree) {
  covertree_tree_info info = {0};
  covertree_tree_get_info(tree, &info);
  return info.next_index;
}

static void knn(Stream *s) {
  Type t = type(s);
  void *tree = handle(s, t.kind);
  Rows r = rows(s, 8, world.dim, t.size);
  int64_t k = neighbors(s), *lists = memory(cells(r.rows, k), 8);
  void *distances = oneIn(s, 8) ? NULL : memory(cells(r.rows, k), t.size);
  Search o = searchOptions(s, r.rows, k, indexCount(tree));
  covertree_status status = covertree_tree_knn(tree, &r.matrix, k, o.options, lists, distances);
  checkTreeLists(status, lists, distances, t.dtype, r.rows, k);
  freeSearch(o), free(distances), free(lists), free(r.base);
}

static void knnOfPoints(Stream *s) {
  void *tree = handle(s, type(s).kind);
  covertree_tree_info info = {0};
  covertree_tree_get_info(tree, &info);
  int all = oneIn(s, 3);
  int64_t n = all ? info.n_points : size(s, 8), k = neighbors(s);
  int64_t *list = all ? NULL : indices(s, n), *lists = memory(cells(n, k), 8);
  void *distances = oneIn(s, 8) ? NULL : memory(cells(n, k), info.dtype == COVERTREE_DTYPE_F32 ? 4 : 8);
  Search o = searchOptions(s, n, k, info.next_index);
  covertree_status status = covertree_tree_knn(tree, I64(list, n), k, o.options, lists, distances);
  checkTreeLists(status, lists, distances, info.dtype, n, k);
  freeSearch(o), free(distances), free(lists), free(list);
}

static void radiusOf(Stream *s, const covertree_matrix *queries, int kind) {
  void *tree = handle(s, kind);
  Search o = searchOptions(s, queries->rows, 0, indexCount(tree));
  covertree_neighbors *found = NULL;
  int64_t *counts = memory(queries->rows < 1000 ? queries->rows : 0, 8);
  double radius = number(s);
  if (oneIn(s, 2)) ok(covertree_tree_radius_count(tree, queries, radius, o.options, counts));
  else if (ok(covertree_tree_radius(tree, queries, radius, o.options, &found))) keep(s, NEIGHBORS, found);
  free(counts), freeSearch(o);
}

static void radius(Stream *s) {
  Type t = type(s);
  Rows r = rows(s, 8, world.dim, t.size);
  radiusOf(s, &r.matrix, t.kind);
  free(r.base);
}

static void radiusOfPoints(Stream *s) {
  int64_t n = size(s, 8), *list = indices(s, n);
  radiusOf(s, I64(list, n), type(s).kind);
  free(list);
}

static void hashPoints(Stream *s) {
  Rows r = rows(s, 20, world.dim, type(s).size);
  covertree_call_options *o = callOptions(s);
  uint64_t hash;
  ok(covertree_hash_points(&r.matrix, o, &hash));
  free(o), free(r.base);
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
  memset(&info, 0, sizeof info);
  covertree_tree_get_info(tree, &info);
  int64_t n = oneIn(s, 4) ? size(s, 8) : info.n_points, *list = memory(n, 8), few = size(s, 8), *some = indices(s, few);
  double *points = memory(cells(few, info.dim), 8);
  if (ok(covertree_tree_indices(tree, oneIn(s, 2), n, list)))
    for (int64_t i = 0; i < n; i++) REQUIRE(list[i] >= 0 && list[i] < info.next_index);
  ok(covertree_tree_points(tree, some, few, o, points));
  free(points), free(some), free(list);
  free(o);
}

static void lookAtResults(Stream *s) {
  covertree_neighbors_view lists;
  if (ok(covertree_neighbors_get(handle(s, NEIGHBORS), &lists))) {
    REQUIRE(lists.offsets[0] == 0 && lists.offsets[lists.n_queries] == lists.n_neighbors);
    for (int64_t i = 0; i < lists.n_neighbors; i++) REQUIRE(lists.indices[i] >= 0);
  }
  covertree_arrays_view view;
  void *arrays = handle(s, ARRAYS);
  if (ok(covertree_arrays_get(arrays, &view)))
    for (int64_t t = 0; t < view.n_nodes; t++) REQUIRE(view.subtree_end[t] > t && view.subtree_end[t] <= view.n_nodes);
  covertree_residual_view model;
  arrays = handle(s, RESIDUAL_ARRAYS);
  if (ok(covertree_residual_arrays_get(arrays, &model)))
    for (int64_t i = 0; i < model.n_points; i++) REQUIRE(model.order[model.positions[i]] == i);
}

#endif
