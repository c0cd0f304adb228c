"""What the library's calls have in common: rows of queries, options, and the choice of a thread to run in."""

from __future__ import annotations

import ctypes
import importlib
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

_SEARCH_DEFAULTS = _native.SearchOptions()
lib.covertree_search_options_init(ctypes.byref(_SEARCH_DEFAULTS))

ProgressReport = Callable[[float], object]
Self = TypeVar("Self", bound="Closeable")


# Queries as the library takes them: the ending of the function's name, how many they are, its arguments, and what is to
# be kept alive meanwhile. A plain tuple, as a named one is a twentieth of what a call for a single query costs.
Rows = tuple[str, int, tuple[Any, ...], Any]


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


def kernels() -> Any:
    """The kernels for Numba, which takes a second to import."""
    return importlib.import_module(f"{__package__}.numba")


def query_rows(queries: ArrayLike | None, tree: Any, dtype: np.dtype[Any]) -> Rows:
    """Queries by what they are: all points of a tree, dataset indices, or coordinates.

    The last of the four values is the array that the arguments point to. Its dtype is the type of the library's call.
    """
    if queries is None:
        n_points = len(tree)
        return "_rows", n_points, (None, n_points), None
    array = _arrays.own_queries(queries, lambda: tree.dim)
    if _arrays.are_indices(array):
        return "_rows", len(array), (_arrays.address(array), len(array)), array
    array = _arrays.queries(array, "queries", dtype)
    return "", len(array), point_rows(array), array


class Owner:
    """Room for a handle of the library, which is freed when nothing refers to its owner any more.

    The owner is there before the call that makes the handle. An interrupt may come when that call has ended well, and
    then the handle is freed too.
    """

    def __init__(self, free: Callable[[ctypes.c_void_p], object]) -> None:
        self.handle = ctypes.c_void_p()
        self.free = weakref.finalize(self, free, self.handle)

    def is_current(self, ask: Callable[..., int]) -> bool:
        """Ask the library whether exported arrays are those of what they were exported from."""
        current = ctypes.c_int32()
        _native.check(ask(self.handle, ctypes.byref(current)))
        return bool(current.value)


# By their numbers in the library, each a covertree_dtype; of distances.
_DISTANCE_DTYPES = {1: np.dtype(np.float32), 2: np.dtype(np.float64)}


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
        _arrays.view(owner, found.distances, total, _DISTANCE_DTYPES[found.dtype]),
        _arrays.view(owner, found.scores, total if found.scores else (0,), np.float64),
    )


def point_rows(array: NDArray[Any]) -> tuple[Any, int, int, int]:
    n, dim = array.shape
    return _arrays.address(array), n, dim, _arrays.row_stride(array)


def call_options(n_threads: int | None) -> Any:
    options = _native.CallOptions()
    lib.covertree_call_options_init(ctypes.byref(options))
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
