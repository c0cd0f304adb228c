"""What the library's calls have in common: rows of queries, options, and the choice of a thread to run in."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _arguments, _arrays, _native
from ._native import lib
from ._settings import active_config

_PREDECESSORS, _EXCLUDE_SELF, _MAX_DISTANCE = 1, 2, 4
SCORES = 8

# Searches and changes of fewer rows end too soon to be interrupted. So does a call that compares or moves fewer
# coordinates.
ROWS_WORTH_A_THREAD = 1000
COORDINATES_WORTH_A_THREAD = 1 << 27
# Building handles each coordinate some hundred times.
COORDINATES_WORTH_A_BUILD = 1 << 17

# Copying these takes half the time of making new ones.
_SEARCH_DEFAULTS = _native.SearchOptions()

ProgressReport = Callable[[float], object]
Self = TypeVar("Self", bound="Closeable")


# Queries for the library: their matrix, their number, and the array that the matrix points to, which has to outlive it
# (None for all points of a tree). A named tuple would add a twentieth to the time of a call for a single query.
Queries = tuple[_native.Matrix, int, Any]


class Closeable:
    """Something that holds a handle of the library: a context manager that frees it when it is left."""

    _noun = "tree"  # what messages call it

    def __init__(self) -> None:
        self._handle: ctypes.c_void_p | None = None
        self._owner: Owner | None = None

    @classmethod
    def _holding(cls: type[Self], owner: Owner) -> Self:
        """One around a handle that is there; the rest of it is the caller's to set."""
        made = object.__new__(cls)
        Closeable.__init__(made)
        made._take(owner)
        return made

    def _take(self, owner: Owner) -> None:
        """Hold a handle, in the place of the one there is; calls that run on that one end on it."""
        before = self._owner
        self._handle, self._owner = owner.handle, owner
        if before is not None:
            before.free()

    def _open(self) -> ctypes.c_void_p:
        if self._handle is None:
            raise ValueError(f"{self._noun}: is closed")
        return self._handle

    def close(self) -> None:
        """Free the memory. Arrays that were exported stay valid."""
        if self._owner is not None:
            self._owner.free()
        self._handle = None

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def query_matrix(queries: ArrayLike | None, tree: Any, dtype: np.dtype[Any]) -> Queries:
    """Queries by what they are: all points of a tree, dataset indices, or coordinates."""
    if queries is None:
        n_points = len(tree)
        return _native.Matrix(None, _INT64, 0, n_points, 1, 0), n_points, None
    array = _arrays.own_queries(queries, lambda: tree.dim)
    if not _arrays.are_indices(array):
        array = _arrays.queries(array, "queries", dtype)
    return matrix(array), len(array), array


class Owner:
    """Room for a handle of the library, which is freed when nothing refers to its owner any more.

    The owner is there before the call that makes the handle. An interrupt may come when that call has ended well, and
    then the handle is freed too.
    """

    def __init__(self, free: Callable[[ctypes.c_void_p], object]) -> None:
        self.handle = ctypes.c_void_p()
        self.free = weakref.finalize(self, free, self.handle)

    def is_current(self, get: Callable[..., int], view: Any) -> bool:
        """Ask the library whether exported arrays are those of what they were exported from."""
        _native.check(get(self.handle, ctypes.byref(view)))
        return bool(view.is_current)


# Types of the elements of a matrix by their numbers in the library, each a covertree_dtype.
_DTYPES = {1: np.dtype(np.float32), 2: np.dtype(np.float64), 4: np.dtype(np.int64)}
_DTYPE_NUMBERS = {dtype: number for number, dtype in _DTYPES.items()}
_INT64 = 4


def lists_owner() -> Owner:
    """Room for the handle of lists of neighbours."""
    return Owner(lib.covertree_neighbors_free)


def neighbor_lists(owner: Owner) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any], NDArray[np.float64]]:
    """Offsets, indices, distances and scores of lists that the library made.

    Scores are empty where they were not asked for.
    """
    found = _native.NeighborsView()
    _native.check(lib.covertree_neighbors_get(owner.handle, ctypes.byref(found)))
    total = (found.n_neighbors,)
    return (
        _arrays.view(owner, found.offsets, (found.n_queries + 1,), np.int64),
        _arrays.view(owner, found.indices, total, np.int64),
        _arrays.view(owner, found.distances, total, _DTYPES[found.dtype]),
        _arrays.view(owner, found.scores, total if found.scores else (0,), np.float64),
    )


def matrix(array: NDArray[Any]) -> _native.Matrix:
    """Rows of coordinates, or one number a row, as the library reads them; the array has to outlive the matrix."""
    rows, columns = array.shape if array.ndim == 2 else (len(array), 1)
    stride = array.strides[0] if rows > 1 else 0
    return _native.Matrix(_arrays.start(array), _DTYPE_NUMBERS[array.dtype], 0, rows, columns, stride)


def call_options(n_threads: int | None) -> Any:
    options = _native.CallOptions()
    options.n_threads = threads(n_threads)
    return options


def search_options(
    n_threads: int | None, predecessor_mode: bool, exclude_self: bool, max_distance: float | None
) -> Any:
    options = _native.SearchOptions.from_buffer_copy(_SEARCH_DEFAULTS)
    wanted = threads(n_threads)
    if wanted:
        options.n_threads = wanted
    if predecessor_mode:
        options.flags |= _PREDECESSORS
    if exclude_self:
        options.flags |= _EXCLUDE_SELF
    if max_distance is not None:
        options.flags |= _MAX_DISTANCE
        options.max_distance = _arguments.number(max_distance, "max_distance")
    return options


def threads(n_threads: int | None) -> int:
    """Threads of a call: as it says, or as the active settings do; 0 for the library's own default."""
    if n_threads is None:
        return active_config().threads or 0
    return _arrays.integer(n_threads, "n_threads", minimum=1, maximum=1024)


def part(report: ProgressReport | None, start: float, end: float) -> ProgressReport | None:
    """A report for one part of a call, whose shares are those from ``start`` to ``end`` of the whole."""
    if report is None:
        return None
    _arguments.function(report, "progress")
    whole = report
    return lambda share: whole(start + (end - start) * share)


def call(
    function: Callable[..., int],
    arguments: tuple[Any, ...],
    options: Any,
    report: ProgressReport | None,
    *,
    brief: bool,
    **names: str,
) -> None:
    """Call the library; in a thread of its own unless the call is ``brief`` and nobody follows its progress.

    A thread takes a tenth of a millisecond.
    """
    if brief and report is None:
        if status := function(*arguments):
            _native.check(status, **names)
    else:
        _native.run(function, *arguments, options=options, report=report, **names)
