"""Trees of more points than memory holds: partitions on disk that are built, saved and mapped one after another."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from . import _arrays, _calls, _files
from ._calls import ProgressReport
from ._native import CoverTreeError
from ._parts.curve import Curve, positions, sample_share, sampled
from ._parts.files import MANIFEST, open_part, part_path, save_part
from ._parts.layout import Extent, Layout
from ._parts.part import Part
from ._parts.queries import Nearest, Queries, gathered
from ._parts.rounds import Home, NearestBlock, WithinBlock
from .runtime import active_config
from .tree import CoverTree, Neighbors, kept_dtype

__all__ = ["MappedTree"]

# Points that are read at a time, and queries that are searched together.
_CHUNK = 1 << 20
_BLOCK = 1 << 16
# Points of a partition: some 100 bytes each are held while its tree is built.
DEFAULT_PARTITION = 4_000_000
# Partitions that are mapped at the same time.
_OPEN = 8


class MappedTree:
    """A cover tree in partitions on disk, in the Euclidean metric.

    Made by :func:`covertreex.cover_tree` with a ``folder``, opened by :func:`covertreex.load` of that. Answers are
    those of a tree in memory. Partitions are along the Hilbert curve; a query sees the one that owns its place, and
    those that can still have something for it. A few of them are mapped at a time.
    """

    def __init__(self, folder: _files.PathLike) -> None:
        self.folder = Path(folder)
        try:
            known = json.loads((self.folder / MANIFEST).read_text())
            self.n_points, self.dim = int(known["n_points"]), int(known["dim"])
            self.dtype = np.dtype(known["dtype"])
            with np.load(self.folder / "layout.npz") as arrays:
                curve = Curve(*(arrays[name] for name in ("curve_low", "curve_high", "keys", "indices")))
                self._layout = Layout(
                    curve=curve, low=arrays["low"], high=arrays["high"], centers=arrays["centers"],
                    radii=arrays["radii"], n_points=arrays["sizes"], first=arrays["first"],
                    outlines=[None] * len(arrays["radii"]),
                )  # fmt: skip
        except FileNotFoundError:
            raise IsADirectoryError(f"path: {self.folder} is a folder without a tree in partitions") from None
        except (KeyError, TypeError, ValueError) as error:
            raise CoverTreeError(
                f"folder: {self.folder} has no tree in partitions, or a damaged one: {error}"
            ) from error
        self._mapped: dict[int, Part] = {}

    @property
    def n_partitions(self) -> int:
        """How many partitions there are."""
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
        coords: NDArray[Any],
        folder: _files.PathLike,
        partition_size: int = DEFAULT_PARTITION,
        *,
        dtype: DTypeLike | None = None,
        progress: ProgressReport | None = None,
        **options: Any,
    ) -> MappedTree:
        """Build one in a folder, which is made; see :func:`covertreex.cover_tree`."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        if any(target.iterdir()):
            raise FileExistsError(f"folder: {target} is not empty")
        n, dim = coords.shape
        wanted = kept_dtype(active_config().dtype if dtype is None else dtype)
        kept = wanted or _arrays.float_dtype(coords.dtype)
        report = progress or (lambda share: None)
        n_parts = -(-n // partition_size)
        curve = _cut(coords, n_parts, kept, lambda share: report(0.2 * share))
        _split(coords, curve, target, kept, lambda share: report(0.2 + 0.2 * share))
        extents = []
        for number in range(n_parts):
            extents.append(_build(target, number, dim, kept, options))
            report(0.4 + 0.6 * (number + 1) / n_parts)
        layout = Layout.of(curve, extents)
        np.savez(
            target / "layout.npz", curve_low=curve.low, curve_high=curve.high, keys=curve.keys, indices=curve.indices,
            low=layout.low, high=layout.high, centers=layout.centers, radii=layout.radii, sizes=layout.n_points,
            first=layout.first,
        )  # fmt: skip
        # Written last: without it there is no tree.
        (target / MANIFEST).write_text(json.dumps({"n_points": n, "dim": dim, "dtype": str(kept)}))
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
        """Find the ``k`` nearest points of each query, as :meth:`CoverTree.knn`.

        Parameters
        ----------
        k : int
            At least 1.
        queries : array_like, shape (q, dim), optional
            New points; by default all points, in the order of their indices.
        return_distances, predecessor_mode, exclude_self, n_threads, progress
            As in :meth:`CoverTree.knn`.
        out : path, optional
            A folder for ``indices.npy`` and ``distances.npy``; results are then mapped from there, not held in memory.

        Returns
        -------
        indices, distances
            As of :meth:`CoverTree.knn`; mapped files with ``out``.
        """
        k = _arrays.integer(k, "k", minimum=1)
        n_rows, blocks = self._blocks(queries, predecessor_mode, exclude_self)
        results = _Results(n_rows, k, self.dtype, return_distances, out)
        report = progress or (lambda share: None)
        done = 0
        for asked, home in blocks:
            block = NearestBlock(asked, self._layout, k, self.dtype, home)
            self._run(block, lambda part, some: part.answer(some, k, exclude_self=exclude_self, n_threads=n_threads))
            results.write(asked.rows, block.found)
            done += len(asked)
            report(done / max(1, n_rows))
        return results.arrays()

    def radius(
        self,
        r: float,
        *,
        queries: ArrayLike,
        return_distances: bool = False,
        n_threads: int | None = None,
    ) -> Neighbors:
        """Find all points within a radius of new points, as :meth:`CoverTree.radius`."""
        r = _calls.number(r, "r")
        if not r >= 0:
            raise ValueError(f"r: expected a number from 0 up, got {r}")
        n_rows, blocks = self._blocks(queries, False, False)
        lists = []
        for asked, home in blocks:
            block = WithinBlock(asked, self._layout, r, self.dtype, home)
            self._run(block, lambda part, some: part.within(some, r, n_threads=n_threads))
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
        order = np.argsort(self._layout.curve.positions(points), kind="stable")
        starts = range(0, max(1, len(points)), _BLOCK)
        rows = (order[start : start + _BLOCK] for start in starts)
        return len(points), ((Queries(some, np.ascontiguousarray(points[some])), None) for some in rows)

    def _own_blocks(self, predecessors: bool) -> Iterator[tuple[Queries, Home | None]]:
        for number, size in enumerate(self.partition_sizes):
            for start in range(0, int(size), _BLOCK):
                part = self._part(number)
                asked = part.own(slice(start, start + _BLOCK))
                yield replace(asked, before=asked.own if predecessors else None), (number, part)

    def _run(self, block: Any, ask: Callable[[Part, Queries], Any]) -> None:
        while plan := block.plan():
            block.take({number: ask(self._part(number), some) for number, some in plan.items()})

    def _part(self, number: int) -> Part:
        """A partition, mapped; the one that was used longest ago makes way."""
        part = self._mapped.pop(number, None)
        if part is None:
            if len(self._mapped) >= _OPEN:
                self._mapped.pop(next(iter(self._mapped))).tree.close()
            part = open_part(self.folder, number, mapped=True)
        self._mapped[number] = part
        return part


class _Results:
    """Neighbours of all queries, in memory or in files.

    Queries come along the curve, and rows of files in any order would be written page by page. So what is found goes to
    the ends of files for ranges of rows first, and each of these is put in order once.
    """

    def __init__(
        self, n_rows: int, k: int, dtype: np.dtype[Any], with_distances: bool, folder: _files.PathLike | None
    ) -> None:
        self._shape, self._folder = (n_rows, k), None if folder is None else Path(folder)
        self._dtypes = {"indices": np.dtype(np.int64), **({"distances": dtype} if with_distances else {})}
        self._held: dict[str, NDArray[Any]] = {}
        if self._folder is None:
            self._held = {name: np.empty(self._shape, kind) for name, kind in self._dtypes.items()}
        else:
            self._folder.mkdir(parents=True, exist_ok=True)

    def write(self, rows: NDArray[np.int64], found: Nearest) -> None:
        """Take the neighbours of some rows."""
        if self._folder is None:
            for name, target in self._held.items():
                target[rows] = getattr(found, name)
            return
        order = np.argsort(rows)
        ends = np.searchsorted(rows[order], np.arange(0, self._shape[0] + _CHUNK, _CHUNK))
        for number, (start, end) in enumerate(zip(ends[:-1], ends[1:])):
            some = order[start:end]
            for name, array in (("rows", rows), *((name, getattr(found, name)) for name in self._dtypes)):
                _append(self._part(name, number), array[some])

    def _part(self, name: str, number: int) -> Path:
        assert self._folder is not None
        return self._folder / f"{name}-{number:05d}.part"

    def arrays(self) -> Any:
        """What a search returns."""
        if self._folder is not None:
            for name, kind in self._dtypes.items():
                self._gather(name, kind)
            for number in range(-(-self._shape[0] // _CHUNK)):
                self._part("rows", number).unlink()
            self._held = {name: np.load(self._folder / f"{name}.npy", mmap_mode="r") for name in self._dtypes}
        found = tuple(self._held[name] for name in self._dtypes)
        return found if len(found) > 1 else found[0]

    def _gather(self, name: str, kind: np.dtype[Any]) -> None:
        """Make one file of the parts."""
        assert self._folder is not None
        header = {"descr": kind.str, "fortran_order": False, "shape": self._shape}
        with (self._folder / f"{name}.npy").open("wb") as file:
            np.lib.format.write_array_header_2_0(file, header)
            for number in range(-(-self._shape[0] // _CHUNK)):
                rows = np.fromfile(self._part("rows", number), np.int64) - number * _CHUNK
                found = np.empty((len(rows), self._shape[1]), kind)
                found[rows] = np.fromfile(self._part(name, number), kind).reshape(found.shape)
                found.tofile(file)
                self._part(name, number).unlink()


def _chunks(coords: NDArray[Any], dtype: np.dtype[Any], report: ProgressReport) -> Iterator[tuple[int, NDArray[Any]]]:
    """Rows of an array, some at a time, each with the index of the first."""
    for first in range(0, len(coords), _CHUNK):
        chunk = np.ascontiguousarray(coords[first : first + _CHUNK], dtype)
        _arrays.check_finite(chunk, "coords", first)
        yield first, chunk
        report((first + len(chunk)) / len(coords))


def _cut(coords: NDArray[Any], n_parts: int, dtype: np.dtype[Any], report: ProgressReport) -> Curve:
    """Cut the curve through the points into parts of one size, by a sample."""
    low, high = np.full(coords.shape[1], np.inf), np.full(coords.shape[1], -np.inf)
    rng, share = np.random.default_rng(0), sample_share(len(coords), n_parts)
    points, indices = [], []
    for first, chunk in _chunks(coords, dtype, report):
        low, high = np.minimum(low, chunk.min(axis=0)), np.maximum(high, chunk.max(axis=0))
        rows = sampled(rng, len(chunk), share)
        points.append(chunk[rows])
        indices.append(first + rows)
    return Curve.cut(low, high, positions(np.concatenate(points), low, high), np.concatenate(indices), n_parts)


def _split(coords: NDArray[Any], curve: Curve, folder: Path, dtype: np.dtype[Any], report: ProgressReport) -> None:
    """Write the points of each part, with their indices, to files of its own."""
    for first, chunk in _chunks(coords, dtype, report):
        indices = np.arange(first, first + len(chunk))
        for number, rows in enumerate(curve.rows_of_parts(chunk, indices)):
            for ending, array in (("indices", indices), ("points", chunk)):
                _append(part_path(folder, number, ending), array[rows])


def _append(path: Path, array: NDArray[Any]) -> None:
    """Write to the end of a file, which is made where it is not there."""
    with path.open("ab") as file:
        array.tofile(file)


def _build(folder: Path, number: int, dim: int, dtype: np.dtype[Any], options: dict[str, Any]) -> Extent:
    """Build a part's tree of what was split off, and save it in its place."""
    raw = [part_path(folder, number, ending) for ending in ("points", "indices")]
    points, indices = np.fromfile(raw[0], dtype).reshape(-1, dim), np.fromfile(raw[1], np.int64)
    with CoverTree(points, dtype=dtype, **options) as tree:
        part = Part(indices, tree)
        save_part(part, folder, number)
        for path in raw:
            path.unlink()
        return part.extent()
