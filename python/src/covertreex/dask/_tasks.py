"""Tasks of workers. The dashboard shows the names of functions."""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Union

import numpy as np
from distributed import get_worker
from numpy.typing import NDArray

from .. import _arrays, factory
from .._partitions.curve import Curve, positions, sampled
from .._partitions.files import open_sealed, seal
from .._partitions.layout import Extent, Layout
from .._partitions.partition import Partition
from .._partitions.queries import Answer, Features, Nearest, Queries, Within
from .._partitions.rounds import Home, NearestBlock, Traffic, WithinBlock
from ..residual import ResidualTree
from ..tree import CoverTree

Block = Union[NearestBlock, WithinBlock]
Step = tuple[Block, dict[int, Queries]]
Box = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Search:
    """A search: the nearest ``k``, or all within a radius."""

    dtype: np.dtype[Any]  #: of the distances
    predecessors: bool
    exclude_self: bool
    k: int | None = None
    radius: float = 0.0


def threads() -> int:
    """Threads that a task may have: its worker's."""
    return int(get_worker().state.nthreads)


# Shuffling


def box(chunk: NDArray[Any], first: int) -> Box:
    """The sides of the box around the points of a chunk."""
    _arrays.check_finite(chunk, "points", first)
    if not len(chunk):
        return np.full(chunk.shape[1], np.inf), np.full(chunk.shape[1], -np.inf)
    return chunk.min(axis=0).astype(np.float64), chunk.max(axis=0).astype(np.float64)


def sample(chunk: NDArray[Any], first: int, around: Box, share: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Keys and dataset indices of some points of a chunk."""
    rows = sampled(np.random.default_rng(first), len(chunk), share)
    return positions(chunk[rows], *around), first + rows


def cut(around: Box, samples: list[tuple[NDArray[Any], NDArray[Any]]], n_partitions: int) -> Curve:
    """Cut the curve where the samples say."""
    keys, indices = (np.concatenate(arrays) for arrays in zip(*samples))
    return Curve.cut(*around, keys, indices, n_partitions)


def split(chunk: NDArray[Any], first: int, curve: Curve) -> dict[int, tuple[NDArray[Any], NDArray[Any]]]:
    """The points of a chunk by the partition that they belong to, with their dataset indices."""
    indices = np.arange(first, first + len(chunk))
    return {n: (indices[rows], chunk[rows]) for n, rows in enumerate(curve.rows_of_partitions(chunk, indices))}


def same(thing: Any) -> Any:
    """An argument of many tasks: it is sent to each worker once, and made again if it is lost."""
    return thing


def pick(pieces: Any, key: Any) -> Any:
    """One of several things."""
    return pieces[key]


# Partitions


def process(
    kernel: Any, inducing: NDArray[np.float64], one: NDArray[np.float64], options: dict[str, Any]
) -> ResidualTree:
    """The residual process of all partitions: kernel, inducing points and their factor."""
    return factory.cover_tree(one, metric="auto", kernel=kernel, inducing_points=inducing, **options)


def build(
    pieces: list[tuple[NDArray[Any], NDArray[Any]]], common: ResidualTree | None, options: dict[str, Any]
) -> Partition:
    """The tree of one partition."""
    indices, points = (np.concatenate(arrays) for arrays in zip(*pieces))
    order = np.argsort(indices)
    return _partition(indices[order], points[order], common, options)


def _partition(
    indices: NDArray[Any], points: NDArray[Any], common: ResidualTree | None, options: dict[str, Any]
) -> Partition:
    if not len(points):
        raise ValueError("n_partitions: expected at most one for each distinct point")
    if common is not None:
        return Partition(indices, common.with_points(points, n_threads=threads()))
    tree: CoverTree = factory.cover_tree(points, metric="euclidean", dtype=points.dtype, n_threads=threads(), **options)
    return Partition(indices, tree)


def with_kernel(common: ResidualTree, kernel: Any, inducing: Any, jitter: float | None) -> ResidualTree:
    """The process with other hyperparameters."""
    return common.with_kernel(kernel, inducing_points=inducing, jitter=jitter)


def refit(partition: Partition, common: ResidualTree) -> Partition:
    """The same points in another process."""
    return _partition(partition.indices, partition.points(), common, {})


def layout(curve: Curve, extents: list[Extent]) -> Layout:
    """The layout of all partitions."""
    return Layout.of(curve, extents)


def summary(known: Layout) -> Layout:
    """The layout for the client, without outlines."""
    return replace(known, outlines=[None] * len(known))


def save_process(common: ResidualTree, path: Path) -> bytes:
    """Write the residual process, and return the seal of its file."""
    common.save(path)
    return seal(path)


def read_process(path: Path, expected: bytes) -> ResidualTree:
    """The residual process of partitions that were written."""
    return ResidualTree._of_file(open_sealed(path, expected))


# Searching


def queries(points: NDArray[Any], before: NDArray[np.int64] | None, made: Features | None, dtype: Any) -> Queries:
    """New points as queries among points of a type."""
    rows = np.ascontiguousarray(_arrays.queries(points, "queries", dtype))
    return Queries(np.arange(len(points)), rows, before, features=made)


def begin(asked: Queries, known: Layout, what: Search, home: Home | None = None) -> Step:
    """A block of queries, and its first questions."""
    block: Block
    if what.k is None:
        block = WithinBlock(asked, known, what.radius, what.dtype, home)
    else:
        block = NearestBlock(asked, known, what.k, what.dtype, home)
    return block, block.plan()


def begin_own(
    home: Home, some: NDArray[np.int64] | slice, before: NDArray[np.int64] | None, known: Layout, what: Search
) -> Step:
    """A block of a partition's own points: a slice of them, or those there are of some dataset indices, which ascend.

    `before` has the upper indices of all points, or of these.
    """
    asked = home[1].own(some)
    if what.predecessors:
        before = asked.own
    elif before is not None:
        before = before[asked.rows if isinstance(some, slice) else np.searchsorted(some, asked.rows)]
    return begin(replace(asked, before=before), known, what, home)


def step(before: Step, answers: dict[int, Any]) -> Step:
    """Add the answers of partitions, and return the next questions.

    The argument is not changed: it may be needed again.
    """
    block = before[0].copy()
    block.receive(answers)
    return block, block.plan()


def targets(stepped: Step) -> list[int]:
    """The partitions that are to be asked next."""
    return list(stepped[1])


def question(stepped: Step, partition: int) -> Queries:
    """The queries for one of them."""
    return stepped[1][partition]


def search(partition: Partition, asked: Queries, what: Search) -> Answer | Within:
    """Ask a partition."""
    if what.k is None:
        return partition.within(asked, what.radius, exclude_self=what.exclude_self, n_threads=threads())
    return partition.answer(asked, what.k, exclude_self=what.exclude_self, n_threads=threads())


def found(stepped: Step) -> tuple[NDArray[np.int64], Nearest | Within, Traffic]:
    """The result of a block: its rows, the neighbours, and the traffic."""
    block = stepped[0]
    return block.queries.rows, block.found, block.traffic


# Bringing results of points of the dataset into its order


def spread(results: list[tuple[NDArray[np.int64], Nearest, Traffic]], bounds: NDArray[np.int64]) -> dict[int, Any]:
    """Results of one partition's points, by the range of dataset indices that they belong to."""
    rows = np.concatenate([own for own, _, _ in results])
    order = np.argsort(rows)
    nearest = Nearest(*(np.concatenate(arrays)[order] for arrays in zip(*(found for _, found, _ in results))))
    ends = np.searchsorted(rows[order], bounds)
    pieces = {}
    for chunk, (start, end) in enumerate(zip(ends[:-1], ends[1:])):
        some = slice(start, end)
        pieces[chunk] = rows[order[some]] - bounds[chunk], nearest.each(operator.itemgetter(some))
    return pieces
