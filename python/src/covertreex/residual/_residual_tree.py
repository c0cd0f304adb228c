"""Trees in the residual-correlation metric."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _arguments, _arrays, _calls, kernels
from .._calls import ProgressReport
from .._capi import Owner, count, partitions, residuals
from .._capi.calls import Way
from .._exports.residual_arrays import ResidualArrays
from .._exports.tree_arrays import Neighbors
from .._settings import active_config
from .._telemetry import recorded
from ..tree import CoverTree, _duplicates
from ..tree._duplicates import DuplicateGroups
from ..tree._options import kernels_for_numba
from ._inputs import FLOAT64, KernelLike
from ._process import CHOICES, ResidualProcess
from ._stats import ResidualStats


class ResidualTree(ResidualProcess):
    """Points in the residual-correlation metric, and exact searches on them.

    With inducing points ``U``, whitened features ``v_i = L^-1 k(U, x_i)`` and residual variances
    ``p_i = k(x_i, x_i) - |v_i|**2``, the residual correlation of two points is
    ``rho_ij = (k(x_i, x_j) - v_i . v_j) / sqrt(p_i p_j)`` and their distance ``sqrt(1 - |rho_ij|)``. Neighbours are
    exact: equal to a brute force in float64, ties going to the lower dataset index, for any number of threads.

    Made by :func:`covertreex.residual_tree`, or from your own features by :meth:`from_features`. For the parameters see
    :func:`covertreex.residual_tree`; ``order`` is the order of the cover tree's batches. ``n_threads`` and ``progress``
    of all calls are as there.
    """

    @recorded("build")
    def __init__(
        self,
        points: ArrayLike,
        *,
        kernel: KernelLike,
        n_inducing: int | None = None,
        inducing_points: ArrayLike | str | None = None,
        jitter: float | None = None,
        cover_tree_metric: str | None = None,
        engine: str | None = None,
        order: str | None = None,
        seed: int | None = None,
        n_threads: int | None = None,
        progress: ProgressReport | None = None,
    ) -> None:
        super().__init__()
        self._begin(points, kernel, cover_tree_metric=cover_tree_metric, engine=engine, order=order, seed=seed)
        choose, build = _calls.part(progress, 0, 0.2), _calls.part(progress, 0.2, 1)
        self._inducing = self._chosen_inducing(n_inducing, inducing_points, n_threads, choose)
        jitter = _arguments.number(active_config().residual.jitter if jitter is None else jitter, "jitter")
        self._build(n_threads, build, inducing=self._inducing, jitter=jitter)

    @classmethod
    def from_features(
        cls,
        points: ArrayLike,
        v_matrix: ArrayLike,
        p_diag: ArrayLike,
        *,
        kernel: KernelLike,
        kernel_diag: ArrayLike | None = None,
        n_threads: int | None = None,
        progress: ProgressReport | None = None,
        **options: Any,
    ) -> ResidualTree:
        """Build a tree of your own features, instead of inducing points.

        Parameters
        ----------
        points : array_like, shape (n, dim)
        v_matrix : array_like, shape (n, m)
            Whitened inducing features, float32 or float64.
        p_diag : array_like, shape (n,)
            Residual variances.
        kernel_diag : array_like, shape (n,), optional
            ``k(x_i, x_i)``, if that is not the kernel's variance.
        kernel, **options
            ``kernel``, ``cover_tree_metric``, ``engine``, ``order`` and ``seed`` of :func:`covertreex.cover_tree`.
        """
        made = cls._blank()
        made._inducing = None
        given = (v_matrix, p_diag, kernel_diag)
        made._build_of_features(points, given, kernel=kernel, n_threads=n_threads, progress=progress, **options)
        return made

    @recorded("build")
    def _build_of_features(
        self,
        points: ArrayLike,
        given: tuple[ArrayLike, ArrayLike, ArrayLike | None],
        *,
        n_threads: int | None,
        progress: ProgressReport | None,
        **options: Any,
    ) -> None:
        self._begin(points, **options)
        self._build(n_threads, progress, features=self._given_features(*given))

    # Description

    @property
    def n_points(self) -> int:
        """Points that searches find."""
        return len(self._coords) - len(self._removed)

    @property
    def indices(self) -> NDArray[np.int64]:
        """Dataset indices of the points, ascending; they are the rows of a search with ``queries=None``."""
        return np.delete(np.arange(len(self._coords)), self._removed)

    @property
    def dim(self) -> int:
        """Coordinates of a point."""
        return int(self._coords.shape[1])

    @property
    def inducing_points(self) -> NDArray[np.float64] | None:
        """Inducing points, shape (m, dim); None where V was given."""
        return self._inducing

    @property
    def v_matrix(self) -> NDArray[np.float64]:
        """Whitened features V, shape (n, m): a copy, in the order of :attr:`indices`."""
        v = np.empty((self.n_points, self._info().n_features))
        residuals.own_features(self._open(), v=v)
        return v

    @property
    def residual_variance(self) -> NDArray[np.float64]:
        """Residual variances p, shape (n,): a copy, in the order of :attr:`indices`."""
        p = np.empty(self.n_points)
        residuals.own_features(self._open(), p=p)
        return p

    p_diag = residual_variance
    """Another name of :attr:`residual_variance`."""

    @property
    def build_time(self) -> float:
        """Seconds of building, or of the last change, in the library."""
        return float(self._info().build_seconds)

    def stats(self) -> ResidualStats:
        """Return sizes, and times and counts of building and searching."""
        return ResidualStats(**_calls.numbers_of(ResidualStats, self._info()))

    @property
    def euclidean(self) -> CoverTree:
        """The cover tree of the scaled coordinates, built when first asked for."""
        return self._euclidean_tree()

    def export_arrays(self) -> ResidualArrays:
        """Show the arrays of the cover tree and of the residual process, as :meth:`CoverTree.export_arrays`.

        The first call makes missing structures: the cover tree, and the structures that the first search makes for
        later ones. With ``cover_tree_metric="euclidean"`` it is the cover tree of the scaled coordinates. With
        ``"residual_correlation"`` its levels, parents and radii are in that metric. ``points`` are the scaled
        coordinates in both.
        """
        in_correlation = self.cover_tree_metric == "residual_correlation"
        tree = self._correlation_tree() if in_correlation else self.euclidean.export_arrays()
        return self._model().with_tree(tree)

    def features(self, points: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Whitened features and residual variances of new points, shape (q, dim).

        Returns
        -------
        v : numpy.ndarray, shape (q, m)
            ``L^-1 k(U, x)``.
        p : numpy.ndarray, shape (q,)
            ``k(x, x) - |v|**2``.

        Raises
        ------
        CoverTreeError
            Where ``v_matrix`` was given: the features of new points are unknown.
        """
        return self._features(_arrays.points(points, "points", dtype=FLOAT64), "points")

    def validate(self, *, n_threads: int | None = None, progress: ProgressReport | None = None) -> bool:
        """Check every rule of the cover tree in its metric, as :meth:`CoverTree.validate`."""
        if self.cover_tree_metric != "residual_correlation":
            return self._euclidean_tree().validate(n_threads=n_threads, progress=progress)
        owner = self._correlation_tree()._owner
        assert owner is not None
        self._call(residuals.validate_tree, owner.handle, n_threads=n_threads, progress=progress)
        return True

    def find_duplicates(self, tol: float = 0.0) -> DuplicateGroups:
        """Find groups of points that lie within ``tol`` of each other, in memory linear in the number of points.

        Duplicates are legal: they are at distance 0. They make a kernel matrix singular elsewhere. ``tol`` is in units
        of the lengthscale. Above 0, points of a group are within it directly or through others; this checks all pairs
        of unequal points within it.
        """
        self._open()
        known = self.indices
        groups = _duplicates.find(self._scale(self._coords[known]), _arguments.number(tol, "tol"))
        if not len(self._removed):
            return groups
        labels = np.arange(len(self._coords))
        labels[known] = known[groups.labels]
        return DuplicateGroups.of_labels(labels)

    # Changes

    @recorded("insert")
    def insert(
        self, points: ArrayLike, *, n_threads: int | None = None, progress: ProgressReport | None = None
    ) -> NDArray[np.int64]:
        """Add points, as :meth:`CoverTree.insert`; the process stays. Errors are the same as of :meth:`features`."""
        new = _arrays.points(points, "points", dtype=FLOAT64)
        self._adopt(self._extend(new, n_threads, progress))
        first = len(self._coords)
        self._coords = np.concatenate([self._coords, new])
        self._forget_trees()
        return np.arange(first, len(self._coords))

    @recorded("remove")
    def remove(
        self, indices: ArrayLike, *, n_threads: int | None = None, progress: ProgressReport | None = None
    ) -> None:
        """Remove points by their dataset indices: one, or m of them, no two the same. The others keep theirs.

        The process stays, so that inducing points stay, too. A removal takes microseconds until more than a quarter of
        the points that are in memory are removed ones. Then structures are made again for the others, whose features
        stay; this takes less time than building. IndexError for an index that the tree does not have; nothing is
        removed then. Not with ``engine="hybrid"``.
        """
        gone = _arrays.indices(indices, "indices", one=True)
        if self.engine == "hybrid":
            raise ValueError("remove: engine='hybrid' searches all points; load the tree with another engine")
        self._take_out(gone, n_threads, progress)

    def with_kernel(
        self,
        kernel: KernelLike,
        *,
        n_inducing: int | None = None,
        inducing_points: ArrayLike | str | None = None,
        jitter: float | None = None,
        n_threads: int | None = None,
        progress: ProgressReport | None = None,
    ) -> ResidualTree:
        """Build a tree of the same points with other hyperparameters.

        The cover tree of the scaled coordinates is kept where the lengthscale stays; features and skeletons depend on
        all hyperparameters.

        Parameters
        ----------
        kernel, jitter
            As in :func:`covertreex.residual_tree`.
        n_inducing, inducing_points : optional
            New inducing points; by default this tree's stay.
        """
        if n_inducing is None and inducing_points is None:
            if self._inducing is None:
                raise ValueError("inducing_points: this tree has none to keep, its v_matrix was given")
            inducing_points = self._inducing
        elif len(self._removed) and len(self):
            inducing_points = self._inducing_of(
                self._coords[self.indices], kernels.checked(kernel), n_inducing, inducing_points, seed=self.seed,
                n_threads=n_threads,
            )  # fmt: skip
            n_inducing = None
        choices: dict[str, Any] = {name: getattr(self, name) for name in CHOICES}
        new = ResidualTree(
            self._coords, kernel=kernel, n_inducing=n_inducing, inducing_points=inducing_points, jitter=jitter,
            n_threads=n_threads, progress=progress, **choices,
        )  # fmt: skip
        if len(self._removed):
            new._take_out(self._removed, n_threads, None)
        if self._euclidean is not None and np.array_equal(new._scale(self._coords), self._scale(self._coords)):
            new._euclidean = self._euclidean
        return new

    def refit(self, kernel: KernelLike, **options: Any) -> ResidualTree:
        """Change the hyperparameters of this tree, and return it: :meth:`with_kernel` in place."""
        new = self.with_kernel(kernel, **options)
        assert new._owner is not None
        self._adopt(new._owner)
        self._share_process(new)
        self._euclidean = new._euclidean
        return self

    # Searches

    @recorded("knn")
    def knn(
        self,
        k: int | ArrayLike,
        *,
        queries: ArrayLike | None = None,
        return_distances: bool = False,
        predecessor_mode: bool = False,
        before: ArrayLike | None = None,
        exclude_self: bool = False,
        max_distance: float | ArrayLike | None = None,
        filter: ArrayLike | None = None,
        candidates: int | None = None,
        n_threads: int | None = None,
        progress: ProgressReport | None = None,
    ) -> Any:
        """Find the ``k`` nearest points of each query, by residual correlation.

        Parameters
        ----------
        k : int or array_like of int, shape (m,)
            At least 1. A list has ranks from 1 up: ``[1, 3]`` is for the nearest and the third nearest point.
        queries : array_like, optional
            As in :meth:`covertreex.CoverTree.knn`, or one new point, floats of shape (dim,).
        return_distances, predecessor_mode, before, exclude_self
            As in :meth:`covertreex.CoverTree.knn`.
        max_distance : float or array_like, shape (q,), optional
            Nothing farther than this (inclusive). No distance is above 1. An array has one number for each query.
        filter : array_like, optional
            As in :meth:`covertreex.CoverTree.knn`: booleans, one for each dataset index ever given, or the dataset
            indices of admitted points. Not with ``engine="hybrid"``, as an array of ``max_distance``.
        candidates : int, optional
            **Approximate.** Only this number of nearest points in scaled coordinates, among those that the filter
            admits, is compared, each exactly. For kernels of this package and points of the dataset.

        Returns
        -------
        indices : numpy.ndarray of int64, shape (q, k) or (q, m); (k,) or (m,) for one point as a vector
            Sorted by (distance, index); -1 if there are fewer than ``k``. Without features, and with a kernel of this
            package, sorted by (distance over the lengthscales, index), because all distances round to 1 if correlations
            are small.
        distances : numpy.ndarray of float64, of the same shape
            ``sqrt(1 - |rho|)``; infinity for missing neighbours. Only with ``return_distances``.
        """
        most, columns = _arrays.ranks(k)
        if max_distance is not None and not _arguments.is_many(max_distance):
            max_distance = _arguments.number(max_distance, "max_distance")
        queries, is_vector = _arrays.as_rows(queries, lambda: self.dim)
        asked: dict[str, Any] = {
            "queries": queries, "n_threads": n_threads, "predecessor_mode": predecessor_mode,
            "exclude_self": exclude_self, "filter": filter,
        }  # fmt: skip
        if candidates is not None:
            if before is not None:
                raise ValueError("candidates: cannot be combined with before")
            indices, distances = self._nearest_of_candidates(most, candidates, **asked)
            _arrays.cut(indices, distances, max_distance)
        else:
            asked.update(before=before, max_distance=max_distance, return_distances=return_distances, progress=progress)
            indices, distances = self._nearest(most, **asked)
        return _arrays.answers((indices, distances) if return_distances else (indices,), columns, is_vector)

    def _nearest(
        self, k: int, *, filter: Any, return_distances: bool, progress: ProgressReport | None, **asked: Any
    ) -> tuple[NDArray[np.int64], Any]:
        """The nearest points by the engine, and their distances; None without ``return_distances``."""
        if self.engine == "hybrid":
            kernels_for_numba(filter=filter, max_distance=asked["max_distance"])  # raises for these

            from .._jit.residual_queries import residual_knn  # noqa: PLC0415 - it takes a second to import

            found = residual_knn(self, k, return_distances=return_distances, progress=progress, **asked)
            return found if return_distances else (found, None)
        rows, dtype, options = self._asked(filter=filter, **asked)
        indices, distances, _ = residuals.knn(
            self._open(), rows, k, options, dtype=dtype if return_distances else None, progress=progress,
            brief=count(rows) < _calls.ROWS_WORTH_A_THREAD, kernel=self._callback,
        )  # fmt: skip
        return indices, distances

    @recorded("radius")
    def radius(
        self,
        r: float | ArrayLike,
        *,
        queries: ArrayLike | None = None,
        return_distances: bool = False,
        predecessor_mode: bool = False,
        exclude_self: bool = False,
        filter: ArrayLike | None = None,
        count_only: bool = False,
        n_threads: int | None = None,
        progress: ProgressReport | None = None,
    ) -> Any:
        """Find all points within a residual-correlation distance of each query.

        A distance of at most ``r`` means a correlation ``|rho|`` of at least ``1 - r**2``. The library answers for all
        engines.

        Parameters
        ----------
        r : float or array_like, shape (q,)
            The radius, or one for each query, at least 0; inclusive. All points are within 1.
        queries, return_distances, predecessor_mode, exclude_self, filter
            As in :meth:`knn`.
        count_only : bool
            Only count them.

        Returns
        -------
        Neighbors or numpy.ndarray of int64, shape (q,)
            Sorted as the neighbours of :meth:`knn`. The counts with ``count_only``. For one point as a vector: its
            count, or the Neighbors of one query.
        """
        queries, is_vector = _arrays.as_rows(queries, lambda: self.dim)
        reach, radii = (0.0, r) if _arguments.is_many(r) else (_arguments.number(r, "r"), None)
        rows, _, options = self._asked(
            queries, n_threads, predecessor_mode=predecessor_mode, exclude_self=exclude_self, filter=filter, radii=radii
        )
        way: Way = {
            "progress": progress, "brief": count(rows) < _calls.ROWS_WORTH_A_THREAD, "kernel": self._callback
        }  # fmt: skip
        if count_only:
            counts = residuals.radius_count(self._open(), rows, reach, options, **way)
            return counts[0] if is_vector else counts
        found = residuals.radius(self._open(), rows, reach, options, **way)
        return Neighbors(found.offsets, found.indices, found.distances if return_distances else None)

    def conditioning_sets(
        self,
        k: int,
        *,
        queries: ArrayLike,
        cond: str = "train",
        return_distances: bool = False,
        n_threads: int | None = None,
        progress: ProgressReport | None = None,
    ) -> Any:
        """Find the points that predictions at new points are conditioned on.

        Parameters
        ----------
        queries : array_like, shape (q, dim)
            The new points, in the order in which they are predicted.
        cond : {"train", "all"}
            Among the points of the dataset; or among these and the new points that come before, which have the
            indices that an insertion would give them.
        k, return_distances
            As in :meth:`knn`, which has the same results.
        """
        points = _arrays.points(queries, "queries", dtype=FLOAT64)
        k = _arrays.integer(k, "k", minimum=1)
        options: dict[str, Any] = {"return_distances": return_distances, "n_threads": n_threads, "progress": progress}
        with _arguments.renamed(points="queries"):
            if _arguments.choice(cond, "cond", ("train", "all")) == "train":
                return self.knn(k, queries=points, **options)
            longer = self._extend(points, n_threads, None)
            with self._of_same_process(longer, np.concatenate([self._coords, points])) as both:
                both._removed = self._removed
                rows = np.arange(len(self._coords), len(both._coords))
                return both.knn(k, queries=rows, predecessor_mode=True, **options)

    def with_points(
        self, points: ArrayLike, *, n_threads: int | None = None, progress: ProgressReport | None = None
    ) -> ResidualTree:
        """Build a tree of other points, shape (n, dim), in the same process: kernel, inducing points and factor stay.

        So features are the same to the bit wherever they are made. Errors are as of :meth:`features`.
        """
        others = _arrays.points(points, "points", dtype=FLOAT64)
        owner = self._call(
            partitions.residual_with_points, others, n_threads=n_threads, progress=progress, kernel=self._callback
        )
        return self._of_same_process(owner, others)

    def _of_same_process(self, owner: Owner, points: NDArray[np.float64]) -> ResidualTree:
        other = self._holding(owner)
        other._share_process(self)
        other._coords = points
        return other
