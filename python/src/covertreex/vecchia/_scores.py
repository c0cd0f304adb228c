"""Scores of Gaussian predictions: of the means, of the densities, and of the intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _arrays


@dataclass(frozen=True)
class Scores:
    """How good predictions are. Of all scores but the coverage a smaller one is better."""

    rmse: float  #: root mean squared error of the means
    mae: float  #: mean absolute error of the means
    crps: float  #: mean continuous ranked probability score
    log_score: float  #: mean negative log density
    coverage: Mapping[float, float]  #: by level, the share of observations in the central interval of this probability


def scores(y: ArrayLike, mean: ArrayLike, variance: ArrayLike, *, levels: Sequence[float] = (0.5, 0.8, 0.95)) -> Scores:
    """Score Gaussian predictions of a response. Needs SciPy.

    Parameters
    ----------
    y : array_like, shape (q,)
        Observations.
    mean, variance : array_like, shape (q,)
        Of the predictive distributions, with the noise of the observations; variances above 0.
    levels : sequence of float
        Probabilities of central intervals.

    Returns
    -------
    Scores

    References
    ----------
    Gneiting and Raftery, "Strictly proper scoring rules, prediction, and estimation" (2007).

    Examples
    --------
    >>> from covertreex.vecchia import scores
    >>> found = scores([0.1, 1.2, 1.9], mean=[0.0, 1.0, 2.0], variance=[0.04, 0.04, 0.04])
    >>> f"{found.rmse:.3f} {found.mae:.3f} {found.crps:.3f} {found.log_score:.3f} {found.coverage[0.5]:.2f}"
    '0.141 0.133 0.084 -0.440 0.67'
    """
    from scipy.special import ndtr, ndtri  # noqa: PLC0415 - slow to import

    observed = _vector(y, "y")
    means, variances = _vector(mean, "mean", len(observed)), _vector(variance, "variance", len(observed))
    for row in np.flatnonzero(variances <= 0)[:1]:
        raise ValueError(f"variance[{row}]: expected a number above 0, got {variances[row]}")
    probabilities = _probabilities(levels)
    errors, spreads = observed - means, np.sqrt(variances)
    z = errors / spreads
    density = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    ranked = spreads * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi))
    inside = {level: float((np.abs(z) <= ndtri((1 + level) / 2)).mean()) for level in probabilities}
    return Scores(
        rmse=float(np.sqrt((errors * errors).mean())),
        mae=float(np.abs(errors).mean()),
        crps=float(ranked.mean()),
        log_score=float((0.5 * z * z + np.log(spreads)).mean() + 0.5 * np.log(2 * np.pi)),
        coverage=inside,
    )


def _vector(values: ArrayLike, name: str, n: int | None = None) -> NDArray[np.float64]:
    """Finite numbers, one for each observation; at least one."""
    array = _arrays.real(values, name)
    wanted = f"({'q' if n is None else n},)"
    if array.ndim != 1 or not len(array) or (n is not None and len(array) != n):
        raise ValueError(f"{name}: expected shape {wanted}, got {array.shape}")
    for row in np.flatnonzero(~np.isfinite(array))[:1]:
        raise ValueError(f"{name}[{row}]: expected a finite number, got {array[row]}")
    return array


def _probabilities(levels: Sequence[float]) -> list[float]:
    array = _arrays.real(levels, "levels")
    if array.ndim != 1:
        raise ValueError(f"levels: expected one dimension, got shape {array.shape}")
    for index in np.flatnonzero(~((array > 0) & (array < 1)))[:1]:
        raise ValueError(f"levels[{index}]: expected above 0 and below 1, got {array[index]}")
    return [float(level) for level in array]
