/* Files that were changed: the input is one, and is opened as each of the kinds, searched, checked, exported and extended.
 * Checksums are mended where the input's last byte is even, else nothing behind them would ever be reached. A file may say what it
 * likes: calls must end with a status. */
#include "fuzz.h"

static uint32_t table[256];

static uint32_t crc(uint32_t before, const uint8_t *bytes, size_t count) {
  uint32_t c = ~before;
  for (size_t i = 0; i < count; i++) c = table[(c ^ bytes[i]) & 255] ^ c >> 8;
  return ~c;
}

/* Makes size, sections and table agree with their checksums; sections of up to 1 MiB have one piece. */
static void mend(uint8_t *file, size_t count) {
  uint32_t sections;
  uint64_t size = count;
  if (count < 64) return;
  memcpy(&sections, file + 20, 4);
  if (sections > 64 || 64 + 64 * (size_t)sections > count) return;
  memcpy(file + 24, &size, 8);
  for (uint32_t i = 0; i < sections; i++) {
    static const uint64_t sizes[] = {0, 4, 8, 4, 8, 1};
    uint8_t *entry = file + 64 + 64 * i;
    uint32_t dtype, sum;
    uint64_t offset, rows, columns;
    memcpy(&dtype, entry + 24, 4), memcpy(&offset, entry + 32, 8), memcpy(&rows, entry + 40, 8), memcpy(&columns, entry + 48, 8);
    if (dtype < 1 || dtype > 5 || rows > count || columns > count || offset > count) continue;
    uint64_t bytes = rows * columns * sizes[dtype];
    if (bytes > count - offset) continue;
    if (memcmp(entry, "settings", 8) == 0 && bytes >= 16) {
      /* A tree may say that it had many more points: the memory that takes is known (SECURITY.md), and not looked for here. */
      uint64_t next;
      memcpy(&next, file + offset + 8, 8);
      if (next >> 20 != 0 && next >> 31 == 0) memset(file + offset + 10, 0, 6);
    }
    sum = crc(0, file + offset, bytes);
    uint8_t piece[4] = {(uint8_t)sum, (uint8_t)(sum >> 8), (uint8_t)(sum >> 16), (uint8_t)(sum >> 24)};
    sum = bytes == 0 ? 0 : crc(0, piece, 4);
    memcpy(entry + 28, &sum, 4);
  }
  uint32_t sum = crc(crc(0, file, 60), file + 64, 64 * (size_t)sections);
  memcpy(file + 60, &sum, 4);
}

static void useTree(covertree_file *file) {
  covertree_tree *tree = NULL;
  if (covertree_tree_load(file, &tree) != COVERTREE_OK) return;
  covertree_tree_info info;
  if (covertree_tree_get_info(tree, &info) == COVERTREE_OK && info.dim <= 64 && info.n_points < 4096) {
    int64_t lists[3 * 5];
    double point[64 * 3] = {0.5, -1, 2, 0.25}, distances[3 * 5];
    int64_t *all = memory(info.n_points * 4, 8), first, gone = 1;
    covertree_neighbors *found = NULL;
    covertree_arrays *arrays = NULL;
    int narrow = info.dtype == COVERTREE_DTYPE_F32;
    if (narrow) covertree_tree_knn_f32(tree, (float *)point, 3, info.dim, 0, 5, NULL, lists, (float *)distances);
    else covertree_tree_knn_f64(tree, point, 3, info.dim, 0, 5, NULL, lists, distances);
    if (narrow) covertree_tree_knn_rows_f32(tree, NULL, info.n_points, 4, NULL, all, NULL);
    else covertree_tree_knn_rows_f64(tree, NULL, info.n_points, 4, NULL, all, NULL);
    if (covertree_tree_radius_rows(tree, &gone, 1, 0.5, NULL, &found) == COVERTREE_OK) covertree_neighbors_free(found);
    covertree_tree_validate(tree, NULL);
    if (covertree_tree_export(tree, &arrays) == COVERTREE_OK) covertree_arrays_free(arrays);
    if (narrow) covertree_tree_insert_f32(tree, (float *)point, 3, info.dim, 0, NULL, &first);
    else covertree_tree_insert_f64(tree, point, 3, info.dim, 0, NULL, &first);
    covertree_tree_remove(tree, &gone, 1, NULL);
    covertree_file *copy = NULL;
    if (covertree_tree_encode(tree, NULL, 0, NULL, &copy) == COVERTREE_OK) covertree_file_free(copy);
    free(all);
  }
  covertree_tree_free(tree);
}

static void useResidual(covertree_file *file) {
  covertree_residual *model = NULL, *other = NULL;
  if (covertree_residual_load(file, NULL, &model) != COVERTREE_OK) return;
  covertree_residual_info info;
  if (covertree_residual_get_info(model, &info) == COVERTREE_OK && info.dim <= 64 && info.n_points < 4096 && info.n_features < 256) {
    double point[64 * 2] = {0.5, -1, 2, 0.25}, distances[2 * 5];
    int64_t lists[2 * 5], *all = memory(info.n_points * 4, 8);
    covertree_residual_arrays *arrays = NULL;
    covertree_arrays *tree = NULL;
    covertree_residual_knn_rows(model, NULL, info.n_points, 4, NULL, all, NULL);
    covertree_residual_knn(model, point, 2, info.dim, 0, 5, NULL, lists, distances);
    if (covertree_residual_extend(model, point, 2, info.dim, 0, NULL, &other) == COVERTREE_OK) covertree_residual_free(other);
    if (covertree_residual_export(model, NULL, &arrays) == COVERTREE_OK) covertree_residual_arrays_free(arrays);
    if (covertree_residual_build_tree(model, NULL, &tree) == COVERTREE_OK) covertree_arrays_free(tree);
    free(all);
  }
  covertree_residual_free(model);
}

static void useIndex(covertree_file *file) {
  covertree_index *index = NULL;
  if (covertree_index_load(file, &index) != COVERTREE_OK) return;
  covertree_index_info info;
  if (covertree_index_get_info(index, &info) == COVERTREE_OK && info.dim <= 64) {
    float vector[64 * 2] = {0.5f, -1, 2, 0.25f}, distances[2 * 5];
    int64_t ids[2 * 5], first;
    covertree_index_search(index, vector, 2, info.dim, 0, 5, NULL, ids, distances);
    covertree_index_add(index, NULL, vector, 2, info.dim, 0, NULL, &first);
    covertree_index_remove(index, ids, 1, NULL);
    covertree_index_search(index, vector, 2, info.dim, 0, 5, NULL, ids, distances);
    covertree_index_rebuild(index, NULL);
  }
  covertree_index_free(index);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc, (void)argv;
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t c = i;
    for (int bit = 0; bit < 8; bit++) c = c >> 1 ^ (c & 1 ? 0x82F63B78 : 0);
    table[i] = c;
  }
  return covertree_set_num_threads(1);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
  if (count == 0) return 0;
  uint8_t choice = bytes[--count];
  uint8_t *file = malloc(count);
  REQUIRE(file != NULL || count == 0);
  memcpy(file, bytes, count);
  if (choice % 2 == 0) mend(file, count);
  covertree_file *opened = NULL;
  if (covertree_file_copy(file, (int64_t)count, choice % 4 / 2 * COVERTREE_OPEN_VERIFY, NULL, &opened) == COVERTREE_OK) {
    covertree_file_info info;
    covertree_section section;
    REQUIRE(covertree_file_get_info(opened, &info) == COVERTREE_OK);
    for (int64_t i = 0; i < info.n_sections; i++) covertree_file_get_section(opened, i, &section);
    useTree(opened);
    useResidual(opened);
    useIndex(opened);
    covertree_file_free(opened);
  }
  free(file);
  return 0;
}
