"""Pairs of objects of two trees by one metric of the caller: searches in a tree for the objects of the other one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _calls
from .._calls import ProgressReport
from .._capi.memory import Float64s, Int64s
from .._capi.pairs import Pairs

# Pairs that are found at once, at most, unless a single chunk of queries has more.
_PAIRS_AT_ONCE, _FEWEST_QUERIES = 1 << 22, 128


def within(tree: Any, other: Any, r: float, *, distances: bool, **how: Any) -> Pairs:
    """All pairs within a radius, in lexicographic order."""
    if other is tree:
        return _mirrored(tree, r, distances=distances, **how)
    found = other.radius(r, queries=tree._objects(tree.indices), return_distances=distances, **how)
    return _sorted(np.repeat(tree.indices, np.diff(found.offsets)), found.indices, found.distances)


def _mirrored(tree: Any, r: float, *, distances: bool, **how: Any) -> Pairs:
    """The pairs of a tree with itself, for which the metric is evaluated once in one direction."""
    found, apart = tree._pairs(r, None, distances=distances, **how)
    (low, high), own = found.T, tree.indices
    if apart is not None:
        apart = np.concatenate([apart, apart, np.zeros(len(own))])
    return _sorted(np.concatenate([low, high, own]), np.concatenate([high, low, own]), apart)


def _sorted(rows: Int64s, columns: Int64s, distances: Float64s | None) -> Pairs:
    order = np.lexsort((columns, rows))
    pairs = np.column_stack([rows, columns])[order]
    pairs.flags.writeable = False
    if distances is not None:
        distances = distances[order]
        distances.flags.writeable = False
    return pairs, distances


def counts(
    tree: Any,
    other: Any,
    radii: Float64s,  # ascending
    own: Float64s | None,
    others: Float64s | None,
    *,
    n_threads: int | None,
    progress: ProgressReport | None,
) -> NDArray[Any]:
    """Pairs, or sums of their weights, beyond one radius and within the next."""
    is_plain = own is None and others is None
    sums = np.zeros(len(radii), np.int64 if is_plain else np.float64)
    if not len(radii) or not len(tree) or not len(other):
        return sums
    indices, found_in = tree.indices, other.indices
    step = max(_FEWEST_QUERIES, _PAIRS_AT_ONCE // len(found_in))
    for first in range(0, len(indices), step):
        rows, n = slice(first, first + step), len(indices)
        found = other.radius(
            radii[-1], queries=tree._objects(indices[rows]), return_distances=True, n_threads=n_threads,
            progress=_calls.part(progress, first / n, min(n, first + step) / n),
        )  # fmt: skip
        bins, weights = np.searchsorted(radii, found.distances), None
        if own is not None:
            weights = np.repeat(own[rows], np.diff(found.offsets))
        if others is not None:
            theirs = others[np.searchsorted(found_in, found.indices)]
            weights = theirs if weights is None else weights * theirs
        sums += np.bincount(bins, weights, len(radii)).astype(sums.dtype)
    return sums
