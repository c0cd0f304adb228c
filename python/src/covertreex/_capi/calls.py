"""Options of calls, the choice of how to make one, and the results of searches."""

from __future__ import annotations

from collections.abc import Mapping
from ctypes import byref
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from .._arrays import results
from . import running
from .callbacks import Callback
from .library import Function, check, lib, read
from .memory import DTYPES, Float64s, Int64s, Owner, address, view
from .running import ProgressReport
from .structs import CallOptions, NeighborsView, SearchOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack as Unpack  # noqa: PLC0414 - for other modules
else:
    Unpack = Any  # nothing reads annotations

_INT64 = np.dtype(np.int64)
_PREDECESSORS, _EXCLUDE_SELF, _MAX_DISTANCE, _SCORES = 1, 2, 4, 8

# Copying these takes half the time of making new ones.
_call_options, _CALL_DEFAULTS = CallOptions.from_buffer_copy, CallOptions()
_search_options, _SEARCH_DEFAULTS = SearchOptions.from_buffer_copy, SearchOptions()


Keywords = Mapping[str, Any]


class Way(TypedDict, total=False):
    """Keywords of functions that may take long."""

    progress: ProgressReport | None
    brief: bool  #: it will not take long, and needs no thread of its own
    kernel: Callback | None  #: the callback of the call


class How(Way, total=False):
    """Keywords of functions that may take long, and make their options."""

    n_threads: int  #: 0 means the library's own default


class Wanted(Way, total=False):
    """Keywords of searches for the nearest points."""

    dtype: np.dtype[Any] | None  #: of distances; None for no distances
    scores: bool


BRIEF: How = {"brief": True}

# Arguments of searches by their names in the library, as :func:`check` expects them.
_NAMES = {"admitted": "filter", "max_distances": "max_distance"}
RADIUS_NAMES = {"admitted": "filter", "max_distances": "r", "radius": "r"}

#: Indices of shape (q, k), and their distances and scores where these were asked for.
Nearest = tuple[Int64s, "NDArray[Any] | None", "Float64s | None"]


class Lists(NamedTuple):
    """Neighbours of queries, as lists of their own lengths; scores are empty unless they were requested."""

    offsets: Int64s
    indices: Int64s
    distances: NDArray[Any]
    scores: Float64s


def call_options(n_threads: int) -> CallOptions:
    """Options of most calls; 0 threads mean the library's own default."""
    options = _call_options(_CALL_DEFAULTS)
    options.n_threads = n_threads
    return options


def search_options(  # noqa: PLR0917 - keywords take longer
    n_threads: int,  # 0 means the library's own default
    predecessor_mode: bool = False,  # for queries that are points: only lower indices count,
    exclude_self: bool = False,  # and the query itself does not
    max_distance: float | None = None,
    before: Int64s | None = None,  # (q,) the index below which points count
    limits: Float64s | None = None,  # (q,) the largest score of a neighbour
    *,
    list_scores: bool = False,  # lists of neighbours have scores
    admitted: NDArray[np.uint8] | None = None,  # a byte for each index, 0 for points that are not found
    max_distances: Float64s | None = None,  # (q,) instead of max_distance and of a radius
) -> SearchOptions:
    """Options of a search in a tree or a model."""
    options = _search_options(_SEARCH_DEFAULTS)
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
        options.before, options.limits = address(before), address(limits)
        options.kept = before, limits  # the arrays live as long as the options
    if admitted is not None or max_distances is not None:
        options.admitted, options.n_admitted = address(admitted), 0 if admitted is None else len(admitted)
        options.max_distances = address(max_distances)
        options.kept_too = admitted, max_distances
    return options


def call(
    function: Function, how: Keywords, given: tuple[Any, ...], *results: Any, options: Any = None, **names: str
) -> None:
    """Call a function that gets its options, by default the options of most calls, before its outputs.

    ``how`` is a :class:`How`. A thread takes a tenth of a millisecond. ``names`` are as for :func:`check`.
    """
    if options is None:
        options = call_options(how.get("n_threads", 0))
    progress, kernel = how.get("progress"), how.get("kernel")
    if progress is None and kernel is None and how.get("brief"):
        if status := function(*given, byref(options), *results):
            check(status, **names)
        return
    run = running.run if kernel is None else kernel.run
    run(function, *given, byref(options), *results, options=options, report=progress, **names)


def made(function: Function, free: Function, how: Keywords, *given: Any, options: Any = None, **names: str) -> Owner:
    """Call a function that ends with its options and a new handle."""
    owner = Owner(free)
    call(function, how, given, byref(owner.handle), options=options, **names)
    return owner


def nearest(function: Function, wanted: Wanted, asked: tuple[Any, ...], k: int, options: SearchOptions) -> Nearest:
    """Search for the nearest points; ``asked`` begins with a handle and the matrix of queries."""
    n_rows, dtype, distances, scores = asked[1].rows, wanted.get("dtype"), None, None
    indices = results(n_rows, k, _INT64)
    if dtype is not None:
        distances = results(n_rows, k, dtype)
    if wanted.get("scores"):
        scores = results(n_rows, k, np.float64)
        options.scores = address(scores)
    call(function, wanted, asked + (k,), address(indices), address(distances), options=options, **_NAMES)
    return indices, distances, scores


def lists(function: Function, way: Way, *asked: Any, options: Any) -> Lists:
    """Search for all points within a radius."""
    owner = Owner(lib.covertree_neighbors_free)
    call(function, way, asked, byref(owner.handle), options=options, **RADIUS_NAMES)
    return neighbors_get(owner)


def neighbors_get(owner: Owner) -> Lists:
    """Show lists that the library made."""
    found = read(lib.covertree_neighbors_get, owner.handle, NeighborsView)
    total = (found.n_neighbors,)
    return Lists(
        view(owner, found.offsets, (found.n_queries + 1,), _INT64),
        view(owner, found.indices, total, _INT64),
        view(owner, found.distances, total, DTYPES[found.dtype]),
        view(owner, found.scores, total if found.scores else (0,), np.float64),
    )
