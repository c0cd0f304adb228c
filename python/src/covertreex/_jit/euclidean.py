"""Kernels that walk a Euclidean tree.

The walk needs neither a stack nor lists of children. Nodes are in depth-first order, so the next one is the first
child or, where a ball is too far away, the one behind the subtree. A descent to the nearest child, to its nearest
child, and so on, comes first: the nodes around its end bound the walk.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _arguments, _arrays, _calls
from .._exports.tree_arrays import Neighbors, TreeArrays
from .._scores import LEAST_SQUARE, MAGNIFICATION, largest_score
from .common import (
    NO_EXCLUSION,
    NO_LIMIT,
    distance_of_score,
    fused_multiply_add,
    insert,
    jitted,
    limits,
    not_for_new_points,
    read_only,
    run,
    score_of_near,
    score_of_square,
    sort_heap,
    square_of_score,
    squared_distance,
    upper_indices,
)

# Before and behind a node near the query, this many times k nodes bound the distance of its k-th neighbour.
_WINDOW = 2


class NumbaTree(NamedTuple):
    """The arrays of :class:`covertreex.TreeArrays` that the kernels read, of ``n`` nodes.

    They are not copied, but for ``labels`` of a tree from which points were removed.
    """

    points: NDArray[Any]  #: (n, dim) float32 or float64, in depth-first order
    labels: NDArray[np.int32]  #: (n,) dataset index of each node; the largest int32 for removed points
    radius: NDArray[Any]  #: (n,) the largest distance to a descendant, rounded up
    subtree_end: NDArray[np.int32]  #: (n,) the subtree of t is t:subtree_end[t]
    subtree_min: NDArray[np.int32]  #: (n,) the smallest dataset index in the subtree


def show_tree(arrays: TreeArrays) -> NumbaTree:
    """Show exported arrays to the kernels."""
    indices = arrays.order
    if arrays.removed is not None:
        indices = np.where(arrays.removed == 0, indices, np.int32(NO_LIMIT))
    return NumbaTree(arrays.points, indices, arrays.radius, arrays.subtree_end, arrays.subtree_min)


@jitted
def _square(tree: NumbaTree, node: int, query: Any) -> float:
    """``squared_distance(query, tree.points[node])`` without a slice, which all threads would count in and out."""
    total = 0.0
    for d in range(query.shape[0]):
        difference = np.float64(query[d]) - np.float64(tree.points[node, d])
        total = fused_multiply_add(difference, difference, total)
    return total


@jitted
def _score(tree: NumbaTree, node: int, query: Any, square: float) -> float:
    """The score of a point at a squared distance."""
    if square >= LEAST_SQUARE:
        return square
    total = 0.0
    for d in range(query.shape[0]):
        difference = (np.float64(query[d]) - np.float64(tree.points[node, d])) * MAGNIFICATION
        total = fused_multiply_add(difference, difference, total)
    return score_of_near(total)


@jitted
def _out_of_reach(tree: NumbaTree, node: int, square: float, limit: float) -> bool:
    """True if no point below a node at a squared distance can be within a score."""
    limit = max(limit, LEAST_SQUARE)
    distance = np.sqrt(square)
    radius = np.float64(tree.radius[node])
    # Less the largest rounding error.
    gap = distance - radius - 1e-15 * (distance + radius)
    return gap > 0 and gap * gap > limit


@jitted
def _near_node(tree: NumbaTree, query: Any, before: int) -> int:
    """A node near the query: down to the nearest child, to its nearest child, and so on."""
    node = 0
    while True:
        child, end = node + 1, tree.subtree_end[node]
        closest, closest_square = -1, np.inf
        while child < end:
            if tree.subtree_min[child] < before:
                square = _square(tree, child, query)
                if square < closest_square:
                    closest, closest_square = child, square
            child = tree.subtree_end[child]
        if closest < 0:
            return node
        node = closest


@jitted
def _near_nodes(tree: NumbaTree, queries: Any) -> Any:
    nodes = np.empty(queries.shape[0], np.int64)
    for query in range(queries.shape[0]):
        nodes[query] = _near_node(tree, queries[query], NO_LIMIT)
    return nodes


@jitted
def _bound(tree: NumbaTree, query: Any, k: int, before: int, excluded: int, squares: Any, indices: Any) -> float:
    """A score within which k points lie: neighbours in depth-first order are near each other."""
    node = _near_node(tree, query, before)
    count = 0
    for other in range(max(0, node - _WINDOW * k), min(tree.labels.shape[0], node + _WINDOW * k)):
        index = tree.labels[other]
        if index < before and index != excluded:
            score = _score(tree, other, query, _square(tree, other, query))
            count = insert(squares, indices, count, k, score, index)
    return squares[0] if count == k else np.inf


@jitted
def nearest(
    tree: NumbaTree, query: Any, k: int, before: int, excluded: int, limit: float, squares: Any, indices: Any
) -> int:
    """Find the ``k`` nearest points of one query. Callable from jitted code.

    Parameters
    ----------
    tree : NumbaTree
    query : array, shape (dim,)
        Finite, in the tree's dtype or float64.
    k : int
        At least 1.
    before : int
        Only dataset indices below this count; ``NO_LIMIT`` for all.
    excluded : int
        A dataset index that does not count, or ``NO_EXCLUSION``.
    limit : float
        A squared distance beyond which nothing is wanted, or infinity.
    squares : array of float64, shape (k,)
        Receives the squared distances, ascending.
    indices : array of int64, shape (k,)
        Receives the dataset indices; of equal distances the lower one comes first.

    Returns
    -------
    int
        How many were found, k at most.

    Notes
    -----
    O(k) memory, the caller's. It takes the time of a depth-first walk that omits balls beyond the k-th neighbour.
    """
    count = _nearest(tree, query, k, before, excluded, score_of_square(limit), squares, indices)
    for rank in range(count):
        squares[rank] = square_of_score(squares[rank])
    return count


@jitted
def _nearest(
    tree: NumbaTree, query: Any, k: int, before: int, excluded: int, limit: float, squares: Any, indices: Any
) -> int:
    """The same by scores."""
    worst = min(limit, _bound(tree, query, k, before, excluded, squares, indices))
    count = 0
    node = 0
    n = tree.labels.shape[0]
    while node < n:
        if tree.subtree_min[node] >= before:
            node = tree.subtree_end[node]
            continue
        square = _square(tree, node, query)
        index = tree.labels[node]
        if square <= max(worst, LEAST_SQUARE) and index < before and index != excluded:
            score = _score(tree, node, query, square)
            if score <= worst:
                count = insert(squares, indices, count, k, score, index)
                if count == k:
                    worst = min(worst, squares[0])
        node = tree.subtree_end[node] if _out_of_reach(tree, node, square, worst) else node + 1
    sort_heap(squares, indices, count)
    return count


@jitted
def within(tree: NumbaTree, query: Any, limit: float, before: int, excluded: int, squares: Any, indices: Any) -> int:
    """Find all points within a squared distance (inclusive) of one query. Callable from jitted code.

    Parameters
    ----------
    tree, query, before, excluded
        As in :func:`nearest`.
    limit : float
        The squared radius.
    squares, indices : arrays of float64 and int64, shape (capacity,)
        Receive the first results, unsorted; the capacity may be 0.

    Returns
    -------
    int
        How many there are, whatever the capacity.
    """
    count = _within(tree, query, score_of_square(limit), before, excluded, squares, indices)
    for slot in range(min(count, squares.shape[0])):
        squares[slot] = square_of_score(squares[slot])
    return count


@jitted
def _within(tree: NumbaTree, query: Any, limit: float, before: int, excluded: int, squares: Any, indices: Any) -> int:
    """The same by scores."""
    count = 0
    node = 0
    n = tree.labels.shape[0]
    capacity = squares.shape[0]
    while node < n:
        if tree.subtree_min[node] >= before:
            node = tree.subtree_end[node]
            continue
        square = _square(tree, node, query)
        index = tree.labels[node]
        if square <= max(limit, LEAST_SQUARE) and index < before and index != excluded:
            score = _score(tree, node, query, square)
            if score <= limit:
                if count < capacity:
                    squares[count], indices[count] = score, index
                count += 1
        node = tree.subtree_end[node] if _out_of_reach(tree, node, square, limit) else node + 1
    return count


@jitted
def _knn_rows(
    tree: NumbaTree, queries: Any, rows: Any, before: Any, excluded: Any, limit: float, indices: Any, distances: Any
) -> None:
    k = indices.shape[1]
    squares, found = np.empty(k), np.empty(k, np.int64)
    count = 0
    for query in range(queries.shape[0]):
        row = rows[query]
        reach = np.inf
        # No query has its k nearest farther away than the farthest of the last one's, if those count for it, too.
        if count == k and excluded[query] == NO_EXCLUSION and before[query] >= before[query - 1]:
            distance = distance_of_score(squares[k - 1]) + np.sqrt(squared_distance(queries[query], queries[query - 1]))
            reach = max(distance * distance * (1 + 1e-12), LEAST_SQUARE)
        count = _nearest(tree, queries[query], k, before[query], excluded[query], min(limit, reach), squares, found)
        for rank in range(count):
            indices[row, rank] = found[rank]
            distances[row, rank] = distance_of_score(squares[rank])
        indices[row, count:] = -1
        distances[row, count:] = np.inf


@jitted
def _count_rows(
    tree: NumbaTree, queries: Any, rows: Any, before: Any, excluded: Any, limit: float, counts: Any
) -> None:
    nowhere, nothing = np.empty(0), np.empty(0, np.int64)
    for query in range(queries.shape[0]):
        counts[rows[query]] = _within(tree, queries[query], limit, before[query], excluded[query], nowhere, nothing)


@jitted
def _radius_rows(
    tree: NumbaTree, queries: Any, rows: Any, before: Any, excluded: Any, limit: float, offsets: Any, indices: Any,
    distances: Any,
) -> None:  # fmt: skip
    for query in range(queries.shape[0]):
        begin, end = offsets[rows[query]], offsets[rows[query] + 1]
        squares, found = np.empty(end - begin), indices[begin:end]
        _within(tree, queries[query], limit, before[query], excluded[query], squares, found)
        # Inserted one after the other, they are a heap of all of them.
        count = 0
        for _ in range(end - begin):
            count = insert(squares, found, count, end - begin, squares[count], found[count])
        sort_heap(squares, found, count)
        for rank in range(count):
            distances[begin + rank] = distance_of_score(squares[rank])


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
    array = None if queries is None else _arrays.own_queries(queries, lambda: tree.points.shape[1])
    own = None
    if array is None or _arrays.are_indices(array):
        nodes, rows, own = _nodes(tree, array)
        points = tree.points if len(nodes) == len(tree.points) and array is None else tree.points[nodes]
    else:
        not_for_new_points(predecessor_mode, exclude_self, "only points of the tree have a dataset index")
        points = _new_points(tree, array)
        rows = np.argsort(_near_nodes(tree, read_only(points)), kind="stable")
        points = points[rows]
    upper = upper_indices(before, len(rows), predecessor_mode)
    return _Queries(read_only(points), rows, *limits(rows, upper, own, predecessor_mode, exclude_self))


def _new_points(tree: NumbaTree, given: NDArray[Any]) -> NDArray[Any]:
    points = _arrays.queries(given, "queries", tree.points.dtype)
    if points.shape[1] != tree.points.shape[1]:
        raise ValueError(f"queries: expected {tree.points.shape[1]} columns, got {points.shape[1]}")
    unusable = ~np.isfinite(points)
    if unusable.any():
        row, column = np.argwhere(unusable)[0]
        raise ValueError(f"queries[{row}, {column}]: expected finite coordinates, got {points[row, column]}")
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
    return largest_score(_arguments.number(value, name, minimum=0), tree.points.dtype)


def euclidean_knn(
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
    run(_knn_rows, tree, asked, (limit, indices, distances), n_threads, progress)
    return (indices, distances) if return_distances else indices


def euclidean_radius(
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
    run(_count_rows, tree, asked, (limit, counts), n_threads, progress if count_only else None)
    if count_only:
        return counts
    offsets = np.concatenate([[0], np.cumsum(counts)])
    indices, distances = np.empty(offsets[-1], np.int64), np.empty(offsets[-1], tree.points.dtype)
    run(_radius_rows, tree, asked, (limit, offsets, indices, distances), n_threads, progress)
    return Neighbors(offsets, indices, distances if return_distances else None)
