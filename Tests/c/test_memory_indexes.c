/* Memory that is refused while an index changes: a change that fails has changed nothing, and the index goes on being used. After every
 * refusal it is compared with a model: a plain array of vectors by id. */
#define _GNU_SOURCE
#include "refuse.h"

#include <math.h>

enum { dim = 6, most = 60000, usual = 400, n_queries = 12, k = 8, batch = 130 };

/* The model. */
static float vectors[most][dim];
static uint8_t there[most];
static int64_t count, next_id;

/* The index, and the slots of its vectors if it is over a store. */
static covertree_index *index_;
static covertree_store *store;
static double least_recall;

/* The ids of a call, and the next new id. */
static int64_t ids[batch];
static float given[batch][dim];
static int64_t slots[batch], n_given, fresh;
static int numbered;

/* Some vectors are equal to others. */
static void draw(float *vector) {
  int64_t other = (int64_t)(uniform() * (double)most);
  if (uniform() < 0.3 && there[other % (fresh + 1)]) {
    memcpy(vector, vectors[other % (fresh + 1)], sizeof vectors[0]);
  } else {
    for (int d = 0; d < dim; d++) vector[d] = (float)uniform();
  }
}

static void draw_new(int64_t n) {
  n_given = n;
  for (int64_t i = 0; i < n; i++) draw(given[i]);
  for (int64_t i = 0; i < n; i++) ids[i] = fresh + i;
  fresh += n;
  EXPECT(fresh <= most);
  if (store == NULL) return;
  static uint64_t of_store;
  covertree_id named[batch];
  for (int64_t i = 0; i < n; i++) named[i] = (covertree_id){of_store++, 0, COVERTREE_ID_NUMBER, 0};
  EXPECT(covertree_store_add(store, named, NULL, NULL, F32(given[0], n, dim, 0), NULL, slots) == COVERTREE_OK);
}

/* Ids that are there, each once. */
static void draw_known(int64_t n) {
  n_given = n < count ? n : count;
  int64_t id = (int64_t)(uniform() * (double)fresh);
  for (int64_t i = 0; i < n_given; id = (id + 1) % fresh)
    if (there[id]) ids[i++] = id;
}

static covertree_status add(void) {
  if (store != NULL) return covertree_index_add(index_, numbered ? NULL : ids, I64(slots, n_given), NULL, NULL);
  return covertree_index_add(index_, numbered ? NULL : ids, F32(given[0], n_given, dim, 0), NULL, NULL);
}
static covertree_status update(void) {
  if (store != NULL) return covertree_index_update(index_, ids, I64(slots, n_given), NULL);
  return covertree_index_update(index_, ids, F32(given[0], n_given, dim, 0), NULL);
}
static covertree_status take_out(void) { return covertree_index_remove(index_, ids, n_given, NULL); }

/* Applies the calls that succeeded to the model. */
static void note_added(void) {
  for (int64_t i = 0; i < n_given; i++) {
    count += !there[ids[i]], there[ids[i]] = 1;
    memcpy(vectors[ids[i]], given[i], sizeof vectors[0]);
    if (ids[i] >= next_id) next_id = ids[i] + 1;
  }
}
static void note_removed(void) {
  for (int64_t i = 0; i < n_given; i++) there[ids[i]] = 0;
  count -= n_given;
}

static void fill(int64_t wanted) {
  while (count < wanted) {
    draw_new(wanted - count < batch ? wanted - count : batch);
    EXPECT(add() == COVERTREE_OK);
    note_added();
  }
}

static double distance(const float *a, const float *b) {
  double sum = 0;
  for (int d = 0; d < dim; d++) sum += ((double)a[d] - b[d]) * ((double)a[d] - b[d]);
  return sqrt(sum);
}

/* All properties of an index, and neighbours. */
static void compare(covertree_index *index) {
  covertree_index_info info;
  EXPECT(covertree_index_get_info(index, &info) == COVERTREE_OK && info.n_vectors == count && info.next_id == next_id);
  int64_t *known = malloc((size_t)(count + 1) * sizeof *known);
  float *kept = malloc((size_t)(count + 1) * sizeof vectors[0]);
  EXPECT(covertree_index_ids(index, known, count) == COVERTREE_OK);
  EXPECT(covertree_index_get(index, known, count, kept) == COVERTREE_OK);
  for (int64_t i = 0; i < count; i++)
    EXPECT(known[i] >= 0 && known[i] < fresh && there[known[i]]
           && memcmp(kept + i * dim, vectors[known[i]], sizeof vectors[0]) == 0);
  float queries[n_queries][dim], distances[n_queries][k];
  int64_t found[n_queries][k];
  for (int q = 0; q < n_queries; q++)
    for (int d = 0; d < dim; d++) queries[q][d] = (float)uniform();
  EXPECT(covertree_index_search(index, F32(queries[0], n_queries, dim, 0), k, NULL, found[0], distances[0]) == COVERTREE_OK);
  int hits = 0, wanted = 0;
  for (int q = 0; q < n_queries; q++) {
    double nearest[k + 1];
    int n = 0;
    for (int64_t i = 0; i < count; i++) {
      double next = distance(queries[q], vectors[known[i]]);
      int slot = n < k ? n++ : k;
      for (; slot > 0 && nearest[slot - 1] > next; slot--) nearest[slot] = nearest[slot - 1];
      nearest[slot] = next;
    }
    for (int rank = 0; rank < k; rank++) {
      if (found[q][rank] < 0) continue;
      EXPECT(found[q][rank] < fresh && there[found[q][rank]]);
      EXPECT(fabs(distance(queries[q], vectors[found[q][rank]]) - (double)distances[q][rank]) < 1e-5);
      for (int other = 0; other < rank; other++) EXPECT(found[q][other] != found[q][rank]);
      hits += (double)distances[q][rank] <= nearest[n - 1] + 1e-5;
    }
    wanted += n;
  }
  EXPECT(hits >= least_recall * wanted);
  if (hits < least_recall * wanted) fprintf(stderr, "%d of %d neighbours\n", hits, wanted);
  free(known), free(kept);
}

/* As it is, saved and loaded, and after more changes. */
static void check(void) {
  static int checks;
  compare(index_);
  if (checks++ % 4 == 0) {
    covertree_file *file = NULL;
    covertree_index *loaded = NULL;
    EXPECT(covertree_index_encode(index_, NULL, 0, NULL, &file) == COVERTREE_OK);
    EXPECT((store != NULL ? covertree_index_load(file, store, NULL, &loaded) : covertree_index_load(file, NULL, NULL,
        &loaded))
           == COVERTREE_OK);
    compare(loaded);
    covertree_index_free(loaded);
    covertree_file_free(file);
  }
  fill(count + 3);
  draw_known(2);
  EXPECT(take_out() == COVERTREE_OK);
  note_removed();
  compare(index_);
  fill(usual);
}

static long pause_refusals(void) { return atomic_exchange(&left, -1); }
static void resume_refusals(long armed) { atomic_store(&left, armed); }

static covertree_status call_add(void) {
  long armed = pause_refusals();
  draw_new(25);
  resume_refusals(armed);
  return add();
}
static covertree_status call_add_numbered(void) {
  long armed = pause_refusals();
  fresh = next_id;
  draw_new(25);
  numbered = 1;
  resume_refusals(armed);
  covertree_status status = add();
  numbered = 0;
  return status;
}
static covertree_status call_update(void) {
  long armed = pause_refusals();
  draw_new(batch);
  draw_known(batch);
  resume_refusals(armed);
  return update();
}
static covertree_status call_remove(void) {
  long armed = pause_refusals();
  draw_known(batch);
  resume_refusals(armed);
  return take_out();
}
static covertree_status call_clear(void) { return covertree_index_clear(index_); }
/* Of some dead ones, fewer than are forgotten at once. */
static void bury(void) {
  draw_known(20);
  EXPECT(take_out() == COVERTREE_OK);
  note_removed();
}
static covertree_status call_rebuild(void) {
  long armed = pause_refusals();
  bury();
  resume_refusals(armed);
  return covertree_index_rebuild(index_, NULL);
}
static covertree_status call_optimize(void) {
  long armed = pause_refusals();
  bury();
  resume_refusals(armed);
  return covertree_index_optimize(index_, NULL);
}

static void check_added(covertree_status status) {
  if (status == COVERTREE_OK) note_added();
  check();
  draw_known(25);
  EXPECT(take_out() == COVERTREE_OK);
  note_removed();
  fill(usual);
}
static void check_removed(covertree_status status) {
  if (status == COVERTREE_OK) note_removed();
  check();
}
static void check_cleared(covertree_status status) {
  if (status == COVERTREE_OK) memset(there, 0, sizeof there), count = next_id = fresh = 0;
  check();
}
static void check_same(covertree_status status) {
  (void)status;
  check();
}

static void refuse_changes(const char *name, covertree_index_options made, int over, double recall) {
  memset(there, 0, sizeof there);
  count = next_id = fresh = 0, least_recall = recall;
  if (over) {
    EXPECT(covertree_store_create(dim, &store) == COVERTREE_OK);
    EXPECT(covertree_index_create(0, store, &made, &index_) == COVERTREE_OK);
  } else {
    EXPECT(covertree_index_create(dim, NULL, &made, &index_) == COVERTREE_OK);
  }
  fill(usual);
  printf("%s\n", name);
  refuse_each("  add", call_add, check_added);
  refuse_each("  add without ids", call_add_numbered, check_added);
  refuse_each("  update", call_update, check_added);
  refuse_each("  remove", call_remove, check_removed);
  refuse_each("  rebuild", call_rebuild, check_same);
  refuse_each("  optimize", call_optimize, check_same);
  refuse_each("  clear", call_clear, check_cleared);
  covertree_index_free(index_);
  covertree_store_free(store);
  store = NULL;
}

int main(void) {
  if (!stands_before()) {
    puts("memory: left out, as another malloc comes first");
    return 0;
  }
  EXPECT(covertree_set_num_threads(2) == COVERTREE_OK);
  static const char *names[] = {"brute force", "k-d tree", "LSH", "HNSW"};
  for (int over = 0; over < 2; over++)
    for (int kind = 0; kind < 4; kind++) {
      covertree_index_options made;
      covertree_index_options_init(&made);
      made.kind = kind, made.n_candidates = 2 * usual, made.m = 4;
      static const double recall[] = {1, 1, 0.9, 0.8};
      refuse_changes(names[kind], made, over, recall[kind]);
      if (kind == COVERTREE_INDEX_LSH) {
        made.lsh_mode = COVERTREE_LSH_TABLES;
        refuse_changes("LSH in tables", made, over, 0.3);
      }
      if (kind == COVERTREE_INDEX_HNSW || kind == COVERTREE_INDEX_BRUTE_FORCE) {
        made.storage = COVERTREE_STORAGE_I8, made.flags = COVERTREE_INDEX_RERANK;
        refuse_changes("with bytes", made, over, 0.8);
      }
    }
  return failures != 0;
}
