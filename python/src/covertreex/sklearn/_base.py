"""What estimators over a cover tree share: parameters, the tree, and its two searches."""

from __future__ import annotations

import os
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array, csr_matrix
from sklearn.base import BaseEstimator, MultiOutputMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from .. import _arguments, _arrays, _engines, _frames
from ..tree import CoverTree, Neighbors
from ..tree._graphs import MODES, csr_parts, of_rows
from ._metrics import BY_SCIPY, METRICS, effective_metric, metric_tree

try:
    from sklearn.utils import _align_api_if_sparse
except ImportError:
    sparse_graph = csr_matrix
else:

    def sparse_graph(parts: tuple[Any, ...], shape: tuple[int, int]) -> Any:
        """A CSR matrix or a CSR array: since 1.9 the configuration of scikit-learn says which."""
        return _align_api_if_sparse(csr_array(parts, shape=shape))


Constraints = dict[str, list[Any]]

#: Of the samples that trees keep.
TYPES = [np.float64, np.float32]
N_NEIGHBORS: Constraints = {"n_neighbors": [Interval(Integral, 1, None, closed="left")]}
RADIUS: Constraints = {"radius": [Interval(Real, 0, None, closed="both"), None]}
_MOST_JOBS = 1024
_LARGEST_LEAF = 65536


def checked(estimator: BaseEstimator, X: ArrayLike, *y: ArrayLike, **options: Any) -> Any:
    """Points and targets as scikit-learn checks them. Of tables, a missing value is named by row and column."""
    for targets in y:
        _frames.check_mask(targets, "y")
    if not _frames.is_table(X):
        return validate_data(estimator, _frames.plain(X, "X"), *y, order="C", **options)
    try:
        return validate_data(estimator, X, *y, order="C", **options)  # which reads names of features
    except (TypeError, ValueError):
        _arrays.check_finite(_arrays.real_array(X, "X"), "X")
        raise


class NeighborsBase(MultiOutputMixin, BaseEstimator):
    """The parameters of all estimators over a tree, and the tree."""

    #: Valid parameters: `fit` checks them, as scikit-learn's own estimators do.
    _parameter_constraints: ClassVar[Constraints] = {
        "algorithm": [StrOptions({"auto", "ball_tree", "kd_tree", "brute"})],
        "leaf_size": [Interval(Integral, 1, None, closed="left"), None],
        "metric": [StrOptions(set(METRICS)), callable],
        "p": [Interval(Real, 0, None, closed="right"), None],
        "metric_params": [dict, None],
        "order": [StrOptions(set(_engines.ORDERS)), None],
        "n_jobs": [
            Interval(Integral, 1, _MOST_JOBS, closed="both"), Interval(Integral, None, -1, closed="right"), None
        ],
    }  # fmt: skip

    def __init__(
        self,
        *,
        algorithm: str = "auto",
        leaf_size: int | None = None,
        metric: str | Callable[..., float] = "minkowski",
        p: float | None = 2,
        metric_params: dict[str, Any] | None = None,
        order: str | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.algorithm = algorithm
        self.leaf_size = leaf_size
        self.metric = metric
        self.p = p
        self.metric_params = metric_params
        self.order = order
        self.n_jobs = n_jobs

    def _grow(self, points: NDArray[Any]) -> None:
        self.effective_metric_, self.effective_metric_params_ = effective_metric(
            self.metric, self.p, self.metric_params
        )
        leaf_size = None if self.leaf_size is None else min(self.leaf_size, _LARGEST_LEAF)
        self.tree_: CoverTree
        if callable(self.metric) or self.metric in BY_SCIPY:
            self.tree_ = metric_tree(points, self.metric, self.effective_metric_params_, order=self.order)
            self.n_samples_fit_ = len(points)
            return
        self.tree_ = CoverTree(
            points, metric=self.effective_metric_, metric_params=self.effective_metric_params_, engine="native",
            order=self.order, leaf_size=leaf_size, n_threads=self._threads(),
        )  # fmt: skip
        self.n_samples_fit_ = len(points)

    def _threads(self) -> int | None:
        if self.n_jobs is None:
            return None
        n_jobs = _arrays.integer(self.n_jobs, "n_jobs", minimum=-(2**31), maximum=_MOST_JOBS)
        if n_jobs == 0:
            raise ValueError("n_jobs: expected a number other than 0, got 0")
        return n_jobs if n_jobs > 0 else min(_MOST_JOBS, max(1, (os.cpu_count() or 1) + 1 + n_jobs))

    def _asked(self, X: ArrayLike | None) -> dict[str, Any]:
        """Options of a search in the tree."""
        check_is_fitted(self)
        queries = None if X is None else checked(self, X, reset=False, dtype=TYPES)
        is_own, threads = queries is None, self._threads()
        return {"queries": queries, "return_distances": True, "exclude_self": is_own, "n_threads": threads}

    def _graph(self, mode: str, found: Neighbors) -> Any:
        """Neighbours as a sparse matrix, each row in their order."""
        return sparse_graph(csr_parts(mode, found), (len(found.offsets) - 1, self.n_samples_fit_))


class NearestMixin(NeighborsBase):
    """Searches for a number of neighbours."""

    n_neighbors: int

    def _grow(self, points: NDArray[Any]) -> None:
        _arrays.integer(self.n_neighbors, "n_neighbors", minimum=1)  # True is a number for scikit-learn
        super()._grow(points)

    def _nearest(self, X: ArrayLike | None, n_neighbors: int | None = None) -> tuple[NDArray[Any], NDArray[np.int64]]:
        asked = self._asked(X)
        k = _arrays.integer(self.n_neighbors if n_neighbors is None else n_neighbors, "n_neighbors", minimum=1)
        most = self.n_samples_fit_ - asked["exclude_self"]
        if k > most:
            raise ValueError(
                f"Expected n_neighbors <= n_samples_fit, but n_neighbors = {k}, n_samples_fit = {most}"
                + (", without the sample itself" if asked["exclude_self"] else "")
            )
        indices, distances = self.tree_.knn(k, **asked)
        return distances, indices

    def kneighbors(
        self, X: ArrayLike | None = None, n_neighbors: int | None = None, return_distance: bool = True
    ) -> Any:
        """Find the nearest samples of each point.

        Parameters
        ----------
        X : array_like, shape (n_queries, n_features), optional
            By default the samples, each of which is not its own neighbour.
        n_neighbors : int, optional
            By default the estimator's.

        Returns
        -------
        distances : numpy.ndarray, shape (n_queries, n_neighbors)
            Only with ``return_distance``.
        indices : numpy.ndarray of int64, shape (n_queries, n_neighbors)
            The nearest first; ties go to the lower index.
        """
        distances, indices = self._nearest(X, n_neighbors)
        return (distances, indices) if return_distance else indices

    def kneighbors_graph(
        self, X: ArrayLike | None = None, n_neighbors: int | None = None, mode: str = "connectivity"
    ) -> Any:
        """Find what :meth:`kneighbors` finds, as a sparse matrix of shape (n_queries, n_samples_fit).

        It is a CSR matrix of float64, or an array if the configuration of scikit-learn says so. Rows are sorted by
        distance. With the mode "connectivity" its elements are 1, with "distance" they are the distances.
        """
        _arguments.choice(mode, "mode", MODES)
        distances, indices = self._nearest(X, n_neighbors)
        return self._graph(mode, of_rows(indices, distances))


class RadiusMixin(NeighborsBase):
    """Searches for all neighbours within a radius."""

    radius: float | None

    def _within(self, X: ArrayLike | None, radius: float | ArrayLike | None = None) -> Neighbors:
        asked = self._asked(X)
        reach: Any = self.radius if radius is None else radius
        if not _arguments.is_many(reach):
            reach = _arguments.number(reach, "radius", minimum=0)
        with _arguments.renamed(r="radius"):
            found: Neighbors = self.tree_.radius(reach, **asked)
        return found

    def radius_neighbors(
        self,
        X: ArrayLike | None = None,
        radius: float | ArrayLike | None = None,
        return_distance: bool = True,
        sort_results: bool = False,
    ) -> Any:
        """Find all samples within a radius of each point.

        Parameters
        ----------
        X : array_like, shape (n_queries, n_features), optional
            By default the samples, each of which is not its own neighbour.
        radius : float or array_like, shape (n_queries,), optional
            By default the estimator's. An array has one radius for each point.
        return_distance : bool
            Whether to return the distances, too.
        sort_results : bool
            Results are always sorted, the nearest first. As in scikit-learn, True needs ``return_distance``.

        Returns
        -------
        distances, indices : numpy.ndarray of objects, shape (n_queries,)
            An array for each point. Distances only with ``return_distance``.
        """
        if sort_results and not return_distance:
            raise ValueError("return_distance: expected True with sort_results, got False")
        found = self._within(X, radius)
        indices = arrays_of(found.indices, found.offsets)
        return (arrays_of(found.distances, found.offsets), indices) if return_distance else indices

    def radius_neighbors_graph(
        self,
        X: ArrayLike | None = None,
        radius: float | ArrayLike | None = None,
        mode: str = "connectivity",
        sort_results: bool = False,
    ) -> Any:
        """Find the same as :meth:`radius_neighbors`, as a sparse matrix of shape (n_queries, n_samples_fit).

        It is a CSR matrix of float64, or an array if the configuration of scikit-learn says so. Rows are always sorted
        by distance. With the mode "connectivity" its elements are 1, with "distance" they are the distances.
        """
        _arguments.choice(mode, "mode", MODES)
        del sort_results
        return self._graph(mode, self._within(X, radius))


def arrays_of(values: Any, offsets: NDArray[np.int64]) -> NDArray[np.object_]:
    """An array of arrays, one for each query, which a caller may write to."""
    arrays = np.empty(len(offsets) - 1, object)
    arrays[:] = np.split(np.array(values), offsets[1:-1]) if len(arrays) > 1 else [np.array(values)]
    return arrays
