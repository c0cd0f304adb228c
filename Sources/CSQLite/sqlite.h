#include <sqlite3.h>

// Swift imports no functions with variable arguments.
static inline int csqlite_configure(sqlite3 *database, int option, int value) {
  return sqlite3_db_config(database, option, value, (int *)0);
}

// Nor macros that need more than one other to be worked out.
static const int csqlite_shm_size = SQLITE_IOERR_SHMSIZE;
