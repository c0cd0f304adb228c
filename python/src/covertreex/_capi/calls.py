"""Options of calls, the choice of how to make one, and the results of searches."""

from __future__ import annotations

from collections.abc import Callable
from ctypes import byref
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._arrays import results
from . import running
from .callbacks import CallbackKernel
from .library import check, lib, read
from .memory import DTYPES, Handle, Owner, address, start, view
from .running import ProgressReport
from .structs import CallOptions, NeighborsView, SearchOptions

_INT64 = np.dtype(np.int64)
_PREDECESSORS, _EXCLUDE_SELF, _MAX_DISTANCE, _SCORES = 1, 2, 4, 8

# Copying these takes half the time of making new ones.
_CALL_DEFAULTS = CallOptions()
_SEARCH_DEFAULTS = SearchOptions()

#: Indices of shape (q, k), and their distances and scores where these were asked for.
Nearest = tuple[NDArray[np.int64], "NDArray[Any] | None", "NDArray[np.float64] | None"]


class Lists(NamedTuple):
    """Neighbours of queries, as lists of their own lengths; scores are empty where they were not asked for."""

    offsets: NDArray[np.int64]
    indices: NDArray[np.int64]
    distances: NDArray[Any]
    scores: NDArray[np.float64]


def call_options(n_threads: int) -> CallOptions:
    """Options of most calls; 0 threads mean the library's own default."""
    options = CallOptions.from_buffer_copy(_CALL_DEFAULTS)
    options.n_threads = n_threads
    return options


def search_options(  # noqa: PLR0917 - keywords take longer
    n_threads: int,
    predecessor_mode: bool = False,
    exclude_self: bool = False,
    max_distance: float | None = None,
    before: NDArray[np.int64] | None = None,
    limits: NDArray[np.float64] | None = None,
    *,
    list_scores: bool = False,
) -> SearchOptions:
    """Options of a search in a tree or a model.

    Parameters
    ----------
    n_threads : int
        0 means the library's own default.
    predecessor_mode, exclude_self : bool
        For queries that are points: only lower indices count; the query itself does not.
    max_distance : float, optional
        The largest distance of a neighbour.
    before : numpy.ndarray of int64, shape (q,), optional
        For each query the index below which points count.
    limits : numpy.ndarray of float64, shape (q,), optional
        For each query the largest score of a neighbour.
    list_scores : bool
        Whether lists of neighbours have scores.
    """
    options = SearchOptions.from_buffer_copy(_SEARCH_DEFAULTS)
    if n_threads:
        options.n_threads = n_threads
    if predecessor_mode:
        options.flags |= _PREDECESSORS
    if exclude_self:
        options.flags |= _EXCLUDE_SELF
    if list_scores:
        options.flags |= _SCORES
    if max_distance is not None:
        options.flags |= _MAX_DISTANCE
        options.max_distance = max_distance
    if before is not None or limits is not None:
        options.before = None if before is None else start(before)
        options.limits = None if limits is None else start(limits)
        options.kept = before, limits  # the arrays live as long as the options
    return options


def call(
    function: Callable[..., int],
    arguments: tuple[Any, ...],
    options: Any,
    progress: ProgressReport | None,
    *,
    brief: bool = False,
    kernel: CallbackKernel | None = None,
    **names: str,
) -> None:
    """Call the library; in a thread of its own unless the call is ``brief`` and has no report.

    A thread takes a tenth of a millisecond. ``kernel`` is the one that the call may call back; ``names`` are those of
    :func:`check`.
    """
    if kernel is not None:
        kernel.run(function, *arguments, options=options, report=progress, **names)
    elif brief and progress is None:
        if status := function(*arguments):
            check(status, **names)
    else:
        running.run(function, *arguments, options=options, report=progress, **names)


def made(
    function: Callable[..., int],
    free: Callable[[Handle], object],
    given: tuple[Any, ...],
    options: Any,
    progress: ProgressReport | None,
    **how: Any,
) -> Owner:
    """Call a function that ends with its options and a new handle; ``how`` are keywords of :func:`call`."""
    owner = Owner(free)
    call(function, (*given, byref(options), byref(owner.handle)), options, progress, **how)
    return owner


def nearest(
    function: Callable[..., int],
    asked: tuple[Any, ...],
    n_rows: int,
    k: int,
    options: SearchOptions,
    *,
    dtype: np.dtype[Any] | None,
    scores: bool,
    progress: ProgressReport | None,
    brief: bool,
    kernel: CallbackKernel | None = None,
) -> Nearest:
    """Search for the nearest points; ``asked`` is the handle and the queries, ``dtype`` that of distances."""
    indices, distances, found, to = results(n_rows, k, _INT64), None, None, None
    if dtype is not None:
        distances = results(n_rows, k, dtype)
        to = address(distances)
    if scores:
        found = results(n_rows, k, np.float64)
        options.scores = start(found)
    arguments = (*asked, k, byref(options), address(indices), to)
    call(function, arguments, options, progress, brief=brief, kernel=kernel)
    return indices, distances, found


def lists(
    function: Callable[..., int],
    arguments: tuple[Any, ...],
    options: Any,
    progress: ProgressReport | None,
    *,
    brief: bool,
) -> Lists:
    """Search for all points within a radius."""
    free = lib.covertree_neighbors_free
    return neighbors_get(made(function, free, arguments, options, progress, brief=brief, radius="r"))


def neighbors_get(owner: Owner) -> Lists:
    """Show lists that the library made."""
    found = read(lib.covertree_neighbors_get, owner.handle, NeighborsView)
    total = (found.n_neighbors,)
    return Lists(
        view(owner, found.offsets, (found.n_queries + 1,), np.int64),
        view(owner, found.indices, total, np.int64),
        view(owner, found.distances, total, DTYPES[found.dtype]),
        view(owner, found.scores, total if found.scores else (0,), np.float64),
    )
