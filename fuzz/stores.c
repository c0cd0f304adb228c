/* Durable stores whose files were changed: the input says which bytes of a store's database, or of its rows, become what; or is the
 * database itself, or its log or its journal. Opened, such a store must be read, checked, written to and copied, or refused. */
#include "fuzz.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

enum { mostFiles = 8 };
static char folder[64], copy[96];
static struct { char path[512]; uint8_t *bytes; size_t count; } files[mostFiles];
static int fileCount;

static void emptied(const char *path) {
  char command[160];
  snprintf(command, sizeof command, "rm -rf %s", path);
  REQUIRE(system(command) == 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc, (void)argv;
  snprintf(folder, sizeof folder, "/dev/shm/covertree-stores-%d", (int)getpid());
  snprintf(copy, sizeof copy, "%s-copy", folder);
  covertree_set_num_threads(1);
  covertree_store *store = NULL;
  REQUIRE(covertree_store_open(folder, 4, COVERTREE_SYNC_OFF, 0, NULL, &store) == COVERTREE_OK);
  covertree_id ids[20];
  float vectors[20 * 4];
  int64_t slots[20];
  for (int i = 0; i < 20; i++) {
    ids[i] = (covertree_id){(uint64_t)i, 0, COVERTREE_ID_NUMBER, 0};
    for (int d = 0; d < 4; d++) vectors[4 * i + d] = (float)(i / 2 + d);
  }
  REQUIRE(covertree_store_add(store, ids, NULL, NULL, F32(vectors, 20, 4, 0), NULL, slots) == COVERTREE_OK);
  REQUIRE(covertree_store_remove(store, ids + 3, 2, NULL) == COVERTREE_OK);
  covertree_store_free(store);
  DIR *list = opendir(folder);
  for (struct dirent *entry; (entry = readdir(list)) != NULL && fileCount < mostFiles;) {
    if (entry->d_name[0] == '.' || strcmp(entry->d_name, "reserve") == 0) continue;  // which has no contents
    snprintf(files[fileCount].path, sizeof files[fileCount].path, "%s/%s", folder, entry->d_name);
    FILE *in = fopen(files[fileCount].path, "rb");
    fseek(in, 0, SEEK_END);
    files[fileCount].count = (size_t)ftell(in);
    files[fileCount].bytes = malloc(files[fileCount].count);
    rewind(in);
    REQUIRE(fread(files[fileCount].bytes, 1, files[fileCount].count, in) == files[fileCount].count);
    fclose(in);
    fileCount++;
  }
  closedir(list);
  REQUIRE(fileCount > 0);
  return 0;
}

/* A closed store has no such file. */
static void writeSidecar(Stream *s, const char *name) {
  static char path[sizeof folder + 40];
  snprintf(path, sizeof path, "%s/catalogue.sqlite%s", folder, name);
  unlink(path);
  if (!oneIn(s, 8)) return;
  if (oneIn(s, 3)) {
    REQUIRE(symlink("/dev/null", path) == 0);
    return;
  }
  FILE *out = fopen(path, "wb");
  REQUIRE(out != NULL);
  for (int left = byte(s); left > 0; left--) fputc(byte(s), out);
  fclose(out);
}

/* Copies of the good files, some bytes changed, perhaps cut short or made longer. */
static void write_(Stream *s) {
  for (int f = 0; f < fileCount; f++) {
    size_t count = files[f].count, length = oneIn(s, 16) ? count + byte(s) - 128 : count;
    uint8_t *bytes = calloc(count + 256, 1);
    memcpy(bytes, files[f].bytes, count);
    for (int changes = below(s, 4); changes > 0 && count > 0; changes--) {
      size_t at = (size_t)(word(s) % count);
      for (int run = 1 + below(s, 4); run > 0 && at < count; run--) bytes[at++] = byte(s);
    }
    FILE *out = fopen(files[f].path, "wb");
    REQUIRE(out != NULL);
    fwrite(bytes, 1, length > count + 256 ? 0 : length, out);
    fclose(out);
    free(bytes);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
  Stream s = {bytes, count};
  mkdir(folder, 0700);
  write_(&s);
  writeSidecar(&s, "-wal");
  writeSidecar(&s, "-shm");
  writeSidecar(&s, "-journal");
  covertree_store *store = NULL;
  uint32_t flags = oneIn(&s, 3) ? COVERTREE_STORE_READ_ONLY : 0;
  if (covertree_store_open(folder, oneIn(&s, 4) ? 4 : 0, COVERTREE_SYNC_OFF, flags, NULL, &store) == COVERTREE_OK) {
    covertree_store_info info;
    covertree_id ids[8];
    int64_t slots[8], cursor = 0, written = 0;
    REQUIRE(covertree_store_get_info(store, &info) == COVERTREE_OK);
    covertree_status status = covertree_store_check(store, NULL);
    REQUIRE(status != COVERTREE_INTERNAL);
    for (int i = 0; i < 8; i++)
      if (covertree_store_list(store, &cursor, 8, ids, slots, &written) != COVERTREE_OK || written == 0) break;
    covertree_index *index = NULL;
    if (covertree_index_create(0, store, NULL, &index) == COVERTREE_OK) {
      float query[64] = {1, 2, 3, 4}, distances[4];
      int64_t found[4], first;
      covertree_index_add(index, NULL, I64(slots, written), NULL, &first);
      if (info.dim <= 64) covertree_index_search(index, F32(query, 1, info.dim, 0), 4, NULL, found, distances);
      covertree_index_free(index);
    }
    if (info.dim <= 64) {
      float vector[64] = {9, 8, 7};
      covertree_id id = {1000, 0, COVERTREE_ID_NUMBER, 0};
      covertree_store_add(store, &id, NULL, NULL, F32(vector, 1, info.dim, 0), NULL, slots);
      covertree_store_remove(store, ids, 1, NULL);
    }
    if (oneIn(&s, 4)) covertree_store_snapshot(store, copy, NULL), emptied(copy);
    covertree_store_compact(store, NULL);
    covertree_store_free(store);
  }
  for (int f = 0; f < fileCount; f++) unlink(files[f].path);
  return 0;
}
