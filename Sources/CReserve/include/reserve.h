// A reserve of memory for small requests. The Swift runtime ends the process if it cannot allocate an object or a short array; buffers,
// which are large, are allocated elsewhere and fail with an error. So small requests that the system refuses are served from a reserve,
// and the call goes on to its end, or to the next buffer that cannot be allocated.
//
// The linker redirects all of the library's calls of malloc and similar functions here (Package.swift, --wrap).
#ifndef COVERTREE_RESERVE_H
#define COVERTREE_RESERVE_H

#include <stdbool.h>

// Whether no call should begin: half of the reserve is in use, and the system still has no memory.
bool cn_reserve_is_low(void);

#endif
