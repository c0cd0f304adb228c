"""Questions of many blocks of queries to partitions elsewhere, and their answers, in few batches."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Union

import numpy as np
from numpy.typing import NDArray

from .._capi import Int64s
from .queries import Answer, Queries, Within
from .rounds import NearestBlock, WithinBlock

Block = Union[NearestBlock, WithinBlock]


class Question(NamedTuple):
    """Queries of some blocks to a partition, one block after the other."""

    partition: int
    queries: Queries
    blocks: list[int]  #: numbers of the blocks
    ends: Int64s  #: (blocks,) where the queries of each end


def questions(asked: Iterable[tuple[int, int, Queries]]) -> list[Question]:
    """Queries of a block to a partition each, as one question for each partition."""
    of: dict[int, list[tuple[int, Queries]]] = {}
    for block, partition, some in asked:
        of.setdefault(partition, []).append((block, some))
    return [
        Question(
            partition, _joined([some for _, some in parts]), [block for block, _ in parts],
            np.cumsum([len(some) for _, some in parts]),
        )
        for partition, parts in sorted(of.items())
    ]  # fmt: skip


def _joined(parts: list[Queries]) -> Queries:
    """Queries of several blocks of the same search, elsewhere than at home."""

    def each(name: str) -> NDArray[Any] | None:
        arrays = [getattr(part, name) for part in parts]
        return None if arrays[0] is None else np.concatenate(arrays)

    features = None
    if parts[0].features is not None:
        v, p = zip(*(part.features for part in parts if part.features is not None))
        features = np.concatenate(v), np.concatenate(p)
    rows, points = (np.concatenate([getattr(part, name) for part in parts]) for name in ("rows", "points"))
    return Queries(rows, points, each("before"), None, features, each("limits"))


def answers(question: Question, whole: Answer | Within) -> Iterator[tuple[int, Answer | Within]]:
    """The answer to a question, by block."""
    start = 0
    for block, end in zip(question.blocks, question.ends.tolist()):
        yield block, _part(whole, start, end)
        start = end


def _part(whole: Answer | Within, start: int, end: int) -> Answer | Within:
    """The answer to some of the queries."""
    if isinstance(whole, Answer):
        first, last = np.searchsorted(whole.asked, [start, end])
        return Answer(whole.asked[first:last] - start, whole.found.each(operator.itemgetter(slice(first, last))))
    first, last = whole.offsets[[start, end]]
    some = slice(first, last)
    return Within(
        whole.offsets[start : end + 1] - first, whole.indices[some], whole.distances[some], whole.scores[some]
    )
