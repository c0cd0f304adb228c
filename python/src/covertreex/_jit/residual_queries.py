"""Many queries in the residual process: the arguments of kernels."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from .. import _arrays, _calls
from .._exports.residual_arrays import ModelView
from .._exports.tree_arrays import TreeArrays
from .common import NO_EXCLUSION, NO_LIMIT, read_only, run, upper_indices
from .euclidean import euclidean_knn, show_tree
from .features import feature_rows
from .residual import NumbaResidualTree, residual_distance, show_model, variance_root
from .skeletons import skeleton_rows


class _EuclideanTree(Protocol):
    def export_arrays(self) -> TreeArrays: ...


class ResidualTree(Protocol):
    """What is asked of a residual tree: see :class:`covertreex.ResidualTree`."""

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


class _Queries(NamedTuple):
    """Queries in the order in which they are run: near ones follow each other."""

    rows: NDArray[np.int64]  #: of the results
    positions: NDArray[np.int64]  #: -1 for new points
    before: NDArray[np.int64]
    excluded: NDArray[np.int64]


def _stored(
    model: NumbaResidualTree,
    queries: NDArray[Any] | None,
    before: NDArray[np.int64] | None,
    predecessor_mode: bool,
    exclude_self: bool,
) -> _Queries:
    """Points of the model as queries, by position."""
    n = len(model.block_order)
    wanted = np.arange(n) if queries is None else _arrays.copied_indices(queries, "queries")
    for row in np.flatnonzero((wanted < 0) | (wanted >= n))[:1]:
        raise IndexError(f"queries[{row}]: expected a dataset index from 0 to {n - 1}, got {wanted[row]}")
    positions = model.block_places[wanted].astype(np.int64)
    rows = np.argsort(positions, kind="stable")
    own = wanted[rows]
    upper = own if predecessor_mode else np.full(len(own), NO_LIMIT) if before is None else before[rows]
    return _Queries(rows, positions[rows], upper, own if exclude_self else np.full(len(own), NO_EXCLUSION))


def residual_knn(
    tree: ResidualTree,
    k: int,
    *,
    queries: ArrayLike | None,
    return_distances: bool,
    predecessor_mode: bool,
    before: ArrayLike | None,
    exclude_self: bool,
    n_threads: int | None,
    progress: _calls.ProgressReport | None,
) -> Any:
    """The nearest of many queries; the tree gives features of new points."""
    model = show_model(tree._model().arrays)
    array = None if queries is None else _arrays.own_queries(queries, lambda: tree.dim)
    n = len(model.block_order) if array is None else len(array)
    upper = upper_indices(before, n, predecessor_mode)
    if tree._is_spatial:
        return _spatial_knn(
            tree, model, k, array, upper, return_distances=return_distances, predecessor_mode=predecessor_mode,
            exclude_self=exclude_self, n_threads=n_threads, progress=progress,
        )  # fmt: skip
    indices, distances = _arrays.results(n, k, np.int64), _arrays.results(n, k, np.float64)
    # Comparisons by features need those of the queries.
    others: tuple[NDArray[Any], ...] = ()
    kernel = feature_rows
    if array is None or _arrays.are_indices(array):
        asked = _stored(model, array, upper, predecessor_mode, exclude_self)
        if model.product_offsets.size:
            kernel = skeleton_rows
        else:
            own = (model.coordinates, model.v_matrix, model.residual_variance)
            others = tuple(values[asked.positions] for values in own)
    else:
        for flag, name in ((predecessor_mode, "predecessor_mode"), (exclude_self, "exclude_self")):
            if flag:
                raise ValueError(f"{name}: new points have no dataset index; give dataset indices as queries")
        points = _arrays.points(array, "queries", dtype=np.dtype(np.float64))
        others = _new_points(tree, model, points)
        asked = _Queries(
            np.arange(n), np.full(n, -1), np.full(n, NO_LIMIT) if upper is None else upper, np.full(n, NO_EXCLUSION)
        )
        model = model._replace(bounds=model.bounds[:0])
    results = (indices, distances)
    run(kernel, model, (*asked, *map(read_only, others)), results, n_threads, progress)
    return results if return_distances else indices


def _new_points(
    tree: ResidualTree, model: NumbaResidualTree, points: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Scaled coordinates, features filled up with zeros, and residual variances, as the model has them."""
    v, p = tree._features(points, "queries")
    root = variance_root(tree._info().variance)
    features = np.zeros((len(points), model.v_matrix.shape[1]))
    features[:, : v.shape[1]] = v / root
    return tree._scale(points), features, p / root / root


def _spatial_knn(
    tree: ResidualTree,
    model: NumbaResidualTree,
    k: int,
    queries: NDArray[Any] | None,
    before: NDArray[np.int64] | None,
    *,
    return_distances: bool,
    predecessor_mode: bool,
    exclude_self: bool,
    n_threads: int | None,
    progress: _calls.ProgressReport | None,
) -> Any:
    """The nearest in space, over the lengthscales."""
    own, coordinates = np.arange(len(model.block_order)), None
    if queries is not None and _arrays.are_indices(queries):
        own = queries = _arrays.copied_indices(queries, "queries")
    elif queries is not None:
        queries = coordinates = tree._scale(_arrays.points(queries, "queries", dtype=np.dtype(np.float64)))
        own = np.full(len(coordinates), NO_EXCLUSION)
    indices = euclidean_knn(
        show_tree(tree.euclidean.export_arrays()), k, queries=queries, before=before, return_distances=False,
        predecessor_mode=predecessor_mode, exclude_self=exclude_self, max_distance=None, n_threads=n_threads,
        progress=progress,
    )  # fmt: skip
    if not return_distances:
        return indices
    if coordinates is None:
        coordinates = model.coordinates[model.block_places[own]]
    distances = np.empty(indices.shape)
    run(_spatial_distances, model, (own, read_only(coordinates), indices, distances), (), n_threads, None)
    return indices, distances


@njit(cache=True, nogil=True)
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
