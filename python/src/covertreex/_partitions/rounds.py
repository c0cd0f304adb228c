"""The partitions that a query visits: first its own, then the others that can still matter, the nearest first."""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._capi import Float64s, Int64s
from .._scores import LEAST_SQUARE, largest_score
from .layout import Layout
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
    """A block of queries: lower bounds in each partition, and the queries that were sent.

    ``plan`` makes the queries of the next round, by the partition that they go to; none when all is done. ``receive``
    adds the answers of partitions. ``copy`` makes one that may go on by itself.
    """

    def __init__(self, queries: Queries, layout: Layout, home: Home | None) -> None:
        self.queries, self.home = queries, None if home is None else home[0]
        if home is None:
            self._least = layout.least_scores(queries.points, queries.features)
        else:
            self._least = home[1].least_scores(queries, layout)
        if queries.before is not None:
            self._least[layout.first[None, :] >= queries.before[:, None]] = np.nan  # nothing there counts
        # Of the last round, by partition: rows that went there, and how many bytes that were.
        self._sent: dict[int, tuple[NDArray[np.intp], int]] = {}
        self.traffic = Traffic()

    def _questions(self, wanted: NDArray[np.bool_], limits: Float64s | None = None) -> dict[int, Queries]:
        """Queries by partition, for the pairs of ``wanted``, (queries, partitions)."""
        plan = {}
        self._sent = {}
        for partition in map(int, np.flatnonzero(wanted.any(axis=0))):
            rows = np.flatnonzero(wanted[:, partition])
            own, upper = partition == self.home, None if limits is None else limits[rows]
            plan[partition] = self.queries.some(rows, own=own, limits=upper)
            self._sent[partition] = rows, nbytes(plan[partition])
        return plan

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
    others that may have something for it, then eight, and so on: each is seen, or known to have nothing, after
    ``log4(partitions) + 2`` rounds. More partitions at a time would be seen in vain; fewer would make more rounds.
    """

    def __init__(self, queries: Queries, layout: Layout, k: int, dtype: Any, home: Home | None = None) -> None:
        super().__init__(queries, layout, home)
        n = len(queries)
        self.found = none_nearest(n, k, dtype)
        self._left = np.ones((n, len(layout)), bool)
        self._first = layout.first
        self._owner = layout.curve.partitions(queries.points) if home is None else np.full(n, home[0])

    def copy(self) -> NearestBlock:
        other = copy.copy(self)
        other.found = self.found.each(np.copy)
        other._left, other.traffic = self._left.copy(), replace(self.traffic)
        return other

    def plan(self) -> dict[int, Queries]:
        worst, last = self.found.scores[:, -1], self.found.indices[:, -1]
        # Of a point that is as far as the last neighbour the index has to be lower.
        nearer = self._least < worst[:, None]
        nearer |= (self._least == worst[:, None]) & ((self._first[None, :] < last[:, None]) | (last < 0)[:, None])
        wanted = self._left & nearer
        if self.traffic.rounds == 0:
            wanted &= self._owner[:, None] == np.arange(wanted.shape[1])
        else:
            _keep_least(wanted, self._least, self._first, 2 * 4 ** (self.traffic.rounds - 1))
        self._left &= ~wanted
        plan = self._questions(wanted, worst)
        if not plan and self.traffic.rounds == 0 and self._left.any():
            self.traffic.rounds = 1  # the owner's points are all too late to count
            return self.plan()
        return plan

    def receive(self, answers: dict[int, Answer]) -> None:
        for rows, answer in self._received(answers):
            better, improved = answer.found, rows[answer.asked]
            if self.traffic.rounds > 1:
                better = merged(self.found.each(operator.itemgetter(improved)), better)
            for array, new in zip(self.found, better):
                array[improved] = new


def _keep_least(wanted: NDArray[np.bool_], least: Float64s, first: Int64s, count: int) -> None:
    """Leave only the ``count`` partitions of each row with the least scores, among equals the least first indices."""
    rows = np.flatnonzero(wanted.sum(axis=1) > count)
    by_first = np.argsort(first)
    scores = np.where(wanted[rows], least[rows], np.inf)[:, by_first]
    order = by_first[np.argsort(scores, axis=1, kind="stable")[:, :count]]
    kept = np.zeros((len(rows), wanted.shape[1]), bool)
    np.put_along_axis(kept, order, True, axis=1)
    wanted[rows] &= kept


class WithinBlock(_Block):
    """A block of queries on its search for all points within a radius.

    Each partition that may have one is seen, in one round.
    """

    def __init__(self, queries: Queries, layout: Layout, radius: float, dtype: Any, home: Home | None = None) -> None:
        super().__init__(queries, layout, home)
        self._wanted = self._least <= max(largest_score(radius, dtype), LEAST_SQUARE)
        self._dtype = dtype
        self._answers: list[tuple[NDArray[np.intp], Within]] = []

    def copy(self) -> WithinBlock:
        other = copy.copy(self)
        other._wanted, other._answers = self._wanted.copy(), list(self._answers)
        other.traffic = replace(self.traffic)
        return other

    def plan(self) -> dict[int, Queries]:
        plan = self._questions(self._wanted)
        self._wanted[:] = False
        return plan

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
