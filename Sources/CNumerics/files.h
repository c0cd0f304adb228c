// What Swift cannot ask of an open file.
#ifndef COVERTREE_FILES_H
#define COVERTREE_FILES_H

#include <sys/vfs.h>

// Whether the file system is memory (tmpfs). Where the system does not say, it is taken for none.
static inline int cn_is_in_memory(int file) {
  struct statfs system;
  return fstatfs(file, &system) == 0 && system.f_type == 0x01021994;
}

#endif
