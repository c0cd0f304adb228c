"""Predicted variances corrected by the leave-one-out errors around a point.

A process has one variance everywhere, and nature often has not: then intervals are too wide in some regions and too
narrow in others. The squares of leave-one-out errors over their predicted variances show where. Their mean over the
nearest data of a point is the factor by which predicted variances are multiplied there. How many data are near is
chosen by the log score of the corrected leave-one-out predictions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _arguments, _arrays
from ..kernels import scaled
from ..residual._inputs import KernelLike
from ..tree import CoverTree
from ._model import VIF

Floats = NDArray[np.float64]

# Numbers of near data to choose from. Of fewer, the mean of squares is too noisy: intervals then contain too little.
_SIZES = (25, 50, 100, 200, 400)
# The log scores are means over at most this number of data.
_SCORED = 10_000
# Points whose near data are in memory together.
_BLOCK = 20_000


@dataclass(frozen=True)
class Calibration:
    """Factors of predicted variances, found by :func:`calibrate`."""

    n_neighbors: int | None  #: near data; None means all of them: one factor everywhere
    #: Mean log score of corrected leave-one-out predictions less that of uncorrected ones, by ``n_neighbors``.
    gains: Mapping[int | None, float]
    overall: float  #: the mean over all data of squared errors over their variances
    _squares: Floats = field(repr=False)
    _kernel: KernelLike = field(repr=False)
    _tree: CoverTree = field(repr=False)

    def factors(self, coords: ArrayLike, *, n_threads: int | None = None) -> Floats:
        """By what to multiply predicted variances.

        Parameters
        ----------
        coords : array_like, shape (q, dim)
        n_threads : int, optional

        Returns
        -------
        numpy.ndarray, shape (q,)
            Above 0.
        """
        points = _arrays.points(coords, "coords", dtype=np.dtype(np.float64))
        if points.shape[1] != self._tree.dim:
            raise ValueError(f"coords: expected {self._tree.dim} columns, got {points.shape[1]}")
        _arrays.check_finite(points, "coords")
        found = np.full(len(points), self.overall)
        if self.n_neighbors is None:
            return found
        queries = scaled(points, self._kernel, "coords")
        for first in range(0, len(points), _BLOCK):
            block = slice(first, first + _BLOCK)
            near = self._tree.knn(self.n_neighbors, queries=queries[block], n_threads=n_threads)
            found[block] = _factor(self._squares[near].sum(axis=1), self.n_neighbors, self.overall)
        return found


def calibrate(model: VIF, y: ArrayLike, *, trend: ArrayLike | None = None, n_threads: int | None = None) -> Calibration:
    """Find by what predicted variances are wrong, and where, from the leave-one-out errors of a model.

    Parameters
    ----------
    model : VIF
    y : array_like, shape (n,)
        The response at the data.
    trend : array_like, shape (n, c), optional
        As in :meth:`VIF.leave_one_out`.
    n_threads : int, optional

    Returns
    -------
    Calibration

    Examples
    --------
    Errors are larger on the right:

    >>> import numpy as np
    >>> from covertreex import vecchia
    >>> from covertreex.kernels import Matern32
    >>> rng = np.random.default_rng(0)
    >>> coords = rng.random((2000, 1))
    >>> y = np.where(coords[:, 0] < 0.5, 0.1, 0.4) * rng.standard_normal(2000)
    >>> model = vecchia.VIF(coords, kernel=Matern32(0.5, 0.01), noise=0.09)
    >>> left, right = vecchia.calibrate(model, y).factors([[0.2], [0.8]])
    >>> bool(0.05 < left < 0.2), bool(1.2 < right < 2.4)
    (True, True)
    """
    _arguments.instance(model, "model", (VIF,))
    mean, variance = model.leave_one_out(y, trend=trend, n_threads=n_threads)
    response = _arrays.real(y, "y")
    if response.ndim != 1:
        raise ValueError(f"y: expected shape ({len(mean)},), got {response.shape}")
    squares = (response - mean) ** 2 / variance
    overall = float(squares.mean()) or 1.0
    tree = CoverTree(scaled(model._coords, model.kernel, "coords"), n_threads=n_threads)
    gains = _gains(tree, squares, overall, n_threads)
    best = max(gains, key=lambda size: gains[size])
    return Calibration(best, gains, overall, squares, model.kernel, tree)


def _gains(tree: CoverTree, squares: Floats, overall: float, n_threads: int | None) -> dict[int | None, float]:
    """The gain in log score by each number of near data."""
    n = len(squares)
    rows = np.linspace(0, n - 1, min(n, _SCORED)).astype(np.int64)
    own = squares[rows]
    # Errors of 0 everywhere say nothing of variances.
    sizes = [size for size in _SIZES if size < n and squares.any()]
    factors: dict[int | None, Floats] = {}
    if sizes:
        near = tree.knn(sizes[-1], queries=rows, exclude_self=True, n_threads=n_threads)
        sums = np.cumsum(squares[near], axis=1)
        factors = {size: _factor(sums[:, size - 1], size, overall) for size in sizes}
    factors[None] = np.full(len(rows), overall)
    plain = _excess(own, np.ones(len(rows))).mean()
    return {size: float(plain - _excess(own, one).mean()) for size, one in factors.items()}


def _factor(sums: Floats, size: int, overall: float) -> Floats:
    """The mean of squares. The overall mean counts as one of them, so that it is above 0 where near errors are 0."""
    found: Floats = (sums + overall) / (size + 1)
    return found


def _excess(squares: Floats, factors: Floats) -> Floats:
    """Log scores of predictions whose variances are multiplied by factors, up to a constant."""
    found: Floats = 0.5 * (squares / factors + np.log(factors))
    return found
