"""The arithmetic of metrics: what a walk asks about a query and a point.

Every function gets the metric first, and Numba compiles it for the type of it. None is plain Euclidean distance, so
its kernels have no branches of other metrics; :class:`NumbaMetric` is any other one, chosen by branches.

A *sum* grows with the distance by which a tree is arranged, such as the square of a Euclidean one. A *score* decides
about a point. It is the sum, except for great circles and Mahalanobis distance, which have a formula of their own, and
for tiny Euclidean distances (``_scores.py``). Both are the library's to the bit.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._arrays import read_only
from .._exports.metric_arrays import FUNCTION, MetricArrays
from .._scores import LEAST_SQUARE, MAGNIFICATION
from .common import (
    distance_of_score,
    fused_multiply_add,
    inlined,
    internal,
    jitted,
    score_of_near,
    score_of_square,
    square_of_score,
)
from .powers import cosine, power, squared_sine

# Terms of a sum, of a difference x and a weight w: (w x)^p, w |x|, w x^2, w |x|^3, w x^4, the largest w |x|.
POWER, ABSOLUTE, SQUARE, CUBE, FOURTH, LARGEST = range(6)
_TERMS = {1.0: ABSOLUTE, 2.0: SQUARE, 3.0: CUBE, 4.0: FOURTH, math.inf: LARGEST}
# How a score is made, and how a distance is made of it.
NORM, HAVERSINE, COSINE, ANGULAR, MAHALANOBIS = range(5)
_KINDS = {"haversine": HAVERSINE, "cosine": COSINE, "angular": ANGULAR, "mahalanobis": MAHALANOBIS}
# Rows of parameters: by coordinate the weight, the period, the origin, and the largest difference of a point from that.
# Mahalanobis distance has the inverse covariance behind them, and then its lower Cholesky factor.
WEIGHT, PERIOD, ORIGIN, REACH, MATRIX = range(5)

_ULP = 2.0**-52


class NumbaMetric(NamedTuple):
    """Any metric of the library but plain Euclidean distance, as kernels read it.

    It has numbers only: an array in it would be counted in and out at each use. Arrays are the parameters of the tree.
    A row of points has the coordinates by which the tree is arranged and, unless it is a norm, then the given ones.
    """

    kind: int
    term: int  #: of sums
    wraps: bool  #: whether coordinates may have periods
    summed: int  #: the first coordinates of a row, over which sums run
    exponent: float
    unit: float  #: radians in a unit of latitude
    radius: float  #: of a sphere
    factor: float  #: a sum is at most this times the score, and a score at most this times the sum,
    offset: float  #: and this more
    share: float  #: the error of a distance, as a share of it,
    rest: float  #: and beyond that


def show_metric(metric: MetricArrays | None, points: NDArray[Any]) -> tuple[NumbaMetric | None, NDArray[np.float64]]:
    """Show the metric of a tree of some points to the kernels, and its parameters by coordinate."""
    if metric is None:
        return None, read_only(np.empty((0, 0)))
    if metric.name == FUNCTION.name:
        raise ValueError("metric: expected one of the library, got a function, which kernels for Numba cannot call")
    dim, exponent = len(metric.weights), metric.exponent
    term = _TERMS.get(exponent, POWER)
    # A power is of the weighted difference. Roots are those of the C library, as the library's are.
    weights = [math.pow(weight, 1 / exponent) if term == POWER else weight for weight in metric.weights.tolist()]
    reach = np.abs(points.astype(np.float64) - metric.origins).max(axis=0, initial=0)
    parameters = [np.stack([weights, metric.periods, metric.origins, reach])]
    if metric.name == "mahalanobis":
        parameters += [metric.inverse_covariance, metric.factor]
    kind = _KINDS.get(metric.name, NORM)
    share, rest = metric.rounding
    numbers = NumbaMetric(
        kind=kind, term=term, wraps=bool(np.isfinite(metric.periods).any()), summed=3 if kind == HAVERSINE else dim,
        exponent=float(exponent), unit=math.pi / 180 if metric.degrees else 1.0, radius=float(metric.radius),
        factor={HAVERSINE: 1 + 2.0**-19, MAHALANOBIS: 1 + 2.0**-16}.get(kind, 1.0),
        offset=2.0**-74 if kind == HAVERSINE else 0.0, share=share, rest=rest,
    )  # fmt: skip
    return numbers, read_only(np.concatenate(parameters))


# Sums and scores. They are given rows and a position, not a slice, which all threads would count in and out.


@inlined
def sum_to(metric: Any, parameters: Any, points: Any, node: int, query: Any) -> float:
    """The sum of a query and a point."""
    if metric is None:
        return _square(query.shape[0], points, node, query)
    if metric.kind != NORM:
        return _square(metric.summed, points, node, query)
    return _norm_sum(metric, parameters, points, node, query)


@inlined
def _square(dim: int, points: Any, node: int, query: Any) -> float:
    """``squared_distance(query[:dim], points[node, :dim])``."""
    total = 0.0
    for d in range(dim):
        difference = np.float64(query[d]) - np.float64(points[node, d])
        total = fused_multiply_add(difference, difference, total)
    return total


@inlined
def _norm_sum(metric: NumbaMetric, parameters: Any, points: Any, node: int, query: Any) -> float:
    total, term = 0.0, metric.term
    for d in range(query.shape[0]):
        x, w = abs(np.float64(points[node, d]) - np.float64(query[d])), parameters[WEIGHT, d]
        if metric.wraps:
            # Through the boundary of the period, if that is shorter.
            x = min(x, abs(parameters[PERIOD, d] - x))
        if term == ABSOLUTE:
            total = fused_multiply_add(w, x, total)
        elif term == SQUARE:
            total = fused_multiply_add(w * x, x, total)
        elif term == LARGEST:
            total = max(total, w * x)
        elif term == CUBE:
            total = fused_multiply_add(w * x * x, x, total)
        elif term == FOURTH:
            total = fused_multiply_add(w * x * x * x, x, total)
        else:
            total += power(w * x, metric.exponent)
    return total


@internal
def score_to(metric: Any, parameters: Any, points: Any, node: int, query: Any, total: float) -> float:
    """The score of a query and a point, of which the sum is known."""
    if metric is None:
        return total if total >= LEAST_SQUARE else _score_of_near(points, node, query)
    if metric.kind == HAVERSINE:
        return _haversine(metric, points, node, query)
    if metric.kind == MAHALANOBIS:
        return _quadratic_form(metric.summed, parameters, points, node, query)
    return total


@internal
def _score_of_near(points: Any, node: int, query: Any) -> float:
    total = 0.0
    for d in range(query.shape[0]):
        difference = (np.float64(query[d]) - np.float64(points[node, d])) * MAGNIFICATION
        total = fused_multiply_add(difference, difference, total)
    return score_of_near(total)


@internal
def _haversine(metric: NumbaMetric, points: Any, node: int, query: Any) -> float:
    """The squared chord, four times the haversine of the angle."""
    first, unit = metric.summed, metric.unit
    latitude, other = query[first] * unit, points[node, first] * unit
    cosines = cosine(latitude) * cosine(other)
    along = squared_sine((other - latitude) * 0.5)
    across = squared_sine((points[node, first + 1] * unit - query[first + 1] * unit) * 0.5)
    return 4 * fused_multiply_add(cosines, across, along)


@internal
def _quadratic_form(first: int, parameters: Any, points: Any, node: int, query: Any) -> float:
    total = 0.0
    for row in range(first):
        product = 0.0
        for column in range(first):
            difference = points[node, first + column] - query[first + column]
            product = fused_multiply_add(parameters[MATRIX + row, column], difference, product)
        total = fused_multiply_add(product, points[node, first + row] - query[first + row], total)
    return max(total, 0.0)


# Bounds


@internal
def errors_of(metric: Any, parameters: Any, query: Any) -> tuple[float, float, float]:
    """Errors of distances from a query, as a share and beyond that; and of its sums beyond the factor."""
    if metric is None:
        return _ULP * (query.shape[0] + 4), 0.0, 0.0
    if metric.kind != MAHALANOBIS:
        return metric.share, metric.rest, metric.offset
    square, dim = 0.0, metric.summed
    for column in range(dim):
        total = 0.0
        for d in range(column, dim):
            reach = max(parameters[REACH, d], abs(query[dim + d] - parameters[ORIGIN, d]))
            total += abs(parameters[MATRIX + dim + d, column]) * reach
        square += total * total
    # As in `TreeMetric.quadraticErrors`.
    few = (dim + 8) * _ULP
    return metric.share, 8 * few * np.sqrt(square), 16 * few * square


@internal
def most_sum(metric: Any, score: float, errors: tuple[float, float, float]) -> float:
    """No point of at most a score has a larger sum, and none of at most a sum a larger score."""
    if metric is None:
        return max(score, LEAST_SQUARE)
    return metric.factor * score + errors[2]


@internal
def length(metric: Any, total: float) -> float:
    """The distance of a sum."""
    if metric is None:
        return np.sqrt(total)
    return _root(metric, total)


@internal
def _root(metric: NumbaMetric, total: float) -> float:
    if metric.term == SQUARE:
        return np.sqrt(total)
    return total if _is_linear(metric) else math.pow(total, 1 / metric.exponent)


@internal
def _is_linear(metric: NumbaMetric) -> bool:
    """Whether a sum is a distance."""
    return metric.term in (ABSOLUTE, LARGEST)


@internal
def sum_of_length(metric: Any, distance: float) -> float:
    """The sum of a distance, up to rounding."""
    if metric is None:
        return distance * distance
    if metric.term == SQUARE:
        return distance * distance
    return distance if _is_linear(metric) else math.pow(distance, metric.exponent)


@internal
def is_beyond(metric: Any, total: float, radius: float, score: float, errors: tuple[float, float, float]) -> bool:
    """True if no point within a radius of a node, whose sum is known, can have a score up to this one."""
    distance = length(metric, total)
    gap = distance - radius - errors[0] * (distance + radius) - errors[1]
    return gap > 0 and sum_of_length(metric, gap) > most_sum(metric, score, errors)


@internal
def reach_of(metric: Any, score: float, apart: float, errors: tuple[float, float, float]) -> float:
    """The largest score of a query whose distance from another has a sum, to a point of a score with that one."""
    distance = length(metric, most_sum(metric, score, errors)) + length(metric, apart)
    distance += 4 * (errors[0] * distance + errors[1])
    return most_sum(metric, sum_of_length(metric, distance) * (1 + 1e-12), errors)


# Distances


@internal
def distance_of(metric: Any, score: float) -> float:
    """The distance of a score."""
    if metric is None:
        return distance_of_score(score)
    if metric.kind == HAVERSINE:
        return 2 * metric.radius * math.asin(min(1.0, np.sqrt(score / 4)))
    if metric.kind == ANGULAR:
        return 2 * math.asin(min(1.0, np.sqrt(score / 4)))
    return score / 2 if metric.kind == COSINE else _root(metric, score)


@jitted
def score_of_limit(metric: Any, limit: float) -> float:
    """The largest score within a limit: a squared distance in Euclidean space, otherwise a distance."""
    if metric is None:
        return score_of_square(limit)
    if not limit < np.inf:
        return np.inf
    # Numbers from 0 up are in the order of their bits.
    low, high = np.int64(0), np.float64(np.inf).view(np.int64)
    while high - low > 1:
        middle = low + (high - low) // 2
        if distance_of(metric, np.int64(middle).view(np.float64)) <= limit:
            low = middle
        else:
            high = middle
    return np.int64(low).view(np.float64)


@internal
def shown(metric: Any, score: float) -> float:
    """A score as callers see it: as a limit is."""
    return square_of_score(score) if metric is None else distance_of(metric, score)
