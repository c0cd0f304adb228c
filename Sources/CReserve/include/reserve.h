// Memory for when there is none. The Swift runtime ends the process where it cannot have memory for an object or a short array;
// buffers, which are large, are asked for elsewhere and fail with an error. So small requests that the system refuses are
// served from a reserve: the call that made them goes on to its end, or to the next buffer that cannot be had.
//
// The linker leads all of the library's calls of malloc and its kin here (Package.swift, --wrap).
#ifndef COVERTREE_RESERVE_H
#define COVERTREE_RESERVE_H

#include <stdbool.h>

// Whether a call had better not begin: half of the reserve is in use, and the system still has no memory.
bool cn_reserve_is_low(void);

#endif
