"""Tasks of workers that compute a VIF model, each for all partitions of a worker. The dashboard shows their names."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._capi import Int64s
from ..vecchia import _groups, _parts
from ..vecchia._groups import Columns, Known, Moments, Sets
from ..vecchia._inputs import LARGEST_RESPONSE
from ..vecchia._parts import Part, Shared, Terms, Totals
from . import _rounds
from ._rounds import BLOCK, Asking, Search
from ._tasks import Group, threads

Answers = list[dict[int, Known]]


def check_observed(columns: Columns, values: NDArray[np.float64], first: int) -> None:
    """Raise for responses and noise that are not valid, by their rows; ``first`` is the first."""
    y = values[:, : columns.n_responses]
    for row, column in np.argwhere(~(np.abs(y) <= LARGEST_RESPONSE))[:1]:
        place = f"{first + row}" if columns.n_responses == 1 else f"{first + row}, {column}"
        raise ValueError(f"y[{place}]: expected a finite number of a size up to 2^200, got {y[row, column]}")
    noise = values[:, columns.n_responses :]
    for row, _ in np.argwhere(~((noise >= 0) & (noise < np.inf)))[:1]:
        raise ValueError(f"noise[{first + row}]: expected a finite number from 0 up, got {noise[row, 0]}")


def condition(group: Group, asking: Asking, what: Search) -> list[Sets]:
    """The conditioning sets of a group, partition by partition."""
    found = iter(_rounds.found(asking, what))
    sets = []
    for partition in group.values():
        rows, neighbors = zip(*(next(found) for _ in range(0, len(partition), BLOCK)))
        ranks = np.concatenate(rows)
        order = np.argsort(ranks)
        sets.append((ranks[order], np.concatenate([some for some, *_ in neighbors])[order]))
    return sets


def condition_on_nothing(group: Group) -> list[Sets]:
    """Empty sets."""
    return [(partition.indices, np.empty((len(partition), 0), np.int64)) for partition in group.values()]


def want(sets: list[Sets]) -> Int64s:
    """The ranks that a group needs of others."""
    return _groups.wanted(sets)


def want_for_sets(neighbors: tuple[NDArray[np.int64]]) -> Int64s:
    """The ranks in the sets of new points."""
    return _parts.members(neighbors[0])


def no_sets(block: NDArray[np.float64]) -> tuple[NDArray[np.int64]]:
    """Empty sets of new points."""
    return (np.empty((len(block), 0), np.int64),)


def serve(group: Group, columns: Columns, asked: dict[int, Int64s]) -> dict[int, Known]:
    """The points of a group that others need, by who asks for them."""
    partitions = list(group.values())
    return {source: _groups.serve(partitions, columns, ranks) for source, ranks in asked.items()}


def assemble(group: Group, columns: Columns, sets: list[Sets], answers: list[Known], keep: bool) -> list[Part]:
    """The parts of a group."""
    return _groups.parts(list(group.values()), columns, sets, answers, keep=keep)


def measure(group: Group, columns: Columns) -> Moments:
    """How the observations of a group spread."""
    return Moments.of(list(group.values()), columns)


def add_totals(parts: list[Part], shared: Shared) -> Totals:
    """A group's shares of the totals."""
    return _groups.totals(parts, shared, threads())


def add_terms(parts: list[Part], shared: Shared, totals: Totals, gradient: bool) -> Terms:
    """A group's shares of the value and of the gradient."""
    return _groups.terms(parts, shared, totals, gradient=gradient, n_threads=threads())


def predict(
    block: NDArray[np.float64], sets: tuple[NDArray[np.int64]], answers: list[Known], summed: tuple[Shared, Totals],
    variance: bool,
) -> tuple[Any, ...]:  # fmt: skip
    """Means and variances at a block of new points."""
    points, known = np.ascontiguousarray(block, np.float64), _groups.joined(answers)
    return _parts.predict(points, sets[0], known, *summed, variance=variance, n_threads=threads())
