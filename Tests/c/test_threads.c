/* Threads, processes and handles: threads that come and go, fork before, between and during calls, handles that are freed while others use
 * them, calls that are cancelled in the middle. */
#define _GNU_SOURCE
#include "expect.h"

#include <covertree.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N = 20000, DIM = 3, K = 5 };

static float points[N * DIM];
static int64_t expected[N * K];
static covertree_tree *shared;

static covertree_status search(covertree_tree *tree, int64_t *indices, int32_t threads) {
  covertree_search_options options;
  covertree_search_options_init(&options);
  options.n_threads = threads;
  return covertree_tree_knn(tree, I64(NULL, N), K, &options, indices, NULL);
}

static int answers(int32_t threads) {
  int64_t *found = malloc(sizeof expected);
  int good = search(shared, found, threads) == COVERTREE_OK && memcmp(found, expected, sizeof expected) == 0;
  free(found);
  return good;
}

/* ---- Threads ---- */

static void *come_and_go(void *unused) {
  (void)unused;
  int64_t found[K];
  float distances[K];
  EXPECT(covertree_tree_knn(shared, F32(points, 1, DIM, 0), K, NULL, found, distances) == COVERTREE_OK && found[0] == 0);
  EXPECT_ERROR(covertree_tree_knn(shared, F32(points, 1, DIM, 0), 0, NULL, found, distances), COVERTREE_INVALID_ARGUMENT, "k:");
  return NULL; /* with a last error of its own */
}

static void test_threads_that_exit(void) {
  for (int round = 0; round < 200; round++) {
    pthread_t threads[4];
    for (int t = 0; t < 4; t++) EXPECT(pthread_create(&threads[t], NULL, come_and_go, NULL) == 0);
    for (int t = 0; t < 4; t++) pthread_join(threads[t], NULL);
  }
  EXPECT(answers(0));
}

/* ---- Handles ---- */

static covertree_tree *passing;
static atomic_int over;

static void *use_until_freed(void *unused) {
  (void)unused;
  int64_t found[K];
  while (!atomic_load(&over)) {
    covertree_tree *tree = __atomic_load_n(&passing, __ATOMIC_RELAXED);
    covertree_status status = covertree_tree_knn(tree, F32(points, 1, DIM, 0), K, NULL, found, NULL);
    EXPECT(status == COVERTREE_OK || status == COVERTREE_INVALID_ARGUMENT);
    if (status != COVERTREE_OK) EXPECT(strstr(covertree_last_error(), "freed") != NULL || tree == NULL);
  }
  return NULL;
}

/* Two threads free the same handle while two others search it. */
static void *free_it(void *tree) {
  covertree_tree_free(tree);
  return NULL;
}

static void test_freed_while_used(void) {
  pthread_t users[2], takers[2];
  for (int t = 0; t < 2; t++) EXPECT(pthread_create(&users[t], NULL, use_until_freed, NULL) == 0);
  for (int round = 0; round < 300; round++) {
    covertree_tree *tree = NULL;
    EXPECT(covertree_tree_build(F32(points, 300, DIM, 0), NULL, &tree) == COVERTREE_OK);
    __atomic_store_n(&passing, tree, __ATOMIC_RELAXED);
    for (int t = 0; t < 2; t++) EXPECT(pthread_create(&takers[t], NULL, free_it, tree) == 0);
    for (int t = 0; t < 2; t++) pthread_join(takers[t], NULL);
    int64_t found[K];
    EXPECT_ERROR(covertree_tree_knn(tree, F32(points, 1, DIM, 0), K, NULL, found, NULL), COVERTREE_INVALID_ARGUMENT, "freed");
  }
  atomic_store(&over, 1);
  for (int t = 0; t < 2; t++) pthread_join(users[t], NULL);
}

/* ---- Processes ---- */

#ifndef WITHOUT_FORK /* as the thread sanitizer wants it */

/* A child runs the same calls as its parent, in parallel, and ends. */
static int child(int (*body)(void)) {
  pid_t process = fork();
  if (process == 0) _exit(body() ? 0 : 1);
  int status = -1;
  waitpid(process, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int search_and_build(void) {
  covertree_tree *tree = NULL;
  if (!answers(2) || covertree_tree_build(F32(points, N, DIM, 0), NULL, &tree) != COVERTREE_OK) return 0;
  int64_t *found = malloc(sizeof expected);
  int good = search(tree, found, 2) == COVERTREE_OK && memcmp(found, expected, sizeof expected) == 0;
  free(found);
  covertree_tree_free(tree);
  return good;
}

static int fork_again(void) { return answers(2) && child(search_and_build); }

static void *search_on(void *unused) {
  (void)unused;
  while (!atomic_load(&over)) EXPECT(answers(2));
  return NULL;
}

static void test_fork(void) {
  EXPECT(child(search_and_build)); /* before this process ever had threads */
  EXPECT(answers(2));
  EXPECT(child(search_and_build)); /* between parallel calls */
  EXPECT(child(fork_again));
  pthread_t other;
  atomic_store(&over, 0);
  EXPECT(pthread_create(&other, NULL, search_on, NULL) == 0);
  for (int round = 0; round < 20; round++) EXPECT(child(search_and_build)); /* while another thread is in one */
  atomic_store(&over, 1);
  pthread_join(other, NULL);
  EXPECT(answers(2));
}

#endif

/* ---- Cancelled in the middle ---- */

static int32_t cancel_after(void *count, double share) {
  EXPECT(share >= 0 && share <= 1);
  return --*(int *)count <= 0;
}

/* Progress is due after a tenth of a second: most machines need longer for these calls. */
enum { MANY = 1500000 };

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Whether a call was cancelled, or ended before progress was due. */
static int was_cancelled(covertree_status status, double start) {
  return status == COVERTREE_CANCELLED || (status == COVERTREE_OK && seconds() - start < 0.2);
}

static covertree_status export_many(covertree_tree *tree, int *left) {
  covertree_call_options options;
  covertree_call_options_init(&options);
  options.progress = cancel_after, options.progress_user_data = left;
  covertree_arrays *arrays = NULL;
  covertree_status status = covertree_tree_export(tree, &options, &arrays);
  EXPECT((arrays != NULL) == (status == COVERTREE_OK));
  covertree_arrays_free(arrays);
  return status;
}

static covertree_status search_many(covertree_tree *tree, int *left, int64_t *found) {
  covertree_search_options options;
  covertree_search_options_init(&options);
  options.progress = cancel_after, options.progress_user_data = left;
  return covertree_tree_knn(tree, I64(NULL, MANY), 1, &options, found, NULL);
}

static covertree_status save_many(covertree_tree *tree, int *left, const char *path) {
  covertree_call_options options;
  covertree_call_options_init(&options);
  options.progress = cancel_after, options.progress_user_data = left;
  return covertree_tree_save(tree, path, NULL, 0, &options);
}

static void test_cancel(void) {
  float *many = malloc(sizeof *many * MANY * DIM);
  int64_t *found = malloc(sizeof *found * MANY);
  covertree_tree *tree = NULL;
  char path[64];
  snprintf(path, sizeof path, "/tmp/covertree-cancel-%d", (int)getpid());
  EXPECT(covertree_tree_save(shared, path, NULL, 0, NULL) == COVERTREE_OK);
  for (int i = 0; i < MANY * DIM; i++) many[i] = (float)uniform();
  EXPECT(covertree_tree_build(F32(many, MANY, DIM, 0), NULL, &tree) == COVERTREE_OK);
  for (int calls = 1; calls < 4; calls++) {
    int left = calls;
    EXPECT(export_many(tree, &left) == COVERTREE_CANCELLED);
  }
  int never = 1 << 30, left = 1;
  EXPECT(export_many(tree, &never) == COVERTREE_OK);
  double start = seconds();
  EXPECT(was_cancelled(search_many(tree, &left, found), start));
  EXPECT(search_many(tree, &never, found) == COVERTREE_OK);
  left = 1, start = seconds();
  covertree_status status = save_many(tree, &left, path);
  EXPECT(was_cancelled(status, start));
  /* The file is complete: the one before if the call was cancelled. */
  covertree_file *file = NULL;
  covertree_file_info info;
  EXPECT(covertree_file_open(path, COVERTREE_OPEN_VERIFY, NULL, &file) == COVERTREE_OK);
  EXPECT(covertree_file_get_info(file, &info) == COVERTREE_OK);
  EXPECT((info.n_bytes < 16 * N * 4 * DIM) == (status == COVERTREE_CANCELLED));
  covertree_file_free(file);
  EXPECT(answers(0));
  covertree_tree_free(tree);
  unlink(path);
  free(found);
  free(many);
}

int main(void) {
  for (int i = 0; i < N * DIM; i++) points[i] = (float)uniform();
  covertree_tree_options options;
  covertree_tree_options_init(&options);
  options.n_threads = 1;
  EXPECT(covertree_tree_build(F32(points, N, DIM, 0), &options, &shared) == COVERTREE_OK);
  EXPECT(search(shared, expected, 1) == COVERTREE_OK);
#ifndef WITHOUT_FORK
  test_fork();
#endif
  test_threads_that_exit();
  test_freed_while_used();
  test_cancel();
  covertree_tree_free(shared);
  if (failures == 0) puts("threads: passed");
  return failures != 0;
}
