"""Many queries in a tree: the arguments of kernels."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _arguments, _arrays, _calls
from .._arrays import read_only
from .._exports.tree_arrays import Neighbors
from .._scores import largest_reported, largest_score
from .common import NO_LIMIT, limits, not_for_new_points, run, upper_indices
from .rows import checked_rows
from .spaces import score_of_limit
from .walk import NumbaTree, count_rows, knn_rows, near_nodes, radius_rows, show_tree

__all__ = ["show_tree", "tree_knn", "tree_radius"]


class _Queries(NamedTuple):
    """Queries in the order in which they are run, with the row of the result and the points that count for each."""

    points: NDArray[Any]
    rows: NDArray[np.int64]
    before: NDArray[np.int64]
    excluded: NDArray[np.int64]


def _queries(
    tree: NumbaTree,
    queries: ArrayLike | None,
    predecessor_mode: bool,
    exclude_self: bool,
    before: ArrayLike | None = None,
) -> _Queries:
    array = None if queries is None else _arrays.own_queries(queries, lambda: _dim(tree))
    own = None
    if array is None or _arrays.are_indices(array):
        nodes, rows, own = _nodes(tree, array)
        points = tree.points if len(nodes) == len(tree.points) and array is None else tree.points[nodes]
    else:
        not_for_new_points(predecessor_mode, exclude_self, "only points of the tree have a dataset index")
        points = _new_points(tree, array)
        rows = np.argsort(near_nodes(tree, _as_compiled(tree, points)), kind="stable")
        points = points[rows]
    upper = upper_indices(before, len(rows), predecessor_mode)
    return _Queries(_as_compiled(tree, points), rows, *limits(rows, upper, own, predecessor_mode, exclude_self))


def _dim(tree: NumbaTree) -> int:
    """Coordinates of a point that a caller gives."""
    return int((tree.points if tree.metric is None else tree.parameters).shape[1])


def _as_compiled(tree: NumbaTree, points: NDArray[Any]) -> NDArray[Any]:
    """Rows of queries as the kernels are compiled for.

    Those of a metric are as ``row_of`` makes them, so that one compilation serves ``nearest`` and many queries.
    """
    return read_only(points) if tree.metric is None else np.array(points, np.float64)


def _new_points(tree: NumbaTree, given: NDArray[Any]) -> NDArray[Any]:
    """The rows of new points."""
    points = _arrays.queries(given, "queries", tree.points.dtype)
    dim = _dim(tree)
    if points.shape[1] != dim:
        raise ValueError(f"queries: expected {dim} columns, got {points.shape[1]}")
    unusable = ~np.isfinite(points)
    if unusable.any():
        row, column = np.argwhere(unusable)[0]
        raise ValueError(f"queries[{row}, {column}]: expected finite coordinates, got {points[row, column]}")
    if tree.metric is not None:
        points = checked_rows(tree.metric, tree.parameters, points)
    if points.dtype == tree.points.dtype:
        return points
    # One compilation serves all queries that the tree's type can hold.
    with np.errstate(over="ignore"):
        rounded = points.astype(tree.points.dtype)
    return rounded if (rounded == points).all() else points


def _nodes(tree: NumbaTree, indices: NDArray[Any] | None) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
    """Nodes of stored points in depth-first order, the rows of their results, and their dataset indices."""
    there = np.flatnonzero(tree.labels != NO_LIMIT)
    stored = tree.labels[there].astype(np.int64)
    if indices is None:
        rows = np.empty(len(stored), np.int64)
        rows[np.argsort(stored, kind="stable")] = np.arange(len(stored))
        return there, rows, stored
    wanted = _arrays.copied_indices(indices, "queries")
    # The last one is for indices out of range.
    node_of = np.full(int(stored.max(initial=-1)) + 2, -1, np.int64)
    node_of[stored] = there
    nodes = node_of[np.clip(wanted, -1, len(node_of) - 1)]
    for row in np.flatnonzero(nodes < 0)[:1]:
        raise IndexError(f"queries[{row}]: the tree has no point {wanted[row]}")
    rows = np.argsort(nodes, kind="stable")
    return nodes[rows], rows, wanted[rows]


def _score_of_distance(value: Any, name: str, tree: NumbaTree) -> float:
    """The largest score of a point within a distance."""
    number, dtype = _arguments.number(value, name, minimum=0), tree.points.dtype
    if tree.metric is None:
        return largest_score(number, dtype)
    return float(score_of_limit(tree.metric, largest_reported(number, dtype)))


def tree_knn(
    tree: NumbaTree,
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
    """The nearest of many queries, by `nearest`."""
    asked = _queries(tree, queries, predecessor_mode, exclude_self, before)
    limit = np.inf if max_distance is None else _score_of_distance(max_distance, "max_distance", tree)
    n = len(asked.rows)
    indices, distances = _arrays.results(n, k, np.int64), _arrays.results(n, k, tree.points.dtype)
    run(knn_rows, tree, asked, (limit, indices, distances), n_threads, progress)
    return (indices, distances) if return_distances else indices


def tree_radius(
    tree: NumbaTree,
    r: float,
    *,
    queries: ArrayLike | None,
    return_distances: bool,
    predecessor_mode: bool,
    exclude_self: bool,
    count_only: bool,
    n_threads: int | None,
    progress: _calls.ProgressReport | None,
) -> Any:
    """Those of many queries within a radius, by `within`."""
    limit = _score_of_distance(r, "r", tree)
    asked = _queries(tree, queries, predecessor_mode, exclude_self)
    counts = np.empty(len(asked.rows), np.int64)
    run(count_rows, tree, asked, (limit, counts), n_threads, progress if count_only else None)
    if count_only:
        return counts
    offsets = np.concatenate([[0], np.cumsum(counts)])
    indices, distances = np.empty(offsets[-1], np.int64), np.empty(offsets[-1], tree.points.dtype)
    run(radius_rows, tree, asked, (limit, offsets, indices, distances), n_threads, progress)
    return Neighbors(offsets, indices, distances if return_distances else None)
