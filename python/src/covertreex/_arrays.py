"""The one place that checks arrays: what comes in is made ready for the library, what it shows is wrapped."""

from __future__ import annotations

import ctypes
import operator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def points(values: ArrayLike, name: str, *, dtype: np.dtype[Any] | None = None) -> NDArray[Any]:
    """Rows of float32 or float64 coordinates that the library can read in place.

    Parameters
    ----------
    values : array_like, shape (n, dim)
        Anything numeric and real. Arrays of float32 or float64 whose rows are without gaps go through without a copy,
        others are converted once: float16 to float32, the rest to float64.
    name : str
        The argument's name, for messages.
    dtype : numpy.dtype, optional
        The type that is needed; by default the array's own.

    Returns
    -------
    numpy.ndarray, shape (n, dim)
    """
    array = np.asarray(values)
    if array.ndim == 2 and array.dtype is dtype and array.flags.carray:
        return array  # as it nearly always is
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: expected real numbers, got dtype {array.dtype}")
    if array.ndim != 2:
        raise ValueError(f"{name}: expected two dimensions (n, dim), got shape {array.shape}")
    wanted = dtype or float_dtype(array.dtype)
    if array.dtype == wanted and array.dtype.isnative and array.flags.aligned and _rows_without_gaps(array):
        return array
    with np.errstate(over="ignore"):  # what overflows becomes infinite, and is refused as such
        return np.ascontiguousarray(array, dtype=wanted.newbyteorder("="))


def queries(values: ArrayLike, name: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Rows of queries among points of a type: in that type, but float64 queries among float32 points stay float64.

    If they were rounded, they could have other neighbours.
    """
    array = np.asarray(values)
    if array.ndim == 2 and array.dtype is dtype and array.flags.carray:
        return array  # as it nearly always is
    return points(array, name, dtype=None if dtype == np.float32 else dtype)


def float_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type in which coordinates of a type are kept where nobody says."""
    return np.dtype(np.float32 if dtype in (np.float16, np.float32) else np.float64)


def _rows_without_gaps(array: NDArray[Any]) -> bool:
    row, item = array.strides
    inner = item == array.itemsize or array.shape[1] <= 1
    outer = (row >= array.shape[1] * array.itemsize and row % array.itemsize == 0) or array.shape[0] <= 1
    return inner and outer


def rows(values: ArrayLike, name: str) -> NDArray[Any]:
    """Rows of real coordinates that are read some at a time, as they are: memory-mapped ones stay so."""
    array = np.asanyarray(values)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: expected real numbers, got dtype {array.dtype}")
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"{name}: expected two dimensions (n, dim), none of them 0, got shape {array.shape}")
    return array


def check_finite(points: NDArray[Any], name: str, first: int = 0) -> None:
    """Raise for a coordinate that is none; ``first`` is the index of the first row."""
    good = np.isfinite(points)
    if not good.all():
        row, column = np.argwhere(~good)[0]
        raise ValueError(f"{name}[{first + row}, {column}]: expected a finite number, got {points[row, column]}")


_Start = ctypes.c_char * 0


def address(array: NDArray[Any]) -> Any:
    """Where an array's data begins, as an argument of a call; the array has to outlive it."""
    memory: Any = array
    try:
        # A quarter of the time that `array.ctypes` takes; a call for a single query makes three of these.
        return _Start.from_buffer(memory)
    except (TypeError, ValueError, BufferError):  # read-only, or with gaps between rows
        return array.ctypes.data


def row_stride(array: NDArray[Any]) -> int:
    """Bytes from row to row; 0 where there is one row or none."""
    return array.strides[0] if array.shape[0] > 1 else 0


def indices(values: ArrayLike, name: str) -> NDArray[np.int64]:
    """A one-dimensional int64 array of dataset indices."""
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected integers, got dtype {array.dtype}")
    if array.ndim != 1:
        raise ValueError(f"{name}: expected one dimension, got shape {array.shape}")
    if array.dtype.kind == "u" and array.size and array.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{name}: {array.max()} does not fit an int64")
    return np.ascontiguousarray(array, dtype=np.int64)


def numbers(values: ArrayLike | None, name: str, count: int) -> NDArray[np.float64]:
    """A one-dimensional float64 array of `count` numbers."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: expected real numbers, got dtype {array.dtype}")
    if array.shape != (count,):
        raise ValueError(f"{name}: expected shape ({count},), got {array.shape}")
    return np.ascontiguousarray(array, dtype=np.float64)


def integer(value: Any, name: str, *, minimum: int, maximum: int = 2**63 - 1) -> int:
    """An integer within bounds; booleans and floats are none."""
    if type(value) is int:
        number = value
    elif isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}: expected an integer, got {value!r}")
    else:
        number = operator.index(value)
    if not minimum <= number <= maximum:
        bounds = f"at least {minimum}" if maximum >= 2**63 - 1 else f"{minimum} to {maximum}"
        raise ValueError(f"{name}: expected {bounds}, got {number}")
    return number


class _Memory:
    """Memory of the library as NumPy sees it; the array that is made from this keeps it, and so the owner."""

    def __init__(
        self,
        owner: object,
        address: int,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        strides: tuple[int, ...] | None,
    ) -> None:
        self._owner = owner
        self.__array_interface__ = {
            "version": 3, "data": (address, True), "shape": shape, "typestr": dtype.str, "strides": strides
        }  # fmt: skip


def view(
    owner: object, address: int | None, shape: tuple[int, ...], dtype: Any, *, row_bytes: int | None = None
) -> NDArray[Any]:
    """A read-only array over memory of the library, which lives as long as the array does.

    `row_bytes` are those from row to row, where there are gaps between.
    """
    dtype = np.dtype(dtype)
    if address is None or 0 in shape:
        empty = np.empty(shape, dtype)
        empty.flags.writeable = False
        return empty
    strides = None if row_bytes is None else (row_bytes, dtype.itemsize)
    return np.asarray(_Memory(owner, address, shape, dtype, strides))
