/* Memory that is refused while a store, a tree or a model changes: a change that fails has changed nothing, and what there is goes on
 * being used. After every refusal it is compared with a model. Those of indexes are in test_memory_indexes.c. */
#define _GNU_SOURCE
#include "refuse.h"

#include <math.h>

enum { dim = 3, most = 40000, usual = 300, n_queries = 10, k = 6, batch = 90 };

/* Vectors by id, or by dataset index. */
static double points[most][dim];
static float narrow[most][dim];
static uint8_t there[most];
static int64_t count, fresh;

static int64_t ids[batch], n_given;

static void begin(void) { memset(there, 0, sizeof there), count = fresh = 0; }
static long pause_refusals(void) { return atomic_exchange(&left, -1); }
static void resume_refusals(long armed) { atomic_store(&left, armed); }

/* New points under the next ids; some are equal to others. */
static void draw_new(int64_t n) {
  EXPECT(fresh + n <= most);
  for (int64_t i = 0; i < n; i++) {
    int64_t id = fresh + i, other = (int64_t)(uniform() * (double)(fresh + 1));
    ids[i] = id;
    for (int d = 0; d < dim; d++) narrow[id][d] = other < fresh && i % 3 == 0 ? narrow[other][d] : (float)uniform();
    for (int d = 0; d < dim; d++) points[id][d] = (double)narrow[id][d];
  }
  n_given = n;
}
static void draw_known(int64_t n) {
  n_given = n < count ? n : count;
  int64_t id = (int64_t)(uniform() * (double)fresh);
  for (int64_t i = 0; i < n_given; id = (id + 1) % fresh)
    if (there[id]) ids[i++] = id;
}
static void note_added(void) {
  for (int64_t i = 0; i < n_given; i++) there[ids[i]] = 1;
  count += n_given, fresh += n_given;
}
static void note_removed(void) {
  for (int64_t i = 0; i < n_given; i++) there[ids[i]] = 0;
  count -= n_given;
}

/* ---- Stores ---- */

static covertree_store *store;
static covertree_id named[batch];

static const covertree_id *names(void) {
  for (int64_t i = 0; i < n_given; i++) named[i] = (covertree_id){(uint64_t)ids[i], 0, COVERTREE_ID_NUMBER, 0};
  return named;
}
static covertree_status store_add(void) {
  int64_t slots[batch];
  return covertree_store_add(store, named, NULL, NULL, F32(narrow[ids[0]], n_given, dim, 0), NULL, slots);
}
static covertree_status store_add_one(void) {
  int64_t slot = covertree_store_add_one(store, named, narrow[ids[0]]);
  return slot < 0 ? (covertree_status)-slot : COVERTREE_OK;
}
static covertree_status store_remove(void) { return covertree_store_remove(store, named, n_given, NULL); }

static void compare_store(void) {
  covertree_store_info info;
  EXPECT(covertree_store_get_info(store, &info) == COVERTREE_OK && info.n_ids == count);
  EXPECT(covertree_store_check(store, NULL) == COVERTREE_OK);
  covertree_store_rows *rows = NULL;
  const float *base;
  int64_t row_bytes, listed = 0;
  EXPECT(covertree_store_rows_get(store, &rows, &base, &row_bytes) == COVERTREE_OK);
  for (int64_t id = 0; id < fresh; id++) {
    covertree_id wanted = {(uint64_t)id, 0, COVERTREE_ID_NUMBER, 0};
    int64_t slot = covertree_store_find_one(store, &wanted);
    EXPECT((slot >= 0) == there[id]);
    if (slot < 0) continue;
    EXPECT(memcmp((const char *)base + slot * row_bytes, narrow[id], sizeof narrow[0]) == 0);
    listed++;
  }
  EXPECT(listed == count);
  covertree_store_rows_free(rows);
}
static void fill_store(void) {
  while (count < usual) {
    draw_new(usual - count < batch ? usual - count : batch), names();
    EXPECT(store_add() == COVERTREE_OK);
    note_added();
  }
}
static void check_store(void) {
  compare_store();
  draw_new(3), names();
  EXPECT(store_add() == COVERTREE_OK);
  note_added();
  draw_known(4), names();
  EXPECT(store_remove() == COVERTREE_OK);
  note_removed();
  compare_store();
  fill_store();
}

static covertree_status call_store_add(void) {
  long armed = pause_refusals();
  draw_new(batch), names();
  resume_refusals(armed);
  return store_add();
}
static covertree_status call_store_add_one(void) {
  long armed = pause_refusals();
  draw_new(1), names();
  resume_refusals(armed);
  return store_add_one();
}
static covertree_status call_store_remove(void) {
  long armed = pause_refusals();
  draw_known(batch), names();
  resume_refusals(armed);
  return store_remove();
}
static covertree_status call_store_compact(void) { return covertree_store_compact(store, NULL); }
static void check_store_added(covertree_status status) {
  if (status == COVERTREE_OK) note_added();
  check_store();
  if (count < usual + 1) return;
  draw_known(count - usual < batch ? count - usual : batch), names();
  EXPECT(store_remove() == COVERTREE_OK);
  note_removed();
}
static void check_store_removed(covertree_status status) {
  if (status == COVERTREE_OK) note_removed();
  check_store();
}
static void check_store_same(covertree_status status) {
  (void)status;
  check_store();
}

static void refuse_changes_of_store(const char *path) {
  begin();
  EXPECT((path == NULL ? covertree_store_create(dim, &store) : covertree_store_open(path, dim, COVERTREE_SYNC_OFF, 0, NULL, &store))
         == COVERTREE_OK);
  fill_store();
  printf("store %s\n", path == NULL ? "in memory" : "on disk");
  refuse_each("  add", call_store_add, check_store_added);
  refuse_each("  add one", call_store_add_one, check_store_added);
  refuse_each("  remove", call_store_remove, check_store_removed);
  refuse_each("  compact", call_store_compact, check_store_same);
  covertree_store_free(store);
  if (path == NULL) return;
  EXPECT(covertree_store_open(path, dim, COVERTREE_SYNC_OFF, 0, NULL, &store) == COVERTREE_OK);
  compare_store();
  covertree_store_free(store);
}
static void remove_store(const char *path) {
  static const char *files[] = {"catalogue.sqlite", "catalogue.sqlite-wal", "catalogue.sqlite-shm", "rows.bin", "reserve"};
  char file[96];
  for (int i = 0; i < 5; i++) snprintf(file, sizeof file, "%s/%s", path, files[i]), unlink(file);
  EXPECT(rmdir(path) == 0);
}

/* ---- Trees ---- */

static covertree_tree *tree;

static double distance(const double *a, const double *b) {
  double sum = 0;
  for (int d = 0; d < dim; d++) sum += (a[d] - b[d]) * (a[d] - b[d]);
  return sqrt(sum);
}
static void compare_tree(covertree_tree *some) {
  covertree_tree_info info;
  EXPECT(covertree_tree_get_info(some, &info) == COVERTREE_OK && info.n_points == count && info.next_index == fresh);
  EXPECT(covertree_tree_validate(some, NULL) == COVERTREE_OK);
  double queries[n_queries][dim], distances[n_queries][k];
  int64_t found[n_queries][k];
  for (int q = 0; q < n_queries; q++)
    for (int d = 0; d < dim; d++) queries[q][d] = uniform();
  EXPECT(covertree_tree_knn(some, F64(queries[0], n_queries, dim, 0), k, NULL, found[0], distances[0]) == COVERTREE_OK);
  for (int q = 0; q < n_queries; q++) {
    int nearer = 0;
    for (int64_t id = 0; id < fresh; id++) nearer += there[id] && distance(queries[q], points[id]) < distances[q][k - 1] - 1e-12;
    EXPECT(nearer <= k - 1);
    for (int rank = 0; rank < k; rank++)
      EXPECT(found[q][rank] >= 0 && found[q][rank] < fresh && there[found[q][rank]]
             && fabs(distance(queries[q], points[found[q][rank]]) - distances[q][rank]) < 1e-12);
  }
}
static covertree_status insert(void) {
  return covertree_tree_insert(tree, F64(points[ids[0]], n_given, dim, 0), NULL, NULL);
}
static covertree_status take_out(void) { return covertree_tree_remove(tree, ids, n_given, NULL); }
static void check_tree(void) {
  static int checks;
  compare_tree(tree);
  if (checks++ % 4 == 0) {
    covertree_file *file = NULL;
    covertree_tree *loaded = NULL;
    EXPECT(covertree_tree_encode(tree, NULL, 0, NULL, &file) == COVERTREE_OK);
    EXPECT(covertree_tree_load(file, &loaded) == COVERTREE_OK);
    compare_tree(loaded);
    covertree_tree_free(loaded);
    covertree_file_free(file);
  }
  draw_new(count + batch <= usual ? batch : 2);
  EXPECT(insert() == COVERTREE_OK);
  note_added();
  draw_known(count > usual && count - usual <= batch ? count - usual : 2);
  EXPECT(take_out() == COVERTREE_OK);
  note_removed();
  compare_tree(tree);
}
static covertree_status call_insert(void) {
  long armed = pause_refusals();
  draw_new(40);
  resume_refusals(armed);
  return insert();
}
static covertree_status call_remove(void) {
  long armed = pause_refusals();
  draw_known(batch);
  resume_refusals(armed);
  return take_out();
}
static void check_inserted(covertree_status status) {
  if (status == COVERTREE_OK) note_added();
  check_tree();
}
static void check_removed(covertree_status status) {
  if (status == COVERTREE_OK) note_removed();
  check_tree();
}

/* ---- Models ---- */

static covertree_residual *model, *made;
static covertree_arrays *arrays;

/* Neighbours of some points of a model are the nearest by its own distances. */
static void compare_model(covertree_residual *some, int64_t n) {
  int64_t rows[n_queries], found[n_queries][k], *all = malloc((size_t)n * sizeof *all);
  double distances[n_queries][k], *exact = malloc((size_t)n * sizeof *exact);
  for (int64_t i = 0; i < n; i++) all[i] = i;
  for (int q = 0; q < n_queries; q++) rows[q] = (int64_t)(uniform() * (double)n);
  EXPECT(covertree_residual_knn(some, I64(rows, n_queries), k, NULL, found[0], distances[0]) == COVERTREE_OK);
  for (int q = 0; q < n_queries; q++) {
    EXPECT(covertree_residual_distances(some, &rows[q], 1, all, n, NULL, exact) == COVERTREE_OK);
    int nearer = 0;
    for (int64_t i = 0; i < n; i++) nearer += exact[i] < distances[q][k - 1];
    EXPECT(nearer <= k - 1);
    for (int rank = 0; rank < k; rank++) EXPECT(found[q][rank] >= 0 && exact[found[q][rank]] == distances[q][rank]);
  }
  free(all), free(exact);
}
static covertree_status call_extend(void) {
  return covertree_residual_extend(model, F64(points[usual], batch, dim, 0), NULL, &made);
}
static covertree_status call_over(void) {
  return covertree_residual_with_points(model, F64(points[usual], batch, dim, 0), NULL, &made);
}
static covertree_status call_build_tree(void) { return covertree_residual_build_tree(model, NULL, &arrays); }
static void check_made(covertree_status status, int64_t n) {
  if (status == COVERTREE_OK) compare_model(made, n);
  covertree_residual_free(made);
  made = NULL;
  compare_model(model, usual);
}
static void check_extended(covertree_status status) { check_made(status, usual + batch); }
static void check_over(covertree_status status) { check_made(status, batch); }
static void check_built(covertree_status status) {
  if (status == COVERTREE_OK) EXPECT(covertree_residual_validate_tree(model, arrays, NULL) == COVERTREE_OK);
  covertree_arrays_free(arrays);
  arrays = NULL;
  compare_model(model, usual);
}

int main(void) {
  if (!stands_before()) {
    puts("memory: left out, as another malloc comes first");
    return 0;
  }
  EXPECT(covertree_set_num_threads(2) == COVERTREE_OK);
  refuse_changes_of_store(NULL);
  char folder[64];
  snprintf(folder, sizeof folder, "/tmp/covertree-memory-%d", (int)getpid());
  refuse_changes_of_store(folder);
  remove_store(folder);

  begin();
  draw_new(batch);
  EXPECT(covertree_tree_build(F64(points[0], batch, dim, 0), NULL, &tree) == COVERTREE_OK);
  note_added();
  refuse_each("tree insert", call_insert, check_inserted);
  refuse_each("tree remove", call_remove, check_removed);
  covertree_tree_free(tree);

  begin();
  for (int i = 0; i < 5; i++) draw_new(batch), note_added();
  covertree_residual_options options;
  covertree_residual_options_init(&options);
  options.inducing_points = points[0], options.n_inducing = 12;
  EXPECT(covertree_residual_build(F64(points[0], usual, dim, 0), &options, &model) == COVERTREE_OK);
  refuse_each("model extend", call_extend, check_extended);
  refuse_each("model over", call_over, check_over);
  refuse_each("model tree", call_build_tree, check_built);
  covertree_residual_free(model);
  return failures != 0;
}
