"""Metrics of exported arrays: their parameters, the coordinates by which a tree is arranged, and its radii."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._arrays import read_only

Numbers = NDArray[np.float64]

_NORMS = ("euclidean", "manhattan", "chebyshev", "minkowski")
# Pairs of points that are compared at a time.
_CHUNK = 1 << 18
_ULP = float(np.finfo(np.float64).eps)


class MetricArrays(NamedTuple):
    """A metric of the library with its parameters, for ``dim`` coordinates.

    Trees of such a metric are arranged by the Euclidean distance between *coordinates*: vectors of length 1 for
    "haversine", "cosine" and "angular", a linear image of the points for "mahalanobis", and for a norm the points
    times ``weights ** (1 / exponent)``.
    """

    name: str  #: "function" for a function of the caller, which has no parameters here
    exponent: float  #: of a norm, infinity for the largest difference
    weights: Numbers  #: (dim,) of the powers of differences
    periods: Numbers  #: (dim,) infinity without one
    origins: Numbers  #: (dim,) where the periods of the points begin, or the centre of the points
    inverse_covariance: Numbers  #: (dim, dim) of "mahalanobis", otherwise empty
    radius: float  #: of a sphere
    degrees: bool  #: whether latitudes and longitudes are in degrees

    @property
    def is_norm(self) -> bool:
        """Whether it is a norm of differences of coordinates."""
        return self.name in _NORMS

    @property
    def factor(self) -> Numbers:
        """The lower Cholesky factor of the inverse covariance."""
        return np.linalg.cholesky(self.inverse_covariance).astype(np.float64, copy=False)

    @property
    def rounding(self) -> tuple[float, float]:
        """The error of a distance between coordinates: as a share of it, and beyond that."""
        dim, p = len(self.weights), self.exponent
        if not self.is_norm:
            # Sines and cosines of two libraries differ. The error of "mahalanobis" depends on the query.
            return (dim + 8) * _ULP, 2.0**-47 if self.name == "haversine" else 2.0**-500
        share = (dim + 16) * _ULP
        if p not in {1, 2, 3, 4, np.inf}:
            share += 8 * (4 + 1024 + p) * _ULP  # of the power
        finite = np.isfinite(self.periods)
        wrapped = _norm(self, np.where(finite, 4 * _ULP * np.where(finite, self.periods, 0), 0))
        least = 0.0 if p in {1, np.inf} else float((dim * (1 + self.weights.max()) * 2.0**-1000) ** (1 / p))
        return share, float(wrapped) + least


#: The metric of a tree of a function.
FUNCTION = MetricArrays("function", 2.0, *(np.empty(0),) * 3, np.empty((0, 0)), 1.0, False)


def coordinates(metric: MetricArrays, points: NDArray[Any]) -> NDArray[Any]:
    """The coordinates by which points are arranged, float64, or the points themselves."""
    if metric.is_norm:
        with np.errstate(divide="ignore"):
            scales = metric.weights if metric.exponent == np.inf else metric.weights ** (1 / metric.exponent)
        return points if (scales == 1).all() else points * scales
    points = points.astype(np.float64, copy=False)
    if metric.name == "haversine":
        latitude, longitude = (points * (np.pi / 180 if metric.degrees else 1.0)).T
        return np.stack(
            [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], axis=1
        )
    if metric.name == "mahalanobis":
        return (points - metric.origins) @ metric.factor
    # One rounding after the other, as the library's.
    largest = np.abs(points).max(axis=1, keepdims=True)
    squares = np.zeros(len(points))
    for column in (points / largest).T:
        squares += column * column
    directions: Numbers = points / largest / np.sqrt(squares)[:, None]
    return directions


def _norm(metric: MetricArrays, apart: Numbers) -> Numbers:
    """Of differences of at least 0, along the last axis."""
    weights, p = metric.weights, metric.exponent
    sums: Numbers
    if p == np.inf:
        sums = (weights * apart).max(axis=-1)
        return sums
    sums = (apart**p) @ weights
    return np.sqrt(sums) if p == 2 else sums ** (1 / p)


def _apart(metric: MetricArrays, x: NDArray[Any], y: NDArray[Any]) -> Numbers:
    """Distances of rows by a norm."""
    apart = np.abs(x.astype(np.float64) - y)
    return _norm(metric, np.minimum(apart, np.abs(metric.periods - apart)))


def radii(metric: MetricArrays, points: NDArray[Any], parents: NDArray[Any], subtree_end: NDArray[Any]) -> NDArray[Any]:
    """The largest distance of each node to a descendant by a norm, rounded up to the type of the points."""
    n = len(points)
    depth, above = np.zeros(n, np.int64), parents
    while (above >= 0).any():
        depth += above >= 0
        above = np.where(above >= 0, parents[above], -1)
    found = np.zeros(n)
    below = subtree_end - np.arange(1, n + 1)
    for level in range(int(depth.max())):
        # In depth-first order the descendants of the nodes of a depth are the deeper ones.
        heads = np.flatnonzero((depth == level) & (below > 0))
        sizes = below[heads]
        pairs = np.stack([np.repeat(heads, sizes), np.flatnonzero(depth > level)])
        distances = np.concatenate(
            [_apart(metric, *points[pairs[:, first : first + _CHUNK]]) for first in range(0, pairs.shape[1], _CHUNK)]
        )
        found[heads] = np.maximum.reduceat(distances, np.cumsum(sizes) - sizes)
    share, rest = metric.rounding
    found = np.where(found > 0, found * (1 + share) + rest, 0)
    with np.errstate(over="ignore"):
        rounded = found.astype(points.dtype)
    return read_only(np.where(rounded < found, np.nextafter(rounded, np.inf, dtype=rounded.dtype), rounded))
