"""What tells of points in the residual-correlation metric, without them."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _calls, _files, _native
from .._native import lib
from ..residual import ResidualTree
from .queries import Features

# What the span of an outline's pivots may leave of those of blocks. Finer ones keep more queries away, and cost each
# more.
OUTLINE_TAU = 0.2


class Outline(_calls.Closeable):
    """What tells how near queries can be to any of many points in the residual-correlation metric.

    A few of the points, and how much of the others these leave.
    """

    _noun = "outline"

    def __init__(self, owner: _calls.Owner, error: float) -> None:
        super().__init__()
        self._take(owner)
        self.error = error

    @classmethod
    def of(cls, tree: ResidualTree, tau: float = OUTLINE_TAU) -> list[Outline]:
        """Those of all points of a tree; none where the residual process has too many degrees of freedom."""
        count = ctypes.c_int64()
        options = _calls.call_options(None)
        handle = tree._open()
        arguments = (tau, ctypes.byref(options), ctypes.byref(count))
        _native.check(lib.covertree_residual_outline(handle, 0, *arguments, None, None))
        found = []
        for group in range(count.value):
            pivots, error = _calls.Owner(lib.covertree_residual_free), ctypes.c_double()
            _native.run(
                lib.covertree_residual_outline, handle, group, *arguments, ctypes.byref(pivots.handle),
                ctypes.byref(error), options=options,
            )  # fmt: skip
            found.append(cls(pivots, error.value))
        return found

    def largest(self, points: NDArray[np.float64], features: Features) -> NDArray[np.float64]:
        """For each query a number that no |rho| with any of the points exceeds, shape (q,)."""
        lengths = np.empty(len(points))
        options = _calls.call_options(None)
        arguments = (*known_rows(points, features), ctypes.byref(options), lengths.ctypes.data)
        _native.run(lib.covertree_residual_projections, self._open(), *arguments, options=options)
        return np.minimum(lengths + self.error, 1.0)

    def largest_of(self, tree: ResidualTree, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The same for points of a tree, by their indices in it: less tight, and faster."""
        bounds = np.empty(len(rows))
        options = _calls.call_options(None)
        arguments = (rows.ctypes.data, len(rows), self._open(), self.error, ctypes.byref(options), bounds.ctypes.data)
        _native.run(lib.covertree_residual_bounds, tree._open(), *arguments, options=options)
        return bounds

    def __reduce__(self) -> Any:
        return _outline, (_files.File.encode(lib.covertree_residual_encode, self._open(), {}).bytes, self.error)


def _outline(data: NDArray[np.uint8], error: float) -> Outline:
    pivots = _calls.Owner(lib.covertree_residual_free)
    options = _native.ResidualOptions()
    file = _files.File.copy(data)
    _native.check(lib.covertree_residual_load(file.handle, ctypes.byref(options), ctypes.byref(pivots.handle)))
    return Outline(pivots, error)


def known_rows(points: NDArray[np.float64], features: Features) -> tuple[_native.Matrix, _native.Features]:
    """Queries and their features as the library takes them; the arrays have to outlive these."""
    v, p = features
    return _calls.matrix(points), _native.Features(_calls.matrix(v), p.ctypes.data, None)
