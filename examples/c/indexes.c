/* Searches vectors by a graph, and compares it with brute force.   cc indexes.c -lcovertree -lm */
#include <covertree.h>
#include <stdio.h>
#include <stdlib.h>

enum { N = 5000, DIM = 32, K = 10 };

static void check(covertree_status status) {
  if (status == COVERTREE_OK) return;
  fprintf(stderr, "%s\n", covertree_last_error());
  exit(1);
}

int main(void) {
  static float vectors[N][DIM];
  for (int i = 0; i < N; i++) {
    for (int d = 0; d < DIM; d++) vectors[i][d] = (float)rand() / RAND_MAX + (float)(i % 50 * (d + 1) % 7);
  }
  covertree_index_options options;
  covertree_index *graph = NULL, *exact = NULL;
  covertree_index_options_init(&options);
  options.kind = COVERTREE_INDEX_HNSW;
  check(covertree_index_create(DIM, NULL, &options, &graph));
  check(covertree_index_create(DIM, NULL, NULL, &exact)); /* brute force */
  covertree_matrix all = covertree_matrix_f32(vectors[0], N, DIM);
  check(covertree_index_add(graph, NULL, &all, NULL, NULL));
  check(covertree_index_add(exact, NULL, &all, NULL, NULL));

  static int64_t found[100][K], expected[100][K];
  covertree_matrix queries = covertree_matrix_f32(vectors[0], 100, DIM);
  check(covertree_index_search(graph, &queries, K, NULL, found[0], NULL));
  check(covertree_index_search(exact, &queries, K, NULL, expected[0], NULL));
  int same = 0;
  for (int row = 0; row < 100; row++) {
    for (int i = 0; i < K; i++) {
      for (int j = 0; j < K; j++) same += found[row][i] == expected[row][j];
    }
  }
  printf("recall of the graph: %.3f\n", same / (100.0 * K));

  int64_t gone[] = {0, 1};
  check(covertree_index_remove(graph, gone, 2, NULL));
  queries.rows = 1;
  check(covertree_index_search(graph, &queries, 1, NULL, found[0], NULL));
  printf("nearest to vector 0 after its removal: %lld\n", (long long)found[0][0]);
  covertree_index_free(graph);
  covertree_index_free(exact);
  return 0;
}
