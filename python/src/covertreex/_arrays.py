"""Checks and conversions of all arrays for the library."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _frames
from ._arguments import described, is_many, number

_INT64 = np.dtype(np.int64)


def array_of(values: Any, name: str, *, subclasses: bool = False) -> NDArray[Any]:
    """Anything array-like as an array, and tables of other packages. Ragged lists and masked elements are errors."""
    if type(values) is not np.ndarray:
        values = _frames.plain(values, name)
    try:
        array = np.asanyarray(values) if subclasses else np.asarray(values)
    except (ValueError, OverflowError) as error:  # rows of different lengths, above all
        raise ValueError(f"{name}: expected an array, got {described(values)}: {error}") from error
    return array


def check_real(array: NDArray[Any], values: Any, name: str, kinds: str = "biuf", noun: str = "real numbers") -> None:
    """Raise for an array, made of some values, that has other elements than numbers."""
    if array.dtype.kind not in kinds:
        got = described(values) if array.ndim == 0 else f"dtype {array.dtype}"
        raise TypeError(f"{name}: expected {noun}, got {got}")


def real_array(values: Any, name: str, *, subclasses: bool = False) -> NDArray[Any]:
    """Real numbers as an array of any type and shape. Complex numbers and whatever else is not real are a TypeError."""
    array = array_of(values, name, subclasses=subclasses)
    check_real(array, values, name)
    return array


def points(values: ArrayLike, name: str, *, dtype: np.dtype[Any] | None = None) -> NDArray[Any]:
    """Rows of float32 or float64 coordinates that the library can read in place, shape (n, dim).

    Arrays of the needed type whose rows are without gaps go through without a copy, others are converted once. Without
    a ``dtype``, float16 becomes float32, and all other types but float32 become float64.
    """
    if type(values) is np.ndarray and values.ndim == 2 and values.dtype is dtype and values.flags.carray:
        return values  # as it nearly always is
    array = real_array(values, name)
    if array.ndim != 2:
        got = f"shape {array.shape}" if array.ndim else described(values)
        raise ValueError(f"{name}: expected two dimensions (n, dim), got {got}")
    wanted = dtype or float_dtype(array.dtype)
    if array.dtype == wanted and array.dtype.isnative and array.flags.aligned and _rows_without_gaps(array):
        return array
    with np.errstate(over="ignore"):  # overflow becomes infinite, and is refused as such
        return np.ascontiguousarray(array, dtype=wanted.newbyteorder("="))


def queries(values: ArrayLike, name: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Rows of queries among points of a type: in that type, but float64 queries among float32 points stay float64.

    If they were rounded, they could have other neighbours.
    """
    return points(values, name, dtype=None if dtype == np.float32 else dtype)


def float_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The default type in which coordinates of a type are stored."""
    return np.dtype(np.float32 if dtype in (np.float16, np.float32) else np.float64)


def seed(value: Any) -> int:
    """A seed of the library."""
    return integer(value, "seed", minimum=0, maximum=2**64 - 1)


def element_type(wanted: Any, name: str, kinds: tuple[np.dtype[Any], ...]) -> np.dtype[Any]:
    """One of some types of elements, by whatever name NumPy knows."""
    expected = f"{name}: expected {' or '.join(map(str, kinds))}"
    try:
        found: np.dtype[Any] = np.dtype(wanted)
    except (TypeError, ValueError):
        raise TypeError(f"{expected}, got {described(wanted)}") from None
    if wanted is None or found not in kinds:  # NumPy takes None for float64
        raise TypeError(f"{expected}, got {None if wanted is None else found}")
    return found


def _rows_without_gaps(array: NDArray[Any]) -> bool:
    row, item = array.strides
    inner = item == array.itemsize or array.shape[1] <= 1
    outer = (row >= array.shape[1] * array.itemsize and row % array.itemsize == 0) or array.shape[0] <= 1
    return inner and outer


def rows(values: ArrayLike, name: str) -> NDArray[Any]:
    """Rows of real coordinates that are read some at a time, as they are: memory-mapped ones stay so."""
    array = real_array(values, name, subclasses=True)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"{name}: expected two dimensions (n, dim) above 0, got shape {array.shape}")
    return array


def check_finite(points: NDArray[Any], name: str, first: int = 0) -> None:
    """Raise for a coordinate that is not finite; ``first`` is the index of the first row."""
    good = np.isfinite(points)
    if not good.all():
        row, column = np.argwhere(~good)[0]
        raise ValueError(f"{name}[{first + row}, {column}]: expected a finite number, got {points[row, column]}")


def indices(values: ArrayLike, name: str, *, one: bool = False) -> NDArray[np.int64]:
    """A one-dimensional int64 array of dataset indices; with ``one`` a single number makes one, too."""
    if type(values) is np.ndarray and values.dtype is _INT64 and values.ndim == 1 and values.flags.carray:
        return values
    array = array_of(values, name)
    if one and array.ndim == 0 and array.dtype.kind in "iu":
        array = array.reshape(1)
    if array.ndim == 1 and array.size == 0 and not isinstance(values, np.ndarray):
        array = array.astype(np.int64)  # an empty list, whose type NumPy does not know
    check_real(array, values, name, "iu", "integers")
    if array.ndim != 1:
        got = f"shape {array.shape}" if array.ndim else described(values)
        raise ValueError(f"{name}: expected one dimension, got {got}")
    if array.dtype.kind == "u" and array.size and array.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{name}: expected integers of 64 bits, got {array.max()}")
    return np.ascontiguousarray(array, dtype=np.int64)


def copied_indices(values: ArrayLike, name: str) -> NDArray[np.int64]:
    """Indices that stay as they were checked, if another thread writes to the caller's array."""
    return np.array(indices(values, name))


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """An array without gaps that cannot be written to, as exported ones are: kernels are compiled for those."""
    shown: NDArray[Any] = np.ascontiguousarray(array).view()
    shown.flags.writeable = False
    return shown


def own_queries(queries: ArrayLike, dim: Callable[[], int]) -> NDArray[Any]:
    """Queries as dataset indices, int64 of shape (q,), or as real coordinates, shape (q, dim).

    Indices may also be a column, integers of shape (q, 1). If ``dim()`` is 1, such a column has coordinates. Other
    queries do not need it: a tree asks the library for its dimension, which takes microseconds.
    """
    array = queries if type(queries) is np.ndarray else array_of(queries, "queries")
    if array.ndim == 2 and array.dtype.kind == "f":
        return array
    if array.ndim == 2 and array.shape[1] == 1 and array.dtype.kind in "iu" and dim() != 1:
        array = array.reshape(-1)
    if array.ndim == 1 and array.dtype.kind in "iu":
        return indices(array, "queries")
    if array.ndim == 1 and array.size == 0 and array is not queries:
        return np.empty(0, np.int64)  # an empty list
    return points(queries, "queries")


def are_indices(array: NDArray[Any]) -> bool:
    """True if an array of :func:`own_queries` has dataset indices and not coordinates."""
    return array.ndim == 1


def as_rows(queries: Any, dim: Callable[[], int]) -> tuple[Any, bool]:
    """Queries, and whether they are one point as a vector of floats, which becomes a row.

    A vector of integers has dataset indices.
    """
    if queries is None or (type(queries) is np.ndarray and (queries.ndim != 1 or queries.dtype.kind != "f")):
        return queries, False
    array = array_of(queries, "queries")
    if array.ndim != 1 or array.dtype.kind != "f" or (array.size == 0 and array is not queries):
        return queries, False
    wanted = dim()
    if len(array) != wanted:
        raise ValueError(
            f"queries: expected shape ({wanted},) for one point, or (q, {wanted}), got shape {array.shape}"
        )
    return array.reshape(1, -1), True


def ranks(k: Any) -> tuple[int, NDArray[np.int64] | None]:
    """The number of neighbours to search for and, if ``k`` is a list of ranks from 1 up, the columns of these."""
    if type(k) is int or not (isinstance(k, (list, tuple, range)) or getattr(k, "ndim", 0) > 0):
        return integer(k, "k", minimum=1), None
    wanted = indices(k, "k")
    if not wanted.size:
        raise ValueError("k: expected at least one rank, got none")
    if wanted.min() < 1:
        raise ValueError(f"k[{wanted.argmin()}]: expected a rank from 1 up, got {wanted.min()}")
    return int(wanted.max()), wanted - 1


def answers(found: tuple[Any, ...], columns: NDArray[np.int64] | None, is_vector: bool) -> Any:
    """Results of a search in the shape that its arguments ask for, as :func:`ranks` and :func:`as_rows` read them.

    Indices alone, or a tuple of these and their distances.
    """
    if columns is not None:
        found = tuple(one.take(columns, axis=1) for one in found)
    if is_vector:
        found = tuple(one[0] for one in found)
    return found if len(found) > 1 else found[0]


def mask(admitted: Any, name: str, count: Callable[[], int]) -> NDArray[np.uint8]:
    """A byte for each dataset index, 1 for points that are admitted: by booleans, or by the indices of these points.

    The library checks the number of booleans.
    """
    array = array_of(admitted, name)
    if array.dtype.kind == "b":
        if array.ndim != 1:
            raise ValueError(f"{name}: expected one dimension, got shape {array.shape}")
        return np.ascontiguousarray(array).view(np.uint8)
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"{name}: expected booleans, or integers, got {described(array)}")
    found, n = indices(admitted, name), count()
    for row in np.flatnonzero((found < 0) | (found >= n))[:1]:
        raise IndexError(f"{name}[{row}]: expected a dataset index from 0 to {n - 1}, got {found[row]}")
    bytes_of = np.zeros(n, np.uint8)
    bytes_of[found] = 1
    return bytes_of


def upper_indices(before: ArrayLike | None, n_rows: int) -> NDArray[np.int64] | None:
    """For each query the dataset index below which points count; None for all points."""
    if before is None:
        return None
    upper = indices(before, "before")
    if len(upper) != n_rows:
        raise ValueError(f"before: expected {n_rows} numbers, one for each query, got {len(upper)}")
    return upper


def of_shape(values: Any, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Real numbers of a shape."""
    array = real_array(values, name)
    if array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")
    return array


def real(values: Any, name: str) -> NDArray[np.float64]:
    """Real numbers as a float64 array of any shape."""
    return np.asarray(real_array(values, name), np.float64)


def returned(values: Any, name: str, shape: tuple[int, ...], *, finite: bool = True) -> NDArray[np.float64]:
    """The result of a caller's function as float64 in C order; ``finite`` refuses infinity, too, and not only NaN.

    It may be a new array. If a caller passes its address on, it must keep it alive until the address is read.
    """
    array = of_shape(values, name, shape)
    with np.errstate(over="ignore"):  # overflow becomes infinite, and is refused as such
        converted = np.ascontiguousarray(array, np.float64)
    good = np.isfinite(converted) if finite else ~np.isnan(converted)
    if not good.all():
        raise ValueError(f"{name}: expected {'finite ' if finite else ''}numbers, got {converted[~good][0]}")
    return converted


def integer(value: Any, name: str, *, minimum: int, maximum: int = 2**63 - 1) -> int:
    """Return an integer within bounds; raise for booleans and floats."""
    if type(value) is int:
        number = value
    elif isinstance(value, (bool, np.bool_, type)) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}: expected an integer, got {described(value)}")
    else:
        try:
            number = operator.index(value)
        except TypeError:  # of an array, which has the method
            raise TypeError(f"{name}: expected an integer, got {described(value)}") from None
    if not minimum <= number <= maximum:
        bounds = f"at least {minimum}" if number < minimum and maximum >= 2**63 - 1 else f"{minimum} to {maximum}"
        raise ValueError(f"{name}: expected {bounds}, got {number}")
    return number


def cut(indices: NDArray[np.int64], distances: NDArray[Any], max_distance: Any) -> None:
    """Leave out neighbours beyond a distance, or beyond that of their row; they are the last of each row."""
    if max_distance is None:
        return
    if is_many(max_distance):
        limits = of_shape(max_distance, "max_distance", (len(distances),))
        for row in np.flatnonzero(~(limits >= 0))[:1]:
            raise ValueError(f"max_distance[{row}]: expected a number from 0 up, got {limits[row]}")
        beyond = distances > limits[:, None]
    else:
        beyond = distances > number(max_distance, "max_distance", minimum=0)
    indices[beyond], distances[beyond] = -1, np.inf


def results(n_rows: int, k: int, dtype: Any) -> NDArray[Any]:
    """An array for ``k`` results a row."""
    try:
        return np.empty((n_rows, k), dtype)
    except (MemoryError, ValueError):  # NumPy raises ValueError where the size does not fit its numbers
        raise MemoryError(f"k: expected results that fit in memory, got {n_rows} rows of {k}") from None
