"""Covariance functions of Gaussian processes.

The four here are computed by the library; any other callable ``kernel(X1, X2) -> K`` is called back for blocks of
pairs. ``K`` may be anything that NumPy makes an array of: real, finite numbers, shape (n1, n2), in any layout.

>>> import numpy as np
>>> from covertreex.kernels import Matern52
>>> Matern52(lengthscale=2.0)(np.zeros((1, 3)), np.zeros((1, 3)))
array([[1.]])
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _arguments, _arrays

__all__ = ["RBF", "Kernel", "Matern12", "Matern32", "Matern52"]

_LARGEST = 2.0**500


class Kernel(ABC):
    """A covariance function: called on two arrays of points, it gives the covariances between them."""

    #: Its number in covertreex 0.4.x, where kernels without one of their own counted as the first one.
    kernel_type: ClassVar[int] = 0

    @abstractmethod
    def __call__(self, X1: ArrayLike, X2: ArrayLike | None = None) -> NDArray[np.float64]:
        """Covariances between the rows of ``X1`` and ``X2``.

        Parameters
        ----------
        X1 : array_like, shape (n1, dim)
            Points.
        X2 : array_like, shape (n2, dim), optional
            Points; by default ``X1``.

        Returns
        -------
        numpy.ndarray, shape (n1, n2)
        """


@dataclass(frozen=True)
class Stationary(Kernel):
    """A kernel of the distance between points, divided by the lengthscale.

    Parameters
    ----------
    lengthscale : float or sequence of float
        One for all dimensions, or one for each (ARD); above 0.
    variance : float
        The covariance of a point with itself; above 0.
    """

    lengthscale: Any = 1.0
    variance: float = 1.0
    shape: ClassVar[int]  #: the library's number of the kernel, a covertree_kernel_shape

    def __post_init__(self) -> None:
        given = _arrays.array_of(self.lengthscale, "lengthscale")
        if given.ndim == 0:
            scales = np.float64(_arguments.number(self.lengthscale, "lengthscale"))
        else:
            _arrays.check_real(given, self.lengthscale, "lengthscale", "iuf")
            scales = given.astype(np.float64)
        if scales.ndim > 1 or scales.size == 0:
            raise ValueError(f"lengthscale: expected a number or one for each dimension, got shape {scales.shape}")
        if not (np.isfinite(scales) & (scales > 0)).all():
            raise ValueError(
                f"lengthscale: expected finite numbers above 0, got {_arguments.described(self.lengthscale)}"
            )
        variance = _arguments.number(self.variance, "variance")
        if not (np.isfinite(variance) and variance > 0):
            raise ValueError(f"variance: expected a finite number above 0, got {_arguments.described(self.variance)}")
        # A tuple, so that kernels can be compared and hashed.
        object.__setattr__(self, "lengthscale", float(scales) if scales.ndim == 0 else tuple(scales.tolist()))
        object.__setattr__(self, "variance", variance)

    def __call__(self, X1: ArrayLike, X2: ArrayLike | None = None) -> NDArray[np.float64]:
        a = _arrays.points(X1, "X1", dtype=np.dtype(np.float64))
        b = a if X2 is None else _arrays.points(X2, "X2", dtype=np.dtype(np.float64))
        if a.shape[1] != b.shape[1]:
            raise ValueError(f"X2: expected {a.shape[1]} columns, got {b.shape[1]}")
        squared = np.zeros((len(a), len(b)))
        for x, y in zip(scaled(a, self, "X1").T, scaled(b, self, "X2").T):
            squared += (x[:, None] - y[None, :]) ** 2
        return self.variance * self._correlation(squared)

    @staticmethod
    @abstractmethod
    def _correlation(squared: NDArray[np.float64]) -> NDArray[np.float64]:
        """Correlations at squared scaled distances."""


@dataclass(frozen=True)
class RBF(Stationary):
    """Squared exponential: ``variance * exp(-r**2 / 2)``, with ``r`` the distance over the lengthscale."""

    shape: ClassVar[int] = 0

    @staticmethod
    def _correlation(squared: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.exp(-0.5 * squared)


@dataclass(frozen=True)
class Matern12(Stationary):
    """Matern 1/2, or exponential: ``variance * exp(-r)``, with ``r`` the distance over the lengthscale."""

    shape: ClassVar[int] = 1
    kernel_type: ClassVar[int] = -1  #: not in covertreex 0.4.x

    @staticmethod
    def _correlation(squared: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.exp(-np.sqrt(squared))


@dataclass(frozen=True)
class Matern32(Stationary):
    """Matern 3/2: ``variance * (1 + a) * exp(-a)`` with ``a = sqrt(3) r``."""

    shape: ClassVar[int] = 2
    kernel_type: ClassVar[int] = -1  #: not in covertreex 0.4.x

    @staticmethod
    def _correlation(squared: NDArray[np.float64]) -> NDArray[np.float64]:
        a = np.sqrt(3 * squared)
        return (1 + a) * np.exp(-a)


@dataclass(frozen=True)
class Matern52(Stationary):
    """Matern 5/2: ``variance * (1 + a + a**2 / 3) * exp(-a)`` with ``a = sqrt(5) r``."""

    shape: ClassVar[int] = 3
    kernel_type: ClassVar[int] = 1

    @staticmethod
    def _correlation(squared: NDArray[np.float64]) -> NDArray[np.float64]:
        a = np.sqrt(5 * squared)
        return (1 + a + a * a / 3) * np.exp(-a)


#: Kernels as they are named in options.
BY_NAME: dict[str, type[Stationary]] = {kind.__name__.lower(): kind for kind in (RBF, Matern12, Matern32, Matern52)}


def of_shape(shape: int, lengthscale: NDArray[np.float64], variance: float) -> Stationary:
    """The kernel of a covertree_kernel_shape, with a lengthscale of shape (1,) or (dim,)."""
    kinds = {kind.shape: kind for kind in BY_NAME.values()}
    scale = lengthscale[0] if len(lengthscale) == 1 else lengthscale
    return kinds[shape](lengthscale=scale, variance=variance)


def checked(kernel: Any) -> Any:
    """Return a kernel; raise a TypeError for a class instead of an object of it, and for what cannot be called."""
    wanted = "kernel: expected a kernel of covertreex.kernels or a function of two arrays"
    if isinstance(kernel, type):
        raise TypeError(f"{wanted}, got the class {kernel.__name__}; give an object of it: {kernel.__name__}(...)")
    if not callable(kernel):
        raise TypeError(f"{wanted}, got {_arguments.described(kernel)}")
    return kernel


def of_this_package(kernel: object) -> Stationary:
    """Return a kernel of this module; raise a TypeError for any other object."""
    if not isinstance(kernel, Stationary):
        raise TypeError(f"kernel: expected one of covertreex.kernels, got {_arguments.described(kernel)}")
    return kernel


def scaled(points: NDArray[np.float64], kernel: object, name: str) -> NDArray[np.float64]:
    """Coordinates, shape (n, dim), over the lengthscale of a kernel, or unchanged if it has none.

    Raises a ValueError for a coordinate whose square would overflow, by the name of the coordinates.
    """
    lengthscale = np.asarray(kernel.lengthscale if isinstance(kernel, Stationary) else 1.0)
    if lengthscale.ndim and len(lengthscale) != points.shape[1]:
        raise ValueError(
            f"lengthscale: expected one number or {points.shape[1]}, one for each dimension, got {len(lengthscale)}"
        )
    with np.errstate(over="ignore"):  # overflow is infinite, and refused as such
        over: NDArray[np.float64] = points / lengthscale
    # Squares of larger ones overflow, and infinity less infinity is not a distance.
    for row, column in np.argwhere((np.abs(over) > _LARGEST) & np.isfinite(points))[:1]:
        raise ValueError(
            f"{name}[{row}, {column}]: {points[row, column]} over the lengthscale is beyond 2^500, "
            "its square would overflow"
        )
    return over
