/* Matrices and features that are written as an argument. */
#ifndef MATRICES_H
#define MATRICES_H

#include <covertree_partitions.h>

#define MATRIX(type, data, rows, columns, stride) \
  (&(covertree_matrix){(data), COVERTREE_DTYPE_##type, 0, (rows), (columns), (int64_t)(stride)})
#define F32(data, rows, columns, stride) MATRIX(F32, data, rows, columns, stride)
#define F64(data, rows, columns, stride) MATRIX(F64, data, rows, columns, stride)
#define I64(data, rows) MATRIX(I64, data, rows, 1, 0)
#define FEATURES(v, rows, columns, stride, p) (&(covertree_features){*F64(v, rows, columns, stride), (p), NULL})

#endif
