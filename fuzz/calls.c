/* Sequences of calls of everything in the headers, with arguments right and wrong, on handles that are live, freed, of another type
 * or none. Each call must end with a `covertree_status`, and the output that it reports must be there. */
#include "residuals.h"
#include "sections.h"
#include "trees.h"
#include "vectors.h"

#include <sys/stat.h>
#include <unistd.h>

static void freeOne(Stream *s) {
  int kind = below(s, KINDS), i = below(s, perKind);
  freeHandle(kind, world.handles[kind][i]);
  world.freed = world.handles[kind][i];
  if (oneIn(s, 4)) freeHandle(below(s, KINDS), world.freed); /* again, perhaps as another type */
  world.handles[kind][i] = NULL;
}

static void runtime(Stream *s) {
  REQUIRE(covertree_version_number() > 0 && covertree_abi_version() == COVERTREE_ABI_VERSION);
  REQUIRE(strncmp(covertree_build_info(), "covertree ", 10) == 0);
  REQUIRE(covertree_last_errno() >= 0 && covertree_get_num_threads() >= 1);
  if (oneIn(s, 4)) ok(covertree_set_num_threads((int32_t)word(s)));
  REQUIRE(covertree_set_num_threads(1) == COVERTREE_OK);
}

static void (*const calls[])(Stream *) = {
  buildTree, buildTree, insertIntoTree, insertIntoTree, knn, knn, knnOfPoints, knnOfPoints, radius, radius, radiusOfPoints,
  hashPoints, removeFromTree, lookAtTree, lookAtResults, save, openFile, load, buildResidual, residualKnnRows,
  residualNew, lookAtResidual, orders, createIndex, changeIndex, changeIndex, searchIndex, lookAtIndex, createStore, changeStore,
  lookAtStore, durableStore, freeOne, runtime,
};

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc, (void)argv;
  snprintf(world.folder, sizeof world.folder, "/dev/shm/covertree-fuzz-%d", (int)getpid());
  mkdir(world.folder, 0700);
  return covertree_set_num_threads(1);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
  Stream s = {bytes, count};
  world.stream = &s, world.callbacks = 0, world.freed = NULL;
  world.dim = 1 + below(&s, 6);
  for (int i = 0; i < 12 && s.left > 0; i++) calls[byte(&s) % (sizeof calls / sizeof *calls)](&s);
  for (int kind = 0; kind < KINDS; kind++)
    for (int i = 0; i < perKind; i++) {
      if (world.handles[kind][i] != NULL) freeHandle(kind, world.handles[kind][i]);
      world.handles[kind][i] = NULL;
    }
  return 0;
}
