"""The classes and functions of sklearn.neighbors over a cover tree."""

import numpy as np

from covertreex import cover_tree
from covertreex.sklearn import (
    CoverTreeClassifier,
    CoverTreeNeighbors,
    CoverTreeRegressor,
    CoverTreeTransformer,
    RadiusNeighborsClassifier,
    RadiusNeighborsRegressor,
    RadiusNeighborsTransformer,
)
from covertreex.sklearn._base import NearestMixin, RadiusMixin, arrays_of
from covertreex.sklearn._metrics import BY_SCIPY, effective_metric, metric_tree


class BinaryTree:
    """:class:`sklearn.neighbors.KDTree` by the calls of a cover tree."""

    def __init__(self, X, leaf_size=40, metric="minkowski", **metric_params):
        name, parameters = effective_metric(metric, metric_params.pop("p", 2), metric_params)
        points = np.asarray(X, self.dtype)
        if callable(name) or name in BY_SCIPY:
            self.tree = metric_tree(points, name, parameters, order=None)
        else:
            self.tree = cover_tree(points, leaf_size=leaf_size, metric=name, metric_params=parameters)

    def query(self, X, k=1, return_distance=True, dualtree=False, breadth_first=False, sort_results=True):
        del dualtree, breadth_first, sort_results
        indices, distances = self.tree.knn(k, queries=np.asarray(X, self.dtype), return_distances=True)
        return (distances, indices) if return_distance else indices

    def query_radius(self, X, r, return_distance=False, count_only=False, sort_results=False):
        del sort_results
        queries = np.asarray(X, self.dtype)
        if count_only:
            return self.tree.radius(r, queries=queries, count_only=True)
        found = self.tree.radius(r, queries=queries, return_distances=True)
        indices = arrays_of(found.indices, found.offsets)
        return (indices, arrays_of(found.distances, found.offsets)) if return_distance else indices

    def two_point_correlation(self, X, r, dualtree=False):
        del dualtree
        return self.tree.count_pairs(r, cover_tree(np.asarray(X, self.dtype)))


class KDTree64(BinaryTree):
    dtype = np.float64


class KDTree32(BinaryTree):
    dtype = np.float32


class KDTree(KDTree64):
    pass


class BallTree64(BinaryTree):
    dtype = np.float64


class BallTree32(BinaryTree):
    dtype = np.float32


class BallTree(BallTree64):
    pass


def kneighbors_graph(X, n_neighbors, *, mode="connectivity", include_self=False, **parameters):
    model = X if hasattr(X, "kneighbors_graph") else CoverTreeNeighbors(n_neighbors, **parameters).fit(X)
    return model.kneighbors_graph(X if include_self else None, n_neighbors, mode=mode)


def radius_neighbors_graph(X, radius, *, mode="connectivity", include_self=False, **parameters):
    model = X if hasattr(X, "radius_neighbors_graph") else CoverTreeNeighbors(radius=radius, **parameters).fit(X)
    return model.radius_neighbors_graph(X if include_self else None, radius, mode=mode)


_TREES = {"BallTree": BallTree, "KDTree": KDTree}
NAMES = {
    "sklearn.neighbors": {
        "KNeighborsClassifier": CoverTreeClassifier,
        "KNeighborsRegressor": CoverTreeRegressor,
        "KNeighborsTransformer": CoverTreeTransformer,
        "NearestNeighbors": CoverTreeNeighbors,
        "RadiusNeighborsClassifier": RadiusNeighborsClassifier,
        "RadiusNeighborsRegressor": RadiusNeighborsRegressor,
        "RadiusNeighborsTransformer": RadiusNeighborsTransformer,
        "kneighbors_graph": kneighbors_graph,
        "radius_neighbors_graph": radius_neighbors_graph,
        **_TREES,
    },
    "sklearn.neighbors._base": {"KNeighborsMixin": NearestMixin, "RadiusNeighborsMixin": RadiusMixin},
    "sklearn.neighbors._kd_tree": {"KDTree": KDTree, "KDTree32": KDTree32, "KDTree64": KDTree64},
    "sklearn.neighbors._ball_tree": {"BallTree": BallTree, "BallTree32": BallTree32, "BallTree64": BallTree64},
}
