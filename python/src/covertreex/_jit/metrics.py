"""Metrics of a caller, compiled so that the library calls them from all threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import types
from numpy.typing import DTypeLike

from .. import _arguments, _arrays
from .._capi.callbacks import CompiledMetric

_DTYPES = tuple(map(np.dtype, (np.float64, np.float32, np.int64)))


def metric(function: Callable[[Any, Any], float], dtype: DTypeLike = np.float64) -> CompiledMetric:
    """Compile a metric of two objects for :func:`covertreex.cover_tree`.

    Parameters
    ----------
    function : callable
        ``function(x, y)`` gives a distance. ``x`` and ``y`` are rows of coordinates, arrays of shape (dim,); or, with
        ``dtype`` int64, two numbers of objects. A plain Python function is compiled by ``numba.njit``. It must not
        raise: several threads call it without the interpreter.
    dtype : {"float64", "float32", "int64"}
        Of the coordinates, in which the tree keeps points; or of numbers.

    Returns
    -------
    covertreex.tree.CompiledMetric

    Examples
    --------
    >>> import numpy as np
    >>> import covertreex
    >>> from covertreex.numba import metric
    >>> hamming = metric(lambda x, y: float(np.sum(x != y)))
    >>> bits = np.random.default_rng(0).integers(0, 2, (200, 64)).astype(float)
    >>> covertreex.cover_tree(bits, metric=hamming).knn(3).shape
    (200, 3)
    """
    _arguments.function(function, "function")
    element = _arrays.element_type(dtype, "dtype", _DTYPES)
    jitted = function if hasattr(function, "py_func") else numba.njit(function)
    pointer = types.CPointer(numba.from_dtype(element))
    signature = types.int32(types.voidptr, types.int64, types.int64, pointer, pointer, types.CPointer(types.float64))
    compiled = numba.cfunc(signature)(_filling(_of_numbers(jitted) if element.kind == "i" else jitted))
    return CompiledMetric(compiled.address, element, compiled)


def _of_numbers(distance: Any) -> Any:
    """A metric of rows of one number."""
    return numba.njit(lambda x, y: distance(x[0], y[0]))


def _filling(distance: Any) -> Callable[..., int]:
    """A ``covertree_distance_fn`` of a metric of rows."""

    def fill(_: Any, count: int, columns: int, left: Any, right: Any, distances: Any) -> int:
        x, y = numba.carray(left, (count, columns)), numba.carray(right, (count, columns))
        found = numba.carray(distances, count)
        for pair in range(count):
            found[pair] = distance(x[pair], y[pair])
        return 0

    return fill
