"""Which parts a query sees, round by round: first its own, then those that can still matter, the nearest first."""

from __future__ import annotations

import copy
import operator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .layout import Layout
from .part import Part
from .queries import Answer, Nearest, Queries, Within, gathered, merged, none_nearest

# The part that queries are points of: its number, and itself.
Home = tuple[int, Part]


@dataclass
class Traffic:
    """What a search has sent."""

    rounds: int = 0
    visits: int = 0  #: of queries to parts
    messages: int = 0  #: batches of queries, each with an answer
    bytes_sent: int = 0  #: queries that went to another part than their own
    bytes_received: int = 0  #: and what it answered

    def __add__(self, other: Traffic) -> Traffic:
        """The traffic of two blocks that were searched side by side."""
        return Traffic(
            max(self.rounds, other.rounds),
            *(
                getattr(self, name) + getattr(other, name)
                for name in ("visits", "messages", "bytes_sent", "bytes_received")
            ),
        )


def _least_scores(queries: Queries, layout: Layout, home: Home | None) -> NDArray[np.float64]:
    if home is None:
        return layout.least_scores(queries.points, queries.features)
    return home[1].least_scores(queries, layout)


class NearestBlock:
    """A block of queries on its search for the ``k`` nearest of all points.

    In the first round each query sees the part that owns its place, in the next one the two nearest of the others that
    may have something for it, then eight, and so on: every part is seen, or known to have nothing, after
    ``log4(parts) + 2`` rounds. More parts at a time would be seen in vain; fewer would make more rounds.
    """

    def __init__(self, queries: Queries, layout: Layout, k: int, dtype: Any, home: Home | None = None) -> None:
        n, parts = len(queries), len(layout)
        self.queries, self.home = queries, None if home is None else home[0]
        self.found = none_nearest(n, k, dtype)
        self._least = _least_scores(queries, layout, home)
        if queries.before is not None:
            self._least[layout.first[None, :] >= queries.before[:, None]] = np.nan  # nothing there counts
        self._left = np.ones((n, parts), bool)
        self._first = layout.first
        first = layout.curve.parts(queries.points) if home is None else np.full(n, home[0])
        self._next = np.zeros((n, parts), bool)
        self._next[np.arange(n), first] = True
        self.traffic = Traffic()

    def copy(self) -> NearestBlock:
        """One that may go on by itself."""
        other = copy.copy(self)
        other.found = self.found.each(np.copy)
        other._left, other.traffic = self._left.copy(), replace(self.traffic)
        return other

    def plan(self) -> dict[int, Queries]:
        """Queries of the next round, by the part that they go to; none when all is done."""
        worst, last = self.found.scores[:, -1], self.found.indices[:, -1]
        # Of a point that is as far as the last neighbour the index has to be lower.
        nearer = self._least < worst[:, None]
        nearer |= (self._least == worst[:, None]) & ((self._first[None, :] < last[:, None]) | (last < 0)[:, None])
        wanted = self._left & nearer
        if self.traffic.rounds == 0:
            wanted &= self._next
        else:
            _keep_least(wanted, self._least, self._first, 2 * 4 ** (self.traffic.rounds - 1))
        self._left &= ~wanted
        self._sent: dict[int, NDArray[np.intp]] = {}
        plan = {}
        for part in np.flatnonzero(wanted.any(axis=0)):
            rows = np.flatnonzero(wanted[:, part])
            self._sent[int(part)] = rows
            plan[int(part)] = self.queries.some(rows, own=part == self.home, limits=worst[rows])
        if not plan and self.traffic.rounds == 0 and self._left.any():
            self.traffic.rounds = 1  # the owner's points are all too late to count
            return self.plan()
        return plan

    def take(self, answers: dict[int, Answer]) -> None:
        """Take what parts have answered."""
        self.traffic.rounds += 1
        for part, answer in answers.items():
            rows = self._sent[part]
            self._improve(rows[answer.asked], answer.found)
            self.traffic.visits += len(rows)
            if part != self.home:
                self.traffic.messages += 1
                self.traffic.bytes_sent += self.queries.some(rows, own=False, limits=np.empty(len(rows))).nbytes
                self.traffic.bytes_received += answer.nbytes

    def _improve(self, rows: NDArray[np.intp], found: Nearest) -> None:
        if self.traffic.rounds > 1:
            found = merged(self.found.each(operator.itemgetter(rows)), found)
        for array, new in zip(self.found, found):
            array[rows] = new


def _keep_least(wanted: NDArray[np.bool_], least: NDArray[np.float64], first: NDArray[np.int64], count: int) -> None:
    """Leave only the ``count`` parts of each row that have the least scores, among equals the least first indices."""
    rows = np.flatnonzero(wanted.sum(axis=1) > count)
    by_first = np.argsort(first)
    scores = np.where(wanted[rows], least[rows], np.inf)[:, by_first]
    order = by_first[np.argsort(scores, axis=1, kind="stable")[:, :count]]
    kept = np.zeros((len(rows), wanted.shape[1]), bool)
    np.put_along_axis(kept, order, True, axis=1)
    wanted[rows] &= kept


class WithinBlock:
    """A block of queries on its search for all points within a radius.

    Each part that may have one is seen, in one round.
    """

    def __init__(self, queries: Queries, layout: Layout, radius: float, dtype: Any, home: Home | None = None) -> None:
        self.queries, self.home = queries, None if home is None else home[0]
        least = _least_scores(queries, layout, home)
        if queries.before is not None:
            least[layout.first[None, :] >= queries.before[:, None]] = np.nan
        self._wanted = least <= radius * radius
        self._dtype = dtype
        self._answers: list[tuple[NDArray[np.intp], Within]] = []
        self.traffic = Traffic()

    def copy(self) -> WithinBlock:
        """One that may go on by itself."""
        other = copy.copy(self)
        other._wanted, other._answers = self._wanted.copy(), list(self._answers)
        other.traffic = replace(self.traffic)
        return other

    def plan(self) -> dict[int, Queries]:
        """Queries of the next round, by the part that they go to; none when all is done."""
        plan = {}
        self._sent: dict[int, NDArray[np.intp]] = {}
        for part in np.flatnonzero(self._wanted.any(axis=0)):
            rows = np.flatnonzero(self._wanted[:, part])
            self._sent[int(part)] = rows
            plan[int(part)] = self.queries.some(rows, own=part == self.home)
        self._wanted[:] = False
        return plan

    def take(self, answers: dict[int, Within]) -> None:
        """Take what parts have answered."""
        self.traffic.rounds += 1
        for part, answer in answers.items():
            rows = self._sent[part]
            self._answers.append((rows, answer))
            self.traffic.visits += len(rows)
            if part != self.home:
                self.traffic.messages += 1
                self.traffic.bytes_sent += self.queries.some(rows, own=False).nbytes
                self.traffic.bytes_received += answer.nbytes

    @property
    def found(self) -> Within:
        """All points that parts have answered with."""
        if not self._answers:
            none = np.empty(0, np.int64)
            offsets = np.zeros(len(self.queries) + 1, np.int64)
            return Within(offsets, none, np.empty(0, self._dtype), np.empty(0))
        return gathered(self._answers, len(self.queries))
