"""Kernels that walk a tree.

The walk needs neither a stack nor lists of children. Nodes are in depth-first order, so the next one is the first
child or, where a ball is too far away, the one behind the subtree. A descent to the nearest child, to its nearest
child, and so on, comes first: the nodes around its end bound the walk.

The metric of the tree is the first argument of all arithmetic (``spaces.py``), for which a walk is compiled.
Numbers that are arguments of other functions are int64 from the start: these would be compiled again for others.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._arrays import read_only
from .._exports.tree_arrays import TreeArrays
from .common import NO_EXCLUSION, NO_LIMIT, insert, internal, jitted, sort_heap
from .rows import row_of
from .spaces import (
    NumbaMetric,
    distance_of,
    errors_of,
    is_beyond,
    most_sum,
    reach_of,
    score_of_limit,
    score_to,
    show_metric,
    shown,
    sum_to,
)

# Before and behind a node near the query, this many times k nodes bound the distance of its k-th neighbour.
_WINDOW = 2


class NumbaTree(NamedTuple):
    """The arrays of :class:`covertreex.TreeArrays` that the kernels read, of ``n`` nodes, and the metric.

    They are not copied, but for ``labels`` of a tree from which points were removed, and ``points`` of great-circle,
    cosine, angular and Mahalanobis trees.
    """

    points: NDArray[Any]  #: (n, columns) float32 or float64, in depth-first order: coordinates, or rows of the metric
    labels: NDArray[np.int32]  #: (n,) dataset index of each node; the largest int32 for removed points
    radius: NDArray[Any]  #: (n,) the largest distance to a descendant, rounded up
    subtree_end: NDArray[np.int32]  #: (n,) the subtree of t is t:subtree_end[t]
    subtree_min: NDArray[np.int32]  #: (n,) the smallest dataset index in the subtree
    metric: NumbaMetric | None  #: None for plain Euclidean distance
    parameters: NDArray[np.float64]  #: (rows, dim) of the metric


def show_tree(arrays: TreeArrays) -> NumbaTree:
    """Show exported arrays to the kernels."""
    if arrays._shown is None:
        arrays._shown = _show(arrays)
    return arrays._shown


def _show(arrays: TreeArrays) -> NumbaTree:
    metric, parameters = show_metric(arrays.metric, arrays.points)
    indices, points = arrays.order, arrays.points
    if arrays.removed is not None:
        indices = read_only(np.where(arrays.removed == 0, indices, np.int32(NO_LIMIT)))
    if arrays.metric is not None and not arrays.metric.is_norm:
        points = read_only(np.concatenate([arrays.arrangement, points], axis=1))
    return NumbaTree(points, indices, arrays.radius, arrays.subtree_end, arrays.subtree_min, metric, parameters)


@internal
def _near_node(tree: NumbaTree, query: Any, before: int) -> int:
    """A node near the query: down to the nearest child, to its nearest child, and so on."""
    metric, parameters, points = tree.metric, tree.parameters, tree.points
    node = np.int64(0)
    while True:
        child, end = node + 1, tree.subtree_end[node]
        closest, closest_total = -1, np.inf
        while child < end:
            if tree.subtree_min[child] < before:
                total = sum_to(metric, parameters, points, child, query)
                if total < closest_total:
                    closest, closest_total = child, total
            child = tree.subtree_end[child]
        if closest < 0:
            return node
        node = closest


@jitted
def near_nodes(tree: NumbaTree, queries: Any) -> Any:
    nodes = np.empty(queries.shape[0], np.int64)
    for query in range(queries.shape[0]):
        nodes[query] = _near_node(tree, queries[query], NO_LIMIT)
    return nodes


@internal
def _bound(tree: NumbaTree, query: Any, k: int, before: int, excluded: int, squares: Any, indices: Any) -> float:
    """A score within which k points lie: neighbours in depth-first order are near each other."""
    metric, parameters, points = tree.metric, tree.parameters, tree.points
    node = _near_node(tree, query, before)
    count = np.int64(0)
    for other in range(max(0, node - _WINDOW * k), min(tree.labels.shape[0], node + _WINDOW * k)):
        index = np.int64(tree.labels[other])
        if index < before and index != excluded:
            total = sum_to(metric, parameters, points, other, query)
            score = score_to(metric, parameters, points, other, query, total)
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
        A squared distance beyond which nothing is wanted, or infinity. In other metrics than plain Euclidean distance,
        a distance.
    squares : array of float64, shape (k,)
        Receives the squared distances, ascending. In other metrics, distances.
    indices : array of int64, shape (k,)
        Receives the dataset indices; of equal distances the lower one comes first.

    Returns
    -------
    int
        How many were found, k at most.

    Notes
    -----
    O(k) memory, the caller's, and in other metrics a row for the query. It takes the time of a depth-first walk that
    omits balls beyond the k-th neighbour.
    """
    score, row = score_of_limit(tree.metric, limit), row_of(tree.metric, tree.parameters, query)
    count = _nearest(tree, row, k, before, excluded, score, squares, indices)
    for rank in range(count):
        squares[rank] = shown(tree.metric, squares[rank])
    return count


@internal
def _nearest(
    tree: NumbaTree, query: Any, k: int, before: int, excluded: int, limit: float, squares: Any, indices: Any
) -> int:
    """The same by scores, of a row."""
    metric, parameters, points = tree.metric, tree.parameters, tree.points
    errors = errors_of(metric, parameters, query)
    worst = min(limit, _bound(tree, query, k, before, excluded, squares, indices))
    count = np.int64(0)
    node = np.int64(0)
    n = tree.labels.shape[0]
    while node < n:
        if tree.subtree_min[node] >= before:
            node = tree.subtree_end[node]
            continue
        total = sum_to(metric, parameters, points, node, query)
        index = np.int64(tree.labels[node])
        if total <= most_sum(metric, worst, errors) and index < before and index != excluded:
            score = score_to(metric, parameters, points, node, query, total)
            if score <= worst:
                count = insert(squares, indices, count, k, score, index)
                if count == k:
                    worst = min(worst, squares[0])
        beyond = is_beyond(metric, total, np.float64(tree.radius[node]), worst, errors)
        node = tree.subtree_end[node] if beyond else node + 1
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
        The squared radius; in other metrics than plain Euclidean distance, the radius.
    squares, indices : arrays of float64 and int64, shape (capacity,)
        Receive the first results, unsorted; the capacity may be 0.

    Returns
    -------
    int
        How many there are, whatever the capacity.
    """
    score, row = score_of_limit(tree.metric, limit), row_of(tree.metric, tree.parameters, query)
    count = _within(tree, row, score, before, excluded, squares, indices)
    for slot in range(min(count, squares.shape[0])):
        squares[slot] = shown(tree.metric, squares[slot])
    return count


@internal
def _within(tree: NumbaTree, query: Any, limit: float, before: int, excluded: int, squares: Any, indices: Any) -> int:
    """The same by scores, of a row."""
    metric, parameters, points = tree.metric, tree.parameters, tree.points
    errors = errors_of(metric, parameters, query)
    count = np.int64(0)
    node = np.int64(0)
    n = tree.labels.shape[0]
    capacity = squares.shape[0]
    while node < n:
        if tree.subtree_min[node] >= before:
            node = tree.subtree_end[node]
            continue
        total = sum_to(metric, parameters, points, node, query)
        index = np.int64(tree.labels[node])
        if total <= most_sum(metric, limit, errors) and index < before and index != excluded:
            score = score_to(metric, parameters, points, node, query, total)
            if score <= limit:
                if count < capacity:
                    squares[count], indices[count] = score, index
                count += 1
        beyond = is_beyond(metric, total, np.float64(tree.radius[node]), limit, errors)
        node = tree.subtree_end[node] if beyond else node + 1
    return count


@jitted
def knn_rows(
    tree: NumbaTree, queries: Any, rows: Any, before: Any, excluded: Any, limit: float, indices: Any, distances: Any
) -> None:
    k = indices.shape[1]
    squares, found = np.empty(k), np.empty(k, np.int64)
    metric, parameters = tree.metric, tree.parameters
    count = np.int64(0)
    for query in range(queries.shape[0]):
        row = rows[query]
        reach = np.inf
        # No query has its k nearest farther away than the farthest of the last one's, if those count for it, too.
        if count == k and excluded[query] == NO_EXCLUSION and before[query] >= before[query - 1]:
            apart = sum_to(metric, parameters, queries, query - 1, queries[query])
            reach = reach_of(metric, squares[k - 1], apart, errors_of(metric, parameters, queries[query]))
        count = _nearest(tree, queries[query], k, before[query], excluded[query], min(limit, reach), squares, found)
        for rank in range(count):
            indices[row, rank] = found[rank]
            distances[row, rank] = distance_of(tree.metric, squares[rank])
        indices[row, count:] = -1
        distances[row, count:] = np.inf


@jitted
def count_rows(tree: NumbaTree, queries: Any, rows: Any, before: Any, excluded: Any, limit: float, counts: Any) -> None:
    nowhere, nothing = np.empty(0), np.empty(0, np.int64)
    for query in range(queries.shape[0]):
        counts[rows[query]] = _within(tree, queries[query], limit, before[query], excluded[query], nowhere, nothing)


@jitted
def radius_rows(
    tree: NumbaTree, queries: Any, rows: Any, before: Any, excluded: Any, limit: float, offsets: Any, indices: Any,
    distances: Any,
) -> None:  # fmt: skip
    for query in range(queries.shape[0]):
        begin, end = offsets[rows[query]], offsets[rows[query] + 1]
        squares, found = np.empty(end - begin), indices[begin:end]
        _within(tree, queries[query], limit, before[query], excluded[query], squares, found)
        # Inserted one after the other, they are a heap of all of them.
        count = np.int64(0)
        for _ in range(end - begin):
            count = insert(squares, found, count, end - begin, squares[count], found[count])
        sort_heap(squares, found, count)
        for rank in range(count):
            distances[begin + rank] = distance_of(tree.metric, squares[rank])
