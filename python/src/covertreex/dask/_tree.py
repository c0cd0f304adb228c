"""A tree in partitions on the workers of a Dask cluster."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import dask
import dask.array as da
import numpy as np
from distributed import Client, Future, get_client, wait
from numpy.typing import ArrayLike, NDArray

from .. import _arguments, _arrays, _files, _writing
from .._exports.tree_arrays import Neighbors
from .._partitions.files import PartitionFile, partition_path, process_path, save_partition
from .._partitions.filling import filling
from .._partitions.manifest import Manifest
from .._partitions.partition import Partition
from .._partitions.rounds import Traffic
from ..kernels import Stationary
from ..residual import ResidualTree
from . import _cluster, _results, _source, _tasks

SearchReport = Traffic

# Queries that are searched together: their bounds in all partitions are in memory at once.
_BLOCK = 1 << 16


class PartitionedTree:
    """Points in partitions on the workers of a Dask cluster, and exact searches of them.

    Made by :func:`covertreex.dask.cover_tree`. The client keeps boxes, balls and index ranges of the partitions. A
    lost worker loses its partitions, too: Dask builds them again, from where the points came from.
    """

    def __init__(
        self,
        client: Client,
        partitions: list[Future],
        curve: Future,
        common: Future | None,
        *,
        n_points: int,
        dim: int,
        dtype: np.dtype[Any],
    ) -> None:
        self._client, self._curve, self._submit = client, curve, partial(_cluster.submit, client)
        self.n_points, self.dim, self.dtype = n_points, dim, dtype
        #: Costs of the last search: rounds, visits of queries to partitions, bytes between partitions.
        self.last_search: SearchReport | None = None
        self._use(partitions, common)

    def _use(self, partitions: list[Future], common: Future | None) -> None:
        """Use these partitions, and compute their layout."""
        self._partitions, self._common = partitions, common
        extents = [self._submit(Partition.extent, partition) for partition in partitions]
        self._layout = self._submit(_tasks.layout, self._curve, extents)
        self._known = known = self._submit(_tasks.summary, self._layout).result()
        #: Sides of the boxes around the partitions, shape (partitions, dim).
        self.low, self.high = known.low, known.high
        #: Centers and radii of balls around them.
        self.centers, self.radii = known.centers, known.radii
        #: Points of each partition, and the smallest dataset index of each.
        self.partition_sizes, self.first_indices = known.n_points, known.first

    @property
    def n_partitions(self) -> int:
        """The number of partitions."""
        return len(self._partitions)

    @property
    def metric(self) -> str:
        """The metric, "euclidean" or "residual_correlation"."""
        return "euclidean" if self._common is None else "residual_correlation"

    def __len__(self) -> int:
        return self.n_points

    def __repr__(self) -> str:
        return (
            f"PartitionedTree(n_points={self.n_points}, dim={self.dim}, dtype={self.dtype}, metric={self.metric!r}, "
            f"n_partitions={self.n_partitions})"
        )

    # Searches

    def knn(
        self,
        k: int,
        *,
        queries: da.Array | ArrayLike | None = None,
        return_distances: bool = False,
        predecessor_mode: bool = False,
        before: ArrayLike | None = None,
        exclude_self: bool = False,
    ) -> Any:
        """Find the ``k`` nearest points of each query.

        Parameters
        ----------
        k : int
            At least 1. It may exceed the number of points.
        queries : dask.array.Array or array_like, optional
            New points, floats of shape (q, dim); points of the dataset, integers of shape (q,): their dataset indices;
            or None for all points in their order.
        return_distances : bool
            Whether to return the distances too.
        predecessor_mode : bool
            Only points with a lower dataset index than the query's own. Not for new points.
        before : array_like of int, shape (q,), optional
            For each query: only points with a dataset index below this.
        exclude_self : bool
            Not the query itself, known by its dataset index. Not for new points.

        Returns
        -------
        indices : numpy.ndarray or dask.array.Array of int64, shape (q, k)
            Sorted by (distance, index); -1 if there are fewer than ``k``. A Dask array, which is computed and stays on
            the workers, for all points and for queries that are one.
        distances : the same, shape (q, k)
            Infinity if there are fewer than ``k``. Only with ``return_distances``.
        """
        k = _arrays.integer(k, "k", minimum=1)
        what = _tasks.Search(self.dtype, predecessor_mode, exclude_self, k=k)
        if queries is None:
            found = self._own_results(what, before)
        elif isinstance(queries, da.Array):
            found = self._results_for_array(what, queries, before)
        else:
            found = self._for_rows(what, queries, before)
        return tuple(found[:2]) if return_distances else found[0]

    def radius(
        self,
        r: float,
        *,
        queries: ArrayLike,
        return_distances: bool = False,
        predecessor_mode: bool = False,
        before: ArrayLike | None = None,
        exclude_self: bool = False,
        count_only: bool = False,
    ) -> Any:
        """Find all points within a radius of each query, in the Euclidean metric.

        Parameters
        ----------
        r : float
            The radius (inclusive), at least 0.
        queries : array_like
            New points, floats of shape (q, dim); or points of the dataset, integers of shape (q,).
        return_distances, predecessor_mode, before, exclude_self
            As in :meth:`knn`.
        count_only : bool
            Only count them.

        Returns
        -------
        Neighbors or numpy.ndarray of int64, shape (q,)
            The counts with ``count_only``.
        """
        if self._common is not None:
            raise ValueError("r: a radius is searched in the Euclidean metric only")
        r = _arguments.number(r, "r", minimum=0)
        found = self._for_rows(_tasks.Search(self.dtype, predecessor_mode, exclude_self, radius=r), queries, before)
        if count_only:
            return np.diff(found.offsets)
        return Neighbors(found.offsets, found.indices, found.distances if return_distances else None)

    def _for_rows(self, what: _tasks.Search, given: ArrayLike, before: ArrayLike | None) -> Any:
        """Search for queries that the client has, and bring it the results."""
        rows = _arrays.own_queries(given, lambda: self.dim)
        upper = _upper(before, len(rows), what)
        if _arrays.are_indices(rows):
            return self._for_indices(what, rows, upper)
        points = _arrays.queries(rows, "queries", self.dtype)
        self._check_new(points.shape[1], what)
        _arrays.check_finite(points, "queries")
        starts = range(0, max(1, len(points)), _BLOCK)  # at least one block, as results are joined
        blocks = [self._block(what, points[start : start + _BLOCK], upper, start) for start in starts]
        results = self._client.gather(self._run(blocks, what))
        pieces = [(start + own, found) for start, (own, found, _) in zip(starts, results)]
        return _results.collect(pieces, len(points), what)

    def _check_new(self, dim: int, what: _tasks.Search) -> None:
        if dim != self.dim:
            raise ValueError(f"queries: expected {self.dim} columns, got {dim}")
        if what.predecessors:
            raise ValueError("predecessor_mode: only points of the dataset have predecessors; give before")
        if what.exclude_self:
            raise ValueError("exclude_self: new points are not in the dataset; give dataset indices as queries")

    def _block(self, what: _tasks.Search, points: Any, upper: NDArray[np.int64] | None, start: int) -> Future:
        """A block of new points, of at most `_BLOCK` rows, of which the first is that at ``start``."""
        features = None if self._common is None else self._submit(ResidualTree.features, self._common, points)
        before = None if upper is None else upper[start : start + _BLOCK]
        asked = self._submit(_tasks.queries, points, before, features, self.dtype)
        return self._submit(_tasks.begin, asked, self._layout, what)

    def _for_indices(self, what: _tasks.Search, wanted: NDArray[np.int64], before: NDArray[np.int64] | None) -> Any:
        """Search for points of the dataset: each is asked for by the partition that has it."""
        if len(wanted) and not (wanted.min() >= 0 and wanted.max() < self.n_points):
            row = int(np.argmax((wanted < 0) | (wanted >= self.n_points)))
            raise IndexError(f"queries[{row}]: expected 0 to {self.n_points - 1}, got {wanted[row]}")
        once, positions = np.unique(wanted, return_inverse=True)
        if before is not None and len(once) < len(wanted):
            raise ValueError("queries: expected each dataset index once, where before is given")
        upper = None if before is None else before[np.argsort(wanted)]
        shared, late = self._submit(_tasks.same, once), self._submit(_tasks.same, upper)
        blocks = [self._own_block(number, what, shared, late) for number in range(self.n_partitions)]
        results = self._client.gather(self._run(blocks, what))
        pieces = [(np.searchsorted(once, own), found) for own, found, _ in results]
        return _results.rows_of(_results.collect(pieces, len(once), what), positions)

    def _own_block(self, number: int, what: _tasks.Search, some: slice | Future, before: Future) -> Future:
        home = number, self._partitions[number]
        return self._submit(_tasks.begin_own, home, some, before, self._layout, what)

    def _own_results(self, what: _tasks.Search, before: ArrayLike | None) -> Sequence[da.Array]:
        """Search for all points of the dataset; results stay on the workers, in the order of the dataset."""
        late = self._submit(_tasks.same, _upper(before, self.n_points, what))
        slices = [
            (number, slice(start, start + _BLOCK))
            for number, size in enumerate(self.partition_sizes)
            for start in range(0, int(size), _BLOCK)
        ]
        results = self._run([self._own_block(number, what, some, late) for number, some in slices], what)
        of_partition: list[list[Future]] = [[] for _ in self._partitions]
        for (number, _), result in zip(slices, results):
            of_partition[number].append(result)
        bounds = np.linspace(0, self.n_points, self.n_partitions + 1).astype(np.int64)
        pieces = [self._submit(_tasks.spread, of_one, bounds) for of_one in of_partition]
        collected = []
        for chunk, count in enumerate(np.diff(bounds)):
            picked = [self._submit(_tasks.pick, piece, chunk) for piece in pieces]
            collected.append(self._submit(_results.collect, picked, int(count), what))
        return self._as_arrays(collected, np.diff(bounds), what)

    def _results_for_array(
        self, what: _tasks.Search, queries: da.Array, before: ArrayLike | None
    ) -> Sequence[da.Array]:
        """Search for new points that are on the workers, where results stay."""
        array = _source.opened(queries)
        self._check_new(int(array.shape[1]), what)
        array = array.rechunk({0: _BLOCK, 1: -1})
        upper = _upper(before, int(array.shape[0]), what)
        chunks = enumerate(_cluster.chunks(self._client, array))
        results = self._run([self._block(what, chunk, upper, number * _BLOCK) for number, chunk in chunks], what)
        return self._as_arrays([self._submit(_tasks.pick, result, 1) for result in results], array.chunks[0], what)

    def _as_arrays(self, results: list[Future], counts: Any, what: _tasks.Search) -> Sequence[da.Array]:
        """Futures of the neighbours of some rows each, as Dask arrays."""
        dtypes = (np.dtype(np.int64), self.dtype)
        return [
            da.concatenate(
                [
                    da.from_delayed(dask.delayed(self._submit(_tasks.pick, result, field)), (int(count), what.k), dtype)
                    for result, count in zip(results, counts)
                ]
            )
            for field, dtype in enumerate(dtypes)
        ]

    def _run(self, blocks: list[Future], what: _tasks.Search) -> list[Future]:
        """Find the results of blocks: round after round, until none has anything to ask any more."""
        steps = list(blocks)
        while True:
            wanted = self._client.gather([self._submit(_tasks.targets, step) for step in steps])
            if not any(wanted):
                break
            homes = self._homes()
            for number, partitions in enumerate(wanted):
                if not partitions:
                    continue
                answers = {
                    seen: self._submit(
                        _tasks.search, self._partitions[seen], self._submit(_tasks.question, steps[number], seen),
                        what, worker=homes[seen],
                    )
                    for seen in partitions
                }  # fmt: skip
                steps[number] = self._submit(_tasks.step, steps[number], answers)
        results = [self._submit(_tasks.found, step) for step in steps]
        traffic = self._client.gather([self._submit(_tasks.pick, result, 2) for result in results])
        self.last_search = sum(traffic[1:], traffic[0]) if traffic else Traffic()
        return results

    def _homes(self) -> list[str | None]:
        """The worker of each partition; None for one that is on its way."""
        known = self._client.who_has(self._partitions)
        return [next(iter(known.get(partition.key, ())), None) for partition in self._partitions]

    # Other hyperparameters

    def refit(
        self, kernel: Stationary, *, inducing_points: ArrayLike | None = None, jitter: float | None = None
    ) -> PartitionedTree:
        """Change the hyperparameters, without a shuffle: points are not moved.

        Parameters
        ----------
        kernel : covertreex.kernels.Kernel
            The new kernel.
        inducing_points : array_like, shape (m, dim), optional
            New ones; by default those there are stay.
        jitter : float, optional
            As in :func:`covertreex.cover_tree`.

        Returns
        -------
        PartitionedTree
            The tree itself.
        """
        if self._common is None:
            raise ValueError("kernel: this tree is Euclidean")
        if not isinstance(kernel, Stationary):
            raise TypeError(f"kernel: expected one of covertreex.kernels, got {_arguments.described(kernel)}")
        if jitter is not None:
            _arguments.number(jitter, "jitter")
        common = self._submit(_tasks.with_kernel, self._common, kernel, inducing_points, jitter)
        homes = zip(self._partitions, self._homes())
        self._use([self._submit(_tasks.refit, partition, common, worker=home) for partition, home in homes], common)
        return self

    # Files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the partitions to a folder that all workers see; :func:`load` opens it.

        A tree that is in the folder is replaced in one step, when all of the new one is on the disk. A call that fails,
        or whose process is killed, leaves the old one. Trees that were loaded from the folder before have to be loaded
        again: Dask cannot read their partitions a second time.

        Parameters
        ----------
        path : path
            The folder; it is made if it does not exist.

        Raises
        ------
        FileExistsError
            If another process saves a tree there.
        """
        with filling(_arguments.path(path), replace=True) as (folder, tag):
            written = [
                self._submit(save_partition, partition, partition_path(folder, tag, number), worker=home)
                for number, (partition, home) in enumerate(zip(self._partitions, self._homes()))
            ]
            if self._common is not None:
                written.append(self._submit(_tasks.save_process, self._common, process_path(folder, tag)))
            wait(written)  # all of them, even if one fails: a file that comes later would stay in the folder
            seals = self._client.gather(written)
            kind, process = (_files.TREE, None) if self._common is None else (_files.RESIDUAL, seals.pop())
            Manifest(tag, kind, self.dtype, self._known, seals, process).save(folder)


def _upper(before: ArrayLike | None, n_rows: int, what: _tasks.Search) -> NDArray[np.int64] | None:
    if before is not None and what.predecessors:
        raise ValueError("before: cannot be combined with predecessor_mode, which sets upper indices itself")
    return _arrays.upper_indices(before, n_rows)


def load(path: str | os.PathLike[str], *, client: Client | None = None) -> PartitionedTree:
    """Open a tree that :meth:`PartitionedTree.save` wrote: each worker opens its partitions.

    Parameters
    ----------
    path : path
        The folder, where all workers see it.
    client : distributed.Client, optional
        By default the current one.

    Returns
    -------
    PartitionedTree

    Raises
    ------
    OSError
        If there is no tree in the folder, or a file cannot be read.
    CoverTreeError
        If a file is damaged, missing, or of another tree.
    """
    folder = _writing.absolute(_arguments.path(path))  # workers have working directories of their own
    client = get_client() if client is None else client
    known = Manifest.open(folder)
    workers, submit = _cluster.workers(client), partial(_cluster.submit, client)
    partitions = [
        submit(PartitionFile.open, known.partition(folder, number), worker=workers[number % len(workers)])
        for number in range(len(known.seals))
    ]
    curve, common = submit(_tasks.same, known.layout.curve), None
    if known.process is not None:
        common = submit(_tasks.read_process, known.process_path(folder), known.process)
    return PartitionedTree(client, partitions, curve, common, n_points=known.n_points, dim=known.dim, dtype=known.dtype)
