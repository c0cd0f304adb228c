/* Handles of the library as external pointers of R. */
#include "covertree_r.h"

static SEXP tag_of(kind kind) {
  static const char *const names[] = {"covertree_tree", "covertree_residual", "covertree_vif", "covertree_neighbors"};
  return Rf_install(names[kind]);
}

int is_kind(SEXP pointer, kind kind) {
  return TYPEOF(pointer) == EXTPTRSXP && R_ExternalPtrTag(pointer) == tag_of(kind);
}

void *handle_of(SEXP pointer, kind kind) { return is_kind(pointer, kind) ? R_ExternalPtrAddr(pointer) : NULL; }

static void finalize(SEXP pointer) {
  if (is_kind(pointer, TREE)) covertree_tree_free(R_ExternalPtrAddr(pointer));
  if (is_kind(pointer, RESIDUAL)) covertree_residual_free(R_ExternalPtrAddr(pointer));
  if (is_kind(pointer, VIF)) covertree_vif_free(R_ExternalPtrAddr(pointer));
  if (is_kind(pointer, NEIGHBORS)) covertree_neighbors_free(R_ExternalPtrAddr(pointer));
  R_ClearExternalPtr(pointer);
}

SEXP new_pointer(kind kind) {
  SEXP pointer = PROTECT(R_MakeExternalPtr(NULL, tag_of(kind), R_NilValue));
  R_RegisterCFinalizerEx(pointer, finalize, TRUE);
  UNPROTECT(1);
  return pointer;
}

void adopt(SEXP pointer, void *handle) { R_SetExternalPtrAddr(pointer, handle); }

/* Frees a handle now: R's collector does not know how much memory it has. */
SEXP ctr_free(SEXP pointer) {
  if (TYPEOF(pointer) == EXTPTRSXP) finalize(pointer);
  return R_NilValue;
}

/* Whether a pointer comes from a saved file, or its handle was freed. */
SEXP ctr_is_empty(SEXP pointer) {
  return Rf_ScalarLogical(TYPEOF(pointer) != EXTPTRSXP || R_ExternalPtrAddr(pointer) == NULL);
}
