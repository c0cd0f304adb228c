"""A residual tree as kernels see it, and the distance by which all of them decide."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .._arrays import read_only
from .common import fused_multiply_add, jitted
from .vectors import inner_product

# Residual variances below this much of the variance make a pair count as 0, as in the library.
_FLOOR = 1e-9


class NumbaResidualTree(NamedTuple):
    """The arrays of a residual tree that the kernels read, by position, as in :class:`covertreex.ResidualArrays`."""

    block_order: NDArray[np.int32]
    block_places: NDArray[np.int32]
    coordinates: NDArray[np.float64]
    v_matrix: NDArray[np.float64]
    residual_variance: NDArray[np.float64]
    scales: NDArray[np.float32]
    coefficient_offsets: NDArray[np.int64]
    coefficients: NDArray[np.float32]
    remaining_norms: NDArray[np.float32]
    bounds: NDArray[np.uint8]
    product_offsets: NDArray[np.int64]
    products: NDArray[np.float32]
    block_size: int
    blocks_per_region: int
    kernel: int
    kernel_variance: float
    variance: float


def show_model(arrays: Mapping[str, Any]) -> NumbaResidualTree:
    """Show a model's arrays to the kernels.

    Where products of two variances would not be numbers, features and variances are copies in other units.
    """
    if arrays["kernel"] < 0:
        raise ValueError("kernel: expected one of covertreex.kernels; kernels for Numba cannot call back into Python")
    shown = NumbaResidualTree(**{name: arrays[name] for name in NumbaResidualTree._fields})
    root = variance_root(shown.variance)
    if root == 1:
        return shown
    return shown._replace(
        v_matrix=read_only(shown.v_matrix / root),
        residual_variance=read_only(shown.residual_variance / root / root),
        kernel_variance=shown.kernel_variance / root / root,
        variance=shown.variance / root / root,
    )


def variance_root(variance: float) -> float:
    """The divisor of features, a power of two, and twice of variances: 1 for kernels of a usual variance."""
    if 2.0**-400 <= variance <= 2.0**400:
        return 1.0
    return 2.0 ** int((math.frexp(variance)[1] - 1) / 2)


@jitted
def _exponential(x: float) -> float:
    """The exponential of a number up to 0, step by step the library's."""
    if not x > -708.0:
        return 0.0
    shifted = fused_multiply_add(x, 1.4426950408889634, 6755399441055744.0)
    n = shifted - 6755399441055744.0
    # ln 2 in two parts, the first with so few digits that its product with n is exact.
    r = fused_multiply_add(n, -1.9082149292705877e-10, fused_multiply_add(n, -0.6931471803691238, x))
    total = fused_multiply_add(1 / 6227020800, r, 1 / 479001600)
    for factorial in (39916800, 3628800, 362880, 40320, 5040, 720, 120, 24, 6, 2, 1, 1):
        total = fused_multiply_add(total, r, 1 / factorial)
    # Times 2**n: `shifted` ends with the bits of n.
    return np.int64(np.float64(total).view(np.int64) + (np.float64(shifted).view(np.int64) << 52)).view(np.float64)


@njit(cache=True, nogil=True, inline="always")
def _covariance(model: NumbaResidualTree, squared: float) -> float:
    """The kernel at a squared scaled distance."""
    if model.kernel == 0:
        return model.kernel_variance * _exponential(squared * -0.5)
    if model.kernel == 1:
        return model.kernel_variance * _exponential(-np.sqrt(squared))
    if model.kernel == 2:
        t = np.sqrt(squared * 3)
        return model.kernel_variance * ((t + 1) * _exponential(-t))
    t = np.sqrt(squared * 5)
    polynomial = fused_multiply_add(t, fused_multiply_add(t, 1 / 3, 1.0), 1.0)
    return model.kernel_variance * (polynomial * _exponential(-t))


@njit(cache=True, nogil=True, inline="always")
def residual_distance(
    model: NumbaResidualTree, place: int, coordinates: Any, features: Any, row: int, p: float, index: int
) -> float:
    """The distance of a point of the model from another point. Callable from jitted code.

    Parameters
    ----------
    model : NumbaResidualTree
    place : int
        Position of the model's point in blocks.
    coordinates, features : arrays of float64, shapes (q, dim) and (q, m rounded up to a multiple of 8)
        Of other points: over the lengthscale, and filled up with zeros, as ``model.coordinates`` and
        ``model.v_matrix`` are. With kernels whose variance is not between 2**-400 and 2**400 these, and ``p``, are in
        other units than the tree's.
    row : int
        Which of them.
    p : float
        Its residual variance.
    index : int
        Its dataset index, or ``NO_EXCLUSION``.

    Returns
    -------
    float
        ``sqrt(1 - |rho|)``.
    """
    # No slices: each would change one reference count in all threads.
    squared = 0.0
    for d in range(coordinates.shape[1]):
        difference = model.coordinates[place, d] - coordinates[row, d]
        squared = fused_multiply_add(difference, difference, squared)
    product = inner_product(features, row, model.v_matrix, place)
    norm = np.sqrt(p * model.residual_variance[place])
    rho = 0.0 if norm < _FLOOR * model.variance else min(1.0, abs((_covariance(model, squared) - product) / norm))
    return 0.0 if model.block_order[place] == index else np.sqrt(1 - rho)


@jitted
def eligible(model: NumbaResidualTree, first: int, end: int, before: int) -> int:
    """The end of the points of a block that are before a dataset index, which are its first points."""
    while first < end:
        middle = (first + end) // 2
        if model.block_order[middle] < before:
            first = middle + 1
        else:
            end = middle
    return first
