"""Results of blocks of queries, put together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._capi import Int64s
from .._capi.calls import Lists
from .._partitions.queries import Within, gathered
from ._rounds import Search


def collect(pieces: list[tuple[Int64s, Any]], n_rows: int, what: Search) -> Any:
    """The results of all rows, from pieces that have some rows each."""
    if what.k is None:
        return gathered(pieces, n_rows) if pieces else _no_lists(n_rows, what.dtype)
    dtypes = (np.dtype(np.int64), what.dtype)[: 1 + what.distances]
    whole = tuple(np.empty((n_rows, what.k), dtype) for dtype in dtypes)
    for rows, found in pieces:
        for target, array in zip(whole, found):
            target[rows] = array
    return whole


def _no_lists(n_rows: int, dtype: np.dtype[Any]) -> Within:
    none = np.empty(0, np.int64)
    return Within(np.zeros(n_rows + 1, np.int64), none, np.empty(0, dtype), np.empty(0))


def rows_of(found: Any, rows: NDArray[np.intp]) -> Any:
    """Some rows of results."""
    if not isinstance(found, Lists):
        return tuple(array[rows] for array in found)
    lists = [np.arange(found.offsets[row], found.offsets[row + 1]) for row in rows]
    picked = np.concatenate([np.empty(0, np.int64), *lists]).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum([len(some) for some in lists])]).astype(np.int64)
    return Within(offsets, found.indices[picked], found.distances[picked], found.scores[picked])
