/* Macros of the C tests. */
#ifndef EXPECT_H
#define EXPECT_H

#include "matrices.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static int failures = 0;

#define EXPECT(condition)                                                             \
  do {                                                                                \
    if (!(condition)) {                                                               \
      fprintf(stderr, "%s:%d: expected %s\n", __FILE__, __LINE__, #condition);        \
      failures++;                                                                     \
    }                                                                                 \
  } while (0)

/* A status, and a last error that says something of the sort. */
#define EXPECT_ERROR(call, status, words)                                             \
  do {                                                                                \
    covertree_status got = (call);                                                    \
    if (got != (status) || strstr(covertree_last_error(), words) == NULL) {           \
      fprintf(stderr, "%s:%d: %s gave %d \"%s\"\n", __FILE__, __LINE__, #call, (int)got, covertree_last_error()); \
      failures++;                                                                     \
    }                                                                                 \
  } while (0)

static double uniform(void) {
  static uint64_t state = 42;
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (double)(state >> 11) / (double)(1ull << 53);
}

#endif
