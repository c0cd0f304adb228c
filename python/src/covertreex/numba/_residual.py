"""Kernels that search in the residual process: by the skeletons of blocks, or by features alone.

With skeletons, blocks come in descending order of what their bounds promise. A query's coordinates in the basis of its
own block, times the product of two bases, times the coordinates of another block's points, estimate rho; an estimate
and its error bound |rho| from both sides. The k-th largest lower bound is a threshold that upper bounds have to reach,
and the few points that do are decided at the end, by the library's formula: bit for bit, with its order of summation.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import ArrayLike, NDArray

from .. import _arrays, _calls
from .._residual_arrays import ModelView
from ..residual import ResidualTree
from ._common import EVERYBODY, NOBODY, fused_multiply_add, offer, read_only, run, sort_heap
from ._vectors import combine_panel, inner_product

# Residual variances below this much of the variance make a pair count as 0, as in the library.
_FLOOR = 1e-9
# What float32 may lose of a projection, which is at most 1 long.
_ROUNDING = np.float32(1 + 2**-10)
# Points in a panel of coefficients.
_PANEL = 32
# Queries that are compared with a block's features while these are in the cache.
_GROUP = 32


class ResidualWalkable(NamedTuple):
    """The arrays of a residual tree that the kernels read, by place: those of :class:`covertreex.ResidualArrays`."""

    block_order: NDArray[np.int32]
    block_places: NDArray[np.int32]
    coordinates: NDArray[np.float64]
    v_matrix: NDArray[np.float64]
    residual_variance: NDArray[np.float64]
    scales: NDArray[np.float32]
    pivot_offsets: NDArray[np.int64]
    coefficient_offsets: NDArray[np.int64]
    coefficients: NDArray[np.float32]
    remaining_norms: NDArray[np.float32]
    bounds: NDArray[np.uint8]
    product_offsets: NDArray[np.int64]
    products: NDArray[np.float32]
    block_size: int
    blocks_per_region: int
    kernel: int
    kernel_variance: float
    variance: float


def show_model(model: ModelView) -> ResidualWalkable:
    """Show a model to the kernels."""
    arrays = model.arrays
    if arrays["kernel"] < 0:
        raise ValueError("kernel: expected one of covertreex.kernels; kernels for Numba cannot call back into Python")
    return ResidualWalkable(**{name: arrays[name] for name in ResidualWalkable._fields})


# The distance


@intrinsic
def _times_power_of_two(_typing: Any, number: Any, shifted: Any) -> Any:
    """``number * 2**n``, where ``shifted`` is n + 1.5 * 2**52."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        integer = ir.IntType(64)
        bits, power = (builder.bitcast(argument, integer) for argument in arguments)
        sum_ = builder.add(bits, builder.shl(power, integer(52)))
        return builder.bitcast(sum_, ir.DoubleType())

    return types.float64(types.float64, types.float64), generate


@njit(cache=True, nogil=True)
def _exponential(x: float) -> float:
    """The exponential of a number up to 0, step by step that of the library."""
    if not x > -708.0:
        return 0.0
    shifted = fused_multiply_add(x, 1.4426950408889634, 6755399441055744.0)
    n = shifted - 6755399441055744.0
    # ln 2 in two parts, the first with so few digits that its product with n is exact.
    r = fused_multiply_add(n, -1.9082149292705877e-10, fused_multiply_add(n, -0.6931471803691238, x))
    total = fused_multiply_add(1 / 6227020800, r, 1 / 479001600)
    for factorial in (39916800, 3628800, 362880, 40320, 5040, 720, 120, 24, 6, 2, 1, 1):
        total = fused_multiply_add(total, r, 1 / factorial)
    return _times_power_of_two(total, shifted)


@njit(cache=True, nogil=True, inline="always")
def _covariance(model: ResidualWalkable, squared: float) -> float:
    """The kernel at a squared scaled distance."""
    if model.kernel == 0:
        return model.kernel_variance * _exponential(squared * -0.5)
    if model.kernel == 1:
        return model.kernel_variance * _exponential(-np.sqrt(squared))
    if model.kernel == 2:
        t = np.sqrt(squared * 3)
        return model.kernel_variance * ((t + 1) * _exponential(-t))
    t = np.sqrt(squared * 5)
    polynomial = fused_multiply_add(t, fused_multiply_add(t, 1 / 3, 1.0), 1.0)
    return model.kernel_variance * (polynomial * _exponential(-t))


@njit(cache=True, nogil=True, inline="always")
def residual_distance(
    model: ResidualWalkable, place: int, coordinates: Any, features: Any, row: int, p: float, index: int
) -> float:
    """The distance of a point of the model from another point. Callable from jitted code.

    Parameters
    ----------
    model : ResidualWalkable
    place : int
        Of the point of the model.
    coordinates, features : arrays of float64, shapes (q, dim) and (q, m rounded up to a multiple of 8)
        Of other points: over the lengthscale, and filled up with zeros, as ``model.coordinates`` and
        ``model.v_matrix`` are.
    row : int
        Which of them.
    p : float
        Its residual variance.
    index : int
        Its dataset index, or ``NOBODY``.

    Returns
    -------
    float
        ``sqrt(1 - |rho|)``.
    """
    # No slices: each would be counted in and out, by all threads in one place.
    squared = 0.0
    for d in range(coordinates.shape[1]):
        difference = model.coordinates[place, d] - coordinates[row, d]
        squared = fused_multiply_add(difference, difference, squared)
    product = inner_product(features, row, model.v_matrix, place)
    norm = np.sqrt(p * model.residual_variance[place])
    rho = 0.0 if norm < _FLOOR * model.variance else min(1.0, abs((_covariance(model, squared) - product) / norm))
    return 0.0 if model.block_order[place] == index else np.sqrt(1 - rho)


@njit(cache=True, nogil=True)
def _eligible(model: ResidualWalkable, first: int, end: int, before: int) -> int:
    """The end of those of a block that are before a dataset index: they are its first ones."""
    while first < end:
        middle = (first + end) // 2
        if model.block_order[middle] < before:
            first = middle + 1
        else:
            end = middle
    return first


# By skeletons


class Workspace(NamedTuple):
    """What one search at a time needs; :func:`workspace` makes it."""

    lower: NDArray[np.float32]
    upper: NDArray[np.float32]
    candidates: NDArray[np.int32]
    projection: NDArray[np.float32]
    estimates: NDArray[np.float32]
    sequence: NDArray[np.int32]


@njit(cache=True, nogil=True)
def workspace(model: ResidualWalkable, k: int) -> Workspace:
    """Room for searches by :func:`residual_nearest`. Callable from jitted code."""
    n = model.block_order.shape[0]
    return Workspace(
        np.empty(k, np.float32),
        np.empty(n, np.float32),
        np.empty(n, np.int32),
        np.empty(model.block_size + 8, np.float32),
        np.empty(model.block_size + _PANEL, np.float32),
        np.empty(model.bounds.shape[0], np.int32),
    )


@njit(cache=True, nogil=True)
def _rank(model: ResidualWalkable, block: int) -> int:
    return (model.pivot_offsets[block + 1] - model.pivot_offsets[block] + 7) // 8 * 8


@njit(cache=True, nogil=True)
def _sort_by_promise(bounds: Any, place: int, sequence: Any) -> None:
    """Blocks in descending order of their bounds with a place."""
    starts = np.zeros(257, np.int32)
    for block in range(bounds.shape[0]):
        starts[256 - bounds[block, place]] += 1
    for bucket in range(256):
        starts[bucket + 1] += starts[bucket]
    for block in range(bounds.shape[0]):
        bucket = 255 - bounds[block, place]
        sequence[starts[bucket]] = block
        starts[bucket] += 1


# Sums in float32 may be taken in any order: their rounding errors are allowed for.
@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _project(model: ResidualWalkable, place: int, own: int, block: int, projection: Any) -> None:
    """Coordinates of a point in the basis of a block."""
    rank_own, rank = _rank(model, own), _rank(model, block)
    inside = place - own * model.block_size
    first = model.coefficient_offsets[own] + inside // _PANEL * rank_own * _PANEL + inside % _PANEL
    if own == block:
        for s in range(rank_own):
            projection[s] = model.coefficients[first + s * _PANEL]
        return
    product = model.product_offsets[min(own, block), max(own, block)]
    if own < block:
        for t in range(rank):
            projection[t] = 0
        for s in range(rank_own):
            factor = model.coefficients[first + s * _PANEL]
            row = model.products[product + s * rank : product + (s + 1) * rank]
            for t in range(rank):
                projection[t] += factor * row[t]
        return
    coordinates = np.empty(rank_own, np.float32)
    for s in range(rank_own):
        coordinates[s] = model.coefficients[first + s * _PANEL]
    for t in range(rank):
        row = model.products[product + t * rank_own : product + (t + 1) * rank_own]
        total = np.float32(0)
        for s in range(rank_own):
            total += row[s] * coordinates[s]
        projection[t] = total


@njit(cache=True, nogil=True)
def _estimate(model: ResidualWalkable, block: int, count: int, projection: Any, estimates: Any) -> None:
    """Estimates of rho of the first points of a block."""
    rank = _rank(model, block)
    begin = model.coefficient_offsets[block]
    for panel in range((count + _PANEL - 1) // _PANEL):
        at = panel * _PANEL
        combine_panel(model.coefficients, begin + at * rank, rank, projection, estimates, at)


@njit(cache=True, nogil=True)
def _raise_lower(lower: Any, kept: int, bound: float) -> int:
    """Add a lower bound to the k largest, a heap whose top is the least; returns how many there are then."""
    k = lower.shape[0]
    if kept < k:
        at = kept
        while at > 0 and lower[(at - 1) // 2] > bound:
            lower[at] = lower[(at - 1) // 2]
            at = (at - 1) // 2
        lower[at] = bound
        return kept + 1
    if not bound > lower[0]:
        return k
    at = 0
    while True:
        child = 2 * at + 1
        if child >= k:
            break
        if child + 1 < k and lower[child + 1] < lower[child]:
            child += 1
        if not lower[child] < bound:
            break
        lower[at] = lower[child]
        at = child
    lower[at] = bound
    return k


@njit(cache=True, nogil=True)
def _collect(
    model: ResidualWalkable, place: int, block: int, end: int, excluded: int, work: Workspace, kept: int, count: int
) -> tuple[int, int]:
    """Take the points of a block up to a place whose |rho| can reach the threshold."""
    k = work.lower.shape[0]
    own, first = place // model.block_size, block * model.block_size
    index = model.block_order[place]
    _project(model, place, own, block, work.projection)
    _estimate(model, block, end - first, work.projection, work.estimates)
    rounding = np.float32(2 * _rank(model, block) + 16) * np.float32(2**-24)
    norm = model.remaining_norms[place]
    # In one basis what is left of the two is multiplied.
    fixed = rounding if own == block else rounding + norm * _ROUNDING
    share = norm if own == block else _ROUNDING
    factor = np.float32(2**-43 * model.scales[place])
    for other in range(first, end):
        label = model.block_order[other]
        if label == excluded:
            continue
        error = fixed + share * model.remaining_norms[other] + factor * model.scales[other]
        estimate = abs(work.estimates[other - first])
        upper, lower = estimate + error, estimate - error
        if label == index:
            upper, lower = np.float32(1), np.float32(1)
        if kept == k and upper < work.lower[0]:
            continue
        work.upper[count], work.candidates[count] = upper, other
        count += 1
        kept = _raise_lower(work.lower, kept, lower)
    return kept, count


@njit(cache=True, nogil=True)
def residual_nearest(
    model: ResidualWalkable,
    place: int,
    k: int,
    before: int,
    excluded: int,
    work: Workspace,
    distances: Any,
    indices: Any,
) -> int:
    """Find the ``k`` points of largest residual correlation with a point of the model. Callable from jitted code.

    Parameters
    ----------
    model : ResidualWalkable
        With products of bases: ``model.product_offsets.size > 0``.
    place : int
        Of the point: ``model.block_places[index]``.
    k : int
        At least 1.
    before : int
        Only dataset indices below this count; ``EVERYBODY`` for all.
    excluded : int
        A dataset index that does not count, or ``NOBODY``.
    work : Workspace
        Made by ``workspace(model, k)``.
    distances : array of float64, shape (k,)
        Takes the distances, ascending.
    indices : array of int64, shape (k,)
        Takes the dataset indices; of equal distances the lower one comes first.

    Returns
    -------
    int
        How many were found, k at most.
    """
    n = model.block_order.shape[0]
    own = place // model.block_size
    _sort_by_promise(model.bounds, place, work.sequence)
    kept, count = 0, 0
    for step in range(-1, work.sequence.shape[0]):
        # Its own block comes first: it makes the threshold.
        block = own if step < 0 else work.sequence[step]
        if step >= 0:
            # The margin is more than what rounding does to the product.
            if kept == k and model.bounds[block, place] < work.lower[0] * 255 - 2**-10:
                break
            if block == own:
                continue
        first = block * model.block_size
        end = _eligible(model, first, min(n, first + model.block_size), before)
        if end > first:
            kept, count = _collect(model, place, block, end, excluded, work, kept, count)
    return _decide(model, place, k, kept, count, work, distances, indices)


@njit(cache=True, nogil=True)
def _decide(
    model: ResidualWalkable, place: int, k: int, kept: int, count: int, work: Workspace, distances: Any, indices: Any
) -> int:
    """Distances of the candidates, those of the largest upper bounds first, until the rest cannot come among the k."""
    threshold = work.lower[0] if kept == k else np.float32(0)
    left = 0
    for slot in range(count):
        if not work.upper[slot] < threshold:
            work.upper[left], work.candidates[left] = work.upper[slot], work.candidates[slot]
            left += 1
    index, p = model.block_order[place], model.residual_variance[place]
    found = 0
    for slot in np.argsort(-work.upper[:left]):
        if found == k and work.upper[slot] < 1 - distances[0] * distances[0] - 2**-40:
            break
        other = work.candidates[slot]
        distance = residual_distance(model, other, model.coordinates, model.v_matrix, place, p, index)
        found = offer(distances, indices, found, k, distance, model.block_order[other])
    sort_heap(distances, indices, found)
    return found


@njit(cache=True, nogil=True)
def _skeleton_rows(
    model: ResidualWalkable, rows: Any, places: Any, before: Any, excluded: Any, indices: Any, distances: Any
) -> None:
    k = indices.shape[1]
    work = workspace(model, k)
    for query in range(rows.shape[0]):
        row = rows[query]
        found = residual_nearest(
            model, places[query], k, before[query], excluded[query], work, distances[row], indices[row]
        )
        indices[row, found:] = -1
        distances[row, found:] = np.inf


# By features


@njit(cache=True, nogil=True)
def _promise(model: ResidualWalkable, places: Any) -> Any:
    """Regions in descending order of their bounds with a group, or as they come where there are no bounds."""
    regions = model.bounds.shape[0]
    if regions == 0:
        return np.arange((model.block_order.shape[0] + model.block_size - 1) // model.block_size)
    sums = np.zeros(regions, np.int64)
    for region in range(regions):
        for query in range(places.shape[0]):
            sums[region] -= model.bounds[region, places[query]]
    return np.argsort(sums)


@njit(cache=True, nogil=True)
def _feature_rows(
    model: ResidualWalkable,
    rows: Any,
    places: Any,
    before: Any,
    excluded: Any,
    coordinates: Any,
    features: Any,
    variances: Any,
    indices: Any,
    distances: Any,
) -> None:
    """Places are -1 for new points; then there are no bounds either."""
    n, k = model.block_order.shape[0], indices.shape[1]
    bounded = model.bounds.shape[0] > 0
    region_size = model.block_size * (model.blocks_per_region if bounded else 1)
    for first in range(0, rows.shape[0], _GROUP):
        group = range(first, min(first + _GROUP, rows.shape[0]))
        found = np.zeros(_GROUP, np.int64)
        for region in _promise(model, places[first : first + _GROUP]):
            for query in group:
                row = rows[query]
                if bounded and found[query - first] == k:
                    least = 1 - distances[row, 0] * distances[row, 0]
                    if model.bounds[region, places[query]] < least * 255 - 2**-10:
                        continue
                index = model.block_order[places[query]] if places[query] >= 0 else NOBODY
                for begin in range(region * region_size, min(n, (region + 1) * region_size), model.block_size):
                    for other in range(begin, _eligible(model, begin, min(n, begin + model.block_size), before[query])):
                        label = model.block_order[other]
                        if label == excluded[query]:
                            continue
                        distance = residual_distance(
                            model, other, coordinates, features, query, variances[query], index
                        )
                        found[query - first] = offer(
                            distances[row], indices[row], found[query - first], k, distance, label
                        )
        for query in group:
            row, count = rows[query], found[query - first]
            sort_heap(distances[row], indices[row], count)
            indices[row, count:] = -1
            distances[row, count:] = np.inf


# Many queries


class _Queries(NamedTuple):
    """Queries in the order in which they are run: near ones follow each other."""

    rows: NDArray[np.int64]  #: of the results
    places: NDArray[np.int64]  #: -1 for new points
    before: NDArray[np.int64]
    excluded: NDArray[np.int64]


def _stored(
    model: ResidualWalkable,
    queries: NDArray[Any] | None,
    before: NDArray[np.int64] | None,
    predecessor_mode: bool,
    exclude_self: bool,
) -> _Queries:
    """Points of the model as queries, by place."""
    n = len(model.block_order)
    wanted = np.arange(n) if queries is None else _arrays.indices(queries, "queries")
    for row in np.flatnonzero((wanted < 0) | (wanted >= n))[:1]:
        raise IndexError(f"queries[{row}]: expected a dataset index from 0 to {n - 1}, got {wanted[row]}")
    places = model.block_places[wanted].astype(np.int64)
    rows = np.argsort(places, kind="stable")
    own = wanted[rows]
    upper = own if predecessor_mode else np.full(len(own), EVERYBODY) if before is None else before[rows]
    return _Queries(rows, places[rows], upper, own if exclude_self else np.full(len(own), NOBODY))


def _upper_indices(before: ArrayLike | None, n: int, predecessor_mode: bool) -> NDArray[np.int64] | None:
    if before is None:
        return None
    upper = np.clip(_arrays.indices(before, "before"), 0, EVERYBODY)
    if len(upper) != n:
        raise ValueError(f"before: expected {n} of them, one for each query, got {len(upper)}")
    if predecessor_mode:
        raise ValueError("before: stands against predecessor_mode, which is an upper index of its own")
    return upper


def residual_knn(
    tree: ResidualTree,
    model: ResidualWalkable,
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
    array = None if queries is None else np.asarray(queries)
    n = len(model.block_order) if array is None else len(array)
    upper = _upper_indices(before, n, predecessor_mode)
    indices, distances = np.empty((n, k), np.int64), np.empty((n, k))
    others: tuple[NDArray[Any], ...]
    if array is None or (array.ndim == 1 and array.dtype.kind in "iu"):
        asked = _stored(model, array, upper, predecessor_mode, exclude_self)
        others = (model.coordinates, model.v_matrix, model.residual_variance)
        by_skeletons = model.product_offsets.size > 0
        others = () if by_skeletons else tuple(values[asked.places] for values in others)
    else:
        for flag, name in ((predecessor_mode, "predecessor_mode"), (exclude_self, "exclude_self")):
            if flag:
                raise ValueError(f"{name}: new points have no dataset index; give dataset indices as queries")
        points = _arrays.points(array, "queries", dtype=np.dtype(np.float64))
        others = _new_points(tree, model, points)
        asked = _Queries(
            np.arange(n), np.full(n, -1), np.full(n, EVERYBODY) if upper is None else upper, np.full(n, NOBODY)
        )
        by_skeletons, model = False, model._replace(bounds=model.bounds[:0])
    results = (indices, distances)
    if by_skeletons:
        run(_skeleton_rows, model, asked, results, n_threads, progress)
    else:
        run(_feature_rows, model, (*asked, *map(read_only, others)), results, n_threads, progress)
    return results if return_distances else indices


def _new_points(
    tree: ResidualTree, model: ResidualWalkable, points: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Scaled coordinates, features filled up with zeros, and residual variances."""
    v, p = tree._features(points, "queries")
    features = np.zeros((len(points), model.v_matrix.shape[1]))
    features[:, : v.shape[1]] = v
    return tree._scale(points), features, p
