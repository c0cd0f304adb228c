"""The partitions that a query visits: first its own, then the others that can still matter, the nearest first."""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._capi import Float64s, Int64s
from .._scores import LEAST_SQUARE, largest_score
from .layout import Bounded, Layout
from .partition import Partition
from .queries import Answer, Queries, Within, gathered, merged, nbytes, none_nearest

# The partition that queries are points of: its number, and itself.
Home = tuple[int, Partition]


@dataclass
class Traffic:
    """Traffic of a search."""

    rounds: int = 0
    visits: int = 0  #: of queries to partitions
    messages: int = 0  #: batches of queries, each with an answer
    bytes_sent: int = 0  #: queries that went to another partition than their own
    bytes_received: int = 0  #: and its answers

    def __add__(self, other: Traffic) -> Traffic:
        """The traffic of two blocks that were searched side by side."""
        pairs = zip(astuple(self)[1:], astuple(other)[1:])
        return Traffic(max(self.rounds, other.rounds), *(one + another for one, another in pairs))


class _Block:
    """A block of queries: the partitions that each may still visit, and the queries that were sent.

    ``plan`` makes the queries of the next round, by the partition that they go to; none when all is done. ``receive``
    adds the answers of partitions. ``copy`` makes one that may go on by itself.
    """

    def __init__(self, queries: Queries, layout: Layout, home: Home | None) -> None:
        self.queries, self.home = queries, None if home is None else home[0]
        self.rows = queries.rows
        # The queries that may be asked again: nothing but the rows of the others is kept.
        self._kept: NDArray[np.intp] | None = None
        # For the bounds, which are computed once.
        self._bounds: tuple[Layout, Home | None] | None = (layout, home)
        # Of the last round, by partition: rows that went there, and how many bytes that were.
        self._sent: dict[int, tuple[NDArray[np.intp], int]] = {}
        self.traffic = Traffic()

    def _near(self, limits: Float64s) -> list[Bounded]:
        """Partitions that can have anything for queries within their limits; those of low indices come first."""
        assert self._bounds is not None
        (layout, home), self._bounds = self._bounds, None
        if home is None:
            found = layout.near(self.queries.points, self.queries.features, limits, self.queries.before)
        else:
            found = home[1].near(self.queries, layout, home[0], limits)
        before, near = self.queries.before, []
        for partition, rows, least in found:
            some = slice(None) if before is None else np.flatnonzero(before[rows] > layout.first[partition])
            near.append((partition, rows[some], least[some]))
        return sorted(near, key=lambda one: int(layout.first[one[0]]))

    def _questions(
        self, partitions: Int64s, rows: NDArray[np.intp], limits: Float64s | None = None
    ) -> dict[int, Queries]:
        """Queries by partition, for pairs of a partition and the row of a query, in the order of rows."""
        order = np.argsort(partitions, kind="stable")
        visited, starts = np.unique(partitions[order], return_index=True)
        plan = {}
        self._sent = {}
        for partition, some in zip(visited.tolist(), np.split(rows[order], starts[1:])):
            upper = None if limits is None else limits[some]
            places = some if self._kept is None else np.searchsorted(self._kept, some)
            plan[partition] = self.queries.some(places, own=partition == self.home, limits=upper)
            self._sent[partition] = some, nbytes(plan[partition])
        return plan

    def _keep(self, rows: NDArray[np.intp]) -> None:
        """Forget all queries but some, which ascend: features are much larger than answers."""
        places = rows if self._kept is None else np.searchsorted(self._kept, rows)
        self.queries, self._kept = self.queries.some(places, own=False), rows

    def _received(self, answers: dict[int, Any]) -> Iterator[tuple[NDArray[np.intp], Any]]:
        """Answers of partitions, each with the rows that went there."""
        self.traffic.rounds += 1
        for partition, answer in answers.items():
            rows, n_bytes = self._sent[partition]
            self.traffic.visits += len(rows)
            if partition != self.home:
                self.traffic.messages += 1
                self.traffic.bytes_sent += n_bytes
                self.traffic.bytes_received += nbytes(answer)
            yield rows, answer


class NearestBlock(_Block):
    """A block of queries on its search for the ``k`` nearest of all points.

    In the first round each query sees the partition that owns its location, in the next one the two nearest of the
    others that may have something for it, then eight, and so on; by residual correlation the nearest one, then four.
    Each is seen, or known to have nothing, after ``log4(partitions) + 3`` rounds. More partitions at a time would be
    seen in vain; fewer would make more rounds.
    """

    def __init__(self, queries: Queries, layout: Layout, k: int, dtype: Any, home: Home | None = None) -> None:
        super().__init__(queries, layout, home)
        n = len(queries)
        self.found = none_nearest(n, k, dtype)
        self._owner = layout.curve.partitions(queries.points) if home is None else np.full(n, home[0])
        self._first = layout.first
        # Bounds of residual correlations are nearly the correlations: the partition of the largest is the one to see.
        self._first_visits = 1 if queries.features is not None else 2
        self._left: _Pairs | None = None  # until the owners have answered

    def copy(self) -> NearestBlock:
        other = copy.copy(self)
        other.found, other.traffic = self.found.each(np.copy), replace(self.traffic)
        return other

    def plan(self) -> dict[int, Queries]:
        worst, last = self.found.scores[:, -1], self.found.indices[:, -1]
        if self.traffic.rounds == 0:
            rows, before = np.arange(len(self.queries)), self.queries.before
            if before is not None:
                rows = np.flatnonzero(self._first[self._owner] < before)
            if len(rows) or not len(self.queries):
                return self._questions(self._owner[rows], rows, worst)
            self.traffic.rounds = 1  # the owner's points are all too late to count
        if self._left is None:
            self._left = _Pairs.of(self._near(worst), self._owner)
        pairs = self._left
        limits = worst[pairs.rows]
        # Of a point that is as far as the last neighbour the index has to be lower.
        nearer = pairs.least < limits
        equal = np.flatnonzero(pairs.least == limits)
        ends = last[pairs.rows[equal]]
        nearer[equal] = (self._first[pairs.partitions[equal]] < ends) | (ends < 0)
        pairs = pairs.some(nearer)
        self._keep(np.unique(pairs.rows))
        wanted = pairs.ranks() < self._first_visits * 4 ** (self.traffic.rounds - 1)
        self._left, chosen = pairs.some(~wanted), pairs.some(wanted)
        return self._questions(chosen.partitions, chosen.rows, worst)

    def receive(self, answers: dict[int, Answer]) -> None:
        for rows, answer in self._received(answers):
            better, improved = answer.found, rows[answer.asked]
            if self.traffic.rounds > 1:
                better = merged(self.found.each(operator.itemgetter(improved)), better)
            for array, new in zip(self.found, better):
                array[improved] = new


class _Pairs(NamedTuple):
    """Queries and partitions that can have something for them, by row, the nearest partition first."""

    rows: NDArray[np.intp]
    partitions: Int64s
    least: Float64s

    @classmethod
    def of(cls, near: list[Bounded], owner: Int64s) -> _Pairs:
        """Those of partitions that are not the queries' owners; equally near ones stay in their order."""
        rows = np.concatenate([np.empty(0, np.intp), *(rows for _, rows, _ in near)])
        partitions = np.repeat([one for one, _, _ in near], [len(rows) for _, rows, _ in near]).astype(np.int64)
        least = np.concatenate([np.empty(0), *(least for _, _, least in near)])
        others = np.flatnonzero(owner[rows] != partitions)
        return cls(rows, partitions, least).some(others[np.lexsort((least[others], rows[others]))])

    def some(self, which: NDArray[Any]) -> _Pairs:
        """Some of them."""
        return _Pairs(*(array[which] for array in self))

    def ranks(self) -> NDArray[np.intp]:
        """How many pairs of the same query come before each."""
        positions = np.arange(len(self.rows))
        starts = np.where(np.diff(self.rows, prepend=-1) != 0, positions, 0)
        return positions - np.maximum.accumulate(starts)


class WithinBlock(_Block):
    """A block of queries on its search for all points within a radius.

    Each partition that may have one is seen, in one round.
    """

    def __init__(self, queries: Queries, layout: Layout, radius: float, dtype: Any, home: Home | None = None) -> None:
        super().__init__(queries, layout, home)
        self._limit = max(largest_score(radius, dtype), LEAST_SQUARE)
        self._dtype = dtype
        self._answers: list[tuple[NDArray[np.intp], Within]] = []

    def copy(self) -> WithinBlock:
        other = copy.copy(self)
        other._answers, other.traffic = list(self._answers), replace(self.traffic)
        return other

    def plan(self) -> dict[int, Queries]:
        if self._bounds is None:
            return {}
        near = self._near(np.full(len(self.queries), self._limit))
        lengths = [len(rows) for _, rows, _ in near]
        partitions = np.repeat([one for one, _, _ in near], lengths).astype(np.int64)
        return self._questions(partitions, np.concatenate([np.empty(0, np.intp), *(rows for _, rows, _ in near)]))

    def receive(self, answers: dict[int, Within]) -> None:
        self._answers.extend(self._received(answers))

    @property
    def found(self) -> Within:
        """All points that partitions have answered with."""
        if not self._answers:
            none = np.empty(0, np.int64)
            offsets = np.zeros(len(self.queries) + 1, np.int64)
            return Within(offsets, none, np.empty(0, self._dtype), np.empty(0))
        return gathered(self._answers, len(self.queries))
