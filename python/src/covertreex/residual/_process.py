"""Residual processes: points, their kernel and inducing points, and the structures that are made of them."""

from __future__ import annotations

import json
from abc import abstractmethod
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _arguments, _arrays, _calls, _files, kernels
from .._calls import ProgressReport
from .._capi import CoverTreeError, Owner, residuals
from .._capi.callbacks import CallbackKernel
from .._exports.residual_arrays import ModelView
from .._exports.tree_arrays import TreeArrays, show_arrays
from .._settings import COVER_TREE_METRICS, active_config
from .._tree_base import Tree
from ..kernels import Stationary
from ..tree import CoverTree
from ..tree._options import resolve_engine, tree_options
from . import _inducing
from ._inputs import DEFAULT_INDUCING, FLOAT64, KernelLike, chosen_seed, library_kernel

# The section of a file in which this package keeps its own settings.
_SETTINGS = "covertreex.settings"
#: Options of a tree that are not of its process.
CHOICES = ("cover_tree_metric", "engine", "order", "seed")

Self = TypeVar("Self", bound="ResidualProcess")


class ResidualProcess(Tree):
    """A residual tree without its public methods."""

    _functions: ClassVar = residuals
    _dtype = FLOAT64
    _inducing: NDArray[np.float64] | None
    #: Points by dataset index, also removed ones.
    _coords: NDArray[np.float64]
    #: Dataset indices of removed points, ascending.
    _removed: NDArray[np.int64] = np.empty(0, np.int64)

    # Building

    def _begin(
        self,
        points: ArrayLike,
        kernel: KernelLike,
        *,
        cover_tree_metric: str | None = None,
        engine: str | None = None,
        order: str | None = None,
        seed: int | None = None,
    ) -> None:
        """Check and set the inputs that both ways of building have."""
        self._coords = _arrays.points(points, "points", dtype=FLOAT64)
        if cover_tree_metric is None:
            cover_tree_metric = active_config().residual.cover_tree_metric
        self.cover_tree_metric = _arguments.choice(cover_tree_metric, "cover_tree_metric", COVER_TREE_METRICS)
        self.engine, self.order = resolve_engine(engine, order)
        self.seed = _arrays.seed(chosen_seed(seed))
        self._forget_trees()
        self.kernel = kernels.checked(kernel)
        self._callback = None if isinstance(self.kernel, Stationary) else CallbackKernel(self.kernel)
        self._check_engine()

    def _check_engine(self) -> None:
        if self.engine == "hybrid" and self._callback is not None:
            raise ValueError("kernel: engine='hybrid' needs one of covertreex.kernels, as Numba cannot call back")
        if self.engine == "hybrid" and len(self._removed):
            raise ValueError("engine: 'hybrid' searches all points, and some of this tree are removed")

    def _chosen_inducing(
        self, count: int | None, points: ArrayLike | str | None, n_threads: int | None, progress: ProgressReport | None
    ) -> NDArray[np.float64]:
        return self._inducing_of(
            self._coords, self.kernel, count, points, seed=self.seed, n_threads=n_threads, progress=progress
        )

    @staticmethod
    def _inducing_of(
        coords: NDArray[np.float64],
        kernel: KernelLike,
        count: int | None,
        points: ArrayLike | str | None,
        *,
        seed: int,
        n_threads: int | None,
        progress: ProgressReport | None = None,
    ) -> NDArray[np.float64]:
        """Inducing points, shape (m, dim): the given ones, or some of the coordinates."""
        n, dim = coords.shape
        settings = active_config().residual
        if points is None:
            points = settings.inducing_points
        if not isinstance(points, str):
            if count is not None:
                raise ValueError(
                    "n_inducing: cannot be combined with an array of inducing_points, which has its own length"
                )
            given = np.ascontiguousarray(_arrays.points(points, "inducing_points", dtype=FLOAT64))
            if given.shape[1] != dim:
                raise ValueError(f"inducing_points: expected {dim} columns, got {given.shape[1]}")
            return given
        if count is None:
            count = min(DEFAULT_INDUCING if settings.n_inducing is None else settings.n_inducing, n)
        count = _arrays.integer(count, "n_inducing", minimum=0, maximum=n)
        if count == 0:
            return np.empty((0, dim))
        over = kernels.scaled(coords, kernel, "points")
        chosen = _inducing.choose(over, count, method=points, seed=seed, n_threads=n_threads, progress=progress)
        return np.ascontiguousarray(coords[chosen])

    def _given_features(
        self, v_matrix: ArrayLike, p_diag: ArrayLike, kernel_diag: ArrayLike | None
    ) -> residuals.GivenFeatures:
        v, n = _arrays.points(v_matrix, "v_matrix"), self.n_points
        if len(v) != n:
            raise ValueError(f"v_matrix: expected {n} rows, one for each point, got {len(v)}")
        p = np.ascontiguousarray(_arrays.of_shape(p_diag, "p_diag", (n,)), FLOAT64)
        if kernel_diag is not None:
            kernel_diag = np.ascontiguousarray(_arrays.of_shape(kernel_diag, "kernel_diag", (n,)), FLOAT64)
        return residuals.GivenFeatures(v, p, kernel_diag)

    def _build(self, n_threads: int | None, progress: ProgressReport | None, **given: Any) -> None:
        """Build V and p of inducing points and a jitter, or load given ones."""
        settings = active_config().residual
        kernel: residuals.AnyKernel | None = self._callback
        if isinstance(self.kernel, Stationary):
            kernel = library_kernel(self.kernel)
        assert kernel is not None
        owner = residuals.build(
            self._coords, kernel, n_threads=_calls.threads(n_threads), block_size=settings.block_size or 0,
            tau=settings.tau or 0.0, progress=progress, **given,
        )  # fmt: skip
        self._adopt(owner)

    def _share_process(self, other: ResidualProcess) -> None:
        """Have the process and the options of another tree, and no structures yet."""
        for name in ("kernel", "_callback", "_inducing", *CHOICES):
            setattr(self, name, getattr(other, name))
        self._forget_trees()

    # Description

    def _described(self) -> str:
        return f"n_features={self._info().n_features}, kernel={self.kernel}"

    @property
    def _is_spatial(self) -> bool:
        """True if neighbours are ordered by distance in space, over the lengthscales."""
        return isinstance(self.kernel, Stationary) and self._info().n_features == 0

    def _scale(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        return kernels.scaled(points, self.kernel, "points")

    # Structures. They are made when first asked for: searches here need none of the cover trees.

    def _forget_trees(self) -> None:
        self._euclidean: CoverTree | None = None
        self._correlation: TreeArrays | None = None
        self._shown: ModelView | None = None

    def _euclidean_tree(self) -> CoverTree:
        self._open()
        if self._euclidean is None:
            points = self._scale(self._coords)
            self._euclidean = CoverTree(points, engine="native", order=self.order, seed=self.seed, dtype=FLOAT64)
            if len(self._removed):
                self._euclidean.remove(self._removed)
        return self._euclidean

    def _correlation_tree(self) -> TreeArrays:
        """The cover tree in the residual-correlation metric itself."""
        handle = self._open()
        if self._correlation is None:
            self._correlation = show_arrays(residuals.build_tree(handle, tree_options(self.order, self.seed, None)))
        return self._correlation

    def _model(self) -> ModelView:
        handle = self._open()
        if self._shown is None:
            self._shown = ModelView(handle)
        return self._shown

    def close(self) -> None:
        """Free the memory of the tree."""
        super().close()
        self._forget_trees()

    # Calls of the library

    def _features(self, new: NDArray[np.float64], name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self._call(residuals.features, new, self._info().n_features, kernel=self._callback, name=name)

    def _extend(self, new: NDArray[np.float64], n_threads: int | None, progress: ProgressReport | None) -> Owner:
        return self._call(residuals.extend, new, n_threads=n_threads, progress=progress, kernel=self._callback)

    def _take_out(self, indices: NDArray[np.int64], n_threads: int | None, progress: ProgressReport | None) -> None:
        self._adopt(self._call(residuals.remove, indices, n_threads=n_threads, progress=progress))
        self._removed = np.union1d(self._removed, indices)
        self._forget_trees()

    def _distances(
        self, rows: NDArray[np.int64], others: NDArray[np.int64], n_threads: int | None
    ) -> NDArray[np.float64]:
        """Distances of points from others, (q, c); infinity where an index is -1."""
        return self._call(residuals.distances, rows, others, n_threads=n_threads, kernel=self._callback)

    @property
    @abstractmethod
    def indices(self) -> NDArray[np.int64]:
        """Dataset indices of the points, ascending."""

    def _nearest_of_candidates(
        self, k: int, candidates: int, *, queries: ArrayLike | None, n_threads: int | None, **flags: Any
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        rows = self.indices if queries is None else _arrays.own_queries(queries, lambda: self.dim)
        if not _arrays.are_indices(rows):
            raise ValueError("candidates: expected points of the dataset as queries, by their dataset indices")
        count = max(k, _arrays.integer(candidates, "candidates", minimum=1))
        near = self._euclidean_tree().knn(count, queries=rows, n_threads=n_threads, **flags)
        distances = self._distances(rows, near, n_threads)
        if self._is_spatial:
            return near[:, :k], distances[:, :k]
        order = np.lexsort((near, distances))[:, :k]
        return np.take_along_axis(near, order, axis=1), np.take_along_axis(distances, order, axis=1)

    # Files

    def _settings(self) -> dict[str, NDArray[Any]]:
        settings = json.dumps({"cover_tree_metric": self.cover_tree_metric, "order": self.order, "seed": self.seed})
        return {_SETTINGS: np.frombuffer(settings.encode(), np.uint8)}

    @classmethod
    def _of_file(cls: type[Self], file: _files.File, kernel: KernelLike | None = None, engine: Any = None) -> Self:
        callback = None if kernel is None else CallbackKernel(kernels.checked(kernel))
        tree = cls._holding(residuals.load(file.owner, callback))
        tree._callback = callback
        # The library has checked all but `_SETTINGS`.
        found = file.sections(
            "settings", "numbers", "lengthscale", "points", "inducing_points", "indices", "removed", _SETTINGS
        )
        n, dim, _, shape, given = found["settings"].tolist()[:5]
        tree.kernel = (
            kernels.of_shape(shape, found["lengthscale"], float(found["numbers"][1])) if kernel is None else kernel
        )
        tree._coords = found["points"].reshape(n, dim)
        if "removed" in found:
            tree._removed = np.flatnonzero(found["removed"])
        if "indices" in found:
            tree._restore_indices(found["indices"].ravel(), int(found["settings"].flat[7]))
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

    def _restore_indices(self, indices: NDArray[np.int64], count: int) -> None:
        """Give the points their dataset indices. Others below ``count``, removed ones, get any coordinates."""
        coords = np.repeat(self._coords[:1], count, axis=0)
        coords[indices] = self._coords
        self._removed = np.setdiff1d(np.arange(count), np.delete(indices, self._removed))
        self._coords = coords

    def _opening(self) -> tuple[Any, ...]:
        return (None if self._callback is None else self.kernel, self.engine)
