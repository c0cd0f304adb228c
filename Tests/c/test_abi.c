/* Structs of options as programs bring them that were built against an older header, or a later one. Each is in memory of just the size
 * that it claims, so that valgrind sees a byte read too many. */
#include "expect.h"

#include <covertree.h>

#include <math.h>
#include <stdlib.h>

enum { N = 200, DIM = 2, K = 4 };

static double points[N * DIM];
static covertree_tree *tree;

/* A copy of options, of another size. */
static void *resized(const void *options, size_t bytes, size_t claimed) {
  uint32_t size = (uint32_t)claimed;
  char *copy = calloc(claimed, 1);
  memcpy(copy, options, claimed < bytes ? claimed : bytes);
  memcpy(copy, &size, sizeof size);
  return copy;
}

static covertree_status build(const covertree_tree_options *options) {
  covertree_tree *built = NULL;
  covertree_status status = covertree_tree_build(F64(points, N, DIM, 0), options, &built);
  covertree_tree_free(built);
  return status;
}

static covertree_status search(const covertree_search_options *options) {
  static int64_t indices[N * K];
  static double distances[N * K];
  covertree_status status = covertree_tree_knn(tree, F64(points, N, DIM, 0), K, options, indices, distances);
  if (status == COVERTREE_OK)
    for (int i = 0; i < N; i++) EXPECT(distances[i * K] == 0 && isfinite(distances[i * K + K - 1]));
  return status;
}

static covertree_status make_index(const covertree_index_options *options) {
  covertree_index *index = NULL;
  covertree_status status = covertree_index_create(DIM, NULL, options, &index);
  covertree_index_free(index);
  return status;
}

static covertree_status search_index(const covertree_index_search_options *options) {
  covertree_index *index = NULL;
  float vector[DIM] = {1, 2}, distance;
  int64_t id;
  EXPECT(covertree_index_create(DIM, NULL, NULL, &index) == COVERTREE_OK);
  EXPECT(covertree_index_add(index, NULL, F32(vector, 1, DIM, 0), NULL, NULL) == COVERTREE_OK);
  covertree_status status = covertree_index_search(index, F32(vector, 1, DIM, 0), 1, options, &id, &distance);
  covertree_index_free(index);
  return status;
}

static covertree_status model(const covertree_residual_options *options) {
  covertree_residual *residual = NULL;
  covertree_status status = covertree_residual_build(F64(points, N, DIM, 0), options, &residual);
  covertree_residual_free(residual);
  return status;
}

static covertree_status validate(const covertree_call_options *options) { return covertree_tree_validate(tree, options); }

/* Every size that a version of the struct may have had works: fields that are not there have their defaults. Later fields may be there
 * if they say nothing. */
#define EXPECT_SIZES(type, call)                                                               \
  do {                                                                                         \
    type options;                                                                              \
    type##_init(&options);                                                                     \
    EXPECT(options.struct_size == sizeof options);                                             \
    EXPECT(call(NULL) == COVERTREE_OK && call(&options) == COVERTREE_OK);                      \
    for (size_t size = 8; size <= sizeof options + 64; size += 8) {                            \
      type *given = resized(&options, sizeof options, size);                                   \
      EXPECT(call(given) == COVERTREE_OK);                                                     \
      if (size > sizeof options) {                                                             \
        ((char *)given)[size - 1] = 1;                                                         \
        EXPECT_ERROR(call(given), COVERTREE_UNSUPPORTED, "later version");                     \
      }                                                                                        \
      free(given);                                                                             \
    }                                                                                          \
    static const uint32_t wrong[] = {0, 4, 7, 13, sizeof(type) - 1, sizeof(type) + 1, 4104, UINT32_MAX}; \
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {                                \
      options.struct_size = wrong[i];                                                          \
      EXPECT_ERROR(call(&options), COVERTREE_INVALID_ARGUMENT, "struct_size");                 \
    }                                                                                          \
  } while (0)

/* A field that an older program does not have is not read from the memory after its struct. */
static void test_fields_that_are_not_there(void) {
  struct {
    covertree_search_options options;
  } behind;
  covertree_search_options_init(&behind.options);
  static double limits[N];
  for (int i = 0; i < N; i++) limits[i] = NAN;
  behind.options.limits = limits;
  behind.options.struct_size = offsetof(covertree_search_options, limits);
  EXPECT(search(&behind.options) == COVERTREE_OK);
  behind.options.struct_size = sizeof behind.options;
  EXPECT_ERROR(search(&behind.options), COVERTREE_INVALID_ARGUMENT, "limits[0]");
}

int main(void) {
  for (int i = 0; i < N * DIM; i++) points[i] = uniform();
  EXPECT(covertree_tree_build(F64(points, N, DIM, 0), NULL, &tree) == COVERTREE_OK);
  EXPECT(covertree_abi_version() == COVERTREE_ABI_VERSION);
  EXPECT_SIZES(covertree_tree_options, build);
  EXPECT_SIZES(covertree_search_options, search);
  EXPECT_SIZES(covertree_call_options, validate);
  EXPECT_SIZES(covertree_residual_options, model);
  EXPECT_SIZES(covertree_index_options, make_index);
  EXPECT_SIZES(covertree_index_search_options, search_index);
  test_fields_that_are_not_there();
  covertree_tree_free(tree);
  if (failures == 0) puts("abi: passed");
  return failures != 0;
}
