"""Many queries in the residual process: the arguments of kernels."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _arrays, _calls
from .._arrays import read_only
from .._exports.residual_arrays import ModelView
from .._exports.tree_arrays import TreeArrays
from .common import NO_EXCLUSION, jitted, limits, not_for_new_points, run, upper_indices
from .features import feature_rows
from .residual import NumbaResidualTree, residual_distance, show_model, variance_root
from .skeletons import skeleton_rows
from .tree_queries import tree_knn
from .walk import show_tree


class _EuclideanTree(Protocol):
    def export_arrays(self) -> TreeArrays: ...


class ResidualTree(Protocol):
    """The interface of a residual tree: see :class:`covertreex.ResidualTree`."""

    @property
    def dim(self) -> int: ...

    @property
    def euclidean(self) -> _EuclideanTree: ...

    @property
    def _is_spatial(self) -> bool: ...

    def _model(self) -> ModelView: ...

    def _info(self) -> Any: ...

    def _features(self, new: NDArray[np.float64], name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...

    def _scale(self, points: NDArray[np.float64]) -> NDArray[np.float64]: ...


def _stored(
    model: NumbaResidualTree, queries: NDArray[Any] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Rows, positions and dataset indices of queries, near ones after each other."""
    n = len(model.block_order)
    wanted = np.arange(n) if queries is None else _arrays.copied_indices(queries, "queries")
    for row in np.flatnonzero((wanted < 0) | (wanted >= n))[:1]:
        raise IndexError(f"queries[{row}]: expected a dataset index from 0 to {n - 1}, got {wanted[row]}")
    positions = model.block_places[wanted].astype(np.int64)
    rows = np.argsort(positions, kind="stable")
    return rows, positions[rows], wanted[rows]


def residual_knn(
    tree: ResidualTree,
    k: int,
    *,
    queries: ArrayLike | None,
    return_distances: bool,
    predecessor_mode: bool,
    before: ArrayLike | None,
    exclude_self: bool,
    max_distance: float | None,
    n_threads: int | None,
    progress: _calls.ProgressReport | None,
) -> Any:
    """The nearest of many queries; the tree gives features of new points."""
    model = show_model(tree._model().arrays)
    array = None if queries is None else _arrays.own_queries(queries, lambda: tree.dim)
    n = len(model.block_order) if array is None else len(array)
    upper = upper_indices(before, n, predecessor_mode)
    if tree._is_spatial:
        near = None if array is None else _in_space(tree, array)
        indices = tree_knn(
            show_tree(tree.euclidean.export_arrays()), k, queries=near, before=upper, return_distances=False,
            predecessor_mode=predecessor_mode, exclude_self=exclude_self, max_distance=None, n_threads=n_threads,
            progress=progress,
        )  # fmt: skip
        if max_distance is None and not return_distances:
            return indices
        distances = _distances_in_space(model, near, indices, n_threads)
        _arrays.cut(indices, distances, max_distance)
        return (indices, distances) if return_distances else indices
    results = _arrays.results(n, k, np.int64), _arrays.results(n, k, np.float64)
    # Comparisons by features need the features of the queries.
    others: tuple[NDArray[Any], ...] = ()
    kernel, own = feature_rows, None
    if array is None or _arrays.are_indices(array):
        rows, positions, own = _stored(model, array)
        if model.product_offsets.size:
            kernel = skeleton_rows
        else:
            others = model.coordinates[positions], model.v_matrix[positions], model.residual_variance[positions]
    else:
        not_for_new_points(predecessor_mode, exclude_self, "new points have no dataset index")
        others = _new_points(tree, model, _arrays.points(array, "queries", dtype=np.dtype(np.float64)))
        rows, positions = np.arange(n), np.full(n, -1)
        model = model._replace(bounds=model.bounds[:0])
    queried = (rows, positions, *limits(rows, upper, own, predecessor_mode, exclude_self), *map(read_only, others))
    run(kernel, model, queried, results, n_threads, progress)
    _arrays.cut(*results, max_distance)
    return results if return_distances else results[0]


def _new_points(
    tree: ResidualTree, model: NumbaResidualTree, points: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Scaled coordinates, features filled up with zeros, and residual variances, as the model has them."""
    v, p = tree._features(points, "queries")
    root = variance_root(tree._info().variance)
    features = np.zeros((len(points), model.v_matrix.shape[1]))
    features[:, : v.shape[1]] = v / root
    return tree._scale(points), features, p / root / root


def _in_space(tree: ResidualTree, queries: NDArray[Any]) -> NDArray[Any]:
    """Queries of the tree of points over the lengthscales."""
    if _arrays.are_indices(queries):
        return _arrays.copied_indices(queries, "queries")
    return tree._scale(_arrays.points(queries, "queries", dtype=np.dtype(np.float64)))


def _distances_in_space(
    model: NumbaResidualTree, queries: NDArray[Any] | None, indices: NDArray[np.int64], n_threads: int | None
) -> NDArray[np.float64]:
    """Distances of the nearest in space."""
    if queries is None or _arrays.are_indices(queries):
        own = np.arange(len(model.block_order)) if queries is None else queries
        coordinates = model.coordinates[model.block_places[own]]
    else:
        own, coordinates = np.full(len(queries), NO_EXCLUSION), queries
    distances = np.empty(indices.shape)
    run(_spatial_distances, model, (own, read_only(coordinates), indices, distances), (), n_threads, None)
    return distances


@jitted
def _spatial_distances(model: NumbaResidualTree, own: Any, coordinates: Any, indices: Any, distances: Any) -> None:
    """Distances of queries without features from points, which ascend."""
    features = np.empty((own.shape[0], 0))
    for query in range(own.shape[0]):
        least = 0.0
        for rank in range(indices.shape[1]):
            if indices[query, rank] < 0:
                distances[query, rank] = np.inf
                continue
            position = model.block_places[indices[query, rank]]
            distance = residual_distance(model, position, coordinates, features, query, model.variance, own[query])
            least = max(least, distance)
            distances[query, rank] = least
