/* Matrices of R, by columns and from 1, as arrays of the library, by rows and from 0. */
#include "covertree_r.h"

#include <stdarg.h>

/* Rows that are transposed together, so that both matrices stay in the cache. */
enum { BLOCK = 64 };

static SEXP not_finite(const char *name, int64_t row, int64_t column, double value) {
  const char *text = R_IsNA(value) ? "NA" : ISNAN(value) ? "NaN" : value > 0 ? "Inf" : "-Inf";
  return failure("%s[%lld, %lld]: expected a finite number, got %s", name, (long long)row, (long long)column, text);
}

SEXP points_of(SEXP matrix, SEXP scale, const char *name, covertree_matrix *points) {
  const int64_t rows = Rf_nrows(matrix), columns = Rf_ncols(matrix);
  const double *reals = TYPEOF(matrix) == REALSXP ? REAL(matrix) : NULL;
  const int *integers = reals ? NULL : INTEGER(matrix);
  const double *divisors = scale == R_NilValue ? NULL : REAL(scale);
  /* One column is the same by rows. */
  const int is_shared = reals && columns == 1 && !divisors;
  double *result = is_shared ? NULL : (double *)R_alloc((size_t)(rows * columns), sizeof(double));
  for (int64_t first = 0; first < rows; first += BLOCK) {
    const int64_t end = first + BLOCK < rows ? first + BLOCK : rows;
    for (int64_t j = 0; j < columns; j++) {
      const double divisor = divisors ? divisors[j] : 1;
      for (int64_t i = first; i < end; i++) {
        const double value =
            reals ? reals[i + j * rows] : integers[i + j * rows] == NA_INTEGER ? NA_REAL : integers[i + j * rows];
        if (!R_FINITE(value)) return not_finite(name, i, j, value);
        if (result) result[i * columns + j] = value / divisor;
      }
    }
  }
  *points = covertree_matrix_f64(result ? result : reals, rows, columns);
  return R_NilValue;
}

SEXP matrix_of(const double *rows, int64_t count, int64_t width) {
  SEXP result = PROTECT(Rf_allocMatrix(REALSXP, (int)count, (int)width));
  double *numbers = REAL(result);
  for (int64_t first = 0; first < count; first += BLOCK) {
    const int64_t end = first + BLOCK < count ? first + BLOCK : count;
    for (int64_t j = 0; j < width; j++)
      for (int64_t i = first; i < end; i++) numbers[i + j * count] = rows[i * width + j];
  }
  UNPROTECT(1);
  return result;
}

SEXP vector_of(const double *numbers, int64_t count) {
  SEXP result = Rf_allocVector(REALSXP, count);
  for (int64_t i = 0; i < count; i++) REAL(result)[i] = numbers[i];
  return result;
}

const int64_t *numbers_of(SEXP rows) {
  int64_t *numbers = (int64_t *)R_alloc((size_t)XLENGTH(rows), sizeof(int64_t));
  for (int64_t i = 0; i < XLENGTH(rows); i++) numbers[i] = (int64_t)INTEGER(rows)[i] - 1;
  return numbers;
}

SEXP rows_of(const int64_t *numbers, int64_t count) {
  SEXP rows = Rf_allocVector(INTSXP, count);
  for (int64_t i = 0; i < count; i++) INTEGER(rows)[i] = (int)(numbers[i] + 1);
  return rows;
}

SEXP sets_of(SEXP matrix, int skipped, int64_t limit, int grow, sets *result) {
  const int64_t rows = Rf_nrows(matrix), columns = Rf_ncols(matrix);
  const int *numbers = INTEGER(matrix);
  result->offsets = (int64_t *)R_alloc((size_t)rows + 1, sizeof(int64_t));
  result->members = (int64_t *)R_alloc((size_t)(rows * columns) + 1, sizeof(int64_t));
  int64_t count = 0;
  for (int64_t i = 0; i < rows; i++) {
    result->offsets[i] = count;
    for (int64_t j = skipped; j < columns; j++) {
      const int number = numbers[i + j * rows];
      const int64_t most = grow ? limit + i : limit;
      if (number == NA_INTEGER) continue;
      if (number < 1 || number > most) {
        return failure("neighbors[%lld, %lld]: expected NA or a row number below that of the row, got %d", (long long)i,
                       (long long)j, number);
      }
      result->members[count++] = number - 1;
    }
  }
  result->offsets[rows] = count;
  return R_NilValue;
}

SEXP named_list(const char *name, SEXP value, ...) {
  const char *names[8] = {name};
  SEXP values[8] = {value};
  int count = 1;
  va_list rest;
  va_start(rest, value);
  for (const char *next; (next = va_arg(rest, const char *)); count++) {
    names[count] = next;
    values[count] = va_arg(rest, SEXP);
  }
  va_end(rest);
  SEXP list = PROTECT(Rf_allocVector(VECSXP, count)), list_names = PROTECT(Rf_allocVector(STRSXP, count));
  for (int i = 0; i < count; i++) {
    SET_VECTOR_ELT(list, i, values[i]);
    SET_STRING_ELT(list_names, i, Rf_mkChar(names[i]));
  }
  Rf_namesgets(list, list_names);
  UNPROTECT(2);
  return list;
}
