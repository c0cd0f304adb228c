"""Estimators over a cover tree: nearest neighbours, a graph of them, a classifier and a regressor."""

from __future__ import annotations

import os
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray

try:
    from scipy.sparse import csr_matrix
    from sklearn.base import (
        BaseEstimator,
        ClassifierMixin,
        ClassNamePrefixFeaturesOutMixin,
        RegressorMixin,
        TransformerMixin,
        _fit_context,
    )
    from sklearn.utils._param_validation import Interval, StrOptions
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        "covertreex.sklearn needs scikit-learn 1.6 or later: pip install 'covertreex[sklearn]'"
    ) from error

from .. import _arguments, _arrays, _engines
from ..tree import CoverTree

Weights = Union[str, Callable[[NDArray[Any]], NDArray[Any]], None]

_MODES = ("connectivity", "distance")
_MOST_JOBS = 1024
_TYPES = [np.float64, np.float32]


class _Neighbors(BaseEstimator):
    """All estimators here."""

    #: Valid parameters: `fit` checks them, as scikit-learn's own estimators do.
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "order": [StrOptions(set(_engines.ORDERS)), None],
        "leaf_size": [Interval(Integral, 1, 65536, closed="both"), None],
        "n_jobs": [
            Interval(Integral, 1, _MOST_JOBS, closed="both"), Interval(Integral, None, -1, closed="right"), None
        ],
    }  # fmt: skip

    def __init__(
        self,
        n_neighbors: int = 5,
        radius: float = 1.0,
        *,
        order: str | None = None,
        leaf_size: int | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.radius = radius
        self.order = order
        self.leaf_size = leaf_size
        self.n_jobs = n_jobs

    def _grow(self, points: NDArray[Any]) -> None:
        _arrays.integer(self.n_neighbors, "n_neighbors", minimum=1)
        self.tree_ = CoverTree(
            points, engine="native", order=self.order, leaf_size=self.leaf_size, n_threads=self._threads()
        )
        self.n_samples_fit_ = len(points)
        self.effective_metric_ = "euclidean"

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
        queries = None if X is None else validate_data(self, X, reset=False, dtype=_TYPES, order="C")
        is_own, threads = queries is None, self._threads()
        return {"queries": queries, "return_distances": True, "exclude_self": is_own, "n_threads": threads}

    def _nearest(self, X: ArrayLike | None, n_neighbors: int | None) -> tuple[NDArray[Any], NDArray[np.int64]]:
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

    def _within(self, X: ArrayLike | None, radius: float | None) -> Any:
        asked = self._asked(X)
        reach = _arguments.number(self.radius if radius is None else radius, "radius", minimum=0)
        return self.tree_.radius(reach, **asked)

    def radius_neighbors(
        self,
        X: ArrayLike | None = None,
        radius: float | None = None,
        return_distance: bool = True,
        sort_results: bool = False,
    ) -> Any:
        """Find all samples within a radius of each point.

        Parameters
        ----------
        X, return_distance
            As in :meth:`kneighbors`.
        radius : float, optional
            By default the estimator's.
        sort_results : bool
            They are always sorted, the nearest first.

        Returns
        -------
        distances, indices : numpy.ndarray of objects, shape (n_queries,)
            An array for each point. Distances only with ``return_distance``.
        """
        del sort_results
        found = self._within(X, radius)
        indices = _arrays_of(found.indices, found.offsets)
        return (_arrays_of(found.distances, found.offsets), indices) if return_distance else indices

    def kneighbors_graph(
        self, X: ArrayLike | None = None, n_neighbors: int | None = None, mode: str = "connectivity"
    ) -> csr_matrix:
        """Find what :meth:`kneighbors` finds, as a sparse matrix of shape (n_queries, n_samples_fit).

        With the mode "connectivity" its elements are 1, with "distance" they are the distances.
        """
        _arguments.choice(mode, "mode", _MODES)
        distances, indices = self._nearest(X, n_neighbors)
        offsets = np.arange(0, indices.size + 1, indices.shape[1])
        return self._graph(mode, distances.ravel(), indices.ravel(), offsets)

    def radius_neighbors_graph(
        self,
        X: ArrayLike | None = None,
        radius: float | None = None,
        mode: str = "connectivity",
        sort_results: bool = False,
    ) -> csr_matrix:
        """Find the same as :meth:`radius_neighbors`, as a matrix like :meth:`kneighbors_graph`."""
        _arguments.choice(mode, "mode", _MODES)
        del sort_results
        offsets, indices, distances = self._within(X, radius)
        return self._graph(mode, np.array(distances), np.array(indices), offsets)

    def _graph(self, mode: str, distances: Any, indices: Any, offsets: Any) -> csr_matrix:
        values = distances if mode == "distance" else np.ones(len(indices))
        return csr_matrix((values, indices, offsets), shape=(len(offsets) - 1, self.n_samples_fit_))


class CoverTreeNeighbors(_Neighbors):
    """Nearest neighbours by Euclidean distance: :class:`sklearn.neighbors.NearestNeighbors` over a cover tree.

    Parameters
    ----------
    n_neighbors : int
    radius : float
        For calls that do not say them.
    order, leaf_size
        As in :func:`covertreex.cover_tree`.
    n_jobs : int, optional
        Threads; by default :func:`covertreex.get_num_threads`; all for -1, all but one for -2, and so on. Results do
        not depend on it.

    Attributes
    ----------
    tree_ : covertreex.CoverTree
    n_samples_fit_, n_features_in_ : int
    effective_metric_ : str
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **_Neighbors._parameter_constraints,
        "radius": [Interval(Real, 0, None, closed="both"), None],
    }

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: Any = None) -> CoverTreeNeighbors:
        """Build the tree of some points, shape (n_samples, n_features). ``y`` is ignored."""
        self._grow(validate_data(self, X, dtype=_TYPES, order="C"))
        return self


class CoverTreeTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, CoverTreeNeighbors):
    """Points to the sparse graph of their neighbours.

    It is :class:`sklearn.neighbors.KNeighborsTransformer` over a cover tree, for estimators of a graph: Isomap,
    TSNE, DBSCAN, SpectralClustering, neighbours classifiers, UMAP.

    Parameters
    ----------
    mode : {"distance", "connectivity"}
        Whether elements of the graph are distances or 1. With "distance" there is one neighbour more, as each sample is
        the first neighbour of itself.
    n_neighbors, order, leaf_size, n_jobs
        As in :class:`CoverTreeNeighbors`.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **_Neighbors._parameter_constraints,
        "mode": [StrOptions(set(_MODES))],
    }

    def __init__(
        self,
        *,
        mode: str = "distance",
        n_neighbors: int = 5,
        order: str | None = None,
        leaf_size: int | None = None,
        n_jobs: int | None = None,
    ) -> None:
        super().__init__(n_neighbors, order=order, leaf_size=leaf_size, n_jobs=n_jobs)
        del self.radius
        self.mode = mode

    def fit(self, X: ArrayLike, y: Any = None) -> CoverTreeTransformer:
        super().fit(X)
        self._n_features_out = self.n_samples_fit_
        return self

    def transform(self, X: ArrayLike) -> csr_matrix:
        """Find the graph of points, as :meth:`kneighbors_graph`."""
        check_is_fitted(self)
        n_neighbors = _arrays.integer(self.n_neighbors, "n_neighbors", minimum=1)
        return self.kneighbors_graph(X, n_neighbors + (self.mode == "distance"), mode=self.mode)

    def fit_transform(self, X: ArrayLike, y: Any = None) -> csr_matrix:
        """Build the tree, and find the graph of its points."""
        return self.fit(X).transform(X)


class _Supervised(_Neighbors):
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **_Neighbors._parameter_constraints,
        "weights": [StrOptions({"uniform", "distance"}), callable, None],
    }

    def __init__(
        self,
        n_neighbors: int = 5,
        *,
        weights: Weights = "uniform",
        order: str | None = None,
        leaf_size: int | None = None,
        n_jobs: int | None = None,
    ) -> None:
        super().__init__(n_neighbors, order=order, leaf_size=leaf_size, n_jobs=n_jobs)
        del self.radius
        self.weights = weights

    def _weighted(self, X: ArrayLike) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Weights and indices of the neighbours of each point, of which at least one is not 0."""
        if self.weights is not None and not callable(self.weights):
            _arguments.choice(self.weights, "weights", ("uniform", "distance"))
        distances, indices = self._nearest(X, None)
        if self.weights is None or self.weights == "uniform":
            return np.ones(indices.shape), indices
        if callable(self.weights):
            weights = _arrays.returned(self.weights(distances), "weights", distances.shape, finite=False)
        else:
            with np.errstate(divide="ignore", over="ignore"):
                weights = 1 / distances.astype(float)
        # If neighbours of a point have infinite weights, as those at its location have, they alone count.
        infinite = np.isinf(weights)
        weights = np.where(infinite.any(axis=1, keepdims=True), infinite, weights)
        for row in np.flatnonzero((weights == 0).all(axis=1))[:1]:
            raise ValueError(f"weights: expected one that is not 0 for each point, got zeros alone for point {row}")
        return weights, indices


class CoverTreeClassifier(ClassifierMixin, _Supervised):
    """The most frequent class of the nearest neighbours.

    Parameters
    ----------
    n_neighbors : int
        How many.
    weights : {"uniform", "distance"}, callable or None
        All alike (also None), by the inverse of the distance, or the callable's values for distances, of the same
        shape: (n_queries, n_neighbors). Where all weights of a point are 0, predictions raise ValueError.
    order, leaf_size, n_jobs
        As in :class:`CoverTreeNeighbors`.

    Attributes
    ----------
    classes_ : numpy.ndarray
        The classes, sorted.
    """

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike) -> CoverTreeClassifier:
        """Learn from points of shape (n_samples, n_features) and their classes, shape (n_samples,)."""
        points, classes = validate_data(self, X, y, dtype=_TYPES, order="C")
        check_classification_targets(classes)
        self.classes_, self._classes = np.unique(classes, return_inverse=True)
        self._grow(points)
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Find the share of each class among the neighbours, shape (n_queries, n_classes)."""
        weights, indices = self._weighted(X)
        shares = np.zeros((len(indices), len(self.classes_)))
        np.add.at(shares, (np.arange(len(indices))[:, None], self._classes[indices]), weights)
        sums = shares.sum(axis=1, keepdims=True)
        return shares / np.where(sums == 0, 1, sums)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Find the class of each point, shape (n_queries,); ties go to the first of the classes."""
        columns = self.predict_proba(X).argmax(axis=1)  # first of all: it checks that the estimator is fitted
        return self.classes_[columns]


class CoverTreeRegressor(RegressorMixin, _Supervised):
    """The mean target of the nearest neighbours.

    Parameters
    ----------
    n_neighbors, weights, order, leaf_size, n_jobs
        As in :class:`CoverTreeClassifier`.
    """

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike) -> CoverTreeRegressor:
        """Learn from points, shape (n_samples, n_features), and targets, (n_samples,) or (n_samples, n_outputs)."""
        points, targets = validate_data(self, X, y, dtype=_TYPES, order="C", multi_output=True, y_numeric=True)
        self._targets = np.asarray(targets, float)
        self._grow(points)
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Find the weighted mean of the neighbours' targets, shape (n_queries,) or (n_queries, n_outputs)."""
        weights, indices = self._weighted(X)
        targets = self._targets[indices]
        sums = weights.sum(axis=1, keepdims=True)
        if (sums == 0).any():
            raise ValueError("weights: expected a sum that is not 0 for each point, got 0")
        shares = weights / sums
        return np.einsum("qk,qk...->q...", shares, targets)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _arrays_of(values: NDArray[Any], offsets: NDArray[np.int64]) -> NDArray[np.object_]:
    arrays = np.empty(len(offsets) - 1, object)
    arrays[:] = np.split(np.array(values), offsets[1:-1]) if len(arrays) > 1 else [np.array(values)]
    return arrays
