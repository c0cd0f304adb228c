/* Trees that outlive the process, from C: saved, opened, kept in memory, and every kind of misuse. */
#define _GNU_SOURCE
#include "expect.h"

#include <covertree.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { N = 2000, DIM = 3, K = 5 };

static const char *const PATH = "tree.covertree";

static void expect_same_answers(covertree_tree *one, covertree_tree *other) {
  int64_t *a = malloc(sizeof(int64_t[N][K])), *b = malloc(sizeof(int64_t[N][K]));
  EXPECT(covertree_tree_knn(one, I64(NULL, N), K, NULL, a, NULL) == COVERTREE_OK);
  EXPECT(covertree_tree_knn(other, I64(NULL, N), K, NULL, b, NULL) == COVERTREE_OK);
  EXPECT(memcmp(a, b, sizeof(int64_t[N][K])) == 0);
  free(a);
  free(b);
}

static void test_tree(const double *points) {
  covertree_tree *tree = NULL, *loaded = NULL;
  EXPECT(covertree_tree_build(F64(points, N, DIM, 0), NULL, &tree) == COVERTREE_OK);

  /* With an additional array of the caller. */
  const float weights[4] = {1, 2, 3, 4};
  covertree_section extra = {"weights", COVERTREE_DTYPE_F32, 0, 2, 2, weights};
  EXPECT(covertree_tree_save(tree, PATH, &extra, 1, NULL) == COVERTREE_OK);

  for (uint32_t flags = 0; flags < 4; flags++) {
    covertree_file *file = NULL;
    EXPECT(covertree_file_open(PATH, flags, NULL, &file) == COVERTREE_OK);
    covertree_file_info info;
    EXPECT(covertree_file_get_info(file, &info) == COVERTREE_OK);
    uint64_t hash = 0;
    EXPECT(covertree_hash_points(F64(points, N, DIM, 0), NULL, &hash) == COVERTREE_OK);
    EXPECT(info.kind == COVERTREE_FILE_TREE && info.format_version == 1 && info.input_hash == hash);
    covertree_section section;
    EXPECT(covertree_file_get_section(file, info.n_sections - 1, &section) == COVERTREE_OK);
    EXPECT(strcmp(section.name, "weights") == 0 && section.rows == 2 && section.columns == 2);
    EXPECT(section.dtype == COVERTREE_DTYPE_F32 && memcmp(section.data, weights, sizeof weights) == 0);
    EXPECT((uintptr_t)section.data % 64 == 0);
    EXPECT(covertree_tree_load(file, &loaded) == COVERTREE_OK);
    covertree_file_free(file); /* the tree keeps it open */
    expect_same_answers(tree, loaded);
    EXPECT(covertree_tree_validate(loaded, NULL) == COVERTREE_OK);
    covertree_tree_free(loaded);
    EXPECT_ERROR(covertree_file_get_info(file, &info), COVERTREE_INVALID_ARGUMENT, "freed");
  }

  /* Through memory of the caller. */
  covertree_file *encoded = NULL, *copied = NULL;
  covertree_file_info info;
  EXPECT(covertree_tree_encode(tree, NULL, 0, NULL, &encoded) == COVERTREE_OK);
  EXPECT(covertree_file_get_info(encoded, &info) == COVERTREE_OK);
  char *bytes = malloc((size_t)info.n_bytes + 1);
  bytes[0] = 0; /* one that is not aligned */
  memcpy(bytes + 1, info.bytes, (size_t)info.n_bytes);
  EXPECT(covertree_file_copy(bytes + 1, info.n_bytes, COVERTREE_OPEN_VERIFY, NULL, &copied) == COVERTREE_OK);
  bytes[1 + info.n_bytes / 2] ^= 1;
  EXPECT_ERROR(covertree_file_copy(bytes + 1, info.n_bytes, COVERTREE_OPEN_VERIFY, NULL, &copied), COVERTREE_CORRUPT,
               "checksum");
  EXPECT_ERROR(covertree_file_copy(bytes + 1, info.n_bytes - 1, 0, NULL, &copied), COVERTREE_CORRUPT, "cut off");
  EXPECT_ERROR(covertree_file_copy(bytes, info.n_bytes, 0, NULL, &copied), COVERTREE_CORRUPT, "not a file of covertree");
  free(bytes);
  EXPECT(covertree_tree_load(copied, &loaded) == COVERTREE_OK);
  expect_same_answers(tree, loaded);
  covertree_tree_free(loaded);
  covertree_file_free(copied);
  covertree_file_free(encoded);

  /* A damaged file is noticed by the first search, again by the next, and nothing is followed. */
  FILE *file = fopen(PATH, "r+b");
  EXPECT(file != NULL && fseek(file, 20000, SEEK_SET) == 0 && fputs("damage", file) >= 0 && fclose(file) == 0);
  covertree_file *opened = NULL;
  EXPECT(covertree_file_open(PATH, 0, NULL, &opened) == COVERTREE_OK);
  EXPECT(covertree_tree_load(opened, &loaded) == COVERTREE_OK);
  int64_t row = 0, nearest = 0;
  for (int attempt = 0; attempt < 2; attempt++)
    EXPECT_ERROR(covertree_tree_knn(loaded, I64(&row, 1), 1, NULL, &nearest, NULL), COVERTREE_CORRUPT, "checksum");
  EXPECT_ERROR(covertree_file_open(PATH, COVERTREE_OPEN_VERIFY, NULL, &copied), COVERTREE_CORRUPT, PATH);
  covertree_tree_free(loaded);
  covertree_file_free(opened);
  covertree_tree_free(tree);
}

static int32_t product(void *calls, const double *rows, int64_t n_rows, const double *columns, int64_t n_columns,
                       int64_t dim, double *covariances) {
  for (int64_t i = 0; i < n_rows; i++)
    for (int64_t j = 0; j < n_columns; j++) {
      double sum = 1;
      for (int64_t d = 0; d < dim; d++) sum += rows[i * dim + d] * columns[j * dim + d];
      covariances[i * n_columns + j] = sum;
    }
  __atomic_fetch_add((int *)calls, 1, __ATOMIC_RELAXED);
  return 0;
}

static void test_residual(const double *points) {
  int calls = 0;
  for (int is_callback = 0; is_callback < 2; is_callback++) {
    covertree_residual_options options;
    covertree_residual_options_init(&options);
    options.kernel = COVERTREE_KERNEL_MATERN52;
    options.inducing_points = points;
    options.n_inducing = 40;
    if (is_callback) options.kernel_fn = product, options.kernel_user_data = &calls;
    covertree_residual *model = NULL, *loaded = NULL;
    EXPECT(covertree_residual_build(F64(points, N / 4, DIM, 0), &options, &model) == COVERTREE_OK);
    int64_t *a = malloc(sizeof(int64_t[N][K])), *b = malloc(sizeof(int64_t[N][K]));
    EXPECT(covertree_residual_knn(model, I64(NULL, N / 4), K, NULL, a, NULL) == COVERTREE_OK);
    EXPECT(covertree_residual_save(model, PATH, NULL, 0, NULL) == COVERTREE_OK);

    covertree_file *file = NULL;
    covertree_tree *tree = NULL;
    EXPECT(covertree_file_open(PATH, 0, NULL, &file) == COVERTREE_OK);
    EXPECT_ERROR(covertree_tree_load(file, &tree), COVERTREE_INVALID_ARGUMENT, "kind");
    EXPECT_ERROR(covertree_residual_load(file, is_callback ? NULL : (options.kernel_fn = product, &options), &loaded),
                 COVERTREE_INVALID_ARGUMENT, "kernel_fn");
    EXPECT(covertree_residual_load(file, is_callback ? &options : NULL, &loaded) == COVERTREE_OK);
    covertree_file_free(file);
    EXPECT(covertree_residual_knn(loaded, I64(NULL, N / 4), K, NULL, b, NULL) == COVERTREE_OK);
    EXPECT(memcmp(a, b, sizeof(int64_t[N / 4][K])) == 0);
    free(a);
    free(b);
    covertree_residual_free(model);
    covertree_residual_free(loaded);
  }
}

/* The clock by which the library knows that it is time to report progress. It may run fast, a second for each reading. */
static time_t fast;

int clock_gettime(clockid_t clock, struct timespec *now) {
  long status = syscall(SYS_clock_gettime, clock, now);
  if (fast > 0) now->tv_sec += fast++;
  return (int)status;
}

typedef struct reports {
  int count, most;
} reports;

static int32_t report(void *given, double share) {
  reports *so_far = given;
  EXPECT(share >= 0 && share <= 1);
  return so_far->count++ == so_far->most;
}

/* How often a search in one thread reports its progress; it is cancelled after `most` reports. */
static covertree_status count_reports(covertree_tree *tree, covertree_residual *model, reports *reports) {
  covertree_search_options options;
  covertree_search_options_init(&options);
  options.n_threads = 1, options.progress = report, options.progress_user_data = reports;
  int64_t row = 7, nearest = -1;
  fast = 1;
  covertree_status status = tree != NULL ? covertree_tree_knn(tree, I64(&row, 1), 1, &options, &nearest, NULL)
                                         : covertree_residual_knn(model, I64(&row, 1), 1, &options, &nearest, NULL);
  fast = 0;
  EXPECT(status != COVERTREE_OK || nearest == row);
  return status;
}

/* The first search after loading checks the file. It does so with the threads, the progress and the cancel of its own call. */
static void test_first_search(const double *points) {
  covertree_residual_options process;
  covertree_residual_options_init(&process);
  process.inducing_points = points, process.n_inducing = 40;
  covertree_tree *tree = NULL;
  covertree_residual *model = NULL;
  covertree_file *files[2] = {NULL, NULL};
  EXPECT(covertree_tree_build(F64(points, N, DIM, 0), NULL, &tree) == COVERTREE_OK);
  EXPECT(covertree_residual_build(F64(points, N, DIM, 0), &process, &model) == COVERTREE_OK);
  EXPECT(covertree_tree_encode(tree, NULL, 0, NULL, &files[0]) == COVERTREE_OK);
  EXPECT(covertree_residual_encode(model, NULL, 0, NULL, &files[1]) == COVERTREE_OK);
  covertree_tree_free(tree);
  covertree_residual_free(model);
  for (int kind = 0; kind < 2; kind++) {
    reports checking = {0, -1}, checked = {0, -1}, cancelled = {0, 0};
    for (int opened = 0; opened < 2; opened++) {
      covertree_tree_info tree_info;
      covertree_residual_info info;
      tree = NULL, model = NULL;
      if (kind == 0) EXPECT(covertree_tree_load(files[kind], &tree) == COVERTREE_OK);
      else EXPECT(covertree_residual_load(files[kind], NULL, &model) == COVERTREE_OK);
      if (opened && kind == 0) EXPECT(covertree_tree_get_info(tree, &tree_info) == COVERTREE_OK);
      if (opened && kind == 1) EXPECT(covertree_residual_get_info(model, &info) == COVERTREE_OK);
      if (!opened) EXPECT(count_reports(tree, model, &cancelled) == COVERTREE_CANCELLED && cancelled.count == 1);
      EXPECT(count_reports(tree, model, opened ? &checked : &checking) == COVERTREE_OK);
      covertree_tree_free(tree);
      covertree_residual_free(model);
    }
    EXPECT(checking.count > checked.count);
    covertree_file_free(files[kind]);
  }
}

static void test_misuse(const double *points) {
  covertree_tree *tree = NULL;
  covertree_file *file = NULL;
  covertree_file_info info;
  covertree_section section;
  EXPECT(covertree_tree_build(F64(points, 10, DIM, 0), NULL, &tree) == COVERTREE_OK);
  EXPECT_ERROR(covertree_tree_save(NULL, PATH, NULL, 0, NULL), COVERTREE_INVALID_ARGUMENT, "tree");
  EXPECT_ERROR(covertree_tree_save(tree, NULL, NULL, 0, NULL), COVERTREE_INVALID_ARGUMENT, "path: is NULL");
  EXPECT_ERROR(covertree_tree_save(tree, "", NULL, 0, NULL), COVERTREE_INVALID_ARGUMENT, "path");
  EXPECT_ERROR(covertree_tree_save(tree, PATH, NULL, 1, NULL), COVERTREE_INVALID_ARGUMENT, "sections");
  EXPECT_ERROR(covertree_tree_save(tree, PATH, NULL, -1, NULL), COVERTREE_INVALID_ARGUMENT, "sections");
  const double number = 1;
  const covertree_section wrong[] = {
      {NULL, COVERTREE_DTYPE_F64, 0, 1, 1, &number},
      {"settings", COVERTREE_DTYPE_F64, 0, 1, 1, &number},
      /* of the cover tree, which is not there */
      {"points", COVERTREE_DTYPE_F64, 0, 1, 1, &number},
      {"boxes.removed", COVERTREE_DTYPE_F64, 0, 1, 1, &number},
      {"a name of more than twenty-four", COVERTREE_DTYPE_F64, 0, 1, 1, &number},
      {"x", 17, 0, 1, 1, &number},
      {"x", COVERTREE_DTYPE_F64, 1, 1, 1, &number},
      {"x", COVERTREE_DTYPE_F64, 0, 1, 1, NULL},
      {"x", COVERTREE_DTYPE_F64, 0, -1, 1, &number},
      {"x", COVERTREE_DTYPE_F64, 0, INT64_MAX, INT64_MAX, &number},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    EXPECT(covertree_tree_save(tree, "refused.covertree", &wrong[i], 1, NULL) != COVERTREE_OK);
  EXPECT(fopen("refused.covertree", "rb") == NULL);

  EXPECT_ERROR(covertree_file_open("none.covertree", 0, NULL, &file), COVERTREE_IO, "none.covertree");
  EXPECT(covertree_last_errno() == ENOENT);
  EXPECT_ERROR(covertree_tree_save(tree, "none/tree.covertree", NULL, 0, NULL), COVERTREE_IO, "none/tree.covertree");
  EXPECT_ERROR(covertree_file_open(PATH, 8, NULL, &file), COVERTREE_UNSUPPORTED, "flags");
  EXPECT(covertree_last_errno() == 0);
  EXPECT_ERROR(covertree_file_open(PATH, 0, NULL, NULL), COVERTREE_INVALID_ARGUMENT, "file");
  EXPECT_ERROR(covertree_file_copy(NULL, 5, 0, NULL, &file), COVERTREE_INVALID_ARGUMENT, "n_bytes");
  EXPECT_ERROR(covertree_file_copy(&number, -5, 0, NULL, &file), COVERTREE_INVALID_ARGUMENT, "n_bytes");
  EXPECT_ERROR(covertree_file_get_info(NULL, &info), COVERTREE_INVALID_ARGUMENT, "file");
  EXPECT_ERROR(covertree_file_get_info((covertree_file *)tree, &info), COVERTREE_INVALID_ARGUMENT, "another type");

  const covertree_section good = {"x", COVERTREE_DTYPE_F64, 0, 1, 1, &number};
  EXPECT(covertree_sections_save(PATH, 77, &good, 1, NULL) == COVERTREE_OK);
  EXPECT(covertree_file_open(PATH, 0, NULL, &file) == COVERTREE_OK);
  EXPECT(covertree_file_get_info(file, &info) == COVERTREE_OK && info.kind == COVERTREE_FILE_ARRAYS);
  EXPECT(info.input_hash == 77 && info.n_sections == 1);
  EXPECT(covertree_file_get_section(file, 0, &section) == COVERTREE_OK && *(const double *)section.data == 1);
  EXPECT_ERROR(covertree_file_get_section(file, 1, &section), COVERTREE_NOT_FOUND, "index");
  EXPECT_ERROR(covertree_file_get_section(file, -1, &section), COVERTREE_NOT_FOUND, "index");
  EXPECT_ERROR(covertree_tree_load(file, &tree), COVERTREE_INVALID_ARGUMENT, "kind");
  covertree_file_free(file);
  covertree_file_free(file);
  covertree_file_free(NULL);
  covertree_tree_free(tree);
  remove(PATH);
}

int main(void) {
  double *points = malloc(sizeof(double[N][DIM]));
  for (int i = 0; i < N * DIM; i++) points[i] = uniform();
  test_tree(points);
  test_residual(points);
  test_first_search(points);
  test_misuse(points);
  free(points);
  printf("C, files: %s\n", failures == 0 ? "passed" : "FAILED");
  return failures != 0;
}
