/* Opens a file and uses the thing in it: searches it, checks it, exports it, changes it several times, and saves it in between. Every
 * call must end with a status. After each change the thing must have the right size. */
#ifndef COVERTREE_FUZZ_USAGE
#define COVERTREE_FUZZ_USAGE

#include "crafted.h"
#include "fuzz.h"

enum { mostDim = 64, mostPoints = 4096 };

/* Whether a file could be opened. Files that are saved later, from step 1 on, must be. */
static inline int opens(covertree_status status, int step) {
  REQUIRE(status == COVERTREE_OK || step == 0);
  return status == COVERTREE_OK;
}

/* Encodes a thing and loads it again. */
#define ENCODED(kind, thing)                                                                          \
  do {                                                                                                \
    covertree_file *file = NULL;                                                                      \
    covertree_##kind *again = NULL;                                                                   \
    if (covertree_##kind##_encode(thing, NULL, 0, NULL, &file) != COVERTREE_OK) break;                \
    REQUIRE(covertree_##kind##_load(file, &again) == COVERTREE_OK);                                   \
    covertree_file_free(file);                                                                        \
    covertree_##kind##_free(thing);                                                                   \
    (thing) = again;                                                                                  \
  } while (0)

static inline void searchTree(covertree_tree *tree, const covertree_tree_info *info, const double *point) {
  int64_t lists[3 * 5], *all = memory(info->n_points * 4, 8);
  double distances[3 * 5];
  const int64_t row = 1;
  covertree_neighbors *found = NULL;
  covertree_arrays *arrays = NULL;
  if (info->dtype == COVERTREE_DTYPE_F32) {
    covertree_tree_knn(tree, F32(point, 3, info->dim, 0), 5, NULL, lists, distances);
  } else {
    covertree_tree_knn(tree, F64(point, 3, info->dim, 0), 5, NULL, lists, distances);
  }
  covertree_tree_knn(tree, I64(NULL, info->n_points), 4, NULL, all, NULL);
  if (covertree_tree_radius(tree, I64(&row, 1), 0.5, NULL, &found) == COVERTREE_OK) covertree_neighbors_free(found);
  covertree_tree_validate(tree, NULL);
  if (covertree_tree_export(tree, NULL, &arrays) == COVERTREE_OK) covertree_arrays_free(arrays);
  free(all);
}

static inline void changeTree(covertree_tree *tree, const covertree_tree_info *before, const double *point, Random *r) {
  covertree_tree_info after;
  int64_t first, gone[8], count = 1 + (int64_t)drawBelow(r, 8), change = 0;
  if (drawBelow(r, 2) == 0) {
    covertree_matrix points = *F64(point, 3, before->dim, 0);
    points.dtype = before->dtype;
    covertree_status status = covertree_tree_insert(tree, &points, NULL, &first);
    if (status == COVERTREE_OK) change = 3;
  } else {
    int64_t start = before->next_index > count ? (int64_t)drawBelow(r, (size_t)(before->next_index - count)) : 0;
    for (int64_t i = 0; i < count; i++) gone[i] = start + i;
    if (covertree_tree_remove(tree, gone, count, NULL) == COVERTREE_OK) change = -count;
  }
  REQUIRE(covertree_tree_get_info(tree, &after) == COVERTREE_OK && after.n_points == before->n_points + change);
}

/* Each of these returns how many changes were tried: none if the file cannot be opened. */
static inline int useTree(covertree_file *file, Random *r) {
  covertree_tree *tree = NULL;
  covertree_tree_info info;
  double point[mostDim * 3] = {0.5, -1, 2, 0.25};
  int step = 0;
  if (covertree_tree_load(file, &tree) != COVERTREE_OK) return 0;
  for (; step < 6; step++) {
    if (!opens(covertree_tree_get_info(tree, &info), step) || info.dim > mostDim || info.n_points >= mostPoints) break;
    if (step % 2 == 0) searchTree(tree, &info, point);
    changeTree(tree, &info, point, r);
    if (drawBelow(r, 3) == 0) ENCODED(tree, tree);
  }
  covertree_tree_free(tree);
  return step;
}

static inline void searchModel(covertree_residual *model, const covertree_residual_info *info, const double *point) {
  double distances[2 * 5];
  int64_t lists[2 * 5], *all = memory(info->n_points * 4, 8);
  covertree_residual_arrays *arrays = NULL;
  covertree_arrays *tree = NULL;
  covertree_residual_knn(model, I64(NULL, info->n_points), 4, NULL, all, NULL);
  covertree_residual_knn(model, F64(point, 2, info->dim, 0), 5, NULL, lists, distances);
  covertree_neighbors *near = NULL;
  if (covertree_residual_radius(model, F64(point, 2, info->dim, 0), 0.5, NULL, &near) == COVERTREE_OK) covertree_neighbors_free(near);
  if (covertree_residual_export(model, NULL, &arrays) == COVERTREE_OK) covertree_residual_arrays_free(arrays);
  if (covertree_residual_build_tree(model, NULL, &tree) == COVERTREE_OK) covertree_arrays_free(tree);
  free(all);
}

static inline int useResidual(covertree_file *file, Random *r) {
  covertree_residual *model = NULL;
  covertree_residual_info info, after;
  double point[mostDim * 2] = {0.5, -1, 2, 0.25};
  int step = 0;
  if (covertree_residual_load(file, NULL, &model) != COVERTREE_OK) return 0;
  for (; step < 3; step++) {
    covertree_residual *other = NULL;
    covertree_file *saved = NULL;
    if (!opens(covertree_residual_get_info(model, &info), step) || info.dim > mostDim || info.n_points >= mostPoints ||
        info.n_features >= 256)
      break;
    if (drawBelow(r, 2) == 0) searchModel(model, &info, point);
    int extends = drawBelow(r, 3) > 0;
    const covertree_matrix *points = F64(point, 2, info.dim, 0);
    covertree_status status = extends ? covertree_residual_extend(model, points, NULL, &other)
                                      : covertree_residual_with_points(model, points, NULL, &other);
    if (status == COVERTREE_OK) {
      REQUIRE(covertree_residual_get_info(other, &after) == COVERTREE_OK);
      REQUIRE(after.n_points == (extends ? info.n_points + 2 : 2));
      covertree_residual_free(model);
      model = other;
    }
    if (drawBelow(r, 3) > 0 || covertree_residual_encode(model, NULL, 0, NULL, &saved) != COVERTREE_OK) continue;
    REQUIRE(covertree_residual_load(saved, NULL, &other) == COVERTREE_OK);
    covertree_file_free(saved);
    covertree_residual_free(model);
    model = other;
  }
  covertree_residual_free(model);
  return step;
}

/* A store in memory with the vectors (i + 1, i + 2, ...) in slots 0 to 19. Slots 3 and 4 are free. */
static inline covertree_store *smallStore(void) {
  enum { dim = 4, count = 20 };
  covertree_store *store = NULL;
  covertree_id ids[count];
  float vectors[count * dim];
  int64_t slots[count];
  for (int i = 0; i < count; i++) {
    ids[i] = (covertree_id){(uint64_t)i, 0, COVERTREE_ID_NUMBER, 0};
    for (int d = 0; d < dim; d++) vectors[dim * i + d] = (float)(i + d + 1);
  }
  REQUIRE(covertree_store_create(dim, &store) == COVERTREE_OK);
  REQUIRE(covertree_store_add(store, ids, NULL, NULL, F32(vectors, count, dim, 0), NULL, slots) == COVERTREE_OK);
  REQUIRE(covertree_store_remove(store, ids + 3, 2, NULL) == COVERTREE_OK);
  return store;
}

static inline void searchIndex(covertree_index *index, const covertree_index_info *info, const float *vector, Random *r) {
  float distances[2 * 5];
  int64_t found[2 * 5];
  covertree_neighbors *near = NULL;
  covertree_index_search_options options;
  covertree_index_search_options_init(&options);
  options.ef_search = 1 + (int32_t)drawBelow(r, 8);
  covertree_index_search(index, F32(vector, 2, info->dim, 0), 5, &options, found, distances);
  if (covertree_index_radius(index, F32(vector, 1, info->dim, 0), 2, NULL, &near) == COVERTREE_OK) covertree_neighbors_free(near);
}

/* Adds vectors, or updates some. Some are equal to vectors of `ids`. Returns how many more there are then. */
static inline int64_t addToIndex(
    covertree_index *index, const covertree_index_info *info, const int64_t *ids, int64_t count, Random *r) {
  enum { most = 16 };
  float vectors[most * mostDim];
  int64_t slots[most], more = count < most ? count : most, first;
  for (int64_t i = 0; i < most; i++) slots[i] = (int64_t)drawBelow(r, 22);
  for (int64_t i = 0; i < more * info->dim; i++) vectors[i] = (float)((double)draw(r) * 0x1p-63 - 1);
  if (drawBelow(r, 2) == 0) covertree_index_get(index, ids, more / 2, vectors);
  if (drawBelow(r, 3) == 0) {
    if (covertree_index_update(index, ids, F32(vectors, more, info->dim, 0), NULL) != COVERTREE_OK)
      covertree_index_update(index, ids, I64(slots, more), NULL);
    return 0;
  }
  if (covertree_index_add(index, NULL, F32(vectors, more, info->dim, 0), NULL, &first) == COVERTREE_OK) return more;
  return covertree_index_add(index, NULL, I64(slots, 3), NULL, &first) == COVERTREE_OK ? 3 : 0;
}

static inline void changeIndex(covertree_index *index, const covertree_index_info *before, Random *r) {
  covertree_index_info after;
  int64_t *ids = memory(before->n_vectors, 8), change = 0, count = 1 + (int64_t)drawBelow(r, 40);
  if (covertree_index_ids(index, ids, before->n_vectors) == COVERTREE_OK && before->n_vectors > 0) {
    int64_t start = (int64_t)drawBelow(r, (size_t)before->n_vectors);
    if (count > before->n_vectors - start) count = before->n_vectors - start;
    switch (drawBelow(r, 6)) {
      case 0: case 1: if (covertree_index_remove(index, ids + start, count, NULL) == COVERTREE_OK) change = -count; break;
      case 2: covertree_index_rebuild(index, NULL); break;
      case 3: covertree_index_optimize(index, NULL); break;
      default: change = addToIndex(index, before, ids + start, count, r);
    }
  }
  REQUIRE(covertree_index_get_info(index, &after) == COVERTREE_OK && after.n_vectors == before->n_vectors + change);
  free(ids);
}

static inline int useIndex(covertree_file *file, covertree_store *store, Random *r) {
  covertree_index *index = NULL;
  covertree_index_info info;
  float vector[mostDim * 2] = {0.5f, -1, 2, 0.25f};
  int step = 0;
  if (covertree_index_load(file, store, NULL, &index) != COVERTREE_OK) return 0;
  for (; step < 8; step++) {
    covertree_file *saved = NULL;
    covertree_index *again = NULL;
    if (!opens(covertree_index_get_info(index, &info), step) || info.dim > mostDim || info.n_vectors >= mostPoints) break;
    if (step % 2 == 0) searchIndex(index, &info, vector, r);
    changeIndex(index, &info, r);
    if (drawBelow(r, 4) > 0 || covertree_index_encode(index, NULL, 0, NULL, &saved) != COVERTREE_OK) continue;
    REQUIRE(covertree_index_load(saved, store, NULL, &again) == COVERTREE_OK);
    covertree_file_free(saved);
    covertree_index_free(index);
    index = again;
  }
  covertree_index_free(index);
  return step;
}

/* Tries a file as each of the kinds. Returns whether it could be opened as one. */
static inline int useFile(covertree_file *file, covertree_store *store, Random *r) {
  covertree_file_info info;
  covertree_section section;
  REQUIRE(covertree_file_get_info(file, &info) == COVERTREE_OK);
  for (int64_t i = 0; i < info.n_sections; i++) covertree_file_get_section(file, i, &section);
  return useTree(file, r) + useResidual(file, r) + useIndex(file, NULL, r) + useIndex(file, store, r) > 0;
}

#endif
