"""Trees of more points than fit in memory: partitions on disk that are built, saved and mapped one after another."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from . import _arguments, _arrays, _files, _writing
from ._calls import ProgressReport
from ._capi import CoverTreeError
from ._exports.tree_arrays import Neighbors
from ._partitions.curve import Curve, positions, sample_share, sampled
from ._partitions.files import partition_path, save_partition
from ._partitions.filling import filling
from ._partitions.layout import Extent, Layout
from ._partitions.manifest import Manifest
from ._partitions.partition import Partition
from ._partitions.queries import Nearest, Queries, gathered
from ._partitions.rounds import Home, NearestBlock, WithinBlock
from ._settings import active_config
from .tree import CoverTree
from .tree._options import kept_dtype

__all__ = ["MappedTree"]

# Points that are read at a time, and queries that are searched together.
_CHUNK = 1 << 20
_BLOCK = 1 << 16
# Points of a partition, by default.
_PARTITION = 4_000_000
# Partitions that are mapped at the same time.
_OPEN = 8


class MappedTree:
    """A cover tree in partitions on disk, in the Euclidean metric.

    Made by :func:`covertreex.cover_tree` with a ``folder``, opened by :func:`covertreex.load`. Answers are the
    same as for a tree in memory. Partitions follow the Hilbert curve; a query is searched in the partition that it
    lies in, and in those whose bounds do not exclude them. A few of them are mapped at a time.
    """

    def __init__(self, folder: _files.PathLike) -> None:
        # Partitions are opened later, wherever the process works then.
        self.folder = _writing.absolute(_arguments.path(folder, "folder"))
        self._manifest = Manifest.open(self.folder)
        if self._manifest.kind != _files.TREE:
            raise CoverTreeError(
                f"path: the tree in {self.folder} is not Euclidean; expected covertreex.dask.load to open it"
            )
        self.n_points, self.dim, self.dtype = self._manifest.n_points, self._manifest.dim, self._manifest.dtype
        self._layout = self._manifest.layout
        for number in range(self.n_partitions):
            self._manifest.partition(self.folder, number).check()
        self._mapped: dict[int, Partition] = {}

    @property
    def n_partitions(self) -> int:
        """The number of partitions."""
        return len(self._layout)

    @property
    def partition_sizes(self) -> NDArray[np.int64]:
        """Points of each partition."""
        return self._layout.n_points

    def __len__(self) -> int:
        return self.n_points

    def __repr__(self) -> str:
        return (
            f"MappedTree(n_points={self.n_points}, dim={self.dim}, dtype={self.dtype}, "
            f"n_partitions={self.n_partitions}, folder={str(self.folder)!r})"
        )

    # Building

    @classmethod
    def build(
        cls,
        points: NDArray[Any],
        folder: _files.PathLike,
        partition_size: int | None = None,
        *,
        dtype: DTypeLike | None = None,
        progress: ProgressReport | None = None,
        **options: Any,
    ) -> MappedTree:
        """Build one in a folder, which is made; see :func:`covertreex.cover_tree`."""
        report = _report(progress)
        _arguments.path(folder, "folder")
        n, dim = points.shape
        size = _PARTITION if partition_size is None else _arrays.integer(partition_size, "partition_size", minimum=1)
        wanted = kept_dtype(active_config().dtype if dtype is None else dtype)
        kept = wanted or _arrays.float_dtype(points.dtype)
        # Wrong options are refused before the points are read, which may take hours.
        CoverTree(np.zeros((1, dim), kept), dtype=kept, **options).close()
        n_partitions = -(-n // size)
        with filling(folder) as (target, tag):
            paths = [partition_path(target, tag, number) for number in range(n_partitions)]
            curve = _cut(points, n_partitions, kept, lambda share: report(0.2 * share))
            _split(points, curve, paths, kept, lambda share: report(0.2 + 0.2 * share))
            built = []
            for number, path in enumerate(paths):
                built.append(_build(path, dim, kept, options))
                report(0.4 + 0.6 * (number + 1) / n_partitions)
            extents, seals = map(list, zip(*built))
            # The manifest makes it a tree, so it is written last.
            Manifest(tag, _files.TREE, kept, Layout.of(curve, extents), seals).save(target)
        return cls(target)

    # Searches

    def knn(
        self,
        k: int,
        *,
        queries: ArrayLike | None = None,
        return_distances: bool = False,
        predecessor_mode: bool = False,
        exclude_self: bool = False,
        out: _files.PathLike | None = None,
        n_threads: int | None = None,
        progress: ProgressReport | None = None,
    ) -> Any:
        """Find the ``k`` nearest points of each query.

        Parameters
        ----------
        k, return_distances, predecessor_mode, exclude_self, n_threads, progress
            As in :meth:`CoverTree.knn`.
        queries : array_like, shape (q, dim), optional
            New points; by default all points, in the order of their indices.
        out : path, optional
            A folder for ``indices.npy`` and ``distances.npy``; results are then mapped from there.
        """
        k = _arrays.integer(k, "k", minimum=1)
        report = _report(progress)
        if out is not None:
            _arguments.path(out, "out")
        n_rows, blocks = self._blocks(queries, predecessor_mode, exclude_self)
        done = 0
        with _Results(n_rows, k, self.dtype, return_distances, out) as results:
            for asked, home in blocks:
                with _arguments.renamed(points="queries"):
                    block = NearestBlock(asked, self._layout, k, self.dtype, home)
                    self._run(
                        block, lambda one, some: one.answer(some, k, exclude_self=exclude_self, n_threads=n_threads)
                    )
                results.write(asked.rows, block.found)
                done += len(asked)
                report(done / max(1, n_rows))
            return results.arrays()

    def radius(
        self, r: float, *, queries: ArrayLike, return_distances: bool = False, n_threads: int | None = None
    ) -> Neighbors:
        """Find all points within a radius of new points, as :meth:`CoverTree.radius`."""
        r = _arguments.number(r, "r", minimum=0)
        n_rows, blocks = self._blocks(queries, False, False)
        lists = []
        for asked, home in blocks:
            with _arguments.renamed(points="queries"):
                block = WithinBlock(asked, self._layout, r, self.dtype, home)
                self._run(block, lambda one, some: one.within(some, r, n_threads=n_threads))
            lists.append((asked.rows, block.found))
        found = gathered(lists, n_rows)
        return Neighbors(found.offsets, found.indices, found.distances if return_distances else None)

    def _blocks(
        self, queries: ArrayLike | None, predecessors: bool, exclude_self: bool
    ) -> tuple[int, Iterator[tuple[Queries, Home | None]]]:
        """Queries by blocks, each with the partition that its queries are of."""
        if queries is None:
            return self.n_points, self._own_blocks(predecessors)
        if predecessors or exclude_self:
            raise ValueError(
                "predecessor_mode, exclude_self: new points are not in the dataset; give none for all points"
            )
        points = _arrays.queries(queries, "queries", self.dtype)
        if points.shape[1] != self.dim:
            raise ValueError(f"queries: expected {self.dim} columns, got {points.shape[1]}")
        _arrays.check_finite(points, "queries")
        # Along the curve, so that queries of a block see the same few partitions.
        with _arguments.renamed(points="queries"):
            order = np.argsort(self._layout.curve.positions(points), kind="stable")
        starts = range(0, max(1, len(points)), _BLOCK)
        rows = (order[start : start + _BLOCK] for start in starts)
        return len(points), ((Queries(some, np.ascontiguousarray(points[some])), None) for some in rows)

    def _own_blocks(self, predecessors: bool) -> Iterator[tuple[Queries, Home | None]]:
        for number, size in enumerate(self.partition_sizes):
            for start in range(0, int(size), _BLOCK):
                partition = self._partition(number)
                asked = partition.own(slice(start, start + _BLOCK))
                yield replace(asked, before=asked.own if predecessors else None), (number, partition)

    def _run(self, block: Any, ask: Callable[[Partition, Queries], Any]) -> None:
        while plan := block.plan():
            block.receive({number: ask(self._partition(number), some) for number, some in plan.items()})

    def _verify(self, progress: ProgressReport | None) -> None:
        """Compare everything with its checksums. CoverTreeError also if a dataset index is in two partitions."""
        seen = np.zeros(self.n_points, bool)
        for number in range(self.n_partitions):
            indices = self._partition(number).indices
            if seen[indices].any():
                raise CoverTreeError(f"path: partitions in {self.folder} have a dataset index twice")
            seen[indices] = True
            if progress is not None:
                progress((number + 1) / self.n_partitions)

    def _partition(self, number: int) -> Partition:
        """Return a mapped partition; the least recently used one is closed for it."""
        partition = self._mapped.pop(number, None)
        if partition is None:
            if len(self._mapped) >= _OPEN:
                self._mapped.pop(next(iter(self._mapped))).tree.close()
            partition = self._manifest.partition(self.folder, number).open()
        self._mapped[number] = partition
        return partition


class _Results:
    """Neighbours of all queries, in memory or in files.

    Queries come along the curve, and rows of a file in that order would be written page by page. So results are
    appended to files for ranges of rows, and each of these is put in order once.
    """

    def __init__(
        self, n_rows: int, k: int, dtype: np.dtype[Any], with_distances: bool, folder: _files.PathLike | None
    ) -> None:
        self._shape, self._folder = (n_rows, k), None if folder is None else _writing.absolute(folder)
        self._dtypes = {"indices": np.dtype(np.int64), **({"distances": dtype} if with_distances else {})}
        self._held: dict[str, NDArray[Any]] = {}
        self._drafts: tempfile.TemporaryDirectory[str] | None = None
        if self._folder is None:
            for name, kind in self._dtypes.items():
                self._held[name] = _arrays.results(*self._shape, kind)
                self._held[name].fill(_nothing(kind))
        else:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._drafts = tempfile.TemporaryDirectory(prefix=".covertree-", dir=self._folder)

    def __enter__(self) -> _Results:
        return self

    def __exit__(self, *_: object) -> None:
        if self._drafts is not None:
            self._drafts.cleanup()

    def write(self, rows: NDArray[np.int64], found: Nearest) -> None:
        if self._folder is None:
            for name, target in self._held.items():
                target[rows] = getattr(found, name)
            return
        order = np.argsort(rows)
        ends = np.searchsorted(rows[order], np.arange(0, self._shape[0] + _CHUNK, _CHUNK))
        for number, (start, end) in enumerate(zip(ends[:-1], ends[1:])):
            some = order[start:end]
            for name, array in (("rows", rows), *((name, getattr(found, name)) for name in self._dtypes)):
                _append(self._piece(name, number), array[some])

    def _piece(self, name: str, number: int) -> Path:
        assert self._drafts is not None
        return Path(self._drafts.name) / f"{name}-{number:05d}.part"

    def arrays(self) -> Any:
        """The result of a search."""
        if self._folder is not None:
            for name, kind in self._dtypes.items():
                self._gather(name, kind)
            self._held = {name: np.load(self._folder / f"{name}.npy", mmap_mode="r") for name in self._dtypes}
        found = tuple(self._held[name] for name in self._dtypes)
        return found if len(found) > 1 else found[0]

    def _gather(self, name: str, kind: np.dtype[Any]) -> None:
        """Make one file of the pieces."""
        assert self._folder is not None
        header = {"descr": kind.str, "fortran_order": False, "shape": self._shape}
        with _writing.replacing(self._folder / f"{name}.npy") as file:
            np.lib.format.write_array_header_2_0(file, header)
            for number in range(-(-self._shape[0] // _CHUNK)):
                rows = np.fromfile(self._piece("rows", number), np.int64) - number * _CHUNK
                count = min(_CHUNK, self._shape[0] - number * _CHUNK)
                found = np.full((count, self._shape[1]), _nothing(kind), kind)
                found[rows] = np.fromfile(self._piece(name, number), kind).reshape(len(rows), -1)
                file.write(found.data)
                self._piece(name, number).unlink()


def _report(progress: ProgressReport | None) -> ProgressReport:
    return (lambda share: None) if progress is None else _arguments.function(progress, "progress")


def _nothing(kind: np.dtype[Any]) -> float:
    """The value for a missing neighbour."""
    return -1 if kind.kind == "i" else np.inf


def _chunks(points: NDArray[Any], dtype: np.dtype[Any], report: ProgressReport) -> Iterator[tuple[int, NDArray[Any]]]:
    """Rows of an array, some at a time, each with the index of the first."""
    for first in range(0, len(points), _CHUNK):
        chunk = np.ascontiguousarray(points[first : first + _CHUNK], dtype)
        _arrays.check_finite(chunk, "points", first)
        yield first, chunk
        report((first + len(chunk)) / len(points))


def _cut(points: NDArray[Any], n_partitions: int, dtype: np.dtype[Any], report: ProgressReport) -> Curve:
    """Cut the curve through the points into partitions of one size, by a sample."""
    low, high = np.full(points.shape[1], np.inf), np.full(points.shape[1], -np.inf)
    rng, share = np.random.default_rng(0), sample_share(len(points), n_partitions)
    sample, indices = [], []
    for first, chunk in _chunks(points, dtype, report):
        low, high = np.minimum(low, chunk.min(axis=0)), np.maximum(high, chunk.max(axis=0))
        rows = sampled(rng, len(chunk), share)
        sample.append(chunk[rows])
        indices.append(first + rows)
    return Curve.cut(low, high, positions(np.concatenate(sample), low, high), np.concatenate(indices), n_partitions)


def _split(points: NDArray[Any], curve: Curve, paths: list[Path], dtype: np.dtype[Any], report: ProgressReport) -> None:
    """Write the points of each partition, with their indices, to files next to the file of the partition."""
    for first, chunk in _chunks(points, dtype, report):
        indices = np.arange(first, first + len(chunk))
        for path, rows in zip(paths, curve.rows_of_partitions(chunk, indices)):
            for ending, array in ((".indices", indices), (".points", chunk)):
                _append(path.with_suffix(ending), array[rows])


def _append(path: Path, array: NDArray[Any]) -> None:
    with path.open("ab") as file:
        array.tofile(file)


def _build(path: Path, dim: int, dtype: np.dtype[Any], options: dict[str, Any]) -> tuple[Extent, bytes]:
    """Build a partition's tree from its points on disk, and save it. Returns its extent and its seal."""
    raw = [path.with_suffix(ending) for ending in (".points", ".indices")]
    points, indices = np.fromfile(raw[0], dtype).reshape(-1, dim), np.fromfile(raw[1], np.int64)
    with CoverTree(points, dtype=dtype, **options) as tree:
        partition = Partition(indices, tree)
        seal = save_partition(partition, path)
        for one in raw:
            one.unlink()
        return partition.extent(), seal
