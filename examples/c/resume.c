/* Saves a tree to a file, maps the file, and searches the mapped tree, from C.
 *   cc resume.c $(pkg-config --cflags --libs covertree) */
#include <covertree.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 100000, DIM = 3, K = 5 };

static void check(covertree_status status) {
  if (status == COVERTREE_OK) return;
  fprintf(stderr, "%s\n", covertree_last_error());
  exit(1);
}

int main(void) {
  float *points = malloc(sizeof(float[N][DIM]));
  uint64_t state = 1;
  for (int i = 0; i < N * DIM; i++) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    points[i] = (float)(state >> 40) / (1 << 24);
  }
  const float query[DIM] = {0.5f, 0.5f, 0.5f};
  int64_t before[K], after[K];
  const char *path = "resume-example.covertree";
  covertree_matrix matrix = covertree_matrix_f32(points, N, DIM), queries = covertree_matrix_f32(query, 1, DIM);

  covertree_tree *tree = NULL;
  check(covertree_tree_build(&matrix, NULL, &tree));
  check(covertree_tree_knn(tree, &queries, K, NULL, before, NULL));
  check(covertree_tree_save(tree, path, NULL, 0, NULL));
  covertree_tree_free(tree);

  /* Another process could begin here. The hash shows whether the file is of these points. */
  covertree_file *file = NULL;
  covertree_file_info info;
  uint64_t hash;
  check(covertree_file_open(path, 0, NULL, &file));
  check(covertree_file_get_info(file, &info));
  check(covertree_hash_points(&matrix, NULL, &hash));
  check(covertree_tree_load(file, &tree));
  covertree_file_free(file);
  check(covertree_tree_knn(tree, &queries, K, NULL, after, NULL));
  covertree_tree_free(tree);
  remove(path);
  free(points);

  int same = memcmp(before, after, sizeof before) == 0 && hash == info.input_hash;
  printf("a file of %lld bytes, the %d nearest are %s\n", (long long)info.n_bytes, K, same ? "the same" : "DIFFERENT");
  return !same;
}
