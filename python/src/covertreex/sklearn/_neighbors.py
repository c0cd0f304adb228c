"""Estimators that find neighbours, and transformers that make graphs of them."""

from __future__ import annotations

from typing import Any, ClassVar

from numpy.typing import ArrayLike
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin, _fit_context
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from .. import _arrays
from ..tree._graphs import MODES
from ._base import N_NEIGHBORS, RADIUS, TYPES, Constraints, NearestMixin, NeighborsBase, RadiusMixin, checked


class _Unsupervised(NeighborsBase):
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: Any = None) -> Any:
        """Build the tree of some points, shape (n_samples, n_features). ``y`` is ignored."""
        self._grow(checked(self, X, dtype=TYPES))
        return self


class CoverTreeNeighbors(NearestMixin, RadiusMixin, _Unsupervised):
    """Nearest neighbours: :class:`sklearn.neighbors.NearestNeighbors` over a cover tree.

    Parameters
    ----------
    n_neighbors : int
    radius : float
        For calls that do not say them.
    algorithm : {"auto", "ball_tree", "kd_tree", "brute"}
        Accepted for scikit-learn's sake. All search the same tree.
    leaf_size, order
        As in :func:`covertreex.cover_tree`. Results do not depend on them.
    metric : str
        The metric, by its name in scikit-learn: one of those of :func:`covertreex.cover_tree`.
    p : float
        Of the metric "minkowski": from 1 up, infinity included; by default 2, Euclidean distance.
    metric_params : dict, optional
        As in :func:`covertreex.cover_tree`. It may have ``p``, instead of the argument.
    n_jobs : int, optional
        Threads; by default :func:`covertreex.get_num_threads`; all for -1, all but one for -2, and so on. Results do
        not depend on it.

    Attributes
    ----------
    tree_ : covertreex.CoverTree
    n_samples_fit_, n_features_in_ : int
    effective_metric_ : str
    effective_metric_params_ : dict
    """

    _parameter_constraints: ClassVar[Constraints] = {**NeighborsBase._parameter_constraints, **N_NEIGHBORS, **RADIUS}

    def __init__(
        self,
        n_neighbors: int = 5,
        radius: float | None = 1.0,
        *,
        algorithm: str = "auto",
        leaf_size: int | None = None,
        metric: str = "minkowski",
        p: float | None = 2,
        metric_params: dict[str, Any] | None = None,
        order: str | None = None,
        n_jobs: int | None = None,
    ) -> None:
        super().__init__(
            algorithm=algorithm, leaf_size=leaf_size, metric=metric, p=p, metric_params=metric_params, order=order,
            n_jobs=n_jobs,
        )  # fmt: skip
        self.n_neighbors = n_neighbors
        self.radius = radius


class _Transformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, _Unsupervised):
    mode: str

    def fit(self, X: ArrayLike, y: Any = None) -> Any:
        super().fit(X)
        self._n_features_out = self.n_samples_fit_
        return self

    def fit_transform(self, X: ArrayLike, y: Any = None) -> Any:
        """Build the tree, and find the graph of its points."""
        return self.fit(X).transform(X)


class CoverTreeTransformer(NearestMixin, _Transformer):
    """Points to the sparse graph of their nearest neighbours.

    It is :class:`sklearn.neighbors.KNeighborsTransformer` over a cover tree, for estimators of a graph: Isomap,
    TSNE, DBSCAN, SpectralClustering, neighbours classifiers, UMAP.

    Parameters
    ----------
    mode : {"distance", "connectivity"}
        Whether elements of the graph are distances or 1. With "distance" there is one neighbour more, as each sample is
        the first neighbour of itself.
    n_neighbors, algorithm, leaf_size, metric, p, metric_params, order, n_jobs
        As in :class:`CoverTreeNeighbors`.
    """

    _parameter_constraints: ClassVar[Constraints] = {
        **NeighborsBase._parameter_constraints,
        **N_NEIGHBORS,
        "mode": [StrOptions(set(MODES))],
    }

    def __init__(
        self,
        *,
        mode: str = "distance",
        n_neighbors: int = 5,
        algorithm: str = "auto",
        leaf_size: int | None = None,
        metric: str = "minkowski",
        p: float | None = 2,
        metric_params: dict[str, Any] | None = None,
        order: str | None = None,
        n_jobs: int | None = None,
    ) -> None:
        super().__init__(
            algorithm=algorithm, leaf_size=leaf_size, metric=metric, p=p, metric_params=metric_params, order=order,
            n_jobs=n_jobs,
        )  # fmt: skip
        self.mode = mode
        self.n_neighbors = n_neighbors

    def transform(self, X: ArrayLike) -> Any:
        """Find the graph of points, as :meth:`kneighbors_graph`."""
        check_is_fitted(self)
        n_neighbors = _arrays.integer(self.n_neighbors, "n_neighbors", minimum=1)
        return self.kneighbors_graph(X, n_neighbors + (self.mode == "distance"), mode=self.mode)


class RadiusNeighborsTransformer(RadiusMixin, _Transformer):
    """Points to the sparse graph of their neighbours within a radius.

    It is :class:`sklearn.neighbors.RadiusNeighborsTransformer` over a cover tree. Each sample is the first neighbour of
    itself.

    Parameters
    ----------
    mode : {"distance", "connectivity"}
        Whether elements of the graph are distances or 1.
    radius : float
    algorithm, leaf_size, metric, p, metric_params, order, n_jobs
        As in :class:`CoverTreeNeighbors`.
    """

    _parameter_constraints: ClassVar[Constraints] = {
        **NeighborsBase._parameter_constraints,
        **RADIUS,
        "mode": [StrOptions(set(MODES))],
    }

    def __init__(
        self,
        *,
        mode: str = "distance",
        radius: float | None = 1.0,
        algorithm: str = "auto",
        leaf_size: int | None = None,
        metric: str = "minkowski",
        p: float | None = 2,
        metric_params: dict[str, Any] | None = None,
        order: str | None = None,
        n_jobs: int | None = None,
    ) -> None:
        super().__init__(
            algorithm=algorithm, leaf_size=leaf_size, metric=metric, p=p, metric_params=metric_params, order=order,
            n_jobs=n_jobs,
        )  # fmt: skip
        self.mode = mode
        self.radius = radius

    def transform(self, X: ArrayLike) -> Any:
        """Find the graph of points, as :meth:`radius_neighbors_graph`."""
        return self.radius_neighbors_graph(X, mode=self.mode)
