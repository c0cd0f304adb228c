/* Calls on files. */
#ifndef COVERTREE_FUZZ_SECTIONS
#define COVERTREE_FUZZ_SECTIONS

#include "world.h"

typedef struct {
  covertree_section list[3];
  covertree_section *base;
  int64_t count;
  uint8_t *data;
} Sections;

static Sections sections(Stream *s) {
  static const char *const names[] = {"mine", "other", "points", "", "a name that is longer than it may be", "\n", "settings", NULL};
  Sections r = {.count = oneIn(s, 30) ? -1 : below(s, 4), .data = memory(256, 1)};
  for (int i = 0; i < 3; i++) {
    int64_t dtype = below(s, 7), rows_ = below(s, 5), columns = below(s, 5);
    if (oneIn(s, 40)) rows_ = -1;
    r.list[i] = (covertree_section){names[below(s, 8)], (int32_t)dtype, oneIn(s, 50), rows_, columns, oneIn(s, 40) ? NULL : r.data};
  }
  r.base = r.count == 0 && oneIn(s, 2) ? NULL : r.list;
  return r;
}

static const char *path(Stream *s) {
  static char text[96];
  uint8_t choice = byte(s);
  if (choice == 255) return NULL;
  if (choice == 254) return "";
  if (choice == 253) return "/nowhere/at/all";
  if (choice == 252) return world.folder;
  if (choice == 251) return "\xff\xfe";
  snprintf(text, sizeof text, "%s/%d", world.folder, choice % 4);
  return text;
}

static void save(Stream *s) {
  Sections r = sections(s);
  covertree_call_options *o = callOptions(s);
  covertree_file *file = NULL;
  int toDisk = oneIn(s, 10), kind = below(s, 5);
  covertree_status status = COVERTREE_IO;
  const char *where = toDisk ? path(s) : NULL;
  switch (kind) {
    case 0: case 1: {
      void *tree = handle(s, kind == 0 ? TREE32 : TREE64);
      status = toDisk ? covertree_tree_save(tree, where, r.base, r.count, o) : covertree_tree_encode(tree, r.base, r.count, o, &file);
      break;
    }
    case 2: {
      void *model = handle(s, RESIDUAL);
      status = toDisk ? covertree_residual_save(model, where, r.base, r.count, o)
                      : covertree_residual_encode(model, r.base, r.count, o, &file);
      break;
    }
    case 3: {
      void *index = handle(s, INDEX);
      status = toDisk ? covertree_index_save(index, where, r.base, r.count, o)
                      : covertree_index_encode(index, r.base, r.count, o, &file);
      break;
    }
    case 4: if (toDisk) status = covertree_sections_save(where, word(s), r.base, r.count, o);
  }
  if (ok(status) && file != NULL) keep(s, FILE_, file);
  free(o), free(r.data);
}

static void openFile(Stream *s) {
  covertree_call_options *o = callOptions(s);
  covertree_file *file = NULL;
  uint32_t flags = oneIn(s, 30) ? (uint32_t)word(s) : (uint32_t)below(s, 4);
  if (oneIn(s, 2)) {
    covertree_file_info info;
    void *other = handle(s, FILE_);
    if (ok(covertree_file_get_info(other, &info)) && ok(covertree_file_copy(info.bytes, info.n_bytes, flags, o, &file)))
      keep(s, FILE_, file);
  } else if (ok(covertree_file_open(path(s), flags, o, &file))) keep(s, FILE_, file);
  free(o);
}

static void load(Stream *s) {
  void *file = handle(s, FILE_);
  covertree_section section;
  ok(covertree_file_get_section(file, size(s, 6), &section));
  covertree_call_options *o = callOptions(s);
  switch (below(s, 4)) {
    case 0: {
      covertree_tree *tree = NULL;
      if (ok(covertree_tree_load(file, &tree))) keep(s, oneIn(s, 2) ? TREE32 : TREE64, tree);
      break;
    }
    case 1: {
      covertree_residual *model = NULL;
      covertree_residual_options options;
      covertree_residual_options_init(&options);
      options.kernel_fn = kernel, options.kernel_user_data = &world;
      if (ok(covertree_residual_load(file, oneIn(s, 2) ? &options : NULL, &model))) keep(s, RESIDUAL, model);
      break;
    }
    case 2: {
      covertree_index *index = NULL;
      if (ok(covertree_index_load(file, NULL, NULL, &index))) keep(s, INDEX, index);
      break;
    }
    case 3: {
      covertree_index *index = NULL;
      if (ok(covertree_index_load(file, handle(s, STORE), o, &index))) keep(s, INDEX, index);
    }
  }
  free(o);
}

#endif
