/* Calls on indexes and stores. */
#ifndef COVERTREE_FUZZ_VECTORS
#define COVERTREE_FUZZ_VECTORS

#include "world.h"

static void createIndex(Stream *s) {
  covertree_index_options o;
  covertree_index_options_init(&o);
  o.kind = oneIn(s, 40) ? (int32_t)word(s) : below(s, 4);
  o.metric = oneIn(s, 40) ? (int32_t)word(s) : below(s, 4);
  o.storage = oneIn(s, 40) ? (int32_t)word(s) : below(s, 3);
  o.flags = (uint32_t)oneIn(s, 3);
  o.leaf_size = below(s, 40), o.split = below(s, 3), o.lsh_mode = below(s, 2);
  o.n_bits = o.lsh_mode == 1 ? below(s, 8) : below(s, 130), o.n_tables = below(s, 4), o.n_probes = below(s, 6);
  o.n_candidates = below(s, 30), o.m = below(s, 8), o.ef_construction = below(s, 30), o.ef_search = below(s, 30);
  if (oneIn(s, 20)) o.m = -1, o.n_bits = -1;
  o.seed = byte(s);
  covertree_index_options *options = given(s, &o, sizeof o);
  covertree_index *index = NULL;
  covertree_store *store = oneIn(s, 3) ? handle(s, STORE) : NULL;
  if (ok(covertree_index_create(oneIn(s, 20) ? size(s, 9) : world.dim, store, options, &index))) keep(s, INDEX, index);
  free(options);
}

static void changeIndex(Stream *s) {
  void *index = handle(s, INDEX);
  Rows r = rows(s, 30, world.dim, 4);
  int64_t *ids = oneIn(s, 2) ? NULL : indices(s, r.rows < 1000 ? r.rows : 0), *slots = indices(s, r.rows < 1000 ? r.rows : 0), first;
  covertree_call_options *o = callOptions(s);
  switch (below(s, 10)) {
    case 0: case 1: case 2: ok(covertree_index_add(index, ids, &r.matrix, o, &first)); break;
    case 3: ok(covertree_index_update(index, ids, &r.matrix, o)); break;
    case 4: ok(covertree_index_add(index, ids, I64(slots, r.rows), o, oneIn(s, 2) ? NULL : &first)); break;
    case 5: ok(covertree_index_update(index, ids, I64(slots, r.rows), o)); break;
    case 6: ok(covertree_index_remove(index, ids, r.rows, o)); break;
    case 7: ok(covertree_index_rebuild(index, o)); break;
    case 8: ok(covertree_index_optimize(index, o)); break;
    case 9: if (oneIn(s, 4)) ok(covertree_index_clear(index));
  }
  free(o), free(slots), free(ids), free(r.base);
}

static void searchIndex(Stream *s) {
  void *index = handle(s, INDEX);
  Rows r = rows(s, 8, world.dim, 4);
  int64_t k = neighbors(s), *lists = memory(cells(r.rows, k), 8), nFilter = below(s, 12);
  float *distances = memory(cells(r.rows, k), 4);
  covertree_index_search_options o;
  covertree_index_search_options_init(&o);
  int64_t *filter = indices(s, nFilter);
  o.n_threads = threads(s);
  o.filter_kind = oneIn(s, 30) ? (int32_t)word(s) : below(s, 3);
  o.filter = filter, o.n_filter = oneIn(s, 30) ? -1 : nFilter;
  o.ef_search = below(s, 30), o.n_probes = below(s, 8), o.n_candidates = oneIn(s, 30) ? -1 : below(s, 30);
  if (oneIn(s, 4)) o.progress = progress, o.progress_user_data = &world;
  covertree_index_search_options *options = given(s, &o, sizeof o);
  covertree_neighbors *found = NULL;
  if (oneIn(s, 4)) {
    if (ok(covertree_index_radius(index, &r.matrix, number(s), options, &found))) keep(s, NEIGHBORS, found);
  } else ok(covertree_index_search(index, &r.matrix, k, options, lists,
                                   oneIn(s, 8) ? NULL : distances));
  free(options), free(filter), free(distances), free(lists), free(r.base);
}

static void lookAtIndex(Stream *s) {
  void *index = handle(s, INDEX);
  covertree_index_info info;
  if (!ok(covertree_index_get_info(index, &info))) return;
  int64_t n = below(s, 6), *ids = indices(s, n), *all = memory(info.n_vectors, 8);
  float *vectors = memory(n * info.dim, 4);
  uint8_t *found = memory(n, 1);
  ok(covertree_index_get(index, ids, n, vectors));
  ok(covertree_index_contains(index, ids, n, found));
  if (ok(covertree_index_ids(index, all, info.n_vectors)) && info.n_vectors > 0) {
    uint8_t there;
    REQUIRE(covertree_index_contains(index, all, 1, &there) == COVERTREE_OK && there == 1);
  }
  ok(covertree_index_ids(index, all, -1));
  free(found), free(vectors), free(all), free(ids);
}

static covertree_id *storeIds(Stream *s, int64_t n) {
  covertree_id *ids = memory(n, sizeof *ids);
  for (int64_t i = 0; i < n && n < 1000; i++) {
    ids[i] = (covertree_id){byte(s) % 64, 0, 1 + (uint32_t)below(s, 3), 0};
    if (ids[i].kind != COVERTREE_ID_NUMBER) ids[i].high = byte(s) % 4;
    if (oneIn(s, 60)) ids[i].kind = (uint32_t)word(s);
    if (oneIn(s, 60)) ids[i].reserved = 1;
  }
  return ids;
}

static void changeStore(Stream *s) {
  void *store = handle(s, STORE);
  Rows r = rows(s, 20, world.dim, 4);
  int64_t count = r.rows > 0 && r.rows < 1000 ? r.rows : 0, *slots = memory(count, 8), *ends = memory(count, 8);
  covertree_id *ids = storeIds(s, count);
  int named = oneIn(s, 4);
  if (named) for (int64_t i = 0; i < count; i++) ids[i].kind = COVERTREE_ID_NAME;
  char *names = memory(4 * count, 1);
  for (int64_t i = 0; i < count; i++) {
    memset(names + 4 * i, 'a' + (int)(i % 26), 4);
    ends[i] = oneIn(s, 80) ? -1 : 4 * (i + 1);
  }
  covertree_call_options *o = callOptions(s);
  covertree_store_info info;
  switch (below(s, 6)) {
    case 0: case 1:
      ok(covertree_store_add(store, ids, named ? names : NULL, named ? ends : NULL,
                             &r.matrix, o, slots));
      break;
    case 2:
      if (covertree_store_get_info(store, &info) == COVERTREE_OK && count > 0) {
        float *vector = memory(info.dim, 4);
        for (int64_t d = 0; d < info.dim; d++) vector[d] = (float)number(s);
        int64_t slot = covertree_store_add_one(store, oneIn(s, 30) ? NULL : ids, vector);
        REQUIRE(slot >= 0 || known((covertree_status)-slot));
        free(vector);
      }
      break;
    case 3: ok(covertree_store_remove(store, ids, r.rows < 1000 ? r.rows : -1, o)); break;
    case 4: ok(covertree_store_compact(store, o)); break;
    case 5: ok(covertree_store_check(store, o));
  }
  free(o), free(names), free(ids), free(ends), free(slots), free(r.base);
}

static void lookAtStore(Stream *s) {
  void *store = handle(s, STORE);
  int64_t n = below(s, 6), *slots = memory(n, 8), cursor = oneIn(s, 20) ? (int64_t)word(s) : 0, written, length, count;
  covertree_id *ids = storeIds(s, n + 1);
  char name[8];
  covertree_store_info info;
  ok(covertree_store_get_info(store, &info));
  ok(covertree_store_find(store, ids, n, slots));
  int64_t slot = covertree_store_find_one(store, ids);
  REQUIRE(slot >= -1 || known((covertree_status)-slot));
  ok(covertree_store_slot_count(store, oneIn(s, 10) ? (int64_t)word(s) : byte(s) % 30, &count));
  ok(covertree_store_check_slots(store, slots, oneIn(s, 10) ? -1 : n));
  ok(covertree_store_list(store, &cursor, oneIn(s, 30) ? -1 : n, ids, slots, &written));
  ok(covertree_store_name(store, ids, oneIn(s, 3) ? NULL : name, oneIn(s, 20) ? -1 : below(s, 9), &length));
  covertree_store_rows *view = NULL;
  const float *base;
  int64_t rowBytes;
  if (ok(covertree_store_rows_get(store, &view, &base, &rowBytes))) {
    REQUIRE(rowBytes % 64 == 0);
    keep(s, STORE_ROWS, view);
  }
  free(ids), free(slots);
}

static void createStore(Stream *s) {
  covertree_store *store = NULL;
  if (ok(covertree_store_create(oneIn(s, 20) ? size(s, 9) : world.dim, &store))) keep(s, STORE, store);
}

/* On disk, which is hundreds of times slower than all the rest. */
static void durableStore(Stream *s) {
  if (!oneIn(s, 128)) return;
  covertree_store *store = NULL;
  covertree_call_options *o = callOptions(s);
  char folder[96], copy[96], command[256];
  snprintf(folder, sizeof folder, "%s/store", world.folder);
  snprintf(copy, sizeof copy, "%s/copy", world.folder);
  if (ok(covertree_store_open(folder, world.dim, oneIn(s, 20) ? 7 : below(s, 3), (uint32_t)oneIn(s, 6), NULL, &store))) {
    keep(s, STORE, store);
    changeStore(s);
    ok(covertree_store_snapshot(handle(s, STORE), copy, o));
    ok(covertree_store_restore(copy, path(s), o));
  }
  snprintf(command, sizeof command, "rm -rf %s/*", world.folder);
  if (oneIn(s, 2)) REQUIRE(system(command) == 0);
  free(o);
}

#endif
