"""Bounds of all partitions, known wherever queries are: boxes, balls, outlines and first indices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._capi import Float64s, Int64s
from .._scores import LEAST_SQUARE
from .curve import Curve
from .outline import Needs, Outline, Outlines, PointOutline
from .queries import Features

# The largest error of a bound by rounding, in units of it; coordinates of float64, some dozens of operations.
_SLACK = 1e-12
# The largest error of a distance by underflow.
_LEAST_DISTANCE = float(np.sqrt(LEAST_SQUARE))

# A partition, the queries that it can have something for, by row, and lower bounds of their scores there.
Bounded = tuple[int, NDArray[np.intp], Float64s]


@dataclass(frozen=True)
class Extent:
    """The location of a partition's points: all that is known of it elsewhere."""

    low: Float64s  #: (dim,) sides of a box around them
    high: Float64s
    center: Float64s  #: (dim,) of a ball around them
    radius: float
    n_points: int
    first: int  #: the smallest dataset index
    outlines: Outlines | None  #: None in the Euclidean metric
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
    outlines: list[Outlines | None]
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

    def bounded(self, points: NDArray[Any], limits: Float64s) -> Iterator[Bounded]:
        """In the Euclidean metric, or over the lengthscale, in which partitions are boxes alone.

        Coordinates are compared one after the other, and most queries are left behind by the first.
        """
        columns = np.ascontiguousarray(points.T, np.float64)
        scale = np.ones(len(columns)) if self.lengthscale is None else self.lengthscale
        scaled = columns if self.lengthscale is None else columns / scale[:, None]
        low, high = self.low / scale, self.high / scale
        for partition in self._near(scaled, low, high, limits):
            rows, box, upper = np.arange(len(points)), np.zeros(len(points)), limits
            for d, column in enumerate(scaled):
                outside = _outside(
                    column if len(rows) == len(points) else column[rows], low[partition, d], high[partition, d]
                )
                box += outside * outside
                near = np.flatnonzero(_shortened(box) <= upper)
                if len(near) < len(rows):
                    rows, box, upper = rows[near], box[near], upper[near]
            least = box
            if self.lengthscale is None:
                gap = self._gaps(columns, partition, rows)
                least = np.maximum(box, gap * gap)
            least = _shortened(least)
            near = np.flatnonzero(least <= upper)
            if len(near):
                yield partition, rows[near], least[near]

    def _near(self, columns: Float64s, low: Float64s, high: Float64s, limits: Float64s) -> Iterable[int]:
        """The partitions whose boxes are near enough to the box around some queries."""
        if not len(limits):
            return ()
        box = np.zeros(len(self))
        for d, x in enumerate(columns):
            outside = np.maximum(np.maximum(low[:, d] - x.max(), x.min() - high[:, d]), 0)
            box += outside * outside
        return map(int, np.flatnonzero(_shortened(box) <= limits.max()))

    def _gaps(self, columns: Float64s, partition: int, rows: NDArray[np.intp]) -> Float64s:
        """Lower bounds of the distances of queries from the ball of a partition."""
        ball = np.zeros(len(rows))
        for d, x in enumerate(columns):
            ball += (x[rows] - self.centers[partition, d]) ** 2
        # The difference of two lengths loses the rounding errors of both.
        gap: Float64s = np.sqrt(ball) * (1 - _SLACK) - self.radii[partition] * (1 + _SLACK) - _LEAST_DISTANCE
        return np.maximum(gap, 0)

    def outlined(
        self, of_groups: Callable[[Outline], Float64s], of_points: Callable[[PointOutline, Needs], Float64s],
        before: Int64s | None, limits: Float64s, home: int = -1,
    ) -> Iterator[Bounded]:  # fmt: skip
        """The same from outlines: of partitions in groups of points, or of their points one by one.

        ``home`` is a partition that is not bounded.
        """
        needs = Needs(before, 1 - 2 * _SLACK - limits * limits * (1 + 4 * _SLACK))
        for partition, outlines in enumerate(self.outlines):
            least = np.zeros(len(limits))
            if outlines and len(limits) and partition != home:
                if isinstance(outlines, PointOutline):
                    rho = of_points(outlines, needs)
                else:
                    rho = np.max([of_groups(outline) for outline in outlines], axis=0)
                # d = sqrt(1 - |rho|)
                least = np.sqrt(np.maximum(1 - rho - _SLACK, 0)) * (1 - _SLACK)
            near = np.flatnonzero(least <= limits)
            if len(near):
                yield partition, near, least[near]

    def near(
        self, points: NDArray[Any], features: Features | None, limits: Float64s, before: Int64s | None = None
    ) -> Iterator[Bounded]:
        """The partitions that can have anything for queries within their limits of scores, with lower bounds."""
        if features is None or self.lengthscale is not None:
            return self.bounded(points, limits)
        rows = np.ascontiguousarray(points, np.float64)
        return self.outlined(
            lambda outline: outline.largest(rows, features),
            lambda outline, needs: outline.largest(rows, features, needs), before, limits,
        )  # fmt: skip


def _outside(x: Float64s, low: float, high: float) -> Float64s:
    """How far numbers are from an interval: positive or negative, as it does not matter for squares."""
    outside: Float64s = x - np.clip(x, low, high)
    return outside


def _shortened(squares: Float64s) -> Float64s:
    """Squared distances as lower bounds."""
    least = squares * (1 - _SLACK)
    # Squares that underflow have lost their digits.
    least *= least >= LEAST_SQUARE
    return least
