"""Kernels for Numba that walk a tree's exported arrays in place, callable from your own jitted code.

:func:`walkable` shows a Euclidean tree as the kernels take it. :func:`nearest` and :func:`within` search for one query
each, without an allocation; :func:`knn` and :func:`radius` run them for many, in threads. Answers are the library's:
distances are evaluated as it does, in float64 with fused multiply-adds, and ties go to the lower dataset index.

The walk needs neither a stack nor lists of children. Nodes stand in depth-first order, so the next one is the first
child or, where a ball is too far away, the one behind the subtree. A descent to the nearest child, to its nearest
child, and so on, comes first: `k` points on its way bound what the walk has to look at.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

try:
    from llvmlite import ir
    from numba import njit, types
    from numba.core import cgutils
    from numba.extending import intrinsic
except ImportError as error:
    raise ImportError("covertreex.numba: needs numba; pip install 'covertreex[numba]'") from error

from . import _arrays, _calls, _native
from .tree import CoverTree, Neighbors, TreeArrays

__all__ = ["EVERYBODY", "NOBODY", "Walkable", "knn", "nearest", "radius", "squared_distance", "walkable", "within"]

#: No dataset index is excluded; none is too late.
NOBODY = -1
EVERYBODY = 2**31 - 1

# A subtree of so many points is looked at whole at the end of the descent.
_SMALL = 32


class Walkable(NamedTuple):
    """The arrays of a tree of ``n`` nodes that the kernels read: those of :class:`covertreex.TreeArrays`.

    They are not copied, but for ``labels`` of a tree from which points were removed.
    """

    points: NDArray[Any]  #: (n, dim) float32 or float64, in depth-first order
    labels: NDArray[np.int32]  #: (n,) dataset index of each node; the largest int32 for removed points
    radius: NDArray[Any]  #: (n,) the largest distance to a descendant, rounded up
    subtree_end: NDArray[np.int32]  #: (n,) the subtree of t is t:subtree_end[t]
    subtree_min: NDArray[np.int32]  #: (n,) the smallest dataset index in the subtree


def walkable(tree: CoverTree | TreeArrays) -> Walkable:
    """Show a tree, as it stands, to the kernels.

    Parameters
    ----------
    tree : CoverTree or TreeArrays
        A Euclidean tree, or what its ``export_arrays()`` gave.

    Returns
    -------
    Walkable
        It keeps the memory alive, whatever becomes of the tree.
    """
    arrays = tree if isinstance(tree, TreeArrays) else tree.export_arrays()
    labels = arrays.order
    if arrays.removed is not None:
        labels = np.where(arrays.removed == 0, labels, np.int32(EVERYBODY))
    return Walkable(arrays.points, labels, arrays.radius, arrays.subtree_end, arrays.subtree_min)


@intrinsic
def _fma(_typing: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c`` with one rounding."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        double = ir.DoubleType()
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(double, [double] * 3), "llvm.fma.f64")
        return builder.call(function, arguments)

    return types.float64(types.float64, types.float64, types.float64), generate


@njit(cache=True, nogil=True)
def squared_distance(x: Any, y: Any) -> float:
    """Squared Euclidean distance of two rows in float64, bit for bit that of the library."""
    total = 0.0
    for d in range(x.shape[0]):
        difference = np.float64(x[d]) - np.float64(y[d])
        total = _fma(difference, difference, total)
    return total


@njit(cache=True, nogil=True)
def _comes_before(square: float, index: int, other_square: float, other_index: int) -> bool:
    return square < other_square or (square == other_square and index < other_index)


@njit(cache=True, nogil=True)
def _sift_down(squares: Any, indices: Any, size: int, square: float, index: int) -> None:
    """Put a neighbour in place of the top of a heap, whose top is the farthest."""
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and _comes_before(squares[child], indices[child], squares[child + 1], indices[child + 1]):
            child += 1
        if not _comes_before(square, index, squares[child], indices[child]):
            break
        squares[place], indices[place] = squares[child], indices[child]
        place = child
    squares[place], indices[place] = square, index


@njit(cache=True, nogil=True)
def _offer(squares: Any, indices: Any, count: int, k: int, square: float, index: int) -> int:
    """Add a neighbour to a heap of up to k; returns how many there are then."""
    if count == k:
        if _comes_before(square, index, squares[0], indices[0]):
            _sift_down(squares, indices, k, square, index)
        return count
    place = count
    while place > 0 and _comes_before(squares[(place - 1) // 2], indices[(place - 1) // 2], square, index):
        squares[place], indices[place] = squares[(place - 1) // 2], indices[(place - 1) // 2]
        place = (place - 1) // 2
    squares[place], indices[place] = square, index
    return count + 1


@njit(cache=True, nogil=True)
def _sort_heap(squares: Any, indices: Any, count: int) -> None:
    for size in range(count - 1, 0, -1):
        square, index = squares[0], indices[0]
        _sift_down(squares, indices, size, squares[size], indices[size])
        squares[size], indices[size] = square, index


@njit(cache=True, nogil=True)
def _out_of_reach(tree: Walkable, node: int, square: float, limit: float) -> bool:
    """Whether no point below a node at a squared distance can be within a squared limit."""
    distance = np.sqrt(square)
    radius = np.float64(tree.radius[node])
    # Less what rounding may have added.
    gap = distance - radius - 1e-15 * (distance + radius)
    return gap > 0 and gap * gap > limit


@njit(cache=True, nogil=True)
def _bound(tree: Walkable, query: Any, k: int, before: int, excluded: int, squares: Any, indices: Any) -> float:
    """A squared distance within which k points lie: those on the way down to a node near the query."""
    count = 0
    node = 0
    label = tree.labels[0]
    square = squared_distance(query, tree.points[0])
    if label < before and label != excluded:
        count = _offer(squares, indices, count, k, square, label)
    while tree.subtree_end[node] - node > _SMALL:
        child, end = node + 1, tree.subtree_end[node]
        closest, closest_square = -1, np.inf
        while child < end:
            if tree.subtree_min[child] < before:
                square = squared_distance(query, tree.points[child])
                label = tree.labels[child]
                if label < before and label != excluded:
                    count = _offer(squares, indices, count, k, square, label)
                if square < closest_square:
                    closest, closest_square = child, square
            child = tree.subtree_end[child]
        if closest < 0:
            break
        node = closest
    for below in range(node + 1, min(tree.subtree_end[node], node + _SMALL)):
        label = tree.labels[below]
        if label < before and label != excluded:
            square = squared_distance(query, tree.points[below])
            count = _offer(squares, indices, count, k, square, label)
    return squares[0] if count == k else np.inf


@njit(cache=True, nogil=True)
def nearest(
    tree: Walkable, query: Any, k: int, before: int, excluded: int, limit: float, squares: Any, indices: Any
) -> int:
    """Find the ``k`` nearest points of one query. Callable from jitted code.

    Parameters
    ----------
    tree : Walkable
    query : array, shape (dim,)
        Finite, in the tree's dtype.
    k : int
        At least 1.
    before : int
        Only dataset indices below this count; ``EVERYBODY`` for all.
    excluded : int
        A dataset index that does not count, or ``NOBODY``.
    limit : float
        A squared distance beyond which nothing is wanted, or infinity.
    squares : array of float64, shape (k,)
        Takes the squared distances, ascending.
    indices : array of int64, shape (k,)
        Takes the dataset indices; of equal distances the lower one comes first.

    Returns
    -------
    int
        How many were found, k at most.

    Notes
    -----
    O(k) memory, the caller's. Time is that of a depth-first walk in which balls beyond the k-th neighbour are left out.
    """
    worst = min(limit, _bound(tree, query, k, before, excluded, squares, indices))
    count = 0
    node = 0
    n = tree.labels.shape[0]
    while node < n:
        if tree.subtree_min[node] >= before:
            node = tree.subtree_end[node]
            continue
        square = squared_distance(query, tree.points[node])
        label = tree.labels[node]
        if square <= worst and label < before and label != excluded:
            count = _offer(squares, indices, count, k, square, label)
            if count == k:
                worst = min(worst, squares[0])
        node = tree.subtree_end[node] if _out_of_reach(tree, node, square, worst) else node + 1
    _sort_heap(squares, indices, count)
    return count


@njit(cache=True, nogil=True)
def within(tree: Walkable, query: Any, limit: float, before: int, excluded: int, squares: Any, indices: Any) -> int:
    """Find all points within a squared distance (inclusive) of one query. Callable from jitted code.

    Parameters
    ----------
    tree, query, before, excluded
        As in :func:`nearest`.
    limit : float
        The squared radius.
    squares, indices : arrays of float64 and int64, shape (room,)
        Take what is found, unsorted, as far as there is room; it may be none.

    Returns
    -------
    int
        How many there are, whatever the room.
    """
    count = 0
    node = 0
    n = tree.labels.shape[0]
    room = squares.shape[0]
    while node < n:
        if tree.subtree_min[node] >= before:
            node = tree.subtree_end[node]
            continue
        square = squared_distance(query, tree.points[node])
        label = tree.labels[node]
        if square <= limit and label < before and label != excluded:
            if count < room:
                squares[count], indices[count] = square, label
            count += 1
        node = tree.subtree_end[node] if _out_of_reach(tree, node, square, limit) else node + 1
    return count


@njit(cache=True, nogil=True)
def _knn_rows(
    tree: Walkable,
    queries: Any,
    rows: Any,
    before: Any,
    excluded: Any,
    limit: float,
    indices: Any,
    distances: Any,
) -> None:
    k = indices.shape[1]
    squares, found = np.empty(k), np.empty(k, np.int64)
    for query in range(queries.shape[0]):
        row = rows[query]
        count = nearest(tree, queries[query], k, before[query], excluded[query], limit, squares, found)
        for rank in range(count):
            indices[row, rank] = found[rank]
            distances[row, rank] = np.sqrt(squares[rank])
        indices[row, count:] = -1
        distances[row, count:] = np.inf


@njit(cache=True, nogil=True)
def _count_rows(tree: Walkable, queries: Any, rows: Any, before: Any, excluded: Any, limit: float, counts: Any) -> None:
    nowhere, nothing = np.empty(0), np.empty(0, np.int64)
    for query in range(queries.shape[0]):
        counts[rows[query]] = within(tree, queries[query], limit, before[query], excluded[query], nowhere, nothing)


@njit(cache=True, nogil=True)
def _radius_rows(
    tree: Walkable,
    queries: Any,
    rows: Any,
    before: Any,
    excluded: Any,
    limit: float,
    offsets: Any,
    indices: Any,
    distances: Any,
) -> None:
    for query in range(queries.shape[0]):
        begin, end = offsets[rows[query]], offsets[rows[query] + 1]
        squares, found = np.empty(end - begin), indices[begin:end]
        within(tree, queries[query], limit, before[query], excluded[query], squares, found)
        # Offered one after the other, they are a heap of all of them.
        count = 0
        for _ in range(end - begin):
            count = _offer(squares, found, count, end - begin, squares[count], found[count])
        _sort_heap(squares, found, count)
        for rank in range(count):
            distances[begin + rank] = np.sqrt(squares[rank])


def _read_only(points: NDArray[Any]) -> NDArray[Any]:
    """Rows as the kernels are compiled for: a tree's own are read-only, and one compilation serves all."""
    rows = np.ascontiguousarray(points).view()
    rows.flags.writeable = False
    return rows


class _Queries(NamedTuple):
    """Queries in the order in which they are run, with the row of the result and the points that count for each."""

    points: NDArray[Any]
    rows: NDArray[np.int64]
    before: NDArray[np.int64]
    excluded: NDArray[np.int64]


def _queries(tree: Walkable, queries: ArrayLike | None, predecessor_mode: bool, exclude_self: bool) -> _Queries:
    array = None if queries is None else np.asarray(queries)
    if array is None or (array.ndim == 1 and array.dtype.kind in "iu"):
        nodes, rows, own = _nodes(tree, array)
        points = tree.points if len(nodes) == len(tree.points) and array is None else tree.points[nodes]
        before = own if predecessor_mode else np.full(len(own), EVERYBODY, np.int64)
        excluded = own if exclude_self else np.full(len(own), NOBODY, np.int64)
        return _Queries(_read_only(points), rows, before, excluded)
    for flag, name in ((predecessor_mode, "predecessor_mode"), (exclude_self, "exclude_self")):
        if flag:
            raise ValueError(f"{name}: only points of the tree have a dataset index; give dataset indices as queries")
    points = _arrays.points(array, "queries", dtype=tree.points.dtype)
    if points.shape[1] != tree.points.shape[1]:
        raise ValueError(f"queries: expected {tree.points.shape[1]} columns, got {points.shape[1]}")
    unusable = ~np.isfinite(points)
    if unusable.any():
        row, column = np.argwhere(unusable)[0]
        raise ValueError(f"queries[{row}, {column}]: expected finite coordinates, got {points[row, column]}")
    n = len(points)
    return _Queries(_read_only(points), np.arange(n), np.full(n, EVERYBODY, np.int64), np.full(n, NOBODY, np.int64))


def _nodes(tree: Walkable, indices: NDArray[Any] | None) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
    """Nodes of stored points in depth-first order, the rows of their results, and their dataset indices."""
    there = np.flatnonzero(tree.labels != EVERYBODY)
    labels = tree.labels[there].astype(np.int64)
    if indices is None:
        rows = np.empty(len(labels), np.int64)
        rows[np.argsort(labels, kind="stable")] = np.arange(len(labels))
        return there, rows, labels
    wanted = _arrays.indices(indices, "queries")
    node_of = np.full(int(labels.max(initial=-1)) + 1, -1, np.int64)
    node_of[labels] = there
    for row in np.flatnonzero((wanted < 0) | (wanted >= len(node_of)))[:1]:
        raise IndexError(f"queries[{row}]: the tree has no point {wanted[row]}")
    nodes = node_of[wanted]
    for row in np.flatnonzero(nodes < 0)[:1]:
        raise IndexError(f"queries[{row}]: the tree has no point {wanted[row]}")
    rows = np.argsort(nodes, kind="stable")
    return nodes[rows], rows, wanted[rows]


# Queries that a thread takes at a time.
_CHUNK = 512


def _run(
    kernel: Any,
    tree: Walkable,
    queries: _Queries,
    rest: tuple[Any, ...],
    n_threads: int | None,
    progress: _calls.ProgressReport | None,
) -> None:
    """Run a kernel over chunks of the queries, in threads; an interrupt waits for the chunks that have begun."""
    n = len(queries.rows)
    chunks = [slice(first, first + _CHUNK) for first in range(0, n, _CHUNK)]

    def work(chunk: slice) -> None:
        kernel(tree, *(array[chunk] for array in queries), *rest)

    pool = ThreadPoolExecutor(_calls.threads(n_threads) or _native.get_num_threads())
    try:
        for done, _ in enumerate(pool.map(work, chunks)):
            if progress is not None:
                progress((done + 1) / len(chunks))
    finally:
        pool.shutdown(cancel_futures=True)


def _square_of_distance(value: Any, name: str) -> float:
    distance = _calls.number(value, name)
    if not distance >= 0:
        raise ValueError(f"{name}: expected a number from 0 up, got {distance}")
    return distance * distance


def knn(
    tree: CoverTree | Walkable,
    k: int,
    *,
    queries: ArrayLike | None = None,
    return_distances: bool = False,
    predecessor_mode: bool = False,
    exclude_self: bool = False,
    max_distance: float | None = None,
    n_threads: int | None = None,
    progress: _calls.ProgressReport | None = None,
) -> Any:
    """Find the ``k`` nearest points of each query: :meth:`covertreex.CoverTree.knn` by :func:`nearest`.

    Parameters and results are the same; kernels are compiled at the first call and kept on disk.
    """
    k = _arrays.integer(k, "k", minimum=1)
    shown = tree if isinstance(tree, Walkable) else walkable(tree)
    asked = _queries(shown, queries, predecessor_mode, exclude_self)
    limit = np.inf if max_distance is None else _square_of_distance(max_distance, "max_distance")
    n = len(asked.rows)
    indices, distances = np.empty((n, k), np.int64), np.empty((n, k), shown.points.dtype)
    _run(_knn_rows, shown, asked, (limit, indices, distances), n_threads, progress)
    return (indices, distances) if return_distances else indices


def radius(
    tree: CoverTree | Walkable,
    r: float,
    *,
    queries: ArrayLike | None = None,
    return_distances: bool = False,
    predecessor_mode: bool = False,
    exclude_self: bool = False,
    count_only: bool = False,
    n_threads: int | None = None,
    progress: _calls.ProgressReport | None = None,
) -> Any:
    """Find all points within a radius of each query: :meth:`covertreex.CoverTree.radius` by :func:`within`."""
    limit = _square_of_distance(r, "r")
    shown = tree if isinstance(tree, Walkable) else walkable(tree)
    asked = _queries(shown, queries, predecessor_mode, exclude_self)
    counts = np.empty(len(asked.rows), np.int64)
    _run(_count_rows, shown, asked, (limit, counts), n_threads, progress if count_only else None)
    if count_only:
        return counts
    offsets = np.concatenate([[0], np.cumsum(counts)])
    indices, distances = np.empty(offsets[-1], np.int64), np.empty(offsets[-1], shown.points.dtype)
    _run(_radius_rows, shown, asked, (limit, offsets, indices, distances), n_threads, progress)
    return Neighbors(offsets, indices, distances if return_distances else None)
