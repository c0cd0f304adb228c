"""Common code of kernels: heaps of neighbours, distances, and running in threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import ArrayLike, NDArray

from .. import _arguments, _arrays, _calls, _capi
from .._scores import LEAST_SQUARE, MAGNIFICATION, OF_ZERO

#: An excluded index, and an upper index, with which all points count.
NO_EXCLUSION = -1
NO_LIMIT = 2**31 - 1

#: Have Numba compile a function.
jitted = njit(cache=True, nogil=True)
# Without the conversions of arguments of Python, which take long to compile. Divisions by 0 are infinite.
_INTERNAL = {"cache": True, "nogil": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True, "error_model": "numpy"}
#: The same for what only jitted functions call.
internal = njit(**_INTERNAL)
#: The same for the innermost loops, whose calls would pass many arguments.
inlined = njit(forceinline=True, **_INTERNAL)


def upper_indices(before: ArrayLike | None, n: int, predecessor_mode: bool) -> NDArray[np.int64] | None:
    """For each query the dataset index below which points count; None for all points."""
    upper = _arrays.upper_indices(before, n)
    if upper is not None and predecessor_mode:
        raise ValueError("before: cannot be combined with predecessor_mode, which sets upper indices itself")
    return None if upper is None else np.clip(upper, 0, NO_LIMIT)


def not_for_new_points(predecessor_mode: bool, exclude_self: bool, reason: str) -> None:
    """Raise for options that need the dataset index of a query."""
    for flag, name in ((predecessor_mode, "predecessor_mode"), (exclude_self, "exclude_self")):
        if flag:
            raise ValueError(f"{name}: {reason}; give dataset indices as queries")


def limits(
    rows: NDArray[np.int64], upper: NDArray[np.int64] | None, own: Any, predecessor_mode: bool, exclude_self: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Upper and excluded indices of queries in the order of ``rows``; ``own`` are the indices of stored points."""
    before = np.full(len(rows), NO_LIMIT) if upper is None else upper[rows]
    return own if predecessor_mode else before, own if exclude_self else np.full(len(rows), NO_EXCLUSION)


@intrinsic
def fused_multiply_add(_typing: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c`` with one rounding."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        double = ir.DoubleType()
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(double, [double] * 3), "llvm.fma.f64")
        return builder.call(function, arguments)

    return types.float64(types.float64, types.float64, types.float64), generate


@jitted
def squared_distance(x: Any, y: Any) -> float:
    """Squared Euclidean distance of two rows in float64, bit for bit the library's."""
    total = 0.0
    for d in range(x.shape[0]):
        difference = np.float64(x[d]) - np.float64(y[d])
        total = fused_multiply_add(difference, difference, total)
    return total


# Scores, which `_scores.py` describes.

_MOST_MAGNIFIED = float(np.nextafter(LEAST_SQUARE * MAGNIFICATION * MAGNIFICATION, 0))


@internal
def _reversed(number: float) -> float:
    """The number whose bits are the bits of ``-OF_ZERO`` less the bits of a number."""
    return np.int64(np.float64(-OF_ZERO).view(np.int64) - np.float64(number).view(np.int64)).view(np.float64)


@internal
def score_of_square(square: float) -> float:
    """The score of a squared distance that has not lost digits, or of a limit."""
    if square >= LEAST_SQUARE or square < 0:
        return square
    return -_reversed(square * MAGNIFICATION * MAGNIFICATION)


@internal
def score_of_near(magnified: float) -> float:
    """The score of the square of a small distance that was magnified first."""
    return -_reversed(min(magnified, _MOST_MAGNIFIED))


@internal
def square_of_score(score: float) -> float:
    """The squared distance, which may underflow."""
    return score if score >= 0 else _reversed(-score) / MAGNIFICATION / MAGNIFICATION


@internal
def distance_of_score(score: float) -> float:
    """The distance."""
    return np.sqrt(score) if score >= 0 else np.sqrt(_reversed(-score)) / MAGNIFICATION


@internal
def comes_before(square: float, index: int, other_square: float, other_index: int) -> bool:
    return square < other_square or (square == other_square and index < other_index)


@internal
def sift_down(squares: Any, indices: Any, size: int, square: float, index: int) -> None:
    """Replace the top of a heap, which is its farthest neighbour."""
    slot = 0
    while True:
        child = 2 * slot + 1
        if child >= size:
            break
        if child + 1 < size and comes_before(squares[child], indices[child], squares[child + 1], indices[child + 1]):
            child += 1
        if not comes_before(square, index, squares[child], indices[child]):
            break
        squares[slot], indices[slot] = squares[child], indices[child]
        slot = child
    squares[slot], indices[slot] = square, index


@internal
def insert(squares: Any, indices: Any, count: int, k: int, square: float, index: int) -> int:
    """Add a neighbour to a heap of up to k; returns how many there are then."""
    if count == k:
        if comes_before(square, index, squares[0], indices[0]):
            sift_down(squares, indices, k, square, index)
        return count
    slot = count
    while slot > 0 and comes_before(squares[(slot - 1) // 2], indices[(slot - 1) // 2], square, index):
        squares[slot], indices[slot] = squares[(slot - 1) // 2], indices[(slot - 1) // 2]
        slot = (slot - 1) // 2
    squares[slot], indices[slot] = square, index
    return count + 1


@internal
def sort_heap(squares: Any, indices: Any, count: int) -> None:
    for size in range(count - 1, 0, -1):
        square, index = squares[0], indices[0]
        sift_down(squares, indices, size, squares[size], indices[size])
        squares[size], indices[size] = square, index


# Queries that a thread runs at a time.
_CHUNK = 512


def run(
    kernel: Any,
    tree: Any,
    queries: tuple[NDArray[Any], ...],
    rest: tuple[Any, ...],
    n_threads: int | None,
    progress: _calls.ProgressReport | None,
) -> None:
    """Run a kernel over chunks of the queries, in threads; an interrupt waits for the chunks that have begun."""
    if progress is not None:
        _arguments.function(progress, "progress")
    n = len(queries[0])
    chunks = [slice(first, first + _CHUNK) for first in range(0, n, _CHUNK)]

    def work(chunk: slice) -> None:
        kernel(tree, *(array[chunk] for array in queries), *rest)

    pool = ThreadPoolExecutor(_calls.threads(n_threads) or _capi.get_num_threads())
    try:
        for done, _ in enumerate(pool.map(work, chunks)):
            if progress is not None:
                progress((done + 1) / len(chunks))
    finally:
        pool.shutdown(cancel_futures=True)
