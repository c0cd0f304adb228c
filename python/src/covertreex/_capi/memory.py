"""Memory that Python and the library share: addresses of arrays, arrays over memory of the library, and handles."""

from __future__ import annotations

import ctypes
import struct
import weakref
from collections.abc import Callable
from ctypes import addressof
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

from .structs import Matrix

#: An object of the library, as calls get it.
Handle = ctypes.c_void_p

#: Arrays of one type of elements.
Float64s = NDArray[np.float64]
Int64s = NDArray[np.int64]

#: Rows of coordinates, or one index each; or the number of all points of a tree.
Rows = Union[NDArray[Any], int]

_ELEMENTS: list[Any] = [np.float32, np.float64, np.int32, np.int64, np.uint8]
#: Types of elements by their numbers in the library, each a covertree_dtype.
DTYPES: dict[int, np.dtype[Any]] = {number: np.dtype(element) for number, element in enumerate(_ELEMENTS, 1)}
DTYPE_NUMBERS = {dtype: number for number, dtype in DTYPES.items()}
_INT64, _OBJECT = 4, 6


class Owner:
    """Room for a handle of the library, which is freed when nothing refers to its owner any more.

    The owner is there before the call that makes the handle. An interrupt may come when that call has ended well, and
    then the handle is freed too.
    """

    def __init__(self, free: Callable[[Handle], object]) -> None:
        self.handle = Handle()
        self.free = weakref.finalize(self, free, self.handle)


_char_at: Callable[[Any], ctypes.Array[ctypes.c_char]] = (ctypes.c_char * 0).from_buffer


def address(array: NDArray[Any] | None) -> int | None:
    """The address of an array's data, NULL without an array. The array has to outlive the use of it."""
    if array is None:
        return None
    try:
        # A quarter of the time that `array.ctypes` takes; a call for a single query makes three of these.
        return addressof(_char_at(array))
    except (TypeError, ValueError, BufferError):  # read-only, or with gaps between rows
        return array.ctypes.data


def count(rows: Rows | Matrix) -> int:
    """The number of rows."""
    if isinstance(rows, int):
        return rows
    return rows.rows if isinstance(rows, Matrix) else len(rows)


# Bytes of the fields that are copied take half the time of a struct that is made of fields.
_matrix, _bytes = Matrix.from_buffer_copy, struct.Struct("Piiqqq").pack


def matrix(rows: Rows) -> Matrix:
    """Rows of coordinates, or one number a row, as the library reads them; an array has to outlive the matrix."""
    if isinstance(rows, int):
        return Matrix(None, _INT64, 0, rows, 1, 0)
    shape = rows.shape
    count, columns = shape if len(shape) == 2 else (shape[0], 1)
    stride = rows.strides[0] if count > 1 else 0
    return _matrix(_bytes(address(rows), DTYPE_NUMBERS[rows.dtype], 0, count, columns, stride))


def objects(numbers: Int64s) -> Matrix:
    """Numbers of a caller's objects, as the library reads them."""
    return Matrix(address(numbers), _OBJECT, 0, len(numbers), 1, 0)


class _Memory:
    """Memory of the library as NumPy sees it; the array that is made from this keeps it, and so the owner."""

    def __init__(self, owner: object, interface: dict[str, Any]) -> None:
        self._owner, self.__array_interface__ = owner, interface


def view(
    owner: object, address: int | None, shape: tuple[int, ...], dtype: Any, *, row_bytes: int | None = None
) -> NDArray[Any]:
    """A read-only array over memory of the library, which lives as long as the array does.

    `row_bytes` is the distance of rows, if there are gaps between them.
    """
    dtype = np.dtype(dtype)
    if address is None or 0 in shape:
        empty = np.empty(shape, dtype)
        empty.flags.writeable = False
        return empty
    strides = None if row_bytes is None else (row_bytes, dtype.itemsize)
    interface = {"version": 3, "data": (address, True), "shape": shape, "typestr": dtype.str, "strides": strides}
    return np.asarray(_Memory(owner, interface))
