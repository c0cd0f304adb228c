"""A VIF model in partitions: what the client does."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from typing import Any

import dask
import dask.array as da
import numpy as np
from distributed import Future
from numpy.typing import ArrayLike, NDArray

from .. import _arrays
from .._partitions.permutation import Permutation
from ..kernels import Stationary, of_this_package
from ..vecchia import _inputs
from ..vecchia._groups import Columns, Moments, joined
from ..vecchia._parts import Lead, Observed, Terms, Totals
from . import _cluster, _tasks, _vif_tasks
from ._rounds import BLOCK, Search
from ._search import Run
from ._tree import PartitionedTree


class PartitionedVIF:
    """A Gaussian process by the VIF approximation, of points on the workers of a Dask cluster.

    Made by :func:`covertreex.dask.vif`. Its results are those of a :class:`covertreex.vecchia.VIF` with the same order,
    sets and inducing points, except that sums over partitions are rounded differently. Workers send sums of the size
    of a few matrices of the inducing points, and copies of the points that are in sets of other workers; nothing of
    the size of the data is ever in one place.
    """

    def __init__(
        self,
        tree: PartitionedTree,
        columns: Columns,
        lead: Lead,
        order: Permutation | None,
        *,
        jitter: float,
        n_neighbors: int,
        keep: bool,
        is_one: bool,
    ) -> None:
        self._tree, self._columns, self._lead, self._order = tree, columns, lead, order
        self._client, self._submit = tree._client, partial(_cluster.submit, tree._client)
        self.n_neighbors, self._keep, self._is_one = n_neighbors, keep, is_one
        self._tree_kernel = lead.shared.kernel
        self._jitter = jitter
        self._parts: list[Future] = []
        self._totals: tuple[Totals, Future] | None = None
        self._shared = self._submit(_tasks.same, lead.shared)

    # Description

    @property
    def n_points(self) -> int:
        """The number of points."""
        return self._tree.n_points

    @property
    def n_partitions(self) -> int:
        """The number of partitions."""
        return self._tree.n_partitions

    @property
    def kernel(self) -> Stationary:
        """The kernel."""
        return self._lead.shared.kernel

    @property
    def noise(self) -> float:
        """The noise variance of all points; the factor of their own ones, if each has one."""
        return self._lead.shared.noise

    @property
    def inducing_points(self) -> NDArray[np.float64]:
        """The inducing points, (m, dim)."""
        return self._lead.shared.inducing

    @property
    def order(self) -> da.Array:
        """The row of each rank, (n,); a Dask array, as it may be larger than the memory of one machine."""
        n = self.n_points
        ranks = da.arange(n, chunks=min(n, 1 << 22), dtype=np.int64)
        return ranks if self._order is None else ranks.map_blocks(self._order.inverse, dtype=np.int64)

    def __len__(self) -> int:
        return self.n_points

    def __repr__(self) -> str:
        return (
            f"PartitionedVIF(n={self.n_points}, dim={self._tree.dim}, kernel={self.kernel}, "
            f"n_neighbors={self.n_neighbors}, n_inducing={len(self.inducing_points)}, n_partitions={self.n_partitions})"
        )

    # Conditioning sets

    def _condition(self) -> None:
        """Find the conditioning sets, and bring each group the points that are in sets of its own."""
        groups, columns = self._tree._groups, self._columns
        width = min(self.n_neighbors, self.n_points - 1)
        if width:
            what = Search(self._tree.dtype, True, False, k=width, distances=False)
            run = Run(groups, self._tree._where, what)
            run.own(None, None)
            sets = [
                self._submit(_vif_tasks.condition, group, asking, what)
                for group, asking in zip(groups.futures, run.asking)
            ]
        else:
            sets = groups.each(_vif_tasks.condition_on_nothing)
        wanted = dict(enumerate(self._submit(_vif_tasks.want, of_group) for of_group in sets))
        answers = self._served(wanted)
        self._parts = [
            self._submit(_vif_tasks.assemble, group, columns, of_group, answers[number], self._keep, worker=home)
            for number, (group, of_group, home) in enumerate(zip(groups.futures, sets, groups.homes()))
        ]

    def _served(self, wanted: dict[int, Future]) -> dict[int, list[Future]]:
        """The points of some ranks, from all groups, by who asks for them."""
        served = self._tree._groups.each(_vif_tasks.serve, self._columns, wanted)
        return {source: [self._submit(_tasks.pick, one, source) for one in served] for source in wanted}

    # Observations

    def _observed(self, ranks: NDArray[np.int64]) -> Observed:
        """Some observations, by rank, brought to the client."""
        wanted = {0: self._submit(_tasks.same, np.sort(ranks))}
        _, known = joined(self._client.gather(self._served(wanted)[0]))
        return known.some(np.argsort(np.argsort(ranks)))

    def _measured(self) -> list[Moments]:
        """How the observations of each group spread."""
        found: list[Moments] = self._client.gather(self._tree._groups.each(_vif_tasks.measure, self._columns))
        return found

    # Likelihood

    def _sums(self) -> tuple[Totals, Future]:
        """The totals of all parts, for the client and for the workers."""
        if self._totals is None:
            shares = [self._submit(_vif_tasks.add_totals, parts, self._shared) for parts in self._parts]
            totals = Totals.of(self._client.gather(shares))
            self._totals = totals, self._submit(_tasks.same, totals)
        return self._totals

    def log_likelihood(self, *, eval_gradient: bool = False) -> Any:
        """The log likelihood of the responses.

        Parameters
        ----------
        eval_gradient : bool
            Whether to return the gradient by the logarithms of the noise, of the variance and of the lengthscales, in
            this order; order, sets and inducing points are held fixed.

        Returns
        -------
        value : float, or numpy.ndarray of shape (r,)
        gradient : numpy.ndarray, shape (p,) or (r, p)
            If it is wanted.
        """
        totals, sent = self._sums()
        shares = [self._submit(_vif_tasks.add_terms, parts, self._shared, sent, eval_gradient) for parts in self._parts]
        terms = Terms.of(self._client.gather(shares))
        values, gradients = self._lead.log_likelihood(totals, terms)
        value = float(values[0]) if self._is_one else values
        if gradients is None:
            return value
        return value, gradients[0] if self._is_one else gradients

    # Other hyperparameters

    def _copy(self, kernel: Stationary | None, noise: float | None) -> PartitionedVIF:
        before = self._lead.shared
        value = before.noise if noise is None else _inputs.noise(noise, self.n_points)
        if not isinstance(value, float):
            raise TypeError("noise: expected one number, the factor of all noise variances")
        other = copy.copy(self)
        kernel = before.kernel if kernel is None else of_this_package(kernel)
        other._lead = Lead(kernel, value, before.inducing, self._jitter, self._tree.dim)
        other._totals, other._shared = None, self._submit(_tasks.same, other._lead.shared)
        return other

    def with_parameters(self, *, kernel: Stationary | None = None, noise: float | None = None) -> PartitionedVIF:
        """A model with the same order, sets and inducing points, and other hyperparameters."""
        return self._copy(kernel, noise)

    def refit(self, *, kernel: Stationary | None = None, noise: float | None = None) -> PartitionedVIF:
        """A model with other hyperparameters, whose sets are found again; order and inducing points stay."""
        other = self._copy(kernel, noise)
        other._use_metric()
        other._condition()
        return other

    def _use_metric(self) -> None:
        """Make the tree that of the kernel."""
        if self._tree_kernel != self.kernel:
            self._tree, self._tree_kernel = copy.copy(self._tree).refit(self.kernel), self.kernel

    def close(self) -> None:
        """Let the workers forget the model."""
        self._parts, self._totals = [], None

    # Prediction

    def predict(
        self,
        new: da.Array | ArrayLike,
        *,
        return_var: bool = False,
        latent: bool = False,
        n_neighbors: int | None = None,
    ) -> Any:
        """Predict the response at new points.

        Parameters
        ----------
        new : dask.array.Array or array_like, shape (q, dim)
            Each is conditioned on its nearest data.
        return_var : bool
            Whether to return variances.
        latent : bool
            Variances of the process, without the noise. If the noise varies, nothing else can be predicted.
        n_neighbors : int, optional
            Points that each new one is conditioned on; by default the model's ``n_neighbors``.

        Returns
        -------
        mean : numpy.ndarray or dask.array.Array, shape (q,) or (q, r)
            A Dask array, which stays on the workers, for new points that are one.
        variance : the same, shape (q,)
            If it is wanted.
        """
        if return_var and not latent and self._columns.has_noise:
            raise ValueError("latent: expected True, as the noise of new points is not known, got False")
        width = self.n_neighbors if n_neighbors is None else _arrays.integer(n_neighbors, "n_neighbors", minimum=0)
        array = self._new_points(new)
        results = self._predicted(_cluster.chunks(self._client, array), min(width, self.n_points), return_var)
        added = 0.0 if latent else self.noise
        shapes = [(int(rows), self._columns.n_responses) for rows in array.chunks[0]]
        mean = self._joined(results, 0, shapes)
        mean = mean[:, 0] if self._is_one else mean
        variance = self._joined(results, 1, [shape[:1] for shape in shapes]) + added if return_var else None
        if not isinstance(new, da.Array):
            mean, variance = dask.compute(mean, variance, scheduler=self._client)
        return mean if variance is None else (mean, variance)

    def _new_points(self, new: Any) -> da.Array:
        """New points in blocks."""
        if isinstance(new, da.Array):
            array = new.compute_chunk_sizes() if np.isnan(new.shape[0]) else new
        else:
            points = _arrays.points(new, "new", dtype=np.dtype(np.float64))
            _arrays.check_finite(points, "new")
            array = da.from_array(points, chunks=(BLOCK, -1))
        if array.ndim != 2 or array.shape[1] != self._tree.dim:
            raise ValueError(f"new: expected {self._tree.dim} columns, got shape {array.shape}")
        return array.astype(np.float64).rechunk({0: BLOCK, 1: -1})

    def _predicted(self, blocks: list[Future], width: int, variance: bool) -> list[Future]:
        """Means and variances of each block."""
        self._use_metric()
        (_, totals), tree = self._sums(), self._tree
        if width:
            run = Run(tree._groups, tree._where, Search(tree.dtype, False, False, k=width, distances=False))
            run.new(list(blocks), None, tree._common)
            sets = run.on_workers()
        else:
            sets = [self._submit(_vif_tasks.no_sets, block) for block in blocks]
        wanted = dict(enumerate(self._submit(_vif_tasks.want_for_sets, of_block) for of_block in sets))
        answers = self._served(wanted)
        return [
            self._submit(_vif_tasks.predict, block, of_block, answers[number], (self._shared, totals), variance)
            for number, (block, of_block) in enumerate(zip(blocks, sets))
        ]

    def _joined(self, results: list[Future], field: int, shapes: Sequence[tuple[int, ...]]) -> da.Array:
        """One of the results of all blocks."""
        pieces = [
            da.from_delayed(dask.delayed(self._submit(_tasks.pick, result, field)), shape, np.float64)
            for result, shape in zip(results, shapes)
        ]
        return da.concatenate(pieces)
