"""Groups of points that are near each other, in memory linear in the number of points."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from .. import _arguments
from ._cover_tree import CoverTree

Indices = NDArray[np.int64]

# Pairs of near points that are listed at once, or as many as there are points.
_PAIRS_AT_ONCE = 1 << 20


@dataclass(frozen=True, eq=False)
class DuplicateGroups:
    """Groups of points that are near each other: a sequence of arrays of ascending dataset indices.

    Groups come in the order of their first members. Points that are near no other are in no group.
    """

    labels: Indices  #: (n,) the first member of each point's group; a point in no group has its own index
    offsets: Indices  #: (g + 1,) members of group ``i`` are at ``offsets[i]:offsets[i + 1]``
    members: Indices  #: of all groups

    @classmethod
    def of_labels(cls, labels: Indices) -> DuplicateGroups:
        """Gather the members of each group."""
        sizes = np.bincount(labels, minlength=len(labels))
        firsts = np.flatnonzero(sizes > 1)
        order = np.argsort(labels, kind="stable")
        offsets = np.concatenate([[0], np.cumsum(sizes[firsts])]).astype(np.int64)
        return cls(labels, offsets, order[sizes[labels[order]] > 1])

    @property
    def firsts(self) -> Indices:
        """The first member of each group, shape (g,)."""
        return self.members[self.offsets[:-1]]

    @property
    def others(self) -> Indices:
        """All members but the first of each group, in ascending order: without them no two points are equal."""
        return np.flatnonzero(self.labels != np.arange(len(self.labels)))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, group: int) -> Indices: ...
    @overload
    def __getitem__(self, group: slice) -> list[Indices]: ...
    def __getitem__(self, group: int | slice) -> Indices | list[Indices]:
        if isinstance(group, slice):
            return [self[i] for i in range(*group.indices(len(self)))]
        i = range(len(self))[group]
        return self.members[self.offsets[i] : self.offsets[i + 1]]

    def __iter__(self) -> Iterator[Indices]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"DuplicateGroups(n_points={len(self.labels)}, n_groups={len(self)}, n_members={len(self.members)})"


def find(points: NDArray[np.float64], tol: float) -> DuplicateGroups:
    """Group points that lie within ``tol`` of each other, directly or through others."""
    firsts = _equal(points)
    if tol != 0:
        distinct = np.flatnonzero(firsts == np.arange(len(firsts)))
        first_of = np.zeros(len(firsts), np.int64)
        first_of[distinct] = distinct[_connected(points[distinct], tol)]
        firsts = first_of[firsts]
    return DuplicateGroups.of_labels(firsts)


def _equal(points: NDArray[np.float64]) -> Indices:
    """Find, for each point, the first that is equal to it."""
    order = np.lexsort(points.T)  # stable: equal points are in the order of their indices
    in_order = points[order]
    is_first = np.ones(len(points), bool)
    is_first[1:] = (in_order[1:] != in_order[:-1]).any(axis=1)
    firsts = np.empty(len(points), np.int64)
    firsts[order] = order[np.flatnonzero(is_first)][np.cumsum(is_first) - 1]
    return firsts


def _connected(points: NDArray[np.float64], tol: float) -> Indices:
    """Find, for each of points no two of which are equal, the first that chains of near ones lead to."""
    tree = CoverTree(points, engine="native", dtype=np.float64)
    firsts = np.arange(len(points))
    with _arguments.renamed(r="tol"):
        ends = np.cumsum(tree.radius(tol, predecessor_mode=True, count_only=True))
    at_once = max(_PAIRS_AT_ONCE, len(points))
    first = 0
    while first < len(points):
        done = ends[first - 1] if first > 0 else 0
        end = max(first + 1, int(np.searchsorted(ends, done + at_once, side="right")))
        if ends[end - 1] > done:
            rows = np.arange(first, end)
            near = tree.radius(tol, queries=rows, predecessor_mode=True)
            _join(firsts, np.repeat(rows, np.diff(near.offsets)), near.indices)
        first = end
    return _roots(firsts, firsts)


def _join(firsts: Indices, some: Indices, others: Indices) -> None:
    """Lead groups that have a pair to the same first point. Those never ascend, so no chain of them is a ring."""
    while True:
        a, b = _roots(firsts, some), _roots(firsts, others)
        apart = a != b
        if not apart.any():
            return
        some, others = a[apart], b[apart]
        firsts[np.maximum(some, others)] = np.minimum(some, others)


def _roots(firsts: Indices, points: Indices) -> Indices:
    """Find the point that leads no farther, from each point on."""
    found = firsts[points]
    while True:
        farther = firsts[found]
        if (farther == found).all():
            return found
        found = farther
