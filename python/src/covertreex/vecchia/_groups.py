"""Parts of a VIF model in the memory of one process: what a worker does in each round of a computation.

A *group* is the partitions that a worker has. Their points have the observations of the model as further columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._capi import Float64s, Int64s
from .._partitions.partition import Partition, places
from ._parts import Observed, Part, Shared, Terms, Totals, strangers

#: The points of some ranks, which ascend.
Known = tuple[Int64s, Observed]
#: The conditioning sets of a partition's points: their ranks, which ascend, and the ranks in their sets, (n, k).
Sets = tuple[Int64s, Int64s]


@dataclass(frozen=True)
class Columns:
    """What the further columns of a partition's points are: responses, then noise."""

    n_responses: int
    has_noise: bool

    def of(self, partition: Partition, rows: Int64s | slice = slice(None)) -> Observed:
        """The observations at some points of a partition, by their numbers in it."""
        assert partition.values is not None
        values, points = partition.values[rows], partition.points(rows)
        noise = np.ascontiguousarray(values[:, self.n_responses]) if self.has_noise else None
        y = np.ascontiguousarray(values[:, : self.n_responses])
        return Observed(np.ascontiguousarray(points, np.float64), y, noise)


def wanted(sets: Sequence[Sets]) -> Int64s:
    """Ranks in sets of a group that are not its own."""
    own = np.sort(np.concatenate([ranks for ranks, _ in sets]))
    others = [strangers(own, neighbors) for _, neighbors in sets]
    return np.unique(np.concatenate(others))


def serve(group: Sequence[Partition], columns: Columns, ranks: Int64s) -> Known:
    """Those of some ranks that a group has."""
    found = []
    for partition in group:
        rows = places(partition.indices, ranks)
        found.append((partition.indices[rows], columns.of(partition, rows)))
    return joined(found)


def joined(several: Sequence[Known]) -> Known:
    """Several, by ascending rank."""
    ranks = np.concatenate([some for some, _ in several])
    order = np.argsort(ranks)
    return ranks[order], Observed.joined([known for _, known in several]).some(order)


def parts(
    group: Sequence[Partition], columns: Columns, sets: Sequence[Sets], answers: Sequence[Known], *, keep: bool
) -> list[Part]:
    """The parts of a group, a part for each partition, from what the other groups have answered."""
    ranks, known = joined(answers)
    made = []
    for partition, (own, neighbors) in zip(group, sets):
        halo = strangers(own, neighbors)
        rows = places(ranks, halo)
        near_ranks, near = joined([(ranks[rows], known.some(rows)), serve(group, columns, halo)])
        assert np.array_equal(near_ranks, halo)
        made.append(Part(own, columns.of(partition), neighbors, halo, near, keep=keep))
    return made


def totals(group: Sequence[Part], shared: Shared, n_threads: int) -> Totals:
    """A group's shares of the totals."""
    return Totals.of([part.totals(shared, n_threads=n_threads) for part in group])


def terms(group: Sequence[Part], shared: Shared, sums: Totals, *, gradient: bool, n_threads: int) -> Terms:
    """A group's shares of the value and of the gradient."""
    return Terms.of([part.terms(shared, sums, gradient=gradient, n_threads=n_threads) for part in group])


@dataclass(frozen=True)
class Moments:
    """Sums that say how observations spread."""

    count: int
    sums: Float64s  #: of coordinates, then of the first response
    squares: Float64s  #: of deviations from their means

    @classmethod
    def of(cls, group: Sequence[Partition], columns: Columns) -> Moments:
        """Those of a group."""
        found = []
        for partition in group:
            observed = columns.of(partition)
            rows = np.column_stack([observed.points, observed.y[:, 0]])
            found.append(cls(len(rows), rows.sum(axis=0), ((rows - rows.mean(axis=0)) ** 2).sum(axis=0)))
        return cls.joined(found)

    @classmethod
    def joined(cls, several: Sequence[Moments]) -> Moments:
        """Those of several groups (Chan, Golub and LeVeque, 1983)."""
        count = sum(one.count for one in several)
        sums = np.sum([one.sums for one in several], axis=0)
        within = np.sum([one.squares for one in several], axis=0)
        between = np.sum([one.count * (one.sums / one.count - sums / count) ** 2 for one in several], axis=0)
        return cls(count, sums, within + between)
