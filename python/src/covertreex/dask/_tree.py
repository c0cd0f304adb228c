"""A tree in partitions on the workers of a Dask cluster."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
from distributed import Client, Future, get_client, wait
from numpy.typing import ArrayLike, NDArray

from .. import _arguments, _arrays, _files, _writing
from .._exports.tree_arrays import Neighbors
from .._partitions.files import partition_path, process_path
from .._partitions.filling import filling
from .._partitions.manifest import Manifest
from .._partitions.rounds import Traffic
from ..kernels import Stationary, of_this_package
from . import _cluster, _results, _rounds, _source, _tasks
from ._cluster import Groups
from ._rounds import BLOCK, Search
from ._search import Run

SearchReport = Traffic


class PartitionedTree:
    """Points in partitions on the workers of a Dask cluster, and exact searches of them.

    Made by :func:`covertreex.dask.cover_tree`. The client keeps boxes, balls and index ranges of the partitions. A
    lost worker loses its partitions, too: Dask builds them again, from where the points came from.
    """

    def __init__(
        self,
        groups: Groups,
        curve: Future,
        common: Future | None,
        *,
        n_points: int,
        dim: int,
        dtype: np.dtype[Any],
        folder: Path | None = None,
    ) -> None:
        self._client, self._curve, self._submit = groups.client, curve, partial(_cluster.submit, groups.client)
        self.n_points, self.dim, self.dtype = n_points, dim, dtype
        self._made = _tasks.Made({}, folder)
        #: Costs of the last search: rounds, visits of queries to partitions, bytes between partitions.
        self.last_search: SearchReport | None = None
        self._use(groups, common)

    def _use(self, groups: Groups, common: Future | None) -> None:
        """Use these partitions, and compute their layout."""
        self._groups, self._common = groups, common
        layout = self._submit(_tasks.layout, self._curve, groups.each(_tasks.extents, self.n_points))
        self._where = self._submit(_rounds.known, layout, groups.owners)
        self._known = known = self._submit(_tasks.summary, layout).result()
        #: Sides of the boxes around the partitions, shape (partitions, dim).
        self.low, self.high = known.low, known.high
        #: Centers and radii of balls around them.
        self.centers, self.radii = known.centers, known.radii
        #: Points of each partition, and the smallest dataset index of each.
        self.partition_sizes, self.first_indices = known.n_points, known.first

    @property
    def n_partitions(self) -> int:
        """The number of partitions."""
        return len(self._groups.owners)

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
        what = Search(self.dtype, predecessor_mode, exclude_self, k=k, distances=return_distances)
        if queries is None:
            found = self._own_results(what, before)
        elif isinstance(queries, da.Array):
            found = self._results_for_array(what, queries, before)
        else:
            found = self._for_rows(what, queries, before)
        return tuple(found) if return_distances else found[0]

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
        found = self._for_rows(Search(self.dtype, predecessor_mode, exclude_self, radius=r), queries, before)
        if count_only:
            return np.diff(found.offsets)
        return Neighbors(found.offsets, found.indices, found.distances if return_distances else None)

    def _for_rows(self, what: Search, given: ArrayLike, before: ArrayLike | None) -> Any:
        """Search for queries that the client has, and bring it the results."""
        rows = _arrays.own_queries(given, lambda: self.dim)
        upper = _upper(before, len(rows), what)
        if _arrays.are_indices(rows):
            return self._for_indices(what, rows, upper)
        points = _arrays.queries(rows, "queries", self.dtype)
        self._check_new(points.shape[1], what)
        _arrays.check_finite(points, "queries")
        starts = range(0, max(1, len(points)), BLOCK)
        run = self._run(what)
        run.new([self._submit(_tasks.same, points[start : start + BLOCK]) for start in starts], upper, self._common)
        self.last_search = run.traffic
        pieces = [(start + own, found) for start, (own, found) in zip(starts, run.found())]
        return _results.collect(pieces, len(points), what)

    def _run(self, what: Search) -> Run:
        return Run(self._groups, self._where, what)

    def _check_new(self, dim: int, what: Search) -> None:
        if dim != self.dim:
            raise ValueError(f"queries: expected {self.dim} columns, got {dim}")
        if what.predecessors:
            raise ValueError("predecessor_mode: only points of the dataset have predecessors; give before")
        if what.exclude_self:
            raise ValueError("exclude_self: new points are not in the dataset; give dataset indices as queries")

    def _for_indices(self, what: Search, wanted: NDArray[np.int64], before: NDArray[np.int64] | None) -> Any:
        """Search for points of the dataset: each is asked for by the partition that has it."""
        if len(wanted) and not (wanted.min() >= 0 and wanted.max() < self.n_points):
            row = int(np.argmax((wanted < 0) | (wanted >= self.n_points)))
            raise IndexError(f"queries[{row}]: expected 0 to {self.n_points - 1}, got {wanted[row]}")
        once, positions = np.unique(wanted, return_inverse=True)
        if before is not None and len(once) < len(wanted):
            raise ValueError("queries: expected each dataset index once, where before is given")
        run = self._run(what)
        run.own(once, None if before is None else before[np.argsort(wanted)])
        self.last_search = run.traffic
        pieces = [(np.searchsorted(once, own), found) for own, found in run.found()]
        return _results.rows_of(_results.collect(pieces, len(once), what), positions)

    def _own_results(self, what: Search, before: ArrayLike | None) -> Sequence[da.Array]:
        """Search for all points of the dataset; results stay on the workers, in the order of the dataset."""
        run = self._run(what)
        run.own(None, _upper(before, self.n_points, what))
        self.last_search = run.traffic
        bounds = np.linspace(0, self.n_points, len(self._groups) + 1).astype(np.int64)
        return self._as_arrays(run.in_order(bounds), np.diff(bounds), what)

    def _results_for_array(self, what: Search, queries: da.Array, before: ArrayLike | None) -> Sequence[da.Array]:
        """Search for new points that are on the workers, where results stay."""
        array = _source.opened(queries)
        self._check_new(int(array.shape[1]), what)
        array = array.rechunk({0: BLOCK, 1: -1})
        run = self._run(what)
        run.new(_cluster.chunks(self._client, array), _upper(before, int(array.shape[0]), what), self._common)
        self.last_search = run.traffic
        return self._as_arrays(run.on_workers(), array.chunks[0], what)

    def _as_arrays(self, results: list[Future], counts: Any, what: Search) -> Sequence[da.Array]:
        """Futures of the neighbours of some rows each, as Dask arrays."""
        dtypes = (np.dtype(np.int64), self.dtype)[: 1 + what.distances]
        return [
            da.concatenate(
                [
                    da.from_delayed(dask.delayed(self._submit(_tasks.pick, result, field)), (int(count), what.k), dtype)
                    for result, count in zip(results, counts)
                ]
            )
            for field, dtype in enumerate(dtypes)
        ]

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
        of_this_package(kernel)
        if jitter is not None:
            _arguments.number(jitter, "jitter")
        common = self._submit(_tasks.with_kernel, self._common, kernel, inducing_points, jitter)
        self._use(replace(self._groups, futures=self._groups.each(_tasks.refit, common, self._made)), common)
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
            paths = [partition_path(folder, tag, number) for number in range(self.n_partitions)]
            written = self._groups.each(_tasks.save, paths)
            if self._common is not None:
                path = process_path(folder, tag)
                written.append(self._submit(_tasks.process_written, self._common, path))
            wait(written)  # all of them, even if one fails: a file that comes later would stay in the folder
            of_groups = self._client.gather(written)
            kind, process = (_files.TREE, None) if self._common is None else (_files.RESIDUAL, of_groups.pop())
            seals = [seal for seals in of_groups for seal in seals]
            Manifest(tag, kind, self.dtype, self._known, seals, process).save(folder)


def _upper(before: ArrayLike | None, n_rows: int, what: Search) -> NDArray[np.int64] | None:
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
    files = [known.partition(folder, number) for number in range(len(known.seals))]
    owners = _cluster.divided(len(files), len(workers))
    opened = []
    for group, worker in enumerate(workers[: int(owners[-1]) + 1]):
        of_group = {number: files[number] for number in np.flatnonzero(owners == group).tolist()}
        opened.append(submit(_tasks.load, of_group, worker=worker))
    curve, common = submit(_tasks.same, known.layout.curve), None
    if known.process is not None:
        common = submit(_tasks.process_read, known.process_path(folder), known.process)
    groups = Groups(client, opened, owners)
    return PartitionedTree(groups, curve, common, n_points=known.n_points, dim=known.dim, dtype=known.dtype)
