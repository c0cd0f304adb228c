"""Rows of trees and queries: from the coordinates that a caller gives to those that kernels compare."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._arrays import read_only
from .common import internal, jitted
from .spaces import ANGULAR, COSINE, HAVERSINE, MAHALANOBIS, MATRIX, NORM, ORIGIN, PERIOD, POWER, WEIGHT, NumbaMetric

Parameters = NDArray[np.float64]


def checked_rows(metric: NumbaMetric, parameters: Parameters, points: NDArray[Any]) -> NDArray[Any]:
    """The rows of finite queries. An error if the metric has no distance of one."""
    for rule in (_too_large, _off_the_sphere, _without_direction):
        for message in rule(metric, parameters, points):
            raise ValueError(message)
    columns = points.shape[1] if metric.kind == NORM else metric.summed + points.shape[1]
    rows = np.empty((len(points), columns), points.dtype if metric.kind == NORM else np.float64)
    fill_rows(metric, parameters, read_only(points), rows)
    return rows


def _too_large(metric: NumbaMetric, parameters: Parameters, points: NDArray[Any]) -> Iterator[str]:
    limit = float(np.finfo(np.float32).max) if points.dtype == np.float32 else 2.0**500
    if 1 < metric.exponent < math.inf:
        heaviest = max(1.0, parameters[WEIGHT].max())
        if metric.term == POWER:
            heaviest **= metric.exponent
        most = (1000 - math.log2(heaviest) - math.log2(points.shape[1])) / metric.exponent - 1
        limit = min(limit, 2.0**most)
    for row, column in np.argwhere(np.abs(points) > limit)[:1]:
        yield f"queries[{row}, {column}]: {points[row, column]} is beyond {limit}; rescale the coordinates"


def _off_the_sphere(metric: NumbaMetric, _: Parameters, points: NDArray[Any]) -> Iterator[str]:
    if metric.kind != HAVERSINE:
        return
    unit, turn = ("radians", 2 * math.pi) if metric.unit == 1 else ("degrees", 360.0)
    for column, (name, most) in enumerate((("latitude", turn / 4), ("longitude", turn))):
        for row in np.flatnonzero(np.abs(points[:, column]) > most)[:1]:
            got = points[row, column]
            yield f"queries[{row}, {column}]: expected a {name} of at most {most} {unit}, got {got}"


def _without_direction(metric: NumbaMetric, _: Parameters, points: NDArray[Any]) -> Iterator[str]:
    if metric.kind in {COSINE, ANGULAR}:
        for row in np.flatnonzero(~points.any(axis=1))[:1]:
            yield f"queries[{row}]: expected a vector of a length above 0"


@internal
def row_of(metric: Any, parameters: Any, query: Any) -> Any:
    """The row of a query; plain Euclidean ones are their own."""
    if metric is None:
        return query
    dim = parameters.shape[1]
    row = np.empty(dim if metric.kind == NORM else metric.summed + dim)
    _fill_row(metric, parameters, query, row)
    return row


@jitted
def fill_rows(metric: NumbaMetric, parameters: Any, points: Any, rows: Any) -> None:
    for point in range(points.shape[0]):
        _fill_row(metric, parameters, points[point], rows[point])


@internal
def _fill_row(metric: NumbaMetric, parameters: Any, query: Any, row: Any) -> None:
    dim, summed = parameters.shape[1], metric.summed
    if metric.kind == NORM:
        for d in range(dim):
            row[d] = _moved(parameters, query, d) if metric.wraps else query[d]
        return
    for d in range(dim):
        row[summed + d] = query[d]
    if metric.kind == HAVERSINE:
        latitude, longitude = np.float64(query[0]) * metric.unit, np.float64(query[1]) * metric.unit
        row[0] = math.cos(latitude) * math.cos(longitude)
        row[1] = math.cos(latitude) * math.sin(longitude)
        row[2] = math.sin(latitude)
    elif metric.kind == MAHALANOBIS:
        for column in range(dim):
            total = 0.0
            for d in range(column, dim):
                total += parameters[MATRIX + dim + d, column] * (np.float64(query[d]) - parameters[ORIGIN, d])
            row[column] = total
    else:
        _fill_direction(query, row)


@internal
def _fill_direction(query: Any, row: Any) -> None:
    """The vector of length 1, with the library's roundings."""
    largest, square = 0.0, 0.0
    for d in range(query.shape[0]):
        largest = max(largest, abs(np.float64(query[d])))
    for d in range(query.shape[0]):
        x = np.float64(query[d]) / largest
        square += x * x
    length = np.sqrt(square)
    for d in range(query.shape[0]):
        row[d] = np.float64(query[d]) / largest / length


@internal
def _moved(parameters: Any, query: Any, d: int) -> float:
    """A coordinate, moved by whole periods if it is farther than half a period from that of the points."""
    x, origin, period = np.float64(query[d]), parameters[ORIGIN, d], parameters[PERIOD, d]
    offset = x - origin
    if period == np.inf or (offset >= -period / 2 and offset <= period + period / 2):
        return x
    inside = np.fmod(offset, period)
    if inside < 0:
        inside += period
    return min(max(_rounded(query, origin + inside), _rounded(query, origin)), _rounded(query, origin + period))


@internal
def _rounded(query: Any, x: float) -> float:
    """A number as the query's type has it."""
    return np.float64(np.float32(x)) if query.itemsize == 4 else x
