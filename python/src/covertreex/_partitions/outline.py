"""Bounds of distances from many points in the residual-correlation metric."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _calls, _files
from .._capi import Float64s, Int64s, Owner, partitions, residuals
from ..residual import ResidualTree
from .queries import Features

# The largest share of blocks' pivots outside the span of an outline's. Finer ones exclude more queries, and cost each
# more.
OUTLINE_TAU = 0.2


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


def _outline(data: NDArray[np.uint8], error: float) -> Outline:
    return Outline(residuals.load(_files.File.copy(data).owner), error)
