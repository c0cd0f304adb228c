"""Queries on their way to a partition, and its answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._capi import Float64s, Int64s
from .._capi.calls import Lists
from .._scores import LEAST_SQUARE

Features = tuple[Float64s, Float64s]

#: All of some points within a radius of each query, sorted by (score, distance, index).
Within = Lists


@dataclass(frozen=True)
class Queries:
    """Some queries, their limits, and their rows."""

    rows: Int64s  #: (q,) in the block of queries they come from
    points: NDArray[Any]  #: (q, dim)
    before: Int64s | None = None  #: (q,) only points of lower dataset indices count
    own: Int64s | None = None  #: (q,) dataset indices, of points of the partition that is asked
    features: Features | None = None  #: V and p, where the metric is residual correlation
    limits: Float64s | None = None  #: (q,) nothing with a larger score

    def __len__(self) -> int:
        return len(self.rows)

    def some(self, rows: NDArray[np.intp], *, own: bool, limits: Float64s | None = None) -> Queries:
        """Some of them, by position; ``own`` if they are points of the partition that they go to."""
        before = None if self.before is None else self.before[rows]
        here = self.own[rows] if own and self.own is not None else None
        features = None if self.features is None else (self.features[0][rows], self.features[1][rows])
        return Queries(self.rows[rows], self.points[rows], before, here, features, limits)


class Nearest(NamedTuple):
    """The nearest of some points to each query, sorted by (score, distance, index)."""

    indices: Int64s  #: (q, k); -1 if there are fewer
    distances: NDArray[Any]  #: (q, k); infinity there
    scores: Float64s  #: (q, k) the first key of their order; infinity there

    def each(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Nearest:
        """The same with each array changed."""
        return Nearest(change(self.indices), change(self.distances), change(self.scores))


class Answer(NamedTuple):
    """Neighbours in a partition, for those queries that have any there within their limits."""

    asked: NDArray[np.intp]  #: which of the queries
    found: Nearest


def none_nearest(n_rows: int, k: int, dtype: Any) -> Nearest:
    """No neighbours yet."""
    return Nearest(np.full((n_rows, k), -1), np.full((n_rows, k), np.inf, dtype), np.full((n_rows, k), np.inf))


def nbytes(sent: Any) -> int:
    """Bytes of queries, or of an answer, on their way."""
    if isinstance(sent, Queries):
        sent = tuple(vars(sent).values())
    if isinstance(sent, tuple):
        return sum(map(nbytes, sent))
    return 0 if sent is None else int(sent.nbytes)


def merged(one: Nearest, other: Nearest) -> Nearest:
    """The nearest of two partitions' nearest."""
    k = one.indices.shape[1]
    both = Nearest(*(np.concatenate(pair, axis=1) for pair in zip(one, other)))
    # Places without a neighbour come last: their scores are infinite, and a distance is not.
    order = np.lexsort((both.indices, _left_out(both), both.scores), axis=1)[:, :k]
    found = both.each(lambda array: np.take_along_axis(array, order, axis=1))
    # A kernel is rounded, so a partition raises distances that would descend; the whole does the same.
    return found._replace(distances=np.maximum.accumulate(found.distances, axis=1))


def _left_out(found: Nearest | Within) -> NDArray[Any]:
    """Distances as far as their scores have lost digits, zeros for the others."""
    return np.where(found.scores < LEAST_SQUARE, found.distances, 0)


def gathered(lists: list[tuple[Int64s, Within]], n_rows: int) -> Within:
    """The lists of several partitions, each with the rows that it is for, as one."""
    rows = np.concatenate([np.repeat(rows, np.diff(found.offsets)) for rows, found in lists])
    joined = Within(*(np.concatenate(arrays) for arrays in zip(*(found for _, found in lists))))
    order = np.lexsort((joined.indices, _left_out(joined), joined.scores, rows))
    offsets = np.zeros(n_rows + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=n_rows), out=offsets[1:])
    return Within(offsets, joined.indices[order], joined.distances[order], joined.scores[order])
