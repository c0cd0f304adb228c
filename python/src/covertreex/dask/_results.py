"""Results of blocks of queries, put together."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._partitions.queries import Nearest, Within, gathered, none_nearest


def joined(found: list[Any], what: dict[str, Any]) -> Any:
    """The results of blocks that follow each other."""
    if "k" in what:
        if not found:
            return none_nearest(0, what["k"], what["dtype"])
        return Nearest(*(np.concatenate(arrays) for arrays in zip(*found)))
    sizes = [len(lists.offsets) - 1 for lists in found]
    starts = np.cumsum([0, *sizes])
    rows = [np.arange(start, start + size) for start, size in zip(starts, sizes)]
    return gathered(list(zip(rows, found)), int(starts[-1]))


def in_order_of(results: list[Any], rows: NDArray[np.int64], what: dict[str, Any]) -> Any:
    """The results of blocks, each for rows of its own, in the order of all rows, which ascend."""
    positions = [np.searchsorted(rows, own) for own, _, _ in results]
    if "radius" in what:
        return gathered([(at, found) for at, (_, found, _) in zip(positions, results)], len(rows))
    whole = none_nearest(len(rows), what["k"], what["dtype"])
    for at, (_, found, _) in zip(positions, results):
        for target, array in zip(whole, found):
            target[at] = array
    return whole


def rows_of(found: Any, rows: NDArray[np.intp]) -> Any:
    """Some rows of results."""
    if isinstance(found, Nearest):
        return found.each(operator.itemgetter(rows))
    lists = [np.arange(found.offsets[row], found.offsets[row + 1]) for row in rows]
    picked = np.concatenate([np.empty(0, np.int64), *lists]).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum([len(some) for some in lists])]).astype(np.int64)
    return Within(offsets, *(array[picked] for array in found[1:]))
