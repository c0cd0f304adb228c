"""What callers give to a model, checked: kernels, noise, sets, responses and the columns of a trend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _arguments, _arrays
from .._capi.callbacks import CallbackKernel
from ..kernels import Stationary
from ..residual._inputs import KernelLike
from ._padding import checked_sets

#: Derivatives of a kernel by its parameters: of two arrays of points, (p, n1, n2).
KernelGradient = Callable[[NDArray[np.float64], NDArray[np.float64]], ArrayLike]


class Response(NamedTuple):
    """Responses as columns."""

    columns: NDArray[np.float64]  #: (n, r)
    is_one: bool  #: the caller gave a vector

    def shaped(self, results: NDArray[np.float64]) -> NDArray[np.float64]:
        """Results, a column for each response, as the caller gave the responses."""
        return results[:, 0] if self.is_one else results


def checked(y: ArrayLike, n: int) -> Response:
    """Responses at ``n`` points, finite."""
    array = _arrays.array_of(y, "y")
    _arrays.check_real(array, y, "y")
    if array.ndim not in (1, 2) or 0 in array.shape[1:]:
        got = f"shape {array.shape}" if array.ndim else f"{y!r}"
        raise ValueError(f"y: expected shape ({n},) or ({n}, r), got {got}")
    if len(array) != n:
        raise ValueError(f"y: expected {n} numbers, one for each point, got {len(array)}")
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        place = ", ".join(map(str, bad[0]))
        raise ValueError(f"y[{place}]: expected a finite number, got {array[tuple(bad[0])]}")
    columns = np.ascontiguousarray(array.reshape(n, -1), np.float64)
    return Response(columns, array.ndim == 1)


def design(columns: ArrayLike, n: int, name: str) -> NDArray[np.float64]:
    """The columns of a linear mean at ``n`` points."""
    array = _arrays.points(columns, name, dtype=np.dtype(np.float64))
    if len(array) != n:
        raise ValueError(f"{name}: expected {n} rows, one for each point, got {len(array)}")
    _arrays.check_finite(array, name)
    return np.ascontiguousarray(array)


def precision(design: NDArray[np.float64], whitened: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """``design.T @ whitened``, of full rank."""
    found: NDArray[np.float64] = design.T @ whitened
    scales = np.sqrt(np.diag(found))
    if not (scales > 0).all() or np.linalg.cond(found / np.outer(scales, scales)) > 1e13:
        raise ValueError(f"{name}: expected linearly independent columns, got others")
    return found


def own(given: Any, name: str) -> Any:
    """A copy of an array-like choice of the caller, who may write to it; names and None are as they are."""
    return given if given is None or isinstance(given, str) else np.array(_arrays.array_of(given, name))


def callback(kernel: KernelLike, gradient: Any, point: NDArray[np.float64]) -> CallbackKernel | None:
    """A kernel of the caller as the library calls it; None for a kernel of this package.

    How many parameters its derivatives have is found by a call for one point, shape (1, dim).
    """
    if gradient is not None:
        _arguments.function(gradient, "kernel_gradient")
    if isinstance(kernel, Stationary):
        if gradient is not None:
            raise ValueError("kernel_gradient: expected None with a kernel of covertreex.kernels")
        return None
    if gradient is None or not len(point):
        return CallbackKernel(kernel)
    found = _arrays.array_of(gradient(point.copy(), point.copy()), "kernel_gradient")
    if found.ndim != 3 or not len(found):
        raise ValueError(f"kernel_gradient: expected shape (p, n1, n2), got {found.shape}")
    return CallbackKernel(kernel, gradient, len(found))


def noise(given: ArrayLike, n: int) -> float | NDArray[np.float64]:
    """A noise variance of all points, or one for each."""
    array = _arrays.array_of(given, "noise")
    if array.ndim == 0:
        value = _arguments.number(given, "noise")
        if not 0 <= value < np.inf:
            raise ValueError(f"noise: expected a finite number from 0 up, got {value}")
        return value
    _arrays.check_real(array, given, "noise")
    if array.shape != (n,):
        got = len(array) if array.ndim == 1 else f"shape {array.shape}"
        raise ValueError(f"noise: expected one number or {n}, one for each point, got {got}")
    values = array.astype(np.float64)
    for row in np.flatnonzero(~((values >= 0) & (values < np.inf)))[:1]:
        raise ValueError(f"noise[{row}]: expected a finite number from 0 up, got {array[row]}")
    return values


def sets(given: ArrayLike, n: int) -> NDArray[np.int64]:
    """Conditioning sets, (n, k): ranks below the row's own, filled up with -1."""
    ranks = checked_sets(given)
    if len(ranks) != n:
        raise ValueError(f"neighbors: expected shape ({n}, k), got {ranks.shape}")
    return ranks
