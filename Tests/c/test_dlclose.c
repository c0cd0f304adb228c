/* A program that loads the library, uses it in a thread and closes it: the library's threads live on, and threads that used it run its code
 * when they end. So it stays loaded. This program is not linked to it. */
#define _GNU_SOURCE
#include <covertree.h>

#include <dlfcn.h>
#include <pthread.h>

#include "expect.h"

static const char name[] = "libcovertree.so.1";

static void *use(void *unused) {
  (void)unused;
  void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  EXPECT(library != NULL);
  if (library == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    return NULL;
  }
  covertree_status (*build)(const covertree_matrix *, const covertree_tree_options *, covertree_tree **);
  void (*release)(covertree_tree *);
  const char *(*last_error)(void);
  *(void **)&build = dlsym(library, "covertree_tree_build");
  *(void **)&release = dlsym(library, "covertree_tree_free");
  *(void **)&last_error = dlsym(library, "covertree_last_error");
  enum { n = 20000, dim = 3 };
  static float points[n * dim];
  for (int i = 0; i < n * dim; i++) points[i] = (float)uniform();
  covertree_tree *tree = NULL;
  covertree_tree_options options = {.struct_size = sizeof options, .n_threads = 2};
  EXPECT(build(F32(points, n, dim, 0), &options, &tree) == COVERTREE_OK);
  release(tree);
  EXPECT(build(F32(NULL, n, dim, 0), NULL, &tree) == COVERTREE_INVALID_ARGUMENT && last_error()[0] != 0);
  EXPECT(dlclose(library) == 0);
  return NULL;
}

int main(void) {
  EXPECT(dlopen(name, RTLD_NOW | RTLD_NOLOAD) == NULL);
  for (int i = 0; i < 5; i++) {
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, use, NULL) == 0);
    pthread_join(thread, NULL);
  }
  EXPECT(dlopen(name, RTLD_NOW | RTLD_NOLOAD) != NULL);
  return failures != 0;
}
