"""Tasks of workers that search: in each round one that asks and one that answers, for all partitions of a worker.

What stays between two tasks is a plain value that is not changed, as Dask may repeat a task after a worker was lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _arrays
from .._capi import Int64s
from .._capi.calls import Lists
from .._partitions.exchange import Block, Question, answers, questions
from .._partitions.layout import Layout
from .._partitions.partition import Partition
from .._partitions.queries import Answer, Nearest, Queries, Within
from .._partitions.rounds import Home, NearestBlock, Traffic, WithinBlock
from ..residual import ResidualTree
from ._tasks import Group, threads

#: Queries that are searched together: their bounds in all partitions are in memory at once.
BLOCK = 1 << 16


@dataclass(frozen=True)
class Search:
    """A search: the nearest ``k``, or all within a radius."""

    dtype: np.dtype[Any]  #: of the distances
    predecessors: bool
    exclude_self: bool
    k: int | None = None
    radius: float = 0.0
    distances: bool = True  #: of the nearest; they are results, too

    def of(self, partition: Partition, asked: Queries, n_threads: int) -> Answer | Within:
        """Ask a partition."""
        if self.k is None:
            return partition.within(asked, self.radius, exclude_self=self.exclude_self, n_threads=n_threads)
        return partition.answer(asked, self.k, exclude_self=self.exclude_self, n_threads=n_threads)

    def block(self, asked: Queries, known: Layout, home: Home | None) -> Block:
        """A block of queries."""
        if self.k is None:
            return WithinBlock(asked, known, self.radius, self.dtype, home)
        return NearestBlock(asked, known, self.k, self.dtype, home)

    def result(self, found: Nearest | Within) -> Any:
        """The arrays of neighbours that are results."""
        return found if isinstance(found, Lists) else tuple(found[: 1 + self.distances])


class Known(NamedTuple):
    """The partitions that there are: where their points lie, and the group of each."""

    layout: Layout
    owners: Int64s


class Asking(NamedTuple):
    """The blocks of a worker, which wait for other workers."""

    blocks: list[Block]
    here: list[dict[int, Any]]  #: for each block the answers of this worker's partitions, by partition
    there: dict[int, list[Question]]  #: questions by group


def known(layout: Layout, owners: Int64s) -> Known:
    """All partitions: an argument of many tasks, so that each worker gets it once."""
    return Known(layout, owners)


def begin(group: Group, some: Int64s | None, before: Int64s | None, where: Known, what: Search) -> Asking:
    """Ask for the points of a group: for all of them, or for those of some dataset indices, which ascend.

    `before` has the upper indices of all points, or of these.
    """

    def blocks() -> Iterator[tuple[Queries, Home]]:
        for number, partition in group.items():
            for asked in _own(partition, some):
                upper = before
                if what.predecessors:
                    upper = asked.own
                elif before is not None:
                    upper = before[asked.rows if some is None else np.searchsorted(some, asked.rows)]
                yield replace(asked, before=upper), (number, partition)

    return _asking(blocks(), group, where, what)


def _own(partition: Partition, some: Int64s | None) -> Iterator[Queries]:
    """Points of a partition as queries, by blocks."""
    if some is None:
        for start in range(0, len(partition), BLOCK):
            yield partition.own(slice(start, start + BLOCK))
    else:
        asked = partition.own(some)
        for start in range(0, len(asked), BLOCK):
            yield asked.some(np.arange(start, min(start + BLOCK, len(asked))), own=True)


def ask(
    group: Group, given: list[tuple[NDArray[Any], Int64s | None]], common: ResidualTree | None, where: Known,
    what: Search,
) -> Asking:  # fmt: skip
    """Ask for blocks of new points, each with their upper indices."""

    def blocks() -> Iterator[tuple[Queries, None]]:
        for points, before in given:
            rows = np.ascontiguousarray(_arrays.queries(points, "queries", what.dtype))
            features = None if common is None else common.features(points)
            yield Queries(np.arange(len(points)), rows, before, features=features), None

    return _asking(blocks(), group, where, what)


def _asking(begun: Iterable[tuple[Queries, Home | None]], group: Group, where: Known, what: Search) -> Asking:
    made = [_Going(what.block(asked, where.layout, home), group, what) for asked, home in begun]
    return _waiting(made, where.owners)


class _Going:
    """A block that goes as far as the answers of this worker's partitions carry it."""

    def __init__(self, block: Block, group: Group, what: Search) -> None:
        self.block, n_threads = block, threads()
        self.here: dict[int, Any] = {}
        self.there: dict[int, Queries] = {}
        while plan := block.plan():
            self.there = {number: some for number, some in plan.items() if number not in group}
            here: dict[int, Any] = {
                number: what.of(group[number], some, n_threads) for number, some in plan.items() if number in group
            }
            if self.there:
                self.here = here
                break
            block.receive(here)


def _waiting(going: list[_Going], owners: Int64s) -> Asking:
    """What blocks that have gone on ask other workers, by group."""
    of_group: dict[int, list[tuple[int, int, Queries]]] = {}
    for block, one in enumerate(going):
        for number, some in one.there.items():
            of_group.setdefault(int(owners[number]), []).append((block, number, some))
    there = {group: questions(asked) for group, asked in sorted(of_group.items())}
    return Asking([one.block for one in going], [one.here for one in going], there)


def targets(asking: Asking) -> list[int]:
    """The groups that are to be asked next."""
    return list(asking.there)


def question(asking: Asking, group: int) -> list[Question]:
    """The questions for one of them."""
    return asking.there[group]


def answer(group: Group, asked: dict[int, list[Question]], what: Search) -> dict[int, list[Answer | Within]]:
    """Answer the questions of other groups, by group."""
    n_threads = threads()
    return {
        source: [what.of(group[one.partition], one.queries, n_threads) for one in some]
        for source, some in asked.items()
    }


def receive(
    group: Group, before: Asking, answered: dict[int, list[Answer | Within]], where: Known, what: Search
) -> Asking:
    """Add the answers of other groups, and ask further. The arguments are not changed: they may be needed again."""
    received = [dict(here) for here in before.here]
    for source, asked in before.there.items():
        for one, whole in zip(asked, answered[source]):
            for number, part in answers(one, whole):
                received[number][one.partition] = part
    going = []
    for block, of_block in zip(before.blocks, received):
        further = block.copy()
        if of_block:
            further.receive(dict(sorted(of_block.items())))
        going.append(_Going(further, group, what))
    return _waiting(going, where.owners)


# Results


def traffic(asking: Asking) -> Traffic:
    """The traffic of all blocks."""
    return sum((block.traffic for block in asking.blocks), Traffic())


def found(asking: Asking, what: Search) -> list[tuple[Int64s, Any]]:
    """The results of blocks: their rows, and the neighbours."""
    return [(block.rows, what.result(block.found)) for block in asking.blocks]


def neighbours(results: list[tuple[Int64s, Any]], position: int) -> Any:
    """The neighbours of one of some blocks."""
    return results[position][1]


def spread(asking: Asking, what: Search, bounds: Int64s) -> dict[int, Any]:
    """Results of the points of a group, by the range of dataset indices that they belong to."""
    pieces: dict[int, list[Any]] = {chunk: [] for chunk in range(len(bounds) - 1)}
    for rows, arrays in found(asking, what):
        ends = np.searchsorted(rows, bounds)  # rows ascend in a block
        for chunk, (start, end) in enumerate(zip(ends[:-1], ends[1:])):
            pieces[chunk].append((rows[start:end] - bounds[chunk], [array[start:end] for array in arrays]))
    return {chunk: _joined(of_chunk) for chunk, of_chunk in pieces.items()}


def _joined(pieces: list[Any]) -> tuple[Int64s, tuple[NDArray[Any], ...]]:
    """Rows and arrays of some pieces, as one."""
    rows, arrays = zip(*pieces)
    return np.concatenate(rows), tuple(map(np.concatenate, zip(*arrays)))
