/* Many threads on the same handles: `load THREADS SECONDS`. Each inserts, removes and searches on one tree, two indexes and a store that all
 * share, among points of its own, far from the points of the others. So it knows every right answer, whatever the others do. Ends with the
 * latencies of each kind of call; a call of a minute is a deadlock. */
#include "../c/matrices.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { DIM = 3, MOST = 96, K = 4, THREADS = 256 };
enum { KNN, RADIUS, INSERT, REMOVE, INDEX_SEARCH, INDEX_ADD, INDEX_REMOVE, STORE_ADD, STORE_READ, STORE_REMOVE, EXPORT, KINDS };
static const char *const names[KINDS] = {"tree knn", "tree radius", "tree insert", "tree remove", "index search", "index add",
                                         "index remove", "store add", "store read", "store remove", "tree export"};

static covertree_tree *tree;
static covertree_index *indexes[2];
static covertree_store *store;
static atomic_int stop;
static atomic_long calls[KINDS], busy;
/* Of call durations, in eighths of powers of two nanoseconds. */
static atomic_long histogram[KINDS][512];
static _Atomic double began[THREADS];

typedef struct {
  int number;
  uint64_t state;
  /* This thread's points in the tree, in the indexes and in the store. */
  int count, indexed, stored;
  float points[MOST][DIM], vectors[MOST][DIM], rows[MOST][DIM];
  int64_t indices[MOST], ids[MOST], keys[MOST];
  int64_t next;
} Worker;

#define CHECK(condition)                                                                                    \
  do {                                                                                                      \
    if (!(condition)) {                                                                                     \
      fprintf(stderr, "load.c:%d: expected %s; %s\n", __LINE__, #condition, covertree_last_error());       \
      exit(1);                                                                                              \
    }                                                                                                       \
  } while (0)

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint32_t dice(Worker *w, uint32_t sides) {
  w->state = w->state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(w->state >> 33) % sides;
}

static void draw(Worker *w, float *point) {
  for (int d = 0; d < DIM; d++) point[d] = (float)(d == 0 ? w->number * 1000 : 0) + (float)dice(w, 4096) / 256;
}

static void record(int kind, double start) {
  double nanoseconds = (now() - start) * 1e9;
  int cell = nanoseconds > 1 ? (int)(log2(nanoseconds) * 8) : 0;
  atomic_fetch_add(&histogram[kind][cell < 511 ? cell : 511], 1);
  atomic_fetch_add(&calls[kind], 1);
}

#define TIMED(kind, call)                          \
  do {                                             \
    double start = now();                          \
    atomic_store(&began[w->number], start);        \
    CHECK((call) == COVERTREE_OK);                 \
    atomic_store(&began[w->number], (double)INFINITY); \
    record(kind, start);                             \
  } while (0)

/* A change of the tree: of two at once the second gets BUSY. Callers serialise them by a lock; now and then
 * one does not. */
static pthread_mutex_t changing = PTHREAD_MUTEX_INITIALIZER;

#define TIMED_CHANGE(kind, call)                   \
  do {                                             \
    int polite = dice(w, 16) != 0;                 \
    if (polite) pthread_mutex_lock(&changing);     \
    double start = now();                          \
    covertree_status status;                       \
    atomic_store(&began[w->number], start);        \
    while ((status = (call)) == COVERTREE_BUSY) atomic_fetch_add(&busy, 1), usleep(500); \
    CHECK(status == COVERTREE_OK);                 \
    atomic_store(&began[w->number], (double)INFINITY); \
    record(kind, start);                             \
    if (polite) pthread_mutex_unlock(&changing);   \
  } while (0)

static double squared(const float *a, const float *b) {
  double sum = 0;
  for (int d = 0; d < DIM; d++) sum += ((double)a[d] - b[d]) * ((double)a[d] - b[d]);
  return sum;
}

/* The distances of the k nearest of a worker's own points, by comparing all. */
static void nearest(const float *query, float points[][DIM], int count, double *distances) {
  for (int j = 0; j < K; j++) distances[j] = INFINITY;
  for (int i = 0; i < count; i++) {
    double x = sqrt(squared(query, points[i]));
    for (int j = 0; j < K; j++)
      if (x < distances[j]) {
        double y = distances[j];
        distances[j] = x, x = y;
      }
  }
}

static void checkNearest(const float *query, float points[][DIM], int64_t *own, int count, const int64_t *found,
                         const float *distances) {
  double expected[K];
  nearest(query, points, count, expected);
  for (int j = 0; j < K && j < count; j++) {
    CHECK(fabs((double)distances[j] - expected[j]) <= 1e-4 * (1 + expected[j]));
    int there = 0;
    for (int i = 0; i < count; i++)
      there |= own[i] == found[j] && fabs(sqrt(squared(query, points[i])) - expected[j]) <= 1e-4 * (1 + expected[j]);
    CHECK(there);
  }
}

static void useTree(Worker *w) {
  float query[DIM], distances[K];
  int64_t found[K];
  draw(w, query);
  switch (dice(w, 8)) {
    case 0: case 1:
      if (w->count + 4 <= MOST) {
        float batch[4][DIM];
        int64_t first;
        for (int i = 0; i < 4; i++) draw(w, batch[i]);
        TIMED_CHANGE(INSERT, covertree_tree_insert(tree, F32(batch[0], 4, DIM, 0), NULL, &first));
        for (int i = 0; i < 4; i++) {
          memcpy(w->points[w->count], batch[i], sizeof batch[i]);
          w->indices[w->count++] = first + i;
        }
        break;
      } /* fall through */
    case 2:
      if (w->count > 8) {
        int at = (int)dice(w, (uint32_t)w->count);
        TIMED_CHANGE(REMOVE, covertree_tree_remove(tree, &w->indices[at], 1, NULL));
        w->count--;
        w->indices[at] = w->indices[w->count];
        memcpy(w->points[at], w->points[w->count], sizeof w->points[at]);
      }
      break;
    case 3: {
      covertree_neighbors *lists = NULL;
      covertree_neighbors_view view;
      int64_t expected = 0;
      for (int i = 0; i < w->count; i++) expected += squared(query, w->points[i]) <= 16;
      TIMED(RADIUS, covertree_tree_radius(tree, F32(query, 1, DIM, 0), 4, NULL, &lists));
      CHECK(covertree_neighbors_get(lists, &view) == COVERTREE_OK && view.n_neighbors == expected);
      covertree_neighbors_free(lists);
      break;
    }
    case 4: {
      covertree_arrays *arrays = NULL;
      covertree_arrays_view view;
      TIMED(EXPORT, covertree_tree_export(tree, NULL, &arrays));
      CHECK(covertree_arrays_get(arrays, &view) == COVERTREE_OK && view.subtree_end[0] == view.n_nodes);
      covertree_arrays_free(arrays);
      break;
    }
    default:
      TIMED(KNN, covertree_tree_knn(tree, F32(query, 1, DIM, 0), K, NULL, found, distances));
      checkNearest(query, w->points, w->indices, w->count, found, distances);
  }
}

static void useIndexes(Worker *w) {
  float query[DIM], distances[K];
  int64_t found[K];
  draw(w, query);
  uint32_t choice = dice(w, 6);
  if (choice == 0 && w->indexed < MOST) {
    draw(w, w->vectors[w->indexed]);
    w->ids[w->indexed] = (int64_t)w->number << 32 | w->next++;
    for (int i = 0; i < 2; i++)
      TIMED(INDEX_ADD, covertree_index_add(indexes[i], &w->ids[w->indexed], F32(w->vectors[w->indexed], 1, DIM, 0),
                                           NULL, NULL));
    w->indexed++;
  } else if (choice == 1 && w->indexed > 8) {
    int at = (int)dice(w, (uint32_t)w->indexed);
    for (int i = 0; i < 2; i++) TIMED(INDEX_REMOVE, covertree_index_remove(indexes[i], &w->ids[at], 1, NULL));
    w->indexed--;
    w->ids[at] = w->ids[w->indexed];
    memcpy(w->vectors[at], w->vectors[w->indexed], sizeof w->vectors[at]);
  } else {
    TIMED(INDEX_SEARCH, covertree_index_search(indexes[choice % 2], F32(query, 1, DIM, 0), K, NULL, found, distances));
    checkNearest(query, w->vectors, w->ids, w->indexed, found, distances);
  }
}

static void useStore(Worker *w) {
  uint32_t choice = dice(w, 4);
  if (choice == 0 && w->stored < MOST) {
    draw(w, w->rows[w->stored]);
    covertree_id id = {(uint64_t)w->number << 32 | (uint64_t)w->next, 0, COVERTREE_ID_NUMBER, 0};
    int64_t slot;
    w->keys[w->stored] = (int64_t)id.low, w->next++;
    TIMED(STORE_ADD, covertree_store_add(store, &id, NULL, NULL, F32(w->rows[w->stored], 1, DIM, 0), NULL, &slot));
    w->stored++;
  } else if (w->stored > 0) {
    int at = (int)dice(w, (uint32_t)w->stored);
    covertree_id id = {(uint64_t)w->keys[at], 0, COVERTREE_ID_NUMBER, 0};
    if (choice == 1) {
      TIMED(STORE_REMOVE, covertree_store_remove(store, &id, 1, NULL));
      w->stored--;
      w->keys[at] = w->keys[w->stored];
      memcpy(w->rows[at], w->rows[w->stored], sizeof w->rows[at]);
    } else {
      covertree_store_rows *rows = NULL;
      const float *base;
      int64_t bytes, slot;
      TIMED(STORE_READ, covertree_store_find(store, &id, 1, &slot));
      CHECK(slot >= 0 && covertree_store_rows_get(store, &rows, &base, &bytes) == COVERTREE_OK);
      CHECK(memcmp((const char *)base + slot * bytes, w->rows[at], sizeof w->rows[at]) == 0);
      covertree_store_rows_free(rows);
    }
  }
}

static void *work(void *argument) {
  Worker *w = argument;
  while (!atomic_load(&stop)) {
    switch (dice(w, 4)) {
      case 0: case 1: useTree(w); break;
      case 2: useIndexes(w); break;
      default: useStore(w);
    }
  }
  return NULL;
}

static double percentile(int kind, double share) {
  long total = atomic_load(&calls[kind]), sum = 0;
  for (int cell = 0; cell < 512; cell++)
    if ((double)(sum += atomic_load(&histogram[kind][cell])) >= share * (double)total) return exp2((cell + 1) / 8.0) / 1e6;
  return INFINITY;
}

int main(int count, char **arguments) {
  int threads = count > 1 ? atoi(arguments[1]) : 64;
  double seconds = count > 2 ? atof(arguments[2]) : 600;
  if (threads < 1 || threads > THREADS) return fprintf(stderr, "load: 1 to %d threads\n", THREADS), 2;
  Worker *workers = calloc((size_t)threads, sizeof *workers);
  pthread_t *ids = calloc((size_t)threads, sizeof *ids);
  covertree_index_options options;
  covertree_index_options_init(&options);
  for (int i = 0; i < 2; i++) {
    options.kind = i == 0 ? COVERTREE_INDEX_BRUTE_FORCE : COVERTREE_INDEX_KD_TREE;
    CHECK(covertree_index_create(DIM, NULL, &options, &indexes[i]) == COVERTREE_OK);
  }
  CHECK(covertree_store_create(DIM, &store) == COVERTREE_OK);
  float origin[DIM] = {-1e6f, 0, 0};
  CHECK(covertree_tree_build(F32(origin, 1, DIM, 0), NULL, &tree) == COVERTREE_OK);
  for (int t = 0; t < threads; t++) {
    Worker *w = &workers[t];
    w->number = t, w->state = (uint64_t)t + 1;
    atomic_store(&began[t], (double)INFINITY);
    while (w->count < 12) {
      draw(w, w->points[w->count]);
      CHECK(covertree_tree_insert(tree, F32(w->points[w->count], 1, DIM, 0), NULL, &w->indices[w->count]) == COVERTREE_OK);
      w->count++;
    }
  }
  double start = now();
  for (int t = 0; t < threads; t++) CHECK(pthread_create(&ids[t], NULL, work, &workers[t]) == 0);
  while (now() - start < seconds) {
    usleep(200000);
    for (int t = 0; t < threads; t++)
      if (now() - atomic_load(&began[t]) > 60) return fprintf(stderr, "load: thread %d hangs in a call\n", t), 1;
  }
  atomic_store(&stop, 1);
  for (int t = 0; t < threads; t++) pthread_join(ids[t], NULL);
  CHECK(covertree_tree_validate(tree, NULL) == COVERTREE_OK);
  CHECK(covertree_store_check(store, NULL) == COVERTREE_OK);
  printf("%d threads, %.0f s, all answers as they must be; a tree was busy %ld times\n", threads, seconds, atomic_load(&busy));
  printf("%-14s %12s %10s %10s\n", "call", "calls", "p50, ms", "p99, ms");
  for (int kind = 0; kind < KINDS; kind++)
    printf("%-14s %12ld %10.3f %10.3f\n", names[kind], atomic_load(&calls[kind]), percentile(kind, 0.5), percentile(kind, 0.99));
  covertree_store_free(store);
  for (int i = 0; i < 2; i++) covertree_index_free(indexes[i]);
  covertree_tree_free(tree);
  free(ids), free(workers);
  return 0;
}
