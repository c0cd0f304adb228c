"""Bounds of distances from many points in the residual-correlation metric."""

from __future__ import annotations

from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

from .. import _calls, _files
from .._capi import Float64s, Int64s, Owner, partitions, residuals
from ..residual import ResidualTree
from .queries import Features

# The largest share of blocks' pivots outside the span of an outline's. Finer ones exclude more queries, and cost each
# more.
OUTLINE_TAU = 0.2
# The norm of a point outside the span of the pivots of its block, where points are outlined one by one.
_POINT_TAU = 0.1
# With a larger typical error bounds exclude too few partitions to be worth their cost.
_USEFUL_ERROR = 0.3
# The most bytes of the outlines of all points, which every worker has.
_MOST_BYTES = 1 << 28


class Needs(partitions.OutlineRows):
    """What queries need of bounds, by row."""

    def some(self, rows: NDArray[np.intp]) -> Needs:
        """Those of some queries."""
        return Needs(None if self.before is None else self.before[rows], self.least[rows])

    def at(self, rows: Int64s, count: int) -> Needs:
        """The same for ``count`` points, of which these are the queries."""
        least, before = np.full(count, 2.0), None
        least[rows] = self.least
        if self.before is not None:
            before = np.zeros(count, np.int64)
            before[rows] = self.before
        return Needs(before, least)


class Outline(_calls.Closeable):
    """Bounds how near queries can be to any of many points in the residual-correlation metric.

    A few of the points, and how much of the others these leave.
    """

    _noun = "outline"

    def __init__(self, owner: Owner, error: float) -> None:
        super().__init__()
        self._adopt(owner)
        self.error = error

    @classmethod
    def of(cls, tree: ResidualTree, tau: float = OUTLINE_TAU) -> list[Outline]:
        """Those of all points of a tree; none where the residual process has too many degrees of freedom."""
        found = partitions.residual_outlines(tree._open(), tau, n_threads=_calls.threads(None))
        return [cls(*one) for one in found]

    def largest(self, points: Float64s, features: Features) -> Float64s:
        """For each query a number that no |rho| with any of the points exceeds, shape (q,)."""
        given, threads = residuals.GivenFeatures(*features), _calls.threads(None)
        lengths = partitions.residual_projections(self._open(), points, given, n_threads=threads)
        return np.minimum(lengths + self.error, 1.0)

    def largest_of(self, tree: ResidualTree, rows: Int64s) -> Float64s:
        """The same for points of a tree, by their indices in it: less tight, and faster."""
        threads = _calls.threads(None)
        return partitions.residual_bounds(tree._open(), rows, self._open(), self.error, n_threads=threads)

    def __reduce__(self) -> Any:
        file = _files.File(residuals.encode(self._open(), {}, n_threads=_calls.threads(None)))
        return _outline, (file.bytes, self.error)


class PointOutline(_calls.Closeable):
    """The same for each of the points, so that bounds are hardly larger than the largest |rho|.

    Blocks of points have pivots. Each point has its coordinates in their span, and the norm that is left of it.
    """

    _noun = "outline"

    def __init__(
        self, owner: Owner, ranks: Int64s, coordinates: NDArray[np.float32], errors: NDArray[np.float32],
        indices: Int64s,
    ) -> None:  # fmt: skip
        super().__init__()
        self._adopt(owner)
        self._arrays = ranks, coordinates, errors, indices

    @classmethod
    def of(cls, tree: ResidualTree, indices: Int64s, tau: float = _POINT_TAU) -> PointOutline:
        """That of all points of a tree, which have these dataset indices."""
        info, threads = tree._info(), _calls.threads(None)
        made = partitions.residual_outline_points(tree._open(), tau, len(tree), info.n_blocks, n_threads=threads)
        return cls(*made, np.ascontiguousarray(indices[tree._model().arrays["block_order"]]))

    @property
    def typical_error(self) -> float:
        """The median of the norms that the pivots leave of the points."""
        return float(np.median(self._arrays[2]))

    def _given(self) -> partitions.PointOutline:
        return partitions.PointOutline(self._open(), *self._arrays)

    def largest(self, points: Float64s, features: Features, needs: Needs) -> Float64s:
        """For each query a number that no |rho| with any of the points that count exceeds, shape (q,)."""
        given, threads = residuals.GivenFeatures(*features), _calls.threads(None)
        return partitions.outline_bounds_given(self._given(), points, given, needs, n_threads=threads)

    def largest_of(self, own: PointOutline, positions: Int64s, needs: Needs) -> Float64s:
        """The same for points of another outline, by their positions in it."""
        rows, threads = needs.at(positions, len(own._arrays[3])), _calls.threads(None)
        bounds = partitions.outline_bounds(own._given(), self._given(), rows, n_threads=threads)
        return bounds[positions]

    def __reduce__(self) -> Any:
        file = _files.File(residuals.encode(self._open(), {}, n_threads=_calls.threads(None)))
        ranks, coordinates, errors, indices = self._arrays
        return _point_outline, (file.bytes, ranks, coordinates[:, : ranks.max()], errors, indices)


#: The outlines of a partition: of groups of its points, or of each.
Outlines = Union[list[Outline], PointOutline]


def outlines(tree: ResidualTree, indices: Int64s, n_points: int) -> Outlines:
    """Outlines of a partition: of each point, unless all partitions have too many points, or errors are too large."""
    # Up to a fifth of the points are pivots.
    size = n_points * (8 * (tree.stats().n_features + tree.dim) // 5 + 4 * partitions.OUTLINE_COLUMNS + 12)
    if size <= _MOST_BYTES:
        outline = PointOutline.of(tree, indices)
        if outline.typical_error <= _USEFUL_ERROR:
            return outline
    return Outline.of(tree)


def _point_outline(
    data: NDArray[np.uint8], ranks: Int64s, coordinates: NDArray[np.float32], errors: NDArray[np.float32],
    indices: Int64s,
) -> PointOutline:  # fmt: skip
    padded = np.zeros((len(coordinates), partitions.OUTLINE_COLUMNS), np.float32)
    padded[:, : coordinates.shape[1]] = coordinates
    return PointOutline(residuals.load(_files.File.copy(data).owner), ranks, padded, errors, indices)


def _outline(data: NDArray[np.uint8], error: float) -> Outline:
    return Outline(residuals.load(_files.File.copy(data).owner), error)
