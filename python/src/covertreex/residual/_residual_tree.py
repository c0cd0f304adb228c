"""Trees in the residual-correlation metric."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _arguments, _arrays, _calls, _files, kernels
from .._calls import ProgressReport
from .._capi import CoverTreeError, Owner, count, partitions, residuals
from .._capi.callbacks import CallbackKernel
from .._exports.residual_arrays import ModelView, ResidualArrays
from .._settings import COVER_TREE_METRICS, active_config
from .._telemetry import recorded
from .._tree_base import Tree
from ..kernels import Stationary
from ..tree import CoverTree, _duplicates
from ..tree._duplicates import DuplicateGroups
from ..tree._options import resolve_engine
from ._correlation_tree import CorrelationTree
from ._inputs import FLOAT64, Inputs, KernelLike, chosen_seed

# The section of a file in which this package keeps its own settings.
_SETTINGS = "covertreex.settings"


@dataclass(frozen=True)
class ResidualStats:
    """A residual tree in numbers."""

    n_points: int
    dim: int
    n_features: int  #: columns of V
    n_blocks: int  #: of points that are compared together
    n_pivots: int  #: of all skeletons; 0 where blocks are compared by their features alone
    memory_bytes: int
    variance: float  #: the largest k(x, x)
    jitter: float  #: that was added to k(U, U), relative to the variance
    build_seconds: float
    queries: int  #: since the tree was built, as what follows
    blocks_estimated: int  #: pairs of a query and a block compared through skeletons
    blocks_compared: int  #: and by features
    points_bounded: int
    points_exact: int  #: residual correlations computed in float64
    order_seconds: float  #: putting points in order, as the next four with what early points took
    feature_seconds: float  #: V and p
    skeleton_seconds: float
    bound_seconds: float  #: bounds between skeletons, at the first search of points of the dataset
    search_seconds: float  #: of all searches, without these


class ResidualTree(Tree):
    """Points in the residual-correlation metric, and exact searches on them.

    With inducing points ``U``, whitened features ``v_i = L^-1 k(U, x_i)`` and residual variances
    ``p_i = k(x_i, x_i) - |v_i|**2``, the residual correlation of two points is
    ``rho_ij = (k(x_i, x_j) - v_i . v_j) / sqrt(p_i p_j)`` and their distance ``sqrt(1 - |rho_ij|)``. Neighbours are
    those of a brute force in float64, ties going to the lower dataset index, for any number of threads.

    Made by :func:`covertreex.residual_tree`, or from your own features by :meth:`from_features`.
    The parameters are those of :func:`covertreex.residual_tree`, and ``order``, the order of the cover tree's batches.
    """

    _functions: ClassVar = residuals

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
        inputs = self._inputs(
            points, kernel, cover_tree_metric=cover_tree_metric, engine=engine, order=order, seed=seed
        )
        self._inducing: NDArray[np.float64] | None = inputs.choose_inducing(
            n_inducing, inducing_points, self.seed, n_threads, _calls.part(progress, 0, 0.2)
        )
        jitter = active_config().residual.jitter if jitter is None else jitter
        self._adopt(inputs.build(self._inducing, jitter, n_threads, _calls.part(progress, 0.2, 1)))

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
            Finite coordinates.
        v_matrix : array_like, shape (n, m)
            Whitened inducing features, float32 or float64.
        p_diag : array_like, shape (n,)
            Residual variances.
        kernel : Kernel or callable
            The covariance function.
        kernel_diag : array_like, shape (n,), optional
            ``k(x_i, x_i)``, if that is not the kernel's variance.
        n_threads, progress
            As in :func:`covertreex.cover_tree`.
        **options
            ``cover_tree_metric``, ``engine``, ``order`` and ``seed`` of :func:`covertreex.cover_tree`.

        Returns
        -------
        ResidualTree
        """
        made = object.__new__(cls)
        _calls.Closeable.__init__(made)
        made._inducing = None
        made._build_of_features(
            points, v_matrix, p_diag, kernel, kernel_diag, n_threads=n_threads, progress=progress, **options
        )
        return made

    @recorded("build")
    def _build_of_features(
        self,
        points: ArrayLike,
        v_matrix: ArrayLike,
        p_diag: ArrayLike,
        kernel: KernelLike,
        kernel_diag: ArrayLike | None,
        *,
        n_threads: int | None,
        progress: ProgressReport | None,
        **options: Any,
    ) -> None:
        inputs = self._inputs(points, kernel, **options)
        self._adopt(inputs.build_given(v_matrix, p_diag, kernel_diag, n_threads, progress))

    def _inputs(
        self,
        points: ArrayLike,
        kernel: KernelLike,
        *,
        cover_tree_metric: str | None = None,
        engine: str | None = None,
        order: str | None = None,
        seed: int | None = None,
    ) -> Inputs:
        """Check and set the inputs that both ways of building have."""
        self._coords = _arrays.points(points, "points", dtype=FLOAT64)
        usual = active_config().residual.cover_tree_metric
        self.cover_tree_metric = _arguments.choice(
            usual if cover_tree_metric is None else cover_tree_metric, "cover_tree_metric", COVER_TREE_METRICS
        )
        self.engine, self.order = resolve_engine(engine, order)
        self.seed = _arrays.integer(chosen_seed(seed), "seed", minimum=0, maximum=2**64 - 1)
        self._forget_trees()
        self.kernel = kernels.checked(kernel)
        self._callback = None if isinstance(self.kernel, Stationary) else CallbackKernel(self.kernel)
        self._check_engine()
        return Inputs(self._coords, self.kernel, self._callback)

    def _check_engine(self) -> None:
        if self.engine == "hybrid" and self._callback is not None:
            raise ValueError("kernel: engine='hybrid' needs one of covertreex.kernels, as Numba cannot call back")

    # Description

    @property
    def n_points(self) -> int:
        """Points of the dataset."""
        return len(self._coords)

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
        """Whitened features V, shape (n, m): a copy, by dataset index."""
        v = np.empty((self.n_points, self._info().n_features))
        residuals.own_features(self._open(), v=v)
        return v

    @property
    def residual_variance(self) -> NDArray[np.float64]:
        """Residual variances p, shape (n,): a copy, by dataset index."""
        p = np.empty(self.n_points)
        residuals.own_features(self._open(), p=p)
        return p

    @property
    def p_diag(self) -> NDArray[np.float64]:
        """Another name of :attr:`residual_variance`."""
        return self.residual_variance

    @property
    def build_time(self) -> float:
        """Seconds of building, or of the last change, in the library."""
        return float(self._info().build_seconds)

    def _described(self) -> str:
        return f"n_features={self._info().n_features}, kernel={self.kernel}"

    def stats(self) -> ResidualStats:
        """Return sizes, and times and counts of building and searching."""
        info = self._info()
        return ResidualStats(**{name: getattr(info, name) for name in ResidualStats.__dataclass_fields__})

    # Cover trees. They are built when first asked for: searches here need none.

    def _forget_trees(self) -> None:
        self._euclidean: CoverTree | None = None
        self._correlation: CorrelationTree | None = None
        self._shown: ModelView | None = None

    @property
    def euclidean(self) -> CoverTree:
        """The cover tree of the scaled coordinates, built when first asked for."""
        self._open()
        if self._euclidean is None:
            self._euclidean = CoverTree(
                self._scaled(), engine="native", order=self.order, seed=self.seed, dtype=FLOAT64
            )
        return self._euclidean

    def _has_correlation_tree(self) -> bool:
        return self.cover_tree_metric == "residual_correlation"

    def _correlation_tree(self) -> CorrelationTree:
        handle = self._open()
        if self._correlation is None:
            self._correlation = CorrelationTree(handle, self.order, self.seed)
        return self._correlation

    def _model(self) -> ModelView:
        handle = self._open()
        if self._shown is None:
            self._shown = ModelView(handle)
        return self._shown

    def export_arrays(self) -> ResidualArrays:
        """Show the arrays of the cover tree and of the residual process, without a copy.

        They are read-only, later changes of the tree do not touch them, and they stay valid when it is closed. The
        first call makes missing structures: the cover tree, and those that the first search makes for later ones.

        Returns
        -------
        ResidualArrays
            With ``cover_tree_metric="euclidean"`` the cover tree is that of the scaled coordinates. With
            ``"residual_correlation"`` its levels, parents and radii are in that metric. ``points`` are the scaled
            coordinates in both.
        """
        tree = self._correlation_tree().arrays if self._has_correlation_tree() else self.euclidean.export_arrays()
        return self._model().with_tree(tree)

    def features(self, points: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Whitened features and residual variances of new points.

        Parameters
        ----------
        points : array_like, shape (q, dim)
            Their coordinates.

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

    def _features(self, new: NDArray[np.float64], name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        n_features, threads = self._info().n_features, _calls.threads(None)
        return residuals.features(
            self._open(), new, n_features, n_threads=threads, kernel=self._callback, name=name
        )  # fmt: skip

    def validate(self, *, n_threads: int | None = None, progress: ProgressReport | None = None) -> bool:
        """Check every rule of the cover tree in its metric, as :meth:`CoverTree.validate`."""
        if self._has_correlation_tree():
            return self._correlation_tree().validate(self._open(), n_threads, progress)
        return self.euclidean.validate(n_threads=n_threads, progress=progress)

    def find_duplicates(self, tol: float = 0.0) -> DuplicateGroups:
        """Find groups of points that lie within ``tol`` of each other.

        Duplicates are legal: they are at distance 0. They make a kernel matrix singular elsewhere.

        Parameters
        ----------
        tol : float
            The largest distance of scaled coordinates, that is in units of the lengthscale. Above 0, points of a group
            are within it directly or through others; this checks all pairs of unequal points within it.

        Returns
        -------
        DuplicateGroups
            As large as the points are many, however many pairs there are.
        """
        self._open()
        return _duplicates.find(self._scaled(), _arguments.number(tol, "tol"))

    # Changes

    @recorded("insert")
    def insert(
        self, points: ArrayLike, *, n_threads: int | None = None, progress: ProgressReport | None = None
    ) -> NDArray[np.int64]:
        """Add points. Inducing points and kernel stay.

        Parameters
        ----------
        points : array_like, shape (b, dim)
            Their coordinates.
        n_threads, progress
            As in :func:`covertreex.cover_tree`.

        Returns
        -------
        numpy.ndarray of int64, shape (b,)
            Their dataset indices, which follow those there are.

        Raises
        ------
        CoverTreeError
            Where ``v_matrix`` was given: the features of new points are unknown.
        """
        new = _arrays.points(points, "points", dtype=FLOAT64)
        self._adopt(self._extend(new, n_threads, progress))
        first = self.n_points
        self._coords = np.concatenate([self._coords, new])
        self._forget_trees()
        return np.arange(first, self.n_points)

    def _extend(self, new: NDArray[np.float64], n_threads: int | None, progress: ProgressReport | None) -> Owner:
        threads = _calls.threads(n_threads)
        return residuals.extend(self._open(), new, n_threads=threads, progress=progress, kernel=self._callback)

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
        kernel : Kernel or callable
            The new kernel.
        n_inducing, inducing_points : optional
            New inducing points; by default this tree's stay.
        jitter, n_threads, progress
            As in :func:`covertreex.cover_tree`.

        Returns
        -------
        ResidualTree
        """
        if n_inducing is None and inducing_points is None:
            if self._inducing is None:
                raise ValueError("inducing_points: this tree has none to keep, its v_matrix was given")
            inducing_points = self._inducing
        new = ResidualTree(
            self._coords,
            kernel=kernel,
            n_inducing=n_inducing,
            inducing_points=inducing_points,
            jitter=jitter,
            cover_tree_metric=self.cover_tree_metric,
            engine=self.engine,
            order=self.order,
            seed=self.seed,
            n_threads=n_threads,
            progress=progress,
        )
        if self._euclidean is not None and np.array_equal(new._scaled(), self._scaled()):
            new._euclidean = self._euclidean
        return new

    def refit(self, kernel: KernelLike, **options: Any) -> ResidualTree:
        """Change the hyperparameters of this tree: :meth:`with_kernel` in place.

        Returns
        -------
        ResidualTree
            The tree itself.
        """
        new = self.with_kernel(kernel, **options)
        assert new._owner is not None
        self._adopt(new._owner)
        self.kernel, self._callback, self._inducing = new.kernel, new._callback, new._inducing
        self._forget_trees()
        self._euclidean = new._euclidean
        return self

    # Searches

    @recorded("knn")
    def knn(
        self,
        k: int,
        *,
        queries: ArrayLike | None = None,
        return_distances: bool = False,
        predecessor_mode: bool = False,
        before: ArrayLike | None = None,
        exclude_self: bool = False,
        candidates: int | None = None,
        n_threads: int | None = None,
        progress: ProgressReport | None = None,
    ) -> Any:
        """Find the ``k`` nearest points of each query, by residual correlation.

        Parameters
        ----------
        k : int
            At least 1. It may exceed the number of points.
        queries : array_like, optional
            Points of the dataset, integers of shape (q,) or, unless ``dim`` is 1, (q, 1): their dataset indices; new
            points, floats of shape (q, dim); or None for all points of the dataset in their order.
        return_distances : bool
            Whether to return the distances too.
        predecessor_mode : bool
            Only points with a lower dataset index than the query's own. Not for new points.
        before : array_like of int, shape (q,), optional
            For each query: only points with a dataset index below this. ``predecessor_mode`` is the case
            ``before = queries``.
        exclude_self : bool
            Leave out the query itself, by its dataset index. Not for new points.
        candidates : int, optional
            **Approximate.** Only this number of nearest points in scaled coordinates is compared, each exactly. For
            kernels of this package and points of the dataset.
        n_threads, progress
            As in :func:`covertreex.cover_tree`.

        Returns
        -------
        indices : numpy.ndarray of int64, shape (q, k)
            Sorted by (distance, index); -1 where there are fewer than ``k``. Without features, and with a
            kernel of this package, sorted by (distance over the lengthscales, index), because all distances round to 1
            if correlations are small.
        distances : numpy.ndarray of float64, shape (q, k)
            ``sqrt(1 - |rho|)``; infinity where there are fewer than ``k``. Only with ``return_distances``.
        """
        k = _arrays.integer(k, "k", minimum=1)
        if candidates is not None:
            if before is not None:
                raise ValueError("candidates: cannot be combined with before")
            return self._knn_of_candidates(
                k,
                queries,
                candidates,
                return_distances=return_distances,
                predecessor_mode=predecessor_mode,
                exclude_self=exclude_self,
                n_threads=n_threads,
            )
        if self.engine == "hybrid":
            from .._jit.residual_queries import residual_knn  # noqa: PLC0415 - it takes a second to import

            return residual_knn(
                self, k, queries=queries, return_distances=return_distances, predecessor_mode=predecessor_mode,
                before=before, exclude_self=exclude_self, n_threads=n_threads, progress=progress,
            )  # fmt: skip
        rows, dtype, options = self._asked(
            queries, n_threads, predecessor_mode=predecessor_mode, exclude_self=exclude_self, before=before
        )  # fmt: skip
        indices, distances, _ = residuals.knn(
            self._open(), rows, k, options, dtype=dtype if return_distances else None, progress=progress,
            brief=count(rows) < _calls.ROWS_WORTH_A_THREAD, kernel=self._callback,
        )  # fmt: skip
        return indices if distances is None else (indices, distances)

    @property
    def _dtype(self) -> np.dtype[Any]:
        return FLOAT64

    def _knn_of_candidates(
        self,
        k: int,
        queries: ArrayLike | None,
        candidates: int,
        *,
        return_distances: bool,
        predecessor_mode: bool,
        exclude_self: bool,
        n_threads: int | None,
    ) -> Any:
        rows = np.arange(self.n_points) if queries is None else _arrays.own_queries(queries, lambda: self.dim)
        if not _arrays.are_indices(rows):
            raise ValueError("candidates: expected points of the dataset as queries, by their dataset indices")
        count = max(k, _arrays.integer(candidates, "candidates", minimum=1))
        options: dict[str, Any] = {
            "predecessor_mode": predecessor_mode,
            "exclude_self": exclude_self,
            "n_threads": n_threads,
        }
        near = self.euclidean.knn(count, queries=rows, **options)
        distances = self._distances(rows, near, n_threads)
        if self._is_spatial:
            return (near[:, :k], distances[:, :k]) if return_distances else near[:, :k]
        order = np.lexsort((near, distances))[:, :k]
        indices = np.take_along_axis(near, order, axis=1)
        return (indices, np.take_along_axis(distances, order, axis=1)) if return_distances else indices

    def _distances(
        self, rows: NDArray[np.int64], others: NDArray[np.int64], n_threads: int | None
    ) -> NDArray[np.float64]:
        """Distances of points from others, (q, c); infinity where an index is -1."""
        threads = _calls.threads(n_threads)
        return residuals.distances(self._open(), rows, others, n_threads=threads, kernel=self._callback)

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
        k : int
            Neighbours of each new point.
        queries : array_like, shape (q, dim)
            The new points, in the order in which they are predicted.
        cond : {"train", "all"}
            Among the points of the dataset; or among these and the new points that come before, which have the
            indices from ``n_points`` on.
        return_distances, n_threads, progress
            As in :meth:`knn`.

        Returns
        -------
        indices, distances
            As of :meth:`knn`.
        """
        points = _arrays.points(queries, "queries", dtype=FLOAT64)
        k = _arrays.integer(k, "k", minimum=1)
        options: dict[str, Any] = {"return_distances": return_distances, "n_threads": n_threads, "progress": progress}
        with _arguments.renamed(points="queries"):
            if _arguments.choice(cond, "cond", ("train", "all")) == "train":
                return self.knn(k, queries=points, **options)
            with self._extended(points, n_threads) as both:
                rows = np.arange(self.n_points, both.n_points)
                return both.knn(k, queries=rows, predecessor_mode=True, **options)

    def _extended(self, new: NDArray[np.float64], n_threads: int | None) -> ResidualTree:
        """Another tree, with more points."""
        return self._of_same_process(self._extend(new, n_threads, None), np.concatenate([self._coords, new]))

    def with_points(
        self, points: ArrayLike, *, n_threads: int | None = None, progress: ProgressReport | None = None
    ) -> ResidualTree:
        """Build a tree of other points in the same process: kernel, inducing points and their factor stay.

        So features are the same to the bit wherever they are made.

        Parameters
        ----------
        points : array_like, shape (n, dim)
            Their coordinates.
        n_threads, progress
            As in :func:`covertreex.cover_tree`.

        Returns
        -------
        ResidualTree

        Raises
        ------
        CoverTreeError
            Where ``v_matrix`` was given: the features of other points are unknown.
        """
        others = _arrays.points(points, "points", dtype=FLOAT64)
        owner = partitions.residual_with_points(
            self._open(), others, n_threads=_calls.threads(n_threads), progress=progress, kernel=self._callback
        )
        return self._of_same_process(owner, others)

    def _of_same_process(self, owner: Owner, points: NDArray[np.float64]) -> ResidualTree:
        other = self._holding(owner)
        other.kernel, other._callback, other._inducing, other.seed = (
            self.kernel,
            self._callback,
            self._inducing,
            self.seed,
        )
        other.cover_tree_metric, other.engine, other.order = self.cover_tree_metric, self.engine, self.order
        other._forget_trees()
        other._coords = points
        return other

    # Files

    def save(self, path: _files.PathLike, *, progress: ProgressReport | None = None) -> None:
        """Write the tree to a file, in one step, so that work resumes where it was.

        It has points, kernel, inducing points, V, residual variances and the structures that the first search made.
        :func:`covertreex.load` opens it; a kernel that is not of this package must be given again there. Trees can
        also be pickled, with such a kernel, and copied.

        Parameters
        ----------
        path : path
            The file; an existing one is replaced, as by :meth:`covertreex.CoverTree.save`.
        progress : callable, optional
            As in :func:`covertreex.cover_tree`.

        Raises
        ------
        OSError
            If it cannot be written; an existing file stays as it was.
        """
        self._save(path, {}, progress)

    def _settings(self) -> dict[str, NDArray[Any]]:
        settings = json.dumps({"cover_tree_metric": self.cover_tree_metric, "order": self.order, "seed": self.seed})
        return {_SETTINGS: np.frombuffer(settings.encode(), np.uint8)}

    @classmethod
    def _of_file(cls, file: _files.File, kernel: KernelLike | None = None, engine: str | None = None) -> ResidualTree:
        callback = None if kernel is None else CallbackKernel(kernels.checked(kernel))
        tree = cls._holding(residuals.load(file.owner, callback))
        tree._callback = callback
        # The library has checked all but `_SETTINGS`.
        found = file.sections("settings", "numbers", "lengthscale", "points", "inducing_points", _SETTINGS)
        n, dim, _, shape, given = found["settings"].tolist()[:5]
        tree.kernel = (
            kernels.of_shape(shape, found["lengthscale"], float(found["numbers"][1])) if kernel is None else kernel
        )
        tree._coords = found["points"].reshape(n, dim)
        tree._inducing = None if given else found["inducing_points"].reshape(-1, dim)
        tree.engine, _ = resolve_engine(engine, None)
        try:
            settings = json.loads(found[_SETTINGS].tobytes()) if _SETTINGS in found else {}
            tree.cover_tree_metric = settings.get("cover_tree_metric", "euclidean")
            _, tree.order = resolve_engine("auto", settings.get("order"))
            tree.seed = int(settings.get("seed", 42))
        except (ValueError, TypeError, AttributeError) as error:
            raise CoverTreeError(f"path: section {_SETTINGS!r} is damaged: {error}") from error
        tree._forget_trees()
        tree._check_engine()
        return tree

    def _opening(self) -> tuple[Any, ...]:
        return (None if self._callback is None else self.kernel, self.engine)

    def close(self) -> None:
        """Free the memory of the tree."""
        super().close()
        self._forget_trees()

    # Between the two languages

    @property
    def _is_spatial(self) -> bool:
        """Whether neighbours are ordered by distance in space, over the lengthscales."""
        return isinstance(self.kernel, Stationary) and self._info().n_features == 0

    def _scaled(self) -> NDArray[np.float64]:
        return self._scale(self._coords)

    def _scale(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        return kernels.scaled(points, self.kernel, "points")
