"""Cuts along the Hilbert curve, by a sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _calls
from .._capi import Float64s, Int64s, partitions


@dataclass(frozen=True)
class Curve:
    """The Hilbert curve through a box, cut into partitions.

    A partition begins at a pair of a key and a dataset index, so points of one key, duplicates above all, are cut like
    others.
    """

    low: Float64s  #: (dim,) sides of the box
    high: Float64s
    keys: NDArray[np.uint64]  #: (partitions - 1,) where partitions but the first begin
    indices: Int64s  #: (partitions - 1,)

    @classmethod
    def cut(cls, low: Float64s, high: Float64s, keys: NDArray[np.uint64], indices: Int64s, n_partitions: int) -> Curve:
        """Cut where a sample says that partitions are equally large."""
        order = np.lexsort((indices, keys))
        starts = order[np.arange(1, n_partitions) * len(order) // n_partitions]
        return cls(low, high, keys[starts], indices[starts])

    def positions(self, points: NDArray[Any]) -> NDArray[np.uint64]:
        """Keys of points, shape (n,)."""
        return positions(points, self.low, self.high)

    def partitions(self, points: NDArray[Any], indices: Int64s | None = None) -> Int64s:
        """The partition of each point; of new points, which have no index, the first that has their key."""
        keys = self.positions(points)
        if indices is None:
            return np.searchsorted(self.keys, keys, side="left").astype(np.int64)
        partitions = np.searchsorted(self.keys, keys, side="right").astype(np.int64)
        # Points with the key of one or more cuts go by their indices.
        cuts, below, counts = np.unique(self.keys, return_index=True, return_counts=True)
        for key, first, count in zip(cuts, below, counts):
            rows = np.flatnonzero(keys == key)
            partitions[rows] = first + np.searchsorted(self.indices[first : first + count], indices[rows], side="right")
        return partitions

    def rows_of_partitions(self, points: NDArray[Any], indices: Int64s) -> list[NDArray[np.intp]]:
        """The rows of the points that each partition has."""
        partitions = self.partitions(points, indices)
        order = np.argsort(partitions, kind="stable")
        return np.split(order, np.searchsorted(partitions[order], np.arange(1, len(self.keys) + 1)))


def sample_share(n_points: int, n_partitions: int) -> float:
    """The share of all points that a cut into partitions samples."""
    # With 1000 sampled points a partition, its size is off by a thirtieth, and the largest of 64 by less than a tenth.
    return min(1.0, 1000 * n_partitions / n_points)


def sampled(rng: np.random.Generator, n_rows: int, share: float) -> Int64s:
    """A share of some rows, ascending."""
    return np.sort(rng.choice(n_rows, int(np.ceil(share * n_rows)), replace=False))


def positions(points: NDArray[Any], low: Float64s, high: Float64s) -> NDArray[np.uint64]:
    """The positions of points along the Hilbert curve through a box."""
    rows = np.ascontiguousarray(points, np.float64)
    return partitions.hilbert_keys(rows, low, high, n_threads=_calls.threads(None))
