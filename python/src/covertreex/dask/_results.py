"""Results of blocks of queries, put together."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._partitions.queries import Nearest, Within, gathered, none_nearest
from ._tasks import Search


def collect(pieces: list[tuple[NDArray[np.int64], Any]], n_rows: int, what: Search) -> Any:
    """The results of all rows, from pieces that have some rows each."""
    if what.k is None:
        return gathered(pieces, n_rows)
    whole = none_nearest(n_rows, what.k, what.dtype)
    for rows, found in pieces:
        for target, array in zip(whole, found):
            target[rows] = array
    return whole


def rows_of(found: Any, rows: NDArray[np.intp]) -> Any:
    """Some rows of results."""
    if isinstance(found, Nearest):
        return found.each(operator.itemgetter(rows))
    lists = [np.arange(found.offsets[row], found.offsets[row + 1]) for row in rows]
    picked = np.concatenate([np.empty(0, np.int64), *lists]).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum([len(some) for some in lists])]).astype(np.int64)
    return Within(offsets, *(array[picked] for array in found[1:]))
