"""Bounds of all partitions, known wherever queries are: boxes, balls, outlines and first indices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._capi import Float64s, Int64s
from .._scores import LEAST_SQUARE
from .curve import Curve
from .outline import Outline
from .queries import Features

# The largest error of a bound by rounding, in units of it; coordinates of float64, some dozens of operations.
_SLACK = 1e-12
# The largest error of a distance by underflow.
_LEAST_DISTANCE = float(np.sqrt(LEAST_SQUARE))


@dataclass(frozen=True)
class Extent:
    """The location of a partition's points: all that is known of it elsewhere."""

    low: Float64s  #: (dim,) sides of a box around them
    high: Float64s
    center: Float64s  #: (dim,) of a ball around them
    radius: float
    n_points: int
    first: int  #: the smallest dataset index
    outlines: list[Outline] | None  #: None in the Euclidean metric
    lengthscale: Float64s | None = None  #: (dim,) where residual correlations are ordered as distances


@dataclass(frozen=True)
class Layout:
    """The location of all partitions of a dataset: the fields of their extents as arrays."""

    curve: Curve
    low: Float64s  #: (partitions, dim)
    high: Float64s
    centers: Float64s  #: (partitions, dim)
    radii: Float64s
    n_points: Int64s
    first: Int64s
    outlines: list[list[Outline] | None]
    lengthscale: Float64s | None = None  #: (dim,) the same for all

    @classmethod
    def of(cls, curve: Curve, extents: list[Extent]) -> Layout:
        """That of partitions in the order of the curve."""

        def each(name: str) -> NDArray[Any]:
            return np.array([getattr(extent, name) for extent in extents])

        return cls(
            curve=curve, low=each("low"), high=each("high"), centers=each("center"), radii=each("radius"),
            n_points=each("n_points"), first=each("first"), outlines=[extent.outlines for extent in extents],
            lengthscale=extents[0].lengthscale,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.radii)

    def least_scores(self, points: NDArray[Any], features: Features | None) -> Float64s:
        """A lower bound for each query and partition: scores, shape (q, partitions)."""
        if features is None or self.lengthscale is not None:
            return self.least_squares(points)
        rows = np.ascontiguousarray(points, np.float64)
        return self.least_distances(len(rows), lambda outline: outline.largest(rows, features))

    def least_distances(self, n_rows: int, largest: Callable[[Outline], Float64s]) -> Float64s:
        """The same from outlines."""
        least = np.zeros((n_rows, len(self)))
        for partition, outlines in enumerate(self.outlines):
            if outlines:
                rho = np.max([largest(outline) for outline in outlines], axis=0)
                # d = sqrt(1 - |rho|)
                least[:, partition] = np.sqrt(np.maximum(1 - rho - _SLACK, 0)) * (1 - _SLACK)
        return least

    def least_squares(self, points: NDArray[Any]) -> Float64s:
        """The same in the Euclidean metric, or over the lengthscale, in which partitions are boxes alone."""
        least = np.empty((len(points), len(self)))
        scale = np.ones(points.shape[1]) if self.lengthscale is None else self.lengthscale
        for partition in range(len(self)):
            box, ball = np.zeros(len(points)), np.zeros(len(points))
            for d in range(points.shape[1]):
                x = points[:, d].astype(np.float64)
                low, high = self.low[partition, d] / scale[d], self.high[partition, d] / scale[d]
                outside = np.maximum(np.maximum(low - x / scale[d], x / scale[d] - high), 0)
                box += outside * outside
                ball += (x - self.centers[partition, d]) ** 2
            if self.lengthscale is not None:
                least[:, partition] = box * (1 - _SLACK)
                continue
            # The difference of two lengths loses the rounding errors of both.
            gap = np.maximum(np.sqrt(ball) * (1 - _SLACK) - self.radii[partition] * (1 + _SLACK) - _LEAST_DISTANCE, 0)
            least[:, partition] = np.maximum(box, gap * gap) * (1 - _SLACK)
        # Squares that underflow have lost their digits.
        least[least < LEAST_SQUARE] = 0
        return least
