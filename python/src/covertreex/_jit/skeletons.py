"""Search in the residual process by the skeletons of blocks.

Blocks come in descending order of their bounds. A query's coordinates in the basis of its own block, times
the product of two bases, times the coordinates of another block's points, estimate rho; an estimate and its error bound
|rho| from both sides. The k-th largest lower bound is a threshold that upper bounds have to reach, and the few points
that do are decided at the end, by the library's formula: bit for bit, with its order of summation.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .common import insert, jitted, sort_heap
from .residual import NumbaResidualTree, eligible, residual_distance
from .vectors import combine_panel

# An upper bound of the length of a projection in float32: 1, and rounding.
_ROUNDING = np.float32(1 + 2**-10)
# Points in a panel of coefficients.
_PANEL = 32


class Workspace(NamedTuple):
    """Memory of one search at a time; :func:`workspace` makes it."""

    lower: NDArray[np.float32]
    upper: NDArray[np.float32]
    candidates: NDArray[np.int32]
    projection: NDArray[np.float32]
    estimates: NDArray[np.float32]
    sequence: NDArray[np.int32]


@jitted
def workspace(model: NumbaResidualTree, k: int) -> Workspace:
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


@jitted
def _rank(model: NumbaResidualTree, block: int) -> int:
    """Coefficients of a point of a block."""
    points = min(model.block_size, model.block_order.shape[0] - block * model.block_size)
    elements = model.coefficient_offsets[block + 1] - model.coefficient_offsets[block]
    return elements // ((points + _PANEL - 1) // _PANEL * _PANEL)


@jitted
def _sort_by_promise(bounds: Any, position: int, sequence: Any) -> None:
    """Blocks in descending order of their bounds with a point."""
    starts = np.zeros(257, np.int32)
    for block in range(bounds.shape[0]):
        starts[256 - bounds[block, position]] += 1
    for bucket in range(256):
        starts[bucket + 1] += starts[bucket]
    for block in range(bounds.shape[0]):
        bucket = 255 - bounds[block, position]
        sequence[starts[bucket]] = block
        starts[bucket] += 1


# Sums in float32 may be added in any order: their rounding errors are allowed for.
@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _project(model: NumbaResidualTree, position: int, own: int, block: int, projection: Any) -> None:
    """Coordinates of a point in the basis of a block."""
    rank_own, rank = _rank(model, own), _rank(model, block)
    inside = position - own * model.block_size
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


@jitted
def _estimate(model: NumbaResidualTree, block: int, count: int, projection: Any, estimates: Any) -> None:
    """Estimates of rho of the first points of a block."""
    rank = _rank(model, block)
    begin = model.coefficient_offsets[block]
    for panel in range((count + _PANEL - 1) // _PANEL):
        at = panel * _PANEL
        combine_panel(model.coefficients, begin + at * rank, rank, projection, estimates, at)


@jitted
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


@jitted
def _collect(
    model: NumbaResidualTree, position: int, block: int, end: int, excluded: int, work: Workspace, kept: int, count: int
) -> tuple[int, int]:
    """Collect the points of a block before ``end`` whose |rho| can reach the threshold."""
    k = work.lower.shape[0]
    own, first = position // model.block_size, block * model.block_size
    index = model.block_order[position]
    _project(model, position, own, block, work.projection)
    _estimate(model, block, end - first, work.projection, work.estimates)
    rounding = np.float32(2 * _rank(model, block) + 16) * np.float32(2**-24)
    norm = model.remaining_norms[position]
    # In one basis the remaining norms of the two are multiplied.
    fixed = rounding if own == block else rounding + norm * _ROUNDING
    share = norm if own == block else _ROUNDING
    factor = np.float32(2**-43 * model.scales[position])
    for other in range(first, end):
        other_index = model.block_order[other]
        if other_index == excluded:
            continue
        error = fixed + share * model.remaining_norms[other] + factor * model.scales[other]
        estimate = abs(work.estimates[other - first])
        upper, lower = estimate + error, estimate - error
        if other_index == index:
            upper, lower = np.float32(1), np.float32(1)
        if kept == k and upper < work.lower[0]:
            continue
        work.upper[count], work.candidates[count] = upper, other
        count += 1
        kept = _raise_lower(work.lower, kept, lower)
    return kept, count


@jitted
def residual_nearest(
    model: NumbaResidualTree, place: int, k: int, before: int, excluded: int, work: Workspace, distances: Any,
    indices: Any,
) -> int:  # fmt: skip
    """Find the ``k`` points of largest residual correlation with a point of the model. Callable from jitted code.

    A model without features has many points at distance 1; for their
    order in space call ``nearest`` with ``as_numba(tree.euclidean)``.

    Parameters
    ----------
    model : NumbaResidualTree
        With products of bases: ``model.product_offsets.size > 0``.
    place : int
        Position of the point in blocks: ``model.block_places[index]``.
    k, before, excluded
        As in :func:`nearest`.
    work : Workspace
        Made by ``workspace(model, k)``.
    distances, indices : arrays of float64 and int64, shape (k,)
        Receive the distances, ascending, and the dataset indices, of equal distances the lower one first.

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
            # The margin is more than the rounding error of the product.
            if kept == k and model.bounds[block, place] < work.lower[0] * 255 - 2**-10:
                break
            if block == own:
                continue
        first = block * model.block_size
        end = eligible(model, first, min(n, first + model.block_size), before)
        if end > first:
            kept, count = _collect(model, place, block, end, excluded, work, kept, count)
    return _decide(model, place, k, kept, count, work, distances, indices)


@jitted
def _decide(
    model: NumbaResidualTree, position: int, k: int, kept: int, count: int, work: Workspace, distances: Any,
    indices: Any,
) -> int:  # fmt: skip
    """Distances of the candidates, the largest upper bounds first, until the rest cannot come among the k."""
    threshold = work.lower[0] if kept == k else np.float32(0)
    left = 0
    for slot in range(count):
        if not work.upper[slot] < threshold:
            work.upper[left], work.candidates[left] = work.upper[slot], work.candidates[slot]
            left += 1
    index, p = model.block_order[position], model.residual_variance[position]
    found = 0
    for slot in np.argsort(-work.upper[:left]):
        if found == k and work.upper[slot] < 1 - distances[0] * distances[0] - 2**-40:
            break
        other = work.candidates[slot]
        distance = residual_distance(model, other, model.coordinates, model.v_matrix, position, p, index)
        found = insert(distances, indices, found, k, distance, model.block_order[other])
    sort_heap(distances, indices, found)
    return found


@jitted
def skeleton_rows(
    model: NumbaResidualTree, rows: Any, positions: Any, before: Any, excluded: Any, indices: Any, distances: Any
) -> None:
    k = indices.shape[1]
    work = workspace(model, k)
    for query in range(rows.shape[0]):
        row = rows[query]
        found = residual_nearest(
            model, positions[query], k, before[query], excluded[query], work, distances[row], indices[row]
        )
        indices[row, found:] = -1
        distances[row, found:] = np.inf
