/* The vector store through the C ABI: every function, every status that can be provoked. */
#define _GNU_SOURCE
#include <covertree.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "expect.h"

enum { N = 300, DIM = 9 };

static float vectors[N][DIM];
static covertree_id ids[N];

static void fill(void) {
  for (int i = 0; i < N; i++) {
    /* Every third vector equals the vector before it. */
    for (int d = 0; d < DIM; d++) vectors[i][d] = i % 3 == 2 ? vectors[i - 1][d] : (float)(2 * uniform() - 1);
    memset(&ids[i], 0, sizeof ids[i]);
    ids[i].kind = i % 2 ? COVERTREE_ID_UUID : COVERTREE_ID_NUMBER;
    ids[i].high = i % 2 ? 77 : 0;
    ids[i].low = (uint64_t)i;
  }
}

/* A store has the vectors that were added, except the first `n_gone` ids. */
static void compare(covertree_store *store, int n_gone) {
  int64_t slots[N], listed_slots[N], cursor = 0, total = 0, written = 0, row_bytes = 0, owners = 0;
  covertree_id listed[N];
  covertree_store_rows *rows = NULL;
  const float *base = NULL;
  EXPECT(covertree_store_find(store, ids, N, slots) == COVERTREE_OK);
  EXPECT(covertree_store_rows_get(store, &rows, &base, &row_bytes) == COVERTREE_OK);
  EXPECT(row_bytes == 64 && (uintptr_t)base % 64 == 0);
  for (int i = 0; i < N; i++) {
    EXPECT((slots[i] >= 0) == (i >= n_gone));
    if (slots[i] < 0) continue;
    EXPECT(memcmp(base + slots[i] * row_bytes / 4, vectors[i], sizeof vectors[i]) == 0);
    EXPECT(covertree_store_slot_count(store, slots[i], &owners) == COVERTREE_OK && owners >= 1);
    if (i % 3 == 2 && i - 1 >= n_gone) EXPECT(slots[i] == slots[i - 1] && owners == 2);
  }
  do {
    EXPECT(covertree_store_list(store, &cursor, 70, listed, listed_slots, &written) == COVERTREE_OK);
    for (int i = 0; i < written; i++) EXPECT(listed_slots[i] == slots[listed[i].low]);
    total += written;
  } while (written);
  EXPECT(total == N - n_gone);
  covertree_store_rows_free(rows);
}

static void change(covertree_store *store) {
  int64_t slots[N], slot = -1;
  covertree_store_info info;
  float strange[DIM] = {1, 2, 3};
  covertree_id one = {5000, 0, COVERTREE_ID_NUMBER, 0}, odd = {5000, 0, 9, 0};
  strange[4] = 1.0f / 0.0f;
  EXPECT(covertree_store_add(store, ids, NULL, NULL, F32(vectors[0], N, DIM, 0), NULL, slots) == COVERTREE_OK);
  compare(store, 0);
  EXPECT(covertree_store_add(store, ids, NULL, NULL, F32(vectors[0], 1, DIM, 0), NULL, slots) == COVERTREE_EXISTS);
  EXPECT(covertree_store_add(store, ids, NULL, NULL, F32(vectors[0], N, DIM - 1, 0), NULL, slots) == COVERTREE_SHAPE);
  EXPECT(covertree_store_add_one(store, &one, strange) == -COVERTREE_INVALID_ARGUMENT);
  EXPECT(strstr(covertree_last_error(), "vectors[0, 4]") != NULL);
  EXPECT(covertree_store_add_one(store, NULL, vectors[0]) == -COVERTREE_INVALID_ARGUMENT);
  EXPECT(covertree_store_find_one(store, NULL) == -COVERTREE_INVALID_ARGUMENT);
  EXPECT(covertree_store_add_one(store, &odd, vectors[0]) == -COVERTREE_INVALID_ARGUMENT);
  EXPECT(covertree_store_add_one(store, &one, vectors[0]) == slots[0]);
  EXPECT(covertree_store_add_one(store, &one, vectors[0]) == -COVERTREE_EXISTS);
  EXPECT(covertree_store_remove(store, ids, 30, NULL) == COVERTREE_OK);
  EXPECT(covertree_store_remove(store, ids + 25, 30, NULL) == COVERTREE_NOT_FOUND);
  EXPECT(covertree_store_find_one(store, &one) == slots[0]);
  EXPECT(covertree_store_remove(store, &one, 1, NULL) == COVERTREE_OK);
  EXPECT(covertree_store_find_one(store, &one) == -1);
  compare(store, 30);
  EXPECT(covertree_store_get_info(store, &info) == COVERTREE_OK);
  EXPECT(info.n_ids == N - 30 && info.n_unique == 180 && info.n_slots == 200 && info.n_free == 20 && info.dim == DIM);
  EXPECT(covertree_store_slot_count(store, 200, &slot) == COVERTREE_NOT_FOUND);
  const int64_t used[2] = {slots[100], slots[30]}, with_free[2] = {slots[100], slots[0]}, wrong[2] = {slots[100], 200};
  EXPECT(covertree_store_check_slots(store, used, 2) == COVERTREE_OK);
  EXPECT(covertree_store_check_slots(store, NULL, 0) == COVERTREE_OK);
  EXPECT(covertree_store_check_slots(store, NULL, 1) == COVERTREE_INVALID_ARGUMENT);
  EXPECT(covertree_store_check_slots(NULL, used, 2) == COVERTREE_INVALID_ARGUMENT);
  EXPECT(covertree_store_check_slots(store, with_free, 2) == COVERTREE_NOT_FOUND);
  EXPECT(strstr(covertree_last_error(), "slots[1]") != NULL);
  EXPECT(covertree_store_check_slots(store, wrong, 2) == COVERTREE_NOT_FOUND);
  EXPECT(covertree_store_check(store, NULL) == COVERTREE_OK);
  EXPECT(covertree_store_compact(store, NULL) == COVERTREE_OK);
  compare(store, 30);
}

static void names(covertree_store *store) {
  covertree_id id = {1, 2, COVERTREE_ID_NAME, 0};
  int64_t end = 5, slot = -1, length = 0;
  char name[16] = {0};
  EXPECT(covertree_store_add(store, &id, "alpha", &end, F32(vectors[0], 1, DIM, 0), NULL, &slot) == COVERTREE_OK);
  EXPECT(covertree_store_name(store, &id, NULL, 0, &length) == COVERTREE_OK && length == 5);
  EXPECT(covertree_store_name(store, &id, name, 4, &length) == COVERTREE_INVALID_ARGUMENT);
  EXPECT(covertree_store_name(store, &id, name, sizeof name, &length) == COVERTREE_OK && strcmp(name, "alpha") == 0);
  EXPECT(covertree_store_name(store, &ids[0], NULL, 0, &length) == COVERTREE_NOT_FOUND);
  EXPECT(covertree_store_remove(store, &id, 1, NULL) == COVERTREE_OK);
  EXPECT(covertree_store_name(store, &id, NULL, 0, &length) == COVERTREE_NOT_FOUND);
  EXPECT(covertree_store_add(store, &id, "a\0\0b", (end = 4, &end), F32(vectors[0], 1, DIM, 0), NULL, &slot) == COVERTREE_OK);
  EXPECT(covertree_store_name(store, &id, name, sizeof name, &length) == COVERTREE_OK && length == 4);
  EXPECT(memcmp(name, "a\0\0b", 4) == 0);
  EXPECT(covertree_store_remove(store, &id, 1, NULL) == COVERTREE_OK);
}

/* An index over a store reads rows in place, and pins their slots. */
static void pin(covertree_store *store, const char *folder) {
  covertree_index *index = NULL, *own = NULL, *loaded = NULL;
  covertree_file *file = NULL;
  covertree_index_options options;
  int64_t slots[3], found[3], wrong[2] = {0, 5000}, first = -1, slot = -1;
  covertree_id gone[2] = {ids[100], ids[101]};
  float vector[DIM];
  char path[512];
  snprintf(path, sizeof path, "%s/index.ct", folder);
  EXPECT(covertree_store_find(store, ids + 100, 3, slots) == COVERTREE_OK);
  EXPECT(covertree_index_create(0, (covertree_store *)slots, NULL, &index) == COVERTREE_INVALID_ARGUMENT);
  EXPECT(covertree_index_create(0, store, NULL, NULL) == COVERTREE_INVALID_ARGUMENT);
  covertree_index_options_init(&options);
  options.kind = COVERTREE_INDEX_KD_TREE;
  options.metric = COVERTREE_METRIC_COSINE;
  EXPECT(covertree_index_create(0, store, &options, &index) == COVERTREE_INVALID_ARGUMENT);
  EXPECT(covertree_index_create(0, store, NULL, &index) == COVERTREE_OK);
  EXPECT(covertree_index_add(index, NULL, I64(slots, 3), NULL, &first) == COVERTREE_OK && first == 0);
  EXPECT(covertree_index_add(index, NULL, I64(wrong, 2), NULL, NULL) == COVERTREE_NOT_FOUND);
  EXPECT(covertree_index_add(index, wrong, I64(slots, 1), NULL, NULL) == COVERTREE_EXISTS);
  EXPECT(covertree_index_add(index, NULL, F32(vectors[0], 1, DIM, 0), NULL, NULL) == COVERTREE_UNSUPPORTED);
  EXPECT(covertree_index_update(index, wrong + 1, I64(slots, 1), NULL) == COVERTREE_NOT_FOUND);
  EXPECT(covertree_store_remove(store, gone, 2, NULL) == COVERTREE_OK);
  slot = covertree_store_add_one(store, &gone[0], vectors[0]);
  EXPECT(slot >= 0 && slot != slots[0]);
  EXPECT(covertree_store_remove(store, &gone[0], 1, NULL) == COVERTREE_OK);
  EXPECT(covertree_index_search(index, F32(vectors[100], 1, DIM, 0), 3, NULL, found, NULL) == COVERTREE_OK && found[0] == 0);
  EXPECT(covertree_index_get(index, found, 1, vector) == COVERTREE_OK);
  EXPECT(memcmp(vector, vectors[100], sizeof vector) == 0);
  EXPECT(covertree_index_create(DIM, NULL, NULL, &own) == COVERTREE_OK);
  EXPECT(covertree_index_add(own, NULL, I64(slots, 3), NULL, NULL) == COVERTREE_UNSUPPORTED);
  covertree_index_free(own);
  EXPECT(covertree_store_add(store, gone, NULL, NULL, F32(vectors[100], 2, DIM, 0), NULL, wrong) == COVERTREE_OK);
  EXPECT(covertree_index_update(index, found, I64(wrong, 1), NULL) == COVERTREE_OK);
  EXPECT(covertree_index_save(index, path, NULL, 0, NULL) == COVERTREE_OK);
  EXPECT(covertree_file_open(path, 0, NULL, &file) == COVERTREE_OK);
  EXPECT(covertree_index_load(file, NULL, NULL, &loaded) == COVERTREE_INVALID_ARGUMENT);
  EXPECT(covertree_index_load(file, store, NULL, &loaded) == COVERTREE_NOT_FOUND);  /* slots[1] is free */
  covertree_file_free(file);
  found[0] = 1;
  EXPECT(covertree_index_remove(index, found, 1, NULL) == COVERTREE_OK);
  EXPECT(covertree_index_save(index, path, NULL, 0, NULL) == COVERTREE_OK);
  EXPECT(covertree_file_open(path, 0, NULL, &file) == COVERTREE_OK);
  EXPECT(covertree_index_load(file, store, NULL, &loaded) == COVERTREE_OK);
  EXPECT(covertree_index_search(loaded, F32(vectors[102], 1, DIM, 0), 1, NULL, found, NULL) == COVERTREE_OK && found[0] == 2);
  covertree_file_free(file);
  covertree_index_free(loaded);
  covertree_index_free(index);
}

static void durable(const char *folder) {
  char path[512], copy[512], restored[512];
  covertree_store *store = NULL, *other = NULL;
  snprintf(path, sizeof path, "%s/store", folder);
  snprintf(copy, sizeof copy, "%s/copy", folder);
  snprintf(restored, sizeof restored, "%s/restored", folder);
  EXPECT(covertree_store_open(path, 0, COVERTREE_SYNC_FULL, 0, NULL, &store) == COVERTREE_INVALID_ARGUMENT);
  EXPECT(covertree_store_open(path, DIM, COVERTREE_SYNC_FULL, COVERTREE_STORE_READ_ONLY, NULL, &store) == COVERTREE_IO);
  EXPECT(covertree_store_open(path, DIM, 7, 0, NULL, &store) == COVERTREE_INVALID_ARGUMENT);
  EXPECT(covertree_store_open(path, DIM, COVERTREE_SYNC_FULL, 8, NULL, &store) == COVERTREE_UNSUPPORTED);
  EXPECT(covertree_store_open(path, DIM, COVERTREE_SYNC_FULL, 0, NULL, &store) == COVERTREE_OK);
  EXPECT(covertree_store_open(path, DIM, COVERTREE_SYNC_FULL, 0, NULL, &other) == COVERTREE_BUSY);
  change(store);
  names(store);
  pin(store, folder);
  EXPECT(covertree_store_open(path, 0, COVERTREE_SYNC_OFF, COVERTREE_STORE_READ_ONLY, NULL, &other) == COVERTREE_OK);
  compare(other, 30);
  EXPECT(covertree_store_remove(other, ids + 40, 1, NULL) == COVERTREE_UNSUPPORTED);
  EXPECT(covertree_store_compact(store, NULL) == COVERTREE_BUSY);
  covertree_store_free(other);
  EXPECT(covertree_store_snapshot(store, copy, NULL) == COVERTREE_OK);
  EXPECT(covertree_store_snapshot(store, copy, NULL) == COVERTREE_EXISTS);
  covertree_store_free(store);
  EXPECT(covertree_store_open(path, DIM + 1, COVERTREE_SYNC_FULL, 0, NULL, &store) == COVERTREE_SHAPE);
  EXPECT(covertree_store_restore(copy, restored, NULL) == COVERTREE_OK);
  covertree_call_options options;
  covertree_call_options_init(&options);
  options.struct_size = 1;
  EXPECT(covertree_store_open(restored, DIM, COVERTREE_SYNC_NORMAL, 0, &options, &store) == COVERTREE_INVALID_ARGUMENT);
  covertree_call_options_init(&options);
  EXPECT(covertree_store_open(restored, DIM, COVERTREE_SYNC_NORMAL, 0, &options, &store) == COVERTREE_OK);
  compare(store, 30);
  EXPECT(covertree_store_check(store, NULL) == COVERTREE_OK);
  covertree_store_free(store);
  EXPECT(covertree_store_check(store, NULL) == COVERTREE_INVALID_ARGUMENT);
}

int main(void) {
  char folder[] = "/tmp/covertree-store-XXXXXX", command[64];
  covertree_store *store = NULL;
  EXPECT(mkdtemp(folder) != NULL);
  fill();
  EXPECT(covertree_store_create(0, &store) == COVERTREE_INVALID_ARGUMENT);
  EXPECT(covertree_store_create(DIM, NULL) == COVERTREE_INVALID_ARGUMENT);
  EXPECT(covertree_store_create(DIM, &store) == COVERTREE_OK);
  change(store);
  names(store);
  pin(store, folder);
  covertree_store_free(store);
  covertree_store_free(NULL);
  durable(folder);
  snprintf(command, sizeof command, "rm -rf %s", folder);
  EXPECT(system(command) == 0);
  if (failures == 0) puts("C, store: passed");
  return failures != 0;
}
