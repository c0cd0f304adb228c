"""What callers give to a model, checked: kernels, noise, sets, responses and the columns of a trend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _arguments, _arrays
from .._capi import vif
from .._capi.callbacks import CallbackKernel
from ..kernels import Stationary
from ..residual._inputs import KernelLike
from ._padding import checked_sets, csr

#: Derivatives of a kernel by its parameters: of two arrays of points, (p, n1, n2).
KernelGradient = Callable[[NDArray[np.float64], NDArray[np.float64]], ArrayLike]

#: The library's own limits.
LARGEST_JITTER = 0.01
LARGEST_RESPONSE = 2.0**200


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
    values = _float64(array)
    bad = np.argwhere(~(np.abs(values) <= LARGEST_RESPONSE))
    if len(bad):
        place, value = ", ".join(map(str, bad[0])), values[tuple(bad[0])]
        size = " of a size up to 2^200" if np.isfinite(value) else ""
        raise ValueError(f"y[{place}]: expected a finite number{size}, got {value}")
    return Response(np.ascontiguousarray(values.reshape(n, -1)), array.ndim == 1)


def _float64(array: NDArray[Any]) -> NDArray[np.float64]:
    """Real numbers as float64; those of a wider type that do not fit become infinite."""
    with np.errstate(over="ignore"):
        return array.astype(np.float64, copy=False)


def design(columns: ArrayLike, n: int, name: str) -> NDArray[np.float64]:
    """The columns of a linear mean at ``n`` points."""
    array = _arrays.points(columns, name, dtype=np.dtype(np.float64))
    if len(array) != n:
        raise ValueError(f"{name}: expected {n} rows, one for each point, got {len(array)}")
    _arrays.check_finite(array, name)
    return np.ascontiguousarray(array)


def designs(
    trend: ArrayLike | None, new_trend: ArrayLike | None, n: int, q: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """The columns of a linear mean at data and at new points; None without a trend."""
    if trend is None and new_trend is None:
        return None
    if trend is None or new_trend is None:
        raise ValueError("new_trend: expected together with trend, or neither of them")
    old, new = design(trend, n, "trend"), design(new_trend, q, "new_trend")
    if new.shape[1] != old.shape[1]:
        raise ValueError(f"new_trend: expected {old.shape[1]} columns, got {new.shape[1]}")
    return old, new


def precision(design: NDArray[np.float64], whitened: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """``design.T @ whitened``, of full rank."""
    found: NDArray[np.float64] = design.T @ whitened
    scales = np.sqrt(np.maximum(np.diag(found), 0))
    if not (scales > 0).all() or np.linalg.cond(found / np.outer(scales, scales)) > 1e13:
        raise ValueError(f"{name}: expected linearly independent columns, got others")
    return found


def own(given: Any, name: str) -> Any:
    """A copy of an array-like choice of the caller, who may write to it; anything else as it is."""
    if given is None or isinstance(given, str):
        return given
    array = _arrays.array_of(given, name)
    return np.array(array) if array.ndim else given


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
    _arrays.of_shape(found, "kernel_gradient", (len(found), 1, 1))
    return CallbackKernel(kernel, gradient, len(found))


def together(kernel: KernelLike | None, gradient: Any) -> None:
    """Raise for the derivatives of a kernel without the kernel."""
    if kernel is None and gradient is not None:
        _arguments.function(gradient, "kernel_gradient")
        raise ValueError("kernel_gradient: expected together with kernel")


def noise(given: ArrayLike, n: int) -> float | NDArray[np.float64]:
    """A noise variance of all points, or one for each."""
    array = _arrays.array_of(given, "noise")
    if array.ndim == 0:
        value = _arguments.number(given, "noise")
        if not 0 <= value < np.inf:
            raise ValueError(f"noise: expected a finite number from 0 up, got {value}")
        return value
    _arrays.check_real(array, given, "noise", "iuf")
    if array.shape != (n,):
        got = len(array) if array.ndim == 1 else f"shape {array.shape}"
        raise ValueError(f"noise: expected one number or {n}, one for each point, got {got}")
    values = np.array(_float64(array))
    for row in np.flatnonzero(~((values >= 0) & (values < np.inf)))[:1]:
        raise ValueError(f"noise[{row}]: expected a finite number from 0 up, got {values[row]}")
    return values


def jitter(given: float) -> float:
    """A jitter, which the library checks only where it uses it."""
    value = _arguments.number(given, "jitter")
    if not 0 <= value <= LARGEST_JITTER:
        raise ValueError(f"jitter: expected 0 to {LARGEST_JITTER}, got {value}")
    return value


def normals(generator: np.random.Generator, size: int, count: int) -> NDArray[np.float64]:
    """Standard normal numbers for ``size`` draws, ``count`` for each."""
    try:
        return generator.standard_normal((size, count))
    except (MemoryError, ValueError):  # NumPy raises ValueError where the size does not fit its numbers
        raise MemoryError(f"size: expected draws that fit in memory, got {size} of {count} numbers") from None


def sets(given: ArrayLike, n: int) -> NDArray[np.int64]:
    """Conditioning sets, (n, k): ranks below the row's own, filled up with -1."""
    ranks = checked_sets(given)
    if len(ranks) != n:
        raise ValueError(f"neighbors: expected shape ({n}, k), got {ranks.shape}")
    return ranks


def in_rows(sets: NDArray[np.int64]) -> vif.Sets:
    """Sets that are filled up with -1, one after the other."""
    return vif.Sets(*csr(sets))
