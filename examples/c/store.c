/* Keeps vectors once, on disk, and searches them by a graph.   cc store.c -lcovertree */
#define _DEFAULT_SOURCE
#include <covertree.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { N = 3000, DIM = 32, K = 5 };

static void check(covertree_status status) {
  if (status == COVERTREE_OK) return;
  fprintf(stderr, "%s\n", covertree_last_error());
  exit(1);
}

int main(void) {
  static float vectors[N][DIM];
  static covertree_id ids[N];
  static int64_t slots[N], numbers[N];
  for (int i = 0; i < N; i++) {
    /* Every third vector is equal to the one before it. */
    for (int d = 0; d < DIM; d++) vectors[i][d] = i % 3 == 2 ? vectors[i - 1][d] : (float)rand() / RAND_MAX;
    ids[i].kind = COVERTREE_ID_NUMBER;
    ids[i].low = (uint64_t)(numbers[i] = 1000 + i);
  }
  char folder[] = "/tmp/covertree-XXXXXX", path[64], copy[64], file[64], command[64];
  if (!mkdtemp(folder)) return 1;
  snprintf(path, sizeof path, "%s/store", folder);
  snprintf(copy, sizeof copy, "%s/copy", folder);
  snprintf(file, sizeof file, "%s/graph.ct", folder);

  /* With COVERTREE_SYNC_FULL a change that has returned survives a power failure. */
  covertree_store *store = NULL;
  covertree_store_info info;
  check(covertree_store_open(path, DIM, COVERTREE_SYNC_FULL, 0, NULL, &store));
  covertree_matrix matrix = covertree_matrix_f32(vectors[0], N, DIM);
  check(covertree_store_add(store, ids, NULL, NULL, &matrix, NULL, slots));
  check(covertree_store_get_info(store, &info));
  printf("%lld ids, %lld vectors\n", (long long)info.n_ids, (long long)info.n_unique);

  /* The graph holds slots, and reads the rows in the store. */
  covertree_index_options options;
  covertree_index *graph = NULL;
  covertree_index_options_init(&options);
  options.kind = COVERTREE_INDEX_HNSW;
  check(covertree_index_create(0, store, &options, &graph));
  covertree_matrix rows = covertree_matrix_i64(slots, N);
  check(covertree_index_add(graph, numbers, &rows, NULL, NULL));
  int64_t found[K];
  float distances[K];
  covertree_matrix query = covertree_matrix_f32(vectors[1], 1, DIM);
  check(covertree_index_search(graph, &query, K, NULL, found, distances));
  for (int i = 0; i < K; i++) printf("  %lld at %.3f\n", (long long)found[i], distances[i]);

  /* Saves a copy of the store, and the graph without the vectors, and opens both. */
  check(covertree_store_snapshot(store, copy, NULL));
  check(covertree_index_save(graph, file, NULL, 0, NULL));
  covertree_index_free(graph);
  covertree_store_free(store);
  covertree_file *saved = NULL;
  check(covertree_store_open(copy, 0, COVERTREE_SYNC_FULL, COVERTREE_STORE_READ_ONLY, NULL, &store));
  check(covertree_store_check(store, NULL));
  check(covertree_file_open(file, 0, NULL, &saved));
  check(covertree_index_load(saved, store, NULL, &graph));
  check(covertree_index_search(graph, &query, 1, NULL, found, distances));
  printf("in the copy: %lld at %.3f\n", (long long)found[0], distances[0]);
  covertree_file_free(saved);
  covertree_store_free(store); /* in any order: the graph keeps the store open */
  covertree_index_free(graph);
  snprintf(command, sizeof command, "rm -r %s", folder);
  return system(command);
}
