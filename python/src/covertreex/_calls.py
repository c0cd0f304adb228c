"""What the library's calls have in common: rows of queries, options, and the choice of a thread to run in."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

from numpy.typing import NDArray

from . import _arrays, _native
from ._native import lib

_PREDECESSORS, _EXCLUDE_SELF, _MAX_DISTANCE = 1, 2, 4

# Searches of fewer rows end too soon to be interrupted.
_ROWS_WORTH_A_THREAD = 1000

ProgressReport = Callable[[float], object]


class Rows(NamedTuple):
    """Queries as the library takes them; `keep` keeps alive what `arguments` points to."""

    kind: str
    n_rows: int
    arguments: tuple[Any, ...]
    keep: NDArray[Any] | None


class Owner:
    """Frees a handle of the library when nothing refers to it any more."""

    def __init__(self, handle: ctypes.c_void_p, free: Callable[[ctypes.c_void_p], object]) -> None:
        weakref.finalize(self, free, handle)


def point_rows(array: NDArray[Any]) -> tuple[int, int, int, int]:
    return array.ctypes.data, array.shape[0], array.shape[1], _arrays.row_stride(array)


def call_options(n_threads: int | None) -> Any:
    options = _native.CallOptions()
    lib.covertree_call_options_init(ctypes.byref(options))
    options.n_threads = threads(n_threads)
    return options


def search_options(
    n_threads: int | None, predecessor_mode: bool, exclude_self: bool, max_distance: float | None
) -> Any:
    options = _native.SearchOptions()
    lib.covertree_search_options_init(ctypes.byref(options))
    options.n_threads = threads(n_threads)
    options.flags = _PREDECESSORS * bool(predecessor_mode) | _EXCLUDE_SELF * bool(exclude_self)
    if max_distance is not None:
        options.flags |= _MAX_DISTANCE
        options.max_distance = number(max_distance, "max_distance")
    return options


def threads(n_threads: int | None) -> int:
    return 0 if n_threads is None else _arrays.integer(n_threads, "n_threads", minimum=1, maximum=1024)


def number(value: Any, name: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected a number, got {value!r}") from None


def search(
    function: Callable[..., int],
    arguments: tuple[Any, ...],
    n_rows: int,
    options: Any,
    report: ProgressReport | None,
    **names: str,
) -> None:
    """Call a search, in a thread of its own where it may take long."""
    if n_rows < _ROWS_WORTH_A_THREAD and report is None:
        _native.check(function(*arguments), **names)
    else:
        _native.run(function, *arguments, options=options, report=report, **names)
