/* Changed files: the input is a file. It is opened as each kind of file, used, and changed again and again (`usage.h`). Checksums are
 * corrected if the input's last byte is even; otherwise the code behind them would never run. Calls must end with a status for any
 * contents. In addition to bytes, whole elements of the file's arrays are changed (`crafted.h`). */
#include "usage.h"

size_t LLVMFuzzerMutate(uint8_t *bytes, size_t count, size_t most);

static covertree_store *store;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc, (void)argv;
  store = smallStore();
  return covertree_set_num_threads(1);
}

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t count, size_t most, unsigned int seed) {
  Random r = {seed};
  if (count == 0 || drawBelow(&r, 4) == 0) return LLVMFuzzerMutate(bytes, count, most);
  craft(bytes, count - 1, &r);
  if (drawBelow(&r, 4) == 0) bytes[count - 1] = (uint8_t)draw(&r);
  return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
  if (count == 0) return 0;
  uint8_t choice = bytes[--count];
  uint8_t *file = malloc(count);
  REQUIRE(file != NULL || count == 0);
  memcpy(file, bytes, count);
  if (choice % 2 == 0) mend(file, count);
  Random r = {choice / 4};
  covertree_file *opened = NULL;
  if (covertree_file_copy(file, (int64_t)count, choice % 4 / 2 * COVERTREE_OPEN_VERIFY, NULL, &opened) == COVERTREE_OK) {
    useFile(opened, store, &r);
    covertree_file_free(opened);
  }
  free(file);
  return 0;
}
