"""Searches, as the client drives them: rounds of tasks, one to ask and one to answer for each worker."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from distributed import Future
from numpy.typing import NDArray

from .._capi import Int64s
from .._partitions.rounds import Traffic
from . import _cluster, _results, _rounds, _tasks
from ._cluster import Groups
from ._rounds import Search


class Run:
    """A search of all partitions."""

    def __init__(self, groups: Groups, where: Future, what: Search) -> None:
        self._groups, self._where, self.what = groups, where, what
        self._client, self._submit = groups.client, partial(_cluster.submit, groups.client)
        #: What each group has found and asks further.
        self.asking: list[Future] = []
        self._blocks: list[list[int]] = []
        self.traffic = Traffic()

    def own(self, some: Int64s | None, before: Int64s | None) -> None:
        """Search for points of the dataset: for all of them, or those of some dataset indices, which ascend."""
        given, upper = self._submit(_tasks.same, some), self._submit(_tasks.same, before)
        self.asking = self._groups.each(_rounds.begin, given, upper, self._where, self.what)
        self._go()

    def new(self, blocks: list[Any], before: Int64s | None, common: Future | None) -> None:
        """Search for blocks of new points, of at most `_rounds.BLOCK` rows each, which workers take in turn."""
        size, count = _rounds.BLOCK, min(len(self._groups), len(blocks))
        self._blocks = [list(range(group, len(blocks), count)) for group in range(count)]
        for group, home, numbers in zip(self._groups.futures, self._groups.homes(), self._blocks):
            given = [
                (blocks[number], None if before is None else before[number * size : (number + 1) * size])
                for number in numbers
            ]
            task = self._submit(_rounds.ask, group, given, common, self._where, self.what, worker=home)
            self.asking.append(task)
        self._go()

    def _go(self) -> None:
        """Go round after round, until nobody has anything to ask any more."""
        while True:
            wanted = self._client.gather([self._submit(_rounds.targets, asking) for asking in self.asking])
            if not any(wanted):
                break
            self._round(wanted)
        traffic = self._client.gather([self._submit(_rounds.traffic, asking) for asking in self.asking])
        self.traffic = sum(traffic, self.traffic)

    def _round(self, wanted: list[list[int]]) -> None:
        """Bring questions to the groups that each asks, and the answers back."""
        groups, homes = self._groups.futures, self._groups.homes()
        answered = {}
        for group in sorted(set().union(*wanted)):
            asked = {
                source: self._submit(_rounds.question, self.asking[source], group)
                for source, of_source in enumerate(wanted)
                if group in of_source
            }
            answered[group] = self._submit(_rounds.answer, groups[group], asked, self.what, worker=homes[group])
        for source, of_source in enumerate(wanted):
            if of_source:
                answers = {group: self._submit(_tasks.pick, answered[group], source) for group in of_source}
                asking = self.asking[source]
                self.asking[source] = self._submit(
                    _rounds.receive, groups[source], asking, answers, self._where, self.what, worker=homes[source]
                )

    # Results

    def found(self) -> list[tuple[Int64s, Any]]:
        """The results of blocks, brought to the client: their rows, and the neighbours.

        Blocks of new points are in the order in which they were given.
        """
        gathered = self._client.gather([self._submit(_rounds.found, asking, self.what) for asking in self.asking])
        if not self._blocks:
            return [one for results in gathered for one in results]
        by_number = {
            number: one for results, numbers in zip(gathered, self._blocks) for number, one in zip(numbers, results)
        }
        return [by_number[number] for number in range(len(by_number))]

    def on_workers(self) -> list[Future]:
        """The neighbours of each block of new points, in their order, where they are."""
        results = {}
        for asking, numbers in zip(self.asking, self._blocks):
            of_group = self._submit(_rounds.found, asking, self.what)
            for position, number in enumerate(numbers):
                results[number] = self._submit(_rounds.neighbours, of_group, position)
        return [results[number] for number in range(len(results))]

    def in_order(self, bounds: NDArray[np.int64]) -> list[Future]:
        """The neighbours of all points in ranges of dataset indices, one for each group, on the workers."""
        pieces = [self._submit(_rounds.spread, asking, self.what, bounds) for asking in self.asking]
        collected = []
        for chunk, (count, home) in enumerate(zip(np.diff(bounds).tolist(), self._groups.homes())):
            picked = [self._submit(_tasks.pick, piece, chunk) for piece in pieces]
            collected.append(self._submit(_results.collect, picked, count, self.what, worker=home))
        return collected
