/* Failures and interrupts of calls. */
#include "covertree_r.h"

#include <stdarg.h>
#include <stdio.h>

/* An object of class covertree_failure: the status and the text, which names arguments and numbers as the library does. */
static SEXP failure_with(int status, const char *text) {
  SEXP values = PROTECT(Rf_allocVector(VECSXP, 2));
  SET_VECTOR_ELT(values, 0, Rf_ScalarInteger(status));
  SET_VECTOR_ELT(values, 1, Rf_mkString(text));
  SEXP class = PROTECT(Rf_mkString("covertree_failure"));
  Rf_classgets(values, class);
  UNPROTECT(2);
  return values;
}

SEXP failure_of(covertree_status status) { return failure_with(status, covertree_last_error()); }

SEXP failure(const char *format, ...) {
  char text[512];
  va_list values;
  va_start(values, format);
  vsnprintf(text, sizeof text, format, values);
  va_end(values);
  return failure_with(COVERTREE_INVALID_ARGUMENT, text);
}

static void check(void *unused) {
  (void)unused;
  R_CheckUserInterrupt();
}

/* R leaves R_CheckUserInterrupt by a jump, which R_ToplevelExec catches. The library reports in the thread of the call, which is
 * R's: R would end the process in another one. */
int32_t interrupted(void *unused, double share) {
  (void)unused;
  (void)share;
  return !R_ToplevelExec(check, NULL);
}

covertree_call_options call_options(void) {
  covertree_call_options options;
  covertree_call_options_init(&options);
  options.progress = interrupted;
  return options;
}

covertree_search_options search_options(int flags) {
  covertree_search_options options;
  covertree_search_options_init(&options);
  options.flags = (uint32_t)flags;
  options.progress = interrupted;
  return options;
}

SEXP ctr_version(void) {
  char text[32];
  const unsigned number = covertree_version_number();
  snprintf(text, sizeof text, "%u.%u.%u", number / 10000, number / 100 % 100, number % 100);
  return Rf_mkString(text);
}

/* Sets the number of threads, unless it is NULL, and returns the one before. */
SEXP ctr_threads(SEXP count) {
  const int before = covertree_get_num_threads();
  if (count != R_NilValue) {
    const covertree_status status = covertree_set_num_threads(Rf_asInteger(count));
    if (status != COVERTREE_OK) return failure_of(status);
  }
  return Rf_ScalarInteger(before);
}
