"""Tasks of workers that build, change and write partitions. The dashboard shows the names of functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from distributed import get_worker
from numpy.typing import NDArray

from .. import _arrays, factory
from .._capi import Int64s
from .._partitions.curve import Curve, positions, sampled
from .._partitions.files import PartitionFile, mapped, open_sealed, save_partition, seal
from .._partitions.layout import Extent, Layout
from .._partitions.partition import Partition
from .._partitions.permutation import Order
from ..residual import ResidualTree
from ..tree import CoverTree

Box = tuple[NDArray[np.float64], NDArray[np.float64]]
# The partitions of a worker, by number.
Group = dict[int, Partition]


class Rows(NamedTuple):
    """What the rows of a source are: coordinates, values that travel with them, and the order of their indices."""

    dim: int  #: the first columns, which are coordinates
    dtype: np.dtype[Any]  #: of coordinates
    order: Order | None  #: dataset indices of rows, if they are not the rows

    def points(self, chunk: NDArray[Any]) -> NDArray[Any]:
        """The coordinates of a chunk."""
        return chunk[:, : self.dim].astype(self.dtype, copy=False)

    def values(self, chunk: NDArray[Any]) -> NDArray[np.float64] | None:
        """The other columns; None if there are none."""
        return None if chunk.shape[1] == self.dim else chunk[:, self.dim :].astype(np.float64, copy=False)

    def indices(self, rows: Int64s) -> Int64s:
        """The dataset indices of some rows."""
        return rows if self.order is None else self.order(rows)


class Made(NamedTuple):
    """How trees are made."""

    options: dict[str, Any]  #: of a Euclidean tree
    folder: Path | None = None  #: for files that are mapped instead of memory


class Piece(NamedTuple):
    """Points of a chunk that a group has, partition by partition."""

    ends: Int64s  #: (partitions of the group,) where each ends
    indices: Int64s
    points: NDArray[Any]
    values: NDArray[np.float64] | None


def threads() -> int:
    """Threads that a task may have: its worker's."""
    return int(get_worker().state.nthreads)


# Shuffling


def box(chunk: NDArray[Any], first: int, rows: Rows) -> Box:
    """The sides of the box around the points of a chunk."""
    points = rows.points(chunk)
    _arrays.check_finite(points, "points", first)
    if not len(points):
        return np.full(rows.dim, np.inf), np.full(rows.dim, -np.inf)
    return points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)


def check_values(
    chunk: NDArray[Any], first: int, rows: Rows, are_valid: Callable[[NDArray[np.float64], int], None]
) -> None:
    """Raise what a function raises for the values of a chunk."""
    values = rows.values(chunk)
    assert values is not None
    are_valid(values, first)


def sample(
    chunk: NDArray[Any], first: int, rows: Rows, around: Box, share: float
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Keys and dataset indices of some points of a chunk."""
    some = sampled(np.random.default_rng(first), len(chunk), share)
    return positions(rows.points(chunk)[some], *around), rows.indices(first + some)


def cut(around: Box, samples: list[tuple[NDArray[Any], NDArray[Any]]], n_partitions: int) -> Curve:
    """Cut the curve where the samples say."""
    keys, indices = (np.concatenate(arrays) for arrays in zip(*samples))
    return Curve.cut(*around, keys, indices, n_partitions)


def split(chunk: NDArray[Any], first: int, rows: Rows, curve: Curve, owners: Int64s) -> dict[int, Piece]:
    """The points of a chunk by the group that they belong to, with their dataset indices."""
    points, values = rows.points(chunk), rows.values(chunk)
    indices = rows.indices(np.arange(first, first + len(chunk)))
    of_partition = curve.rows_of_partitions(points, indices)
    pieces = {}
    for group in range(int(owners[-1]) + 1):
        parts = [of_partition[partition] for partition in np.flatnonzero(owners == group)]
        some = np.concatenate(parts)
        of_some = None if values is None else values[some]
        pieces[group] = Piece(np.cumsum([len(part) for part in parts]), indices[some], points[some], of_some)
    return pieces


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


def build(pieces: list[Piece], numbers: list[int], common: ResidualTree | None, made: Made) -> Group:
    """The trees of a group."""
    group = {}
    for position, number in enumerate(numbers):
        slices = [slice(piece.ends[position - 1] if position else 0, piece.ends[position]) for piece in pieces]
        indices = np.concatenate([piece.indices[some] for piece, some in zip(pieces, slices)])
        points = np.concatenate([piece.points[some] for piece, some in zip(pieces, slices)])
        values = [piece.values[some] for piece, some in zip(pieces, slices) if piece.values is not None]
        order = np.argsort(indices)
        of_points = np.concatenate(values)[order] if values else None
        group[number] = _partition(indices[order], points[order], of_points, common, made)
    return group


def _partition(
    indices: Int64s, points: NDArray[Any], values: NDArray[np.float64] | None, common: ResidualTree | None, made: Made
) -> Partition:
    if not len(points):
        raise ValueError("n_partitions: expected at most one for each distinct point")
    tree: CoverTree | ResidualTree
    if common is not None:
        tree = common.with_points(points, n_threads=threads())
    else:
        tree = factory.cover_tree(points, metric="euclidean", dtype=points.dtype, n_threads=threads(), **made.options)
    partition = Partition(indices, tree, values)
    return partition if made.folder is None else mapped(partition, made.folder)


def with_kernel(common: ResidualTree, kernel: Any, inducing: Any, jitter: float | None) -> ResidualTree:
    """The process with other hyperparameters."""
    return common.with_kernel(kernel, inducing_points=inducing, jitter=jitter)


def refit(group: Group, common: ResidualTree, made: Made) -> Group:
    """The same points in another process."""
    return {
        number: _partition(partition.indices, partition.points(), partition.values, common, made)
        for number, partition in group.items()
    }


def extents(group: Group, n_points: int) -> list[Extent]:
    """The extents of the partitions of a group, in their order; all partitions have ``n_points`` points."""
    return [partition.extent(n_points) for partition in group.values()]


def layout(curve: Curve, of_groups: list[list[Extent]]) -> Layout:
    """The layout of all partitions."""
    return Layout.of(curve, [extent for extents in of_groups for extent in extents])


def summary(known: Layout) -> Layout:
    """The layout for the client, without outlines."""
    return replace(known, outlines=[None] * len(known))


# Files


def save(group: Group, paths: list[Path]) -> list[bytes]:
    """Write the partitions of a group to paths of all partitions, and return the seals of its files."""
    return [save_partition(partition, paths[number]) for number, partition in group.items()]


def load(files: dict[int, PartitionFile]) -> Group:
    """Open the partitions of a group."""
    return {number: file.open() for number, file in files.items()}


def process_written(common: ResidualTree, path: Path) -> bytes:
    """Write the residual process, and return the seal of its file."""
    common.save(path)
    return seal(path)


def process_read(path: Path, expected: bytes) -> ResidualTree:
    """The residual process of partitions that were written."""
    # Damage has to be an error here: Dask tries forever to send a thing that cannot be pickled.
    return ResidualTree._of_file(open_sealed(path, expected, verify=True))
