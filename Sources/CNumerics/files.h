// File operations that Swift lacks.
#ifndef COVERTREE_FILES_H
#define COVERTREE_FILES_H

#include <sys/vfs.h>

// Whether the file system is memory (tmpfs). If the system does not say, it is assumed not to be.
static inline int cn_is_in_memory(int file) {
  struct statfs system;
  return fstatfs(file, &system) == 0 && system.f_type == 0x01021994;
}

#endif
