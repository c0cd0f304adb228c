/* Files whose arrays were changed, element by element, with checksums that fit: each is refused, or can be used and changed. What the
 * fuzzer of files does (fuzz/files.c), on the same seeds each time.
 *
 *   test_crafted [CHANGES OF EACH FILE [FIRST SEED]] */
#include "../../fuzz/usage.h"

#include "expect.h"

enum { N = 90, DIM = 3 };

static float narrow[N][DIM];
static double wide[N][DIM];

static covertree_file *aTree(int isNarrow, int hasRemoved) {
  const int64_t gone[] = {3, 4, 40};
  covertree_tree_options options;
  covertree_tree *tree = NULL;
  covertree_file *file = NULL;
  covertree_tree_options_init(&options);
  options.leaf_size = 8;
  EXPECT((isNarrow ? covertree_tree_build(F32(narrow[0], N, DIM, 0), &options, &tree)
                   : covertree_tree_build(F64(wide[0], N, DIM, 0), &options, &tree)) == COVERTREE_OK);
  if (hasRemoved) EXPECT(covertree_tree_remove(tree, gone, 3, NULL) == COVERTREE_OK);
  EXPECT(covertree_tree_encode(tree, NULL, 0, NULL, &file) == COVERTREE_OK);
  covertree_tree_free(tree);
  return file;
}

/* With inducing points it has skeletons and bounds. */
static covertree_file *aModel(int n_inducing) {
  int64_t rows[N * 2];
  covertree_residual_options options;
  covertree_residual *model = NULL;
  covertree_file *file = NULL;
  covertree_residual_options_init(&options);
  options.kernel = COVERTREE_KERNEL_MATERN32;
  options.inducing_points = n_inducing > 0 ? wide[0] : NULL;
  options.n_inducing = n_inducing;
  options.block_size = 64;
  EXPECT(covertree_residual_build(F64(wide[0], N, DIM, 0), &options, &model) == COVERTREE_OK);
  EXPECT(covertree_residual_knn(model, I64(NULL, N), 2, NULL, rows, NULL) == COVERTREE_OK);
  EXPECT(covertree_residual_encode(model, NULL, 0, NULL, &file) == COVERTREE_OK);
  covertree_residual_free(model);
  return file;
}

/* Some ids were removed and added again; some vectors are equal. */
static covertree_file *anIndex(covertree_index_options options) {
  const int64_t gone[] = {0, 5, 6, 7, 30};
  int64_t first;
  covertree_index *index = NULL;
  covertree_file *file = NULL;
  options.struct_size = sizeof options;
  options.m = 3, options.n_tables = 3, options.n_bits = options.lsh_mode == COVERTREE_LSH_TABLES ? 4 : 40;
  EXPECT(covertree_index_create(DIM, NULL, &options, &index) == COVERTREE_OK);
  EXPECT(covertree_index_add(index, NULL, F32(narrow[0], N - 10, DIM, 0), NULL, &first) == COVERTREE_OK);
  EXPECT(covertree_index_remove(index, gone, 5, NULL) == COVERTREE_OK);
  EXPECT(covertree_index_add(index, gone, F32(narrow[N - 10], 5, DIM, 0), NULL, &first) == COVERTREE_OK);
  EXPECT(covertree_index_remove(index, gone + 1, 1, NULL) == COVERTREE_OK);
  /* A small k-d tree has boxes once removed vectors are forgotten. */
  for (int64_t id = 40; id < 65 && options.kind == COVERTREE_INDEX_KD_TREE; id++)
    EXPECT(covertree_index_remove(index, &id, 1, NULL) == COVERTREE_OK);
  EXPECT(covertree_index_encode(index, NULL, 0, NULL, &file) == COVERTREE_OK);
  covertree_index_free(index);
  return file;
}

static covertree_file *anIndexOver(covertree_store *store, covertree_index_options options) {
  const int64_t slots[] = {0, 1, 2, 5, 6, 7, 8, 9, 10, 11, 0, 1};
  int64_t first, gone = 3;
  covertree_index *index = NULL;
  covertree_file *file = NULL;
  options.struct_size = sizeof options;
  options.m = 2;
  EXPECT(covertree_index_create(0, store, &options, &index) == COVERTREE_OK);
  EXPECT(covertree_index_add(index, NULL, I64(slots, 12), NULL, &first) == COVERTREE_OK);
  EXPECT(covertree_index_remove(index, &gone, 1, NULL) == COVERTREE_OK);
  EXPECT(covertree_index_encode(index, NULL, 0, NULL, &file) == COVERTREE_OK);
  covertree_index_free(index);
  return file;
}

/* How many changes of a file were refused, and how many were not. */
static void changeFile(covertree_file *file, covertree_store *store, int changes, uint64_t seed, int counts[2]) {
  covertree_file_info info;
  EXPECT(covertree_file_get_info(file, &info) == COVERTREE_OK);
  uint8_t *bytes = malloc((size_t)info.n_bytes);
  for (int change = 0; change < changes; change++) {
    Random r = {seed + (uint64_t)change * 1000003};
    covertree_file *crafted = NULL;
    memcpy(bytes, info.bytes, (size_t)info.n_bytes);
    craft(bytes, (size_t)info.n_bytes, &r);
    mend(bytes, (size_t)info.n_bytes);
    EXPECT(covertree_file_copy(bytes, info.n_bytes, COVERTREE_OPEN_VERIFY, NULL, &crafted) == COVERTREE_OK);
    counts[useFile(crafted, store, &r)]++;
    covertree_file_free(crafted);
  }
  free(bytes);
  covertree_file_free(file);
}

int main(int argc, char **argv) {
  int changes = argc > 1 ? atoi(argv[1]) : 400, counts[2] = {0, 0}, n_files = 0;
  uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
  covertree_store *store = smallStore();
  covertree_file *files[32];
  EXPECT(covertree_set_num_threads(1) == COVERTREE_OK);
  for (int i = 0; i < N; i++)
    for (int d = 0; d < DIM; d++) {
      wide[i][d] = i % 9 > 0 && i % 3 == 0 ? wide[i / 9 * 9][d] : 4 * uniform() - 2;
      narrow[i][d] = (float)wide[i][d];
    }

  for (int i = 0; i < 4; i++) files[n_files++] = aTree(i & 1, i & 2);
  files[n_files++] = aModel(0), files[n_files++] = aModel(5);
  files[n_files++] = anIndex((covertree_index_options){.kind = COVERTREE_INDEX_BRUTE_FORCE, .storage = COVERTREE_STORAGE_I8});
  files[n_files++] = anIndex((covertree_index_options){.kind = COVERTREE_INDEX_KD_TREE, .leaf_size = 8});
  files[n_files++] = anIndex((covertree_index_options){.kind = COVERTREE_INDEX_LSH});
  files[n_files++] = anIndex((covertree_index_options){.kind = COVERTREE_INDEX_LSH, .lsh_mode = COVERTREE_LSH_TABLES});
  files[n_files++] = anIndex((covertree_index_options){.kind = COVERTREE_INDEX_HNSW});
  files[n_files++] = anIndex((covertree_index_options){.kind = COVERTREE_INDEX_HNSW, .metric = COVERTREE_METRIC_COSINE,
                                                       .storage = COVERTREE_STORAGE_I8, .flags = COVERTREE_INDEX_RERANK});
  files[n_files++] = anIndexOver(store, (covertree_index_options){.kind = COVERTREE_INDEX_KD_TREE});
  files[n_files++] = anIndexOver(store, (covertree_index_options){.kind = COVERTREE_INDEX_HNSW, .metric = COVERTREE_METRIC_COSINE});

  for (int file = 0; file < n_files && failures == 0; file++) {
    int own[2] = {0, 0};
    changeFile(files[file], store, changes, seed + (uint64_t)file, own);
    if (argc > 1) printf("file %d: %d refused, %d used\n", file, own[0], own[1]);
    counts[0] += own[0], counts[1] += own[1];
  }
  covertree_store_free(store);
  EXPECT(counts[0] > changes && counts[1] > changes);
  printf("C, crafted files: %s\n", failures == 0 ? "passed" : "FAILED");
  return failures != 0;
}
